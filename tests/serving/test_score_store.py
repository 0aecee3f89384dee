"""What the store promises: an acknowledged score is kept, and a broken disk heals by itself."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing

import pytest
from canary_examples import wait_for
from serving_examples import make_record
from sqlalchemy import create_engine

from mlops_lab.foundation import row_file
from mlops_lab.foundation.errors import ServiceProblem
from mlops_lab.serving.refusals import Overloaded
from mlops_lab.serving.score_record import new_score_id
from mlops_lab.serving.score_store import ScoreStore, _open_keeper

WRITER = """
import sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from serving_examples import make_record
from mlops_lab.serving.score_store import ScoreStore

store = ScoreStore(Path(sys.argv[1]))
write = sys.stdout.write

def work():
    while True:
        record = make_record()
        if sys.argv[3] == "long" or not store.save_now([record]):
            store.save([record])
        write(record.score_id + "\\n")
        sys.stdout.flush()

for _ in range(4):
    threading.Thread(target=work).start()
"""


def start_child(code, *arguments):
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def killed_after(child, acknowledged):
    """Kill a writer once it has told so many ids; give all that it told."""
    try:
        lines = [child.stdout.readline() for _ in range(acknowledged)]
    finally:
        os.kill(child.pid, signal.SIGKILL)
    lines += child.stdout.read().splitlines(keepends=True)
    child.wait()
    child.stdout.close()
    return [line.strip() for line in lines if line.endswith("\n")]  # the last may be cut


@pytest.mark.parametrize(
    ("acknowledged", "way"), [(1, "short"), (60, "long"), (400, "long"), (400, "short")]
)
def test_sigkill_loses_no_acknowledged_score(tmp_path, acknowledged, way):
    child = start_child(WRITER, tmp_path / "scores.db", os.path.dirname(__file__), way)
    ids = killed_after(child, acknowledged)
    store = ScoreStore(tmp_path / "scores.db")
    stored = store.frame(score_ids=ids)["score_id"].tolist()
    assert len(ids) >= acknowledged and sorted(stored) == sorted(ids)
    assert store.save([make_record()]) == 1
    store.close()


def test_the_short_way_waits_for_nobody_and_leaves_what_it_cannot_do(store, tmp_path):
    other = sqlite3.connect(tmp_path / "scores.db", isolation_level=None)
    assert store.save_now([make_record(), make_record()])
    other.execute("begin immediate")
    began = time.perf_counter()
    assert not store.save_now([make_record()])
    assert time.perf_counter() - began < 0.5  # the long way waits for two seconds
    other.execute("rollback")
    other.close()
    assert not store.save_now([make_record() for _ in range(129)])
    store._queue._waiting += 1  # the writer is at work: it comes first
    assert not store.save_now([make_record()])
    store._queue._waiting -= 1
    assert store.count() == 2


def test_no_copy_is_stored_beside_an_answer_that_is_erased_meanwhile(store, tmp_path):
    orphans = (
        "SELECT count(*) FROM scores WHERE variant = 'shadow' AND caller NOT IN"
        " (SELECT score_id FROM scores)"
    )
    with closing(sqlite3.connect(tmp_path / "scores.db", check_same_thread=False)) as other:
        for number in range(40):
            answers = [make_record() for _ in range(50)]
            store.save(answers)
            ids = [one.score_id for one in answers]
            copies = [
                make_record()._replace(variant="shadow", caller=one.score_id) for one in answers
            ]
            eraser = threading.Thread(target=erase, args=(other, ids))
            for place, start in enumerate(range(0, 50, 10)):
                if place == number % 5:
                    eraser.start()
                part = slice(start, start + 10)
                while not store.save_now(copies[part], beside=ids[part]):
                    pass  # the other one writes; the copies come before the erasure, or after it
            eraser.join()
            assert other.execute(orphans).fetchone() == (0,)
        assert other.execute("SELECT count(*) FROM scores").fetchone() == (0,)


def erase(connection, ids):
    """Erase answers and what was stored beside them, in one transaction."""
    marks = ", ".join("?" * len(ids))
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"DELETE FROM scores WHERE caller IN ({marks})", ids)
    connection.execute(f"DELETE FROM scores WHERE score_id IN ({marks})", ids)
    connection.commit()


def test_a_store_that_survives_a_power_cut_has_no_short_way(tmp_path):
    store = ScoreStore(tmp_path / "scores.db", power_safe=True)
    assert not store.save_now([make_record()]) and store.save([make_record()]) == 1
    store.close()


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///:memory:", "postgresql://h/scores"])
def test_only_a_file_of_sqlite_has_a_short_way(address):
    assert _open_keeper(create_engine(address)) is None


@pytest.mark.parametrize("way", ["short", "long"])
def test_the_log_of_the_database_begins_again_under_steady_writing(tmp_path, monkeypatch, way):
    monkeypatch.setattr(row_file, "_PAGES_AT_ONCE", 300)
    monkeypatch.setattr(row_file, "_LONG_LOG", 600)
    store, count, log = ScoreStore(tmp_path / "scores.db"), 0, tmp_path / "scores.db-wal"
    begun, end = 0, time.monotonic() + 60
    while begun < 4 and time.monotonic() < end:
        record = make_record()
        if way == "long" or not store.save_now([record]):
            store.save([record])
        count += 1
        if count % 20 == 0:
            with log.open("rb") as file:  # its header counts how often it was begun
                begun = int.from_bytes(file.read(16)[12:])
    assert begun == 4 and store.count() == count
    assert log.stat().st_size < 3 * 4_120 * count  # less than was written
    assert store.gauges()["store_log_failures"] == 0
    store.close()
    assert not log.exists()


def test_two_processes_share_a_file_and_its_log(tmp_path, monkeypatch):
    monkeypatch.setattr(row_file, "_PAGES_AT_ONCE", 200)
    child = start_child(WRITER, tmp_path / "scores.db", os.path.dirname(__file__), "short")
    ids = [child.stdout.readline().strip() for _ in range(50)]
    store = ScoreStore(tmp_path / "scores.db")
    for _ in range(600):
        record = make_record()
        if not store.save_now([record]):
            store.save([record])
        ids.append(record.score_id)
    ids += killed_after(child, 0)
    assert store.known(ids) == set(ids) and store.gauges()["store_log_failures"] == 0
    store.close()


KEEPER = """
import sys
from mlops_lab.foundation import row_file

