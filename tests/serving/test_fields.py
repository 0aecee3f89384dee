"""Single fields of a request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_lab.serving.fields import read_name, read_object, show_value
from mlops_lab.serving.refusals import Refusal


@given(st.binary(max_size=60))
def test_bytes_become_an_object_or_a_refusal(body):
    try:
        assert read_object(body, ()) == {}
    except Refusal as refusal:
        assert refusal.status == 422 and refusal.expected


def test_a_mistyped_field_meets_the_near_one():
    with pytest.raises(Refusal, match="did you mean 'caller'"):
        read_object(b'{"calller": 1}', ("text", "caller"))
    with pytest.raises(Refusal, match="known: caller, text"):
        read_object(b'{"zzz": 1}', ("text", "caller"))


def test_a_huge_field_name_is_cut():
    with pytest.raises(Refusal) as refusal:
        read_object(b'{"' + b"k" * 5000 + b'": 1}', ("text",))
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("value", [7, None, [], {}, True, "n" * 201, "a\0b", ""])
def test_a_name_is_a_short_text(value):
    with pytest.raises(Refusal) as refusal:
        read_name({"label": value}, "label")
    assert "'label' is" in refusal.value.found


def test_a_missing_name_takes_its_default():
    assert read_name({}, "caller", default="") == ""
    assert read_name({"caller": ""}, "caller", default="x") == ""
    with pytest.raises(Refusal, match="'caller' is missing"):
        read_name({}, "caller")


@given(st.recursive(st.none() | st.text() | st.integers(), st.lists))
def test_any_value_is_shown_short(value):
    assert 0 < len(show_value(value)) <= 60
