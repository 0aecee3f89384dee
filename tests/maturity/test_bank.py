"""The bank of criteria: whole in both languages, as its schema says, and never half right."""

import json
import re
from copy import deepcopy
from importlib.resources import files

import jsonschema
import pytest

from mlops_lab.foundation.errors import RecordProblem
from mlops_lab.maturity.bank import parse_bank, read_bank
from mlops_lab.maturity.published_models import lens_asset, read_lenses

ASSETS = files("mlops_lab").joinpath("assets/maturity")
RAW = json.loads(ASSETS.joinpath("criteria.json").read_text())
SCHEMA = json.loads(ASSETS.joinpath("criteria.schema.json").read_text())


def damaged(place, value):
    """The bank with one value changed."""
    bank = deepcopy(RAW)
    *path, last = place
    part = bank
    for key in path:
        part = part[key]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return bank


def test_the_bank_keeps_its_schema():
    jsonschema.validate(RAW, SCHEMA)
    assert len(read_bank().criteria) == 91


DAMAGES = [
    (("version",), None),
    (("answers", "3"), None),
    (("criteria", "PIP-1", "question", "es"), ""),
    (("criteria", "PIP-1", "question", "fr"), "Quoi?"),
    (("criteria", "PIP-1", "trace"), "a trace"),
    (("criteria", "PIP-1", "checks"), "O04"),
    (("criteria", "PIP-1", "kind"), "maybe"),
    (("criteria", "PIP-1", "needs"), ["pip-2"]),
    (("criteria", "PIP-1", "effort_min"), "an hour"),
    (("criteria", "PIP-1", "lesson"), None),
    (("criteria", "PIP-1", "hint"), "more"),
    (("criteria", "pip-1"), RAW["criteria"]["PIP-1"]),
]


@pytest.mark.parametrize(("place", "value"), DAMAGES, ids=[".".join(p) for p, _ in DAMAGES])
def test_schema_and_loader_refuse_the_same_damage(place, value):
    bank = damaged(place, value)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(bank, SCHEMA)
    with pytest.raises(RecordProblem):
        parse_bank(bank)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("criteria", "PIP-1", "needs"), ["PIP-5"], "in a circle"),
        (("criteria", "PIP-1", "needs"), ["PIP-1"], "in a circle"),
        (("criteria", "PIP-1", "needs"), ["PIP-99"], "unknown 'PIP-99'"),
        (("criteria", "PIP-1", "dimension"), "MON", "dimension 'MON'"),
        (("criteria", "PIP-1", "checks"), [], "kind full with checks"),
        (("retired",), ["PIP-1"], "retired"),
    ],
)
def test_what_no_schema_can_say_is_refused_too(place, value, words):
    with pytest.raises(RecordProblem, match=re.escape(words)):
        parse_bank(damaged(place, value))


@pytest.mark.parametrize("language", ["en", "es"])
def test_every_question_reads_as_one_question(language):
    bank = read_bank()
    texts = [one.question[language] for one in bank.criteria.values()]
    assert len(set(texts)) == 91
    for text in texts:
        assert text.endswith("?") and text.count("?") == 1 and len(text) < 125, text
        assert text.count("¿") == (language == "es"), text


def test_spanish_is_not_english():
    for name, one in read_bank().criteria.items():
        assert one.question["es"] != one.question["en"], name
        assert one.trace["es"] != one.trace["en"], name


def test_every_lesson_exists(project):
    missing = {one.lesson for one in read_bank().criteria.values()}
    assert [name for name in sorted(missing) if not (project / name).is_file()] == []


def test_the_models_are_the_published_ones():
    lenses = read_lenses(read_bank())
    assert {name: lens.top for name, lens in lenses.items()} == {
        "google": 2,
        "microsoft": 4,
        "ladder": 4,
    }
    asked = {
        name: {n.criterion for t in lens.tracks for row in t.levels.values() for n in row}
        for name, lens in lenses.items()
    }
    assert {name: len(ids) for name, ids in asked.items()} == {
        "google": 26,
        "microsoft": 27,
        "ladder": 17,
    }
    tests = [
        criterion
        for section in lens_asset()["test_score"]["sections"].values()
        for criterion in section["tests"].values()
    ]
    assert len(tests) == len(set(tests)) == 28
    read_bank().require(tests)
