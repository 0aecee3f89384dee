"""Pipeline runs in MLflow: a tree, whole or written again, in MLflow's own words."""

import pytest

from mlops_lab.tracking.run_mirror import ShownRun, mirror_run
from mlops_lab.tracking.runs import open_client

WHEN = {"started_at": "2026-01-01T00:00:00+00:00", "seconds": 2.0}
RUN = ShownRun("one", "failed", **WHEN)
STAGE = ShownRun("train", "timed out", **WHEN, parameters={"long": "x" * 900}, metrics={"f1": 0.5})


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("done", "FINISHED"),
        ("cached", "FINISHED"),
        ("cancelled", "KILLED"),
        ("interrupted", "KILLED"),
        ("kernel died", "FAILED"),
        ("stopped early", "FAILED"),
    ],
)
def test_states_have_their_word_in_mlflow(state, status):
    assert ShownRun("one", state, **WHEN).status == status


def test_a_run_is_shown_once_with_its_times(lab, tmp_path):
    (tmp_path / "source.diff").write_text("+ n = 4")
    run = ShownRun("one", "failed", **WHEN, files=(tmp_path / "source.diff", tmp_path / "none"))
    first = mirror_run(lab, run, stages=(STAGE,), experiment="demo")
    assert mirror_run(lab, run, stages=(STAGE,), experiment="demo") == first
    client = open_client(lab)
    experiment = client.get_experiment_by_name("demo").experiment_id
    runs = {one.info.run_name: one for one in client.search_runs([experiment])}
    assert set(runs) == {"one", "train"} and runs["one"].info.status == "FAILED"
    assert runs["train"].data.tags["mlflow.parentRunId"] == first
    assert runs["train"].data.tags["mlops_lab.state"] == "timed out"
    assert len(runs["train"].data.params["long"]) == 500
    assert [item.path for item in client.list_artifacts(first)] == ["source.diff"]


def test_what_a_crash_left_half_is_written_again(lab, monkeypatch):
    broken = ShownRun("mix", "done", **WHEN, metrics={"no number": "x"})
    with pytest.raises(ValueError, match="could not convert"):
        mirror_run(lab, RUN, stages=(STAGE, broken), experiment="demo")
    parent = mirror_run(lab, RUN, stages=(STAGE,), experiment="demo")
    client = open_client(lab)
    experiment = client.get_experiment_by_name("demo").experiment_id
    query = "tags.`mlops_lab.kind` = 'pipeline'"
    assert [one.info.run_id for one in client.search_runs([experiment], query)] == [parent]
