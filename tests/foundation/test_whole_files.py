"""A file or folder appears at once, or not at all."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from mlops_lab.foundation.whole_files import write_bytes, written_whole

WRITER = """
import sys
from pathlib import Path
from mlops_lab.foundation.whole_files import write_bytes
for version in range(10**6):
    write_bytes(Path(sys.argv[1]), bytes([version % 256]) * 2_000_000)
"""


def test_a_killed_writer_never_leaves_half_a_file(tmp_path):
    path = tmp_path / "data.bin"
    for attempt in range(5):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
        deadline = time.monotonic() + 20
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.03 * attempt)
        child.send_signal(signal.SIGKILL)
        child.wait()
        content = path.read_bytes()
        assert len(content) == 2_000_000
        assert len(set(content)) == 1
        path.unlink()


def test_a_writer_that_fails_leaves_the_old_file(tmp_path):
    write_bytes(tmp_path / "data.bin", b"old")
    with pytest.raises(ZeroDivisionError), written_whole(tmp_path / "data.bin") as draft:
        draft.write_text("half")
        _ = 1 / 0
    assert (tmp_path / "data.bin").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["data.bin"]


def test_a_folder_appears_with_all_its_files(tmp_path):
    with written_whole(tmp_path / "bundle") as draft:
        (draft / "deep").mkdir(parents=True)
        (draft / "deep" / "a.txt").write_text("a")
        assert not (tmp_path / "bundle").exists()
    assert (tmp_path / "bundle" / "deep" / "a.txt").read_text() == "a"
    assert os.listdir(tmp_path) == ["bundle"]


def test_writers_who_race_leave_one_whole_file(tmp_path):
    path = tmp_path / "data.bin"
    writers = [
        threading.Thread(target=lambda mark=mark: write_bytes(path, bytes([mark]) * 300_000))
        for mark in range(16)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    content = path.read_bytes()
    assert len(content) == 300_000
    assert len(set(content)) == 1
    assert os.listdir(tmp_path) == ["data.bin"]
