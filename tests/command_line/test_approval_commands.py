"""People approve and decline at a terminal, and only those who may."""

import json

import pytest

from mlops_lab.foundation.records import write_json
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.tracking.approval import read_rules
from mlops_lab.tracking.cards import keep_card
from mlops_lab.tracking.promotion import carry_out
from mlops_lab.tracking.registry import Registry

ASKED = {"approval_roles": "owner, steward", "approvers": "owner: Ana"}
RULES = read_rules(*ASKED.values())
GOOD = {"passed": True, "reasons": [{"rule": "macro-F1", "passed": True, "found": "0.7"}]}
SIGNED = {"by": "pipeline", "role": "automatic gate", "run_id": "run"}


@pytest.fixture
def registry(home):
    """The lab of the project, in which version 1 waits for two roles."""
    registry = Registry(Workspace(home / ".lab").create(), mirrored=False)
    write_json(home / "bundle" / "card.json", {"name": "tiny"})
    version = registry.register(home / "bundle", run_id="run", metrics={})
    (home / "papers").mkdir()
    (home / "papers" / "card.md").write_text("# Model card: tiny\n")
    keep_card(registry, version, folder=home / "papers")
    carry_out(registry, version, verdict=GOOD, rules=RULES, signed=SIGNED)
    return registry


def say(call, *words, by="Ana", role="owner"):
    return call("approve", "1", "--as", by, "--role", role, "--reason", "seen", *words, **ASKED)


def test_what_waits_is_listed_for_people_and_machines(call, registry):
    shown = call("approve", **ASKED)
    assert shown.returncode == 0 and "waits for: owner, steward" in shown.stdout
    [one] = json.loads(call("approve", "--json", **ASKED).stdout)
    assert (one["version"], one["missing"], one["answers"]) == (1, ["owner", "steward"], [])


def test_answers_are_written_and_told(call, registry):
    assert "waits for: steward" in say(call).stdout
    no = say(call, "--refuse", by="Cy", role="steward")
    assert "declined by Cy (steward): seen" in no.stdout
    assert "waits for: nobody; mlops-lab run" in say(call, by="Cy", role="steward").stdout
    kinds = [entry.kind for entry in registry.log.read()]
    assert kinds == ["register", "card", "ask", "approve", "decline", "approve"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("1", "--as", "Eve", "--role", "owner", "--reason", "x"), 1, "Eve may not speak"),
        (("1", "--as", "Ana", "--role", "boss", "--reason", "x"), 1, "the role 'boss'"),
        (("7", "--as", "Ana", "--role", "owner", "--reason", "x"), 1, "version 7"),
        (("nonsense", "--as", "Ana", "--role", "owner", "--reason", "x"), 1, "no run yet"),
        (("1", "--as", "Ana", "--role", "owner"), 2, "--reason"),
        (("1", "--as", " ", "--role", "owner", "--reason", "x"), 2, "--as"),
    ],
)
def test_what_may_not_be_said_is_refused_and_leaves_no_line(call, registry, words, code, said):
    answer = call("approve", *words, **ASKED)
    assert answer.returncode == code and said in answer.stderr and "Traceback" not in answer.stderr
    assert registry.log.verify() == 3


def test_a_lab_that_asks_nobody_says_so(call):
    assert call("approve").stdout.strip() == "nothing waits for an approval"


def test_a_card_is_shown_until_somebody_touches_it(call, registry):
    shown = call("card", "1")
    assert shown.returncode == 0 and "# Model card: tiny" in shown.stdout
    assert call("card").returncode == 1  # there is no champion yet
    digest = registry.log.last("card").data["card"].removeprefix("sha256:")
    (registry.lab.models / digest / "card.md").write_text("# praise\n")
    changed = call("card", "1")
    assert changed.returncode == 1 and "was changed" in changed.stderr
