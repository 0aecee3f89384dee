"""Own files: read with mapped columns, or refused with the reason."""

import numpy as np
import pandas as pd
import pytest

from mlops_lab.data.sources import load_source
from mlops_lab.foundation.errors import DataProblem
from mlops_lab.foundation.records import digest_frame

TABLE = pd.DataFrame(
    {
        "said": ["qué bien, sí", "so; so", "None", "line\nbreak", "¡uf!"],
        "mood": ["joy", "neutral", "neutral", "joy", "anger"],
        "at": ["2025-01-01T10:00:00Z", "2025-01-02", "bad", None, "2025-01-05 09:00+02:00"],
        "author": ["ana", "leo", "ana", "mia", "leo"],
    }
)
COLUMNS = {"text": "said", "label": "mood"}
WRITERS = {
    "csv": lambda path: TABLE.to_csv(path, index=False),
    "tsv": lambda path: TABLE.to_csv(path, index=False, sep="\t"),
    "jsonl": lambda path: TABLE.to_json(path, orient="records", lines=True),
    "parquet": lambda path: TABLE.to_parquet(path),
}


@pytest.mark.parametrize("ending", WRITERS)
def test_every_format_gives_the_same_rows(tmp_path, ending):
    path = tmp_path / f"mine.{ending}"
    WRITERS[ending](path)
    frame, facts = load_source(str(path), columns=COLUMNS)
    assert list(frame.columns) == ["id", "text", "label", "language", "topic", "author", "at"]
    assert list(frame["text"]) == list(TABLE["said"]) and list(frame["label"]) == list(
        TABLE["mood"]
    )
    assert list(frame["author"]) == list(TABLE["author"])
    assert frame["id"].tolist() == [f"mine-{n:07d}" for n in range(5)]
    assert str(frame["at"].dtype) == "datetime64[us, UTC]"
    assert frame["at"].isna().tolist()[3] and frame["at"][0].hour == 10
    assert facts["labels"] == ["anger", "joy", "neutral"] and facts["rows_found"] == 5
    assert facts["kind"] == "file" and facts["file"] == f"mine.{ending}"
    assert facts["file_digest"].startswith("sha256:")


def test_a_spreadsheet_with_semicolons_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "hoja.csv"
    path.write_text("text;label\nuno, dos;a\ntres;b\n", encoding="utf-8-sig")
    frame, _ = load_source(str(path))
    assert list(frame["text"]) == ["uno, dos", "tres"]


def test_numbers_as_labels_and_ids(tmp_path):
    path = tmp_path / "numbers.parquet"
    table = pd.DataFrame({"id": [10, 11, 12], "text": ["a", "b", "c"], "label": [1.0, 0.0, np.nan]})
    table.to_parquet(path)
    frame, facts = load_source(str(path))
    assert list(frame["id"]) == ["10", "11", "12"] and facts["labels"] == ["0", "1"]
    assert frame["label"].isna().tolist() == [False, False, True]
    assert (frame["author"] == frame["id"]).all() and (frame["language"] == "und").all()


def test_a_large_file_is_sampled_in_order_by_seed(tmp_path):
    path = tmp_path / "large.csv"
    pd.DataFrame({"text": [f"t{n}" for n in range(500)], "label": ["a", "b"] * 250}).to_csv(path)
    first, facts = load_source(str(path), rows=50, seed=1)
    again, _ = load_source(str(path), rows=50, seed=1)
    other, _ = load_source(str(path), rows=50, seed=2)
    assert digest_frame(first) == digest_frame(again) != digest_frame(other)
    assert first["id"].is_monotonic_increasing and facts["rows_found"] == 500
    assert facts["rows"] == len(first) == 50


def test_the_world_through_the_same_door():
    frame, facts = load_source("world", rows=300, seed=3, task="sentiment")
    assert facts["kind"] == "world" and facts["labels"] == ["negative", "neutral", "positive"]
    assert facts["digest"] == digest_frame(frame) and facts["ceiling"]["f1"].keys() == set(
        facts["labels"]
    )


def broken(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("empty.csv", b"", "empty.csv is empty"),
        ("latin.csv", "text,label\nqué,a\n".encode("latin-1"), "byte 0xe9"),
        ("notes.docx", b"x", "no reader for 'notes.docx' \\(.docx\\)"),
        ("noending", b"x", "no ending"),
        ("cut.parquet", b"PAR1xx", "cut.parquet cannot be read"),
        ("bad.jsonl", b'{"text": "a"}\n{"text"\n', "bad.jsonl cannot be read: line 2"),
        ("list.jsonl", b"[1, 2]\n", "line 1 is a list"),
        ("ragged.csv", b'text,label\na,b\n"c,d\n', "ragged.csv cannot be read"),
        ("one.csv", b"text,label\na,x\nb,x\n", "2 rows and 1 labels: \\['x'\\]"),
        ("bare.csv", b"text,label\n", "0 rows and 0 labels"),
        ("near.csv", b"txt,label\na,x\nb,y\n", "no column 'text' for text"),
    ],
)
def test_a_broken_file_is_refused_with_its_reason(tmp_path, name, content, found):
    with pytest.raises(DataProblem, match=found):
        load_source(broken(tmp_path, name, content))


def test_near_names_are_offered(tmp_path):
    path = broken(tmp_path, "messages.csv", b"message,label\na,x\nb,y\n")
    with pytest.raises(DataProblem, match="did you mean 'message'"):
        load_source(path, columns={"text": "mesage"})
    with pytest.raises(DataProblem, match="did you mean 'messages.csv'"):
        load_source(str(tmp_path / "mesages.csv"))
    with pytest.raises(DataProblem, match="did you mean '.csv'"):
        load_source(str(tmp_path / "messages.cvs"))
    with pytest.raises(DataProblem, match="no column of ours is called 'lable'"):
        load_source(path, columns={"text": "message", "lable": "label"})
    with pytest.raises(ValueError, match="rows must be at least 1"):
        load_source(path, rows=0)
