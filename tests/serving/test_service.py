"""Every route through the real app, in process."""

import asyncio
import json
import re
import sqlite3

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_examples import KeywordScorer, OneModel, ask, call
from starlette.requests import Request

from mlops_lab.foundation.errors import ModelProblem, ServiceProblem
from mlops_lab.foundation.settings import Settings
from mlops_lab.serving import exchange
from mlops_lab.serving.pages import openapi_record
from mlops_lab.serving.refusals import Refusal
from mlops_lab.serving.service import check_binding, create_app

SMALL = Settings(service_batch_limit=3, service_text_limit=50, service_queue_limit=40)


@pytest.fixture
def app(store):
    return create_app(SMALL, OneModel(), store)


def test_one_text(app, store):
    answer = call(app, "POST", "/score", {"text": "a good day", "caller": "team"})
    assert answer.status == 200 and answer.headers["content-type"] == "application/json"
    told = answer.json
    assert (told["model"], told["version"], told["variant"]) == ("keywords", "7", "champion")
    assert told["label"] == "joy" and sum(told["probabilities"].values()) == pytest.approx(1)
    stored = store.read(told["score_id"])
    assert stored["probabilities"] == told["probabilities"] and stored["caller"] == "team"


def test_a_list_and_the_stored_record(app):
    told = call(app, "POST", "/score", {"text": ["good", "bad"]}).json
    assert [score["label"] for score in told["scores"]] == ["joy", "sadness"]
    record = call(app, "GET", f"/score/{told['scores'][1]['score_id']}").json
    assert record["text"] == "bad" and record["feedback"] == []


def test_feedback_is_kept(app, store):
    score_id = call(app, "POST", "/score", {"text": "good"}).json["score_id"]
    said = {"score_id": score_id, "label": "neutral", "source": "teacher"}
    assert call(app, "POST", "/feedback", said).status == 200
    assert store.read(score_id)["feedback"][0]["label"] == "neutral"
    assert call(app, "POST", "/feedback", said | {"score_id": "x"}).status == 404


def test_the_open_inference_protocol(app):
    assert call(app, "GET", "/v2/health/live").json == {"live": True}
    assert call(app, "GET", "/v2/health/ready").json["ready"] is True
    assert call(app, "GET", "/v2").json["name"] == "mlops-lab"
    assert call(app, "GET", "/v2/models/keywords").json["versions"] == ["7"]
    assert call(app, "GET", "/v2/models/keywords/ready").json["ready"] is True
    tensor = {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["good", "bad"]}
    answer = call(app, "POST", "/v2/models/keywords/infer", {"inputs": [tensor], "id": "1"})
    assert answer.status == 200 and answer.json["outputs"][0]["data"] == ["joy", "sadness"]
    assert call(app, "POST", "/v2/models/other/infer", {"inputs": [tensor]}).status == 404


class Telling(KeywordScorer):
    """Says which words spoke: the marker of the label, and nothing else."""

    def explain(self, text, label):
        return {word: 1.0 if word in ("good", "bad") else 0.0 for word in text.split()}


def test_the_words_that_mattered_come_on_request_in_both_forms(store):
    source = OneModel()
    app = create_app(SMALL, source, store)
    plain = {"text": ["good day", "bad"]}
    assert "words" not in call(app, "POST", "/score", plain).json["scores"][0]
    mute = call(app, "POST", "/score", plain | {"explain": True}).json
    assert [score["words"] for score in mute["scores"]] == [None, None]  # it cannot tell
    object.__setattr__(source.model, "scorer", Telling())
    told = call(app, "POST", "/score", plain | {"explain": True}).json["scores"]
    assert [score["words"] for score in told] == [{"good": 1.0, "day": 0.0}, {"bad": 1.0}]
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["good day"]}
    body = {"inputs": [tensor], "outputs": [{"name": "explanation"}, {"name": "label"}]}
    output = call(app, "POST", "/v2/models/keywords/infer", body).json["outputs"][0]
    assert (output["name"], output["shape"]) == ("explanation", [1])
    assert json.loads(output["data"][0]) == told[0]["words"]
    one = call(app, "POST", "/score", {"text": "bad", "explain": True}).json
    assert one["words"] == {"bad": 1.0} and store.read(one["score_id"])["text"] == "bad"


def test_too_many_words_are_not_explained(store):
    app = create_app(Settings(), OneModel(), store)
    body = {"text": ["so " * 250] * 3, "explain": True}
    refused = call(app, "POST", "/score", body)
    assert refused.status == 422 and "750 words" in refused.json["error"] and store.count() == 0


def test_friendly_and_inference_answers_agree(app):
    friendly = call(app, "POST", "/score", {"text": "good bad"}).json
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["good bad"]}
    answer = call(app, "POST", "/v2/models/keywords/infer", {"inputs": [tensor]}).json
    data = {output["name"]: output["data"] for output in answer["outputs"]}
    assert data["probabilities"] == list(friendly["probabilities"].values())


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        ({"text": ["a"] * 4}, 422),
        ({"text": "a" * 51}, 422),
        ({"text": ""}, 422),
        (b" " * 5000 + b'{"text": "good"}', 413),
    ],
)
def test_limits_are_told_with_a_reason(app, body, status):
    answer = call(app, "POST", "/score", body)
    assert answer.status == status and answer.json["error"] and answer.json["expected"]


def test_a_body_without_length_is_cut_at_the_limit(app):
    answer = call(app, "POST", "/score", chunks=[b" " * 1000] * 50)
    assert answer.status == 413
    good = call(app, "POST", "/score", chunks=[b'{"te', b'xt": "good"}'])
    assert good.status == 200


