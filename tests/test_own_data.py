"""A user's own file goes through the same stages, and a refused model is told truthfully."""

import json
from pathlib import Path

import pytest
import readme

from mlops_lab.data.world import world_frame
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.tracking.decisions import Decisions

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
    return readme.call(clone, *typed(), "--json", minimum_macro_f1="0.99")


@pytest.fixture(scope="module")
def promoted(clone, refused):
    """The next run, with the bar the settings have."""
    return readme.call(clone, *typed())


def by_stage(answer, key="state"):
    return {stage["stage"]: stage[key] for stage in json.loads(answer.stdout)["stages"]}


@pytest.mark.slow
def test_a_refused_first_model_is_told_by_its_reason(clone, refused):
    told = json.loads(refused.stdout)
    assert refused.returncode == 1 and refused.stderr == ""
    assert told["champion"] is None and "refused: macro-F1" in told["refusals"]["gate"]
    assert "not champion: macro-F1" in told["refusals"]["register"]
    kinds = [entry.kind for entry in Decisions(Workspace(clone / ".lab")).log.read()]
    assert "refuse" in kinds and "promote" not in kinds


@pytest.mark.slow
def test_without_a_champion_only_what_needs_one_fails(refused):
    states = by_stage(refused)
    assert {name for name, state in states.items() if state == "failed"} <= {"deploy", "score"}
    assert states["gate"] == states["register"] == "done" and states["deploy"] == "failed"
    reasons = by_stage(refused, "reason")
    assert reasons["deploy"].startswith("ModelProblem: there is no champion to serve")
    assert "gate/verdict.json" in reasons["deploy"]


@pytest.mark.slow
def test_the_report_of_a_refused_model_says_so(refused):
    report = Path(json.loads(refused.stdout)["report"]).read_text()
    assert "refused" in report and "there is no champion to serve" in report


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
