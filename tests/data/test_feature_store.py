"""Features: nothing later counts, and what is served is what training joins."""

import sqlite3
import threading

import numpy as np
import pandas as pd
import pytest

from mlops_lab.data.feature_store import FeatureStore, find_differences
from mlops_lab.data.feature_view import author_activity, compute_features, join_features
from mlops_lab.data.world import world_frame
from mlops_lab.data.world_settings import WorldSettings

VIEW = author_activity()
EVENTS = world_frame(12_000, settings=WorldSettings(authors=11_000))
TABLE = compute_features(VIEW, EVENTS)


@pytest.fixture
def store(tmp_path):
    store = FeatureStore(tmp_path / "features.db", VIEW)
    yield store
    store.close()


def test_every_value_is_the_one_a_slow_reader_would_find():
    dice = np.random.default_rng(3)
    for place in dice.choice(len(TABLE), 60, replace=False):
        line = TABLE.iloc[place]
        past = EVENTS[(EVENTS["author"] == line["entity"]) & (EVENTS["at"] <= line["at"])]
        chars = past["text"].str.len()
        assert line["messages"] == len(past) and line["longest_chars"] == chars.max()
        assert line["mean_chars"] == chars.sum() / len(past)
        assert line["exclaimed"] == past["text"].str.count("!").sum()
        assert line["last_words"] == len(past.sort_values("at")["text"].iloc[-1].split())


def test_the_future_does_not_count():
    cut = TABLE["at"].iloc[6_000]
    early = compute_features(VIEW, EVENTS[EVENTS["at"] <= cut])
    pd.testing.assert_frame_equal(early, TABLE[TABLE["at"] <= cut].reset_index(drop=True))
    questions = (
        EVENTS[["author", "at"]].rename(columns={"author": "entity"}).sample(500, random_state=1)
    )
    now = join_features(VIEW, TABLE, questions=questions)
    before = join_features(VIEW, TABLE, questions=questions, before=True)
    assert (now["messages"] - before["messages"].fillna(0) >= 1).all()
    assert list(now["entity"]) == list(questions["entity"])


def test_online_and_offline_agree_exactly_on_ten_thousand_entities(store):
    people = [f"p{(place * 7_919) % 10_000}" for place in range(len(EVENTS))]
    table = compute_features(VIEW, EVENTS.assign(author=people))
    entities = list(table["entity"].unique())
    assert len(entities) == 10_000
    for moment in (table["at"].iloc[5_000], table["at"].max()):
        store.materialise(table, as_of=moment)
        assert find_differences(store, table, entities=entities, as_of=moment).empty
    assert sum(store.get(entity) is not None for entity in entities) == 10_000


def test_a_difference_is_found(store):
    store.materialise(TABLE)
    entity = TABLE["entity"].iloc[-1]
    with sqlite3.connect(store.address) as other:
        other.execute(
            "UPDATE author_activity SET messages = messages + 1 WHERE entity = ?", (entity,)
        )
    other.close()
    last = TABLE["at"].max()
    found = find_differences(store, TABLE, entities=[entity, "nobody"], as_of=last)
    assert found[["entity", "feature"]].to_numpy().tolist() == [[entity, "messages"]]


def test_a_reader_sees_all_of_a_materialisation_or_nothing(store):
    early = TABLE.head(6_000)
    store.materialise(early)
    known = {store.get(entity)["messages"] for entity in early["entity"].unique()[:50]}
    assert None not in known
    busiest = TABLE["entity"].value_counts().index[0]
    allowed = {
        int(early.loc[early["entity"] == busiest, "messages"].max()),
        int(TABLE.loc[TABLE["entity"] == busiest, "messages"].max()),
    }
    seen, stop = set(), threading.Event()

    def read():
        reader = FeatureStore(store.address, VIEW)
        while not stop.is_set():
            seen.add(reader.get(busiest)["messages"])
        reader.close()

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        store.materialise(TABLE)
        store.materialise(early)
    stop.set()
    for thread in threads:
        thread.join()
    assert seen <= allowed and seen


def test_a_failed_materialisation_changes_nothing(store):
    store.materialise(TABLE.head(2_000))
    entity = TABLE["entity"].iloc[0]
    before = store.get(entity)
    broken = TABLE.assign(messages=[object()] * len(TABLE))
    with pytest.raises((sqlite3.Error, TypeError)):
        store.materialise(broken)
    assert store.get(entity) == before
