import json
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import accuracy_score, classification_report, confusion_matrix, f1_score

from mlops_lab.foundation.errors import DataProblem
from mlops_lab.models.evaluation import (
    bootstrap_macro_f1,
    evaluate,
    find_slices,
    macro_f1,
    measure_latency,
)
from mlops_lab.models.scorer import Scores
from mlops_lab.models.views import (
    draw_candidates,
    draw_confusion,
    draw_learning,
    draw_reliability,
)

LABELS = ("a", "b", "c")
RNG = np.random.default_rng(3)
TRUTH = RNG.choice(LABELS, size=900, p=[0.6, 0.3, 0.1])
MATCH = np.array([LABELS.index(label) for label in TRUTH])
PROBABILITIES = RNG.dirichlet(np.ones(3), size=900) * 0.6 + np.eye(3)[MATCH] * 0.4
SCORES = Scores(LABELS, PROBABILITIES)


def test_numbers_agree_with_scikit_learn():
    found = evaluate(TRUTH, SCORES)
    assert found.macro_f1 == pytest.approx(f1_score(TRUTH, SCORES.top, average="macro"))
    assert found.accuracy == pytest.approx(accuracy_score(TRUTH, SCORES.top))
    assert found.confusion == confusion_matrix(TRUTH, SCORES.top).tolist()
    report = classification_report(TRUTH, SCORES.top, output_dict=True)
    for row in found.classes:
        wanted = report[row["label"]]
        assert (row["precision"], row["recall"], row["f1"]) == pytest.approx(
            (wanted["precision"], wanted["recall"], wanted["f1-score"])
        )
        assert row["rows"] == wanted["support"]


def test_the_interval_is_that_of_drawing_rows():
    found = evaluate(TRUTH, SCORES)
    top, rows = np.array(SCORES.top), np.random.default_rng(0)
    drawn = [rows.integers(0, 900, 900) for _ in range(400)]
    slow = [f1_score(TRUTH[i], top[i], average="macro") for i in drawn]
    low, high = np.quantile(slow, [0.025, 0.975])
    assert found.macro_f1_low == pytest.approx(low, abs=0.01)
    assert found.macro_f1_high == pytest.approx(high, abs=0.01)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    shares = np.array([[40, 5, 5], [6, 20, 4], [3, 2, 15]]) / 100
    true, rng = macro_f1(shares), np.random.default_rng(1)
    inside = 0
    for seed in range(200):
        counts = rng.multinomial(500, shares.ravel()).reshape(3, 3)
        low, high = np.quantile(bootstrap_macro_f1(counts, draws=400, seed=seed), [0.025, 0.975])
        inside += low <= true <= high
    assert 0.90 <= inside / 200 <= 0.99


def test_hundreds_of_labels_fit_into_memory_and_one_figure():
    rng = np.random.default_rng(5)
    truth = rng.integers(300, size=1_000)
    given = np.where(rng.random(1_000) < 0.7, truth, rng.integers(300, size=1_000))
    counts = np.bincount(truth * 300 + given, minlength=90_000).reshape(300, 300)
    tracemalloc.start()
    found = bootstrap_macro_f1(counts, draws=100, seed=1)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    drawn = np.random.default_rng(1).multinomial(1_000, counts.ravel() / 1_000, size=100)
    assert np.array_equal(found, macro_f1(drawn.reshape(100, 300, 300)))
    assert most < 3 * 8 * 2_000_000  # not the 72 megabytes of all draws, and their copies
    axes = draw_confusion(counts, [f"label {n}" for n in range(300)]).axes[0]
    assert len(axes.texts) == 30**2 and "the 30 of 300 most mistaken" in axes.get_xlabel()
    wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    shown = {int(tick.get_text().split()[1]) for tick in axes.get_yticklabels()}
    assert min(wrong[list(shown)]) >= np.sort(wrong)[-30]


def test_a_label_the_model_does_not_know_counts_as_missed():
    found = evaluate(["a", "a", "new"], Scores(("a", "b"), np.array([[0.9, 0.1]] * 3)))
    assert found.labels == ["a", "b", "new"]
    assert found.macro_f1 == pytest.approx((0.8 + 0.0) / 2)


def test_slices_are_judged_apart():
    frame = pd.DataFrame({"text": ["x" * (n % 200) for n in range(900)], "language": "en"})
    frame.loc[:99, "language"] = "es"
    slices = find_slices(frame.assign(topic=""))
    assert set(slices) == {"length", "language"}
    found = {row["group"]: row for row in evaluate(TRUTH, SCORES, slices=slices).slices}
    rows = frame["language"] == "es"
    top = np.array(SCORES.top)
    assert found["es"]["rows"] == 100 and found["en"]["rows"] == 800
    assert found["es"]["accuracy"] == pytest.approx((top == TRUTH)[rows].mean())


def test_calibration_tells_honest_from_boastful():
    rng = np.random.default_rng(2)
    chance = rng.uniform(0.5, 1.0, size=5_000)
    truth = np.where(rng.random(5_000) < chance, "a", "b")
    honest = Scores(("a", "b"), np.stack([chance, 1 - chance], axis=1))
    boastful = Scores(("a", "b"), np.tile([0.999, 0.001], (5_000, 1)))
    assert evaluate(truth, honest).calibration_error < 0.03
    assert evaluate(truth, boastful).calibration_error > 0.2


def test_an_evaluation_becomes_json_and_is_the_same_again():
    first, second = (evaluate(TRUTH, SCORES, seed=4).as_dict() for _ in range(2))
    assert json.loads(json.dumps(first, allow_nan=False)) == second


@pytest.mark.parametrize("truth", [[], ["a"]])
def test_labels_and_answers_must_match(truth):
    with pytest.raises(DataProblem):
        evaluate(truth, SCORES)


def test_latency_is_in_order_and_in_milliseconds():
    found = measure_latency(lambda texts: sum(range(20_000)), ["a"] * 40)
    assert 0 < found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"] < 1_000


def test_figures_are_drawn_without_pyplot_and_keep_the_text_colour():
    found = evaluate(TRUTH, SCORES)
    drawn = [
        draw_learning([{"epoch": 1, "train_loss": 1.0, "dev_loss": 1.1, "dev_macro_f1": 0.4}]),
        draw_confusion(found.confusion, found.labels),
        draw_candidates({"one": found.as_dict()}, required=0.5),
        draw_reliability({"one": found.reliability}),
    ]
    for figure in drawn:
        assert isinstance(figure, Figure) and figure.patch.get_alpha() == 0.0
        figure.canvas.draw()
        assert figure.axes[0].get_xlabel()
