"""Runs: cached when nothing changed, resumed after trouble, never falsely done."""

import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.errors import PipelineProblem
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.pipeline.history import find_run, read_history
from mlops_lab.pipeline.stage import begin_stage


def states(end):
    return {stage.stage: stage.state for stage in end.stages}


@pytest.fixture
def bench(bench):
    """Each run has processes of its own, as `mlops-lab run` has."""
    bench.lend = None
    return bench


def test_the_second_run_comes_from_the_store(bench, chain):
    first, second = bench.run(chain), bench.run(chain)
    assert set(states(first).values()) == {"done"}
    assert second.state == "cached" and set(states(second).values()) == {"cached"}
    assert (second.folder / "m.txt").read_text() == "6"
    assert (second.folder / "notebooks" / "double.ipynb").exists()
    digests = [[stage.record for stage in end.stages] for end in (first, second)]
    assert digests[0] == digests[1] and all(digests[0])


def edit_cell(path, old, new):
    notebook = nbformat.read(path, 4)
    for cell in notebook.cells:
        cell.source = cell.source.replace(old, new)
    nbformat.write(notebook, path)


def add_markdown(path):
    notebook = nbformat.read(path, 4)
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell("# Title"))
    nbformat.write(notebook, path)


def edit_double(old, new):
    return lambda bench: edit_cell(bench.folder / "double.ipynb", old, new)


CHANGES = {
    "comment": (edit_double("n = 2", "# twice\nn = 2"), set()),
    "markdown": (lambda bench: add_markdown(bench.folder / "double.ipynb"), set()),
    "touched": (lambda bench: os.utime(bench.folder / "double.ipynb", (1, 1)), set()),
    "code": (edit_double("n = 2", "n = 3"), {"double", "show"}),
    "same result": (edit_double("2 * int", "(1 + 1) * int"), {"double"}),
    "first stage": (
        lambda bench: edit_cell(bench.folder / "make.ipynb", "n = 3", "n = 4"),
        {"make", "double", "show"},
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_only_what_depends_on_a_change_runs_again(bench, chain, name):
    change, expected = CHANGES[name]
    bench.run(chain)
    change(bench)
    again = states(bench.run(chain))
    assert {stage for stage, state in again.items() if state == "done"} == expected


def test_a_failure_stops_what_depends_on_it_and_the_next_run_goes_on_from_there(bench, chain):
    edit_cell(bench.folder / "double.ipynb", "n = 2 *", "n = 1 / 0 *")
    failed = bench.run(chain)
    assert failed.state == "failed"
    assert states(failed) == {"make": "done", "double": "failed", "show": "never run"}
    assert "ZeroDivisionError" in failed.stages[1].reason and "1 / 0" in failed.stages[1].source
    assert (failed.folder / "notebooks" / "double.ipynb").exists()
    edit_cell(bench.folder / "double.ipynb", "n = 1 / 0 *", "n = 2 *")
    assert states(bench.run(chain)) == {"make": "cached", "double": "done", "show": "done"}


WRITE_OTHER = "for name in 'no':\n    stage.output(f'{name}.txt').write_text('1')"
WRITE_AND_DELETE = "path = stage.output('n.txt')\n_ = path.write_text('1')\npath.unlink()"


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (WRITE_OTHER, "wrote o.txt, which it does not declare"),
        ("stage.output('n.txt')", "without its output n.txt"),
        ("1", "did not write n.txt"),
        (WRITE_AND_DELETE, "without its output n.txt"),
        ("stage.input('../run.json')", "leaves the run folder"),
    ],
)
def test_a_stage_that_breaks_its_contract_is_not_done(bench, work, words):
    bench.stage("make", work)
    end = bench.run(bench.define("  make: {notebook: make.ipynb, outputs: [n.txt]}\n"))
    assert end.state == "failed"
    assert words in end.stages[0].reason


def test_a_stage_that_reads_what_it_does_not_declare_is_not_done(bench, chain):
    edit_cell(bench.folder / "show.ipynb", "'m.txt'", "'n.txt'")
    end = bench.run(chain)
    assert states(end)["show"] == "failed"
    assert "read n.txt, which it does not declare" in end.stages[2].reason


def test_a_notebook_without_a_record_is_not_done(bench):
    path = bench.stage("make")
    edit_cell(path, "stage.finish(headline='make')", "stage.name")
    end = bench.run(bench.define("  make: {notebook: make.ipynb}\n"))
    assert end.state == "failed" and "without a record" in end.stages[0].reason


def test_wrong_parameters_are_refused_before_anything_starts(bench, chain):
    for given, words in (
        ({"m": 1}, "known: n"),
        ({"n": "three"}, "is a str"),
        ({"shw.n": 1}, "did you mean 'show'"),
        ({"show.n": 1}, "no stage has the parameter 'show.n'"),
    ):
        with pytest.raises(PipelineProblem, match=words):
            bench.run(chain, parameters=given)
    assert not bench.settings.workspace.joinpath("ledger.jsonl").exists()


