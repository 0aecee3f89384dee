"""The last lines of a run: true, and with the next step in them."""

import json
from dataclasses import replace

import pytest

from mlops_lab.command_line.outcome import close_run, closing_lines, exit_status
from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.errors import RecordProblem
from mlops_lab.foundation.records import write_json
from mlops_lab.pipeline.ending import StageEnd
from mlops_lab.pipeline.record import StageRecord, write_record
from mlops_lab.pipeline.runner import RunEnd
from mlops_lab.tracking.registry import Registry

NOW = "2026-01-02T03:04:05+00:00"


def record(stage, verdict, headline):
    empty = {"parameters": {}, "inputs": {}, "outputs": {}, "metrics": {}, "tables": {}}
    empty |= {"figures": [], "facts": {}, "timings": {}, "started_at": NOW, "seconds": 1.0}
    return StageRecord(stage=stage, headline=headline, verdict=verdict, **empty)


@pytest.fixture
def close(lab, settings):
    """Let a run of some stages end, and close it."""

    def run(state, *stages, records=()):
        log, folder = ChainLog(lab.ledger), lab.run("one")
        log.append("run-started", {"run": "one", "pipeline": "tiny"})
        for stage in stages:
            facts = {key: value for key, value in vars(stage).items() if key != "traceback"}
            log.append("stage", facts | {"run": "one"})
        log.append("run-finished", {"run": "one", "state": state, "seconds": 2.5})
        for one in records:
            write_record(folder / "records" / f"{one.stage}.json", one)
        end = RunEnd("one", folder, state, 2.5, stages)
        return close_run(end, settings, title="A tiny pipeline")

    return run


OK = {"passed": True, "reasons": []}
NO = {"passed": False, "reasons": ["macro-F1"]}


def test_what_a_stage_wants_to_be_known_is_told(close):
    said = record("take", None, "taken")
    said = replace(said, facts={"remarks": ["10 of 20 rows were drawn"]})
    told = close("done", StageEnd("take", "done", 1.0), records=[said])
    assert told["remarks"] == {"take": ["10 of 20 rows were drawn"]}
    assert "note:     take: 10 of 20 rows were drawn" in closing_lines(told)


def test_a_good_run_names_report_and_next_commands(close, lab):
    told = close("done", StageEnd("make", "done", 1.0), records=[record("make", OK, "made")])
    lines = closing_lines(told)
    assert lines[0] == "run one: done in 2.5 s, 0 of 1 stages from the store"
    assert lines[1:] == [
        "champion: none",
        f"report:   {lab.run('one') / 'report.html'}",
        "next:     mlops-lab status, mlops-lab serve, mlops-lab lab",
    ]
    assert "A tiny pipeline" in (lab.run("one") / "report.html").read_text()
    assert told["passed"] and json.loads(json.dumps(told)) == told | {
        "stages": [dict(stage) for stage in told["stages"]]
    }


def test_a_run_from_the_store_says_that_nothing_ran(close):
    stages = [StageEnd(name, "cached") for name in ("make", "show")]
    records = [record(name, None, "made") for name in ("make", "show")]
    told = close("cached", *stages, records=records)
    assert closing_lines(told)[0].endswith("every stage from the store, nothing ran")


def test_a_refusal_is_told_although_the_run_went_well(close):
    stages = [StageEnd(name, "done", 1.0) for name in ("make", "gate", "monitor")]
    records = [
        record("make", OK, "made"),
        record("gate", NO, "bag is refused: macro-F1."),
        record("monitor", NO, "Drift alarms: words."),
    ]
    told = close("done", *stages, records=records)
    assert told["passed"] and list(told["refusals"]) == ["gate", "monitor"]
    assert closing_lines(told)[1:3] == [
        "gate:     bag is refused: macro-F1.",
        "monitor:  Drift alarms: words.",
    ]


@pytest.mark.parametrize("state", ["failed", "stopped early", "kernel died", "timed out"])
def test_a_failure_names_cell_reason_and_notebook(close, lab, state):
    stages = [
        StageEnd("make", "done", 1.0),
        StageEnd("train", state, 1.0, reason="it broke\n  expected: better", cell=3),
        StageEnd("show", "never run"),
    ]
    told = close("failed", *stages, records=[record("make", None, "made")])
    lines = closing_lines(told)
    assert f"train: {state} in code cell 3" in lines
    assert "  it broke\n  expected: better" in lines
    assert f"  executed notebook: {lab.run('one')}/notebooks/train.ipynb" in lines
    assert not any("show" in line for line in lines)
    assert "goes on from there" in lines[-1] and not told["passed"]


def test_the_record_of_a_failed_stage_is_not_trusted(close, lab):
    place = lab.run("one") / "records" / "train.json"
    write_json(place, {"verdict": NO})
    told = close("failed", StageEnd("train", "failed", 1.0, reason="no valid record"))
    assert told["refusals"] == {} and not told["passed"]


def test_a_champion_is_named_by_version_and_digest(close, lab, tmp_path):
    write_json(tmp_path / "bundle" / "card.json", {"name": "tiny"})
    registry = Registry(lab, mirrored=False)
    version = registry.register(tmp_path / "bundle", run_id="one", metrics={})
    registry.promote(version, by="Ada", role="owner", reason="first", evidence={})
    told = close("done", StageEnd("make", "done"), records=[record("make", None, "made")])
    assert told["champion"] == {"number": 1, "digest": version.digest}
    assert f"champion: version 1 ({version.digest[7:19]})" in closing_lines(told)


def test_a_record_that_was_changed_is_an_error(close, lab):
    changed = record("gate", NO, "refused")
    write_json(lab.run("one") / "records/gate.json", vars(changed) | {"digest": "sha256:0"})
    with pytest.raises(RecordProblem, match="was changed after it was written"):
        close("done", StageEnd("gate", "done"))


def test_a_refused_run_has_its_own_exit_status_and_next_step(close):
    stages = [
        StageEnd("gate", "done", 1.0),
        StageEnd("deploy", "never run", reason="no model", condition="gate.good", refused=True),
        StageEnd("score", "never run", reason="no model", condition="gate.good", refused=True),
    ]
    told = close("refused", *stages, records=[record("gate", NO, "bag is refused: macro-F1.")])
    lines = closing_lines(told)
    assert (told["exit"], told["passed"]) == (3, False)
    assert lines[0] == "run one: refused in 2.5 s, 0 of 3 stages from the store"
    assert lines[-2] == "never run: no model (gate.good is false)"
    assert lines[-1].startswith("next:     better data or other settings")


@pytest.mark.parametrize("state, status", [("done", 0), ("cached", 0), ("failed", 1), ("new", 1)])
def test_any_other_end_is_success_or_failure(state, status):
    assert exit_status(state) == status
