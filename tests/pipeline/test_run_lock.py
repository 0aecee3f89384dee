"""Turns: real processes that want the same pipeline, the same cache, or neither."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.errors import PipelineProblem
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.pipeline.history import read_history

# Runs a pipeline in a workspace and says, as JSON, how it ended and whom it waited for.
RUNNER = """
import json, sys
from pathlib import Path
from mlops_lab.foundation.settings import Settings
from mlops_lab.pipeline.plan import read_pipeline
from mlops_lab.pipeline.runner import run_pipeline
from mlops_lab.pipeline.options import RunOptions
folder, lab, busy = map(str, sys.argv[1:4])
heard = []
def hear(text):
    heard.append(text)
    print(text, flush=True)
options = RunOptions(busy=busy, on_wait=hear, observer=lambda p: print(p.state, flush=True))
settings = Settings(project=Path(folder), workspace=Path(lab))
end = run_pipeline(read_pipeline(Path(folder)), settings, options=options)
print(json.dumps({"states": [one.state for one in end.stages], "heard": heard, "run": end.run}))
"""
HOLD = """
import pathlib, time
root = pathlib.Path({root!r})
(root / 'begun').touch()
end = time.monotonic() + 30
while not (root / 'go').exists() and time.monotonic() < end:
    time.sleep(0.02)
"""


def start(folder, lab, busy="wait"):
    command = [sys.executable, "-c", RUNNER, str(folder), str(lab), busy]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(child):
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def wait_for(path):
    end = time.monotonic() + 30
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert path.exists()


@pytest.fixture
def held(bench):
    """A pipeline whose stage waits for a sign."""
    bench.stage("make", HOLD.format(root=str(bench.folder)))
    return bench.define("  make: {notebook: make.ipynb}\n")


def test_the_second_run_waits_or_refuses_as_asked(bench, held):
    lab = bench.settings.workspace
    first = start(bench.folder, lab)
    wait_for(bench.folder / "begun")
    with pytest.raises(PipelineProblem, match=rf"\(process {first.pid}\) is at work"):
        bench.run(held, busy="refuse")
    second = start(bench.folder, lab)
    said = second.stdout.readline()
    (bench.folder / "go").touch()
    one, two = finish(first), finish(second)
    assert f"waiting: run {one['run']} (process {first.pid})" in said
    assert one["states"] == ["done"] and two["states"] == ["cached"]
    assert [run.state for run in read_history(Workspace(lab))] == ["done", "cached"]


def test_the_lock_of_a_killed_run_is_free(bench, held):
    first = start(bench.folder, bench.settings.workspace)
    wait_for(bench.folder / "begun")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    (bench.folder / "go").touch()
    assert bench.run(held, busy="refuse").state == "done"


def test_two_pipelines_run_at_once_in_one_workspace(bench, held):
    first = start(bench.folder, bench.settings.workspace)
    wait_for(bench.folder / "begun")
    other = replace(held, name="other")
    (bench.folder / "go").touch()
    assert bench.run(other, busy="refuse").state in ("done", "cached")
    assert finish(first)["states"] == ["done"]
    assert ChainLog(bench.settings.workspace / "ledger.jsonl").verify() == 6


def test_two_workspaces_that_share_a_store_are_both_right(bench, chain, tmp_path):
    labs = [tmp_path / "one", tmp_path / "two"]
    for lab in labs:
        lab.mkdir()
        (lab / "store").symlink_to(tmp_path / "shared")
    (tmp_path / "shared").mkdir()
    ends = [finish(child) for child in [start(bench.folder, lab) for lab in labs]]
    for lab, end in zip(labs, ends, strict=True):
        assert set(end["states"]) <= {"done", "cached"} and end["heard"] == []
        assert (lab / "runs" / end["run"] / "m.txt").read_text() == "6"
        assert ChainLog(lab / "ledger.jsonl").verify() == 5
    again = finish(start(bench.folder, labs[0]))
    assert set(again["states"]) == {"cached"}
    assert not list((tmp_path / "shared").rglob("*.part"))
