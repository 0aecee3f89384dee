"""The contract: each planted fault is met by its own rule, and no row is lost."""

import numpy as np
import pandas as pd
import pytest

from mlops_lab.data.contract import check_frame, divide_frame
from mlops_lab.data.terms import Contract, contract_for
from mlops_lab.data.world import world_frame
from mlops_lab.foundation.errors import DataProblem

WORLD = world_frame(1_000, seed=4)
CONTRACT = Contract(
    labels=contract_for(WORLD).labels, latest="2026-01-01", longest=2_000, ordered=True
)
CLEAN = WORLD.sort_values("at").reset_index(drop=True)


def failing(frame, contract=CONTRACT):
    report = check_frame(frame, contract)
    return {rule.name: rule.failing for rule in report.rules if rule.failing}, report


def plant(column, value, rows=(10, 20, 30)):
    frame = CLEAN.copy()
    frame[column] = frame[column].astype(object)
    for row in rows:
        frame.at[row, column] = value
    return frame


@pytest.mark.parametrize("seed", range(5))
def test_clean_batches_raise_no_alarm(seed):
    frame = world_frame(400, seed=seed).sort_values("at")
    found, report = failing(frame)
    assert not set(found) - {"text_repeated", "text_conflict"}
    assert report.passed and report.quarantined == 0


@pytest.mark.parametrize(
    ("rule", "frame"),
    [
        ("text_present", plant("text", None)),
        ("text_present", plant("text", " \t\n ")),
        ("text_is_text", plant("text", 3.5)),
        ("text_length", plant("text", "so long " * 400)),
        ("text_readable", plant("text", "a caf\ufffd near the lab")),
        ("text_readable", plant("text", "bell \x07 rings")),
        ("text_encoding", plant("text", "quÃ© bien")),
        ("text_encoding", plant("text", "itâ€™s ok")),
        ("id_present", plant("id", None)),
        ("label_present", plant("label", None)),
        ("label_known", plant("label", "hungry")),
        ("language_known", plant("language", "xx")),
        ("time_future", plant("at", pd.Timestamp("2031-01-01", tz="UTC"))),
        ("time_past", plant("at", pd.Timestamp("1970-01-01", tz="UTC"))),
        ("time_readable", plant("at", "yesterday")),
    ],
)
def test_each_planted_fault_is_met_by_its_own_rule(rule, frame):
    found, report = failing(frame)
    allowed = {"text_repeated", "text_conflict", "time_ordered"}
    assert set(found) - allowed == {rule} and found[rule] == 3
    result = next(item for item in report.rules if item.name == rule)
    assert len(result.sample_ids) == 3 and result.severity == "error"
    kept, quarantine = divide_frame(frame, report)
    assert len(kept) + len(quarantine) == len(frame) and len(quarantine) == 3
    assert set(quarantine["reasons"]) == {rule}


def test_a_repeated_id_keeps_the_first_row():
    frame = CLEAN.copy()
    frame.loc[[20, 30], "id"] = frame.loc[10, "id"]
    found, report = failing(frame)
    assert found["id_unique"] == 2
    kept, _ = divide_frame(frame, report)
    assert kept["id"].is_unique and CLEAN.loc[10, "text"] in set(kept["text"])


def test_warnings_count_and_keep_the_rows():
    frame = CLEAN.copy()
    frame.loc[:3, "text"] = "the same words again"
    frame.loc[:3, "label"] = ["joy", "anger", "joy", "joy"]
    frame = frame.iloc[::-1]
    found, report = failing(frame)
    assert found["text_repeated"] >= 3 and found["text_conflict"] >= 4
    assert found["time_ordered"] > 900 and report.quarantined == 0
    assert failing(CLEAN)[0].get("time_ordered") is None


def test_a_row_with_two_faults_is_one_row_with_two_reasons():
    frame = CLEAN.copy()
    frame.loc[5, ["label", "language"]] = ["hungry", "xx"]
    _, report = failing(frame)
    _, quarantine = divide_frame(frame, report)
    assert list(quarantine["reasons"]) == ["label_known language_known"]


@pytest.mark.parametrize(
    ("frame", "found"),
    [
        (CLEAN.rename(columns={"text": "message"}), "columns missing: \\['text'\\]"),
        (CLEAN.head(0), "no rows"),
        (CLEAN.assign(label="joy"), "fewer than two labels"),
        (CLEAN.assign(text=None), "more than 5.0%"),
        (plant("label", "hungry", range(60)), "label_known \\(60\\)"),
    ],
)
def test_a_fault_of_the_source_stops_everything(frame, found):
    report = check_frame(frame, CONTRACT)
    assert not report.passed and report.as_dict()["passed"] is False
    with pytest.raises(DataProblem, match=found):
        divide_frame(frame, report)


def test_label_imbalance_is_a_warning():
    frame = CLEAN.assign(label=np.where(np.arange(len(CLEAN)) < 20, "joy", "fear"))
    found, report = failing(frame)
    assert found["label_balance"] == 980 and report.passed


def test_an_index_of_the_caller_does_not_matter():
    frame = plant("label", "hungry")
    frame.index = frame.index[::-1] * 3
    _, report = failing(frame)
    kept, quarantine = divide_frame(frame, report)
    assert len(quarantine) == 3 and len(kept) == 997


def test_own_rows_without_optional_columns_pass():
    own = pd.DataFrame({"id": ["1", "2"], "text": ["a", "b"], "label": ["x", "y"]})
    assert failing(own, contract_for(own))[0] == {}
    objects = own.astype(object)
    assert failing(objects, contract_for(objects))[0] == {}


def test_the_report_is_small_json():
    import json

    record = check_frame(CLEAN, CONTRACT).as_dict()
    assert json.loads(json.dumps(record))["rows"] == 1_000
    assert record["kept"] + record["quarantined"] == record["rows"]


OWN = pd.DataFrame({"text": [f"text {n}" for n in range(200)], "label": ["x", "y"] * 100})
OWN["id"] = OWN["text"]


def test_labels_with_a_handful_of_rows_are_put_aside_and_told():
    rare = OWN.assign(label=[f"slip {n}" if n < 3 else v for n, v in enumerate(OWN["label"])])
    report = check_frame(rare, contract_for(rare, label_rows=5))
    kept, quarantine = divide_frame(rare, report)
    assert set(kept["label"]) == {"x", "y"} and set(quarantine["reasons"]) == {"label_rare"}
    [told] = report.remarks()
    assert told.startswith("3 rows are put aside: the label has fewer than 5 rows (text 0")
    assert check_frame(rare, contract_for(rare)).quarantined == 0
    several = rare.assign(labels=rare["label"])
    assert check_frame(several, contract_for(several, label_rows=5)).quarantined == 0


def test_a_column_of_free_words_is_no_label():
    free = OWN.assign(label=OWN["id"])
    with pytest.raises(DataProblem, match="label_rare \\(200\\)(.|\n)*are the right ones"):
        divide_frame(free, check_frame(free, contract_for(free, label_rows=5)))


@pytest.mark.parametrize(
    "own",
    [
        OWN.assign(language=["English", None, "fr", "zh-Hant"] * 50),
        OWN.assign(text=OWN["text"] + " and so on" * 3_000),
    ],
)
def test_rows_of_others_may_be_long_and_of_any_language(own):
    assert check_frame(own, contract_for(own, label_rows=5)).quarantined == 0
    strict = contract_for(WORLD)
    assert strict.languages == ("en", "es", "und") and strict.longest == 5_000
