"""Fixtures of the serving tests."""

import pytest

from mlops_lab.serving.score_store import ScoreStore


@pytest.fixture
def store(tmp_path):
    store = ScoreStore(tmp_path / "scores.db", queue_limit=50)
    yield store
    store.close()
