"""How a notebook ends, told truthfully: the traps that were measured, one by one."""

import os
import subprocess
import sys
import threading
import time

import nbformat
import pytest
from notebook_bench import write_notebook

from mlops_lab.pipeline.engine import Execution, execute_stage


def statuses(path):
    cells = nbformat.read(path, 4).cells
    return [cell.metadata.papermill.status for cell in cells if cell.cell_type == "code"]


TWO_LEFT, ONE_LEFT = ["completed", "failed", "pending"], ["failed", "pending"]
ENDS = {
    "good": (["1", "2"], "done", None, "", ["completed"] * 2),
    "error": (["1", "1 / 0", "3"], "failed", 2, "ZeroDivisionError", TWO_LEFT),
    "killed": (["1", "import os; os._exit(1)", "3"], "kernel died", 2, "kernel died", TWO_LEFT),
    "exit_zero": (["import sys; sys.exit(0)", "2"], "stopped early", 1, "sys.exit(0)", ONE_LEFT),
    "exit_none": (["raise SystemExit", "2"], "stopped early", 1, "sys.exit", ONE_LEFT),
    "exit_three": (["import sys; sys.exit(3)", "2"], "failed", 1, "SystemExit: 3", ONE_LEFT),
    "syntax": (["x = (", "2"], "failed", 1, "SyntaxError", ONE_LEFT),
}


@pytest.mark.parametrize("name", ENDS)
def test_the_state_is_true(tmp_path, name):
    sources, state, cell, words, left = ENDS[name]
    source = write_notebook(tmp_path / f"{name}.ipynb", *sources)
    before = source.read_bytes()
    outcome = execute_stage(source, tmp_path / "out.ipynb", {}, Execution(folder=tmp_path))
    assert (outcome.state, outcome.cell) == (state, cell)
    assert words in outcome.error
    assert statuses(tmp_path / "out.ipynb") == left
    assert nbformat.read(tmp_path / "out.ipynb", 4).metadata.mlops_lab.state == state
    assert source.read_bytes() == before


def test_a_stage_that_takes_too_long_is_stopped(tmp_path):
    source = write_notebook(tmp_path / "slow.ipynb", "1", "import time; time.sleep(60)", "3")
    started = time.monotonic()
    execution = Execution(folder=tmp_path, timeout_s=4)
    outcome = execute_stage(source, tmp_path / "out.ipynb", {}, execution)
    assert (outcome.state, outcome.cell) == ("timed out", 2)
    assert time.monotonic() - started < 20
    assert statuses(tmp_path / "out.ipynb")[-1] == "pending"


def test_a_cell_that_takes_too_long_is_stopped(tmp_path):
    source = write_notebook(tmp_path / "slow.ipynb", "1", "import time; time.sleep(60)", "3")
    execution = Execution(folder=tmp_path, cell_timeout_s=2)
    outcome = execute_stage(source, tmp_path / "out.ipynb", {}, execution)
    assert (outcome.state, outcome.cell) == ("timed out", 2)


def test_cancelling_leaves_no_process(tmp_path):
    work = f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))"
    source = write_notebook(tmp_path / "slow.ipynb", work, "time.sleep(60)")
    cancel = threading.Event()
    execution = Execution(
        folder=tmp_path, cancel=cancel, on_cell=lambda cell, _: cell == 2 and cancel.set()
    )
    outcome = execute_stage(source, tmp_path / "out.ipynb", {}, execution)
    assert outcome.state == "cancelled"
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_what_the_kernel_says_of_itself_is_kept(tmp_path):
    work = "import faulthandler, ctypes; faulthandler.enable(); ctypes.string_at(0)"
    source = write_notebook(tmp_path / "crash.ipynb", work)
    execution = Execution(folder=tmp_path, log=tmp_path / "kernel.log")
    assert execute_stage(source, tmp_path / "out.ipynb", {}, execution).state == "kernel died"
    assert "Segmentation fault" in (tmp_path / "kernel.log").read_text()


PAPERMILL = """
from papermill.__main__ import papermill
from papermill.engines import papermill_engines
from mlops_lab.pipeline.engine import LabEngine

papermill_engines.register("mlops-lab", LabEngine)
papermill()
"""


def test_papermill_itself_can_use_the_engine(tmp_path, project):
    good = write_notebook(tmp_path / "good.ipynb", "n = 1", "n + 1")
    half = write_notebook(tmp_path / "half.ipynb", "import sys; sys.exit(0)", "2")
    (tmp_path / "run.py").write_text(PAPERMILL)

    def run(source):
        out = tmp_path / "out.ipynb"
        command = [sys.executable, str(tmp_path / "run.py"), "--engine", "mlops-lab", source, out]
        environment = os.environ | {"PYTHONPATH": str(project)}
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    assert run(good).returncode == 0
    stopped = run(half)
    assert stopped.returncode != 0
    assert "stopped early" in stopped.stderr
