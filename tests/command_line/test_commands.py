"""The program at a terminal: what it answers, what it refuses, how it ends."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner

from mlops_lab import __version__
from mlops_lab.command_line import terminal
from mlops_lab.command_line.program import main
from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.errors import LabError
from mlops_lab.foundation.records import read_json
from mlops_lab.foundation.settings import read_settings
from mlops_lab.serving.served_models import ModelWish

PROJECT = Path(__file__).parents[2]
HEAVY = ("tensorflow", "mlflow", "sklearn", "pandas", "numpy", "matplotlib", "papermill")


@pytest.fixture
def here(home, monkeypatch):
    """Be in the project, with settings of its own only."""
    for name in [name for name in os.environ if name.startswith("MLOPS_LAB_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def invoke(here):
    """Run a command in this process."""
    return lambda *words: CliRunner().invoke(main, [str(word) for word in words])


def loaded_by(code):
    """The modules that some code loads, in a fresh interpreter."""
    program = f"import sys; before = set(sys.modules)\n{code}\nprint(*(set(sys.modules) - before))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return set(answer.stdout.splitlines()[-1].split())


# Light at the door


def test_importing_the_package_loads_nothing_else():
    assert loaded_by("import mlops_lab") == {"mlops_lab"}


HELP = """
from mlops_lab.command_line.program import main
main({words}, standalone_mode=False)
"""


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["--version"]], ids=str)
def test_help_loads_nothing_heavy(words):
    loaded = loaded_by(HELP.format(words=words))
    assert "click" in loaded and not loaded & {*HEAVY}
    areas = {name.split(".")[1] for name in loaded if name.startswith("mlops_lab.")}
    assert areas == {"command_line", "foundation"}


def test_the_doctor_imports_none_of_what_it_looks_for(home):
    code = f"import os; os.chdir({str(home)!r})\n" + HELP.format(words=["doctor"])
    loaded = loaded_by(
        f"try:\n {code.strip().replace(chr(10), chr(10) + ' ')}\nexcept SystemExit: 0"
    )
    assert not loaded & {*HEAVY}


# Help and usage


@pytest.mark.parametrize("name", sorted(main.commands))
def test_each_command_has_help_that_says_what_it_does(name):
    answer = CliRunner().invoke(main, [name, "--help"])
    assert answer.exit_code == 0 and f"Usage: main {name}" in answer.output
    assert main.commands[name].help.split("\n")[0] in " ".join(answer.output.split())


def test_the_version_is_the_one_of_the_package():
    assert CliRunner().invoke(main, ["--version"]).output == f"mlops-lab, version {__version__}\n"


USAGE = {
    "no such command": (["statsu"], "Did you mean 'status'?"),
    "no such option": (["run", "--jsn"], "--json"),
    "too few jobs": (["run", "--jobs", "0"], "0 is not in the range"),
    "words for a number": (["run", "--jobs", "two"], "not a valid integer"),
    "no value": (["run", "--data"], "requires an argument"),
    "no such file": (["run", "--data", "none.csv"], "'none.csv' does not exist"),
    "folder for a file": (["run", "--data", "notebooks"], "is a directory"),
    "no stage": (["explain"], "Missing argument 'STAGE'"),
    "two runs": (["status", "one", "two"], "unexpected extra argument"),
    "port too high": (["serve", "--port", "70000"], "not in the range"),
    "no such bundle": (["serve", "--bundle", "none"], "does not exist"),
    "no such lab": (["serve", "--lab", "course=none"], "'none' does not exist"),
}


@pytest.mark.parametrize("name", USAGE)
def test_wrong_usage_ends_with_2_and_makes_no_lab(invoke, here, name):
    words, told = USAGE[name]
    answer = invoke(*words)
    assert answer.exit_code == 2 and told in answer.output
    assert not (here / ".lab").exists()


# Errors


ERRORS = {
    "no run yet": (["status"], "PipelineProblem", "no run yet", "mlops-lab run"),
    "no such run": (["status", "x"], "PipelineProblem", "no run yet", "mlops-lab run"),
    "no such pipeline": (
        ["run", "--pipeline", "tinny"],
        "PipelineProblem",
        "no pipeline 'tinny'",
        "inside a clone",
    ),
    "column without data": (["run", "--label", "x"], "PipelineProblem", "--data", "--data FILE"),
    "no such stage": (
        ["run", "--pipeline", "tiny", "--force", "doubel"],
        "PipelineProblem",
        "no stage 'doubel'",
        "'double'",
    ),
    "parameter without value": (
        ["run", "--pipeline", "tiny", "-p", "n"],
        "PipelineProblem",
        "-p n has no value",
        "name=value",
    ),
    "no such parameter": (
        ["run", "--pipeline", "tiny", "-p", "m=3"],
        "PipelineProblem",
        "no stage has the parameter 'm'",
        "known: n",
    ),
    "ill-typed parameter": (
        ["run", "--pipeline", "tiny", "-p", "n=many"],
        "PipelineProblem",
        "parameter n = 'many'",
        "int",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_told_to_people_and_to_machines(invoke, name):
    words, kind, found, cure = ERRORS[name]
    people, machines = invoke(*words), invoke(*words, "--json")
    assert people.exit_code == machines.exit_code == 1
    assert people.stdout == "" and people.stderr.startswith("error: ")
    assert len(people.stderr.splitlines()) <= 3
    assert found in people.stderr and cure in people.stderr
    error = json.loads(machines.stdout)["error"]
    assert set(error) == {"kind", "found", "expected", "remedy"}
    assert error["kind"] == kind and found in error["found"] and machines.stderr == ""
    assert not read_history_of(invoke)


def read_history_of(invoke):
    """Runs in the ledger: a refused command must not add one."""
    return json.loads(invoke("runs", "--json").output)


@pytest.mark.parametrize("words", [["run"], ["status"], ["explain", "make"], ["course"], ["serve"]])
def test_a_wrong_setting_stops_every_command(call, home, words):
    answer = call(*words, port="eighty")
    assert answer.returncode == 1 and answer.stdout == ""
    assert answer.stderr == (
        "error: port = 'eighty' in the environment is not a whole number\n"
        "  expected: a whole number such as 8080\n"
        "  try: mend MLOPS_LAB_PORT\n"
    )
    assert not (home / ".lab").exists()


def test_a_missing_package_is_told_with_its_remedy(call):
    hide = "import sys; sys.modules['yaml'] = None"
    answer = call("run", "--pipeline", "tiny", before=hide)
    assert answer.returncode == 1
    assert answer.stderr.startswith("error: the package 'yaml' is not installed\n  try: make setup")


def test_a_mistake_of_our_own_is_not_taken_for_a_missing_package(monkeypatch):
    error = ModuleNotFoundError("no", name="mlops_lab.nowhere")
    with pytest.raises(ModuleNotFoundError):
        terminal._as_lab_error(error)
    told = terminal._as_lab_error(ModuleNotFoundError("no", name="yaml.reader"))
    assert isinstance(told, LabError) and "'yaml'" in told.found


@pytest.mark.parametrize("place", ["mine", "mine/lab", "/proc/lab"])
def test_a_workspace_that_cannot_be_made_stops_a_run(call, home, place):
    (home / "mine").write_text("my notes")
    answer = call("run", "--pipeline", "tiny", "--json", workspace=place)
    error = json.loads(answer.stdout)["error"]
    assert answer.returncode == 1 and error["kind"] == "WorkspaceProblem"
    assert place in error["found"] and "MLOPS_LAB_WORKSPACE" in error["remedy"]
    assert (home / "mine").read_text() == "my notes"


# Runs


def run_tiny(invoke, *words):
    return invoke("run", "--pipeline", "tiny", *words)


def states(answer):
    return [stage["state"] for stage in json.loads(answer.stdout)["stages"]]


def test_a_run_and_the_same_run_again(invoke, here):
    first, second = run_tiny(invoke), run_tiny(invoke)
    assert first.exit_code == second.exit_code == 0
    assert "done in" in first.stdout and "0 of 2 stages from the store" in first.stdout
    assert "every stage from the store, nothing ran" in second.stdout
    assert [line.split()[1:3] for line in first.stderr.splitlines()] == [
        ["make", "done"],
        ["double", "done"],
    ]
    report = next(line for line in first.stdout.splitlines() if line.startswith("report:"))
    assert "Two stages" in Path(report.split()[1]).read_text()


def test_machines_get_one_json_value_and_nothing_else(invoke):
    answer = run_tiny(invoke, "--json")
    told = json.loads(answer.stdout)
    assert answer.stderr == "" and answer.exit_code == 0
    assert told["passed"] and told["state"] == "done" and told["refusals"] == {}
    assert [stage["stage"] for stage in told["stages"]] == ["make", "double"]
    assert Path(told["report"]).is_file() and read_json(Path(told["folder"]) / "run.json")


def test_parameters_and_force_decide_what_runs(invoke):
    assert states(run_tiny(invoke, "--json")) == ["done", "done"]
    assert states(run_tiny(invoke, "--json", "-p", "n=3")) == ["cached", "cached"]
    assert states(run_tiny(invoke, "--json", "-p", "make.n=4")) == ["done", "done"]
    assert states(run_tiny(invoke, "--json", "--force", "double")) == ["cached", "done"]


def test_a_pipeline_may_be_anywhere(invoke, here):
    shutil.move(here / "notebooks/pipelines/tiny", here / "elsewhere")
    assert invoke("run", "--pipeline", here / "elsewhere", "--json").exit_code == 0


def break_stage(home):
    path = home / "notebooks/pipelines/tiny/double.ipynb"
    notebook = nbformat.read(path, 4)
    notebook.cells[3].source = "1 / 0"
    nbformat.write(notebook, path)


def test_a_failing_stage_ends_with_1_and_says_where(invoke, here):
    break_stage(here)
    people = run_tiny(invoke)
    assert people.exit_code == 1
    # the cell that Papermill puts in with the parameters counts, as in the executed notebook
    assert "double: failed in code cell 5\n  ZeroDivisionError: division by zero" in people.stdout
    machines = run_tiny(invoke, "--json")
    assert machines.exit_code == 1 and states(machines) == ["cached", "failed"]
    assert json.loads(machines.stdout)["passed"] is False


def test_status_tells_the_latest_run_a_named_one_and_all(invoke, here):
    names = [json.loads(run_tiny(invoke, "--json").stdout)["run"] for _ in range(2)]
    latest = invoke("status").stdout.splitlines()
    assert latest[0].startswith(names[1]) and "0 run, 2 from the store" in latest[0]
    assert [line.split()[:2] for line in latest[1:]] == [["make", "cached"], ["double", "cached"]]
    assert invoke("status", names[0]).stdout.startswith(names[0])
    listed = json.loads(invoke("runs", "--json").stdout)
    assert [one["run"] for one in listed] == names[::-1]
    told = json.loads(invoke("status", "--json").stdout)
    assert told[0]["run"] == names[1] and told[0]["stages"]["make"]["state"] == "cached"


def test_explain_names_the_change_and_what_comes_after_it(invoke, here):
    run_tiny(invoke)
    assert invoke("explain", "double", "--pipeline", "tiny").stdout.startswith(
        "double: in the store, made by "
    )
    changed = invoke("explain", "make", "--pipeline", "tiny", "-p", "n=5").stdout
    assert changed.startswith("make: would run\n  parameters: n changed from 3 to 5\n")
    waits = json.loads(
        invoke("explain", "double", "--pipeline", "tiny", "-p", "make.n=5", "--json").stdout
    )
    assert waits["stored"] and waits["waits_for"] == ["make"]


def test_explain_asks_what_the_latest_run_of_the_pipeline_was_asked(invoke, here):
    definition = here / "notebooks/pipelines/tiny/pipeline.yaml"
    definition.write_text(definition.read_text() + "profiles:\n  five: {make: {n: 5}}\n")
    first = invoke("run", "--pipeline", "tiny", "--profile", "five", "--json").stdout
    told = json.loads(invoke("explain", "make", "--pipeline", "tiny", "--json").stdout)
    assert told["stored"] and told["run"] == json.loads(first)["run"]
    assert told["asked"] == "mlops-lab run --pipeline tiny --profile five"
    run_tiny(invoke, "-p", "n=9")
    lines = invoke("explain", "make", "--pipeline", "tiny").stdout.splitlines()
    assert lines[0].startswith("make: in the store")
    assert lines[-1].endswith("asked as: mlops-lab run --pipeline tiny -p n=9")
    typed = invoke("explain", "make", "--pipeline", "tiny", "-p", "n=8").stdout
    assert "n changed from 9 to 8" in typed and typed.splitlines()[-1].endswith("-p n=8")


def test_explain_asks_for_the_data_of_the_latest_run(invoke, here):
    tiny = here / "notebooks/pipelines/tiny"
    text = (tiny / "pipeline.yaml").read_text()
    with_data = "make: {notebook: make.ipynb, outside: [$data_set],"
    (tiny / "pipeline.yaml").write_text(text.replace("make: {notebook: make.ipynb,", with_data))
    (here / "own.csv").write_text("a,b\n1,2\n")
    run_tiny(invoke, "--data", "own.csv", "--text", "a", "--label", "b")
    told = invoke("explain", "make", "--pipeline", "tiny").stdout
    assert told.startswith("make: in the store") and "--text a --label b" in told
    (here / "own.csv").write_text("a,b\n1,3\n")
    assert "own.csv changed" in invoke("explain", "make", "--pipeline", "tiny").stdout


def test_explain_without_a_run_of_that_pipeline_says_so(invoke):
    answer = invoke("explain", "make", "--pipeline", "tiny")
    assert answer.exit_code == 1 and "pipeline 'tiny' has no run" in answer.stderr


def test_explain_refuses_what_a_run_would_refuse(invoke):
    run_tiny(invoke)
    answer = invoke("explain", "make", "--pipeline", "tiny", "-p", "m=5")
    assert answer.exit_code == 1 and "no stage has the parameter 'm'" in answer.stderr


# Harm


def spoil(path, line, old, new):
    lines = path.read_bytes().split(b"\n")
    assert old in lines[line]
    lines[line] = lines[line].replace(old, new)
    path.write_bytes(b"\n".join(lines))


@pytest.fixture
def ledger(invoke, here):
    run_tiny(invoke)
    return here / ".lab" / "ledger.jsonl"


def test_status_does_not_read_around_a_changed_line(invoke, ledger):
    spoil(ledger, 1, b'"state":"done"', b'"state":"none"')
    before = ledger.read_bytes()
    answer = invoke("status", "--json")
    error = json.loads(answer.stdout)["error"]
    assert answer.exit_code == 1 and error["kind"] == "RecordProblem"
    assert error["found"] == "line 2 of ledger.jsonl was changed: its digest does not match"
    assert ".head" in error["remedy"] and ledger.read_bytes() == before


def test_a_run_does_not_write_behind_a_corrupted_line(invoke, ledger):
    spoil(ledger, -2, b'{"at"', b'"at"')
    before = {path: path.read_bytes() for path in ledger.parent.glob("*.jsonl*")}
    answer = run_tiny(invoke)
    assert (
        answer.exit_code == 1 and "the last line of ledger.jsonl is not an entry" in answer.stderr
    )
    assert {path: path.read_bytes() for path in ledger.parent.glob("*.jsonl*")} == before


def test_a_run_does_not_write_behind_lines_that_were_cut(invoke, ledger):
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[:-1]))
    before = ledger.read_bytes()
    answer = run_tiny(invoke)
    assert answer.exit_code == 1 and "had been written" in answer.stderr
    assert ledger.read_bytes() == before


def test_the_way_out_of_a_damaged_ledger_works(invoke, ledger):
    spoil(ledger, -2, b'{"at"', b'"at"')
    ledger.rename(ledger.with_name("old.jsonl"))
    ledger.with_name("ledger.jsonl.head").rename(ledger.with_name("old.jsonl.head"))
    assert run_tiny(invoke).exit_code == 0 and ChainLog(ledger).verify() == 4
    assert len(json.loads(invoke("runs", "--json").stdout)) == 1


# Serving, JupyterLab and the course


def test_serve_hands_over_what_was_asked(invoke, here, monkeypatch):
    from mlops_lab.serving import launcher

    asked = []
    monkeypatch.setattr(launcher, "serve", lambda *words, **more: asked.append((words, more)))
    answer = invoke("serve", "--port", "8123", "--bundle", here, "--lab", f"course={here}")
    assert answer.exit_code == 0 and answer.stderr.startswith("http://127.0.0.1:8123 ")
    wishes = [ModelWish(here, "course", is_lab=True), ModelWish(here)]
    assert asked == [((read_settings(),), {"port": 8123, "wishes": wishes})]


def test_lab_hands_its_arguments_to_jupyterlab(invoke, monkeypatch):
    from mlops_lab.command_line import jupyterlab

    asked = []
    monkeypatch.setattr(
        jupyterlab, "open_jupyterlab", lambda settings, words: asked.append(words) or 3
    )
    assert invoke("lab", "--", "--no-browser", "--port=9999").exit_code == 3
    assert asked == [("--no-browser", "--port=9999")]


def test_course_writes_every_lesson_and_names_it(invoke, here):
    shutil.copytree(PROJECT / "course", here / "course")
    answer = invoke("course", "--json")
    written = [Path(path) for path in json.loads(answer.stdout)]
    assert answer.exit_code == 0 and written and all(path.exists() for path in written)
    assert all(path.is_relative_to(here / "work" / "course") for path in written)
    assert invoke("course").stdout.splitlines() == [str(path) for path in written]


def test_a_lesson_that_cannot_be_read_is_an_error(invoke, here):
    shutil.copytree(PROJECT / "course", here / "course")
    (here / "course/source/lab0/lab0.ipynb").write_text("{}")
    answer = invoke("course")
    assert answer.exit_code == 1 and answer.stderr.startswith("error: ")
