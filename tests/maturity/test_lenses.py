"""Levels against hand calculations, and what must hold for any answers."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_lab.foundation.errors import RecordProblem
from mlops_lab.maturity.answers import Answer, Sheet, parse_sheet
from mlops_lab.maturity.assessment import assess
from mlops_lab.maturity.bank import read_bank
from mlops_lab.maturity.lenses import look_through
from mlops_lab.maturity.published_models import read_lenses
from mlops_lab.maturity.test_score import count_tests

BANK = read_bank()
LENSES = read_lenses(BANK)
IDS = list(BANK.criteria)
ALL = dict.fromkeys(IDS, 3)


def levels(values):
    found = {name: look_through(lens, values) for name, lens in LENSES.items()}
    tracks = [track.level for track in found["microsoft"].tracks]
    return found["google"].level, tracks, found["ladder"].level, count_tests(values).score


def set_all(value, *names):
    return dict.fromkeys(names, value)


BY_HAND = dict.fromkeys(IDS, 2)
GOOGLE_1 = {
    need.criterion: need.least
    for need in LENSES["google"].tracks[0].levels[1]
    if not need.criterion.startswith("TST")
}
NO_MONITORING = {name: 0 if name.startswith("MON") else 3 for name in IDS}

# Worked out by hand from the published tables: Google, Microsoft's four tracks (people, creation,
# release, integration), ladder, ML Test Score.
WORKED = {
    "nothing": ({}, (0, [0, 0, 0, 0], 0, 0)),
    "everything automatic": (ALL, (2, [4, 4, 4, 4], 4, 7)),
    "everything by hand but documented": (BY_HAND, (0, [4, 0, 2, 0], 3, 3.5)),
    "all of Google 1, no software tests": (GOOGLE_1, (1, [0, 0, 0, 0], 0, 0)),
    "all but drift-triggered retraining": (ALL | {"PIP-5": 0}, (2, [4, 3, 4, 4], 4, 7)),
    "all but an integration test": (ALL | {"TST-2": 0}, (2, [4, 4, 4, 0], 4, 7)),
    "all but skew and dependencies": (
        ALL | set_all(0, "MON-3", "MON-5"),
        (2, [4, 4, 4, 4], 4, 5),
    ),
    "strong pipeline, no monitoring": (NO_MONITORING, (1, [4, 4, 4, 3], 1, 0)),
    "a model served by hand": (
        set_all(2, "DOC-8", "EXP-7", "DEP-1", "MON-1", "MON-2", "EXP-1"),
        (0, [0, 0, 0, 0], 2, 0),
    ),
}


@pytest.mark.parametrize("name", WORKED)
def test_a_worked_project(name):
    values, expected = WORKED[name]
    assert levels(values) == expected


# Sums of the four sections by hand: data, model, infrastructure, monitoring.
SCORED = {
    "a student project": (
        {"DAT-3": 2, "DAT-10": 2, "EXP-7": 2, "EXP-6": 2, "EXP-5": 3, "TST-3": 2},
        [1.0, 1.0, 1.5, 0.0],
        "research, not a product",
    ),
    "a careful team": (
        {
            **{"DAT-3": 3, "DAT-5": 2, "DAT-7": 3, "DAT-10": 3, "PEO-7": 3, "EXP-7": 3},
            **{"EXP-6": 2, "EXP-10": 3, "EXP-5": 3, "TST-3": 3, "TST-4": 3, "PIP-7": 3},
            **{"DEP-5": 2, "MON-4": 3, "MON-7": 2, "MON-8": 2, "MON-9": 2, "MON-3": 1},
        },
        [3.5, 3.5, 4.5, 2.5],
        "reasonably tested, automate more",
    ),
    "an excellent platform": (
        ALL | {"DAT-8": 2, "EXP-8": 2, "EXP-9": 2, "MON-5": 2},
        [6.5, 6.0, 7.0, 6.5],
        "exceptional",
    ),
}


@pytest.mark.parametrize("name", SCORED)
def test_the_ml_test_score_by_hand(name):
    values, sections, band = SCORED[name]
    found = count_tests(values)
    assert list(found.sections.values()) == sections
    assert found.score == min(sections) and found.band["en"] == band


answers = st.one_of(
    st.sampled_from([0, 1, 2, 3, "?"]).map(Answer),
    st.text(min_size=1).filter(str.strip).map(lambda why: Answer("na", why)),
)
sheets = st.dictionaries(st.sampled_from(IDS), answers).map(
    lambda given: Sheet(BANK.version, given, "Ada", "DS")
)
ceilings = st.dictionaries(st.sampled_from(IDS), st.sampled_from([None, 0, 1, 2, 3]))


def heights(found):
    tracks = [track.level for lens in found.lenses.values() for track in lens.tracks]
    return [*tracks, *(lens.level for lens in found.lenses.values()), found.score.score]


@settings(max_examples=60, deadline=None)
@given(sheets, ceilings, st.sampled_from(IDS), st.sampled_from([1, 2, 3]))
def test_a_better_answer_never_lowers_a_level(sheet, seen, name, value):
    old = sheet.answers.get(name, Answer(0))
    if old.claim is not None and old.claim <= value:
        before = assess(BANK, sheet, ceilings=seen)
        after = assess(BANK, sheet.answered(name, Answer(value)), ceilings=seen)
        assert all(b <= a for b, a in zip(heights(before), heights(after), strict=True))


@settings(max_examples=60, deadline=None)
@given(sheets, ceilings)
def test_evidence_never_raises_a_claim(sheet, seen):
    claimed, found = assess(BANK, sheet), assess(BANK, sheet, ceilings=seen)
    assert all(a <= b for a, b in zip(heights(found), heights(claimed), strict=True))
    for line in found.lines.values():
        if line.claim is not None:
            assert line.effective <= line.claim
            assert line.ceiling is None or line.effective <= line.ceiling


@settings(max_examples=60, deadline=None)
@given(sheets, ceilings, st.sampled_from(IDS))
def test_not_applicable_never_lifts_a_level(sheet, seen, name):
    before = assess(BANK, sheet.answered(name, Answer(0)), ceilings=seen)
    after = assess(BANK, sheet.answered(name, Answer("na", "not ours")), ceilings=seen)
    assert heights(after) == heights(before)


@given(st.sets(st.sampled_from(IDS)))
@settings(max_examples=30, deadline=None)
def test_void_answers_alone_reach_nothing(names):
    sheet = Sheet(BANK.version, {name: Answer("na", "not ours") for name in names})
    assert set(heights(assess(BANK, sheet))) == {0}
    assert all(lens.excused == 0 for lens in assess(BANK, sheet).lenses.values())


@settings(max_examples=40, deadline=None)
@given(sheets, ceilings, st.randoms())
def test_the_order_of_answers_means_nothing(sheet, seen, chance):
    items = list(sheet.answers.items())
    chance.shuffle(items)
    turned = Sheet(sheet.bank, dict(items), sheet.person, sheet.role)
    assert assess(BANK, turned, ceilings=seen) == assess(BANK, sheet, ceilings=seen)
    assert turned.as_dict() == sheet.as_dict()


@settings(max_examples=60, deadline=None)
@given(sheets)
def test_a_sheet_survives_json(sheet):
    back = parse_sheet(json.loads(json.dumps(sheet.as_dict())), BANK)
    assert back == sheet and back.as_dict() == sheet.as_dict()


@given(st.text().filter(lambda name: name not in BANK.criteria))
def test_unknown_ids_fail_loudly(name):
    with pytest.raises(RecordProblem, match="is not in bank"):
        parse_sheet({"answers": {name: 2}}, BANK)
    with pytest.raises(RecordProblem, match="is not in bank"):
        assess(BANK, ceilings={name: 2})
