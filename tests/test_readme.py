"""Every command of the README does what the README says it does."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import readme

from mlops_lab.command_line.program import main
from mlops_lab.foundation.records import digest_file
from mlops_lab.foundation.settings import read_settings
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.tracking.registry import Registry

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text()
# Few rows and a low bar: a run of less than a minute that ends with a champion.
SMALL = {"rows": "1500", "targets": "minimum_macro_f1: 0.2", "env": "dev", "mlflow_runs": "on"}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone in which the case study ran once, small."""
    clone = readme.make_clone(tmp_path_factory.mktemp("readme") / "clone")
    ran = readme.call(clone, "run", "--json", **SMALL)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    (clone / "run.json").write_text(ran.stdout)
    return clone


@pytest.fixture
def told(clone):
    """What that run told."""
    return json.loads((clone / "run.json").read_text())


@pytest.fixture
def call(clone):
    return lambda *words, **more: readme.call(clone, *words, **{**SMALL, **more})


# The commands themselves

_TYPED = r"^\| `%s (\w+)[ A-Z]*` \| (.+?) \|$"
VERBS = dict(re.findall(_TYPED % "make", README, re.MULTILINE))
SUBCOMMANDS = dict(re.findall(_TYPED % "mlops-lab", README, re.MULTILINE))


def bare(sentence):
    return sentence.replace("`", "").strip().strip(".").lower()


def test_the_readme_lists_every_command():
    assert set(SUBCOMMANDS) == set(main.commands)


def test_make_help_says_what_the_readme_says():
    answer = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True)
    assert answer.returncode == 0
    helped = dict(re.findall(r"^  make (\w+) +(.+)$", answer.stdout, re.MULTILINE))
    assert list(helped) == list(VERBS)
    assert list(map(bare, helped.values())) == list(map(bare, VERBS.values()))


@pytest.mark.parametrize("verb", ["help", *VERBS])
def test_make_can_read_each_verb(verb):
    answer = subprocess.run(["make", "-n", verb], cwd=PROJECT, capture_output=True, text=True)
    assert answer.returncode == 0 and answer.stderr == ""
    assert subprocess.run(["sh", "-n"], input=answer.stdout, text=True).returncode == 0


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_each_command_says_in_its_help_what_the_readme_says(name, tmp_path):
    answer = readme.call(tmp_path, name, "--help")
    assert answer.returncode == 0 and f"mlops-lab {name}" in answer.stdout
    said = main.commands[name].help
    assert said in " ".join(answer.stdout.split())
    assert bare(SUBCOMMANDS[name]).startswith(bare(said))


TESTED = {
    **{f"make {verb}": test_make_can_read_each_verb for verb in ["help", *VERBS]},
    **{
        f"mlops-lab {name}": test_each_command_says_in_its_help_what_the_readme_says
        for name in SUBCOMMANDS
    },
}


def runs(*commands):
    """Note that a test runs commands of the README."""

    def note(test):
        TESTED.update(dict.fromkeys(commands, test))
        return test

    return note


# The case study


@runs("mlops-lab run --json")
@pytest.mark.slow
def test_run_ends_with_a_report_a_champion_and_every_stage_done(clone, told):
    assert told["passed"] and {stage["state"] for stage in told["stages"]} == {"done"}
    assert len(told["stages"]) == 13 and told["champion"]["number"] == 1
    assert "Champion" in Path(told["report"]).read_text()
    champion = Registry(Workspace(clone / ".lab")).champion()
    assert champion.digest == told["champion"]["digest"] and champion.folder.is_dir()


@pytest.mark.slow
def test_run_again_takes_every_stage_from_the_store_and_says_so(call):
    answer = call("run")
    assert answer.returncode == 0
    assert "every stage from the store, nothing ran" in answer.stdout
    states = [line.split()[2] for line in answer.stderr.splitlines()]
    assert states == ["cached"] * 13
    assert "report:" in answer.stdout and "champion: version 1" in answer.stdout


@runs("mlops-lab doctor")
@pytest.mark.slow
def test_doctor_finds_the_lab_well_and_both_logs_whole(call):
    answer = call("doctor", port=readme.free_port())
    assert answer.returncode == 0, answer.stdout
    counted = re.findall(r"(\w+)\.jsonl: (\d+) entries, chain whole", answer.stdout)
    assert [name for name, count in counted if int(count)] == ["ledger", "decisions"]


@pytest.mark.slow
def test_status_and_runs_tell_what_ran(call, told):
    answer = call("status", told["run"])
    assert answer.returncode == 0 and answer.stdout.startswith(told["run"])
    assert "13 run, 0 from the store" in answer.stdout
    listed = [one["run"] for one in json.loads(call("runs", "--json").stdout)]
    assert listed[-1] == told["run"]


@runs("mlops-lab show RUN STAGE")
@pytest.mark.slow
def test_show_tells_the_headline_of_a_run_and_a_stage(call, told):
    assert "Version 1 is champion." in call("show", told["run"]).stdout
    assert "minimum_macro_f1" in call("show", told["run"], "gate").stdout


@runs("mlops-lab diff RUN RUN")
@pytest.mark.slow
def test_diff_finds_a_run_equal_to_itself(call, told):
    answer = call("diff", told["run"], told["run"])
    assert answer.returncode == 0 and answer.stdout.endswith("the same result\n")


@runs("mlops-lab reproduce RUN")
@pytest.mark.slow
def test_reproduce_comes_to_the_same(call, told):
    for stage in ("prepare", "segregate"):  # the whole run would take as long as it did before
        answer = call("reproduce", told["run"], "--stage", stage)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        assert "is reproduced" in answer.stdout


