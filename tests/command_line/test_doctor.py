"""A sick machine, one illness at a time: one line that names it and its cure, exit code 1."""

import json
import socket
import sys
import tomllib
from pathlib import Path

import pytest

from mlops_lab.command_line import doctor
from mlops_lab.command_line.doctor import (
    Finding,
    check_disk,
    check_log,
    check_packages,
    check_port,
    check_python,
    check_workspace,
    examine,
)
from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.workspace import Workspace

PROJECT = Path(__file__).parents[2]


def complaints(answer):
    """What an answer complains about, after checking its form."""
    lines = answer.stdout.splitlines()
    assert answer.stderr == "" and all(line[:5] in ("ok   ", "FAIL ") for line in lines), answer
    found = [line.removeprefix("FAIL ") for line in lines if line.startswith("FAIL ")]
    assert answer.returncode == (1 if found else 0)
    return found


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


@pytest.fixture
def ask(call, port):
    return lambda **settings: call("doctor", **{"port": port, **settings})


def test_a_healthy_machine_has_no_complaint(ask):
    answer = ask()
    assert complaints(answer) == []
    assert len(answer.stdout.splitlines()) == 10


HIDE = {
    "not there": "import sys; sys.modules['papermill'] = None",
    "broken": """
import sys
class Broken:
    def find_spec(name, path=None, target=None):
        if name == "papermill":
            raise ImportError("half an installation")
sys.meta_path.insert(0, Broken)""",
}


@pytest.mark.parametrize("way", HIDE)
def test_a_missing_package_is_named(ask, way):
    assert complaints(ask(before=HIDE[way])) == ["packages: missing papermill; make setup"]


def test_packages_are_the_ones_the_project_declares():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]

    def names(requirements):
        return {requirement.split(">")[0] for requirement in requirements}

    assert set(doctor._PACKAGES.values()) == names(project["dependencies"])
    assert set(doctor._LAB_PACKAGES.values()) == names(project["optional-dependencies"]["lab"])


def test_a_file_in_the_place_of_the_workspace_stays_as_it_is(ask, home):
    (home / "mine").write_text("my notes")
    [line] = complaints(ask(workspace="mine"))
    assert line.startswith(f"workspace: the workspace {home / 'mine'} cannot be made")
    assert line.endswith("set MLOPS_LAB_WORKSPACE to another folder")
    assert (home / "mine").read_text() == "my notes"


def test_a_workspace_that_cannot_be_made(ask):
    first, *_ = complaints(ask(workspace="/proc/lab"))
    assert first.startswith("workspace: the workspace /proc/lab cannot be made")


def test_a_workspace_that_cannot_be_written_to(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "write_text", refuse)
    finding = check_workspace(Workspace(tmp_path / "lab"))
    assert not finding.passed and "Read-only file system" in finding.found
    assert "MLOPS_LAB_WORKSPACE" in finding.remedy


def test_a_taken_port_is_named(ask):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        assert complaints(ask(port=str(number))) == [
            f"port: 127.0.0.1:{number} is taken; "
            "stop what uses it, or set MLOPS_LAB_PORT to a free one"
        ]


def test_an_address_of_another_machine_is_not_called_taken():
    finding = check_port("203.0.113.1", 8080)
    assert not finding.passed and "cannot be opened" in finding.found
    assert "MLOPS_LAB_HOST" in finding.remedy


