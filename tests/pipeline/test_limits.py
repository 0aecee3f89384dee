"""What a definition may say about how a stage is run: times, memory, retries, cores, kernel."""

import json
import time

import nbformat
import pytest
from notebook_bench import write_notebook

from mlops_lab.foundation.errors import PipelineProblem, StageFailed
from mlops_lab.pipeline.engine import LabEngine, execute_stage
from mlops_lab.pipeline.execution import Execution
from mlops_lab.pipeline.fork_server import ForkServer


def run_one(bench, keys, *work):
    """Run a pipeline of one stage and give how the stage ended."""
    bench.stage("make", *work)
    pipeline = bench.define(f"  make: {{notebook: make.ipynb, {keys}}}\n")
    return bench.run(pipeline).stages[0]


@pytest.mark.parametrize("kernel", ["", ", kernel: own"])
def test_a_greedy_stage_is_stopped_with_the_figures(bench, kernel):
    greedy = "import time\nheld = bytearray(400_000_000)\ntime.sleep(60)"
    started = time.monotonic()
    end = run_one(bench, "memory_mb: 300" + kernel, greedy)
    assert (end.state, end.cell) == ("out of memory", 4)
    assert "may hold 300 MB" in end.reason and "it held " in end.reason
    assert time.monotonic() - started < 40


def test_the_memory_of_children_counts(bench):
    child = "import time; held = bytearray(400_000_000); time.sleep(60)"
    work = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])"
    assert run_one(bench, "memory_mb: 400", work).state == "out of memory"


def test_a_modest_stage_stays_within_its_memory(bench):
    assert run_one(bench, "memory_mb: 2000, timeout_s: 60", "held = bytearray(1000)").passed


def test_a_slow_cell_is_stopped_with_the_figures(bench):
    end = run_one(bench, "cell_timeout_s: 1.5", "1", "import time; time.sleep(60)")
    assert (end.state, end.cell) == ("timed out", 5)
    assert "a cell may take 1.5 s" in end.reason


def test_retries_wait_longer_each_time(bench):
    log = bench.folder / "times"
    note = f"import time\n_ = open({str(log)!r}, 'a').write(f'{{time.time()}} ')\n1 / 0"
    assert run_one(bench, "retries: 2, retry_wait_s: 0.5", note).state == "failed"
    first, second, third = map(float, log.read_text().split())
    assert second - first >= 0.5 and third - second >= 1.0


def test_a_stage_of_two_cores_runs_alone_on_two(bench):
    note = (
        "import json, pathlib, time\nbegan = time.time()\ntime.sleep(0.3)\n"
        "place = pathlib.Path({folder!r}) / '{name}.json'\n"
        "_ = place.write_text(json.dumps([began, time.time()]))"
    )
    for name in ("a", "wide", "b"):
        bench.stage(name, note.format(folder=str(bench.folder), name=name))
    pipeline = bench.define(
        "  a: {notebook: a.ipynb}\n  wide: {notebook: wide.ipynb, cores: 2}\n"
        "  b: {notebook: b.ipynb}\n"
    )
    assert bench.run(pipeline, jobs=2).state == "done"
    spans = [json.loads((bench.folder / f"{name}.json").read_text()) for name in ("a", "wide", "b")]
    (began, ended), others = spans[1], (spans[0], spans[2])
    assert all(end <= began or start >= ended for start, end in others)
    assert bench.run(pipeline, jobs=1, force=frozenset(["wide"])).state == "done"


def test_a_stage_may_ask_for_a_kernel_of_its_own(bench):
    work = "assert 'ipykernel' in type(get_ipython()).__module__"
    assert not run_one(bench, "timeout_s: 60", work).passed
    assert run_one(bench, "kernel: own", work).passed


def test_limits_are_no_part_of_the_key(bench):
    assert run_one(bench, "timeout_s: 60").state == "done"
    assert run_one(bench, "timeout_s: 70, memory_mb: 3000, cores: 2").state == "cached"


@pytest.mark.parametrize("keys", ["memory_mb: 0", "cores: -1", "kernel: r", "retry_wait_s: soon"])
def test_limits_that_cannot_be_are_refused(bench, keys):
    with pytest.raises(PipelineProblem, match="line 3"):
        run_one(bench, keys)


def test_a_kernel_that_hangs_at_start_is_given_up(bench, tmp_path, monkeypatch):
    place = tmp_path / "jupyter" / "kernels" / "hangs"
    place.mkdir(parents=True)
    spec = {"argv": ["sleep", "60"], "display_name": "hangs", "language": "python"}
    (place / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    source = write_notebook(tmp_path / "a.ipynb", "1")
    source.write_text(source.read_text().replace('"name": "python3"', '"name": "hangs"'))
    for limits in ({"timeout_s": 2.0}, {"start_timeout_s": 2.0}):
        started = time.monotonic()
        execution = Execution(folder=tmp_path, **limits)
        end = execute_stage(source, tmp_path / "out.ipynb", parameters={}, execution=execution)
        assert end.state == "timed out" and end.error.startswith("before any cell ran")
        assert time.monotonic() - started < 20


def test_a_fork_that_hangs_at_start_is_given_up(tmp_path, monkeypatch):
    (tmp_path / "sleepy.py").write_text("import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    server = ForkServer(["sleepy"], tmp_path / "server.log")
    source = write_notebook(tmp_path / "a.ipynb", "6 * 7")

    def outcome(**limits):
        execution = Execution(folder=tmp_path, forks=server, **limits)
        return execute_stage(source, tmp_path / "out.ipynb", parameters={}, execution=execution)

    late = outcome(timeout_s=2.0)
    assert late.state == "timed out" and "before any cell ran" in late.error
    assert outcome(start_timeout_s=8.0).passed, "a real kernel takes over"
    started = time.monotonic()
    server.close()
    assert time.monotonic() - started < 10


def test_papermill_hears_of_an_early_stop(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import sys; sys.exit()")])
    notebook.metadata["papermill"] = {}
    with pytest.raises(StageFailed, match="stopped early"):
        LabEngine.execute_notebook(notebook, "python3", progress_bar=False)
