"""Files: the first difference is named by field, column and row, line or byte."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_lab.pipeline.file_comparison import find_difference, find_fields


@pytest.fixture
def sides(tmp_path: Path) -> dict[str, Path]:
    """Two empty folders."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    return {"old": tmp_path / "old", "new": tmp_path / "new"}


def put(sides, path, *contents):
    for folder, content in zip(sides.values(), contents, strict=True):
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pd.DataFrame):
            content.to_parquet(place)
        elif isinstance(content, bytes):
            place.write_bytes(content)
        else:
            place.write_text(content if isinstance(content, str) else json.dumps(content))


FRAME = pd.DataFrame({"id": ["a", "b"], "score": [0.5, np.nan], "ms": [1.0, 2.0]})
NESTED = pd.DataFrame({"p": [{"joy": 0.5, "fear": 0.5}, {"joy": 0.1, "fear": 0.9}]})
CHANGED = pd.DataFrame({"p": [{"joy": 0.5, "fear": 0.5}, {"joy": 0.2, "fear": 0.8}]})
CASES = {
    "a field": ("a.json", {"m": {"f1": 0.5}}, {"m": {"f1": 0.6}}, "field m.f1"),
    "a new field": ("a.json", {}, {"n": 1}, "field n"),
    "a longer list": ("a.json", [1], [1, 2], "field 1"),
    "a kind": ("a.json", {"n": 1}, {"n": True}, "field n"),
    "a spelling": ("a.json", '{"n":1}', '{"n": 1}', "spelling"),
    "a cell": ("a.parquet", FRAME, FRAME.assign(score=[0.5, 0.7]), "column score, row 1"),
    "a nested cell": ("a.parquet", NESTED, CHANGED, "column p, row 1"),
    "a column": ("a.parquet", FRAME, FRAME.rename(columns={"ms": "s"}), "columns"),
    "an order of columns": ("a.parquet", FRAME, FRAME[["ms", "score", "id"]], "columns"),
    "a row less": ("a.parquet", FRAME, FRAME.head(1), "number of rows"),
    "a type": ("a.parquet", FRAME, FRAME.assign(ms=[1, 2]), "type of column ms"),
    "a line": ("a.csv", "x\ny\n", "x\nz\n", "line 2"),
    "a byte": ("a.npz", b"\x00\xff\x01", b"\x00\xff\x02", "byte 2"),
    "a shorter file": ("a.npz", b"\x00\xff\x01", b"\x00\xff", "byte 2"),
    "line ends": ("a.txt", b"x\n", b"x\r\n", "line ends"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_first_difference_is_named(sides, name):
    path, old, new, where = CASES[name]
    put(sides, path, old, new)
    assert find_difference(path, **sides).where == where
    put(sides, path, old, old)
    assert find_difference(path, **sides) is None


def test_no_number_equals_no_number(sides):
    put(sides, "a.parquet", FRAME, FRAME.assign(ms=[1.0, 3.0]))
    found = find_difference("a.parquet", **sides)
    assert (found.where, found.old, found.new) == ("column ms, row 1", "2.0", "3.0")
    assert find_difference("a.parquet", **sides, varying=["ms"]) is None


def test_declared_fields_are_looked_past_and_others_are_not(sides):
    old = {"checks": [{"name": "a", "at": 1}, {"name": "b", "at": 1}]}
    new = {"checks": [{"name": "a", "at": 2}, {"name": "c", "at": 2}]}
    put(sides, "a.json", old, new)
    assert find_difference("a.json", **sides).where == "field checks.0.at"
    assert (
        find_difference("a.json", **sides, varying=["checks.*.at"]).where == "field checks.1.name"
    )
    assert [field for field, *_ in find_fields(old, new, varying=["checks"])] == []


def test_a_folder_is_searched_in_the_order_of_its_names(sides):
    put(sides, "model/b.txt", "1", "2")
    put(sides, "model/inner/a.json", {"n": 1}, {"n": 2})
    assert find_difference("model", **sides).path == "model/b.txt"
    put(sides, "model/b.txt", "1", "1")
    assert find_difference("model", **sides).path == "model/inner/a.json"
    (sides["new"] / "model/extra").write_text("1")
    found = find_difference("model", **sides)
    assert str(found) == "model/extra: it was (absent), is a file"
