"""Runs on a schedule: in processes of their own, as a user starts and ends them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from program_examples import MAIN, PROJECT, write_stage

from mlops_lab.command_line.repeated_run import stop_on_signal
from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.pipeline.history import read_history
from mlops_lab.pipeline.schedule import Timetable, take_turns

WAIT = """
import pathlib, time
root = pathlib.Path({root!r})
(root / 'begun').touch()
end = time.monotonic() + 30
while not (root / 'go').exists() and time.monotonic() < end:
    time.sleep(0.02)
"""


@pytest.fixture
def start(home):
    """Start mlops-lab run in the project, without waiting for it."""
    started = []

    def begin(*words):
        own = {key: text for key, text in os.environ.items() if not key.startswith("MLOPS_LAB_")}
        own |= {"MLOPS_LAB_MLFLOW_RUNS": "off", "PYTHONPATH": str(PROJECT)}
        command = [sys.executable, "-c", MAIN, "run", "--pipeline", "tiny", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, cwd=home, env=own, **pipes))
        return started[-1]

    yield begin
    for child in started:
        child.kill()
        child.communicate()


@pytest.fixture
def slow(home):
    """Make the first stage wait for a sign."""
    folder = home / "notebooks" / "pipelines" / "tiny"
    write = "_ = stage.output('n.txt').write_text(str(n))"
    write_stage(folder / "make.ipynb", "n = 3", WAIT.format(root=str(home)), write)
    return home


def wait_for(path):
    end = time.monotonic() + 30
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert path.exists()


def family_of(process):
    """A process and all below it."""
    found = [process]
    for parent in found:
        for thread in Path(f"/proc/{parent}/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    return found


def check_gone(processes):
    for _ in range(100):
        left = [one for one in processes if os.path.exists(f"/proc/{one}/stat")]
        if not left:
            return
        time.sleep(0.1)
    pytest.fail(f"{left} live on")


# What is told


def test_each_run_is_one_line(start):
    out, err = start("--every", "0.2s", "--times", "3").communicate()
    lines = out.splitlines()
    assert len(lines) == 3
    assert "run 1: done in" in lines[0] and lines[0].endswith("; ran make, double")
    assert "run 2: cached" in lines[1] and lines[1].endswith("2 of 2 from the store")


def test_machines_get_one_json_object_for_each_run(start):
    child = start("--every", "0.1s", "--times", "3", "--force", "make", "--json")
    out, err = child.communicate()
    told = [json.loads(line) for line in out.splitlines()]
    assert [one["turn"] for one in told] == [1, 2, 3] and child.returncode == 0 and err == ""
    assert [one["state"] for one in told] == ["done"] * 3
    assert told[1]["skipped"] > 0  # the first run takes longer than a tenth of a second
    assert {stage["state"] for stage in told[1]["stages"]} == {"done", "cached"}


def test_the_ledger_names_the_schedule_that_started_a_run(start, home, call):
    start("--every", "0.1s", "--times", "2", "--force", "make").communicate()
    assert call("run", "--pipeline", "tiny", "--force", "make").returncode == 0
    assert call("run", "--pipeline", "tiny", trigger="ci").returncode == 0
    entries = ChainLog(Workspace(home / ".lab").ledger).read()
    told = [entry.data["trigger"] for entry in entries if entry.kind == "run-started"]
    kept = {"kind": "schedule", "by": "mlops-lab run --every 0.1s"}
    assert told[:2] == [kept, kept]
    assert [one["kind"] for one in told[2:]] == ["person", "ci"]


def test_a_run_that_outlasts_the_interval_is_told(start):
    child = start("--every", "0.3s", "--times", "2", "--force", "all")
    out, err = child.communicate()
    assert "turn" in err and "the run before took longer than 0.3s" in err


def test_runs_share_warm_processes(start, home):
    folder = home / "notebooks" / "pipelines" / "tiny"
    write = "import time, wave\n_ = stage.output('n.txt').write_text(str(n))"
    write_stage(folder / "make.ipynb", "n = 3", write)
    child = start("--every", "0.1s", "--times", "3", "--force", "make", "--json")
    told = [json.loads(line) for line in child.communicate()[0].splitlines()]
    logs = [home / ".lab" / "runs" / one["run"] / "logs" / "fork_server.log" for one in told]
    assert [log.exists() for log in logs] == [True, False, False]  # started by the first run


# What goes wrong


def test_a_failed_run_does_not_end_the_schedule(start, home):
    folder = home / "notebooks" / "pipelines" / "tiny"
    write_stage(folder / "double.ipynb", "", "1 / 0")
    child = start("--every", "0.1s", "--times", "2")
    out, err = child.communicate()
    assert out.count("failed in") == 2 and child.returncode == 1
    assert "double: failed, ZeroDivisionError: division by zero; ran make" in out
    assert "1 of 2 from the store" in out.splitlines()[1]


def test_a_failed_run_ends_it_if_asked(start, home):
    folder = home / "notebooks" / "pipelines" / "tiny"
    write_stage(folder / "double.ipynb", "", "1 / 0")
    child = start("--every", "0.1s", "--times", "5", "--stop-on-failure")
    assert child.communicate()[0].count("failed in") == 1 and child.returncode == 1


def test_a_definition_broken_between_runs_is_told_and_mended(start, home):
    definition = home / "notebooks" / "pipelines" / "tiny" / "pipeline.yaml"
    good = definition.read_text()
    child = start("--every", "1s", "--times", "4")
    lines = [child.stdout.readline()]
    definition.write_text(good.replace("inputs", "input"))
    lines.append(child.stdout.readline())
    definition.write_text(good)
    lines += child.communicate()[0].splitlines()
    assert "run 1: done" in lines[0] and "run 2: refused: " in lines[1]
    assert "did you mean 'inputs'" in lines[1] and lines[-1].endswith("2 of 2 from the store")
    assert child.returncode == 1


def test_a_notebook_edited_between_runs_is_run_as_it_is_now(start, home):
    folder = home / "notebooks" / "pipelines" / "tiny"
    child = start("--every", "1s", "--times", "3")
    child.stdout.readline()
    write_stage(folder / "double.ipynb", "", "_ = stage.output('m.txt').write_text('new')")
    lines = child.communicate()[0].splitlines()
    assert any(line.endswith("ran double; 1 of 2 from the store") for line in lines)
    latest = read_history(Workspace(home / ".lab"))[-1].run
    assert (home / ".lab" / "runs" / latest / "m.txt").read_text() == "new"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--every", "15"], "expected for example 30s, 15m"),
        (["--every", "0s"], "is no interval"),
        (["--times", "3"], "go with --every"),
        (["--stop-on-failure"], "go with --every"),
        (["--every", "1s", "-p", "rows=3"], "no stage has the parameter"),
    ],
    ids=str,
)
def test_slips_of_the_pen_are_refused_at_once(start, words, said):
    child = start(*words, *(["--times", "1"] if "-p" in words else []))
    out, err = child.communicate(timeout=30)
    assert said in out + err and child.returncode in (1, 2)


# How it ends


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "term"])
def test_a_signal_between_runs_ends_it_well(start, home, number):
    child = start("--every", "1h")
    child.stdout.readline()
    time.sleep(0.3)
    family = family_of(child.pid)[1:]
    child.send_signal(number)
    out, err = child.communicate(timeout=20)
    assert (out, err, child.returncode) == ("", "", 0)
    assert family
    check_gone(family)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "term"])
def test_a_signal_during_a_run_cancels_it_and_the_next_goes_on(start, slow, call, number):
    child = start("--every", "1h")
    wait_for(slow / "begun")
    family = family_of(child.pid)[1:]
    assert len(family) > 1
    child.send_signal(number)
    out, err = child.communicate(timeout=20)
    assert "run 1: cancelled" in out and "make: cancelled" in out and child.returncode == 1
    check_gone(family)
    lab = Workspace(slow / ".lab")
    assert [run.state for run in read_history(lab)] == ["cancelled"]
    ChainLog(lab.ledger).verify()
    (slow / "go").touch()
    assert call("run", "--pipeline", "tiny", "--busy", "refuse").returncode == 0


def test_nothing_is_left_of_a_killed_schedule(start, slow, call):
    child = start("--every", "1h")
    wait_for(slow / "begun")
    family = family_of(child.pid)[1:]
    assert len(family) > 1
    child.send_signal(signal.SIGKILL)
    child.communicate()
    check_gone(family)
    (slow / "go").touch()
    assert call("run", "--pipeline", "tiny", "--busy", "refuse").returncode == 0


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT)
    stop = threading.Event()
    with stop_on_signal(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(5)
    assert signal.getsignal(signal.SIGINT) == before


# Taking turns with others


def test_a_schedule_refuses_or_waits_as_asked(start, slow, call):
    first = start()
    wait_for(slow / "begun")
    refusing = start("--every", "0.5s", "--times", "1", "--busy", "refuse")
    out, _ = refusing.communicate(timeout=30)
    assert "run 1: refused: " in out and f"(process {first.pid}) is at work" in out
    assert refusing.returncode == 1
    waiting = start("--every", "0.5s", "--times", "1")
    assert f"(process {first.pid}) is at work" in waiting.stderr.readline()
    (slow / "go").touch()
    out, _ = waiting.communicate(timeout=30)
    assert out.rstrip().endswith("2 of 2 from the store") and waiting.returncode == 0
    first.communicate(timeout=30)
    assert first.returncode == 0


def test_two_schedules_in_one_workspace_take_turns(start, home):
    words = ["--every", "0.3s", "--times", "4", "--force", "all", "--json"]
    children = [start(*words), start(*words)]
    told = [child.communicate(timeout=120)[0].splitlines() for child in children]
    assert [len(lines) for lines in told] == [4, 4]
    assert {json.loads(line)["state"] for lines in told for line in lines} == {"done"}
    lab = Workspace(home / ".lab")
    ChainLog(lab.ledger).verify()
    begun = [entry["kind"] for entry in map(json.loads, lab.ledger.read_text().splitlines())]
    runs = [kind for kind in begun if kind in ("run-started", "run-finished")]
    assert runs == ["run-started", "run-finished"] * 8


# The clock


def test_setting_the_clock_moves_nothing(monkeypatch):
    jumps = iter([3_600.0, -7_200.0, 86_400.0, 0.0])
    real = time.time
    begun = []
    for _ in take_turns(Timetable(0.05, 4), stop=threading.Event()):
        begun.append(time.monotonic())
        jump = next(jumps)
        monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
    gaps = [later - sooner for sooner, later in zip(begun, begun[1:], strict=False)]
    assert all(0.02 < gap < 1 for gap in gaps)


def test_turns_do_not_drift():
    due = [turn.due_s for turn in take_turns(Timetable(0.02, 20), stop=threading.Event())]
    slots = [round(one / 0.02, 6) for one in due]
    assert slots == [round(slot) for slot in slots]
