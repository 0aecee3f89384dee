"""A canary from the terminal, beside a real service."""

import json
import time
from pathlib import Path

import pytest

from mlops_lab.foundation.settings import Settings
from mlops_lab.foundation.workspace import open_workspace
from mlops_lab.serving.launcher import running_service
from mlops_lab.tracking.registry import Registry

PROGRAM = (str(Path(__file__).parents[1] / "serving" / "keyword_service.py"),)


@pytest.fixture
def registry(home):
    """Two versions, the first one champion."""
    registry = Registry(open_workspace(_settings(home)).create(), mirrored=False)
    for kind in ("first", "second"):
        folder = home / kind
        folder.mkdir()
        for name, text in (("name.txt", "keywords"), ("kind.txt", kind), ("card.json", "{}")):
            (folder / name).write_text(text)
        registry.register(folder, run_id="run", metrics={})
    signed = {"by": "Ana", "role": "owner", "reason": "first"}
    registry.promote(registry.versions()[0], **signed, evidence={})
    return registry


def _settings(home):
    return Settings(project=home, workspace=home / ".lab")


@pytest.fixture
def port(home, registry):
    """A service of this lab."""
    with running_service(_settings(home), program=PROGRAM) as client:
        yield client.address.rpartition(":")[2]


def test_a_canary_is_begun_looked_at_and_promoted(call, registry, port):
    began = call("canary", "start", "2", "--share", "0.3", "--port", port, "--by", "Bo")
    assert began.returncode == 0, began.stderr
    assert "version 2 is on trial against version 1" in began.stdout
    assert "share:    30%, told apart by caller" in began.stdout and "warning" not in began.stdout
    told = json.loads(call("canary", "status", "--json").stdout)
    assert told["running"] and told["watched"] and told["by"] == "Bo"
    assert told["terms"]["share"] == 0.3 and told["terms"]["automatic"] == "all"
    again = call("canary", "start", "2", "--port", port)
    assert again.returncode == 1 and "version 2 is on trial since" in again.stderr
    ended = call("canary", "stop", "--promote", "--reason", "good enough", "--role", "owner")
    assert ended.returncode == 0, ended.stderr
    assert "no canary is on trial" in ended.stdout and "(owner): good enough" in ended.stdout
    assert registry.champion().number == 2 and registry.log.verify() == 6
    assert registry.reigns()[-1].reason == "good enough"


def test_a_canary_taken_back_is_not_tried_again_unasked(call, registry, port):
    assert call("canary", "start", "2", "--port", port).returncode == 0
    assert call("canary", "stop", "--roll-back", "--reason", "odd answers").returncode == 0
    again = call("canary", "start", "2", "--port", port)
    assert again.returncode == 1 and "odd answers" in again.stderr and "--again" in again.stderr
    assert call("canary", "start", "2", "--port", port, "--again").returncode == 0
    assert registry.champion().number == 1


PROBLEMS = {
    "no such version": (["start", "7"], "there is no version 7", "known: 1, 2"),
    "champion already": (["start", "1"], "version 1 is champion already", "another version"),
    "share too large": (["start", "2", "--share", "1.5"], "share of 1.5", "0 (copies only) to 0.9"),
    "nothing to try": (["start", "2", "--share", "0", "--copies", "0"], "without a share", "0.1"),
    "no service": (["start", "2", "--port", "9"], "no service answers at", "mlops-lab serve"),
    "nothing to stop": (
        ["stop", "--promote", "--reason", "x"],
        "no canary is on trial",
        "mlops-lab canary start",
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_says_what_to_do_and_writes_nothing(call, registry, name):
    words, found, cure = PROBLEMS[name]
    told = call("canary", *words)
    assert told.returncode == 1 and told.stdout == ""
    assert found in told.stderr and cure in told.stderr and len(told.stderr.splitlines()) <= 3
    assert registry.log.verify() == 3


def test_a_service_of_another_lab_takes_nothing_up(call, registry, tmp_path):
    other = tmp_path / "bundle"
    other.mkdir()
    for name, text in (("name.txt", "keywords"), ("manifest.json", "{}")):
        (other / name).write_text(text)
    settings = Settings(project=tmp_path, workspace=tmp_path / "other")
    with running_service(settings, bundle=other, program=PROGRAM) as client:
        began = time.monotonic()
        told = call("canary", "start", "2", "--port", client.address.rpartition(":")[2])
    assert told.returncode == 1 and "did not take it up" in told.stderr
    assert time.monotonic() - began < 40
    assert registry.log.last("canary_end").data["decision"] == "stop"


def test_without_a_trial_there_is_nothing_to_tell(call, registry):
    told = call("canary", "status")
    assert told.returncode == 0 and told.stdout.startswith("no canary is on trial")
    assert call("canary", "stop", "--reason", "x").returncode == 2
