"""The commands about runs that were: answers for people and machines, and exit states."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mlops_lab.command_line.program import main
from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.records import write_json


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ask the program in a lab with a run that is done and one that failed."""
    lab = tmp_path / "lab"
    monkeypatch.setenv("MLOPS_LAB_WORKSPACE", str(lab))
    log = ChainLog(lab / "ledger.jsonl")
    for name, state in (("one", "done"), ("two", "failed")):
        log.append("run-started", {"run": name, "pipeline": "demo", "process": 0, "commit": "abc"})
        facts = {"run": name, "stage": "make", "state": state, "seconds": 0.5, "reason": "no rows"}
        log.append("stage", facts)
        log.append("run-finished", {"run": name, "state": state, "seconds": 1.0})
        folder = lab / "runs" / name
        write_json(folder / "run.json", {"run": name, "stages": ["make"]})
        write_json(folder / "ends/make.json", {"state": "failed", "cell": 1, "source": "make()"})

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(main, words)

    return invoke


def test_runs_are_listed_newest_first(ask):
    told = json.loads(ask("runs", "--json").output)
    assert [(one["run"], one["failed"]) for one in told] == [("two", 1), ("one", 0)]
    assert [one["run"] for one in json.loads(ask("runs", "--json", "--limit", "1").output)] == [
        "two"
    ]
    assert ask("runs").output.splitlines()[1].startswith("two  ")


def test_status_tells_the_latest_or_the_named_run(ask):
    assert "no rows" in ask("status").output and "two" in ask("status", "latest").output
    assert json.loads(ask("status", "on", "--json").output)[0]["state"] == "done"
    wrong = ask("status", "three")
    assert wrong.exit_code == 1 and "mlops-lab runs" in wrong.stderr


def test_watching_a_run_that_ended_shows_it_once(ask):
    assert ask("status", "--watch").output == ask("status").output


def test_show_tells_a_run_and_a_stage(ask):
    assert "again     mlops-lab reproduce two" in ask("show", "latest").output
    assert "  make()" in ask("show", "two", "make").output
    told = json.loads(ask("show", "two", "mkae", "--json").output)
    assert told["error"]["kind"] == "PipelineProblem"


def test_diff_says_by_its_exit_whether_results_differ(ask, tmp_path):
    assert ask("diff", "one", "two").exit_code == 0
    write_json(tmp_path / "lab/runs/two/ends/make.json", {"state": "timed out"})
    told = ask("diff", "one", "--json")
    assert told.exit_code == 1 and json.loads(told.output)["equal"] is False
    assert "Exit 0" in ask("diff", "--help").output


def test_a_run_of_an_older_lab_is_not_reproduced(ask):
    told = ask("reproduce", "one")
    assert told.exit_code == 1 and "does not say how it was defined" in told.stderr


def test_an_empty_lab_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("MLOPS_LAB_WORKSPACE", str(tmp_path / "none"))
    for words in (["status"], ["show", "latest"], ["diff", "a", "b"], ["reproduce"]):
        told = CliRunner().invoke(main, words)
        assert told.exit_code == 1 and "no run yet" in told.stderr
    assert json.loads(CliRunner().invoke(main, ["runs", "--json"]).output) == []
