"""A killed service loses no acknowledged score and needs no repair."""

import os

from load_examples import kill_under_load

from mlops_lab.serving.score_store import ScoreStore

KILLS = int(os.environ.get("KILLS", "5"))  # the acceptance run took 50


def test_every_acknowledged_score_is_stored_once(settings, bundle):
    acknowledged = kill_under_load(settings, bundle, KILLS)
    assert len(acknowledged) == len(set(acknowledged)) > 20 * KILLS
    store = ScoreStore(settings.workspace / "scores.db")
    try:
        stored = store.frame(limit=10**7)["score_id"]
        assert stored.is_unique and set(acknowledged) <= set(stored)
    finally:
        store.close()
