"""Open Inference Protocol V2, checked against the shapes its specification gives."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_examples import make_record

from mlops_lab.serving.inference_protocol import infer_answer, model_metadata, read_infer_request
from mlops_lab.serving.messages import Limits
from mlops_lab.serving.refusals import Refusal

LIMITS = Limits(body_bytes=10_000, batch=3, text_chars=20)
TENSOR = {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["good", "bad"]}


def read(**changes):
    tensor = TENSOR | changes.pop("tensor", {})
    return read_infer_request(orjson.dumps({"inputs": [tensor]} | changes), LIMITS)


def test_flat_and_nested_data_are_the_same():
    flat = read()
    nested = read(tensor={"shape": [2, 1], "data": [["good"], ["bad"]]})
    assert flat.texts == nested.texts == ["good", "bad"]
    assert flat.outputs == ("label", "probabilities", "score_id") and not flat.is_single


def test_outputs_may_be_chosen():
    assert read(outputs=[{"name": "label"}]).outputs == ("label",)
    with pytest.raises(Refusal, match="known: label"):
        read(outputs=[{"name": "logits"}])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"inputs": []}, "'inputs' is"),
        ({"inputs": None}, "'inputs' is missing"),
        ({"inputs": [TENSOR, TENSOR]}, "one input"),
        ({"inputs": ["text"]}, "one input"),
        ({"tensor": {"name": "texts"}}, "name of the input"),
        ({"tensor": {"datatype": "FP32"}}, "datatype of the input"),
        ({"tensor": {"data": "good"}}, "data of the input"),
        ({"tensor": {"data": ["good"]}}, "shape is"),
        ({"tensor": {"shape": None}}, "shape is missing"),
        ({"tensor": {"data": [1, 2]}}, "text 0 is 1"),
        ({"tensor": {"data": [["good"], "bad"]}}, "text 0 is"),
        ({"tensor": {"data": [], "shape": [0]}}, "0 texts"),
        ({"outputs": ["label"]}, "output missing"),
        ({"outputs": 5}, "'outputs' is 5"),
        ({"id": 5}, "'id' is 5"),
        ({"unknown": 5}, "'unknown' is not known"),
    ],
)
def test_what_is_refused_and_why(changes, reason):
    with pytest.raises(Refusal) as refusal:
        read(**changes)
    assert reason in str(refusal.value) and refusal.value.status == 422


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
)


@given(st.fixed_dictionaries({}, optional={"inputs": JSON, "outputs": JSON, "id": JSON}), JSON)
def test_any_json_is_read_or_refused(fields, data):
    for body in (fields, fields | {"inputs": [TENSOR | {"data": data}]}):
        try:
            read_infer_request(orjson.dumps(body), LIMITS)
        except Refusal as refusal:
            assert refusal.status == 422


def test_the_answer_has_names_types_shapes_and_the_callers_id():
    records = [make_record(), make_record(label="sadness")]
    answer = orjson.loads(infer_answer(read(id="abc"), records))
    assert answer["model_name"] == "keywords" and answer["model_version"] == "1"
    assert answer["id"] == "abc"
    by_name = {output["name"]: output for output in answer["outputs"]}
    assert by_name["label"]["data"] == ["joy", "sadness"] and by_name["label"]["shape"] == [2]
    assert by_name["probabilities"]["shape"] == [2, 3]
    assert by_name["probabilities"]["data"] == [0.5, 0.3, 0.2] * 2
    assert by_name["score_id"]["data"] == [record.score_id for record in records]
    assert "id" not in orjson.loads(infer_answer(read(), records))


def test_metadata_names_the_columns():
    told = model_metadata("keywords", "7", labels=("joy", "sadness"))
    assert told["versions"] == ["7"] and told["inputs"][0]["shape"] == [-1]
    assert orjson.loads(told["parameters"]["labels"]) == ["joy", "sadness"]
