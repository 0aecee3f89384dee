import json

import numpy as np
import pytest
from tracking_examples import FIT, agreed

from mlops_lab.foundation.canvas import read_canvas
from mlops_lab.foundation.errors import DataProblem
from mlops_lab.foundation.targets import TARGET_KINDS
from mlops_lab.models.evaluation import confusion_matrix, macro_f1, reliability
from mlops_lab.tracking.challenge import Challenge
from mlops_lab.tracking.comparison import mcnemar, paired_gain, sign_test
from mlops_lab.tracking.gate import judge, tell_targets, usual_targets

LABELS = np.array(["anger", "joy", "neutral", "sadness"])
BEHAVED = {"negation": ([True] * 30 + [False] * 10, None), "names": ([True] * 40, None)}
CHECKS = FIT | {"behaviour": BEHAVED, "behaviour_judged": True}
RULES = ["macro-F1", "better than the champion", "rows won", "test rows", "no leak"]
RULES += ["no group worse", "no group left behind", "behaviour", "kinds of behaviour"]
RULES += ["no behaviour worse", "honest certainty", "latency", "size", "loads alone"]
RULES += ["serves", "not taken back"]
NOT_BETTER = ["better than the champion", "rows won"]


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
        assert failed(verdict) == NOT_BETTER
    assert "better than the champion" in failed(
        judge(Challenge(truth, worse, champion, groups, **CHECKS))
    )


def test_a_gain_that_one_group_pays_for_is_refused(case):
    truth, champion, groups, rng = case
    es = groups["language"] == "es"
    broken = np.where(es, draw_answers(truth, 0.35, rng), draw_answers(truth, 0.85, rng))
    verdict = judge(Challenge(truth, broken, champion, groups, **CHECKS))
    assert failed(verdict) == ["no group worse", "no group left behind"]
    found = {reason.rule: reason.found for reason in verdict.reasons}
    assert "language es -0." in found["no group worse"]


def test_a_gap_between_groups_of_people_is_refused_whatever_the_champion_did(case):
    truth, _, groups, rng = case
    es = groups["language"] == "es"
    unfair, better = (
        np.where(es, draw_answers(truth, low, rng), draw_answers(truth, high, rng))
        for low, high in ((0.35, 0.7), (0.5, 0.85))
    )
    verdict = judge(Challenge(truth, better, unfair, groups, **CHECKS))
    assert failed(verdict) == ["no group left behind"]
    found = {reason.rule: reason for reason in verdict.reasons}["no group left behind"]
    assert "language en 0." in found.found and "language es 0." in found.found
    assert found.source.startswith("maximum_fairness_gap: canvas.yaml of the lab line")
    other = {"topic": groups["language"]}  # not about people, says the canvas
    assert judge(Challenge(truth, better, unfair, other, **CHECKS)).passed
    wide = agreed(maximum_fairness_gap=0.5)
    assert judge(Challenge(truth, better, unfair, groups, **CHECKS), wide).passed


def test_equal_groups_are_seldom_called_unfair():
    rng, refused = np.random.default_rng(29), 0
    for _ in range(60):
        truth = draw_truth(400, rng)
        language = {"language": rng.choice(["en", "es", "fr"], 400)}
        answers = draw_answers(truth, 0.6, rng)
        limits = agreed(minimum_macro_f1=0, maximum_fairness_gap=0, smallest_slice=50)
        judged = judge(Challenge(truth, answers, None, language, **CHECKS), limits)
        refused += "no group left behind" in failed(judged)
    assert refused <= 6  # 3 of 60 are expected


