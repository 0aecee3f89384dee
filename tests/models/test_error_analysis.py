"""Mistakes are found and explained, and the notebook about them runs on any run folder."""

from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import papermill
from model_examples import CUES, make_frame

from mlops_lab.foundation.records import write_json
from mlops_lab.models.error_analysis import explain_mistakes, find_mistakes, find_nearest
from mlops_lab.models.training import write_bundle

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "explore" / "error_analysis.ipynb"


def test_the_surest_mistakes_come_first_and_are_mistakes(linear):
    frame = make_frame(400, 7)
    found = find_mistakes(linear.scorer, frame, most=15)
    assert 0 < len(found) <= 15 and (found["label"] != found["given"]).all()
    assert found["certainty"].is_monotonic_decreasing
    top = linear.scorer.score(found["text"].tolist()).top
    assert top == found["given"].tolist()


def test_the_nearest_text_is_the_nearest_by_hand(frames):
    train = frames[0]
    asked = train["text"].iloc[[3, 50]].tolist() + ["zzz qqq"]
    near = find_nearest(train, asked, most=2)
    assert len(near) == 6 and near["cosine"].between(0, 1.001).all()
    assert near["neighbour"].iloc[0] == asked[0] and near["cosine"].iloc[0] == 1.0
    assert near["cosine"].iloc[4:].tolist() == [0.0, 0.0]
    words = set(asked[1].split())
    shared = [len(words & set(text.split())) for text in near["neighbour"].iloc[2:4]]
    assert min(shared) > 0


def test_the_word_that_decides_is_named(linear):
    row = pd.DataFrame({"text": ["the exam was furious today"], "label": ["joy"]})
    told = explain_mistakes(linear.scorer, row.assign(given="anger"))
    assert told["for the label given"].iloc[0].startswith("anger: furious +")
    assert "furious" in CUES["anger"] and "joy: " in told["for the right label"].iloc[0]


def test_the_notebook_runs_on_a_run_folder(linear, frames, tmp_path):
    run = tmp_path / "run"
    (run / "data").mkdir(parents=True)
    dev = frames[1].copy()
    rng = np.random.default_rng(4)
    dev.loc[rng.choice(len(dev), 12, replace=False), "label"] = "joy"  # there are mistakes to see
    for name, frame in (("train", frames[0]), ("dev", dev)):
        frame.to_parquet(run / "data" / f"{name}.parquet")
    write_bundle(linear, run / "models" / "tfidf_logistic")
    write_json(run / "evaluation" / "best.json", {"candidate": "tfidf_logistic"})
    done = tmp_path / "done.ipynb"
    given = {"workspace": str(run), "most": 3}
    papermill.execute_notebook(
        NOTEBOOK, done, given, progress_bar=False, kernel_name="python3", cwd=tmp_path
    )
    cells = nbformat.read(done, 4).cells
    shown = [cell for cell in cells if cell.cell_type == "code" and cell.get("outputs")]
    assert len(shown) == 8  # all but parameters, imports and their like
    text = str(shown)
    assert "<svg" in text
    assert "neighbour" in text and "for the label given" in text and "negation" in text
