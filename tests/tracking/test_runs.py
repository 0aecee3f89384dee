import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tracking_examples import write_tiny_bundle

import mlops_lab
from mlops_lab.foundation.errors import RecordProblem
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.tracking.runs import (
    TrainingRun,
    code_state,
    is_tracked,
    open_client,
    prepare_tracking,
    track_candidate,
)

ROOT = Path(mlops_lab.__file__).parents[1]
RACE = """
import sys
from dataclasses import replace
from pathlib import Path
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.tracking.runs import TrainingRun, track_candidate
lab = Workspace(Path(sys.argv[1]))
run = TrainingRun(sys.argv[2], Path(sys.argv[3]), {"seed": 1}, {"macro_f1": 0.5})
track_candidate(lab, run, project=lab.root)
"""


def make_run(bundle, **lineage):
    return TrainingRun(
        candidate="tiny",
        bundle=bundle,
        parameters={"seed": 7, "note": "x" * 9_000},
        metrics={"dev_macro_f1": 0.6},
        history=[{"epoch": 1, "dev_loss": 0.9}, {"epoch": 2, "dev_loss": 0.7}],
        lineage=lineage,
    )


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)
    return folder


def test_four_processes_that_open_a_fresh_store_at_once_all_succeed(tmp_path):
    lab, bundle = tmp_path / ".lab", write_tiny_bundle(tmp_path / "bundle")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "error::RuntimeWarning", "-c", RACE, lab, str(i), bundle],
            env=env,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(4)
    ]
    ends = [process.communicate(timeout=180)[1] for process in started]
    assert [process.returncode for process in started] == [0] * 4, ends
    with sqlite3.connect(lab / "tracking.db") as connection:
        names = [name for (name,) in connection.execute("select name from runs order by name")]
    connection.close()
    assert names == ["0", "1", "2", "3"]
    assert not [path.name for path in lab.iterdir() if path.name.endswith(".part")]


def test_a_run_carries_what_mlflow_omits(tracked_lab, project, tmp_path):
    import mlflow

    before = mlflow.get_tracking_uri()
    bundle = write_tiny_bundle(tmp_path / "bundle")
    run = make_run(bundle, notebook="06_train.ipynb", stage="train_tiny", **{"data.train": "d1"})
    run_id = track_candidate(tracked_lab, run, project=project)
    stored = open_client(tracked_lab).get_run(run_id)
    tags = stored.data.tags
    assert tags["mlflow.source.git.commit"] == code_state(project)["commit"] != "unknown"
    assert (tags["mlops_lab.dirty"], tags["mlops_lab.data.train"]) == ("false", "d1")
    assert tags["mlflow.source.name"] == "06_train.ipynb"
    assert stored.info.status == "FINISHED" and stored.data.params["seed"] == "7"
    assert stored.data.metrics == {"dev_macro_f1": 0.6, "pass_dev_loss": 0.7}
    points = open_client(tracked_lab).get_metric_history(run_id, "pass_dev_loss")
    assert [(point.step, point.value) for point in points] == [(1, 0.9), (2, 0.7)]
    files = open_client(tracked_lab).list_artifacts(run_id, "bundle")
    assert [Path(item.path).name for item in files] == ["card.json", "weights.npz"]
    assert mlflow.get_tracking_uri() == before and mlflow.active_run() is None


def test_a_run_is_found_by_its_lineage_without_mlflow(tracked_lab, tmp_path):
    run = make_run(write_tiny_bundle(tmp_path / "bundle"), bundle_digest="sha256:77")
    track_candidate(tracked_lab, run, project=tmp_path)
    assert is_tracked(tracked_lab, tag="bundle_digest", value="sha256:77")
    assert not is_tracked(tracked_lab, tag="bundle_digest", value="sha256:78")
    assert not is_tracked(Workspace(tmp_path / "empty"), tag="bundle_digest", value="sha256:77")


def test_a_run_that_cannot_be_stored_is_marked_as_failed(tracked_lab, tmp_path):
    run = make_run(write_tiny_bundle(tmp_path / "bundle"), bundle_digest="sha256:99")
    with pytest.raises(ValueError, match="word"):
        track_candidate(tracked_lab, replace(run, metrics={"f1": "word"}), project=tmp_path)
    with pytest.raises(RecordProblem, match="is not there"):
        track_candidate(tracked_lab, replace(run, bundle=tmp_path / "no"), project=tmp_path)
    client = open_client(tracked_lab)
    experiment = client.get_experiment_by_name("case_study").experiment_id
    found = client.search_runs([experiment], "tags.`mlops_lab.bundle_digest` = 'sha256:99'")
    assert [item.info.status for item in found] == ["FAILED"]
    assert not is_tracked(tracked_lab, tag="bundle_digest", value="sha256:99")


def test_a_changed_file_makes_the_code_dirty(project):
    assert code_state(project)["dirty"] == "false"
    (project / "new.py").write_text("")
    assert code_state(project)["dirty"] == "true"
    assert code_state(project.parent)["commit"] == "unknown"


def test_an_address_of_a_server_is_left_as_it_is(lab):
    assert prepare_tracking(lab, "http://127.0.0.1:5000") == "http://127.0.0.1:5000"
    assert not lab.tracking_database.exists()


def test_a_killed_first_opener_leaves_no_half_made_store(lab, monkeypatch):
    def die(draft, artifacts):
        draft.write_bytes(b"SQLite format 3\x00 half")
        raise KeyboardInterrupt

    monkeypatch.setattr("mlops_lab.tracking.runs._make_database", die)
    with pytest.raises(KeyboardInterrupt):
        prepare_tracking(lab)
    assert not lab.tracking_database.exists()
    assert [p.name for p in lab.root.iterdir() if "part" in p.name] == []
