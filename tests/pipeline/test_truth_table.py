"""Every trap measured in other tools: the right state, nothing lost, the next run right."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass

import nbformat
import pytest

from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.errors import PipelineProblem
from mlops_lab.foundation.records import digest_file
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.pipeline.history import read_history
from mlops_lab.pipeline.runner import run_pipeline

WRITE = "_ = stage.output('m.txt').write_text('6')"


def sqlite(path):
    """A cell that opens a new database together with a sibling, and writes to it."""
    return (
        f"import sqlite3\nbase = sqlite3.connect({str(path)!r}, timeout=30)\n"
        "_ = base.execute('create table if not exists t (n)')\n"
        "_ = base.execute('insert into t values (1)')\nbase.commit()\nbase.close()"
    )


@dataclass(frozen=True)
class Trap:
    """What the second of three stages does, and what has to come of it."""

    work: tuple[str, ...]  # its cells
    state: str  # how it ends
    words: str  # what its reason says
    keys: str = ""  # more of its definition


TRAPS = {
    "killed kernel": Trap(
        ("import os; os._exit(1)", WRITE), "kernel died", "the kernel died in cell 4"
    ),
    "killed while writing": Trap(
        ("f = open(stage.output('m.txt'), 'w')", "f.write('6')\nf.flush()\nimport os; os.abort()"),
        "kernel died",
        "cell 5",
    ),
    "stage timeout": Trap(
        (WRITE, "import time; time.sleep(60)"), "timed out", "may take", "timeout_s: 4"
    ),
    "cell timeout": Trap(
        (WRITE, "import time; time.sleep(60)"),
        "timed out",
        "a cell may take 1 s",
        "cell_timeout_s: 1",
    ),
    "exit 0": Trap((WRITE, "import sys; sys.exit(0)"), "stopped early", "sys.exit(0)"),
    "exit": Trap((WRITE, "exit()"), "stopped early", "sys.exit"),
    "exit 3": Trap((WRITE, "import sys; sys.exit(3)"), "failed", "SystemExit: 3"),
    "error": Trap((WRITE, "1 / 0"), "failed", "ZeroDivisionError"),
    "out of memory": Trap(
        ("held = bytearray(500_000_000)\nimport time; time.sleep(60)",),
        "out of memory",
        "may hold 400 MB",
        "memory_mb: 400",
    ),
    "memory error": Trap((WRITE, "raise MemoryError('no more')"), "failed", "MemoryError: no more"),
    "output never written": Trap(("stage.output('m.txt')",), "failed", "without its output m.txt"),
    "output deleted": Trap((WRITE, "(stage.folder / 'm.txt').unlink()"), "failed", "m.txt"),
    "output deleted late": Trap(
        (
            WRITE,
            "_ = stage.finish(headline='')\n(stage.folder / 'm.txt').unlink()\nraise SystemExit",
        ),
        "stopped early",
        "sys.exit",
    ),
    "input overwritten": Trap(
        ("stage.input('n.txt')", "stage.output('n.txt')"), "failed", "n.txt, which it reads"
    ),
    "undeclared output": Trap(
        (WRITE, "name = 'o.txt'\n_ = stage.output(name).write_text('1')"),
        "failed",
        "does not declare",
    ),
    "file too large": Trap(
        (
            "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))",
            "_ = stage.output('m.txt').write_text('6' * 200_000)",
        ),
        "failed",
        "File too large",
    ),
    "syntax error at run time": Trap((WRITE, "exec('x = (')"), "failed", "SyntaxError"),
    "child left behind": Trap(
        (WRITE, "import subprocess\n_ = subprocess.Popen(['sleep', '60'])\n1 / 0"), "failed", "Zero"
    ),
}
KERNEL_TOO = ("killed kernel", "stage timeout", "exit 0", "out of memory", "file too large")
CASES = [(name, "fork") for name in TRAPS] + [(name, "kernel") for name in KERNEL_TOO]


def define(bench, work, keys=""):
    """Write a pipeline of three stages whose second does this work."""
    bench.stage("make", "_ = stage.output('n.txt').write_text('3')")
    bench.stage("trap", *work)
    bench.stage("show", "stage.input('m.txt').read_text()")
    return bench.define(
        "  make: {notebook: make.ipynb, outputs: [n.txt]}\n"
        f"  trap: {{notebook: trap.ipynb, inputs: [n.txt], outputs: [m.txt]{keys}}}\n"
        "  show: {notebook: show.ipynb, inputs: [m.txt]}\n"
    )


def states(end):
    return [stage.state for stage in end.stages]


def assert_nothing_is_half_written(lab: Workspace):
    """Every file of a lab is whole: no drafts, valid results, records and notebooks."""
    assert not [path for path in lab.root.rglob("*") if ".part" in path.name]
    for place in (lab.store / "results").glob("*.json"):
        for digest in json.loads(place.read_text())["files"].values():
            name = digest.removeprefix("sha256:")
            assert digest_file(lab.store / "objects" / name[:2] / name[2:]) == digest
    for place in lab.runs.glob("*/*/*.json"):
        json.loads(place.read_text())
    for place in lab.runs.glob("*/notebooks/*.ipynb"):
        nbformat.validate(nbformat.read(place, 4))
    ChainLog(lab.ledger).verify()


@pytest.mark.parametrize(("name", "way"), CASES, ids=[f"{name}-{way}" for name, way in CASES])
def test_a_trap_ends_truthfully(bench, name, way):
    trap, lab = TRAPS[name], Workspace(bench.settings.workspace)
    keys = "".join(f", {key}" for key in (trap.keys, "kernel: own" * (way == "kernel")) if key)
    end = bench.run(define(bench, trap.work, keys))
    assert states(end) == ["done", trap.state, "never run"]
    assert trap.words in end.stages[1].reason
    assert end.state == "failed"
    assert (end.folder / "notebooks" / "trap.ipynb").exists()
    assert not (end.folder / "m.txt").exists() and not (end.folder / "records/trap.json").exists()
    assert_nothing_is_half_written(lab)
    assert not list(lab.store.glob("latest/trap.json"))
    after = bench.run(define(bench, (WRITE,)))
    assert states(after) == ["cached", "done", "done"]
    assert (after.folder / "m.txt").read_text() == "6"
    assert read_history(lab)[0].stages["trap"]["state"] == trap.state


REFUSED = {
    "typo in a parameter": ({"m": 3}, "no stage has the parameter 'm'"),
    "ill-typed parameter": ({"n": "3"}, "is a str"),
    "secret given openly": ({"token": "correct horse"}, "given openly"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_parameter_never_starts(bench, name):
    given, words = REFUSED[name]
    bench.stage("make", "n, len(token)", parameters="n = 1\ntoken = 'env:LESSON_TOKEN'")
    with pytest.raises(PipelineProblem, match=words) as caught:
        bench.run(bench.define("  make: {notebook: make.ipynb}\n"), parameters=given)
    assert "correct horse" not in str(caught.value)
    assert not bench.settings.workspace.joinpath("runs").exists() or not list(
        bench.settings.workspace.joinpath("runs").iterdir()
    )


def test_an_unread_parameter_never_starts(bench):
    bench.stage("make", parameters="n = 3")
    with pytest.raises(PipelineProblem, match="'n' of make.ipynb is never read"):
        bench.run(bench.define("  make: {notebook: make.ipynb}\n"))


@pytest.mark.parametrize(
    "paths", ["inputs: [a.txt], outputs: [a.txt]", "inputs: [d/], outputs: [d/a]"]
)
def test_an_input_that_is_an_output_never_starts(bench, paths):
    bench.stage("make")
    with pytest.raises(PipelineProblem, match="line 3: 'make' reads .* which it also writes"):
        bench.define(f"  make: {{notebook: make.ipynb, {paths}}}\n")


def test_two_stages_may_open_a_fresh_database_at_once(bench):
    base = bench.folder / "new.db"
    for name in ("left", "right"):
        bench.stage(name, sqlite(base))
    pipeline = bench.define("  left: {notebook: left.ipynb}\n  right: {notebook: right.ipynb}\n")
    assert states(bench.run(pipeline, jobs=2)) == ["done", "done"]


@pytest.fixture
def small_disk(bench):
    """A lab on a disk of two megabytes."""
    lab = bench.settings.workspace
    lab.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(lab)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this test may not mount a disk")
    yield lab
    subprocess.run(["umount", "-l", str(lab)], check=True)


FULL = {
    "output": ("_ = stage.output('m.txt').write_text('6' * 4_000_000)",),
    "notebook": ("print('6' * 4_000_000)", WRITE),
    "store": ("_ = stage.output('m.txt').write_text('6' * 1_200_000)",),
    "record": (WRITE, "_ = stage.finish(headline='6' * 4_000_000)"),
}


@pytest.mark.parametrize("name", FULL)
def test_a_full_disk_is_told_and_leaves_nothing_half_written(bench, small_disk, name):
    end = bench.run(define(bench, FULL[name]))
    assert states(end) == ["done", "failed", "never run"]
    assert "No space left on device" in end.stages[1].reason
    assert_nothing_is_half_written(Workspace(small_disk))
    after = bench.run(define(bench, (WRITE,)))
    assert states(after) == ["cached", "done", "done"]


@pytest.mark.slow
def test_a_runner_killed_at_thirty_points_loses_nothing(bench):
    lab, moments = Workspace(bench.settings.workspace), random.Random(7)
    pipeline = define(bench, (WRITE,))
    started = time.monotonic()
    assert bench.run(pipeline).state == "done"
    seconds = time.monotonic() - started
    for point in range(30):
        if point % 3 == 0:
            shutil.rmtree(lab.store)
        runner = os.fork()
        if runner == 0:
            os.setsid()
            run_pipeline(pipeline, bench.settings)
            os._exit(0)
        time.sleep(moments.uniform(0.02, seconds))
        os.kill(runner, signal.SIGKILL)
        os.waitpid(runner, 0)
        for draft in lab.root.rglob("*"):
            assert ".part" not in draft.name or draft.is_file()
        ChainLog(lab.ledger).verify()
    end = bench.run(pipeline)
    assert end.state in ("done", "cached") and (end.folder / "m.txt").read_text() == "6"
    told = {one.state for one in read_history(lab)}
    assert told <= {"interrupted", "done", "cached"} and "interrupted" in told
