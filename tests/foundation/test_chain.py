"""The log only grows, and any edit of it is noticed."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.errors import RecordProblem


@pytest.fixture
def log(tmp_path):
    log = ChainLog(tmp_path / "log.jsonl")
    for number in range(10):
        log.append("note", {"number": number, "word": "ñandú"})
    return log


def test_entries_come_back_in_order(log):
    assert [entry.data["number"] for entry in log.read()] == list(range(10))
    assert log.verify() == 10
    assert log.last("note").number == 10


def change_a_value(lines):
    lines[4] = lines[4].replace(b'"number":4', b'"number":9')


def change_a_time(lines):
    entry = json.loads(lines[4])
    entry["at"] = "2000-01-01T00:00:00.000000+00:00"
    lines[4] = json.dumps(entry).encode()


def remove_a_line(lines):
    del lines[4]


def remove_the_last_lines(lines):
    del lines[8:]


def remove_all(lines):
    lines.clear()


def swap_lines(lines):
    lines[3], lines[4] = lines[4], lines[3]


def repeat_a_line(lines):
    lines.insert(4, lines[3])


def write_junk(lines):
    lines[4] = b"junk"


def spell_otherwise(lines):
    lines[4] = lines[4].replace(b'"data":{', b'"data": {')


def hide_a_second_digest(lines):
    own = re.search(rb'"digest":"[^"]*",', lines[4])[0]
    lines[4] = lines[4].replace(b'"data":{', b'"data":{' + own)


@pytest.mark.parametrize(
    "damage",
    [
        change_a_value,
        change_a_time,
        remove_a_line,
        remove_the_last_lines,
        remove_all,
        swap_lines,
        repeat_a_line,
        write_junk,
        spell_otherwise,
        hide_a_second_digest,
    ],
)
def test_every_edit_is_noticed_by_whoever_reads_all(log, damage):
    lines = log.path.read_bytes().splitlines()
    damage(lines)
    log.path.write_bytes(b"".join(line + b"\n" for line in lines))
    with pytest.raises(RecordProblem):
        log.verify()
    with pytest.raises(RecordProblem):
        log.read()


@pytest.mark.parametrize(
    "damage, line",
    [
        (change_a_value, "line 5 of"),
        (change_a_time, "line 5 of"),
        (remove_a_line, "line 5 of .* does not follow line 4"),
        (remove_the_last_lines, "ends at line 8"),
        (remove_all, "ends at line 0"),
        (repeat_a_line, "line 5 of .* does not follow line 4"),
        (write_junk, "line 5 of .* is not an entry"),
        (spell_otherwise, "line 5 of .* was changed"),
        (hide_a_second_digest, "line 5 of .* was changed"),
    ],
)
def test_reading_names_the_line_from_either_end(log, damage, line):
    lines = log.path.read_bytes().splitlines()
    damage(lines)
    log.path.write_bytes(b"".join(line + b"\n" for line in lines))
    for read in (log.read, log.verify, lambda: list(log.backwards())):
        with pytest.raises(RecordProblem, match=line):
            read()


def test_damage_before_what_was_asked_for_is_not_met(log):
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join([b"junk\n", *lines[1:]]))
    assert log.last().number == 10
    with pytest.raises(RecordProblem, match="line 1 of .* is not an entry"):
        log.last("never")


def test_a_line_that_is_being_written_is_not_read_from_the_end(log):
    whole, head = log.path.read_bytes(), log.path.with_name(log.path.name + ".head")
    before = head.read_bytes()
    torn = log.append("note", {}).as_line()[:-1]
    head.write_bytes(before)
    log.path.write_bytes(whole + torn)
    assert [entry.number for entry in log.backwards()] == list(range(10, 0, -1))


def test_checking_while_others_write_sees_no_damage(log):
    stop = threading.Event()

    def write():
        while not stop.is_set():
            log.append("note", {})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(50):
            assert log.verify() >= 10 and log.last().number >= 10
    finally:
        stop.set()
        writer.join()


@pytest.mark.parametrize("damage", [remove_the_last_lines, remove_all])
def test_nothing_is_appended_to_a_log_that_was_cut(log, damage):
    lines = log.path.read_bytes().splitlines()
    damage(lines)
    cut = b"".join(line + b"\n" for line in lines)
    log.path.write_bytes(cut)
    with pytest.raises(RecordProblem, match="nothing was written"):
        log.append("note", {})
    assert log.path.read_bytes() == cut


def test_a_corrupted_last_line_is_not_overwritten(log):
    lines = log.path.read_bytes().splitlines()
    lines[-1] = b"junk"
    damaged = b"".join(line + b"\n" for line in lines)
    log.path.write_bytes(damaged)
    with pytest.raises(RecordProblem, match="not an entry"):
        log.append("note", {})
    assert log.path.read_bytes() == damaged


@pytest.mark.parametrize("kept", [1, 40, 120])
def test_a_torn_last_line_is_set_aside_and_kept(log, kept):
    whole = log.path.read_bytes()
    last = whole.splitlines()[-1]
    log.path.write_bytes(whole + last[:kept])
    log.append("note", {"number": 10})
    assert log.verify() == 11
    torn = list(log.path.parent.glob("log.jsonl.torn-*"))
    assert [path.read_bytes() for path in torn] == [last[:kept]]


def test_a_crash_between_line_and_head_is_mended(log):
    head = log.path.with_name("log.jsonl.head")
    before = head.read_bytes()
    log.append("note", {"number": 10})
    head.write_bytes(before)
    assert log.verify() == 11
    log.append("note", {"number": 11})
    assert log.verify() == 12


def test_lines_longer_than_a_block_are_read(log):
    log.append("long", {"word": "x" * 200_000})
    assert log.last().kind == "long"
    log.path.write_bytes(log.path.read_bytes() + b"y" * 150_000)
    log.append("note", {})
    assert log.verify() == 12


WRITER = """
import sys
import threading
from pathlib import Path
from mlops_lab.foundation.chain import ChainLog
log = ChainLog(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    print(log.append("note", {"writer": sys.argv[3], "number": number}).number, flush=True)
"""


def start_writer(path, count, name):
    command = [sys.executable, "-c", WRITER, str(path), str(count), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_writers_take_turns(tmp_path):
    path = tmp_path / "log.jsonl"
    writers = [start_writer(path, 25, str(i)) for i in range(4)]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    log = ChainLog(path)
    assert log.verify() == 100
    for i in range(4):
        numbers = [one.data["number"] for one in log.read() if one.data["writer"] == str(i)]
        assert numbers == list(range(25))


def test_a_killed_writer_loses_no_line_it_acknowledged(tmp_path):
    path = tmp_path / "log.jsonl"
    choose = random.Random(1)
    acknowledged = 0
    for _ in range(6):
        writer = start_writer(path, 10**6, "killed")
        first = writer.stdout.readline()
        time.sleep(choose.uniform(0, 0.1))
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.stdout.read().split()
        writer.wait()
        writer.stdout.close()
        acknowledged = int(([first] + rest)[-1])
        assert ChainLog(path).append("note", {}).number >= acknowledged + 1
    assert ChainLog(path).verify() > acknowledged