row_file._PAGES_AT_ONCE, row_file._LONG_LOG = 20, 100  # the log is moved all the time
"""


@pytest.mark.parametrize("acknowledged", [100, 333, 1_000])
def test_sigkill_while_the_log_is_moved_loses_nothing(tmp_path, acknowledged):
    code = KEEPER + textwrap.dedent(WRITER)
    child = start_child(code, tmp_path / "scores.db", os.path.dirname(__file__), "short")
    ids = killed_after(child, acknowledged)
    store = ScoreStore(tmp_path / "scores.db")
    assert len(ids) >= acknowledged and store.known(ids) == set(ids)
    with sqlite3.connect(tmp_path / "scores.db") as file:
        assert file.execute("pragma integrity_check").fetchone() == ("ok",)
    file.close()
    store.close()


def test_a_reader_holds_the_log_back_until_it_is_full_and_then_it_heals(tmp_path, monkeypatch):
    for name, value in {"_PAGES_AT_ONCE": 100, "_LONG_LOG": 200, "_FULL_LOG": 2_000}.items():
        monkeypatch.setattr(row_file, name, value)
    monkeypatch.setattr(row_file, "_EVERY_S", 0.1)
    store = ScoreStore(tmp_path / "scores.db")
    store.save([make_record()])
    reader = sqlite3.connect(tmp_path / "scores.db", isolation_level=None)
    reader.execute("begin")
    assert reader.execute("select count(*) from scores").fetchone() == (1,)
    with pytest.raises(ServiceProblem, match="log of the score store has 2"):
        while store.save_now([make_record()]) or store.save([make_record()]):
            assert store.gauges()["store_log_pages"] < 2_100
    size = os.stat(tmp_path / "scores.db-wal").st_size
    assert size < 2_200 * 4_120 and reader.execute("select count(*) from scores").fetchone() == (1,)
    reader.execute("commit")
    reader.close()
    wait_for(lambda: store.save_now([make_record()]))
    assert store.gauges()["store_log_pages"] < 2_000
    store.close()


def test_a_full_log_stays_full_while_it_is_moved(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(row_file, "_FULL_LOG", 50)
    monkeypatch.setattr(row_file, "_move_log", lambda path: seen.append(keeper.is_full))
    keeper = row_file.LogKeeper(tmp_path / "scores.db")
    keeper.wrote(100)
    keeper.close()
    assert seen == [True] and keeper.is_full  # it was not told how much is left


def test_a_log_that_cannot_be_moved_is_told_and_stops_no_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(row_file, "_PAGES_AT_ONCE", 20)
    store, real = ScoreStore(tmp_path / "scores.db"), sqlite3.connect

    def no_connection(*told, **more):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(row_file.sqlite3, "connect", no_connection)
    assert all(store.save_now([make_record()]) for _ in range(50))
    wait_for(lambda: store.gauges()["store_log_failures"] > 0)
    assert store.save_now([make_record()]) and store.save([make_record()]) == 1
    assert store.gauges()["store_log_pages"] > 100
    monkeypatch.setattr(row_file.sqlite3, "connect", real)
    assert all(store.save_now([make_record()]) for _ in range(10))
    wait_for(lambda: store.gauges()["store_log_pages"] < 100)
    store.close()


def test_save_returns_when_the_row_is_visible_to_others(store, tmp_path):
    record = make_record()
    assert store.save([record, make_record()]) == 2
    with sqlite3.connect(tmp_path / "scores.db") as other:
        ids = [row[0] for row in other.execute("select score_id from scores")]
    other.close()
    assert record.score_id in ids and store.count() == 2 and store.waiting == 0


def test_a_locked_database_is_a_problem_for_now_only(store, tmp_path):
    other = sqlite3.connect(tmp_path / "scores.db", isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(ServiceProblem, match="locked"):
        store.save([make_record()])
    other.execute("rollback")
    other.close()
    assert store.save([make_record()]) == 1 and store.count() == 1


DISK_FULL = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from serving_examples import make_record
from mlops_lab.foundation.errors import ServiceProblem
from mlops_lab.serving.score_store import ScoreStore

store = ScoreStore(Path(sys.argv[1]))
kept = [make_record() for _ in range(20)]
store.save(kept)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
try:
    for _ in range(40):
        batch = [make_record(text="long " * 2000) for _ in range(10)]
        store.save(batch)
        kept += batch
except ServiceProblem as problem:
    print("refused", problem.found)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
kept.append(make_record())
store.save(kept[-1:])
print("kept", len(kept), store.count(), len(store.frame(score_ids=[r.score_id for r in kept])))
"""


