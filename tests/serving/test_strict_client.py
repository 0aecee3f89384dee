"""A strict client of the Open Inference Protocol V2: answers exactly as its specification says."""

import re
import struct

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_examples import OneModel, call

from mlops_lab.foundation.settings import Settings
from mlops_lab.serving.binary_tensors import LENGTH_HEADER, inline_tensors
from mlops_lab.serving.refusals import Refusal
from mlops_lab.serving.service import create_app

DATATYPES = {"BYTES": str, "FP32": float}
MODEL = "/v2/models/keywords"


@pytest.fixture
def app(store):
    return create_app(Settings(), OneModel(), store)


def tensor(texts, **more):
    shape = {"name": "text", "shape": [len(texts)], "datatype": "BYTES"}
    return shape | {"data": texts} | more


def check_tensor(found, *, with_data=True):
    """$response_output: name, shape, datatype, data and nothing unknown."""
    assert set(found) == {"name", "shape", "datatype", "data"} if with_data else set(found)
    assert isinstance(found["name"], str) and found["datatype"] in DATATYPES
    size = 1
    for dimension in found["shape"]:
        assert isinstance(dimension, int) and dimension >= 0
        size *= dimension
    assert len(found["data"]) == size
    assert all(type(value) is DATATYPES[found["datatype"]] for value in found["data"])


def check_error(answer, *statuses):
    """$inference_error_response: `error` is a text."""
    assert answer.status in statuses and answer.headers["content-type"] == "application/json"
    assert isinstance(answer.json["error"], str) and answer.json["error"]


def test_server_and_model_metadata(app):
    server = call(app, "GET", "/v2").json
    assert set(server) == {"name", "version", "extensions"}
    assert all(isinstance(name, str) for name in server["extensions"])
    told = call(app, "GET", MODEL).json
    assert set(told) <= {"name", "versions", "platform", "inputs", "outputs", "parameters"}
    assert told["name"] == "keywords" and all(isinstance(v, str) for v in told["versions"])
    for part in told["inputs"] + told["outputs"]:
        assert set(part) == {"name", "datatype", "shape"} and part["datatype"] in DATATYPES
        assert all(isinstance(dimension, int) for dimension in part["shape"])


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", f"{MODEL}/ready"])
def test_health_is_told_by_the_status_alone(app, path):
    assert call(app, "GET", path).status == 200


def test_a_version_in_the_path_is_that_version_or_404(app):
    version = call(app, "GET", MODEL).json["versions"][0]
    body = {"inputs": [tensor(["good"])]}
    for path, method, sent in (("", "GET", b""), ("/ready", "GET", b""), ("/infer", "POST", body)):
        assert call(app, method, f"{MODEL}/versions/{version}{path}", sent).status == 200
        check_error(call(app, method, f"{MODEL}/versions/999{path}", sent), 404)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_every_output_agrees_with_its_shape_and_datatype(app, n):
    texts = ["good day", "bad", "so so"][: min(n, 3)] * (n // min(n, 3)) + ["x"] * (n % min(n, 3))
    body = {"id": "request 7", "inputs": [tensor(texts)], "parameters": {"priority": 1}}
    answer = call(app, "POST", f"{MODEL}/infer", body)
    told = answer.json
    assert set(told) == {"model_name", "model_version", "id", "outputs"}
    assert (told["model_name"], told["id"]) == ("keywords", "request 7")
    described = {part["name"]: part for part in call(app, "GET", MODEL).json["outputs"]}
    for found in told["outputs"]:
        check_tensor(found)
        wanted = described[found["name"]]
        assert found["datatype"] == wanted["datatype"]
        assert found["shape"] == [len(texts), *wanted["shape"][1:]]


def test_only_wanted_outputs_come_in_the_wanted_order(app):
    wanted = [{"name": "score_id"}, {"name": "label", "parameters": {"classification": 1}}]
    body = {"inputs": [tensor(["good"])], "outputs": wanted}
    told = call(app, "POST", f"{MODEL}/infer", body).json
    assert [output["name"] for output in told["outputs"]] == ["score_id", "label"]
    assert "id" not in told


@pytest.mark.parametrize("data", [["a", "b"], [["a"], ["b"]]])
@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_data_may_be_flat_or_nested(app, data, shape):
    body = {"inputs": [tensor(["", ""], data=data, shape=shape)]}
    assert call(app, "POST", f"{MODEL}/infer", body).status == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "image"},
        {"datatype": "FP32"},
        {"shape": [3]},
        {"shape": [-1]},
        {"shape": None},
        {"data": [1]},
        {"data": None},
    ],
)
def test_wrong_tensors_get_the_error_of_the_protocol(app, wrong):
    body = {"inputs": [tensor(["good"]) | wrong]}
    check_error(call(app, "POST", f"{MODEL}/infer", body), 400, 422)
    check_error(call(app, "POST", "/v2/models/none/infer", body), 404)


