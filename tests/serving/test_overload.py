"""Too much work: a quick reason for those refused, the promised time for those accepted."""

import asyncio
import time

import pytest
from serving_examples import KeywordScorer, OneModel, ask

from mlops_lab.foundation.settings import Settings
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
