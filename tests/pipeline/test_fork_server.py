"""Forks: isolated from each other, refused where unsafe, gone with the runner."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from notebook_bench import write_notebook

from mlops_lab.pipeline.engine import execute_stage
from mlops_lab.pipeline.execution import Execution
from mlops_lab.pipeline.fork_server import ForkServer, exchange


@pytest.fixture
def server(tmp_path):
    server = ForkServer(["numpy", "threading"], tmp_path / "server.log")
    yield server
    server.close()


def run_cells(server, tmp_path, *sources, name=""):
    """Run cells in a fork and give what they showed."""
    request = {
        "cells": list(enumerate(sources)),
        "folder": str(tmp_path),
        "log": str(tmp_path / "stage.log"),
        "environment": dict(os.environ),
        "paths": [],
    }
    told = list(exchange(server.connect(name), request))
    outputs = [one["output"] for one in told if "output" in one]
    return [one.get("text") or one.get("data", {}).get("text/plain") for one in outputs]


LEAKS = {
    "globals": ("x = 1", "'x' in globals()", "False"),
    "environment": ("%env LEAK=yes", "import os; 'LEAK' in os.environ", "False"),
    "folder": ("import os; os.chdir('/')", "import os; os.getcwd() == '/'", "False"),
    "monkeypatch": ("import json; json.dumps = None", "import json; json.dumps is None", "False"),
    "modules": ("import colorsys", "import sys; 'colorsys' in sys.modules", "False"),
    "path": ("import sys; sys.path.append('leak')", "import sys; 'leak' in sys.path", "False"),
    "files": (
        "import os; os.dup2(os.open('/etc/hostname', os.O_RDONLY), 60)",
        "import os; os.path.exists('/proc/self/fd/60')",
        "False",
    ),
    "threads": (
        "import threading; threading.Timer(9, print).start()",
        "import threading; threading.active_count()",
        "1",
    ),
}


@pytest.mark.parametrize("name", LEAKS)
def test_nothing_leaks_from_stage_to_stage(server, tmp_path, name):
    first, second, expected = LEAKS[name]
    run_cells(server, tmp_path, first)
    assert run_cells(server, tmp_path, second) == [expected]


def test_random_numbers_differ_between_stages_unless_seeded(server, tmp_path):
    draw = "import random, numpy as np; (random.random(), np.random.rand())"
    assert run_cells(server, tmp_path, draw) != run_cells(server, tmp_path, draw)
    seeded = "import random, numpy as np; random.seed(1); np.random.seed(1)"
    drawn = [run_cells(server, tmp_path, seeded, draw) for _ in range(2)]
    assert drawn[0] == drawn[1]


def test_a_server_that_computed_refuses_and_a_kernel_is_used(tmp_path, monkeypatch):
    (tmp_path / "late.py").write_text(
        "import threading, time\n"
        "def grow():\n"
        "    time.sleep(1)\n"
        "    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "    time.sleep(60)\n"
        "threading.Thread(target=grow, daemon=True).start()\n"
    )
    paths = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    monkeypatch.setenv("PYTHONPATH", paths)
    server = ForkServer(["late"], tmp_path / "server.log")
    time.sleep(3)
    assert "threads" in next(exchange(server.connect(), {}))["refused"]
    source = write_notebook(tmp_path / "source.ipynb", "6 * 7")
    execution = Execution(folder=tmp_path, forks=server)
    assert execute_stage(source, tmp_path / "out.ipynb", parameters={}, execution=execution).passed
    server.close()


def test_a_dead_server_is_replaced_by_a_kernel(server, tmp_path):
    os.kill(server.process_id, signal.SIGKILL)
    source = write_notebook(tmp_path / "source.ipynb", "6 * 7")
    execution = Execution(folder=tmp_path, forks=server)
    assert execute_stage(source, tmp_path / "out.ipynb", parameters={}, execution=execution).passed


def processes_of(group):
    """Processes of a group that live."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, own = place.read_text().rsplit(")", 1)[1].split()[:3]
            found += [int(place.parent.name)] if int(own) == group and state != "Z" else []
    return found


# holds up what was just forked, before it runs any code of ours
SLOW = "import os, time\nos.register_at_fork(after_in_child=lambda: time.sleep(1.5))\n"


@pytest.mark.parametrize("forked", ["server", "copy", "stage"])
def test_what_was_just_forked_ends_with_the_first_process(tmp_path, monkeypatch, forked):
    (tmp_path / "slow.py").write_text(SLOW)
    paths = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    monkeypatch.setenv("PYTHONPATH", paths)
    server = ForkServer(["slow"], tmp_path / "server.log")
    asks = {"server": lambda: server.warm(["decimal"]), "copy": server.lend}
    held = asks.get(forked, server.connect)()  # and held: nobody but the first process ends
    first = server.process_id
    until = time.monotonic() + 20
    while len(family := processes_of(first)) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(first, signal.SIGKILL)
    assert len(family) == 2 and first in family
    until = time.monotonic() + 20
    while processes_of(first) and time.monotonic() < until:
        time.sleep(0.05)
    assert processes_of(first) == []
    assert server.look() == "it did not answer"
    server.close()
    if forked != "server":  # the server has that one
        held.close()


RUNNER = """
import os, sys
from pathlib import Path
from mlops_lab.pipeline.fork_server import ForkServer, exchange
server = ForkServer(["json"], Path(os.devnull))
name = server.warm(["decimal"]) if sys.argv[1] == "second" else ""
cells = [[0, "import os; print(os.getpid(), flush=True)"], [1, "import time; time.sleep(60)"]]
request = {"cells": cells, "folder": "/", "log": os.devnull, "paths": []}
request["environment"] = dict(os.environ)
for message in exchange(server.connect(name), request):
    if "output" in message:
        print(message["output"]["text"], flush=True)
"""


@pytest.mark.parametrize("which", ["first", "second"])
def test_stages_end_with_a_killed_runner(which):
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, which], stdout=subprocess.PIPE, text=True
    )
    stage = int(runner.stdout.readline())
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    runner.stdout.close()
    for _ in range(100):
        try:
            os.kill(stage, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail(f"stage {stage} lives on")


@pytest.mark.slow
def test_tensorflow_computes_right_in_many_forks(tmp_path):
    server = ForkServer(["numpy"], tmp_path / "server.log")
    name = server.warm(["tensorflow", "keras"])
    work = (
        "import tensorflow as tf\n"
        "tf.keras.utils.set_random_seed(1)\n"
        "model = tf.keras.Sequential([tf.keras.layers.Dense(4), tf.keras.layers.Dense(1)])\n"
        "model.compile('adam', 'mse')\n"
        "x, y = tf.random.normal((256, 8)), tf.random.normal((256, 1))\n"
        "h = model.fit(x, y, epochs=3, verbose=0)",
        "round(h.history['loss'][-1], 6)",
    )
    answers = [run_cells(server, tmp_path, *work, name=name) for _ in range(6)]
    server.close()
    assert len({str(answer) for answer in answers}) == 1
    assert float(answers[0][0]) > 0