WRONG = {
    "type": (
        {"port": "eighty"},
        "port = 'eighty' in the environment is not a whole number; "
        "expected a whole number such as 8080; mend MLOPS_LAB_PORT",
    ),
    "range": (
        {"rows": "5"},
        "rows = '5' in the environment is out of range; "
        "expected 100 to 1000000000; mend MLOPS_LAB_ROWS",
    ),
    "choice": (
        {"task": "emotions"},
        "task = 'emotions' in the environment is not known; "
        "expected emotion or sentiment or emotions-28 or several; mend MLOPS_LAB_TASK",
    ),
    "unknown": (
        {"worksapce": "x"},
        "setting 'worksapce' in the environment (MLOPS_LAB_...) is not known; "
        "did you mean 'workspace'? mend or remove it",
    ),
    "section": (
        {"env": "prd"},
        "work environment 'prd' is not known; "
        "expected dev or test or staging or prod; set MLOPS_LAB_ENV",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_setting_is_one_line(ask, kind):
    settings, told = WRONG[kind]
    assert complaints(ask(**settings)) == [f"settings: {told}"]


FILES = {
    "no section": ("port = 80\n", "cannot be read", "lines of key = value"),
    "twice": ("[DEFAULT]\nrows = 200\nrows = 300\n", "[line 3]", "mend settings.ini"),
    "unknown key": ("[DEFAULT]\nprot = 80\n", "setting 'prot' in settings.ini", "'port'?"),
    "ill typed": ("[DEFAULT]\nport = x\n", "port = 'x' in settings.ini", "mend port in settings"),
    "unknown section": ("[production]\n", "section [production]", "did you mean 'prod'?"),
    "not text": (b"\xff\xfe[DEFAULT]", "cannot be read", "mend settings.ini"),
}


@pytest.mark.parametrize("kind", FILES)
def test_wrong_settings_in_the_file_are_one_line_and_stay(ask, home, kind):
    content, found, cure = FILES[kind]
    content = content if isinstance(content, bytes) else content.encode()
    (home / "settings.ini").write_bytes(content)
    [line] = complaints(ask())
    assert line.startswith("settings: ") and found in line and cure in line
    assert (home / "settings.ini").read_bytes() == content


CANVASES = {
    "out of range": (
        "targets:\n  minimum_macro_f1:\n    target: 50\n    unit: F1\n    reason: so\n",
        "canvas.yaml line 3: minimum_macro_f1 = 50 is out of range; expected 0 to 1 F1",
    ),
    "unknown": ("target: {}\n", "line 1: the canvas has the unknown key 'target'; did you mean"),
    "no YAML": ("targets: [\n", "canvas.yaml line 2: "),
    "not text": (b"\xff\xfe", "canvas.yaml cannot be read"),
}


@pytest.mark.parametrize("kind", CANVASES)
def test_a_broken_canvas_is_one_line_and_stays(ask, home, kind):
    content, found = CANVASES[kind]
    content = content if isinstance(content, bytes) else content.encode()
    (home / "canvas.yaml").write_bytes(content)
    [line] = complaints(ask())
    assert line.startswith("canvas: ") and found in line
    assert (home / "canvas.yaml").read_bytes() == content


def test_the_canvas_that_holds_is_named_with_what_differs_from_it(ask, home):
    assert "canvas: the lab's own, 24 targets\n" in ask().stdout
    (home / "canvas.yaml").write_text("title: Ours\n")
    told = ask(targets="minimum_macro_f1: 0.6").stdout
    assert "canvas.yaml, 24 targets, some by the setting targets (minimum_macro_f1: 0.6)" in told
    [line] = complaints(ask(targets="minimum_macro_f1: 0.4", env="prod"))
    assert line.startswith("canvas: the setting targets asks for minimum_macro_f1 = 0.4 in [prod]")
    [line] = complaints(ask(canvas_file="ours.yaml"))
    assert line.startswith("canvas: canvas_file names ") and "which is not there" in line


def change_a_digit(lines):
    return [lines[0], lines[1].replace(b'"n":1', b'"n":7'), *lines[2:]]


HARM = {
    "changed": (change_a_digit, "line 2 of", "its digest does not match"),
    "junk": (lambda lines: [lines[0], b"junk", *lines[2:]], "line 2 of", "is not an entry"),
    "removed": (lambda lines: [lines[0], *lines[2:]], "line 2 of", "does not follow line 1"),
    "doubled": (lambda lines: [lines[0], *lines], "line 2 of", "does not follow line 1"),
    "cut": (lambda lines: lines[:2], "ends at line 2", "line 3 had been written"),
    "emptied": (lambda lines: [], "ends at line 0", "line 3 had been written"),
}


@pytest.mark.parametrize("name", ["ledger.jsonl", "decisions.jsonl"])
@pytest.mark.parametrize("harm", HARM)
def test_a_harmed_log_is_found_and_left_alone(ask, home, unchanged, harm, name):
    assert complaints(ask()) == []
    log = ChainLog(home / ".lab" / name)
    for number in range(3):
        log.append("fact", {"n": number})
    change, *told = HARM[harm]
    lines = log.path.read_bytes().split(b"\n")[:-1]
    log.path.write_bytes(b"".join(line + b"\n" for line in change(lines)))
    assert unchanged()
    [line] = complaints(ask())
    assert line.startswith(f"{name}: ") and all(word in line for word in told)
    assert "restore the log from a copy" in line
    assert unchanged()


def test_a_log_that_is_no_file_is_a_finding(tmp_path):
    (tmp_path / "ledger.jsonl").mkdir()
    finding = check_log(tmp_path / "ledger.jsonl")
    assert not finding.passed and "cannot be read" in finding.found


def test_several_complaints_are_all_told(ask, home):
    (home / "mine").write_text("my notes")
    told = complaints(ask(workspace="mine", host="203.0.113.1"))
    assert [line.split(":")[0] for line in told] == ["workspace", "port"]


def test_machines_get_the_same_findings(ask, call, port):
    answer = call("doctor", "--json", port=port, task="emotions")
    assert answer.returncode == 1 and answer.stderr == ""
    findings = [Finding(**one) for one in json.loads(answer.stdout)]
    people = ask(task="emotions").stdout.splitlines()
    assert [str(finding) for finding in findings] == people


def test_settings_may_come_from_the_caller(settings, lab):
    names = [finding.name for finding in examine(settings)]
    assert names[3:6] == ["settings", "canvas", "workspace"] and len(set(names)) == 10


def test_a_full_disk_is_told_before_it_is_full(tmp_path):
    finding = check_disk(tmp_path / "not" / "yet", needed_gb=10**9)
    assert not finding.passed and "another disk" in finding.remedy
    assert check_disk(tmp_path, needed_gb=0).passed


def test_an_old_python_is_told(monkeypatch):
    assert check_python().passed
    monkeypatch.setattr(sys, "version_info", (3, 10, 4, "final", 0))
    assert str(check_python()) == "FAIL python: 3.10.4; install Python 3.11 or newer"


def test_a_package_that_is_there_is_not_imported():
    assert check_packages({"antigravity": "antigravity"}, "fun", remedy="").passed
    assert "antigravity" not in sys.modules
