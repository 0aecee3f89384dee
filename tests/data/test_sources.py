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
        ("russian.csv", "text,label\nhi there,a\nпривет,a\n".encode("cp1251"), "byte 0xef"),
        ("japanese.csv", "text,label\n素晴らしい授業,a\n".encode("shift_jis"), "byte 0x91"),
        ("mixed.csv", "text,label\nqué,a\n".encode() + b"b\xff,b\n", "byte 0xff"),
        ("archive.zip", b"PK", "no reader for 'archive.zip'(.|\n)*save the table as CSV"),
        ("commas.csv", b"text,label\nso, so,a\nno, no,b\n", "more cells than its header"),
        ("some.csv", b"text,label\nso,a\nno, no,b\n", "cannot be read(.|\n)*in quotes"),
        (
            "twins.csv",
            b"text,text,label\nso,so,a\n",
            "several columns of the file are called 'text'",
        ),
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


SMALL = TABLE.iloc[[0, 2, 4]][["said", "mood"]]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_separated_values_as_other_programs_write_them(tmp_path, separator, encoding, line_end):
    names = {"said": "said; or, written", "mood": "its mood"}
    path = tmp_path / "their own file.txt"
    SMALL.rename(columns=names).to_csv(
        path, sep=separator, encoding=encoding, index=False, lineterminator=line_end
    )
    columns = {"text": names["said"], "label": names["mood"]}
    frame, facts = load_source(str(path), columns=columns)
    assert frame["text"].tolist() == SMALL["said"].tolist()
    assert frame["label"].tolist() == SMALL["mood"].tolist()
    assert ["Windows-1252" in told for told in facts["remarks"]] == [True] * (encoding == "cp1252")


def test_a_lone_quote_in_a_tab_file_is_a_sign_of_the_text(tmp_path):
    path = tmp_path / "tweets.tsv"
    path.write_text('text\tlabel\n"so it goes\ta\nfine\tb\n"yes" he said\ta\n5" long\tb\n')
    frame, _ = load_source(str(path))
    assert frame["text"].tolist() == ['"so it goes', "fine", '"yes" he said', '5" long']
    pd.DataFrame({"text": ['5" long', "two\nlines"], "label": ["a", "b"]}).to_csv(
        path, sep="\t", index=False
    )
    assert load_source(str(path))[0]["text"].tolist() == ['5" long', "two\nlines"]


def test_numbers_before_each_row_as_r_writes_them(tmp_path):
    path = tmp_path / "r.tsv"
    path.write_text("text\tlabel\n1\tfine\ta\n2\tbad\tb\n")
    assert load_source(str(path))[0]["text"].tolist() == ["fine", "bad"]


WORDS = [
    "None",
    "NA",
    "nan",
    "null",
    "001",
    "1",
    "1.0",
    "true",
    "True",
    "so, so",
    "Año",
    "😀",
    "a|b",
]


def test_labels_stay_as_they_are_spelled(tmp_path):
    path = tmp_path / "words.csv"
    labels = [*WORDS, " joy ", "  ", ""]
    pd.DataFrame({"text": "t", "label": labels}).to_csv(path, index=False)
    frame, facts = load_source(str(path))
    assert frame["label"].fillna("?").tolist() == [*WORDS, "joy", "?", "?"]
    assert facts["labels"] == sorted([*WORDS, "joy"])


@pytest.mark.parametrize("name", ["id", "language", "topic", "author", "at"])
def test_a_column_with_one_of_our_names_may_be_the_label(tmp_path, name):
    path = tmp_path / "own.csv"
    pd.DataFrame({"said": list("abcdef"), name: ["x", "y"] * 3}).to_csv(path, index=False)
    frame, _ = load_source(str(path), columns={"text": "said", "label": name})
    assert frame["label"].tolist() == ["x", "y"] * 3 and frame["id"].is_unique
    assert set(frame["language"]) == {"und"} and set(frame["topic"]) == {""}
    assert (frame["author"] == frame["id"]).all() and frame["at"].isna().all()


def test_columns_that_only_share_a_name_with_ours(tmp_path):
    path = tmp_path / "own.parquet"
    table = pd.DataFrame({"text": list("abcdef"), "label": ["x", "y"] * 3})
    table.assign(id=[1, 1, 1, 2, 2, 2], at=range(1_700_000_000, 1_700_000_006)).to_parquet(path)
    frame, _ = load_source(str(path))
    assert frame["id"].is_unique and frame["at"].isna().all()
    with pytest.raises(DataProblem, match="'text' is named for both label and text|text and label"):
        load_source(str(path), columns={"label": "text"})


def test_a_drawn_sample_is_told(tmp_path):
    path = tmp_path / "long.csv"
    pd.DataFrame({"text": range(5_000), "label": ["a", "b"] * 2_500}).to_csv(path, index=False)
    [told] = load_source(str(path), rows=1_000)[1]["remarks"]
    assert told.startswith("1,000 of 5,000 rows were drawn") and "-p rows=" in told
    assert load_source(str(path), rows=5_000)[1]["remarks"] == []


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
