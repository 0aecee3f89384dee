"""People in roles let a model pass, or not, and the log tells who said what."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from tracking_examples import promote

from mlops_lab.foundation.errors import ModelProblem, RecordProblem, SettingsProblem
from mlops_lab.tracking.approval import (
    Answer,
    ApprovalRules,
    find_answers,
    find_request,
    hear,
    read_rules,
)
from mlops_lab.tracking.promotion import answer_request, ask_approval, carry_out
from mlops_lab.tracking.registry import Registry

RULES = read_rules("owner, steward", "owner: Ana, Bo")
SIGNED = {"by": "pipeline", "role": "automatic gate", "run_id": "run"}
GOOD = {"passed": True, "reasons": [{"rule": "macro-F1", "passed": True, "found": "0.7"}]}
BAD = {"passed": False, "reasons": [{"rule": "test rows", "passed": False, "found": "3"}]}


@pytest.fixture
def version(registry, bundles):
    return registry.register(bundles[0], run_id="run", metrics={})


def carry(registry, version, verdict=GOOD, rules=RULES):
    return carry_out(registry, version, verdict=verdict, rules=rules, signed=SIGNED)


def say(registry, by, role, granted=True, number=1, rules=RULES):
    return answer_request(registry, number, answer=Answer(by, role, "seen", granted), rules=rules)


def kinds(registry):
    return [entry.kind for entry in registry.log.read()]


def test_without_roles_the_gate_decides_alone(registry, version):
    assert carry(registry, version, rules=ApprovalRules()).state == "promoted"
    assert kinds(registry) == ["register", "promote"] and registry.champion() == version


def test_a_promotion_waits_for_every_role_and_then_names_who_approved(registry, version):
    first = carry(registry, version)
    assert first.state == "waiting" and "owner, steward" in first.waits
    assert "mlops-lab approve 1" in first.waits and registry.champion() is None
    say(registry, "Ana", "owner")
    assert carry(registry, version).waits.startswith("version 1 waits for the approval of: steward")
    say(registry, "Cy", "steward")
    assert carry(registry, version).state == "promoted" and registry.champion() == version
    reason = registry.log.last("promote").data["reason"]
    assert "approved by Ana (owner): seen" in reason and "approved by Cy (steward)" in reason
    assert kinds(registry) == ["register", "ask", "approve", "approve", "promote"]


def test_a_champion_stays_champion_while_another_waits(registry, bundles, version):
    promote(registry, version)
    second = registry.register(bundles[1], run_id="run", metrics={})
    assert carry(registry, second).state == "waiting" and registry.champion() == version
    assert carry(registry, version).state == "promoted"  # what is champion is not asked about
    assert kinds(registry).count("ask") == 1


def test_one_no_ends_it_until_the_same_role_says_yes(registry, version):
    carry(registry, version)
    say(registry, "Ana", "owner")
    say(registry, "Cy", "steward", granted=False)
    outcome = carry(registry, version)
    assert (outcome.state, outcome.waits) == ("declined", "") and registry.champion() is None
    assert outcome.reason == "declined by Cy (steward): seen"
    say(registry, "Cy", "steward")
    assert carry(registry, version).state == "promoted"


def test_a_refused_model_is_not_asked_about(registry, version):
    assert carry(registry, version, BAD).state == "refused"
    assert kinds(registry) == ["register", "refuse"]
    with pytest.raises(ModelProblem, match="waits for nobody"):
        say(registry, "Ana", "owner")


def test_other_evidence_needs_new_approvals(registry, version):
    carry(registry, version)
    say(registry, "Ana", "owner")
    better = {"passed": True, "reasons": [{"rule": "macro-F1", "passed": True, "found": "0.8"}]}
    assert "owner, steward" in carry(registry, version, better).waits
    assert kinds(registry).count("ask") == 2


def test_approvals_do_not_outlive_a_rollback(registry, bundles, version):
    promote(registry, version)
    second = registry.register(bundles[1], run_id="run", metrics={})
    carry(registry, second)
    say(registry, "Ana", "owner", number=2)
    say(registry, "Cy", "steward", number=2)
    assert carry(registry, second).state == "promoted"
    registry.rollback(by="Bo", role="operator", reason="complaints")
    assert find_answers(registry.log.read(), second.digest) == ()
    assert carry(registry, second).state == "waiting"


@pytest.mark.parametrize(
    ("by", "role", "words"),
    [
        ("Eve", "owner", "Eve may not speak for the role 'owner'"),
        ("Ana", "intern", "may not speak for the role 'intern'"),
        ("Ana", "steward", "Ana has already spoken for the role 'owner'"),
    ],
)
def test_who_may_not_speak_leaves_no_line(registry, version, by, role, words):
    carry(registry, version)
    say(registry, "Ana", "owner")
    lines = registry.log.verify()
    with pytest.raises(ModelProblem, match=words.replace("(", r"\(")):
        say(registry, by, role)
    assert registry.log.verify() == lines
    assert hear(find_request(registry.log.read(), version.digest), RULES)[0] == ["steward"]


@pytest.mark.parametrize("empty", ["by", "role", "reason"])
def test_an_answer_is_signed_and_reasoned(registry, version, empty):
    carry(registry, version)
    said = {"by": "Ana", "role": "owner", "reason": "seen", "granted": True} | {empty: "  "}
    with pytest.raises(ValueError, match=empty):
        answer_request(registry, 1, answer=Answer(**said), rules=RULES)


def test_a_line_of_somebody_without_the_role_counts_for_nothing(registry, version):
    carry(registry, version)
    lenient = read_rules("owner, steward")
    say(registry, "Eve", "owner", rules=lenient)
    say(registry, "Cy", "steward", rules=lenient)
    assert carry(registry, version).state == "waiting"  # Eve is not among the owners now


def test_an_unknown_version_is_told(registry, version):
    with pytest.raises(RecordProblem, match="version 9"):
        say(registry, "Ana", "owner", number=9)


def test_many_asking_at_once_ask_once(lab, registry, version):
    def ask(i):
        return ask_approval(Registry(lab, mirrored=False), version, evidence=GOOD).line

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(16)))) == 1
    assert kinds(registry) == ["register", "ask"]


@pytest.mark.parametrize("approvers", ["owner", "owner:", "boss: Ana", "owner: Ana; : Bo"])
def test_who_may_speak_is_spelt_clearly_or_refused(approvers):
    with pytest.raises(SettingsProblem, match="approvers has"):
        read_rules("owner, steward", approvers)
    assert read_rules(" owner , owner,, ").roles == ("owner",)