@runs("mlops-lab explain STAGE", "mlops-lab explain gate")
@pytest.mark.slow
def test_explain_names_what_changed(call):
    assert call("explain", "gate").stdout.startswith("gate: in the store, made by ")
    changed = call("explain", "gate", targets="minimum_macro_f1: 0.3").stdout
    lines = changed.splitlines()
    assert lines[:2] == [
        "gate: would run",
        "  parameters: targets changed from 'minimum_macro_f1: 0.2' to 'minimum_macro_f1: 0.3'",
    ]
    assert lines[2].endswith("asked as: mlops-lab run --pipeline case_study")


@pytest.mark.slow
def test_serve_answers_until_it_is_stopped(clone):
    port = readme.free_port()
    service = subprocess.Popen(
        readme.lab_command("serve", "--port", port),
        cwd=clone,
        env=readme.environment(**SMALL),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert service.stderr.readline().startswith(f"http://127.0.0.1:{port} ")
        answer = ask_for_a_score(port)
        service.send_signal(signal.SIGINT)
        assert service.wait(20) == 0
    finally:
        service.kill()
        said = service.communicate()[1]
    assert "Traceback" not in said
    assert answer["version"] == "1" and sum(answer["probabilities"].values()) == pytest.approx(1)


def ask_for_a_score(port):
    """Ask as soon as the service listens."""
    body = json.dumps({"text": "thank you all, this was great"}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/score", body, headers)
    for _ in range(200):
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return json.load(reply)
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the service never answered")


@runs("papermill notebooks/pipelines/case_study/04_prepare.ipynb out.ipynb -p workspace FOLDER")
@pytest.mark.slow
def test_plain_papermill_makes_the_same_file(clone, told):
    [line] = [line for line in TESTED if line.startswith("papermill ")]
    first = Path(told["folder"])
    again = first.with_name("by-papermill")
    shutil.copytree(first, again)
    made = again / "data" / "prepared.parquet"
    made.unlink()
    words = line.replace("FOLDER", str(again)).split()
    answer = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=clone,
        env=readme.environment(),
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    assert digest_file(made) == digest_file(first / "data" / "prepared.parquet")
    assert (clone / "out.ipynb").is_file()


# JupyterLab, lessons and the rest


@runs("mlops-lab course")
def test_course_writes_lessons_for_students_and_solved_in_two_languages(tmp_path):
    clone = readme.make_clone(tmp_path / "clone")
    answer = readme.call(clone, "course")
    written = [Path(line) for line in answer.stdout.splitlines()]
    assert answer.returncode == 0 and all(path.is_file() for path in written)
    places = {path.relative_to(clone / "work" / "course").parts[0] for path in written}
    assert len(places) >= 2 and {path.suffix for path in written} == {".ipynb"}, written


@pytest.mark.slow
def test_lab_makes_everything_ready_and_opens_jupyterlab(clone, call):
    pytest.importorskip("jupyterlab")
    answer = call("lab", "--", "--version")
    assert answer.returncode == 0, answer.stderr[-3000:]
    assert re.search(r"^\d+\.\d+\.\d+", answer.stdout, re.MULTILINE)
    assert list((clone / "work").glob("lab0*.ipynb")) and (clone / ".lab/tracking.db").is_file()


@runs("from mlops_lab.models.scorer import load_scorer")
def test_the_library_is_imported_as_the_readme_says():
    from mlops_lab.models.scorer import load_scorer

    assert load_scorer.__doc__


@runs("MLOPS_LAB_ROWS=3000", "MLOPS_LAB_ENV=test")
def test_settings_are_overridden_as_the_readme_says():
    assert read_settings(PROJECT, environ={"MLOPS_LAB_ROWS": "3000"}).rows == 3000
    assert read_settings(PROJECT, environ={"MLOPS_LAB_ENV": "test"}).section == "test"


@runs("git config core.hooksPath .githooks")
def test_the_hook_is_a_script_that_git_can_run():
    hook = PROJECT / ".githooks" / "pre-commit"
    assert hook.stat().st_mode & 0o111
    assert subprocess.run(["sh", "-n", hook]).returncode == 0


PINS = "uv pip compile pyproject.toml --all-extras --universal --no-header --no-annotate"


@runs("mlops-lab data list")
def test_public_data_sets_are_listed_by_the_name_that_run_takes(tmp_path):
    answer = readme.call(tmp_path, "data", "list")
    assert answer.returncode == 0 and "goemotions" in answer.stdout


@runs(PINS)
def test_pins_are_made_with_options_that_uv_has():
    uv = shutil.which("uv", path=readme.environment()["PATH"])
    if uv is None:
        pytest.skip("uv is not installed here")
    known = subprocess.run([uv, "pip", "compile", "--help"], capture_output=True, text=True).stdout
    assert [word for word in PINS.split() if word.startswith("--") and word not in known] == []


@runs("mlops-lab run --data messages.csv --text message --label feeling")
def test_your_own_data_has_a_file_of_tests():
    assert "read_commands" in (PROJECT / "tests" / "test_own_data.py").read_text()


@pytest.mark.parametrize("command", readme.read_commands())
def test_every_command_of_the_readme_is_run_by_a_test(command):
    assert command in TESTED, "give it a test and name it with @runs"


# What the README names


@pytest.mark.parametrize("path", re.findall(r"^\| `([\w/]+)` \|", README, re.MULTILINE))
def test_every_folder_of_the_map_is_there(path):
    assert (PROJECT / path).is_dir()


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", README))
def test_every_link_leads_somewhere(path):
    assert (PROJECT / path).is_file()
