"""Processes kept from run to run: reused, isolated, never stale, gone with their owner."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from notebook_bench import write_notebook, write_stage
from test_fork_server import LEAKS, processes_of, run_cells

from mlops_lab.pipeline.engine import execute_stage
from mlops_lab.pipeline.execution import Execution
from mlops_lab.pipeline.fork_server import exchange
from mlops_lab.pipeline.plan import read_pipeline
from mlops_lab.pipeline.warm_keeper import WarmKeeper

PARENT = "import os; os.getppid()"


@pytest.fixture
def keep():
    """Make keepers that are closed after the test."""
    made = []

    def make(**limits):
        made.append(WarmKeeper(**limits))
        return made[-1]

    yield make
    for keeper in made:
        keeper.close()


@pytest.fixture
def run(tmp_path):
    """Run cells in the light process that a keeper lends, as a run of its own."""

    def cells(keeper, *sources, preload=("json",), heavy=()):
        lent = keeper.lend(preload, tmp_path / "server.log")
        name = lent.warm(heavy) if heavy else ""
        execution = Execution(folder=tmp_path, forks=lent, server=name)
        source, output = tmp_path / "source.ipynb", tmp_path / "output.ipynb"
        write_notebook(source, *sources, tagged=False)
        outcome = execute_stage(source, output, parameters={}, execution=execution)
        lent.close()
        assert outcome.passed, outcome.error
        cells = nbformat.read(output, 4).cells
        shown = [one for cell in cells if cell.cell_type == "code" for one in cell.outputs]
        return [one.get("text") or one.data["text/plain"] for one in shown]

    return cells


def server_of(keeper):
    return keeper._kept.server.process_id


def is_alive(process):
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(*processes):
    for _ in range(100):
        if not any(map(is_alive, processes)):
            return
        time.sleep(0.1)
    pytest.fail(f"one of {processes} lives on")


def family_of(process):
    """A process and all below it."""
    found = [process]
    for parent in found:
        for thread in Path(f"/proc/{parent}/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    return found


# Kept, and isolated


def test_the_next_run_uses_the_same_processes(keep, run):
    keeper = keep()
    run(keeper, "1")
    first = server_of(keeper)
    assert run(keeper, "import sys; 'fractions' in sys.modules", heavy=["fractions"]) == ["True"]
    assert run(keeper, "import sys; 'fractions' in sys.modules") == ["False"]
    assert server_of(keeper) == first


# installed modules are imported ahead for the next run, on purpose; a patch of json ends the talk
ACROSS = {name: leak for name, leak in LEAKS.items() if name not in ("modules", "monkeypatch")}
ACROSS["monkeypatch"] = (
    "import string; string.capwords = None",
    "import string; string.capwords is None",
    "False",
)


@pytest.mark.parametrize("name", ACROSS)
def test_nothing_leaks_from_run_to_run(keep, run, name):
    keeper = keep()
    first, second, expected = ACROSS[name]
    run(keeper, first)
    process = server_of(keeper)
    assert run(keeper, second) == [expected]
    assert server_of(keeper) == process


def test_random_numbers_differ_between_runs_unless_seeded(keep, run):
    keeper, draw = keep(), "import random, numpy as np; (random.random(), np.random.rand())"
    drawn = [str(run(keeper, draw, preload=["numpy"])) for _ in range(3)]
    assert len(set(drawn)) == 3
    seeded = "import random, numpy as np; random.seed(1); np.random.seed(1)"
    drawn = [run(keeper, seeded, draw, preload=["numpy"]) for _ in range(2)]
    assert drawn[0] == drawn[1]


def test_what_stages_imported_is_imported_before_the_next_run(keep, run, tmp_path):
    keeper = keep()
    (tmp_path / "helper.py").write_text("x = 1\n")
    run(keeper, "import sys; sys.path.insert(0, '.')\nimport colorsys, helper")
    loaded = "import sys; [name in sys.modules for name in ('colorsys', 'helper')]"
    assert run(keeper, loaded) == ["[True, False]"]
    assert run(keeper, "'colorsys' in globals()") == ["False"]


def test_a_stage_that_a_run_left_behind_ends_with_the_run(keep, tmp_path):
    keeper = keep()
    lent = keeper.lend(["json"], tmp_path / "log")
    cells = [[0, "import time; time.sleep(600)"]]
    request = {"cells": cells, "folder": "/", "log": os.devnull, "paths": []}
    process = next(exchange(lent.connect(), request | {"environment": dict(os.environ)}))["process"]
    assert is_alive(process)
    lent.close()
    wait_until_gone(process)
    assert is_alive(server_of(keeper))


def test_two_runs_at_once_share_them(keep, run, tmp_path):
    keeper = keep()
    lent = keeper.lend(["json"], tmp_path / "log")
    assert run(keeper, "1 + 1") == ["2"]
    assert run_cells(lent, tmp_path, "2 + 2") == ["4"]
    lent.close()


# Never stale


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library that processes import, old enough to be trusted."""
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "ours.py").write_text("def answer():\n    return 1\n")
    (folder / "unused.py").write_text("")
    paths = f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    monkeypatch.setenv("PYTHONPATH", paths)
    time.sleep(2.1)
    return folder


