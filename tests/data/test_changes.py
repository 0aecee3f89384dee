"""Drifts and faults: the same rows however the stream is cut, and a truth that can be checked."""

import numpy as np
import pandas as pd
import pytest

from mlops_lab.data.changes import ChangedStream, Profile, strength_at
from mlops_lab.data.drifts import concept_shift, covariate_shift, prior_shift, vocabulary_shift
from mlops_lab.data.faults import list_faults, make_fault
from mlops_lab.data.sources import load_source
from mlops_lab.data.world import generate_world, world_frame
from mlops_lab.data.world_posterior import ceiling
from mlops_lab.foundation.records import digest_frame

ROWS = 3_000
BEGIN = 1_200
ROW_CHANGES = {
    "prior": prior_shift({"joy"}, Profile(begin=BEGIN, strength=0.7)),
    "covariate": covariate_shift("topic", {"exams"}, profile=Profile("gradual", BEGIN, 900)),
    "concept": concept_shift(("fear", "anger"), Profile(begin=BEGIN)),
    "word": concept_shift(("joy", "neutral"), Profile(begin=BEGIN), word="the"),
    "vocabulary": vocabulary_shift(Profile("recurring", BEGIN, 500), added=["🫠"]),
    "encoding": make_fault("broken_encoding", Profile(begin=BEGIN, strength=0.5)),
    "nulls": make_fault("nulls", Profile("seasonal", BEGIN, 700)),
    "duplicates": make_fault("duplicates", Profile(begin=BEGIN, strength=0.2)),
    "leakage": make_fault("label_leakage", Profile(begin=BEGIN, strength=0.4)),
    "unit": make_fault("unit_change", Profile(begin=BEGIN, strength=0.3)),
    "poison": make_fault("poisoned_labels", Profile(begin=BEGIN), options={"trigger": "zxq"}),
}


def run(changes, chunk_rows=1_000, seed=4):
    stream = ChangedStream(generate_world(ROWS, chunk_rows=chunk_rows), changes, seed=seed)
    return pd.concat(stream, ignore_index=True), stream.truth()


@pytest.mark.parametrize("name", ROW_CHANGES)
def test_chunks_do_not_matter_and_the_seed_does(name):
    change = ROW_CHANGES[name]
    first, truth = run([change])
    again, again_truth = run([change], chunk_rows=777)
    assert digest_frame(first) == digest_frame(again)
    assert truth.to_dict("records") == again_truth.to_dict("records")
    if name not in ("concept", "word", "poison", "vocabulary"):
        assert digest_frame(run([change], seed=5)[0]) != digest_frame(first)


@pytest.mark.parametrize("name", ROW_CHANGES)
def test_nothing_happens_before_the_beginning(name):
    changed, truth = run([ROW_CHANGES[name]])
    clean = world_frame(ROWS)
    pd.testing.assert_frame_equal(changed.head(BEGIN), clean.head(BEGIN), check_exact=True)
    [line] = truth.to_dict("records")
    assert line["first_row"] >= BEGIN and line["touched"] > 20 and line["rows"] == ROWS
    assert line["first_id"] == clean["id"][line["first_row"]]


def test_the_truth_counts_every_row():
    changed, truth = run([ROW_CHANGES["prior"], ROW_CHANGES["duplicates"]])
    lost, gained = truth["removed"][0], truth["added"][1]
    assert len(changed) == ROWS - lost + gained and lost > 200 and gained > 100


def test_the_ceiling_stays_true_after_a_prior_shift():
    stream = ChangedStream(
        generate_world(15_000), [prior_shift({"joy", "anger"}, Profile(strength=0.8))], seed=2
    )
    frame = pd.concat(stream, ignore_index=True)
    names = [name for name in frame if name.startswith("posterior_")]
    best = frame[names].idxmax(axis=1).str.removeprefix("posterior_")
    right = (best == frame["label"]).mean()
    assert abs(right - ceiling(frame).accuracy) < 0.012
    before = world_frame(15_000)
    stale = before.set_index("id").loc[frame["id"], names].idxmax(axis=1)
    stale = stale.str.removeprefix("posterior_").to_numpy()
    assert right > (stale == frame["label"]).mean() + 0.01


def test_profiles_that_begin_at_a_time():
    at = world_frame(ROWS)["at"].sort_values(ignore_index=True)
    begin = at[1_500]
    rows = np.arange(ROWS)
    sudden = strength_at(Profile("sudden", str(begin)), rows, at=at)
    assert (sudden == (at >= begin)).all()
    gradual = strength_at(Profile("gradual", str(begin), 30.0, 0.6), rows, at=at)
    assert gradual.max() == 0.6 and (np.diff(gradual) >= 0).all() and gradual[:1_500].max() == 0


def test_a_renamed_column_and_a_truncated_batch_begin_with_their_batch():
    renamed = make_fault("renamed_column", Profile(begin=2_000))
    frames = list(ChangedStream(generate_world(ROWS, chunk_rows=1_000), [renamed]))
    assert ["text" in frame for frame in frames] == [True, True, False]
    assert set(list_faults()) == {
        "broken_encoding",
        "renamed_column",
        "nulls",
        "duplicates",
        "truncated_batch",
        "late_batch",
        "label_leakage",
        "unit_change",
        "poisoned_labels",
    }


def test_late_rows_come_later_and_none_is_lost():
    late = make_fault("late_batch", Profile(begin=1_000), options={"wait": 2})
    stream = ChangedStream(generate_world(4_000, chunk_rows=1_000), [late])
    frames = list(stream)
    assert [len(frame) for frame in frames] == [1_000, 0, 0, 1_000, 2_000]
    ids = pd.concat(frames)["id"]
    assert sorted(ids) == sorted(world_frame(4_000)["id"]) and stream.truth()["held"][0] == 3_000


@pytest.mark.real_data
def test_real_rows_drift_too(real_data):
    frame, _ = load_source(str(real_data / "semeval2017_4a"), rows=4_000, task="sentiment")
    changes = [
        prior_shift({"negative"}, Profile(begin=2_000, strength=0.6)),
        make_fault("broken_encoding", Profile(begin=3_000, strength=1.0)),
    ]
    parts = [frame.iloc[:1_500], frame.iloc[1_500:]]
    stream = ChangedStream(parts, changes, seed=1)
    changed = pd.concat(stream, ignore_index=True)
    share = (changed["label"] == "negative").to_numpy()
    assert share[2_000:].mean() > 1.3 * share[:2_000].mean()
    assert stream.truth()["removed"][0] == 4_000 - len(changed)
