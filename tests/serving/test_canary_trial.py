"""The rule that ends a canary: how often it is wrong, and how soon it is right."""

import math
from itertools import product

import numpy as np
import pytest

from mlops_lab.serving.canary_trial import Bet, CanaryTrial, TrialRules

QUIET = TrialRules(fewest_labels=10**9)  # never promotes, so a whole trial is looked at


def simulate(seed, *, bad_share, length=1000, rules=QUIET):
    """Play one canary of `length` labelled answers, nine of the champion to one; look at each."""
    chance, trial = np.random.default_rng(seed), CanaryTrial(rules)
    for number in range(length):
        for _ in range(chance.binomial(18, 0.5)):
            trial.saw("wrong", "champion", is_bad=chance.random() < 0.3)
        trial.saw("wrong", "canary", is_bad=chance.random() < bad_share)
        told = trial.advice() if number % 10 == 9 else None
        if told and told.decision != "hold":
            return told.decision, number
    return "hold", length


def test_equal_canaries_are_rolled_back_no_more_often_than_alpha():
    rules = TrialRules(alpha=0.15, fewest_labels=10**9)  # 0.05 for each of the three measures
    ends = [simulate(seed, bad_share=0.3, length=300, rules=rules)[0] for seed in range(200)]
    assert ends.count("roll back") <= 0.15 * 200


def test_one_bet_is_wrong_no_more_often_than_its_alpha_at_any_look():
    """The bound itself, without the sharing of alpha: 1,000 fair games watched at every step."""
    chance, alpha = np.random.default_rng(3), 0.05
    differences = chance.choice([-1, 0, 1], p=[0.2, 0.6, 0.2], size=(1000, 400))
    wins = 0
    for game in differences:
        bet = Bet()
        for difference in game:
            bet.saw(difference)
            if bet.log_capital >= -math.log(alpha):
                wins += 1
                break
    assert 0 < wins <= alpha * 1000


def test_worse_canaries_are_rolled_back():
    ends = [simulate(seed, bad_share=0.5) for seed in range(40)]
    assert [end for end, _ in ends].count("roll back") == 40
    assert np.median([number for _, number in ends]) < 400


def test_a_good_canary_is_promoted_once_every_measure_is_known():
    chance, trial = np.random.default_rng(5), CanaryTrial(TrialRules())
    decisions = []
    for _ in range(3000):
        for variant in ("champion", "canary"):
            trial.saw("errors", variant, is_bad=False)
            trial.saw("slow", variant, is_bad=chance.random() < 0.01)
            trial.saw("wrong", variant, is_bad=chance.random() < 0.2)
        decisions.append(trial.advice().decision)
        if decisions[-1] != "hold":
            break
    assert decisions[-1] == "promote" and len(decisions) >= 100


def test_without_labels_a_canary_is_held():
    trial = CanaryTrial(TrialRules())
    for _, name, variant in product(range(2000), ("errors", "slow"), ("champion", "canary")):
        trial.saw(name, variant, is_bad=False)
    assert trial.advice().decision == "hold" and "0 labelled" in trial.advice().reason


@pytest.mark.parametrize("measure", ["errors", "slow"])
def test_errors_and_slowness_need_no_labels(measure):
    trial = CanaryTrial(TrialRules())
    for number in range(300):
        trial.saw(measure, "champion", is_bad=False)
        trial.saw(measure, "canary", is_bad=number % 5 == 0)
    told = trial.advice()
    assert told.decision == "roll back" and measure in told.reason
    assert told.evidence[measure]["canary"] == {"answers": 300, "bad": 60}


def test_no_difference_ruins_a_bet():
    for tolerance, difference in product((0.0, -0.05, -0.5), (-1.0, 1.0)):
        bet = Bet(tolerance)
        bet.saw(difference)
        assert math.isfinite(bet.log_capital)


@pytest.mark.parametrize("distances", [[1.0], [1.0, 0.5], [0.75]])
def test_a_canary_far_from_the_champion_is_rolled_back_for_what_it_is(distances):
    """Other labels in all texts, or in part of the labels: one reason is true of both kinds."""
    trial = CanaryTrial(TrialRules())
    trial.saw_copies(*distances * 200)
    told = trial.advice()
    assert told.decision == "roll back"
    assert told.reason == "labels more than 50% apart from the champion's, on average"


def test_part_of_the_labels_on_every_text_is_no_reason_by_itself():
    trial = CanaryTrial(TrialRules())
    trial.saw_copies(*[0.5, 1 / 3] * 2000)  # differs on each text, by less than half on average
    told = trial.advice()
    assert told.decision == "hold" and told.evidence["copies"]["differing"] == 4000
