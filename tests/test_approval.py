"""A run that needs an approval waits truthfully, and goes on where it stood."""

import json
import re

import pytest
import readme

from mlops_lab.data.world import world_frame
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.tracking.decisions import Decisions

ASKED = {"approval_roles": "product owner", "approvers": "product owner: Ana"}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone with a small file, whose lab asks one role for approval."""
    clone = readme.make_clone(tmp_path_factory.mktemp("asked") / "clone")
    frame = world_frame(600, seed=3, task="sentiment")
    frame = frame[["text", "label"]].set_axis(["message", "feeling"], axis=1)
    frame.to_csv(clone / "messages.csv", index=False)
    return clone


def run(clone, **settings):
    words = ("run", "--data", "messages.csv", "--text", "message", "--label", "feeling", "--json")
    return readme.call(clone, *words, **ASKED, **settings)


@pytest.fixture(scope="module")
def waiting(clone):
    """The run that waits."""
    return run(clone)


def kinds(clone):
    return [entry.kind for entry in Decisions(Workspace(clone / ".lab")).log.read()]


def states(told):
    return {stage["stage"]: stage["state"] for stage in told["stages"]}


@pytest.mark.slow
def test_a_run_that_needs_an_approval_waits_and_nothing_is_half_done(clone, waiting):
    told = json.loads(waiting.stdout)
    assert (waiting.returncode, told["state"], told["exit"]) == (4, "waiting", 4)
    assert told["champion"] is None and not told["passed"] and waiting.stderr == ""
    left_out = {name for name, state in states(told).items() if state == "never run"}
    assert left_out == {"deploy", "score", "monitor"}
    assert kinds(clone) == ["register", "card", "ask"]


@pytest.mark.slow
def test_the_lab_tells_what_waits_wherever_it_is_asked(clone, waiting):
    name = json.loads(waiting.stdout)["run"]
    assert f"{name} waiting" in " ".join(readme.call(clone, "runs").stdout.split())
    assert "waits for the approval of: product owner" in readme.call(clone, "status").stdout
    listed = readme.call(clone, "approve", **ASKED).stdout
    assert re.search(r"version 1, since \S+Z, waits for: product owner", listed)
    report = (clone / ".lab" / "runs" / name / "report.html").read_text()
    assert "What this run waits for" in report and "What was refused" not in report


@pytest.mark.slow
def test_waiting_again_asks_nobody_again_and_runs_nothing(clone, waiting):
    again = json.loads(run(clone).stdout)
    assert again["state"] == "waiting" and set(states(again).values()) == {"cached", "never run"}
    assert kinds(clone) == ["register", "card", "ask"]


@pytest.mark.slow
def test_who_may_not_approve_is_refused_by_the_program(clone, waiting):
    words = ("approve", "1", "--role", "product owner", "--reason", "why not")
    eve = readme.call(clone, *words, "--as", "Eve", "--json", **ASKED)
    assert eve.returncode == 1 and "may not speak" in json.loads(eve.stdout)["error"]["found"]
    unsigned = readme.call(clone, *words, **ASKED)
    assert unsigned.returncode == 2 and "--as" in unsigned.stderr


@pytest.mark.slow
def test_after_a_refusal_and_an_approval_the_run_goes_on_from_there(clone, waiting):
    name = json.loads(waiting.stdout)["run"]
    words = ("--as", "Ana", "--role", "product owner", "--json")
    no = readme.call(clone, "approve", "1", "--refuse", "--reason", "not yet", *words, **ASKED)
    assert no.returncode == 0, no.stderr
    declined = run(clone)
    assert declined.returncode == 3 and "declined by Ana" in declined.stdout
    yes = readme.call(clone, "approve", name, "--reason", "negations seen", *words, **ASKED)
    assert yes.returncode == 0 and json.loads(yes.stdout)[0]["missing"] == []
    end = run(clone)
    told = json.loads(end.stdout)
    assert (end.returncode, told["state"]) == (0, "done") and told["champion"]["number"] == 1
    ran = {stage for stage, state in states(told).items() if state == "done"}
    assert ran == {"register", "deploy", "score", "monitor"}
    log = Decisions(Workspace(clone / ".lab")).log
    assert kinds(clone) == ["register", "card", "ask", "decline", "approve", "promote"]
    assert "approved by Ana (product owner): negations seen" in log.last("promote").data["reason"]
    assert json.loads(run(clone).stdout)["state"] == "cached"


@pytest.mark.slow
def test_the_card_of_the_champion_is_shown_and_tells_its_limits(clone, waiting):
    told = json.loads(readme.call(clone, "card", "1", "--json").stdout)
    assert "## Limits" in told["markdown"] and "not named in settings.ini" in told["markdown"]
    assert "| no behaviour worse | yes |" in told["markdown"]
