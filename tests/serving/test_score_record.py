"""Names and times of records."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_examples import make_record

from mlops_lab.serving.score_record import new_score_id, utc_now


@given(st.lists(st.floats(0, 2**42 / 1000), min_size=2, max_size=5))
def test_ids_sort_by_time(times):
    ids = [new_score_id(time) for time in sorted(times)]
    assert [score_id[:12] for score_id in ids] == sorted(score_id[:12] for score_id in ids)
    assert len(set(ids)) == len(ids) and {len(score_id) for score_id in ids} == {32}


def test_ids_of_one_moment_differ():
    assert len({new_score_id(1.0) for _ in range(1000)}) == 1000


def test_times_are_utc_and_sort_as_text():
    times = [utc_now() for _ in range(50)]
    assert times == sorted(times) and {len(time) for time in times} == {32}
    assert datetime.fromisoformat(times[0]).utcoffset() == timedelta(0)


def test_a_record_does_not_change():
    with pytest.raises(AttributeError):
        make_record().label = "sadness"
