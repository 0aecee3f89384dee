"""The published set of 28 emotions goes through every stage, from the data home to the card."""

import json
from pathlib import Path

import pandas as pd
import pytest
import readme

from mlops_lab.models.scorer import load_scorer

WORDS = ("run", "--data", "goemotions", "-p", "rows=2500", "-p", "epochs=3", "--json")


@pytest.mark.real_data
@pytest.mark.slow
def test_all_28_emotions_go_through_every_stage(real_data, tmp_path):
    clone = readme.make_clone(tmp_path / "clone")
    asked = {
        "task": "emotions-28",
        "candidates": "tfidf_logistic",
        "targets": "minimum_macro_f1: 0.1",
        "mlflow_runs": "on",
    }
    answer = readme.call(clone, *WORDS, **asked, data_home=str(real_data))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    told = json.loads(answer.stdout)
    assert {one["state"] for one in told["stages"]} == {"done"}
    assert [one["stage"] for one in told["stages"] if "train" in one["stage"]] == [
        "train_tfidf_logistic"
    ]
    folder = Path(told["folder"])
    card = (folder / "registry" / "card" / "card.md").read_text("utf-8")
    assert "one or several of its labels" in card
    scorer = load_scorer(folder / "models" / "tfidf_logistic")
    assert len(scorer.labels) == len(scorer.thresholds) == 28
    assert scorer.score(["Thank you so much, I love it!"]).chosen != [[]]
    scores = pd.read_parquet(folder / "scores" / "batch.parquet")
    assert set(scores["probabilities"].iloc[0]) == set(scorer.labels)
