"""The ledger from its end: several runs at once, a run at work, a process that died."""

import os
import threading
import time

import pytest

from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.errors import PipelineProblem
from mlops_lab.foundation.records import write_json
from mlops_lab.pipeline.close_up import describe_run, describe_stage, run_lines, stage_lines
from mlops_lab.pipeline.history import find_run, read_history


def start(lab, run, process=0):
    facts = {"run": run, "pipeline": "demo", "process": process}
    ChainLog(lab.ledger).append("run-started", facts)


def end_stage(lab, run, stage, state="done"):
    ChainLog(lab.ledger).append("stage", {"run": run, "stage": stage, "state": state})


def finish(lab, run, state="done"):
    ChainLog(lab.ledger).append("run-finished", {"run": run, "state": state, "seconds": 1.0})


def test_runs_that_overlap_are_kept_apart(lab):
    start(lab, "one")
    start(lab, "two")
    end_stage(lab, "one", "make")
    end_stage(lab, "two", "make", "failed")
    end_stage(lab, "one", "mix")
    finish(lab, "two", "failed")
    finish(lab, "one")
    ChainLog(lab.ledger).append("reproduced", {"run": "one", "reproduced": True})
    runs = {run.run: run for run in read_history(lab)}
    assert list(runs) == ["one", "two"]
    assert list(runs["one"].stages) == ["make", "mix"] and runs["one"].state == "done"
    assert runs["two"].stages["make"]["state"] == "failed"
    assert [run.run for run in read_history(lab, 1)] == ["two"]


def test_only_as_much_is_read_as_is_asked(lab, monkeypatch):
    for number in range(50):
        start(lab, f"run-{number:02}")
        finish(lab, f"run-{number:02}")
    seen = []
    entries = ChainLog.backwards
    monkeypatch.setattr(
        ChainLog, "backwards", lambda log: (seen.append(one) or one for one in entries(log))
    )
    assert find_run(lab).run == "run-49" and len(seen) == 2
    assert len(read_history(lab, 3)) == 3 and len(seen) == 2 + 6


def test_a_name_must_mean_one_run(lab):
    for name in ("2026-01", "2026-01-02", "2027"):
        start(lab, name)
    assert find_run(lab, "2026-01").run == "2026-01"
    assert find_run(lab, "2026-01-").run == "2026-01-02"
    with pytest.raises(PipelineProblem, match="2 runs begin with '2026'"):
        find_run(lab, "2026")
    with pytest.raises(PipelineProblem, match="0 runs begin with 'latst'"):
        find_run(lab, "latst")


def test_where_a_dead_run_was_does_not_count(lab):
    write_json(lab.run("dead") / "run.json", {"stages": ["make"]})
    write_json(lab.run("dead") / "now/make.json", {"stage": "make", "state": "running"})
    start(lab, "dead", process=2**22 + 1)
    assert find_run(lab).state == "interrupted" and find_run(lab).stages == {}
    start(lab, "dead", process=os.getpid())
    assert find_run(lab).stages["make"]["state"] == "running"


def test_a_run_at_work_is_seen_stage_by_stage(bench, lab):
    gate = bench.folder / "open"
    wait = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists():\n"
    bench.stage("make", wait + "    time.sleep(0.02)")
    bench.stage("after")
    pipeline = bench.define("  make: {notebook: make.ipynb}\n  after: {notebook: after.ipynb}\n")
    work = threading.Thread(target=bench.run, args=(pipeline,), kwargs={"jobs": 1})
    work.start()
    try:
        limit = time.monotonic() + 20
        while time.monotonic() < limit:
            runs = read_history(lab)
            states = {k: v["state"] for k, v in runs[0].stages.items()} if runs else {}
            if states.get("make") == "running" and runs[0].stages["make"].get("cell"):
                break
            time.sleep(0.02)
        assert states == {"make": "running", "after": "waiting"}
        assert runs[0].state == "running" and runs[0].stages["make"]["cells"] >= 3
    finally:
        gate.touch()
        work.join()
    assert not list((lab.run(runs[0].run) / "now").glob("*.json"))


def test_a_close_up_tells_how_to_repeat_a_stage(bench, chain, lab):
    bench.run(chain)
    run = find_run(lab)
    told = describe_stage(lab, run, stage="double")
    assert told["record"]["outputs"].keys() == {"m.txt"} and "m.txt" in told["files"]
    assert told["key_parts"]["inputs"].keys() == {"n.txt"} and told["made_by"] == run.run
    assert stage_lines(told)[-1] == f"again: mlops-lab reproduce {run.run} --stage double"
    assert any(
        line.split() == ["show", "done", "show"] for line in run_lines(describe_run(lab, run))
    )
    with pytest.raises(PipelineProblem, match="did you mean 'double'"):
        describe_stage(lab, run, stage="duble")


def test_a_close_up_of_a_failure_shows_its_cell(bench, lab):
    bench.stage("make", "1 / 0")
    bench.run(bench.define("  make: {notebook: make.ipynb}\n"))
    told = describe_stage(lab, find_run(lab), stage="make")
    assert "  1 / 0" in stage_lines(told) and told["record"] is None
    assert "logs/make.log" in told["files"]
