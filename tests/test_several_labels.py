"""A user's own file with several labels for a text goes through every stage."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import readme
from double_messages import double_messages
from sklearn.metrics import accuracy_score, f1_score
from sklearn.preprocessing import MultiLabelBinarizer

from mlops_lab.data.sealing import open_sealed
from mlops_lab.data.sources import load_source
from mlops_lab.foundation.errors import DataProblem
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.models.judging import given_answers, judge, true_answers
from mlops_lab.models.scorer import Scores, load_scorer
from mlops_lab.monitoring.performance import late_performance
from mlops_lab.tracking.challenge import Challenge
from mlops_lab.tracking.comparison import paired_gain
from mlops_lab.tracking.gate import judge as judge_challenge

LABELS = ("anger", "joy", "love")


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    clone = readme.make_clone(tmp_path_factory.mktemp("several") / "clone")
    own_names = {"text": "message", "labels": "feelings"}
    table = double_messages(900)[list(own_names)].rename(columns=own_names)
    table.to_csv(clone / "several.csv", index=False)
    return clone


@pytest.fixture(scope="module")
def answer(clone):
    words = ("--data", "several.csv", "--text", "message", "--label", "feelings", "-p", "epochs=3")
    return readme.call(
        clone, "run", *words, "--json", task="several", targets="minimum_macro_f1: 0.3"
    )


@pytest.fixture(scope="module")
def folder(answer):
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return Path(json.loads(answer.stdout)["folder"])


def binary(answers, labels):
    return MultiLabelBinarizer(classes=list(labels)).fit_transform(
        [[part for part in row.split("|") if part] for row in answers]
    )


@pytest.mark.slow
def test_every_stage_is_done_and_there_is_a_champion(answer, folder):
    told = json.loads(answer.stdout)
    assert {stage["state"] for stage in told["stages"]} == {"done"}
    assert told["champion"]["number"] == 1
    figures = {path.stem for path in (folder / "figures" / "evaluate").iterdir()}
    assert figures == {"candidates", "confusion", "reliability"}


@pytest.mark.slow
def test_the_sealed_rows_are_judged_as_scikit_learn_judges_them(clone, folder):
    lab = Workspace(clone / ".lab")
    test = open_sealed(folder / "data" / "test.sealed", reader="evaluate", lab=lab)
    results = json.loads((folder / "evaluation" / "results.json").read_text())
    assert test["labels"].str.contains("|", regex=False).any()
    for name, told in results.items():
        scorer = load_scorer(folder / "models" / name)
        scores = scorer.score(test["text"].tolist())
        assert len(scorer.thresholds) == len(scorer.labels) == 3
        given, truth = given_answers(scores), true_answers(test, scores)
        assert any("|" in row for row in given)
        one, other = binary(truth, told["labels"]), binary(given, told["labels"])
        assert told["macro_f1"] == pytest.approx(f1_score(one, other, average="macro"))
        assert told["accuracy"] == pytest.approx(accuracy_score(one, other))
        assert sum(row["share"] for row in told["reliability"]) == pytest.approx(1.0)
    [rule] = [
        reason["found"]
        for reason in json.loads((folder / "gate" / "verdict.json").read_text())["reasons"]
        if reason["rule"] == "macro-F1"
    ]
    assert float(rule) == pytest.approx(max(r["macro_f1"] for r in results.values()), abs=6e-4)


@pytest.mark.slow
def test_sets_and_late_labels_reach_the_store_whole(folder):
    scores = pd.read_parquet(folder / "scores" / "batch.parquet")
    assert scores["true_label"].str.contains("|", regex=False).any()
    assert scores["labels"].str.contains("|", regex=False).any()
    pairs = zip(scores["labels"], scores["true_label"], strict=True)
    same = [set(given.split("|")) == set(true.split("|")) for given, true in pairs]
    assert late_performance(scores).accuracy == pytest.approx(np.mean(same))


def draw(rng, rows):
    """Random label sets, and answers that hit them half of the time."""
    truth = rng.random((rows, 3)) < 0.4
    truth[~truth.any(axis=1), 0] = True
    noise = rng.random((2, rows, 3)) < 0.4
    kept = rng.random((2, rows, 1)) < np.array([0.7, 0.4])[:, None, None]
    spell = lambda matrix: ["|".join(np.array(LABELS)[row]) for row in matrix]  # noqa: E731
    return spell(truth), *(spell(np.where(k, truth, n)) for k, n in zip(kept, noise, strict=True))


def test_the_gate_compares_sets_of_labels():
    rng = np.random.default_rng(5)
    truth, better, worse = draw(rng, 400)
    known = {"several": True, "latency_ms": 1.0}
    gain, gains = paired_gain(Challenge(truth, better, worse, **known), draws=200)
    matrix = [binary(answers, LABELS) for answers in (truth, better, worse)]
    one, other = (f1_score(matrix[0], row, average="macro") for row in matrix[1:])
    assert gain == pytest.approx(one - other) and len(gains) == 200 and (gains > 0).mean() > 0.95
    found = {}
    for name, pair in {"better": (better, worse), "worse": (worse, better)}.items():
        verdict = judge_challenge(Challenge(truth, *pair, **known))
        found[name] = {reason.rule: reason.passed for reason in verdict.reasons}
    rules = ("better than the champion", "rows won")
    assert all(found["better"][rule] and not found["worse"][rule] for rule in rules)
    assert found["better"]["macro-F1"]


def test_a_bar_in_a_single_label_stays_part_of_its_name():
    truth = ["a|b", "c", "a|b", "c"]
    single = Challenge(truth, ["a|b", "c", "c", "c"], ["a|b", "a|b", "c", "c"])
    assert paired_gain(single, draws=0)[0] == pytest.approx(
        f1_score(truth, single.candidate, average="macro")
        - f1_score(truth, single.opponent, average="macro")
    )


def test_labels_are_divided_and_odd_ones_told(tmp_path):
    place = tmp_path / "own.csv"
    place.write_text("text,label\na,joy|love\nb,love| joy\nc,love\nd,|\ne,\nf,joy|joy\n")
    frame, facts = load_source(str(place), task="several")
    assert frame["labels"].tolist() == ["joy|love", "joy|love", "love", "", "", "joy"]
    assert frame["label"].isna().tolist() == [False, False, False, True, True, False]
    assert facts["labels"] == ["joy", "love"]
    plain, _ = load_source(str(place), task="emotion")
    assert "labels" not in plain and plain["label"].iloc[0] == "joy|love"
    place.write_text("text,label\na,joy\nb,joy\n")
    with pytest.raises(DataProblem, match="1 labels"):
        load_source(str(place), task="several")


def test_labels_nobody_learned_count_as_missed():
    scores = Scores(("joy", "love"), np.full((2, 2), 0.9, np.float32), (0.5, 0.95))
    frame = pd.DataFrame({"label": ["joy", "rage"], "labels": ["joy|love", "rage"]})
    found = judge(frame, scores)
    assert found.labels == ["joy", "love", "rage"] and found.accuracy == 0.0
    assert found.classes[2]["recall"] == 0.0 and found.macro_f1 == pytest.approx(2 / 9)