@pytest.mark.parametrize("rows", [40, 400, 4_000])
def test_an_honest_model_is_seldom_called_dishonest_and_a_boaster_is(rows):
    rng, limits = np.random.default_rng(rows), agreed(maximum_calibration_error=0.05)
    refused = {"honest": 0, "boaster": 0}
    for _ in range(40):
        sure = rng.uniform(0.3, 1.0, rows)
        for name, chance in (("honest", sure), ("boaster", sure - 0.25)):
            bins = reliability(sure, rng.random(rows) < chance)
            truth = ["a", "b"] * (rows // 2)
            checks = CHECKS | {"certainty": bins}
            broken = failed(judge(Challenge(truth, truth, **checks), limits))
            refused[name] += broken == ["honest certainty"]
    assert refused["honest"] <= 2 and refused["boaster"] >= (30 if rows > 40 else 20)


def test_each_kind_of_case_has_a_floor_of_its_own(case):
    truth, champion, _, _ = case

    def ask(**changes):
        return judge(Challenge(truth, champion, **CHECKS), agreed(**changes))

    assert ask(**{"behaviour.negation": 0.7}).passed  # 30 of 40
    assert ask(**{"behaviour.negation": 0.8}).passed  # a little less, which luck explains
    lost = ask(**{"behaviour.negation": 0.95})
    assert failed(lost) == ["kinds of behaviour"]
    [reason] = [one for one in lost.reasons if not one.passed]
    assert reason.targets == ("behaviour.negation",) and "this test" in reason.source
    assert "negation 75.0% of 40 cases, asked 95%" in reason.found


def test_a_rate_that_was_agreed_and_never_measured_is_refused(case):
    truth, champion, _, _ = case

    def ask(judged=True, **changes):
        given = CHECKS | {"behaviour_judged": judged}
        return judge(Challenge(truth, champion, **given), agreed(**changes))

    assert ask().passed  # what the lab proposes for kinds that no case fits is not agreed on
    lost = ask(**{"behaviour.twins": 0.3, "behaviour.strength": 0.4, "behaviour.typos": 0.0})
    assert failed(lost) == ["kinds of behaviour"]
    [reason] = [one for one in lost.reasons if not one.passed]
    assert reason.targets == ("behaviour.strength", "behaviour.twins")
    assert "strength in no case, asked 40%; twins in no case, asked 30%" in reason.found
    assert "labels and languages of the model" in reason.found
    assert "agree on 0 for it, with a reason" in reason.required
    told = {one["target"]: one["found"] for one in tell_targets(agreed(), lost)}
    assert told["behaviour.twins"].startswith("no case") and not told["behaviour.typos"]
    assert failed(ask(judged=False, **{"behaviour.twins": 0.3})) == ["kinds of behaviour"]
    assert ask(**{"behaviour.twins": 0.0}).passed


def test_a_rate_in_the_canvas_of_the_project_counts_as_agreed(case, tmp_path):
    truth, champion, _, _ = case
    canvas = tmp_path / "canvas.yaml"
    written = "targets: {behaviour: {twins: {target: 0.2, unit: share, reason: fair to both}}}"
    canvas.write_text(written)
    verdict = judge(Challenge(truth, champion, **CHECKS), read_canvas(canvas).targets)
    assert failed(verdict) == ["kinds of behaviour"]
    [reason] = [one for one in verdict.reasons if not one.passed]
    assert "twins in no case, asked 20%" in reason.found and "canvas.yaml line 1" in reason.source


def test_every_number_of_a_reason_has_its_origin_and_every_target_its_finding(case):
    truth, champion, groups, rng = case
    limits = agreed(minimum_rows=40)
    verdict = judge(
        Challenge(truth, draw_answers(truth, 0.72, rng), champion, groups, **CHECKS), limits
    )
    numberless = {"loads alone", "serves", "not taken back"}
    assert {one.rule for one in verdict.reasons if not one.source} == numberless
    rows = next(one for one in verdict.reasons if one.rule == "test rows")
    assert "this test, instead of 30 in canvas.yaml of the lab line" in str(rows)
    told = {one["target"]: one for one in tell_targets(limits, verdict)}
    assert list(told) == list(TARGET_KINDS) and told["minimum_rows"]["found"] == "1500"
    unasked = {name for name, one in told.items() if not one["found"]}
    asked = {f"behaviour.{name}" for name in BEHAVED}
    assert unasked == {name for name in TARGET_KINDS if "behaviour." in name} - asked
    assert json.loads(json.dumps(list(told.values()))) == list(told.values())


def test_groups_too_small_to_judge_are_left_aside(case):
    truth, champion, groups, rng = case
    few = {"topic": np.where(np.arange(1_500) < 40, "rare", "usual")}
    broken = np.where(few["topic"] == "rare", "joy", draw_answers(truth, 0.8, rng))
    assert judge(Challenge(truth, broken, champion, few, **CHECKS)).passed


def test_the_first_candidate_needs_quality_only(case):
    truth, champion, groups, _ = case
    verdict = judge(Challenge(truth, champion, None, groups, **CHECKS))
    assert verdict.passed and "no champion" in verdict.reasons[1].found
    asked = agreed(minimum_macro_f1=0.95)
    assert failed(judge(Challenge(truth, champion, None, groups, **CHECKS), asked)) == ["macro-F1"]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"latency_ms": 20.1}, "latency"),
        ({"latency_ms": None}, "latency"),
        ({"serving": {"passed": False, "message": "needs tensorflow"}}, "loads alone"),
        ({"serving": {}}, "loads alone"),
        ({"service": {"passed": False, "message": "no answer"}}, "serves"),
        ({"service": {}}, "serves"),
        ({"certainty": ()}, "honest certainty"),
        ({"size_mb": None}, "size"),
        ({"size_mb": 100.1}, "size"),
        ({"behaviour": {"names": ([True] * 19 + [False] * 21, None)}}, "behaviour"),
    ],
)
def test_slow_or_unserved_candidates_are_refused(case, changes, rule):
    truth, champion, _, _ = case
    assert failed(judge(Challenge(truth, champion, **{**CHECKS, **changes}))) == [rule]


