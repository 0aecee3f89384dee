"""The exploration notebook, run cell by cell on the world, on an own file and on a real set."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_lab.data.exploration import (
    find_ambiguity,
    find_repeats,
    label_chances,
    label_overlap,
    period_drift,
)
from mlops_lab.data.world import world_frame

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "explore" / "eda.ipynb"


def run_notebook(**parameters):
    """Run every cell, asserts included; give its names and the figures it drew."""
    space, figures = {}, []
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        code = "".join(cell["source"])
        exec(compile(code, NOTEBOOK.name, "exec"), space)
        if "parameters" in cell["metadata"].get("tags", []):
            assert set(parameters) <= set(space), "an unknown parameter"
            space |= parameters
        if "SVG" in space and "draw_svg" in code and "import" not in code:
            drawn = code.strip().splitlines()[-1]
            figures.append(eval(compile(drawn, NOTEBOOK.name, "eval"), space))
    return space, figures


def titles(figures):
    return [one.data for one in figures if hasattr(one, "data")]


def test_the_shipped_world_is_what_the_page_says():
    space, figures = run_notebook()
    assert len(titles(figures)) == 11 and all("</svg>" in one for one in titles(figures))
    assert space["facts"]["labels"] == 7


def test_an_own_file_needs_no_topics_and_no_time(tmp_path):
    path = tmp_path / "mine.csv"
    rows = world_frame(900, seed=3)[["text", "label"]].rename(columns={"text": "said"})
    rows.to_csv(path, index=False)
    space, figures = run_notebook(data=str(path), text_column="said")
    assert space["facts"]["rows"] == 900 and space["drift"] is None
    assert "no topics" in "".join(titles(figures)) and figures[-1] == "The rows carry no time."


@pytest.mark.real_data
def test_a_public_set_is_explored_too(real_data, monkeypatch):
    monkeypatch.setenv("MLOPS_LAB_DATA_HOME", str(real_data))
    space, figures = run_notebook(data="goemotions", rows=3_000)
    assert space["facts"]["largest_label"] == "joy" and space["facts"]["labels"] == 7
    assert space["ambiguity"]["torn"] > 0.1, "people disagree more than the world does"


def test_ambiguity_is_the_one_of_the_known_chances():
    frame = world_frame(4_000, seed=12)
    told = find_ambiguity(label_chances(frame))
    dice = np.random.default_rng(1)
    chances = label_chances(frame)
    cuts = chances.cumsum(axis=1).to_numpy()
    two = [(dice.random((len(frame), 1)) > cuts).sum(axis=1) for _ in range(2)]
    assert np.mean(two[0] == two[1]) == pytest.approx(told["agreement"], abs=0.02)
    drawn = pd.crosstab(frame["label"], chances.columns[two[0]], normalize="index")
    assert np.abs(drawn - label_overlap(frame, chances)).to_numpy().max() < 0.04


def test_repeats_count_each_kind():
    frame = world_frame(500, seed=4).reset_index(drop=True)
    base = find_repeats(frame)
    more = [
        frame.head(30),
        frame.iloc[30:50].assign(text=frame["text"].iloc[30:50].str.upper() + "!!"),
        frame.iloc[50:60].assign(text=frame["text"].iloc[50:60] + " ok"),
    ]
    found = find_repeats(pd.concat([frame, *more], ignore_index=True))
    assert found["exact"] - base["exact"] == 30
    assert found["normalised"] - base["normalised"] == 50
    # near texts are told by bytes: an accented capital is another word
    assert 50 <= found["near"] - base["near"] <= 60


def test_a_planted_change_stands_out_and_chance_does_not():
    frame = world_frame(6_000, seed=6).sort_values("at", ignore_index=True)
    dealt = frame.assign(label=frame["label"].sample(frac=1, random_state=1).to_numpy())
    quiet = period_drift(dealt)
    labels = quiet[quiet["kind"] == "label"]
    assert (labels["distance"] <= 1.3 * labels["chance"]).all()
    late = dealt.index >= 4_000
    planted = dealt.assign(label=dealt["label"].where(~(late & (dealt["label"] == "joy")), "anger"))
    loud = period_drift(planted)
    labels = loud[loud["kind"] == "label"]
    worst = labels.loc[labels["distance"].idxmax()]
    assert worst["period"] == 4 and worst["distance"] > 2 * worst["chance"]
