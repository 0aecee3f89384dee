"""`mlops-lab search` finds a recipe, is shown in MLflow, and its find goes into the next run."""

import json
import shlex
from pathlib import Path

import pandas as pd
import pytest
import readme

from mlops_lab.foundation.workspace import Workspace
from mlops_lab.tracking.runs import open_client

SPACE = "tfidf_logistic: {strength: {from: 0.1, to: 20, log: true}, balance: {from: 0, to: 1}}"


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone whose latest run came as far as segregate."""
    clone = readme.make_clone(tmp_path_factory.mktemp("search") / "clone")
    (clone / "space.yaml").write_text(SPACE)
    answer = readme.call(clone, "run", "--until", "segregate", "-p", "rows=500", "--json")
    assert answer.returncode == 0, answer.stderr
    return clone


def search(clone, *words):
    return readme.call(clone, "search", *words, "--space", "space.yaml", "--together", "2")


@pytest.fixture(scope="module")
def found(clone):
    return search(clone, "tfidf_logistic", "--trials", "4", "--json")


def test_it_answers_with_trials_and_tells_each_as_it_ends(clone, found):
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)
    assert [one["number"] for one in told["trials"]] == [0, 1, 2, 3]
    assert told["best"]["dev_macro_f1"] == max(
        one["metrics"]["dev_macro_f1"] for one in told["trials"]
    )
    assert told["gain"] >= 0 and "<svg" in Path(told["figure"]).read_text()
    assert sum(" dev 0." in line for line in found.stderr.splitlines()) == 4


def test_mlflow_shows_a_parent_with_a_child_for_each_trial(clone, found):
    told = json.loads(found.stdout)
    client = open_client(Workspace(clone / ".lab"))
    parent = client.get_run(told["mlflow_run"])
    assert parent.info.status == "FINISHED"
    query = f"tags.`mlflow.parentRunId` = '{told['mlflow_run']}'"
    children = client.search_runs([parent.info.experiment_id], query)
    scores = {
        int(one.data.tags["mlops_lab.trial"]): one.data.metrics["dev_macro_f1"] for one in children
    }
    assert scores == {one["number"]: one["metrics"]["dev_macro_f1"] for one in told["trials"]}
    assert {path.path for path in client.list_artifacts(told["mlflow_run"])} == {
        "trials.csv",
        "trials.svg",
    }


def test_a_longer_search_goes_on_and_shows_too_little_and_too_much(clone, found):
    again = search(clone, "tfidf_logistic", "--trials", "6")
    assert again.returncode == 0, again.stderr
    assert "best: trial" in again.stdout and "6 trials: " in again.stdout
    old = json.loads(found.stdout)
    table = pd.read_csv(f"{old['folder']}/trials.csv").set_index("trial")
    assert sorted(table.index) == list(range(6)) and set(table["fit"]) <= {
        "good",
        "overfits",
        "underfits",
    }
    kept = {one["number"]: one["metrics"]["dev_macro_f1"] for one in old["trials"]}
    assert table["dev_macro_f1"][[0, 1, 2, 3]].to_dict() == pytest.approx(kept, abs=0)
    client = open_client(Workspace(clone / ".lab"))
    query = f"tags.`mlflow.parentRunId` = '{old['mlflow_run']}'"
    parent = client.get_run(old["mlflow_run"])
    assert len(client.search_runs([parent.info.experiment_id], query)) == 6


def test_what_it_found_is_what_the_next_run_learns_by(clone, found):
    told = json.loads(found.stdout)
    program, *words = shlex.split(told["use"])
    assert program == "mlops-lab"
    answer = readme.call(
        clone, *words, "--until", "train_tfidf_logistic", "-p", "rows=500", "--json"
    )
    assert answer.returncode == 0, answer.stderr
    folder = json.loads(answer.stdout)["folder"]
    card = json.loads(Path(folder, "models", "tfidf_logistic.json").read_text())
    assert {name: card["recipe"][name] for name in told["best"]["values"]} == told["best"]["values"]
    assert card["metrics"]["dev_macro_f1"] == told["best"]["dev_macro_f1"]


def test_mistakes_are_told_in_words(clone):
    unknown = search(clone, "text_cnn")
    assert unknown.returncode == 1 and "there is no search space for 'text_cnn'" in unknown.stderr
    typo = readme.call(clone, "search", "tfidf_logistc")
    assert typo.returncode == 1 and "did you mean 'tfidf_logistic'?" in typo.stderr
    no_run = readme.call(
        clone,
        "search",
        "tfidf_logistic",
        workspace=".lab-empty",
    )
    assert no_run.returncode == 1 and "no run" in no_run.stderr
    assert readme.call(clone, "search", "tfidf_logistic", "--trials", "0").returncode == 2