def test_a_margin_asks_for_more_and_tolerance_for_less(case):
    truth, champion, groups, rng = case
    challenge = Challenge(truth, draw_answers(truth, 0.72, rng), champion, groups, **CHECKS)
    assert failed(judge(challenge, agreed(minimum_gain=0.2))) == ["better than the champion"]
    equal = Challenge(truth, champion, champion, groups, **CHECKS)
    assert judge(equal, agreed(minimum_gain=-0.01)).passed


@pytest.mark.parametrize("rows", [30, 600])
def test_equal_challengers_seldom_pass(rows):
    rng, passed = np.random.default_rng(5), 0
    low = agreed(minimum_macro_f1=0.0)
    for _ in range(200):
        truth = draw_truth(rows, rng)
        candidate, opponent = (draw_answers(truth, 0.6, rng) for _ in range(2))
        passed += judge(Challenge(truth, candidate, opponent, **CHECKS), low).passed
    assert passed / 200 <= low["significance"]


def test_mcnemar_is_the_exact_binomial_test():
    stats = pytest.importorskip("scipy.stats")
    for won, lost in ((0, 0), (1, 0), (9, 1), (40, 22), (300, 260), (2, 9), (5_000, 4_900)):
        truth = ["a"] * (won + lost + 3)
        candidate = ["a"] * won + ["b"] * lost + ["a"] * 3
        opponent = ["b"] * won + ["a"] * lost + ["a"] * 3
        total = won + lost
        wanted = stats.binomtest(won, total, alternative="greater").pvalue if total else 1.0
        found = mcnemar(Challenge(truth, candidate, opponent))
        assert found[:2] == (won, lost) and found[2] == pytest.approx(wanted, rel=1e-6)


def test_a_gain_on_few_rows_proves_nothing(case):
    truth = np.array(["joy", "anger"] * 15)
    better, poor = np.where(np.arange(30) < 2, "sadness", truth), np.full(30, "joy")
    assert judge(Challenge(truth, better, poor, **CHECKS)).passed
    few = [column[:29] for column in (truth, better, poor)]
    assert failed(judge(Challenge(*few, **CHECKS))) == ["test rows"]
    assert failed(judge(Challenge(truth[:5], truth[:5], None, **CHECKS))) == ["test rows"]
    assert judge(Challenge(*few, **CHECKS), agreed(minimum_rows=29)).passed


def test_a_label_leaking_challenger_is_refused(case):
    truth, champion, groups, rng = case
    leaking = np.where(np.arange(len(truth)) < 3, "joy", truth)
    assert failed(judge(Challenge(truth, leaking, champion, groups, **CHECKS))) == ["no leak"]
    better = draw_answers(truth, 0.72, rng)
    told = Challenge(truth, better, champion, groups, **CHECKS, leaks="40 test texts in train")
    verdict = judge(told)
    assert failed(verdict) == ["no leak"] and "40 test texts in train" in verdict.as_lines()[4]
    assert failed(judge(Challenge(truth, better, **CHECKS, leaks="known"))) == ["no leak"]


