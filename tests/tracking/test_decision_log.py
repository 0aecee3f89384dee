"""No line of the decision log can be changed, cut or moved unseen, and it knows every champion."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from tracking_examples import promote, write_tiny_bundle

from mlops_lab.foundation.errors import RecordProblem
from mlops_lab.tracking.approval import Answer, read_rules
from mlops_lab.tracking.cards import keep_card
from mlops_lab.tracking.decisions import Decisions
from mlops_lab.tracking.promotion import answer_request, carry_out

RULES = read_rules("owner")
SIGNED = {"by": "pipeline", "role": "automatic gate", "run_id": "run"}
VERDICT = {"passed": True, "reasons": [{"rule": "macro-F1", "passed": True, "found": "ñ 0.7"}]}


def approve_and_promote(registry, version):
    """Let a version wait, approve it and carry the promotion out."""
    carry_out(registry, version, verdict=VERDICT, rules=RULES, signed=SIGNED)
    said = Answer("Ana", "owner", "seen", granted=True)
    answer_request(registry, version.number, answer=said, rules=RULES)
    carry_out(registry, version, verdict=VERDICT, rules=RULES, signed=SIGNED)


@pytest.fixture
def log(registry, bundles, tmp_path):
    """A log with every kind of line."""
    first, second, third = (registry.register(b, run_id="run", metrics={}) for b in bundles[:3])
    keep_card(registry, first, folder=write_tiny_bundle(tmp_path / "card"))
    promote(registry, first)
    approve_and_promote(registry, second)
    registry.rollback(by="Bo", role="operator", reason="complaints")
    registry.refuse(third, by="gate", role="automatic gate", reason="no", evidence={})
    carry_out(registry, third, verdict=VERDICT, rules=RULES, signed=SIGNED)
    no = Answer("Ana", "owner", "not yet", granted=False)
    answer_request(registry, third.number, answer=no, rules=RULES)
    kinds = {entry.kind for entry in registry.log.read()}
    wanted = {"register", "card", "promote", "ask", "approve", "rollback", "refuse", "decline"}
    assert kinds == wanted
    return registry.log


def is_noticed(log, content):
    """Whether every way of reading refuses this content."""
    log.path.write_bytes(content)
    try:
        log.verify()
    except RecordProblem:
        with pytest.raises(RecordProblem):
            Decisions(log_lab(log)).champion()
        with pytest.raises(RecordProblem):
            list(log.backwards())
        return True
    return False


def log_lab(log):
    from mlops_lab.foundation.workspace import Workspace

    return Workspace(log.path.parent)


def test_every_byte_of_every_line_is_guarded(log):
    whole = log.path.read_bytes()
    for place in range(len(whole)):
        changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        assert is_noticed(log, changed), (place, whole[place - 20 : place + 20])
    assert not is_noticed(log, whole)


def test_every_line_that_is_removed_is_missed_the_last_one_too(log):
    whole = log.path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for number in range(len(lines)):
        assert is_noticed(log, b"".join(lines[:number] + lines[number + 1 :])), number
        assert is_noticed(log, b"".join(lines[:number])), number
    assert not is_noticed(log, whole)


def test_lines_that_are_moved_doubled_or_invented_are_noticed(log):
    whole = log.path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for number in range(len(lines) - 1):
        moved = [*lines]
        moved[number], moved[number + 1] = moved[number + 1], moved[number]
        assert is_noticed(log, b"".join(moved))
        assert is_noticed(
            log, b"".join([*lines[: number + 1], lines[number], *lines[number + 1 :]])
        )
    invented = lines[-1].replace(b'"kind":"decline"', b'"kind":"approve"')
    assert is_noticed(log, b"".join([*lines[:-1], invented])) and invented != lines[-1]


def test_who_rewrites_log_and_head_is_caught_only_by_a_copy_of_the_head(log):
    """What the chain cannot do by itself, told as it is."""
    copy = log.last().digest
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(lines[:-1]))
    log.path.with_name(log.path.name + ".head").unlink()
    assert log.verify() == len(lines) - 1  # a shorter log that holds together
    assert log.last().digest != copy


def test_nobody_decides_on_a_log_that_was_changed(log, registry, bundles):
    whole = log.path.read_bytes()
    log.path.write_bytes(whole.replace(b"complaints", b"compliment"))
    with pytest.raises(RecordProblem, match="was changed"):
        registry.register(bundles[3], run_id="run", metrics={})
    with pytest.raises(RecordProblem, match="was changed"):
        registry.rollback(by="Bo", role="operator", reason="again")


@pytest.mark.parametrize("seed", range(5))
def test_the_champion_of_any_moment_is_known(registry, tmp_path, monkeypatch, seed):
    """A random history, told to the registry and kept beside it, asked at random moments."""
    random, now = Random(seed), [datetime(2026, 3, 1, tzinfo=UTC)]

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return now[0]

    monkeypatch.setattr("mlops_lab.foundation.chain.datetime", Clock)
    history, before = [], []  # (moment, champion), and whom each champion replaced
    versions = [
        registry.register(write_tiny_bundle(tmp_path / f"b{i}", seed=i), run_id="run", metrics={})
        for i in range(12)
    ]
    for version in versions:
        now[0] += timedelta(minutes=random.randint(1, 5_000))
        kind = random.choice(["promote", "approve", "refuse", "wait", "rollback"])
        if kind == "rollback" and len(before) > 1:
            registry.rollback(by="Bo", role="operator", reason="alarm")
            before.pop()
            history.append((now[0], before[-1]))
        elif kind == "refuse":
            registry.refuse(version, by="gate", role="automatic", reason="no", evidence={})
        elif kind == "wait":
            carry_out(registry, version, verdict=VERDICT, rules=RULES, signed=SIGNED)
        elif kind in ("promote", "approve"):
            (approve_and_promote if kind == "approve" else promote)(registry, version)
            before.append(version.number)
            history.append((now[0], version.number))
    start = datetime(2026, 2, 27, tzinfo=UTC)
    length = int((now[0] - start).total_seconds()) + 90_000
    moments = [start + timedelta(seconds=random.randrange(length)) for _ in range(10)]
    moments += [at for at, _ in history] + [at - timedelta(microseconds=1) for at, _ in history]
    for moment in moments:
        wanted = [number for at, number in history if at <= moment]
        found = registry.champion_at(moment)
        assert (found.number if found else None) == (wanted[-1] if wanted else None), moment