def packed(texts):
    return b"".join(struct.pack("<I", len(t.encode())) + t.encode() for t in texts)


def binary(texts, **more):
    raw = packed(texts)
    sent = tensor(texts) | {"parameters": {"binary_data_size": len(raw)}}
    del sent["data"]
    head = orjson.dumps({"inputs": [sent]} | more)
    return head + raw, {LENGTH_HEADER: str(len(head))}


def test_the_binary_extension_gives_the_same_answer(app):
    assert "binary_tensor_data" in call(app, "GET", "/v2").json["extensions"]
    texts = ["a good day", "día malo 😢", "bad"]
    plain = call(app, "POST", f"{MODEL}/infer", {"inputs": [tensor(texts)]}).json
    body, headers = binary(texts, parameters={"binary_data_output": True}, id="b")
    answer = call(app, "POST", f"{MODEL}/infer", body, headers=headers)
    length = int(answer.headers[LENGTH_HEADER])
    told, at = orjson.loads(answer.body[:length]), length
    assert answer.headers["content-type"] == "application/octet-stream" and told["id"] == "b"
    for output, same in zip(told["outputs"], plain["outputs"], strict=True):
        size = output["parameters"]["binary_data_size"]
        raw, at = answer.body[at : at + size], at + size
        assert "data" not in output and output["shape"] == same["shape"]
        if output["name"] == "label":
            assert raw == packed(same["data"])
        if output["name"] == "probabilities":
            floats = struct.unpack(f"<{size // 4}f", raw)
            assert floats == pytest.approx(same["data"], rel=1e-6)
        if output["name"] == "score_id":
            assert re.fullmatch(rb"(\x20\0\0\0[0-9a-f]{32}){3}", raw)
    assert at == len(answer.body)


def test_single_outputs_choose_their_form(app):
    outputs = [{"name": "label", "parameters": {"binary_data": True}}, {"name": "probabilities"}]
    body = {"inputs": [tensor(["good"])], "outputs": outputs}
    answer = call(app, "POST", f"{MODEL}/infer", body)
    told = orjson.loads(answer.body[: int(answer.headers[LENGTH_HEADER])])
    assert "data" not in told["outputs"][0] and len(told["outputs"][1]["data"]) == 3
    assert answer.body.endswith(b"\x03\0\0\0joy")


@pytest.mark.parametrize("told", ["x", "-1", "999999", "9" * 40, "²", "0", "5"])
def test_a_wrong_length_of_the_json_is_refused(app, told):
    body, _ = binary(["good"])
    check_error(call(app, "POST", f"{MODEL}/infer", body, headers={LENGTH_HEADER: told}), 422)


@given(st.binary(max_size=40), st.one_of(st.integers(-5, 60), st.none(), st.text(max_size=3)))
@settings(max_examples=300, deadline=None)
def test_any_bytes_for_a_tensor_are_read_or_refused(raw, size):
    head = orjson.dumps({"inputs": [{"parameters": {"binary_data_size": size}}]})
    try:
        fields = orjson.loads(inline_tensors(head + raw, str(len(head))))
    except Refusal as refusal:
        assert refusal.status == 422
    else:
        assert size is None and not raw or packed(fields["inputs"][0]["data"]) == raw


@pytest.mark.parametrize("parameters", [False, 0, "", [], [1], "priority"])
def test_parameters_that_are_no_object_are_refused(app, parameters):
    body = {"inputs": [tensor(["good"])], "parameters": parameters}
    check_error(call(app, "POST", f"{MODEL}/infer", body), 422)


@pytest.mark.parametrize("parameters", [None, {}, {"priority": 1}])
def test_parameters_may_be_left_open(app, parameters):
    body = {"inputs": [tensor(["good"])], "parameters": parameters}
    assert call(app, "POST", f"{MODEL}/infer", body).status == 200
