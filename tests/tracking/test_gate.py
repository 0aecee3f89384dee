import json

import numpy as np
import pytest

from mlops_lab.foundation.errors import DataProblem
from mlops_lab.models.evaluation import confusion_matrix, macro_f1
from mlops_lab.tracking.gate import Challenge, Thresholds, judge, paired_gain

LABELS = np.array(["anger", "joy", "neutral", "sadness"])
CHECKS = {"latency_ms": 1.0, "serving": {"passed": True, "message": "loads alone"}}
RULES = ["macro-F1", "better than the champion", "no group worse", "latency", "loads alone"]
RULES += ["not taken back"]


def draw_truth(rows, rng):
    return rng.choice(LABELS, size=rows, p=[0.2, 0.4, 0.3, 0.1])


def draw_answers(truth, share, rng):
    "Right in about this share of rows, otherwise any label."
    return np.where(rng.random(len(truth)) < share, truth, rng.choice(LABELS, size=len(truth)))


@pytest.fixture
def case():
    rng = np.random.default_rng(11)
    truth = draw_truth(1_500, rng)
    groups = {"language": np.where(np.arange(1_500) < 300, "es", "en")}
    return truth, draw_answers(truth, 0.6, rng), groups, rng


def failed(verdict):
    return [reason.rule for reason in verdict.reasons if not reason.passed]


def test_a_better_challenger_passes(case):
    truth, champion, groups, rng = case
    better = draw_answers(truth, 0.72, rng)
    verdict = judge(Challenge(truth, better, champion, groups, **CHECKS))
    assert verdict.passed and [reason.rule for reason in verdict.reasons] == RULES


def test_equal_and_worse_challengers_are_refused(case):
    truth, champion, groups, rng = case
    worse = draw_answers(truth, 0.45, rng)
    for challenger in (champion, draw_answers(truth, 0.6, rng)):
        verdict = judge(Challenge(truth, challenger, champion, groups, **CHECKS))
        assert failed(verdict) == ["better than the champion"]
    assert "better than the champion" in failed(
        judge(Challenge(truth, worse, champion, groups, **CHECKS))
    )


def test_a_gain_that_one_group_pays_for_is_refused(case):
    truth, champion, groups, rng = case
    es = groups["language"] == "es"
    broken = np.where(es, draw_answers(truth, 0.35, rng), draw_answers(truth, 0.85, rng))
    verdict = judge(Challenge(truth, broken, champion, groups, **CHECKS))
    assert failed(verdict) == ["no group worse"]
    assert "language es -0." in verdict.reasons[2].found


def test_groups_too_small_to_judge_are_left_aside(case):
    truth, champion, groups, rng = case
    few = {"topic": np.where(np.arange(1_500) < 40, "rare", "usual")}
    broken = np.where(few["topic"] == "rare", "joy", draw_answers(truth, 0.8, rng))
    assert judge(Challenge(truth, broken, champion, few, **CHECKS)).passed


def test_the_first_candidate_needs_quality_only(case):
    truth, champion, groups, _ = case
    verdict = judge(Challenge(truth, champion, None, groups, **CHECKS))
    assert verdict.passed and "no champion" in verdict.reasons[1].found
    asked = Thresholds(minimum_macro_f1=0.95)
    assert failed(judge(Challenge(truth, champion, None, groups, **CHECKS), asked)) == ["macro-F1"]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"latency_ms": 20.1}, "latency"),
        ({"latency_ms": None}, "latency"),
        ({"serving": {"passed": False, "message": "needs tensorflow"}}, "loads alone"),
        ({"serving": {}}, "loads alone"),
    ],
)
def test_slow_or_unserved_candidates_are_refused(case, changes, rule):
    truth, champion, _, _ = case
    assert failed(judge(Challenge(truth, champion, **{**CHECKS, **changes}))) == [rule]


def test_a_margin_asks_for_more_and_tolerance_for_less(case):
    truth, champion, groups, rng = case
    challenge = Challenge(truth, draw_answers(truth, 0.72, rng), champion, groups, **CHECKS)
    assert failed(judge(challenge, Thresholds(minimum_gain=0.2))) == ["better than the champion"]
    equal = Challenge(truth, champion, champion, groups, **CHECKS)
    assert judge(equal, Thresholds(minimum_gain=-0.01)).passed


