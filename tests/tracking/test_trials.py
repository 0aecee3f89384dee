"""Trials in the decision log: one at a time, ended once, and whole after any crash."""

import threading

import pytest

from mlops_lab.foundation.errors import ModelProblem
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.tracking.registry import Registry
from mlops_lab.tracking.trials import Terms, Trials, carry_out, find_last_end
from mlops_lab.tracking.withdrawal import find_withdrawal

WHO = ("Ana", "owner", "test")
SIGNED = dict(zip(("by", "role", "reason"), WHO, strict=True))


@pytest.fixture
def trials(tmp_path):
    """Three versions, the first one champion."""
    registry = Registry(Workspace(tmp_path / "lab"), mirrored=False)
    for mark in "abc":
        (tmp_path / mark).mkdir()
        (tmp_path / mark / "card.json").write_text(f'"{mark}"')
        registry.register(tmp_path / mark, run_id="run", metrics={})
    registry.promote(registry.versions()[0], **SIGNED, evidence={})
    return Trials(registry)


def race(work, count=8):
    """Do the same in many threads at once; give what each came to."""
    gate, told = threading.Barrier(count), []

    def run(number):
        gate.wait()
        try:
            told.append(work(number))
        except ModelProblem as problem:
            told.append(problem)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def test_of_many_that_begin_at_once_one_does(trials):
    told = race(lambda number: trials.start(2 + number % 2, Terms(), signed=WHO))
    assert sum(isinstance(one, ModelProblem) for one in told) == 7
    assert [entry.kind for entry in trials.registry.log.read()].count("canary") == 1


def test_of_many_that_end_at_once_one_decides(trials):
    trials.start(2, Terms(), signed=WHO)
    ways = ("promote", "roll back")
    told = race(lambda number: trials.end(ways[number % 2], signed=WHO, evidence={}))
    assert sum(isinstance(one, ModelProblem) for one in told) == 7
    end = find_last_end(trials.registry.log.read()).data["decision"]
    assert trials.registry.champion().number == (2 if end == "promote" else 1)


def test_a_promotion_that_a_crash_left_out_is_made_up_for(trials, monkeypatch):
    trials.start(2, Terms(), signed=WHO)
    with monkeypatch.context() as patch:
        patch.setattr("mlops_lab.tracking.trials.carry_out", lambda registry: None)  # it died here
        trials.end("promote", signed=WHO, evidence={"wrong": 3})
    assert trials.registry.champion().number == 1
    assert carry_out(trials.registry).number == 2 and trials.registry.champion().number == 2
    assert carry_out(trials.registry) is None
    assert trials.registry.log.last("promote").data["evidence"]["measures"] == {"wrong": 3}


def test_a_promotion_that_others_overtook_is_not_made_up_for(trials, monkeypatch):
    trials.start(2, Terms(), signed=WHO)
    monkeypatch.setattr("mlops_lab.tracking.trials.carry_out", lambda registry: None)
    trials.end("promote", signed=WHO, evidence={})
    trials.registry.promote(trials.registry.versions()[2], **SIGNED, evidence={})
    assert carry_out(trials.registry) is None and trials.registry.champion().number == 3


def test_no_canary_replaces_a_champion_it_was_not_compared_with(trials):
    trials.start(2, Terms(), signed=WHO)
    trials.registry.promote(trials.registry.versions()[2], **SIGNED, evidence={})
    with pytest.raises(
        ModelProblem, match="champion is version 3, the trial was against version 1"
    ):
        trials.end("promote", signed=WHO, evidence={})
    trials.end("stop", signed=WHO, evidence={})
    assert trials.registry.champion().number == 3


def test_a_canary_rolled_back_is_taken_back_until_somebody_promotes_it(trials):
    second = trials.registry.versions()[1]
    trials.start(2, Terms(), signed=WHO)
    trials.end("roll back", signed=("Bo", "operator", "more errors"), evidence={})
    found = find_withdrawal(trials.registry.log.read(), second.digest)
    assert (found.number, found.by, found.reason) == (2, "Bo", "more errors")
    trials.registry.promote(second, **SIGNED, evidence={})
    assert find_withdrawal(trials.registry.log.read(), second.digest) is None


def test_a_refused_version_and_a_changed_bundle_are_not_tried(trials):
    second, third = trials.registry.versions()[1:]
    trials.registry.refuse(second, **SIGNED, evidence={})
    with pytest.raises(ModelProblem, match="version 2 was refused"):
        trials.start(2, Terms(), signed=WHO)
    (third.folder / "card.json").write_text("changed")
    with pytest.raises(ModelProblem, match="was changed or is gone"):
        trials.start(3, Terms(), signed=WHO)
    assert trials.running() is None


def test_a_trial_is_read_back_as_it_was_begun(trials):
    terms = Terms(share=0.25, key="x-user", automatic="none", alpha=0.01)
    begun = trials.start(2, terms, signed=WHO)
    found = Trials(Registry(trials.registry.lab, mirrored=False)).running()
    assert found == begun and found.terms == terms and found.champion == 1
    with pytest.raises(ValueError, match="none of promote"):
        trials.end("perhaps", signed=WHO, evidence={})
