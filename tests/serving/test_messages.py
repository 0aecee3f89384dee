"""What may come in, what goes out."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_examples import make_record

from mlops_lab.foundation.settings import Settings
from mlops_lab.serving.messages import (
    Limits,
    limits_from,
    read_feedback_request,
    read_score_request,
    score_answer,
)
from mlops_lab.serving.refusals import Refusal

LIMITS = Limits(body_bytes=10_000, batch=3, text_chars=20)


def test_one_text_and_a_list_are_told_apart():
    one = read_score_request(b'{"text": "good"}', LIMITS)
    many = read_score_request(b'{"text": ["good", "bad"], "caller": "team"}', LIMITS)
    assert one.texts == ["good"] and one.is_single and one.caller == ""
    assert many.texts == ["good", "bad"] and not many.is_single and many.caller == "team"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 2000, "not JSON"),
        (b'{"text": "\\ud800"}', "not JSON"),
        (b"[]", "JSON list"),
        (b"null", "JSON NoneType"),
        (b"{}", "'text' is missing"),
        (b'{"text": 7}', "'text' is 7"),
        (b'{"texts": ["a"]}', "did you mean 'text'"),
        (b'{"text": []}', "0 texts"),
        (b'{"text": ["a", "b", "c", "d"]}', "1 to 3 texts"),
        (b'{"text": ["a", null]}', "text 1 is missing"),
        (b'{"text": [["a"]]}', "text 0 is"),
        (b'{"text": " \\n "}', "visible character"),
        (b'{"text": "a\\u0000b"}', "NUL"),
        (b'{"text": "aaaaaaaaaaaaaaaaaaaaa"}', "21 characters"),
        (b'{"text": "a", "caller": 7}', "'caller' is 7"),
        (b'{"text": "a", "caller": "' + b"c" * 201 + b'"}', "at most 200"),
        (b'{"text": "a", "caller": "\\u0000"}', "'caller' is"),
    ],
)
def test_what_is_refused_and_why(body, reason):
    with pytest.raises(Refusal) as refusal:
        read_score_request(body, LIMITS)
    assert reason in str(refusal.value) and refusal.value.status == 422
    assert len(str(refusal.value)) < 500


@given(st.binary(max_size=200))
def test_random_bytes_never_break_it(body):
    for read in (lambda: read_score_request(body, LIMITS), lambda: read_feedback_request(body)):
        try:
            read()
        except Refusal as refusal:
            assert refusal.status == 422


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
)


@given(st.fixed_dictionaries({}, optional={"text": JSON, "caller": JSON, "label": JSON}))
def test_any_json_is_read_or_refused(fields):
    try:
        asked = read_score_request(
            orjson.dumps(fields, option=orjson.OPT_PASSTHROUGH_DATETIME), LIMITS
        )
    except (Refusal, TypeError):  # TypeError: an integer orjson cannot write
        return
    assert 1 <= len(asked.texts) <= 3 and all(0 < len(text) <= 20 for text in asked.texts)


def test_the_answer_repeats_what_was_stored():
    record = make_record(probabilities='{"joy":0.1000000015,"sadness":0.9}')
    single = orjson.loads(score_answer(read_score_request(b'{"text": "a"}', LIMITS), [record]))
    assert single["probabilities"] == {"joy": 0.1000000015, "sadness": 0.9}
    assert single["score_id"] == record.score_id and single["version"] == "1"
    many = orjson.loads(score_answer(read_score_request(b'{"text": ["a"]}', LIMITS), [record]))
    assert many["scores"][0]["label"] == "joy" and "score_id" not in many


def test_feedback_needs_an_id_and_a_label():
    assert read_feedback_request(b'{"score_id": "1", "label": "joy"}') == ("1", "joy", "person")
    for body in (b'{"label": "joy"}', b'{"score_id": "1", "label": ""}', b'{"score_id": 1}'):
        with pytest.raises(Refusal):
            read_feedback_request(body)


def test_limits_follow_the_settings_up_to_a_ceiling():
    assert limits_from(Settings(service_batch_limit=2, service_text_limit=10)).body_bytes == 4216
    assert limits_from(Settings(service_batch_limit=90_000)).body_bytes == 16 * 1024**2
