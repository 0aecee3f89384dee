"""The service without HTTP."""

import asyncio
import json

import pytest
from serving_examples import KeywordScorer, OneModel

from mlops_lab.foundation.errors import ModelProblem
from mlops_lab.serving.model_source import LoadedModel
from mlops_lab.serving.refusals import Overloaded, Refusal
from mlops_lab.serving.scored_texts import Order, score_texts
from mlops_lab.serving.scoring import ScoringService, service_families


def test_records_hold_what_the_scorer_said():
    model = LoadedModel("keywords", "7", "canary", KeywordScorer())
    good, bad = score_texts(model, ["a good day", "xbad bad"], caller="team")
    assert (good.label, bad.label) == ("joy", "sadness")
    assert json.loads(good.probabilities) == pytest.approx(
        {"joy": 2 / 4.5, "neutral": 1.5 / 4.5, "sadness": 1 / 4.5}
    )
    assert (good.version, good.variant, good.caller) == ("7", "canary", "team")
    assert (good.chars, good.words, bad.oov_rate) == (10, 3, 0.5)
    assert good.at == bad.at and good.latency_ms >= 0


def test_answers_are_stored_when_they_arrive(store):
    service = ScoringService(OneModel(), store)
    records = asyncio.run(service.answer(Order(["good", "bad"], caller="me")))
    stored = [store.read(record.score_id) for record in records]
    assert [row["text"] for row in stored] == ["good", "bad"]
    assert json.loads(records[0].probabilities) == stored[0]["probabilities"]


def test_large_requests_are_scored_beside_the_loop(store):
    service = ScoringService(OneModel(), store)

    async def both():
        beats = []

        async def beat():
            while True:
                beats.append(1)
                await asyncio.sleep(0)

        heart = asyncio.create_task(beat())
        records = await service.answer(Order(["good " * 5000, "bad"]))
        heart.cancel()
        return records

    assert [record.label for record in asyncio.run(both())] == ["joy", "sadness"]


def test_a_flood_is_refused_and_the_count_returns_to_zero(store):
    service = ScoringService(OneModel(), store, queue_limit=3)

    async def flood():
        asked = [service.answer(Order(["good"])) for _ in range(10)]
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = asyncio.run(flood())
    refused = [answer for answer in answers if isinstance(answer, Overloaded)]
    assert len(refused) == 7 and "at most 3" in refused[0].expected
    assert store.count() == 3
    assert len(asyncio.run(service.answer(Order(["good"] * 3)))) == 3


def test_no_model_no_answer_and_nothing_stays_counted(store):
    source = OneModel(ModelProblem("no model to serve"))
    service = ScoringService(source, store, queue_limit=1)
    for _ in range(3):
        with pytest.raises(ModelProblem):
            asyncio.run(service.answer(Order(["good"])))
    source.problem = None
    assert asyncio.run(service.answer(Order(["good"])))[0].label == "joy"


def test_a_caller_that_leaves_does_not_stop_the_store(store):
    service = ScoringService(OneModel(), store, queue_limit=1)

    async def leave():
        task = asyncio.create_task(service.answer(Order(["good"])))
        while not store.waiting and not store.count():  # until it is on its way
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await service.answer(Order(["bad"]))

    assert asyncio.run(leave())[0].label == "sadness"
    assert store.count() == 2


def test_a_caller_that_leaves_before_its_turn_costs_nothing(store):
    service = ScoringService(OneModel(), store)

    async def leave():
        tasks = [
            asyncio.create_task(service.answer(Order([text]))) for text in ("good", "bad", "so")
        ]
        await asyncio.sleep(0)
        tasks[1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    kept = asyncio.run(leave())
    assert isinstance(kept[1], asyncio.CancelledError) and store.count() == 2
    assert [kept[0][0].text, kept[2][0].text] == ["good", "so"]
    assert service.in_work == 0


@pytest.mark.parametrize("way", ["short", "long"])
def test_requests_of_one_moment_share_one_scoring_and_one_commit(store, way):
    calls, groups = [], []

    class Counting(KeywordScorer):
        def score(self, texts):
            calls.append(texts)
            return super().score(texts)

    source = OneModel()
    object.__setattr__(source.model, "scorer", Counting())
    service = ScoringService(source, store)
    if way == "long":
        store.save_now = lambda records: False
    name = "save_now" if way == "short" else "submit"
    store_them = getattr(store, name)
    setattr(store, name, lambda records: groups.append(records) or store_them(records))

    async def together():
        asked = [["good"], ["bad", "so so"], ["bad good"]]
        return await asyncio.gather(*(service.answer(Order(t, caller=t[0])) for t in asked))

    answers = asyncio.run(together())
    assert calls == [["good", "bad", "so so", "bad good"]] and len(groups) == 1
    assert [[r.text for r in a] for a in answers] == [["good"], ["bad", "so so"], ["bad good"]]
    assert [r.caller for a in answers for r in a] == ["good", "bad", "bad", "bad good"]


def test_one_text_that_breaks_the_scorer_harms_no_neighbour(store):
    class Picky(KeywordScorer):
        def score(self, texts):
            if "poison" in texts:
                raise ZeroDivisionError("a planted fault")
            return super().score(texts)

    source = OneModel()
    object.__setattr__(source.model, "scorer", Picky())
    service = ScoringService(source, store)

    async def together():
        asked = (["good"], ["poison"], ["bad"])
        return await asyncio.gather(*map(service.answer, map(Order, asked)), return_exceptions=True)

    good, poison, bad = asyncio.run(together())
    assert isinstance(poison, ZeroDivisionError)
    assert (good[0].label, bad[0].label) == ("joy", "sadness") and store.count() == 2


def test_two_models_of_one_moment_do_not_mix(store):
    one, two = (
        LoadedModel("keywords", version, "champion", KeywordScorer(labels=labels))
        for version, labels in (("1", ("joy", "neutral", "sadness")), ("2", ("a", "b", "c")))
    )

    class ByCaller(OneModel):
        def pick(self, caller, wanted):
            return two if caller == "second" else one

    service = ScoringService(ByCaller(), store)

    async def together():
        callers = ["first", "second"] * 10
        asked = (service.answer(Order(["good", "bad"], key=caller)) for caller in callers)
        return callers, await asyncio.gather(*asked)

    for caller, records in zip(*asyncio.run(together()), strict=True):
        wanted = (
            [("2", "a"), ("2", "c")] if caller == "second" else [("1", "joy"), ("1", "sadness")]
        )
        assert [(record.version, record.label) for record in records] == wanted


def test_feedback_and_look_up_know_their_ids(store):
    service = ScoringService(OneModel(), store)
    record = asyncio.run(service.answer(Order(["good"])))[0]
    asyncio.run(service.take_feedback(record.score_id, "neutral", source="teacher"))
    found = asyncio.run(service.look_up(record.score_id))
    assert found["feedback"][0]["label"] == "neutral"
    for wrong in (service.look_up("x"), service.take_feedback("x", "joy", source="me")):
        with pytest.raises(Refusal) as refusal:
            asyncio.run(wrong)
        assert refusal.value.status == 404


def test_the_metrics_tell_texts_and_queues(store):
    service = ScoringService(OneModel(), store)
    asyncio.run(service.answer(Order(["good", "good", "bad"])))
    families = {family.name: family for family in service_families(service)}
    texts = {labels["label"]: n for _, labels, n in families["mlops_lab_texts_total"].samples}
    assert texts == {"joy": 2, "sadness": 1}
    assert families["mlops_lab_texts_in_work"].samples == (("", {}, 0),)
