"""How a notebook ends, told truthfully: the traps that were measured, one by one."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import papermill
import pytest
from notebook_bench import write_notebook

from mlops_lab.foundation.errors import StageFailed
from mlops_lab.pipeline.engine import execute_stage
from mlops_lab.pipeline.execution import Execution
from mlops_lab.pipeline.fork_server import ForkServer


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


@pytest.fixture(scope="module", params=["fork", "kernel"])
def way(request, tmp_path_factory):
    """Both ways of executing: how to ask for one."""
    if request.param == "kernel":
        yield {}
        return
    server = ForkServer(["json", "pandas"], tmp_path_factory.mktemp("server") / "log")
    yield {"forks": server}
    server.close()


@pytest.fixture
def execute(way, tmp_path):
    """Execute cells and give the outcome; the notebook is left in out.ipynb."""

    def run(*sources, **options):
        source = write_notebook(tmp_path / "source.ipynb", *sources)
        execution = Execution(folder=tmp_path, **way, **options)
        before = source.read_bytes()
        outcome = execute_stage(source, tmp_path / "out.ipynb", parameters={}, execution=execution)
        assert source.read_bytes() == before
        return outcome

    return run


@pytest.mark.parametrize("name", ENDS)
def test_the_state_is_true(tmp_path, execute, name):
    sources, state, cell, words, left = ENDS[name]
    outcome = execute(*sources)
    assert (outcome.state, outcome.cell) == (state, cell)
    assert words in outcome.error
    assert statuses(tmp_path / "out.ipynb") == left
    assert nbformat.read(tmp_path / "out.ipynb", 4).metadata.mlops_lab.state == state


def test_a_stage_that_takes_too_long_is_stopped(tmp_path, execute):
    started = time.monotonic()
    outcome = execute("1", "import time; time.sleep(60)", "3", timeout_s=4)
    assert (outcome.state, outcome.cell) == ("timed out", 2)
    assert time.monotonic() - started < 20
    assert statuses(tmp_path / "out.ipynb")[-1] == "pending"


def test_a_cell_that_takes_too_long_is_stopped(execute):
    outcome = execute("1", "import time; time.sleep(60)", "3", cell_timeout_s=2)
    assert (outcome.state, outcome.cell) == ("timed out", 2)


def test_cancelling_leaves_no_process(tmp_path, execute):
    write = f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))"
    child = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid)"
    cancel = threading.Event()
    outcome = execute(
        write,
        child,
        "time.sleep(60)",
        cancel=cancel,
        on_cell=lambda cell, _: cell == 3 and threading.Timer(0.5, cancel.set).start(),
    )
    assert outcome.state == "cancelled"
    cells = nbformat.read(tmp_path / "out.ipynb", 4).cells
    printed = next(cell for cell in cells if cell.source == child).outputs[0].text
    for process in (int((tmp_path / "pid").read_text()), int(printed)):
        assert is_gone(process)


def is_gone(process):
    """Whether a process ended; one that nobody has reaped yet counts."""
    for _ in range(50):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def test_what_the_kernel_says_of_itself_is_kept(tmp_path, execute):
    work = "import faulthandler, ctypes, os; os.write(2, b'going down'); ctypes.string_at(0)"
    assert execute(work, log=tmp_path / "kernel.log").state == "kernel died"
    assert "going down" in (tmp_path / "kernel.log").read_text()


OUTPUTS = [
    "print('a'); print('b', end='')",
    "import sys; _ = sys.stderr.write('careful')",
    "import pandas as pd; pd.DataFrame({'n': [1]})",
    "display(1); display({'text/html': '<b>2</b>', 'text/plain': '2'}, raw=True)",
    "h = display('before', display_id=True)",
    "h.update('after')",
    "from IPython.display import clear_output; print('gone'); clear_output(); print('left')",
    "5;",
    "async def f(): return 7\nawait f()",
    "pd.DataFrame({f'a wide column {i}': ['some more words'] for i in range(9)})",
]


def test_outputs_are_those_of_a_kernel(tmp_path, execute):
    assert execute(*OUTPUTS).passed
    cells = nbformat.read(tmp_path / "out.ipynb", 4).cells
    assert nbformat.validate(nbformat.read(tmp_path / "out.ipynb", 4)) is None
    shown = [[dict(output) for output in cell.outputs] for cell in cells]
    assert shown[0] == [{"output_type": "stream", "name": "stdout", "text": "a\nb"}]
    assert shown[1] == [{"output_type": "stream", "name": "stderr", "text": "careful"}]
    assert shown[2][0]["output_type"] == "execute_result"
    assert set(shown[2][0]["data"]) == {"text/html", "text/plain"}
    assert [one["output_type"] for one in shown[3]] == ["display_data"] * 2
    assert shown[3][1]["data"]["text/html"] == "<b>2</b>"
    assert shown[4][0]["data"]["text/plain"] == "'after'"
    assert shown[6] == [{"output_type": "stream", "name": "stdout", "text": "left\n"}]
    assert shown[7] == []
    assert shown[8][0]["data"]["text/plain"] == "7"
    wide = shown[9][0]["data"]["text/plain"]
    assert "a wide column 4" in wide and "..." not in wide, "pandas took this for a terminal"


def test_papermill_itself_can_use_the_engine(tmp_path):
    good = write_notebook(tmp_path / "good.ipynb", "n = 1", "n + 1")
    half = write_notebook(tmp_path / "half.ipynb", "import sys; sys.exit(0)", "2")

    def run(source, *more):
        command = [sys.executable, "-m", "papermill", "--engine", "mlops-lab", source]
        return subprocess.run(
            [*command, tmp_path / "out.ipynb", *more], capture_output=True, text=True
        )

    ran = run(good, "-p", "n", "5")
    assert ran.returncode == 0, ran.stderr
    assert nbformat.read(tmp_path / "out.ipynb", 4).cells[-1].outputs[0].data["text/plain"] == "6"
    stopped = run(half)
    assert stopped.returncode != 0
    assert "stopped early" in stopped.stderr


def test_whoever_calls_papermill_is_told_of_an_early_end(tmp_path):
    half = write_notebook(tmp_path / "half.ipynb", "import sys; sys.exit(0)", "2")
    with pytest.raises(StageFailed, match="stopped early: ") as raised:
        papermill.execute_notebook(
            half, tmp_path / "out.ipynb", engine_name="mlops-lab", progress_bar=False
        )
    assert raised.value.expected == "every cell run to its end"
    assert statuses(tmp_path / "out.ipynb") == ONE_LEFT


def test_papermill_is_imported_without_loading_the_engine():
    code = "import papermill.engines, sys; print('mlops_lab.pipeline.engine' in sys.modules)"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "False\n"