def test_a_caller_that_hangs_up_half_way_is_not_our_failure(app):
    async def hang_up():
        # less than announced, then a disconnect
        return await ask(app, "POST", "/score", chunks=[b'{"text":', b""][:1] + [b'"go'])

    assert asyncio.run(hang_up()).status == 422


def test_a_body_that_never_ends_is_408_and_a_task_stopped_from_outside_stays_stopped(
    app, monkeypatch
):
    async def never():
        await asyncio.sleep(60)

    async def read(wait_s):
        monkeypatch.setattr(exchange, "_BODY_WAIT_S", wait_s)
        request = Request({"type": "http", "method": "POST", "headers": []}, never)
        return await exchange.read_body(request, 100)

    async def stopped():
        task = asyncio.create_task(read(60))
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(Refusal) as late:
        asyncio.run(read(0.05))
    assert late.value.status == 408
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(stopped())


def test_unknown_routes_and_methods_answer_in_json(app):
    elsewhere = (("GET", "/nothing", 404), ("GET", "/score//", 404), ("PUT", "/score", 405))
    for method, path, status in elsewhere:
        answer = call(app, method, path)
        assert answer.status == status and "GET /docs" in answer.json["remedy"]


def test_no_model_is_503_and_not_ready(store):
    app = create_app(SMALL, OneModel(ModelProblem("no model to serve")), store)
    for method, path in (("GET", "/v2/health/ready"), ("POST", "/score")):
        answer = call(app, method, path, {"text": "good"})
        assert answer.status == 503 and answer.json["error"] == "no model to serve"
        assert answer.headers["retry-after"] == "1"
    assert call(app, "GET", "/v2/health/live").status == 200


def test_a_scorer_that_breaks_is_500_without_its_secrets(store, caplog):
    source = OneModel()
    object.__setattr__(source.model, "scorer", None)
    answer = call(create_app(SMALL, source, store), "POST", "/score", {"text": "good"})
    assert answer.status == 500 and answer.json == {
        "error": "the service failed",
        "remedy": "see its log",
    }
    assert "NoneType" in caplog.text and "NoneType" not in answer.body.decode()


def test_a_locked_store_is_503_and_heals(app, store, tmp_path):
    other = sqlite3.connect(tmp_path / "scores.db", isolation_level=None)
    other.execute("begin immediate")
    answer = call(app, "POST", "/score", {"text": "good"})
    assert answer.status == 503 and "locked" in answer.json["error"]
    other.execute("rollback")
    other.close()
    assert call(app, "POST", "/score", {"text": "good"}).status == 200 and store.count() == 1


def test_a_flood_gets_429_and_every_200_is_stored(app, store):
    async def flood():
        body = {"text": ["good"] * 3}
        return await asyncio.gather(*(ask(app, "POST", "/score", body) for _ in range(40)))

    answers = asyncio.run(flood())
    good = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status == 429]
    assert good and refused and len(good) + len(refused) == 40
    ids = [score["score_id"] for answer in good for score in answer.json["scores"]]
    assert sorted(store.frame()["score_id"]) == sorted(ids) and len(set(ids)) == len(ids)


def test_a_key_locks_all_but_health_and_pages(store):
    locked = Settings(api_key="clave-ñ")
    app = create_app(locked, OneModel(), store)
    right = {"x-api-key": "clave-ñ"}
    body = {"text": "good"}
    assert call(app, "POST", "/score", body).status == 401
    assert call(app, "POST", "/score", body, headers={"x-api-key": "clave"}).status == 401
    assert call(app, "GET", "/metrics").status == 401
    assert call(app, "GET", "/v2/models/keywords").status == 401
    for path in ("/", "/docs", "/openapi.json", "/v2/health/live", "/v2/health/ready"):
        assert call(app, "GET", path).status == 200
    assert call(app, "POST", "/score", body, headers=right).status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "lab.example.org"])
def test_binding_wider_needs_a_key(host):
    with pytest.raises(ServiceProblem, match="open to other machines"):
        check_binding(Settings(host=host))
    check_binding(Settings(host=host, api_key="secret"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_this_machine_needs_none(host):
    check_binding(Settings(host=host))


def test_metrics_count_what_happened(app):
    call(app, "POST", "/score", {"text": "good"})
    call(app, "POST", "/score", {"text": 7})
    text = call(app, "GET", "/metrics").body.decode()
    assert 'mlops_lab_requests_total{route="/score",status="200"} 1' in text
    assert 'mlops_lab_requests_total{route="/score",status="422"} 1' in text
    assert 'mlops_lab_texts_total{model="keywords",version="7",label="joy"} 1' in text


def test_pages_are_sent_with_their_policy(app):
    for path in ("/", "/docs"):
        answer = call(app, "GET", path)
        assert answer.status == 200 and answer.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_the_openapi_record_names_every_route_and_its_examples_work(app):
    record = json.loads(openapi_record())
    pages = {"/", "/docs", "/openapi.json"}
    assert set(record["paths"]) == {route.path for route in app.routes} - pages
    for path, methods in record["paths"].items():
        for method, told in methods.items():
            body = told.get("requestBody", {}).get("content", {}).get("application/json", {})
            url = re.sub(r"\{name\}", "keywords", path).replace("{score_id}", "0")
            answer = call(app, method.upper(), url, body.get("example", b""))
            assert str(answer.status) in told["responses"]


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    st.sampled_from(["/score", "/feedback", "/v2/models/keywords/infer"]), st.binary(max_size=80)
)
def test_random_bodies_are_refused_calmly(app, path, body):
    answer = call(app, "POST", path, body)
    assert answer.status == 422 and orjson.loads(answer.body)["error"]
