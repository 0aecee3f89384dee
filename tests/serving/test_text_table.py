"""A table to be scored is read as it was written."""

import pyarrow as pa
import pytest

from mlops_lab.foundation.errors import DataProblem
from mlops_lab.serving.text_table import open_table, read_pieces

TEXTS = ["qué bien, ¿no?", "two\nlines; and | bars", 'she said "no"', "", "niño"]


def read(path):
    return pa.concat_tables(read_pieces(open_table(path), 2)).column("text").to_pylist()


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_any_encoding_and_separator(tmp_path, encoding, separator):
    rows = ["number{0}text", *('{1}{0}"' + t.replace('"', '""') + '"' for t in TEXTS)]
    lines = [row.format(separator, number) for number, row in enumerate(rows)]
    (tmp_path / "in.csv").write_text("\n".join(lines) + "\n", encoding=encoding, newline="")
    assert read(tmp_path / "in.csv") == TEXTS


def test_a_lone_quote_swallows_no_rows(tmp_path):
    (tmp_path / "in.tsv").write_text('n\ttext\n1\t5" long\n2\tnine feet\n3\t"so" it goes\n')
    assert read(tmp_path / "in.tsv") == ['5" long', "nine feet", '"so" it goes']


def test_what_cannot_be_told_is_refused_before_any_row(tmp_path):
    (tmp_path / "in.csv").write_bytes("text\nпривет, как дела\n".encode("cp1251"))
    with pytest.raises(DataProblem, match="save it as UTF-8"):
        open_table(tmp_path / "in.csv")
