"""The ML Canvas: read with lines, refused where it is wrong, changed only as an environment may."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import mlops_lab
from mlops_lab.foundation.canvas import BLOCKS, agreed_targets, read_canvas
from mlops_lab.foundation.errors import SettingsProblem
from mlops_lab.foundation.settings import read_settings
from mlops_lab.foundation.targets import TARGET_KINDS, check_target, name_target

ASSETS = Path(mlops_lab.__file__).parent / "assets"
SHIPPED = ASSETS / "canvas" / "canvas.yaml"


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "settings.ini").write_text("[DEFAULT]\n[dev]\n[staging]\n[prod]\n")
    return read_settings(tmp_path, environ={})


def write(settings, text):
    settings.canvas_file.write_text(text, encoding="utf-8")
    return settings


def target(name, value, unit, more=""):
    return f"targets:\n  {name}:\n    target: {value}\n    unit: {unit}\n    reason: so\n{more}"


def test_the_shipped_canvas_is_whole_in_both_languages():
    canvas = read_canvas()
    assert set(canvas.blocks) == set(BLOCKS) and len(BLOCKS) == 10
    texts = [canvas.title, *canvas.blocks.values()]
    texts += [one.reason for one in canvas.targets.known.values()]
    assert all(text["en"] and text["es"] and text["en"] != text["es"] for text in texts)
    assert set(canvas.targets.known) == set(TARGET_KINDS)
    for name in TARGET_KINDS:
        assert name_target(name, "en") != name_target(name, "es")


def test_each_source_names_the_very_line_of_its_number():
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    for one in read_canvas().targets.known.values():
        number = int(one.source.rpartition(" ")[2])
        assert yaml.safe_load(lines[number - 1]) == {"target": one.value}, one


def test_every_kind_of_behaviour_that_is_asked_for_is_a_target():
    suite = json.loads((ASSETS / "models" / "behaviour.json").read_text(encoding="utf-8"))
    asked = {f"behaviour.{test['capability']}" for test in suite["tests"]}
    assert asked == {name for name in TARGET_KINDS if name.startswith("behaviour.")}


def test_without_a_file_the_lab_s_own_holds_and_a_file_takes_its_place(settings):
    shipped = agreed_targets(settings)
    assert shipped["maximum_latency_ms"] == 20 and "of the lab" in shipped.source("minimum_gain")
    own = agreed_targets(write(settings, target("maximum_latency_ms", 5, "ms")))
    assert own["maximum_latency_ms"] == 5 and own["minimum_gain"] == shipped["minimum_gain"]
    assert own.source("maximum_latency_ms") == "maximum_latency_ms: canvas.yaml line 3"
    assert own.source("minimum_gain") == shipped.source("minimum_gain")


def test_the_shipped_file_is_a_file_to_begin_with(settings):
    same = read_canvas(write(settings, SHIPPED.read_text(encoding="utf-8")).canvas_file)
    assert same.blocks == read_canvas().blocks
    assert [one.value for one in same.targets.known.values()] == [
        one.value for one in read_canvas().targets.known.values()
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (target("minimum_marco_f1", 0.5, "F1"), ["line 2", "did you mean 'minimum_macro_f1'"]),
        (target("minimum_macro_f1", 1.5, "F1"), ["line 3", "minimum_macro_f1 = 1.5", "0 to 1 F1"]),
        (target("minimum_macro_f1", ".nan", "F1"), ["line 3", "nan", "out of range"]),
        (target("minimum_macro_f1", "'0.5'", "F1"), ["line 3", "'0.5' is not a number"]),
        (target("minimum_macro_f1", "yes", "F1"), ["line 3", "True is not a number"]),
        (target("minimum_macro_f1", "", "F1"), ["line 3", "None is not a number"]),
        (target("minimum_rows", 30.5, "rows"), ["line 3", "30.5 is not a whole number"]),
        (target("maximum_latency_ms", 0.02, "s"), ["line 4", "in 's'", "the unit ms"]),
        (target("minimum_gain", 0, "F1", "    why: so\n"), ["line 6", "unknown key 'why'"]),
        (target("minimum_gain", 0, "F1", "    target: 1\n"), ["line 6", "'target' stands twice"]),
        (target("minimum_gain", 0, "F1", "  minimum_gain: {}\n"), ["line 6", "stands twice"]),
        ("targets:\n  minimum_gain: {target: 0, unit: F1}\n", ["line 2", "has no reason"]),
        ("targets:\n  minimum_gain: 0.1\n", ["line 2", "minimum_gain is 0.1"]),
        ("targets:\n  behaviour:\n    typo: {target: 1}\n", ["line 3", "did you mean 'typos'?"]),
        (target("maximum_fairness_gap", 0.1, "F1"), ["line 3", "groups []", "[language]"]),
        ("blocks:\n  decision: read it\n", ["line 2", "did you mean 'decisions'?"]),
        ("blocks:\n  decisions: {en: read it, fr: lis}\n", ["line 2", "one as en and one as es"]),
        ("blocks:\n  decisions: 3\n", ["line 2", "decisions is 3"]),
        ("goals:\n  x: 1\n", ["line 1", "unknown key 'goals'"]),
        ("title: x\ntargets: [\n", ["line 3"]),
        ("- a\n- b\n", ["holds ['a', 'b']"]),
        ("", ["holds None"]),
    ],
)
def test_what_is_wrong_is_told_with_its_line(settings, text, words):
    with pytest.raises(SettingsProblem) as caught:
        agreed_targets(write(settings, text))
    for word in ["canvas.yaml", *words]:
        assert word in str(caught.value), str(caught.value)


def test_bytes_that_are_no_text_and_a_folder_are_told(settings):
    settings.canvas_file.write_bytes(b"title: \xff\n")
    with pytest.raises(SettingsProblem, match="cannot be read"):
        agreed_targets(settings)
    settings.canvas_file.unlink()
    settings.canvas_file.mkdir()
    with pytest.raises(SettingsProblem, match="cannot be read"):
        agreed_targets(settings)


def test_a_named_file_that_is_not_there_is_not_taken_for_the_lab_s_own(tmp_path):
    (tmp_path / "settings.ini").write_text("[DEFAULT]\ncanvas_file = ours.yaml\n[dev]\n")
    with pytest.raises(SettingsProblem, match=r"ours\.yaml, which is not there"):
        agreed_targets(read_settings(tmp_path, environ={}))
    (tmp_path / "ours.yaml").write_text("title: Ours\n")
    assert agreed_targets(read_settings(tmp_path, environ={}))["minimum_rows"] == 30


def test_a_setting_changes_targets_and_remembers_what_was_agreed(settings):
    changed = replace(settings, targets="minimum_macro_f1: 0.7; behaviour.irrelevant details: 0.8")
    targets = agreed_targets(changed)
    assert targets["minimum_macro_f1"] == 0.7 and targets["behaviour.irrelevant details"] == 0.8
    source = targets.source("minimum_macro_f1")
    assert "the setting targets, instead of 0.5 in canvas.yaml of the lab line" in source
    own = agreed_targets(changed, "minimum_macro_f1: 0.2")
    assert own["minimum_macro_f1"] == 0.2 and "the parameter targets" in own.source(
        "minimum_macro_f1"
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("minimum_macro_f1 = 0.7", "name: number"),
        ("minimum_macro_f1: high", "'high' is not a number"),
        ("minimum_f1: 0.7", "did you mean 'minimum_macro_f1'"),
        ("minimum_macro_f1: 7", "out of range"),
        ("minimum_rows: 3; minimum_rows: 4", "names 'minimum_rows' twice"),
        (": 4", "is no target"),
    ],
)
def test_a_setting_that_is_wrong_is_told(settings, text, word):
    with pytest.raises(SettingsProblem) as caught:
        agreed_targets(replace(settings, targets=text))
    assert word in str(caught.value) and "the setting targets" in str(caught.value)


LOOSER = [
    "minimum_macro_f1: 0.4",
    "maximum_latency_ms: 30",
    "significance: 0.1",
    "minimum_gain: -0.1",
]


@pytest.mark.parametrize("section", ["dev", "test", "staging", "prod"])
@pytest.mark.parametrize("text", LOOSER)
def test_where_models_serve_people_nothing_may_be_looser(settings, section, text):
    there = replace(settings, section=section, targets=text)
    if section in ("dev", "test"):
        assert (
            agreed_targets(there)[text.partition(":")[0]]
            != agreed_targets(settings)[text.partition(":")[0]]
        )
        return
    with pytest.raises(SettingsProblem, match="or stricter, as agreed in") as caught:
        agreed_targets(there)
    assert f"[{section}]" in str(caught.value)


def test_where_models_serve_people_more_may_be_asked(settings):
    text = "minimum_macro_f1: 0.6; maximum_latency_ms: 10; significance: 0.05"
    targets = agreed_targets(replace(settings, section="prod", targets=text))
    assert (targets["minimum_macro_f1"], targets["maximum_latency_ms"]) == (0.6, 10)


@pytest.mark.parametrize("name", list(TARGET_KINDS))
def test_both_ends_of_a_range_are_in_and_what_is_beyond_is_out(name):
    kind = TARGET_KINDS[name]
    for end in (kind.low, kind.high):
        assert check_target(name, end, where="x") == end
    for beyond in (kind.low - 1, kind.high + 1, float("-inf")):
        with pytest.raises(SettingsProblem):
            check_target(name, beyond, where="x")
