"""Cleaning: only what nobody needs goes, whatever else goes on, and whenever it is killed."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.errors import PipelineProblem
from mlops_lab.pipeline.clean_plan import CleanWish
from mlops_lab.pipeline.cleaning import clean_lab, clean_lines
from mlops_lab.pipeline.close_up import describe_run, describe_stage, run_lines, stage_lines
from mlops_lab.pipeline.history import find_run, read_history
from mlops_lab.pipeline.options import RunOptions
from mlops_lab.pipeline.reproduction import reproduce_run
from mlops_lab.pipeline.run_lock import hold_lock
from mlops_lab.pipeline.store import Store
from mlops_lab.tracking.registry import Registry


def runs(bench, chain, *values):
    """Run the chain once for each value of its parameter."""
    return [bench.run(chain, parameters={"n": n}) for n in values]


def size(folder: Path) -> int:
    """Bytes on disk, each file once."""
    stats = [path.lstat() for path in folder.rglob("*") if path.is_file()]
    return sum({stat.st_ino: stat.st_size for stat in stats}.values())


def test_old_runs_go_with_what_only_they_used(bench, chain, lab):
    old, shared, new = runs(bench, chain, 3, 4, 4)
    before, ledger = size(lab.root), lab.ledger.read_bytes()
    dry = clean_lab(lab, CleanWish(keep_runs=2), dry_run=True)
    assert size(lab.root) == before and lab.ledger.read_bytes() == ledger
    told = clean_lab(lab, CleanWish(keep_runs=2))
    assert told == dry | {"dry_run": False} and told["runs"] == [old.run] and told["results"] == 3
    grown = lab.ledger.stat().st_size - len(ledger) + 1_000
    assert 0 < told["freed_bytes"] and abs(before - size(lab.root) - told["freed_bytes"]) < grown
    assert lab.ledger.read_bytes().startswith(ledger) and ChainLog(lab.ledger).verify()
    assert bench.run(chain, parameters={"n": 4}).state == "cached"
    assert bench.run(chain, parameters={"n": 3}).state == "done"
    assert (new.folder / "m.txt").read_text() == "8" and shared.folder.is_dir()
    assert "removed 1 runs, 3 results" in clean_lines(told)[0]


def test_without_a_wish_only_what_no_run_uses_goes(bench, chain, lab):
    end = runs(bench, chain, 3)[0]
    for stray in ("store/objects/ab/.x.part", "store/objects/ab/c.changed-1", "models/.y.part/z"):
        (lab.root / stray).parent.mkdir(parents=True, exist_ok=True)
        (lab.root / stray).write_text("stray")
    (lab.store / "results" / "torn.json").write_text('{"key"')
    told = clean_lab(lab, CleanWish())
    assert (told["runs"], told["results"], told["objects"]) == ([], 1, 2)
    assert told["bundles"] == [".y.part"] and end.folder.is_dir()
    assert bench.run(chain).state == "cached"


def leave(place, written):
    """Leave a file or the note of a search, as old as told."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text('{"runs": ["r"]}')
    os.utime(place, (written, written))
    return place


def test_unfinished_trainings_go_once_nobody_can_take_them_up(bench, chain, lab):
    "When a run waits to be started again is asserted in the notebook of `pipeline.unfinished`."
    runs(bench, chain, 3)
    old = leave(lab.root / "trainings" / "old.npz", time.time() - 9_000)
    new = leave(lab.root / "trainings" / "new.npz", time.time())
    dry = clean_lab(lab, CleanWish(), dry_run=True)
    assert dry["trainings"] == ["old.npz"] and old.is_file()
    assert clean_lab(lab, CleanWish()) == dry | {"dry_run": False}
    assert not old.exists() and new.is_file()
    assert "1 unfinished trainings" in clean_lines(dry)[0]


def test_a_run_that_goes_on_keeps_every_unfinished_training(bench, chain, lab):
    half = leave(lab.create().root / "trainings" / "half.npz", time.time() - 9_000)
    with hold_lock(lab.lock("chain")):
        assert clean_lab(lab, CleanWish())["trainings"] == []
    assert half.is_file() and clean_lab(lab, CleanWish())["trainings"] == ["half.npz"]