def test_an_edited_module_is_never_run_as_it_was(keep, run, library):
    keeper, ask = keep(), "import ours; ours.answer()"
    assert run(keeper, ask, preload=["ours"]) == ["1"]
    first = server_of(keeper)
    assert run(keeper, ask, preload=["ours"]) == ["1"] and server_of(keeper) == first
    (library / "unused.py").write_text("x = 1\n")
    assert run(keeper, ask, preload=["ours"]) == ["1"] and server_of(keeper) == first
    (library / "ours.py").write_text("def answer():\n    return 2\n")
    assert run(keeper, ask, preload=["ours"]) == ["2"] and server_of(keeper) != first
    assert keeper.reason == f"{library / 'ours.py'} changed"
    wait_until_gone(first)


def test_a_module_edited_while_a_run_uses_it_is_new_for_the_next(keep, run, library, tmp_path):
    keeper, ask = keep(), "import ours; ours.answer()"
    lent = keeper.lend(["ours"], tmp_path / "log")
    assert run_cells(lent, tmp_path, ask) == ["1"]
    first = server_of(keeper)
    (library / "ours.py").write_text("def answer():\n    return 2\n")
    assert run(keeper, ask, preload=["ours"]) == ["2"]
    assert run_cells(lent, tmp_path, ask) == ["1"] and is_alive(first)
    lent.close()
    wait_until_gone(first)


def test_a_module_of_the_second_process_counts_too(keep, run, library):
    keeper, ask = keep(), "import ours; ours.answer()"
    assert run(keeper, ask, heavy=["ours"]) == ["1"]
    (library / "ours.py").write_text("def answer():\n    return 2\n")
    assert run(keeper, ask, heavy=["ours"]) == ["2"]


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "PYTHONPATH", "CUDA_VISIBLE_DEVICES"])
def test_another_environment_gets_other_processes(keep, run, monkeypatch, name):
    keeper = keep()
    run(keeper, "1")
    first = server_of(keeper)
    monkeypatch.setenv("TERM", "other")
    run(keeper, "1")
    assert server_of(keeper) == first
    monkeypatch.setenv(name, f"{os.environ.get(name, '')}{os.pathsep}1")
    run(keeper, "1")
    assert server_of(keeper) != first and name in keeper.reason


def test_another_folder_gets_other_processes(keep, run, tmp_path, monkeypatch):
    keeper = keep()
    run(keeper, "1")
    monkeypatch.chdir(tmp_path)
    run(keeper, "1")
    assert keeper.reason == "the folder changed"


def test_stages_that_import_more_get_processes_with_all_of_it(keep, run):
    keeper, both = keep(), "import sys; [name in sys.modules for name in ('wave', 'cgitb')]"
    run(keeper, "1", preload=["wave"])
    assert run(keeper, both, preload=["cgitb"]) == ["[True, True]"]
    assert keeper.reason == "stages import cgitb now"
    again = server_of(keeper)
    run(keeper, "1", preload=["wave"])
    assert server_of(keeper) == again


@pytest.mark.parametrize("wait_s", [0.0, 0.003, 0.03, 0.3])
def test_a_killed_process_is_replaced_with_all_that_was_forked_from_it(keep, run, wait_s):
    keeper = keep()
    run(keeper, "1")  # what the stage imported is imported ahead now, in a fork of the first
    server = server_of(keeper)
    time.sleep(wait_s)
    os.kill(server, signal.SIGKILL)
    os.waitid(os.P_PID, server, os.WEXITED | os.WNOWAIT)
    assert run(keeper, "6 * 7") == ["42"] and keeper.reason == "it did not answer"
    assert server_of(keeper) != server
    wait_until_gone(*processes_of(server))


def test_processes_that_computed_are_replaced(keep, run, library):
    (library / "ours.py").write_text(
        "import os, threading, time\n"
        "def grow():\n"
        f"    while not os.path.exists({str(library.parent / 'grow')!r}):\n"
        "        time.sleep(0.02)\n"
        "    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "    time.sleep(60)\n"
        "threading.Thread(target=grow, daemon=True).start()\n"
    )
    time.sleep(2.1)
    first = keep()
    run(first, "1")
    every = ["ours", *first._kept.learned.get("", ())]  # so that no later process is made of it
    keeper = keep()
    run(keeper, "1", preload=every)
    (library.parent / "grow").touch()
    threads = Path(f"/proc/{server_of(keeper)}/task")
    deadline = time.monotonic() + 20
    while len(list(threads.iterdir())) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert run(keeper, "6 * 7", preload=every) == ["42"]
    assert "threads" in keeper.reason


# Bounded


def test_they_end_when_nobody_used_them_for_long(keep, run):
    keeper = keep(idle_s=0.5)
    run(keeper, "1")
    first = server_of(keeper)
    wait_until_gone(first)
    assert keeper.reason == "no run for 0 s"
    assert run(keeper, "6 * 7") == ["42"]


