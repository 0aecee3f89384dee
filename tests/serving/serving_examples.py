"""A small real scorer and records, shared by the serving tests and their child processes."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from mlops_lab.serving.score_tables import ScoreRecord, new_score_id


@dataclass(frozen=True)
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
