"""Another champion under load: nobody waits in vain, nobody gets half an answer of each."""

import asyncio
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from canary_examples import PROGRAM
from load_examples import Load
from serving_examples import KeywordScorer

from mlops_lab.foundation.errors import ModelProblem
from mlops_lab.serving.launcher import running_service
from mlops_lab.serving.model_source import FoundBundle, SwappingSource, registry_source
from mlops_lab.serving.scored_texts import Order
from mlops_lab.serving.scoring import ScoringService

WHO = {"by": "Ana", "role": "owner", "reason": "test", "evidence": {}}


@pytest.fixture
def add(register):
    """Register a bundle whose labels end in a mark."""
    return partial(register, "mark")


def wait_for_version(client, number, wait_s=10.0):
    end = time.monotonic() + wait_s
    while client.score("good")["version"] != str(number):
        assert time.monotonic() < end, f"version {number} never answered"
        time.sleep(0.02)


def check_whole(told, marks):
    """No failed answer, and each is of one version from its first text to its last."""
    assert not [one for one in told if isinstance(one, Exception)]
    for one in told:
        labels = {label for score in one["scores"] for label in score["probabilities"]}
        assert {label.rpartition("-")[2] for label in labels} == {marks[one["version"]]}


def test_twenty_swaps_under_load(settings, registry, add):
    first, second = add("a"), add("b")
    registry.promote(first, **WHO)
    with running_service(settings, program=PROGRAM) as client:
        with Load(client.address, 32) as told:
            for number in range(20):
                version = (second, first)[number % 2]
                registry.promote(version, **WHO)
                wait_for_version(client, version.number)
        check_whole(told, {"1": "a", "2": "b"})
        answered = Counter(one["version"] for one in told)
        assert min(answered["1"], answered["2"]) > 100


def test_a_champion_that_errs_is_rolled_back_and_nobody_notices(settings, registry, add):
    registry.promote(add("a"), **WHO)
    with running_service(settings, program=PROGRAM) as client:
        with Load(client.address, 8) as told:
            time.sleep(0.3)
            registry.promote(add("errs"), **WHO)
            end = time.monotonic() + 60
            while registry.champion().number == 2 and time.monotonic() < end:
                time.sleep(0.02)
            time.sleep(0.3)
        check_whole(told, {"1": "a"})
    last = registry.reigns()[-1]
    assert (last.number, last.kind, last.role) == (1, "rollback", "automatic")
    assert "a planted fault" in last.reason
    with running_service(settings, program=PROGRAM) as client:  # no memory of the first is needed
        assert client.score("good")["version"] == "1"


def test_a_changed_bundle_is_not_served(registry, add):
    registry.promote(add("a"), **WHO)
    source = registry_source(registry, lambda folder: KeywordScorer())
    registry.promote(second := add("b"), **WHO)
    (second.folder / "mark.txt").write_text("other")
    assert not source.refresh() and source.current().version == "1"
    assert "not the registered one" in source.problem.found
    assert registry.champion().number == 1
    (registry.champion().folder / "name.txt").write_text("other")
    with pytest.raises(ModelProblem, match="not the registered one"):
        registry_source(registry, lambda folder: KeywordScorer()).current()


def test_taking_back_a_version_that_is_not_champion_is_refused(registry, add):
    registry.promote(add("a"), **WHO)
    registry.promote(add("b"), **WHO)
    with pytest.raises(ModelProblem, match="version 1 is not champion"):
        registry.take_back("1", "late news")
    assert registry.champion().number == 2


class Slow(KeywordScorer):
    def score(self, texts):
        time.sleep(0.2 if len(texts) > 1 else 0)
        return super().score(texts)


class Failing(KeywordScorer):
    def score(self, texts):
        if "fails" in texts:
            raise ValueError("this text")
        return super().score(texts)


def make_source(scorers):
    versions = iter(scorers)
    given = dict(scorers)
    source = SwappingSource(
        lambda: (v := next(versions, None)) and FoundBundle(v[0], Path(v[0])),
        lambda folder: given[folder.name],
    )
    source.refresh()
    return source


def test_work_begun_before_a_swap_ends_with_its_own_model(store):
    source = make_source([("1", Slow("old")), ("2", KeywordScorer("new"))])
    service = ScoringService(source, store)

    async def swap_meanwhile():
        large = asyncio.create_task(service.answer(Order(["good " * 3000, "bad " * 3000])))
        await asyncio.sleep(0.05)
        assert source.refresh()
        return await service.answer(Order(["good"])), await large

    new, old = asyncio.run(swap_meanwhile())
    assert {r.version for r in old} == {"1"} and {r.version for r in new} == {"2"}


def test_a_text_that_no_model_can_answer_does_not_condemn_the_model(store):
    source = make_source([("1", Failing()), ("2", Failing())])
    source.refresh()
    with pytest.raises(ValueError, match="this text"):
        asyncio.run(ScoringService(source, store).answer(Order(["fails"])))
    assert source.current().version == "2" and source.problem is None


def test_probabilities_that_are_no_numbers_are_an_error(store):
    class NoNumbers(KeywordScorer):
        def score(self, texts):
            scores = super().score(texts)
            scores.probabilities[0, 0] = float("nan")
            return scores

    source = make_source([("1", KeywordScorer()), ("2", NoNumbers())])
    source.refresh()
    records = asyncio.run(ScoringService(source, store).answer(Order(["good"])))
    assert records[0].version == source.current().version == "1"
    assert "no numbers" in source.problem.found