def test_a_parameter_that_is_never_read_is_refused(bench):
    bench.stage("make", parameters="n = 3")
    pipeline = bench.define("  make: {notebook: make.ipynb}\n")
    with pytest.raises(PipelineProblem, match="'n' of make.ipynb is never read"):
        bench.run(pipeline)


def test_lab_state_is_part_of_the_key_and_promises_are_checked(bench):
    bench.stage("make")
    pipeline = bench.define("  make: {notebook: make.ipynb, state: [season], promises: [kept]}\n")
    with pytest.raises(PipelineProblem, match="'season', which is not known"):
        bench.run(pipeline)

    def run(season, kept):
        probes, promises = {"season": lambda *_: season}, {"kept": lambda *_: kept}
        return bench.run(pipeline, probes=probes, promises=promises).stages[0]

    assert run("summer", True).state == "done"
    assert run("summer", True).state == "cached"
    assert run("winter", True).state == "done"
    gone = run("winter", False)
    assert gone.state == "done" and "gone: kept" in gone.reason


def test_a_changed_object_in_the_store_is_noticed(bench, chain):
    bench.run(chain)
    for place in (bench.settings.workspace / "store" / "objects").glob("*/*"):
        if place.read_bytes() == b"6":
            place.chmod(0o644)
            place.write_bytes(b"7")
    again = bench.run(chain)
    assert states(again) == {"make": "cached", "double": "done", "show": "cached"}
    assert (again.folder / "m.txt").read_text() == "6"


MEET = """
import pathlib, time
root = pathlib.Path({root!r})
(root / '{name}.here').touch()
end = time.monotonic() + 30
while not (root / '{other}.here').exists() and time.monotonic() < end:
    time.sleep(0.05)
assert (root / '{other}.here').exists()
"""


def test_running_a_stage_by_hand_in_a_finished_run_leaves_the_store_alone(bench, chain):
    first = bench.run(chain)
    stage = begin_stage("double", str(first.folder))
    stage.output("m.txt").write_text("7")
    stage.output("m.txt").write_text("8")
    assert (first.folder / "m.txt").read_text() == "8"
    again = bench.run(chain)
    assert again.state == "cached" and (again.folder / "m.txt").read_text() == "6"


def test_stages_that_do_not_wait_for_each_other_run_side_by_side(bench):
    for name, other in (("left", "right"), ("right", "left")):
        bench.stage(name, MEET.format(root=str(bench.folder), name=name, other=other))
    pipeline = bench.define("  left: {notebook: left.ipynb}\n  right: {notebook: right.ipynb}\n")
    assert bench.run(pipeline, jobs=2).state == "done"


def test_a_failing_stage_is_tried_again_as_often_as_asked(bench):
    count = (
        f"import pathlib\npath = pathlib.Path({str(bench.folder / 'tries')!r})\n"
        "tries = int(path.read_text()) + 1 if path.exists() else 1\n"
        "_ = path.write_text(str(tries))\nassert tries == 3"
    )
    bench.stage("make", count)
    pipeline = bench.define("  make: {notebook: make.ipynb, retries: 1}\n")
    assert bench.run(pipeline).state == "failed"
    assert bench.run(pipeline).state == "done"
    assert (bench.folder / "tries").read_text() == "3"


RUNNER = """
import sys
from pathlib import Path
from mlops_lab.foundation.settings import Settings
from mlops_lab.pipeline.plan import read_pipeline
from mlops_lab.pipeline.runner import run_pipeline
settings = Settings(project=Path(sys.argv[1]), workspace=Path(sys.argv[2]))
print("started", flush=True)
run_pipeline(read_pipeline(Path(sys.argv[1])), settings)
"""


@pytest.mark.parametrize("delay", [0.5, 2.5, 4.5])
def test_a_killed_runner_loses_nothing(bench, chain, delay):
    lab = bench.settings.workspace
    command = [sys.executable, "-c", RUNNER, str(bench.folder), str(lab)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    child.stdout.readline()
    time.sleep(delay)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    end = bench.run(chain)
    assert end.state in ("done", "cached")
    assert (end.folder / "m.txt").read_text() == "6"
    assert ChainLog(lab / "ledger.jsonl").verify() >= 5
    assert not list((lab / "store" / "results").glob(".*"))
    runs = read_history(Workspace(lab))
    assert runs[-1].state in ("done", "cached")
    assert all(one.state in ("interrupted", "done", "cached") for one in runs)


def test_the_history_tells_each_stage(bench, chain, lab):
    bench.run(chain)
    run = find_run(lab)
    assert run.count("done") == 3 and run.pipeline == "bench"
    assert run.stages["double"]["reason"] == "no result in the store"
