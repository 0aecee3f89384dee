"""The encoding of a file is told by all of its bytes, or not at all."""

import pytest

from mlops_lab.foundation.encodings import find_encoding

SPANISH = "El niño está aquí, ¿verdad? «Sí», dijo él; costó 5 €. " * 40_000
OTHERS = {
    "cp1251": "Привет, как дела? hello " * 20,
    "shift_jis": "この授業は素晴らしいです。" * 20,
    "cp1253": "Καλημέρα, τι κάνεις; fine " * 20,
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_what_was_written_can_be_read(tmp_path, encoding):
    place = tmp_path / "text"
    place.write_bytes(SPANISH.encode(encoding))
    assert place.read_text(encoding=find_encoding(place)) == SPANISH


def test_an_accent_at_the_end_of_a_long_file_counts(tmp_path):
    place = tmp_path / "text"
    place.write_bytes(b"plain words " * 300_000 + "está".encode("cp1252"))
    assert find_encoding(place) == "cp1252"


@pytest.mark.parametrize("encoding", OTHERS)
def test_other_alphabets_are_never_guessed(tmp_path, encoding):
    place = tmp_path / "text"
    place.write_bytes(OTHERS[encoding].encode(encoding))
    with pytest.raises(UnicodeDecodeError):
        find_encoding(place)


def test_broken_utf_8_stays_broken(tmp_path):
    place = tmp_path / "text"
    place.write_bytes(SPANISH.encode() + b"caf\xe9")
    with pytest.raises(UnicodeDecodeError):
        find_encoding(place)