def test_a_search_goes_with_the_last_run_whose_rows_it_looks_at(bench, chain, lab):
    old, new = runs(bench, chain, 3, 4)
    for name, ran in (("of-old", [old.run]), ("of-both", [old.run, new.run])):
        note = leave(lab.root / "searches" / name / "search.json", time.time() - 9)
        note.write_text(json.dumps({"runs": ran}))
    assert clean_lab(lab, CleanWish())["searches"] == []
    with open(lab.root / "searches" / "of-old" / "search.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as a search that goes on
        told = clean_lab(lab, CleanWish(keep_runs=1))
        assert told["runs"] == [old.run] and told["searches"] == []
    told = clean_lab(lab, CleanWish(keep_runs=1))
    assert told["searches"] == ["of-old"] and "  search of-old" in clean_lines(told)
    assert [place.name for place in (lab.root / "searches").iterdir()] == ["of-both"]


def test_age_and_number_together_keep_more(bench, chain, lab):
    runs(bench, chain, 3, 4)
    assert clean_lab(lab, CleanWish(1, 1.0))["runs"] == []
    assert clean_lab(lab, CleanWish(older_than_days=1.0))["runs"] == []
    assert len(clean_lab(lab, CleanWish(1, 0.0))["runs"]) == 1
    assert len(clean_lab(lab, CleanWish(older_than_days=0.0))["runs"]) == 1


def test_what_a_registered_model_and_the_decision_log_need_stays(bench, chain, lab, tmp_path):
    first, _ = runs(bench, chain, 3, 4)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "card.json").write_text("{}")
    registry = Registry(lab, mirrored=False)
    version = registry.register(tmp_path / "bundle", run_id=first.run, metrics={})
    told = clean_lab(lab, CleanWish(keep_runs=1))
    assert told["runs"] == [] and told["kept"] == {first.run: "the decision log names it"}
    assert version.folder.is_dir() and not told["bundles"]
    assert f"kept: run {first.run}, because the decision log names it" in clean_lines(told)[1]
    assert bench.run(chain, parameters={"n": 3}).state == "cached"


def test_a_removed_run_says_so_everywhere(bench, chain, lab):
    old, _ = runs(bench, chain, 3, 4)
    clean_lab(lab, CleanWish(keep_runs=1))
    run = find_run(lab, old.run)
    assert run.removed.startswith("on 20") and run.removed.endswith("mlops-lab clean --keep-runs 1")
    said = f"its files were removed {run.removed}"
    assert f"removed   {said}" in run_lines(describe_run(lab, run))
    assert said in stage_lines(describe_stage(lab, run, stage="double"))
    assert run.state == "done" and run.count("done") == 3
    with pytest.raises(PipelineProblem, match="were removed on"):
        reproduce_run(lab, run, project=bench.folder, options=RunOptions())
    assert not [one for one in read_history(lab)[1:] if one.removed]


SLOW = """
import pathlib, time
pathlib.Path({sign!r}).touch()
end = time.monotonic() + 60
while not pathlib.Path({go!r}).exists() and time.monotonic() < end:
    time.sleep(0.02)
"""


def test_a_running_run_loses_nothing(bench, chain, lab, tmp_path):
    """Its stages come from old results, which no kept run uses any more."""
    runs(bench, chain, 3, 4)
    sign, go = tmp_path / "sign", tmp_path / "go"
    bench.stage("show", SLOW.format(sign=str(sign), go=str(go)), "stage.input('m.txt')")
    ends = []
    work = threading.Thread(target=lambda: ends.extend(runs(bench, chain, 3)))
    work.start()
    while not sign.exists():
        time.sleep(0.02)
    told = clean_lab(lab, CleanWish(keep_runs=1))
    assert len(told["runs"]) == 2 and find_run(lab).state == "running"
    go.touch()
    work.join()
    assert [stage.state for stage in ends[0].stages] == ["cached", "cached", "done"]
    assert runs(bench, chain, 3)[0].state == "cached"
    assert (ends[0].folder / "m.txt").read_text() == "6"


def test_a_run_that_has_not_told_its_name_yet_keeps_everything(bench, chain, lab):
    runs(bench, chain, 3, 4)
    with hold_lock(lab.lock("other")):
        told = clean_lab(lab, CleanWish(keep_runs=1))
    assert told["results"] == told["objects"] == 0 and len(told["runs"]) == 1
    assert clean_lab(lab, CleanWish())["results"] == 3


