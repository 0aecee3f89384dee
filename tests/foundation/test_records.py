"""Digests name content; records say what is wrong with them."""

import os

import numpy as np
import pandas as pd
import pytest

from mlops_lab.foundation.errors import RecordProblem
from mlops_lab.foundation.records import (
    canonical_json,
    digest_file,
    digest_folder,
    digest_frame,
    digest_json,
    read_json,
    write_json,
)


def test_equal_values_have_equal_digests_whatever_their_order():
    assert digest_json({"a": [1, 2], "b": None}) == digest_json({"b": None, "a": [1, 2]})
    assert digest_json([1, 2]) != digest_json([2, 1])
    assert digest_json("1") != digest_json(1)


def test_what_json_cannot_hold_is_refused():
    for value in (float("inf"), {1, 2}, object()):
        with pytest.raises(RecordProblem, match="cannot be recorded"):
            canonical_json(value)


def test_folder_digest_sees_names_and_bytes_but_not_times(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    first = digest_folder(tmp_path)
    os.utime(tmp_path / "a" / "x", (1, 1))
    assert digest_folder(tmp_path) == first
    (tmp_path / "a" / "x").write_text("2")
    changed = digest_folder(tmp_path)
    (tmp_path / "a" / "x").write_text("1")
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
    assert len({first, changed, digest_folder(tmp_path)}) == 3


def test_frame_digest_sees_values_and_columns_but_not_the_index():
    frame = pd.DataFrame({"text": ["a", "b"], "n": [1.0, np.nan]})
    assert digest_frame(frame) == digest_frame(frame.set_axis([7, 8]))
    for other in (
        frame.assign(n=[1.0, 2.0]),
        frame.assign(text=["a", "c"]),
        frame[["n", "text"]],
        frame.iloc[::-1],
        frame.iloc[:1],
    ):
        assert digest_frame(other) != digest_frame(frame)


def test_reading_says_what_is_wrong(tmp_path):
    with pytest.raises(RecordProblem, match="No such file"):
        read_json(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"a": ')
    with pytest.raises(RecordProblem, match="is not JSON"):
        read_json(tmp_path / "half.json")
    with pytest.raises(RecordProblem, match="No such file"):
        digest_file(tmp_path / "none")


def test_a_value_that_cannot_be_recorded_leaves_the_old_record(tmp_path):
    write_json(tmp_path / "record.json", {"version": 1})
    with pytest.raises(RecordProblem):
        write_json(tmp_path / "record.json", {"version": {2}})
    assert read_json(tmp_path / "record.json") == {"version": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]
