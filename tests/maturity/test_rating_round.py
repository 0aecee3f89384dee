"""Raters answer alone, also when two of them press at the same moment."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.errors import RecordProblem
from mlops_lab.maturity.answers import Answer, Sheet
from mlops_lab.maturity.bank import read_bank
from mlops_lab.maturity.disagreement import Spread
from mlops_lab.maturity.evidence import gather_evidence
from mlops_lab.maturity.history import AssessmentLog
from mlops_lab.maturity.rating_round import RatingRound, draw_spreads, unanimous
from mlops_lab.maturity.texts import read_texts

BANK = read_bank()


@pytest.fixture
def group(tmp_path):
    log = AssessmentLog(tmp_path / "assessments.jsonl", bank=BANK)
    return RatingRound(log, gather_evidence(tmp_path, BANK))


def sheet(person, **answers):
    given = {name.replace("_", "-"): Answer(value) for name, value in answers.items()}
    return Sheet(BANK.version, given, person, "DS")


def test_before_the_reveal_nothing_but_names_is_told(group):
    group.hand_in(sheet("Ada", PIP_1=3))
    group.hand_in(sheet("Ben", PIP_1=0))
    assert group.log.waiting == ["Ada", "Ben"] and group.spreads() == {}
    assert group.log.snapshots() == []
    with pytest.raises(RecordProblem, match="round 1 is not revealed"):
        group.log.revealed(1)


def test_range_deviation_and_median_by_hand(group):
    for person, value in (("Ada", 0), ("Ben", 1), ("Cleo", 3), ("Dora", 3)):
        group.hand_in(sheet(person, PIP_1=value, PIP_7=2))
    one = group.reveal()["PIP-1"]
    # median of 0 1 3 3 is 2; distances 2 1 1 1, mean 1.25; range 3 - 0
    assert (one.median, one.range, one.deviation) == (2.0, 3, 1.25)
    assert unanimous(group.spreads()) == {"PIP-7": 2}


def test_the_agreed_record_stands_beside_the_answers(group):
    group.hand_in(sheet("Ada", PIP_1=3, PIP_7=1))
    group.hand_in(sheet("Ben", PIP_1=0, PIP_7=1))
    group.reveal()
    first = group.agree({})
    assert set(first.data["sheet"]["answers"]) == {"PIP-7"}, "what they differ on stays open"
    group.agree({"PIP-1": Answer(2)})
    kinds = [(one.kind, one.round) for one in group.log.snapshots()]
    assert kinds == [("answers", 1), ("answers", 1), ("agreed", 1), ("agreed", 1)]
    assert group.log.revealed(1)["Ada"].answers["PIP-1"].value == 3


def test_a_sheet_behind_a_reveal_belongs_to_the_next_round(group, tmp_path):
    group.hand_in(sheet("Ada", PIP_1=3))
    group.hand_in(sheet("Ben", PIP_1=0))
    late = {"round": 1, "sheet": sheet("Cleo", PIP_1=2).as_dict(), "ceilings": {}, "commit": ""}
    group.reveal()
    # written by a process that had asked for the round before the reveal
    ChainLog(tmp_path / "assessments.jsonl").append("answers", late)
    assert set(group.log.revealed(1)) == {"Ada", "Ben"} and group.log.waiting == ["Cleo"]


def test_twenty_raters_at_once_lose_no_sheet(group):
    sheets = [sheet(f"rater {k}", PIP_1=k % 4) for k in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(group.hand_in, sheets))
    assert len(group.log.waiting) == 20 and group.reveal()["PIP-1"].range == 3


def test_a_changed_line_closes_the_round(group, tmp_path):
    group.hand_in(sheet("Ada", PIP_1=3))
    path = tmp_path / "assessments.jsonl"
    path.write_text(path.read_text().replace('"value":3', '"value":1'))
    with pytest.raises(RecordProblem):
        group.hand_in(sheet("Ben", PIP_1=0))


def test_names_and_remarks_cannot_become_html():
    one = Spread("PIP-1", {"<script>": 1, "Ben": 3}, 2.0, 2, 1.0, "evidence")
    drawn = draw_spreads(BANK, {"PIP-1": one}, language="es")
    assert "<script>" not in drawn and "&lt;script&gt;" in drawn and "mediana" in drawn


@settings(max_examples=60, deadline=None)
@given(some.lists(some.integers(0, 3), min_size=2, max_size=6))
def test_what_all_say_alike_is_agreed_and_nothing_else(values):
    votes = {f"rater {k}": value for k, value in enumerate(values)}
    one = Spread("PIP-1", votes, 0.0, 0, 0.0, "spread")
    agreed = unanimous({"PIP-1": one})
    assert agreed == ({"PIP-1": values[0]} if len(set(values)) == 1 else {})


def test_every_prompt_is_said_in_both_languages():
    texts = {language: read_texts(language) for language in ("en", "es")}
    for prompt in ("evidence", "role", "unknown", "not applicable", "spread", "none"):
        assert all(texts[language][f"talk_{prompt}"] for language in ("en", "es"))