def test_a_tolerated_loss_is_still_bounded_by_rows(case):
    truth, champion, groups, rng = case
    worse = draw_answers(truth, 0.5, rng)
    limits = agreed(minimum_gain=-0.5, maximum_slice_drop=1.0, minimum_macro_f1=0)
    verdict = judge(Challenge(truth, worse, champion, groups, **CHECKS), limits)
    assert failed(verdict) == ["rows won"]


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
    verdict = judge(Challenge(truth, truth, ["c"] * 30, **CHECKS))
    assert failed(verdict) == ["no leak"]  # from nothing to perfect


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
    assert failed(verdict) == NOT_BETTER


def behave(**pairs):
    """Cases of candidate and champion by capability, from how many of 40 each passed."""
    return {
        name: ([i < a for i in range(40)], [i < b for i in range(40)])
        for name, (a, b) in pairs.items()
    }


def test_a_capability_that_is_lost_is_refused_and_luck_is_not(case):
    truth, champion, groups, rng = case
    better = draw_answers(truth, 0.72, rng)

    def ask(**pairs):
        checks = CHECKS | {"behaviour": behave(**pairs)}
        return judge(Challenge(truth, better, champion, groups, **checks))

    assert ask(negation=(30, 30), names=(38, 40)).passed
    assert ask(negation=(27, 30), names=(40, 40)).passed  # 3 lost of 40: within chance
    lost = ask(negation=(20, 30), names=(40, 40))
    assert failed(lost) == ["no behaviour worse"] and "negation -0.250" in " ".join(lost.as_lines())
    assert "worst: negation" in " ".join(ask(negation=(29, 30), names=(40, 40)).as_lines())


def test_behaviour_is_judged_only_where_the_cases_know_the_labels(case):
    truth, champion, groups, _ = case
    checks = CHECKS | {"behaviour": {"typos": ([False] * 40, None)}, "behaviour_judged": False}
    verdict = judge(Challenge(truth, champion, None, groups, **checks))
    assert verdict.passed and "no case knows the labels" in " ".join(verdict.as_lines())
    # a model of Japanese: the cases were asked for, and none is in its language
    foreign = CHECKS | {"behaviour": {}, "behaviour_judged": False}
    verdict = judge(Challenge(truth, champion, None, groups, **foreign))
    assert verdict.passed and "in a language of the model" in " ".join(verdict.as_lines())
    for looked in (None, True):
        missing = CHECKS | {"behaviour": {}, "behaviour_judged": looked}
        found = judge(Challenge(truth, champion, None, groups, **missing))
        assert failed(found) == ["behaviour", "kinds of behaviour"]


def test_a_fair_coin_is_not_suspicious():
    assert sign_test(20, 20) > 0.5 and sign_test(0, 9) == pytest.approx(1.0)
    assert sign_test(9, 0) == pytest.approx(2**-9)


STARS = list("12345") * 60


@pytest.mark.parametrize(
    ("truth", "several", "least"),
    [(STARS, False, 0.35), (["a", "b"], False, 0.5), (["a|b", "c", "d", "e"], True, 0.4)],
)
def test_data_of_ones_own_is_asked_for_more_than_guessing_reaches(truth, several, least):
    asked = usual_targets(read_canvas().targets, truth, several=several)
    assert asked["minimum_macro_f1"] == least


@pytest.mark.parametrize(("share", "passes"), [(0.0, False), (0.4, True)])
def test_stars_pass_with_less_than_half_and_guessing_does_not(share, passes):
    rng, truth = np.random.default_rng(3), np.array(STARS)
    answers = np.where(rng.random(len(truth)) < share, truth, rng.permutation(truth))
    asked = usual_targets(read_canvas().targets, STARS)
    verdict = judge(Challenge(truth, answers, **CHECKS), asked)
    assert ("macro-F1" not in failed(verdict)) == passes


def test_what_a_project_agreed_on_stays(tmp_path):
    told = "targets:\n  minimum_macro_f1:\n    target: 0.9\n    unit: F1\n    reason: so\n"
    (tmp_path / "canvas.yaml").write_text(told)
    agreed_ones = read_canvas(tmp_path / "canvas.yaml").targets
    assert usual_targets(agreed_ones, STARS) == agreed_ones
    asked = read_canvas().targets.changed({"minimum_macro_f1": 0.4}, "the setting targets")
    assert usual_targets(asked, STARS) == asked