def test_no_run_begins_while_the_lab_is_cleaned(bench, chain, lab, monkeypatch):
    from mlops_lab.pipeline import cleaning

    runs(bench, chain, 3, 4)
    carry_out, order = cleaning._carry_out, []

    def slowly(*given):
        thread.start()
        time.sleep(0.5)
        carry_out(*given)
        order.append("cleaned")

    def run():
        with hold_lock(lab.lock("bench")):
            order.append("began")

    thread = threading.Thread(target=run)
    monkeypatch.setattr(cleaning, "_carry_out", slowly)
    clean_lab(lab, CleanWish(keep_runs=1))
    thread.join()
    assert order == ["cleaned", "began"]


def test_an_object_that_somebody_links_meanwhile_is_put_back(bench, chain, lab, monkeypatch):
    from mlops_lab.pipeline import cleaning

    old, _ = runs(bench, chain, 3, 4)
    take = cleaning._take_objects

    def meanwhile(places, *given):
        for i, place in enumerate(places):
            (lab.by_hand / str(i)).parent.mkdir(exist_ok=True)
            (lab.by_hand / str(i)).hardlink_to(place)
        return take(places, *given)

    monkeypatch.setattr(cleaning, "_take_objects", meanwhile)
    told = clean_lab(lab, CleanWish(keep_runs=1))
    assert told["objects"] == 0 and told["results"] == 3
    assert all(path.stat().st_nlink == 2 for path in lab.by_hand.iterdir())


CLEAN = """
import os, signal, sys
from pathlib import Path
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.pipeline import clean_plan, cleaning
left = int(sys.argv[2])

def stop(event, _):
    global left
    if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(stop)
cleaning.clean_lab(Workspace(Path(sys.argv[1])), clean_plan.CleanWish(keep_runs=1))
print("done")
"""


def test_a_cleaning_killed_at_any_step_leaves_the_lab_right(bench, chain, lab):
    """Killed before its 1st, 2nd, 3rd, ... change of the disk, until it comes through."""
    points = [*range(0, 12, 1), *range(12, 60, 4)]
    ends = runs(bench, chain, 3, 4)
    for point in points:
        child = subprocess.run(
            [sys.executable, "-c", CLEAN, str(lab.root), str(point)], capture_output=True, text=True
        )
        store = Store(lab.store)
        for stage in ends[1].stages:
            assert store.find(stage.key), f"killed at {point}: {stage.stage} is lost"
        for path in (lab.store / "results").glob("*.json"):
            assert store.find("sha256:" + path.stem), f"killed at {point}: {path.name} is not whole"
        ChainLog(lab.ledger).verify()
        run = find_run(lab, ends[0].run)
        whole = (ends[0].folder / "ends" / "show.json").exists()
        assert bool(run.removed) != whole, f"killed at {point}"
        if child.returncode == 0:
            break
        assert child.returncode == -signal.SIGKILL, child.stderr
    assert child.stdout == "done\n" and point > 10
    assert clean_lab(lab, CleanWish(keep_runs=1))["freed_bytes"] == 0
    assert not list((lab.root / "trash").iterdir())
    assert bench.run(chain, parameters={"n": 4}).state == "cached"


RUN = """
import sys
from pathlib import Path
from mlops_lab.foundation.settings import Settings
from mlops_lab.pipeline.plan import read_pipeline
from mlops_lab.pipeline.runner import run_pipeline
from mlops_lab.pipeline.options import RunOptions
settings = Settings(project=Path(sys.argv[1]), workspace=Path(sys.argv[2]))
pipeline = read_pipeline(Path(sys.argv[1]))
for n in (3, 4, 3, 5, 4, 3):
    end = run_pipeline(pipeline, settings, options=RunOptions({"n": n}))
    assert end.state in ("done", "cached"), end
    assert (end.folder / "m.txt").read_text() == str(2 * n)
print("right")
"""


def test_runs_stay_right_while_the_lab_is_cleaned_again_and_again(bench, chain, lab):
    command = [sys.executable, "-c", RUN, str(bench.folder), str(lab.root)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    cleaned = 0
    while child.poll() is None:
        cleaned += len(clean_lab(lab, CleanWish(keep_runs=1))["runs"])
        time.sleep(0.01)
    assert child.communicate()[0] == "right\n" and cleaned >= 3
    assert ChainLog(lab.ledger).verify()
