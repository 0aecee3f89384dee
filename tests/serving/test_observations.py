"""What counts as evidence: callers differ, labels come late, and equal canaries stay."""

import importlib.util
from pathlib import Path

import pytest

from mlops_lab.serving.observations import Observations, find_chance
from mlops_lab.serving.routing import Note
from mlops_lab.tracking.trials import Terms, Trial

PLACE = Path(__file__).parents[2] / "benchmarks" / "serving" / "canary_rollbacks.py"


@pytest.fixture(scope="module")
def simulation():
    """The simulation of the benchmark."""
    found = importlib.util.spec_from_file_location("canary_rollbacks", PLACE)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize("way", ["paired by copies", "one vote a caller"])
def test_of_200_equal_canaries_no_more_than_alpha_are_rolled_back(simulation, way):
    """Callers are few, unequal and sticky, labels are late, and somebody looks all the time."""
    ends = [simulation.play(seed, way, requests=500)[0] for seed in range(200)]
    assert ends.count("roll back") <= simulation.ALPHA * 200


def test_a_worse_canary_is_rolled_back_soon(simulation):
    ends = [simulation.play(seed, "paired by copies", worse=0.3)[0] for seed in range(20)]
    assert ends.count("roll back") == 20


@pytest.fixture
def trial():
    return Trial(2, "", Path("canary"), 1, Terms(share=0.5), "2026-01-01", "Ana", "line")


def row(trial, caller, **changes):
    """A label of a text that the model of chance answered."""
    variant = find_chance(trial, caller=caller, text="")[1]
    version = "2" if variant == "canary" else "1"
    told = {"number": 1, "variant": variant, "version": version, "caller": caller, "text": "a"}
    return told | {"label": "joy", "true_label": "joy", "copied_label": None} | changes


def counts(seen):
    return {name: answers for name, (answers, _) in seen.evidence.measures["wrong"].counts.items()}


def test_a_caller_has_one_vote_where_there_is_no_copy(trial):
    seen = Observations(trial)
    for number in range(50):
        seen.saw_label(row(trial, f"caller {number % 5}", number=number))
    assert sum(counts(seen).values()) == 5 and seen.last_label == 49
    assert sum(counts(Observations(trial, seen.dump())).values()) == 5
    again = Observations(trial, seen.dump())
    again.saw_label(row(trial, "caller 1", number=50))
    assert sum(counts(again).values()) == 5  # the votes are remembered across a restart


def test_a_choice_of_a_tester_is_no_vote(trial):
    seen, chance = Observations(trial), find_chance(trial, caller="Ana", text="")[1]
    other = {"canary": ("champion", "1"), "champion": ("canary", "2")}[chance]
    seen.saw_label(row(trial, "Ana", variant=other[0], version=other[1]))
    assert sum(counts(seen).values()) == 0


def test_a_text_that_both_answered_counts_for_both_whoever_asked(trial):
    seen = Observations(trial)
    for number in range(10):
        told = row(trial, "Ana", number=number, copied_label="anger", label="joy")
        seen.saw_label(told)
    assert counts(seen) == {"champion": 10, "canary": 10}
    wrong = {name: bad for name, (_, bad) in seen.evidence.measures["wrong"].counts.items()}
    right, other = (told["variant"], {"canary", "champion"} - {told["variant"]})
    assert wrong[right] == 0 and wrong[other.pop()] == 10


def test_other_versions_are_nobodys_evidence(trial):
    seen = Observations(trial)
    seen.saw_label(row(trial, "Ana", version="9"))
    seen.saw_note(Note("champion", "9", "errors", True))
    assert sum(counts(seen).values()) == 0 and seen.last_label == 1
    assert seen.evidence.measures["errors"].counts["champion"] == [0, 0]