def test_they_do_not_end_while_they_are_used(keep, tmp_path):
    keeper = keep(idle_s=0.2)
    lent = keeper.lend(["json"], tmp_path / "log")
    assert run_cells(lent, tmp_path, "import time; time.sleep(1); 6 * 7") == ["42"]
    lent.close()
    wait_until_gone(server_of(keeper))


def test_they_end_when_they_take_too_much(keep, run):
    keeper = keep(memory_mb=20)
    run(keeper, "1", preload=["pandas"])
    assert keeper.reason.endswith(" MB of memory, 20 allowed")
    wait_until_gone(server_of(keeper))


OWNER = """
import os, sys, time
from pathlib import Path
from mlops_lab.pipeline.fork_server import exchange
from mlops_lab.pipeline.warm_keeper import WarmKeeper
keeper = WarmKeeper()
lent = keeper.lend(["json"], Path(os.devnull))
cells = [[0, "print(1, flush=True)"], [1, "import time; time.sleep(600 * BUSY)"]]
cells[1][1] = cells[1][1].replace("BUSY", sys.argv[1])
request = {"cells": cells, "folder": "/", "log": os.devnull, "paths": []}
told = exchange(lent.connect(lent.warm(["decimal"])), request | {"environment": dict(os.environ)})
for message in told:
    if "output" in message:
        print(keeper._kept.server.process_id, flush=True)
lent.close()
if sys.argv[2] == "end":
    sys.exit()
time.sleep(600)
"""


@pytest.mark.parametrize("end", ["killed", "told", "end"])
@pytest.mark.parametrize("busy", ["0", "1"])
def test_nothing_outlives_the_owner(busy, end):
    if busy == "1" and end == "end":
        pytest.skip("an owner that waits for its stage does not end")
    pipes = {"stdout": subprocess.PIPE, "text": True}
    owner = subprocess.Popen([sys.executable, "-c", OWNER, busy, end], **pipes)
    family = family_of(int(owner.stdout.readline()))
    assert end == "end" or len(family) > 1
    if end != "end":
        owner.send_signal(signal.SIGKILL if end == "killed" else signal.SIGTERM)
    owner.wait()
    owner.stdout.close()
    wait_until_gone(*family)


# Whole runs


def test_a_pipeline_runs_twice_in_the_same_processes(bench, keep):
    write_stage(bench.folder, "make", PARENT, "import string; string.capwords = None; leaked = 1")
    write_stage(
        bench.folder, "show", "import string; assert string.capwords and 'leaked' not in globals()"
    )
    pipeline = bench.define("  make: {notebook: make.ipynb}\n  show: {notebook: show.ipynb}\n")
    keeper, every = keep(), frozenset({"make", "show"})
    ends = [bench.run(pipeline, force=every, lend=keeper.lend) for _ in range(2)]
    assert [[one.state for one in end.stages] for end in ends] == [["done", "done"]] * 2
    assert keeper.reason == "nothing is kept"


def test_a_changed_stage_is_run_as_it_is_now(bench, keep):
    write = "_ = stage.output('n.txt').write_text(str({}))"
    definition = "  make: {notebook: make.ipynb, outputs: [n.txt]}\n"
    keeper = keep()
    for number in (1, 2):
        bench.stage("make", write.format(number))
        pipeline = bench.define(definition)
        end = bench.run(pipeline, lend=keeper.lend)
        assert (end.folder / "n.txt").read_text() == str(number) and end.state == "done"


def test_a_cached_run_starts_nothing(bench, chain, keep):
    keeper = keep()
    bench.run(chain)
    assert bench.run(chain, lend=keeper.lend).state == "cached"
    assert keeper.reason == "nothing ran yet"


def test_a_stage_without_a_process_gets_a_kernel(bench, chain, keep, monkeypatch):
    keeper = keep()
    real = keeper.lend

    def lend_and_kill(preload, log):
        lent = real(preload, log)
        os.kill(server_of(keeper), signal.SIGKILL)
        wait_until_gone(server_of(keeper))
        return lent

    end = bench.run(chain, lend=lend_and_kill)
    assert [one.state for one in end.stages] == ["done"] * 3
    assert read_pipeline(bench.folder, vars(bench.settings)).name == "bench"


@pytest.mark.slow
def test_tensorflow_computes_right_in_every_run(keep, run):
    work = (
        "import tensorflow as tf\n"
        "tf.keras.utils.set_random_seed(1)\n"
        "model = tf.keras.Sequential([tf.keras.layers.Dense(4), tf.keras.layers.Dense(1)])\n"
        "model.compile('adam', 'mse')\n"
        "x, y = tf.random.normal((256, 8)), tf.random.normal((256, 1))\n"
        "h = model.fit(x, y, epochs=3, verbose=0)",
        "round(h.history['loss'][-1], 6)",
    )
    keeper = keep()
    answers = [run(keeper, *work, preload=["numpy"], heavy=["tensorflow"]) for _ in range(4)]
    assert len({str(answer) for answer in answers}) == 1 and float(answers[0][0]) > 0
    assert keeper.reason == "nothing is kept"
