"""The service without HTTP."""

import asyncio
import json

import pytest
from serving_examples import KeywordScorer, OneModel

from mlops_lab.foundation.errors import ModelProblem
from mlops_lab.serving.model_source import LoadedModel
from mlops_lab.serving.refusals import Overloaded, Refusal
from mlops_lab.serving.scoring import ScoringService, score_texts, service_families


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
    records = asyncio.run(service.answer(["good", "bad"], caller="me"))
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
        records = await service.answer(["good " * 5000, "bad"])
        heart.cancel()
        return records

    assert [record.label for record in asyncio.run(both())] == ["joy", "sadness"]


def test_a_flood_is_refused_and_the_count_returns_to_zero(store):
    service = ScoringService(OneModel(), store, queue_limit=3)

    async def flood():
        asked = [service.answer(["good"]) for _ in range(10)]
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = asyncio.run(flood())
    refused = [answer for answer in answers if isinstance(answer, Overloaded)]
    assert len(refused) == 7 and "at most 3" in refused[0].expected
    assert store.count() == 3
    assert len(asyncio.run(service.answer(["good"] * 3))) == 3


def test_no_model_no_answer_and_nothing_stays_counted(store):
    source = OneModel(ModelProblem("no model to serve"))
    service = ScoringService(source, store, queue_limit=1)
    for _ in range(3):
        with pytest.raises(ModelProblem):
            asyncio.run(service.answer(["good"]))
    source.problem = None
    assert asyncio.run(service.answer(["good"]))[0].label == "joy"


def test_a_caller_that_leaves_does_not_stop_the_store(store):
    service = ScoringService(OneModel(), store, queue_limit=1)

    async def leave():
        task = asyncio.create_task(service.answer(["good"]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await service.answer(["bad"])

    assert asyncio.run(leave())[0].label == "sadness"
    assert store.count() == 2


def test_feedback_and_look_up_know_their_ids(store):
    service = ScoringService(OneModel(), store)
    record = asyncio.run(service.answer(["good"]))[0]
    asyncio.run(service.take_feedback(record.score_id, "neutral", source="teacher"))
    found = asyncio.run(service.look_up(record.score_id))
    assert found["feedback"][0]["label"] == "neutral"
    for wrong in (service.look_up("x"), service.take_feedback("x", "joy", source="me")):
        with pytest.raises(Refusal) as refusal:
            asyncio.run(wrong)
        assert refusal.value.status == 404


def test_the_metrics_tell_texts_and_queues(store):
    service = ScoringService(OneModel(), store)
    asyncio.run(service.answer(["good", "good", "bad"]))
    families = {family.name: family for family in service_families(service)}
    texts = {labels["label"]: n for _, labels, n in families["mlops_lab_texts_total"].samples}
    assert texts == {"joy": 2, "sadness": 1}
    assert families["mlops_lab_texts_in_work"].samples == (("", {}, 0),)
