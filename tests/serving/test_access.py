"""Keys and rates of a real service: rotated, withdrawn and limited without a restart."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from canary_examples import PROGRAM, wait_for
from serving_examples import OneModel, call

from mlops_lab.foundation.access_keys import KeyRing, add_key, remove_key
from mlops_lab.foundation.errors import ServiceProblem
from mlops_lab.foundation.settings import Settings
from mlops_lab.foundation.workspace import find_keys, open_workspace
from mlops_lab.serving.client import ServiceClient
from mlops_lab.serving.launcher import running_service
from mlops_lab.serving.pages import openapi_record
from mlops_lab.serving.refusals import Refusal
from mlops_lab.serving.service import check_binding, create_app


def status_of(address, key):
    client = ServiceClient(address, api_key=key)
    try:
        client.score("good")
        return 200
    except Refusal as refusal:
        return refusal.status
    finally:
        client.close()


def test_keys_are_rotated_and_withdrawn_while_it_runs(settings, bundle):
    place = find_keys(open_workspace(settings).create())
    old = add_key(place, "team-1")
    with running_service(settings, bundle=bundle, program=PROGRAM) as client:
        assert client.score("good")["label"] == "joy"  # a key of its own, made for the block
        assert status_of(client.address, old) == 200
        assert status_of(client.address, "") == status_of(client.address, "lab_x") == 401
        new = add_key(place, "team-1 in May")
        wait_for(lambda: status_of(client.address, new) == 200)
        assert status_of(client.address, old) == 200  # both hold until the old one goes
        remove_key(place, "team-1")
        wait_for(lambda: status_of(client.address, old) == 401)
        Path(place).unlink()
        wait_for(lambda: status_of(client.address, new) == 401)
        assert status_of(client.address, "") == 401 and client.ready()


def test_a_rate_is_for_each_key_and_each_address(store, tmp_path):
    first, second = (add_key(tmp_path / "keys.json", name) for name in ("one", "two"))
    limits = Settings(service_rate_per_s=5)
    app = create_app(limits, OneModel(), store, keys=KeyRing(tmp_path / "keys.json"))

    def send(key, count=15):
        headers = {"x-api-key": key}
        answers = [
            call(app, "POST", "/score", {"text": "good"}, headers=headers) for _ in range(count)
        ]
        return [answer.status for answer in answers], answers[-1]

    told, last = send(first)
    assert told[:10] == [200] * 10 and told[-1] == 429
    assert last.headers["retry-after"] and "the key 'one' asks too often" in last.json["error"]
    assert send(second)[0][:10] == [200] * 10
    guesses, last = send("guess", 30)
    assert guesses[0] == 401 and guesses[-1] == 429  # guessing is limited too, by address
    assert "127.0.0.1" in last.json["error"]
    assert call(app, "GET", "/v2/health/live").status == 200  # never limited
    time.sleep(0.5)
    assert send(first, 1)[0] == [200]


def test_a_key_of_the_file_lets_a_service_listen_wider(tmp_path):
    wide = Settings(host="0.0.0.0")
    with pytest.raises(ServiceProblem, match="mlops-lab keys add"):
        check_binding(wide, KeyRing(tmp_path / "keys.json"))
    add_key(tmp_path / "keys.json", "a")
    check_binding(wide, KeyRing(tmp_path / "keys.json"))
    remove_key(tmp_path / "keys.json", "a")
    check_binding(wide, KeyRing(tmp_path / "keys.json"))  # nobody may come in, so nothing is open


@pytest.mark.parametrize("route", ["/score", "/feedback", "/v2/models/keywords/infer"])
@pytest.mark.parametrize("opening", [b"[", b'{"text":', b'{"inputs":['])
def test_deep_nesting_is_refused(store, route, opening):
    app = create_app(Settings(), OneModel(), store)
    answer = call(app, "POST", route, opening * 100_000)
    assert answer.status == 422 and answer.json["error"]


def test_masked_scores_are_read_back_masked(settings, bundle):
    masked = replace(settings, score_masking="on")
    with running_service(masked, bundle=bundle, program=PROGRAM) as client:
        told = client.score("good, ask ana@example.org")
        assert client.read(told["score_id"])["text"] == "good, ask <email>"


def test_every_answer_of_a_guarded_route_is_documented(store):
    app = create_app(Settings(api_key="secret"), OneModel(), store)
    routes = json.loads(openapi_record())["paths"]
    asked = 0
    for path, methods in routes.items():
        named = path.replace("{name}", "keywords").replace("{version}", "7")
        for method, told in methods.items():
            for key in ("", "secret"):
                headers = {"x-api-key": key}
                answer = call(app, method.upper(), named, b"{}", headers=headers)
                assert str(answer.status) in told["responses"], (method, path, answer.status)
                is_open = told.get("security") == []
                assert key or (answer.status == 401) != is_open
                asked += 1
        wrong = call(app, "TRACE", named)
        known = set(wrong.headers["allow"].lower().replace(" ", "").split(","))
        assert wrong.status == 405 and set(methods) <= known
    assert asked > 20
