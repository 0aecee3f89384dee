"""A user's own file goes through the same stages, and a refused model is told truthfully."""

import json
from pathlib import Path

import pytest
import readme

from mlops_lab.data.world import world_frame
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.tracking.decisions import Decisions

REASON = "the gate refused the first model; there is no champion to deploy"
OWN = {"text": "message", "label": "feeling"}


def typed():
    """The words that the README tells to type."""
    [line] = [line for line in readme.read_commands() if "--data" in line]
    program, *words = line.split()
    assert program == "mlops-lab"
    return words


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone with a small file of one's own in it."""
    clone = readme.make_clone(tmp_path_factory.mktemp("own") / "clone")
    frame = world_frame(600, seed=3, task="sentiment")[list(OWN)].rename(columns=OWN)
    frame.loc[0, "message"] = ""
    frame.to_csv(clone / "messages.csv", index=False)
    return clone


@pytest.fixture(scope="module")
def refused(clone):
    """The first run, whose bar is too high for any model."""
    return readme.call(clone, *typed(), "--json", targets="minimum_macro_f1: 0.99")


@pytest.fixture(scope="module")
def promoted(clone, refused):
    """The next run, with the bar the settings have."""
    return readme.call(clone, *typed())


def by_stage(answer, key="state"):
    return {stage["stage"]: stage[key] for stage in json.loads(answer.stdout)["stages"]}


@pytest.mark.slow
def test_a_refused_first_model_is_told_by_its_reason(clone, refused):
    told = json.loads(refused.stdout)
    assert (refused.returncode, told["exit"], told["state"]) == (3, 3, "refused")
    assert refused.stderr == "" and not told["passed"]
    assert told["champion"] is None and "refused: macro-F1" in told["refusals"]["gate"]
    assert "not champion: macro-F1" in told["refusals"]["register"]
    kinds = [entry.kind for entry in Decisions(Workspace(clone / ".lab")).log.read()]
    assert "refuse" in kinds and "promote" not in kinds


@pytest.mark.slow
def test_without_a_champion_what_needs_one_never_runs(refused):
    states = by_stage(refused)
    left_out = {name for name, state in states.items() if state == "never run"}
    assert left_out == {"deploy", "score", "monitor"}
    assert {state for name, state in states.items() if name not in left_out} == {"done"}
    for name in left_out:
        assert by_stage(refused, "reason")[name] == REASON
        assert by_stage(refused, "condition")[name] == "register.has_champion"


@pytest.mark.slow
def test_the_lab_tells_the_refusal_wherever_it_is_asked(clone, refused):
    run = json.loads(refused.stdout)["run"]
    assert f"{run} refused" in " ".join(readme.call(clone, "runs").stdout.split())
    status = readme.call(clone, "status").stdout
    assert "refused" in status and REASON in status
    shown = readme.call(clone, "show", "latest", "deploy").stdout
    assert "never run" in shown and REASON in shown
    told = readme.call(clone, "explain", "score", targets="minimum_macro_f1: 0.99").stdout
    assert "register.has_champion" in told or REASON in told


@pytest.mark.slow
def test_the_report_of_a_refused_model_says_so(refused):
    report = Path(json.loads(refused.stdout)["report"]).read_text()
    assert "What was refused" in report and REASON in report and "What went wrong" not in report


@pytest.mark.slow
def test_the_next_run_goes_on_from_there(clone, promoted):
    assert promoted.returncode == 0, promoted.stdout + promoted.stderr
    assert "champion: version 1" in promoted.stdout and "refused" not in promoted.stdout
    again = {line.split()[1]: line.split()[2] for line in promoted.stderr.splitlines()}
    assert [name for name, state in again.items() if state == "done"] == [
        "gate",
        "register",
        *sorted(["deploy", "score"], key=list(again).index),
        "monitor",
    ]


@pytest.mark.slow
def test_bad_rows_are_set_aside_with_a_reason(clone, refused):
    import pandas as pd

    run = Path(json.loads(refused.stdout)["folder"])
    aside = pd.read_parquet(run / "data" / "quarantine.parquet")
    assert len(aside) == 1 and "text" in aside.astype(str).to_csv()
    assert json.loads((run / "data" / "source.json").read_text())["columns"] == OWN


def test_a_missing_column_names_the_nearest_one(clone):
    words = [word.replace("message", "mesage") if word == "message" else word for word in typed()]
    answer = readme.call(clone, *words, "--json", workspace=".lab-missing")
    assert answer.returncode == 1 and by_stage(answer)["ingest"] == "failed"
    reason = by_stage(answer, "reason")["ingest"]
    assert "no column 'mesage' for text" in reason and "did you mean 'message'?" in reason
