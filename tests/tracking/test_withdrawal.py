"""A model that was taken back stays out until a person lets it return."""

import pytest
from tracking_examples import promote

from mlops_lab.foundation.errors import PipelineProblem, RecordProblem
from mlops_lab.tracking.withdrawal import find_withdrawal, judge_return, read_approval


@pytest.fixture
def versions(registry, bundles):
    """Three versions, promoted one after the other."""
    made = [registry.register(bundle, run_id="run", metrics={}) for bundle in bundles[:3]]
    for version in made:
        promote(registry, version)
    return made


def roll_back(registry, reason="complaints"):
    return registry.rollback(by="Bo", role="operator", reason=reason)


def find(registry, version):
    return find_withdrawal(registry.log.read(), version.digest)


def test_a_rollback_takes_one_version_back_and_says_who_when_and_why(registry, versions):
    assert [find(registry, version) for version in versions] == [None] * 3
    roll_back(registry)
    found, line = find(registry, versions[2]), registry.log.last("rollback")
    assert (found.number, found.by, found.role) == (3, "Bo", "operator")
    assert (found.at, found.line) == (line.at, line.digest)
    assert str(found).endswith(f"on {line.at[:10]} by Bo (operator): complaints")
    assert find(registry, versions[0]) is find(registry, versions[1]) is None


def test_each_rollback_is_remembered_with_its_own_reason(registry, versions):
    roll_back(registry, "slow")
    roll_back(registry, "wrong")
    assert [find(registry, one).reason for one in versions[1:]] == ["wrong", "slow"]
    assert find(registry, versions[0]) is None


def test_a_refusal_or_a_new_registration_forgives_nothing(registry, versions, bundles):
    roll_back(registry)
    registry.refuse(versions[2], by="gate", role="automatic gate", reason="no", evidence={})
    assert registry.register(bundles[2], run_id="later", metrics={}) == versions[2]
    promote(registry, versions[1])
    assert find(registry, versions[2]).reason == "complaints"


def test_a_person_who_promotes_it_again_lets_it_return_until_the_next_rollback(registry, versions):
    roll_back(registry)
    promote(registry, versions[2])
    assert find(registry, versions[2]) is None
    roll_back(registry, "again")
    assert find(registry, versions[2]).reason == "again"


def test_a_model_nobody_knows_was_never_taken_back(registry, versions):
    roll_back(registry)
    assert find_withdrawal(registry.log.read(), "sha256:new") is None


def test_who_edits_the_log_does_not_get_a_model_through(registry, versions):
    roll_back(registry)
    path = registry.lab.decisions
    path.write_bytes(path.read_bytes().replace(b'"withdrawn":3', b'"withdrawn":1'))
    with pytest.raises(RecordProblem, match="was changed"):
        find(registry, versions[2])


@pytest.mark.parametrize("text", ["3", "3, Ana", "3, , owner", "Ana, owner", "v3, Ana, owner", ","])
def test_an_approval_is_whole_or_absent(text):
    with pytest.raises(PipelineProblem, match="number of the version, name and role"):
        read_approval(text)
    assert read_approval("  ") is None
    assert read_approval("12, Ana B., owner, quality").role == "owner, quality"


@pytest.mark.parametrize("number, words", [(3, "Ana (owner)"), (2, ""), (1, "")])
def test_an_approval_is_for_one_version(registry, versions, number, words):
    roll_back(registry)
    ask = {"approval": f"{number}, Ana, owner"}
    told = judge_return(registry.log.read(), versions[2].digest, **ask)
    assert told["approved"].endswith(words) and bool(told["approved"]) == bool(words)
    assert "Bo (operator): complaints" in told["withdrawn"]
