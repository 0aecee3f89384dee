"""Too much work: a quick reason for those refused, the promised time for those accepted."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from canary_examples import PROGRAM
from serving_examples import KeywordScorer, OneModel, ask

from mlops_lab.foundation.settings import Settings
from mlops_lab.foundation.workspace import open_workspace
from mlops_lab.serving.client import ServiceClient
from mlops_lab.serving.launcher import running_service
from mlops_lab.serving.refusals import Refusal
from mlops_lab.serving.score_store import ScoreStore
from mlops_lab.serving.service import create_app

TEXT_S = 0.02  # a slow model: 50 texts a second, far less than the loop can refuse
BOUND_MS = 1000


class SlowScorer(KeywordScorer):
    """Takes its time for each text, like a large model on a small machine."""

    def score(self, texts):
        time.sleep(TEXT_S * len(texts))
        return super().score(texts)


@pytest.fixture
def app(store):
    source = OneModel()
    object.__setattr__(source.model, "scorer", SlowScorer())
    store._queue._limit = 10_000
    return create_app(Settings(service_latency_ms=BOUND_MS), source, store)


async def timed(app, seen):
    began = time.perf_counter()
    answer = await ask(app, "POST", "/score", {"text": "a good day"})
    seen.append((answer, time.perf_counter() - began))


async def flood(app, per_s, seconds):
    """Send on schedule whether or not answers come, as the world does."""
    seen, tasks, began = [], [], time.perf_counter()
    while (now := time.perf_counter() - began) < seconds:
        due = int(now * per_s) - len(tasks)
        tasks += [asyncio.create_task(timed(app, seen)) for _ in range(due)]
        await asyncio.sleep(0.002)
    await asyncio.gather(*tasks)
    return seen


async def crowd_and_after(app):
    crowd = await flood(app, 5 / TEXT_S, 3.0)
    await asyncio.sleep(0.5)
    return crowd, await flood(app, 0.3 / TEXT_S, 1.0)


def test_five_times_too_much_is_refused_quickly_and_the_rest_answered_in_time(app, store):
    told, late = set(), []
    for _ in range(3):  # a machine may stand still for a second; a queue without end is always late
        crowd, after = asyncio.run(crowd_and_after(app))
        good = [took for answer, took in crowd if answer.status == 200]
        refused = [(answer, took) for answer, took in crowd if answer.status != 200]
        assert {answer.status for answer, _ in refused} == {429} and len(refused) > len(good) > 100
        assert all("wait" in answer.json["error"] for answer, _ in refused)
        assert all(answer.headers["retry-after"] == "1" for answer, _ in refused)
        assert sorted(took for _, took in refused)[len(refused) // 2] < BOUND_MS / 1000 / 4
        assert all(answer.status == 200 for answer, _ in after)  # it has recovered
        told |= {answer.json["score_id"] for answer, _ in crowd + after if answer.status == 200}
        assert told == set(store.frame()["score_id"])
        late.append(sorted(good)[int(len(good) * 0.99)])
        if late[-1] < BOUND_MS / 1000:
            break
    assert late[-1] < BOUND_MS / 1000, late


def test_one_large_request_alone_is_never_too_much(app):
    async def alone():
        return await ask(app, "POST", "/score", {"text": ["good"] * 256})

    assert asyncio.run(alone()).status == 200  # takes longer than the bound; nobody else waits


def ask_until(end, address, seen):
    client = ServiceClient(address)
    while time.monotonic() < end:
        began = time.perf_counter()
        try:
            told = client.score("a good day")["score_id"]
        except Refusal as refusal:
            told = refusal.status
            time.sleep(0.02)  # or the callers themselves would take the processor
        seen.append((told, time.perf_counter() - began))
    client.close()


def crowd_at(client):
    seen, end = [], time.monotonic() + 3
    with ThreadPoolExecutor(60) as callers:  # a text takes 50 ms: 60 would wait 3 s
        for _ in range(60):
            callers.submit(ask_until, end, client.address, seen)
    return seen


def test_the_same_over_real_http(settings, add):
    add("slow")
    tight = replace(settings, service_latency_ms=BOUND_MS)
    answered, late = set(), []
    with running_service(tight, program=PROGRAM) as client:
        for _ in range(3):  # as above: a machine may stand still
            seen = crowd_at(client)
            began = time.monotonic()
            assert client.score("good")["label"] == "joy"
            back_s = time.monotonic() - began
            good = sorted(took for told, took in seen if isinstance(told, str))
            refused = sorted(took for told, took in seen if told == 429)
            assert len(good) + len(refused) == len(seen) and len(refused) > 5 * len(good) > 100
            answered |= {told for told, _ in seen if isinstance(told, str)}
            late.append(max(good[-1], refused[len(refused) // 2] * 4, back_s / 2))
            if late[-1] < BOUND_MS / 1000:
                break
    assert late[-1] < BOUND_MS / 1000, late
    store = ScoreStore(open_workspace(settings).score_store)
    kept = set(store.frame()["score_id"])
    store.close()
    assert answered <= kept
