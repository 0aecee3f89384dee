"""A small real scorer and records, shared by the serving tests and their child processes."""

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import orjson

from mlops_lab.serving.model_source import LoadedModel, ModelSource
from mlops_lab.serving.score_record import ScoreRecord, new_score_id


@dataclass(unsafe_hash=True)
class KeywordScorer:
    """Counts marker words; the interface of the bundles' scorer, simple enough to check by hand."""

    name: str = "keywords"
    labels: tuple[str, ...] = ("joy", "neutral", "sadness")

    def score(self, texts):
        words = [text.lower().split() for text in texts]
        counts = [[1 + ("good" in w), 1.5, 1 + ("bad" in w)] for w in words]
        probabilities = np.array(counts, dtype=np.float32)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        top = [self.labels[i] for i in probabilities.argmax(axis=1)]
        return SimpleNamespace(labels=self.labels, probabilities=probabilities, top=top)

    def profile_text(self, text):
        words = text.split()
        unknown = sum(word.startswith("x") for word in words)
        return {
            "chars": len(text),
            "words": len(words),
            "oov_rate": unknown / len(words) if words else 0.0,
        }


def make_record(**changes) -> ScoreRecord:
    values = dict(
        score_id=new_score_id(),
        at="2026-01-01T10:00:00.000000+00:00",
        caller="",
        text="a good day",
        model="keywords",
        version="1",
        variant="champion",
        label="joy",
        probabilities='{"joy":0.5,"neutral":0.3,"sadness":0.2}',
        latency_ms=0.1,
        chars=10,
        words=3,
        oov_rate=0.0,
    )
    return ScoreRecord(**values | changes)


# how a store was made before a text could have several labels
OLD_TABLE = """CREATE TABLE scores (
 score_id VARCHAR(32) NOT NULL, at VARCHAR(32) NOT NULL, caller VARCHAR(200) NOT NULL,
 text TEXT NOT NULL, model VARCHAR(200) NOT NULL, version VARCHAR(80) NOT NULL,
 variant VARCHAR(20) NOT NULL, label VARCHAR(200) NOT NULL, probabilities TEXT NOT NULL,
 latency_ms FLOAT NOT NULL, chars INTEGER NOT NULL, words INTEGER NOT NULL, oov_rate FLOAT NOT NULL,
 PRIMARY KEY (score_id))"""
OLD_NAMES = tuple(ScoreRecord._fields[:13])


class OneModel(ModelSource):
    """A model source that always gives the keyword scorer, or the problem it was told to."""

    def __init__(self, problem=None):
        self.problem = problem
        self.model = LoadedModel("keywords", "7", "champion", KeywordScorer())

    def current(self):
        if self.problem:
            raise self.problem
        return self.model


@dataclass
class Answer:
    """What an ASGI app sent."""

    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return orjson.loads(self.body)


async def ask(app, method, path, body=b"", *, headers=None, chunks=None):
    """Call an ASGI app in process; `chunks` sends the body in parts without telling its length."""
    body = body if isinstance(body, bytes) else orjson.dumps(body)
    parts = list(chunks) if chunks is not None else [body]
    told = {} if chunks is not None else {"content-length": str(len(body))}
    told |= headers or {}
    sent = []

    async def receive():
        if not parts:
            return {"type": "http.disconnect"}
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in told.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    start = sent[0]
    content = b"".join(message.get("body", b"") for message in sent[1:])
    names = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], names, content)


def call(app, method, path, body=b"", **options):
    """The same from a test without an event loop."""
    return asyncio.run(ask(app, method, path, body, **options))
