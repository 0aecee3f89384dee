"""A canvas that is wrong stops a run before it begins; an edited one reruns what asks for it."""

import json
from pathlib import Path

import pytest
from program_examples import PROJECT, write_stage

from mlops_lab.foundation.settings import read_settings
from mlops_lab.pipeline.plan import read_pipeline

DEFINITION = """pipeline: judged
title: One stage asks for targets
stages:
  make: {notebook: make.ipynb, outputs: [n.txt]}
  gate:
    notebook: gate.ipynb
    parameters: {targets: $targets}
    inputs: [n.txt]
    outside: [$canvas_file]
    outputs: [asked.txt]
  follow: {notebook: follow.ipynb, inputs: [asked.txt], outputs: [m.txt]}
  beside: {notebook: beside.ipynb, inputs: [n.txt], outputs: [k.txt]}
profiles:
  lower: {gate: {targets: "minimum_macro_f1: 0.3"}}
"""
ASK = """from mlops_lab.foundation.canvas import agreed_targets
asked = agreed_targets(stage.settings, targets)
told = asked.source('minimum_macro_f1')
_ = (stage.input('n.txt'), stage.output('asked.txt').write_text(told))"""
CANVAS = "targets:\n  minimum_macro_f1:\n    target: {}\n    unit: F1\n    reason: so\n"


@pytest.fixture
def judged(home, call):
    """A project in which one stage asks for targets, and the way to run it."""
    folder = home / "notebooks" / "pipelines" / "judged"
    folder.mkdir()
    (folder / "pipeline.yaml").write_text(DEFINITION)
    write_stage(folder / "make.ipynb", "n = 3", "_ = stage.output('n.txt').write_text(str(n))")
    write_stage(folder / "gate.ipynb", "targets = ''", ASK)
    place = folder / "gate.ipynb"
    place.write_text(place.read_text().replace("workspace, n=n", "workspace, targets=targets"))
    for name, source, made in (("follow", "asked.txt", "m.txt"), ("beside", "n.txt", "k.txt")):
        work = f"_ = stage.output('{made}').write_text(stage.input('{source}').read_text())"
        write_stage(folder / f"{name}.ipynb", "", work)
    return lambda *words, **more: call("run", "--pipeline", "judged", "--json", *words, **more)


def states(answer):
    assert answer.returncode == 0, answer.stdout + answer.stderr
    told = json.loads(answer.stdout)
    asked = (Path(told["folder"]) / "asked.txt").read_text()
    return {stage["stage"]: stage["state"] for stage in told["stages"]}, asked


def test_an_edited_target_reruns_its_stage_and_what_follows_from_it(judged, home, call):
    first, asked = states(judged())
    assert set(first.values()) == {"done"} and "canvas.yaml of the lab line" in asked
    (home / "canvas.yaml").write_text(CANVAS.format(0.6))
    told = call("explain", "--pipeline", "judged", "gate").stdout
    assert "gate: would run" in told and "outside: canvas.yaml changed from 'no such file'" in told
    again, asked = states(judged())
    wanted = {"make": "cached", "gate": "done", "follow": "done", "beside": "cached"}
    assert again == wanted and asked == "minimum_macro_f1: canvas.yaml line 3"
    assert set(states(judged())[0].values()) == {"cached"}
    (home / "canvas.yaml").write_text(CANVAS.format(0.7))
    again, _ = states(judged())  # the same line asks for more: what follows is told the same
    assert again == wanted | {"follow": "cached"}


def test_a_changed_setting_and_a_profile_do_the_same(judged):
    states(judged())
    again, asked = states(judged(targets="minimum_macro_f1: 0.6"))
    assert again["gate"] == again["follow"] == "done" and again["beside"] == "cached"
    assert "the setting targets, instead of 0.5" in asked
    assert "the parameter targets" in states(judged("--profile", "lower"))[1]
    assert "the parameter targets" in states(judged("-p", "targets=minimum_macro_f1: 0.4"))[1]


@pytest.mark.parametrize(
    ("words", "settings", "said"),
    [
        ((), {"targets": "minimum_marco_f1: 0.5"}, "did you mean 'minimum_macro_f1'"),
        ((), {"targets": "minimum_macro_f1: 0.4", "env": "prod"}, "or stricter, as agreed in"),
        (("--profile", "lower"), {"env": "staging"}, "or stricter, as agreed in"),
        (("-p", "targets=minimum_rows: 0"), {}, "the parameter targets: minimum_rows = 0"),
        (("-p", "gate.targets=minimum_rows: 0"), {}, "minimum_rows = 0"),
        ((), {"canvas_file": "ours.yaml"}, "which is not there"),
        ((), {"canvas_file": "broken.yaml"}, "broken.yaml line 3: minimum_macro_f1 = 7"),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(judged, home, words, settings, said):
    (home / "broken.yaml").write_text(CANVAS.format(7))
    answer = judged(*words, **settings)
    assert answer.returncode == 1
    error = json.loads(answer.stdout)["error"]
    assert error["kind"] == "SettingsProblem" and said in " ".join(error.values())
    assert not list(home.glob(".lab*/runs/*"))


def test_other_pipelines_do_not_care(home, call):
    (home / "canvas.yaml").write_text("targets: 3\n")
    assert call("run", "--pipeline", "tiny").returncode == 0


def test_in_the_case_study_only_the_gate_asks_for_targets():
    settings = read_settings(PROJECT, environ={})
    pipeline = read_pipeline(PROJECT / "notebooks" / "pipelines" / "case_study", vars(settings))
    asking = [one.name for one in pipeline.stages if str(settings.canvas_file) in one.outside]
    reading = [one.name for one in pipeline.stages if "canvas" in one.notebook.read_text()]
    assert asking == reading == ["gate"]
