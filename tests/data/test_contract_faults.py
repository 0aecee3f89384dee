"""Planted faults, each met by a rule of its own, and fifty clean batches without an alarm."""

import numpy as np
import pandas as pd
import pytest

from mlops_lab.data.changes import ChangedStream, Profile
from mlops_lab.data.contract import check_frame, divide_frame
from mlops_lab.data.faults import make_fault
from mlops_lab.data.terms import infer_contract, read_contract, write_contract
from mlops_lab.data.world import world_frame
from mlops_lab.foundation.errors import DataProblem

SIZE = 1_000


def batch(number, rows=SIZE):
    """A clean batch of the world, in order of time."""
    first = number * SIZE
    frame = world_frame(range(first, first + rows), seed=11)
    return frame.sort_values("at", ignore_index=True)


REFERENCE = batch(0)
AS_OF = str(REFERENCE["at"].max() + pd.Timedelta(days=1))
CONTRACT = infer_contract(REFERENCE, freshest_days=30)
QUIET = {"text_repeated", "text_conflict"}  # warnings that only count, also in clean batches


def alarms(frame, contract=CONTRACT, as_of=AS_OF):
    report = check_frame(frame, contract, as_of=as_of)
    return {rule.name: rule.failing for rule in report.rules if rule.failing}, report


def faulty(name, strength=0.04, **options):
    """One batch with a fault planted by the lab's own operators."""
    fault = make_fault(name, Profile(begin=100, strength=strength), options=options)
    [frame, *_] = ChangedStream([batch(1)], [fault], seed=3)
    return frame


def edited(column, value, rows=(200, 300, 400)):
    frame = batch(1)
    frame[column] = frame[column].astype(object)
    for row in rows:
        frame.at[row, column] = value(frame.at[row, column]) if callable(value) else value
    return frame


def near_copies():
    frame = batch(1)
    source = frame["text"].iloc[:300]
    copies = frame.iloc[500:800].copy()
    copies["text"] = (source + " Yes.").to_numpy()
    return pd.concat([frame.iloc[:500], copies, frame.iloc[800:]], ignore_index=True)


def conflicting():
    frame = batch(1)
    frame.loc[20:40, "text"] = "neither good nor bad, says everybody"
    frame.loc[20:40, "label"] = ["joy", "anger", "fear"] * 7
    return frame


def stale():
    frame = batch(1)
    frame["at"] -= pd.Timedelta(days=90)
    return frame


FAULTS = {
    "a renamed column": ("columns_present", lambda: faulty("renamed_column")),
    "an unknown column": ("columns_known", lambda: faulty("label_leakage", column="hint")),
    "nulls in the text": ("text_present", lambda: faulty("nulls")),
    "numbers for texts": ("text_is_text", lambda: edited("text", 3.5)),
    "texts glued together": ("text_length", lambda: edited("text", lambda text: text * 40)),
    "control characters": ("text_readable", lambda: edited("text", lambda text: "\x07" + text)),
    "broken encoding": ("text_encoding", lambda: faulty("broken_encoding", 0.08)),
    "duplicates with ids of their own": (
        "repeated_share",
        lambda: faulty("duplicates", 0.3, new_ids=True),
    ),
    "duplicates": ("id_unique", lambda: faulty("duplicates", 0.03)),
    "near duplicates": ("near_share", near_copies),
    "texts with several labels": ("text_conflict", conflicting),
    "e-mail addresses": ("personal_email", lambda: edited("text", "write to ana@uni.example.org")),
    "handles": ("personal_handle", lambda: edited("text", "ask @ana_92 about it")),
    "missing ids": ("id_present", lambda: edited("id", None)),
    "missing labels": ("label_present", lambda: faulty("nulls", 0.03, column="label")),
    "an unknown label": ("label_known", lambda: edited("label", "hungry")),
    "an unknown language": ("language_known", lambda: edited("language", "xx")),
    "a topic that is no longer sent": (
        "values_missing",
        lambda: faulty("nulls", 0.5, column="topic"),
    ),
    "times in milliseconds": ("time_past", lambda: faulty("unit_change", 0.03)),
    "times that are none": ("time_readable", lambda: edited("at", "yesterday")),
    "rows out of order": ("time_ordered", lambda: batch(1).sample(frac=1, random_state=1)),
    "a truncated batch": ("rows_enough", lambda: faulty("truncated_batch", 0.7)),
    "a late batch": ("fresh_enough", stale),
    "labels told in the text": ("told_share", lambda: faulty("label_leakage", 0.3)),
    "poisoned labels": ("label_shares", lambda: faulty("poisoned_labels", 0.5)),
}
# What else a fault brings with it, by its nature.
COMPANIONS = {
    "duplicates": {"time_ordered"},
    "times in milliseconds": {"time_ordered"},
    "duplicates with ids of their own": {"near_share"},
    "texts with several labels": {"repeated_share", "near_share"},
    "broken encoding": {"text_readable"},  # some bytes have no sign in Windows-1252
    "a truncated batch": {"fresh_enough"},  # its newest rows are the ones that are lost
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_met_by_a_rule_of_its_own(name):
    rule, plant = FAULTS[name]
    found, report = alarms(plant())
    others = set(found) - {rule} - (QUIET - {rule})
    assert found.get(rule), f"{name} passed in silence: {found}"
    assert others <= COMPANIONS.get(name, set()) | {"quarantine_share"}, found


def test_rules_are_different_ones():
    rules = [rule for rule, _ in FAULTS.values()]
    assert len(set(rules)) == len(rules) >= 20


@pytest.mark.parametrize("first", range(2, 52, 10))
def test_fifty_clean_batches_raise_no_alarm(first):
    for number in range(first, first + 10):
        found, report = alarms(batch(number))
        assert not set(found) - QUIET, (number, found)
        assert report.passed and report.quarantined == 0


def test_no_row_is_lost_whatever_the_fault():
    for name in ("broken_encoding", "nulls", "duplicates", "unit_change"):
        frame = faulty(name, 0.03)
        report = check_frame(frame, CONTRACT)
        kept, quarantine = divide_frame(frame, report)
        assert len(kept) + len(quarantine) == len(frame) == report.kept + report.quarantined
        assert (quarantine["reasons"] != "").all() and len(quarantine) > 5
        assert not set(kept.index[kept["text"].isna()])


def test_a_strict_contract_stops_at_one_row(tmp_path):
    write_contract(tmp_path / "contract.yaml", CONTRACT)
    text = (tmp_path / "contract.yaml").read_text().replace("strict: false", "strict: true")
    (tmp_path / "contract.yaml").write_text(text)
    strict = read_contract(tmp_path / "contract.yaml")
    frame = edited("label", "hungry", rows=[5])
    divide_frame(frame, check_frame(frame, CONTRACT))
    with pytest.raises(DataProblem, match="the contract is strict"):
        divide_frame(frame, check_frame(frame, strict))


def test_near_copies_are_noticed_in_a_large_batch():
    frame = world_frame(30_000, seed=11)
    contract = infer_contract(frame)
    assert "near_share" not in alarms(frame, contract)[0]
    spread = np.random.default_rng(1).permutation(27_000)[:3_000]
    copies = frame.iloc[spread].assign(text=frame["text"].iloc[spread] + " Yes.")
    planted = pd.concat([frame.iloc[:27_000], copies], ignore_index=True)
    found = alarms(planted, contract)[0]
    assert 1_500 < found["near_share"] < 6_000