def test_equal_challengers_seldom_pass():
    rng, passed = np.random.default_rng(5), 0
    for _ in range(200):
        truth = draw_truth(600, rng)
        candidate, opponent = (draw_answers(truth, 0.6, rng) for _ in range(2))
        _, gains = paired_gain(Challenge(truth, candidate, opponent), draws=400)
        passed += np.quantile(gains, 0.05) > 0
    assert passed / 200 <= 0.09  # 0.05 asked; 0.09 is its 99th percentile in 200 trials


def test_the_gain_is_the_difference_of_macro_f1(case):
    truth, champion, _, rng = case
    better = draw_answers(truth, 0.8, rng)
    numbers = [np.searchsorted(LABELS, column) for column in (truth, better, champion)]
    wanted = [macro_f1(confusion_matrix(numbers[0], given, width=4)) for given in numbers[1:]]
    gain, gains = paired_gain(Challenge(truth, better, champion))
    assert gain == pytest.approx(wanted[0] - wanted[1])
    assert gains.mean() == pytest.approx(gain, abs=0.01)


def test_drawing_kinds_is_like_drawing_rows(case):
    truth, champion, _, rng = case
    truth, champion = truth[:300], champion[:300]
    better = draw_answers(truth, 0.7, rng)
    numbers = [np.searchsorted(LABELS, column) for column in (truth, better, champion)]
    slow = []
    for _ in range(500):
        t, a, b = np.array(numbers)[:, rng.integers(0, 300, 300)]
        slow.append(
            macro_f1(confusion_matrix(t, a, width=4)) - macro_f1(confusion_matrix(t, b, width=4))
        )
    quick = paired_gain(Challenge(truth, better, champion))[1]
    assert np.quantile(quick, [0.05, 0.5, 0.95]) == pytest.approx(
        np.quantile(slow, [0.05, 0.5, 0.95]), abs=0.012
    )


def test_a_verdict_is_the_same_again_and_plain_json(case):
    truth, champion, groups, rng = case
    challenge = Challenge(truth, draw_answers(truth, 0.7, rng), champion, groups, **CHECKS)
    slower = Challenge(**{**vars(challenge), "latency_ms": 0.93})
    first = judge(challenge).as_dict()
    assert first == judge(slower).as_dict() == json.loads(json.dumps(first))


def test_labels_nobody_gave_and_single_labels_are_survived():
    truth = ["a"] * 30
    assert judge(Challenge(truth, truth, **CHECKS)).passed
    assert not judge(Challenge(truth, ["b"] * 30, **CHECKS)).passed
    assert judge(Challenge(truth, truth, ["c"] * 30, **CHECKS)).passed


@pytest.mark.parametrize("wrong", [([], []), (["a"], ["a", "b"]), (["a"], ["a"], ["a", "b"])])
def test_columns_must_match(wrong):
    with pytest.raises(DataProblem):
        Challenge(*wrong)
    with pytest.raises(DataProblem):
        Challenge(["a"], ["a"], None, {"topic": np.array(["x", "y"])})


def test_what_was_taken_back_passes_only_with_an_approval(case):
    truth, champion, groups, rng = case
    better = draw_answers(truth, 0.72, rng)
    back = {"withdrawn": "version 2 was taken back on 2026-03-01 by Bo (operator): complaints"}
    verdict = judge(Challenge(truth, better, champion, groups, **CHECKS, **back))
    assert failed(verdict) == ["not taken back"]
    assert "2026-03-01 by Bo (operator): complaints" in verdict.as_lines()[-1]
    back["approved"] = "the return of version 2 was approved by Ana (product owner)"
    verdict = judge(Challenge(truth, better, champion, groups, **CHECKS, **back))
    assert verdict.passed and "approved by Ana" in verdict.as_lines()[-1]


def test_an_approval_lets_nothing_else_pass(case):
    truth, champion, groups, _ = case
    back = {"withdrawn": "taken back", "approved": "approved by Ana (owner)"}
    verdict = judge(Challenge(truth, champion, champion, groups, **CHECKS, **back))
    assert failed(verdict) == ["better than the champion"]