def test_a_full_disk_refuses_and_heals_without_restart(tmp_path):
    child = start_child(DISK_FULL, tmp_path / "scores.db", os.path.dirname(__file__))
    refused, kept = child.communicate(timeout=30)[0].splitlines()
    assert refused.startswith("refused the score store does not answer")
    _, asked, counted, found = kept.split()
    assert asked == counted == found


def test_more_rows_than_may_wait_are_overload(store):
    with pytest.raises(Overloaded):
        store.save([make_record() for _ in range(51)])
    assert store.count() == 0


def test_a_repeated_id_is_refused_and_the_first_stays(store):
    record = make_record()
    store.save([record])
    with pytest.raises(ValueError, match="refuses a row"):
        store.save([make_record(score_id=record.score_id, label="sadness")])
    assert store.read(record.score_id)["label"] == "joy"


def test_feedback_needs_a_score_and_is_kept_in_order(store):
    record = make_record()
    store.save([record])
    store.add_feedback(record.score_id, "neutral")
    store.add_feedback(record.score_id, "sadness", source="teacher")
    said = store.read(record.score_id)["feedback"]
    assert [(entry["label"], entry["source"]) for entry in said] == [
        ("neutral", "person"),
        ("sadness", "teacher"),
    ]
    assert store.frame()["true_label"].tolist() == ["sadness"]
    with pytest.raises(KeyError):
        store.add_feedback(new_score_id(), "joy")


def test_close_drains_what_was_handed_over(tmp_path):
    store = ScoreStore(tmp_path / "scores.db")
    futures = [store.submit([make_record()]) for _ in range(300)]
    store.close()
    assert sum(future.result(0) for future in futures) == 300
    assert ScoreStore(tmp_path / "scores.db").count() == 300
