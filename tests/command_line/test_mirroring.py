"""A finished run is shown in MLflow, never at the cost of the run."""

import time

import pytest

from mlops_lab.command_line.mirroring import executed_stages, mirror_now, start_mirror
from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.records import read_json, write_json
from mlops_lab.foundation.settings import Settings
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.pipeline.history import find_run
from mlops_lab.pipeline.options import RunOptions
from mlops_lab.pipeline.plan import read_pipeline
from mlops_lab.pipeline.runner import run_pipeline
from mlops_lab.tracking.runs import open_client


@pytest.fixture
def settings(home) -> Settings:
    return Settings(project=home, workspace=home / ".lab")


@pytest.fixture
def run(settings):
    pipeline = read_pipeline(settings.project / "notebooks/pipelines/tiny")
    return lambda **more: run_pipeline(pipeline, settings, options=RunOptions(**more))


def test_a_run_becomes_a_parent_with_a_child_for_each_stage_that_ran(run, settings):
    run()
    end = run(parameters={"n": 4}, force=frozenset(["make"]))
    lab = Workspace(settings.workspace)
    told = mirror_now(lab.root, end.run)
    assert read_json(end.folder / "mlflow.json") == told
    client = open_client(lab)
    parent = client.get_run(told["run_id"])
    assert parent.info.status == "FINISHED" and parent.data.params == {"n": "4"}
    assert parent.data.tags["mlops_lab.run"] == end.run
    query = f"tags.`mlflow.parentRunId` = '{told['run_id']}'"
    children = client.search_runs([parent.info.experiment_id], query)
    assert {child.info.run_name for child in children} == {"make", "double"}
    make = next(child for child in children if child.info.run_name == "make")
    tags = make.data.tags
    for name in ("key", "record", "notebook", "environment"):
        assert tags[f"mlops_lab.{name}"].startswith("sha256:")
    assert make.data.metrics["seconds"] > 0
    assert [item.path for item in client.list_artifacts(make.info.run_id)] == ["make.ipynb"]
    assert mirror_now(lab.root, end.run) == told


def test_a_stage_from_the_store_is_only_named(run, settings):
    run()
    end = run(force=frozenset(["double"]))
    lab = Workspace(settings.workspace)
    assert executed_stages(find_run(lab, end.run)) == ["double"]
    client = open_client(lab)
    parent = client.get_run(mirror_now(lab.root, end.run)["run_id"])
    assert parent.data.tags["mlops_lab.cached"] == "make"
    assert len(client.search_runs([parent.info.experiment_id])) == 2


def test_it_happens_in_the_background_and_not_for_a_run_from_the_store(run, settings):
    end = run()
    assert start_mirror(settings, end.run) == ""
    assert not (end.folder / "mlflow.json").exists()  # nobody waited for it
    limit = time.monotonic() + 60
    while not (end.folder / "mlflow.json").exists() and time.monotonic() < limit:
        time.sleep(0.1)
    assert "run_id" in read_json(end.folder / "mlflow.json")
    cached = run()
    assert start_mirror(settings, cached.run) == ""
    assert not (cached.folder / "logs" / "mlflow.log").exists()


def test_what_goes_wrong_is_told_and_fails_nothing(run, settings):
    end = run()
    assert start_mirror(settings, "none").startswith("MLflow does not show this run")
    known = read_json(end.folder / "run.json")
    known["settings"]["tracking_address"] = "nosuch://tracker"
    write_json(end.folder / "run.json", known)
    assert "error" in mirror_now(settings.workspace, end.run)
    assert ChainLog(settings.workspace / "ledger.jsonl").verify() >= 4
