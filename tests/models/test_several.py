"""Texts of several labels, from the table to the stored model."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_examples import QUICK, make_several, train_several
from sklearn.metrics import f1_score

from mlops_lab.foundation.errors import DataProblem
from mlops_lab.models.bag_model import sigmoid
from mlops_lab.models.blend import Blend, Coarser
from mlops_lab.models.calibration import calibrate, calibration_error, platt_scaling
from mlops_lab.models.learning import read_examples
from mlops_lab.models.linear import TfidfLogistic
from mlops_lab.models.scorer import Scores, check_alone, load_scorer
from mlops_lab.models.several_evaluation import evaluate_several
from mlops_lab.models.tasks import label_matrix, label_space
from mlops_lab.models.text_cnn import TextCnn
from mlops_lab.models.thresholds import best_thresholds, label_f1
from mlops_lab.models.training import train_candidate, write_bundle

LABELS = ("anger", "joy", "sadness")


@pytest.fixture(scope="module")
def frames():
    return make_several(600, 1), make_several(200, 2)


@pytest.fixture(scope="module", params=list(QUICK))
def trained(request, frames):
    return train_several(request.param, frames)


def test_each_candidate_gives_several_labels(trained):
    frame = make_several(300, 5)
    scores = trained.scorer.score(frame["text"].tolist())
    found = evaluate_several(label_matrix(frame["labels"], LABELS), scores)
    assert found.macro_f1 > (0.6 if trained.bundle.card["candidate"] == "lexicon_rule" else 0.7)
    assert any(len(labels) == 2 for labels in scores.chosen)
    assert not np.allclose(scores.probabilities.sum(axis=1), 1.0, atol=1e-3)


def test_the_profile_tells_the_share_of_texts_given_each_label(trained, frames):
    dev = frames[1]
    profile, chosen = trained.bundle.profile, trained.scorer.score(dev["text"].tolist()).chosen
    for label in LABELS:
        share = np.mean([label in one for one in chosen])
        assert profile["given_shares"][label] == pytest.approx(share, abs=1e-6)
        true = np.mean([label in one.split("|") for one in dev["labels"]])
        assert profile["label_shares"][label] == pytest.approx(true, abs=1e-6)
    assert profile["unlabelled_share"] == pytest.approx(np.mean([not one for one in chosen]))
    assert sum(profile["given_shares"].values()) > 1 and profile["texts"] == len(dev)


def test_a_stored_model_keeps_its_thresholds_and_answers_alone(trained, tmp_path):
    folder = write_bundle(trained, tmp_path / "model")
    scorer, texts = load_scorer(folder), make_several(50, 9)["text"].tolist()
    again = scorer.score(texts)
    assert again.chosen == trained.scorer.score(texts).chosen
    assert np.array_equal(again.probabilities, trained.scorer.score(texts).probabilities)
    assert scorer.card["several"] and len(scorer.thresholds) == 3
    assert check_alone(folder)["passed"]


def test_the_compiled_form_answers_like_the_library(trained):
    texts = [*make_several(300, 7)["text"], "", "unseen", "😍" * 50]
    learner = trained.learner
    compiled = learner.compiled().probabilities(learner.features.bags(texts))
    assert np.abs(compiled - learner.predict(texts)).max() < 1e-5


def test_a_blend_is_stored_with_all_its_parts(frames, tmp_path):
    task = label_space("emotion", frames[0]["labels"], several=True)
    parts = TfidfLogistic(QUICK["tfidf_logistic"]), TextCnn(QUICK["text_cnn"])
    blend = Blend(QUICK["text_cnn"], parts=parts)
    trained = train_candidate(blend, frames[0], dev=frames[1], task=task)
    scorer = load_scorer(write_bundle(trained, tmp_path / "blend"))
    texts = make_several(100, 11)["text"].tolist()
    assert scorer.card["parts"][1]["candidate"] == "text_cnn"
    assert np.allclose(scorer.score(texts).probabilities, trained.scorer.score(texts).probabilities)
    assert check_alone(tmp_path / "blend")["passed"]


def test_a_coarser_view_is_stored_as_part_of_a_blend(frames, tmp_path):
    "Fine labels are learned, coarse ones answered; the bundle says the same without any library."
    fine = [read_examples(frame, LABELS, several=True) for frame in frames]
    names, groups = np.array(["bad", "good"]), np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    coarse = [
        frame.assign(labels=["|".join(names[row > 0]) for row in rows.targets @ groups])
        for frame, rows in zip(frames, fine, strict=True)
    ]
    task = label_space("own", coarse[0]["labels"], several=True)
    recipe = QUICK["text_cnn"]
    inner = Blend(recipe, parts=(TextCnn(recipe), TfidfLogistic(recipe)))
    view = Coarser(inner, groups, train=fine[0], dev=fine[1])
    blend = Blend(recipe, parts=(view, TfidfLogistic(recipe)))
    trained = train_candidate(blend, coarse[0], dev=coarse[1], task=task)
    scorer = load_scorer(write_bundle(trained, tmp_path / "blend"))
    texts = [*make_several(100, 11)["text"], "", "unseen", "😍" * 50]
    told, answers = (one.score(texts).probabilities for one in (trained.scorer, scorer))
    assert np.allclose(told, answers) and check_alone(tmp_path / "blend")["passed"]
    assert scorer.card["parts"][0]["inner"]["parts"][0]["candidate"] == "text_cnn"
    assert trained.metrics["dev_macro_f1"] > 0.8
    chances = sigmoid(inner.logits(texts) * view.honest.factor + view.honest.shift)
    none = np.stack([np.prod(1 - chances[:, groups[:, i] > 0], axis=1) for i in (0, 1)], axis=1)
    assert np.allclose(view.predict(texts), 1 - none, atol=1e-5)


def test_dev_rows_with_an_unlearned_label_are_left_aside(frames):
    dev = frames[1].copy()
    dev.loc[0, "labels"] = "joy|fear"
    trained = train_several("tfidf_logistic", (frames[0], dev))
    assert trained.bundle.card["rows"]["dev"] == 199
    with pytest.raises(DataProblem, match="none of the 200 dev rows"):
        train_several("tfidf_logistic", (frames[0], dev.assign(labels="fear")))


def test_numbers_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    truth = rng.random((500, 4)) < [0.5, 0.2, 0.1, 0.02]
    chances = np.clip(truth * 0.3 + rng.random((500, 4)) * 0.6, 0, 1)
    scores = Scores(("a", "b", "c", "d"), chances, (0.5, 0.4, 0.3, 0.6))
    found, chosen = evaluate_several(truth, scores), chances >= np.array(scores.thresholds)
    for average in ("macro", "micro", "weighted"):
        wanted = f1_score(truth, chosen, average=average, zero_division=0)
        assert getattr(found, f"{average}_f1") == pytest.approx(wanted)
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False)) == found.as_dict()


def test_the_interval_is_that_of_drawing_texts():
    rng = np.random.default_rng(1)
    truth = rng.random((600, 3)) < [0.4, 0.2, 0.1]
    chosen = truth ^ (rng.random((600, 3)) < 0.1)
    found = evaluate_several(truth, Scores(("a", "b", "c"), chosen * 1.0, (0.5,) * 3))
    drawn = [rng.integers(0, 600, 600) for _ in range(400)]
    slow = [f1_score(truth[i], chosen[i], average="macro") for i in drawn]
    low, high = np.quantile(slow, [0.025, 0.975])
    assert found.macro_f1_low == pytest.approx(low, abs=0.012)
    assert found.macro_f1_high == pytest.approx(high, abs=0.012)


@given(st.integers(0, 10_000), st.integers(2, 60))
@settings(max_examples=60, deadline=None)
def test_no_threshold_beats_the_best(seed, rows):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 6, size=(rows, 1)) / 5  # many equal scores
    truth = rng.random((rows, 1)) < 0.4
    best = best_thresholds(scores, truth, draws=0)
    every = [label_f1(scores >= cut, truth)[0] for cut in np.linspace(-0.1, 1.1, 25)]
    expected = max(every) if truth.any() else 0.0
    assert label_f1(scores >= best, truth)[0] == pytest.approx(expected)


def test_redrawn_thresholds_generalise_at_least_as_well():
    "On rare labels the median over redrawn samples gives more F1 on fresh rows than the best cut."
    gains = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        chance = rng.beta(0.3, 9, size=(6_000, 4))
        truth = rng.random(chance.shape) < chance
        cuts = (best_thresholds(chance[:600], truth[:600], draws=n, seed=seed) for n in (0, 50))
        once, often = (label_f1(chance[600:] >= cut, truth[600:]).mean() for cut in cuts)
        gains.append(often - once)
    assert np.mean(gains) > 0


def test_platt_scaling_makes_each_label_honest():
    rng = np.random.default_rng(3)
    logits = rng.normal(-1, 2, size=(6_000, 3))
    wrong = np.array([0.4, 1.0, 1.6]), np.array([0.5, -1.0, 0.0])
    truth = rng.random(logits.shape) < 1 / (1 + np.exp(-(logits * wrong[0] + wrong[1])))
    fitted, fresh = slice(0, 3_000), slice(3_000, None)
    factor, shift = platt_scaling(logits[fitted], truth[fitted])
    after = 1 / (1 + np.exp(-(logits[fresh] * factor + shift)))
    before = 1 / (1 + np.exp(-logits[fresh]))
    for i in range(3):
        assert calibration_error(after[:, i], truth[fresh][:, i]) < 0.03
    assert calibration_error(before, truth[fresh]) > 3 * calibration_error(after, truth[fresh])
    assert calibrate(logits[fitted], truth[fitted] * 1.0).error_after < 0.02


def test_rows_are_read_from_the_column_of_several_labels(frames):
    examples = read_examples(frames[0], LABELS, several=True)
    assert examples.several and examples.targets.shape == (600, 3)
    assert (examples.targets.sum(axis=1) >= 1).all()
    with pytest.raises(DataProblem, match="no column 'labels'"):
        read_examples(frames[0].drop(columns="labels"), LABELS, several=True)
