"""Digests name content; records are whole or absent."""

import os
import signal
import subprocess
import sys
import time

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
    written_whole,
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


def test_a_writer_that_fails_leaves_the_old_record(tmp_path):
    write_json(tmp_path / "record.json", {"version": 1})
    with pytest.raises(RecordProblem):
        write_json(tmp_path / "record.json", {"version": {2}})
    with pytest.raises(ZeroDivisionError), written_whole(tmp_path / "record.json") as draft:
        draft.write_text("half")
        _ = 1 / 0
    assert read_json(tmp_path / "record.json") == {"version": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


WRITER = """
import sys
from pathlib import Path
from mlops_lab.foundation.records import write_json
for version in range(10**6):
    write_json(Path(sys.argv[1]), {"version": version, "filling": "x" * 50_000})
"""


def test_a_killed_writer_never_leaves_half_a_record(tmp_path):
    path = tmp_path / "record.json"
    for attempt in range(5):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
        deadline = time.monotonic() + 20
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.03 * attempt)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert len(read_json(path)["filling"]) == 50_000
        path.unlink()
