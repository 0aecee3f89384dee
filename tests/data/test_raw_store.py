"""The raw store: immutable versions, and ingestion that may be killed at any point."""

import json
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest

from mlops_lab.data.ingestion import ingest_log
from mlops_lab.data.raw_store import (
    RawStore,
    diff_versions,
    find_version,
    list_versions,
    read_version,
)
from mlops_lab.data.world import world_frame
from mlops_lab.foundation.errors import DataProblem
from mlops_lab.foundation.records import digest_file, read_json

PATHS = {"id": "id", "text": "said.text", "label": "mood", "author": "who", "at": "at"}
LINES = 600

# Ends itself without warning at the n-th thing it does to the file system.
CHILD = """
import os, signal, sys
from pathlib import Path
from mlops_lab.data.ingestion import ingest_log
from mlops_lab.data.raw_store import RawStore
root, log, last = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
seen = 0
def hook(event, args):
    global seen
    path = args[0] if args and isinstance(args[0], (str, bytes, os.PathLike)) else ""
    if event in ("open", "os.rename", "os.mkdir", "os.remove") and str(root) in os.fsdecode(path):
        seen += 1
        if seen == last:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
paths = {"id": "id", "text": "said.text", "label": "mood", "author": "who", "at": "at"}
ingest_log(RawStore(root), "feedback", log=log, paths=paths, batch_rows=25)
print(seen)
"""


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "messages.jsonl"
    world = world_frame(LINES, seed=2)
    with open(path, "w") as file:
        for row in world.itertuples():
            line = {"id": row.id, "said": {"text": row.text}, "mood": row.label, "who": row.author}
            file.write(json.dumps(line | {"at": row.at.isoformat()}) + "\n")
    return path


def check_whole(store, most):
    """Every version can be read, and holds the beginning of the log without a gap."""
    if store.head("feedback") is None:
        return 0
    versions = list_versions(store, "feedback")
    ids = list(read_version(store, versions[0])["id"])
    assert ids == list(world_frame(most, seed=2)["id"][: len(ids)])
    for version in versions:
        assert version.rows == sum(rows for _, rows in version.parts) <= len(ids)
        assert all(digest_file(store._part(digest)) == digest for digest, _ in version.parts)
    return len(ids)


@pytest.mark.slow
def test_killed_at_twenty_random_points_no_line_is_lost_or_repeated(tmp_path, log):
    root, dice = tmp_path / "store", random.Random(7)
    store, done, killed = RawStore(root), [0], 0
    for _ in range(20):
        words = [sys.executable, "-c", CHILD, str(root), str(log), str(dice.randint(2, 36))]
        ended = subprocess.run(words, capture_output=True, text=True, timeout=120)
        assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
        killed += ended.returncode != 0
        done.append(check_whole(store, LINES))
        if done[-1] == LINES:
            break
    assert killed >= 8 and done == sorted(done)
    latest = ingest_log(store, "feedback", log=log, paths=PATHS, batch_rows=25)
    assert latest.rows == LINES == check_whole(store, LINES)
    assert latest.facts["end"] == log.stat().st_size
    rows, world = read_version(store, latest), world_frame(LINES, seed=2)
    assert list(rows["text"]) == list(world["text"]) and list(rows["at"]) == list(world["at"])


def test_lines_come_while_ingestion_runs(tmp_path):
    path, store = tmp_path / "live.jsonl", RawStore(tmp_path / "store")
    path.touch()

    def write():
        with open(path, "ab", buffering=0) as file:
            for number in range(400):
                line = json.dumps({"id": str(number), "said": {"text": "ü" * (number % 50)}})
                file.write(line.encode()[:5])
                file.write(line.encode()[5:] + b"\n")

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        ingest_log(store, "live", log=path, paths=PATHS, batch_rows=64)
    writer.join()
    rows = read_version(store, ingest_log(store, "live", log=path, paths=PATHS))
    assert list(rows["id"]) == [str(number) for number in range(400)]
    assert rows["problem"].isna().all()


def test_a_line_that_makes_no_sense_is_kept_with_its_problem(tmp_path):
    path, store = tmp_path / "odd.jsonl", RawStore(tmp_path / "store")
    path.write_bytes(b'{"id": "a", "said": {"text": "x"}}\n\xff\xfe\n[]\n\n{"id": "b"}\n')
    rows = read_version(store, ingest_log(store, "odd", log=path, paths=PATHS))
    assert len(rows) == 4 and rows["problem"].notna().tolist() == [False, True, True, False]
    assert rows["source"][1] and rows["text"].notna().sum() == 1


def test_the_same_rows_have_the_same_part_and_make_no_new_version(tmp_path):
    store, frame = RawStore(tmp_path), world_frame(200)
    first = store.replace("a", frame)
    assert store.replace("a", frame) == first and len(list_versions(store, "a")) == 1
    other = store.replace("b", frame)
    assert other.parts == first.parts and other.digest != first.digest
    assert len(list(tmp_path.rglob("*.parquet"))) == 1


def test_differences_are_counted_by_id(tmp_path):
    store, frame = RawStore(tmp_path), world_frame(300)
    old = store.append("a", frame.iloc[:200])
    store.append("a", frame.iloc[200:250])
    changed = frame.iloc[10:300].copy()
    changed.iloc[[5, 9], changed.columns.get_loc("text")] = "other words"
    new = store.replace("a", changed)
    told = diff_versions(store, old=old, new=new)
    assert (told["added"], told["removed"], told["changed"]) == (100, 10, 2)
    assert told["rows"] == [200, 290] and told["samples"]["changed"] == list(
        changed["id"].iloc[[5, 9]]
    )
    renamed = store.replace("a", changed.rename(columns={"topic": "theme"}))
    assert diff_versions(store, old=new, new=renamed)["columns"] == ["theme", "topic"]


def test_writers_in_many_threads_lose_nothing(tmp_path):
    store, frame = RawStore(tmp_path), world_frame(400)
    parts = [frame.iloc[n * 50 : (n + 1) * 50] for n in range(8)]
    threads = [threading.Thread(target=store.append, args=("a", part)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = read_version(store, store.head("a"))
    assert sorted(rows["id"]) == sorted(frame["id"]) and len(list_versions(store, "a")) == 8


def test_an_old_version_stays_what_it_was(tmp_path):
    store, frame = RawStore(tmp_path), world_frame(100)
    old = store.append("a", frame)
    before = digest_file(store._part(old.parts[0][0]))
    store.replace("a", frame.iloc[:50])
    found = find_version(store, "a", version=old.short[:6])
    pd.testing.assert_frame_equal(read_version(store, found), frame)
    assert digest_file(store._part(old.parts[0][0])) == before
    manifest = Path(tmp_path / "sets" / "a" / "versions" / f"{old.digest[7:]}.json")
    assert read_json(manifest)["parent"] == "" and found == old


@pytest.mark.parametrize("damage", [b"", b"not parquet"])
def test_a_damaged_part_is_named(tmp_path, damage):
    store = RawStore(tmp_path)
    version = store.append("a", world_frame(50))
    store._part(version.parts[0][0]).write_bytes(damage)
    with pytest.raises(DataProblem, match="a part of a was changed"):
        read_version(store, version)
