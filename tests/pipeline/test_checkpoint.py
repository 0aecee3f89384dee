"""Checkpoints in real runs: continued after real kills, to the same digests, or declined."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import nbformat
import numpy as np
import pytest

from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.errors import PipelineProblem
from mlops_lab.foundation.records import digest_bytes, digest_folder, digest_json, write_json
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.pipeline.checkpoint import answer
from mlops_lab.pipeline.checkpoint_plan import CheckpointCell
from mlops_lab.pipeline.checkpoint_store import Checkpoints, _seal, take_answer
from mlops_lab.pipeline.record import read_record

IMPORTS = "import os\nimport random\n\nimport numpy as np\nimport pandas as pd"
COUNT = "with open({place!r}, 'a') as told:\n    _ = told.write('x')"
MAKE = """#| checkpoint: rows, same, frame
random.seed(3)
np.random.seed(4)
stage.output('early.txt').write_text('early')
rows = ['a', 'b', random.random(), stage.folder / 'early.txt']
same = [rows, rows]
frame = pd.DataFrame({'text': ['x', None, 'é'], 'n': np.random.rand(3)})
print('made')"""
WORK = """same[0].append(random.random())
noise = np.random.rand(3).tolist()
assert rows is same[0] is same[1] and rows[3].read_text() == 'early'
stage.output('m.txt').write_text(repr([rows[:3] + rows[4:], noise, frame.to_json(), k]))"""
CRASH = "if os.path.exists({place!r}):\n    {act}"
ACTS = {
    "dies": ("os._exit(1)", "kernel died"),
    "fails": ("1 / 0", "failed"),
    "is killed": ("os.kill(os.getpid(), 9)", "kernel died"),
    "exits": ("raise SystemExit", "stopped early"),
    "takes too long": ("import time; time.sleep(60)", "timed out"),
}


class Fit:
    """A stage with a checkpoint, which fails while a file is there."""

    def __init__(self, bench, tmp_path, way="fork"):
        self.bench, self.way = bench, way
        self.told, self.trouble = tmp_path / "told.txt", tmp_path / "trouble"
        self.told.touch()

    def write(self, *, act="os._exit(1)", make=MAKE, work=WORK, keys="", k=1, after=()):
        """Write the pipeline; the file of trouble decides whether its last cell fails."""
        count = COUNT.format(place=str(self.told))
        crash = CRASH.format(place=str(self.trouble), act=act)
        cells = (IMPORTS, count, make, *after, work, crash)
        self.bench.stage("fit", *cells, parameters=f"k = {k}")
        own = ", kernel: own" if self.way == "kernel" else ""
        stages = f"  fit: {{notebook: fit.ipynb, outputs: [early.txt, m.txt]{own}{keys}}}\n"
        return self.bench.define(stages)

    def fail(self, **changes):
        """Run until the trouble."""
        self.trouble.touch()
        end = self.bench.run(self.write(**changes)).stages[0]
        self.trouble.unlink()
        return end

    @property
    def times(self):
        """How often the costly part ran."""
        return len(self.told.read_text())

    @property
    def kept(self):
        """Checkpoints on disk."""
        place = Workspace(self.bench.settings.workspace).store / "checkpoints/fit"
        return sorted(one for one in place.glob("*") if place.exists())

    def run(self, **changes):
        """Run without trouble."""
        return self.bench.run(self.write(**changes))


@pytest.fixture(params=["fork", "kernel"])
def fit(request, bench, tmp_path):
    return Fit(bench, tmp_path, request.param)


@pytest.fixture
def forked(bench, tmp_path):
    return Fit(bench, tmp_path)


def elsewhere(bench, tmp_path):
    """The same notebooks in an empty lab."""
    other = replace(bench.settings, workspace=tmp_path / "other")
    return type(bench)(bench.folder, other)


def digests(end):
    """What a run leaves, by digest."""
    record = read_record(end.folder / "records/fit.json")
    files = {path: digest_folder(end.folder / path) for path in record.outputs}
    return record.digest, files


@pytest.mark.parametrize("name", ACTS)
def test_a_stage_goes_on_after_its_checkpoint(fit, tmp_path, name):
    act, state = ACTS[name]
    keys = ", cell_timeout_s: 4" if state == "timed out" else ""
    if fit.way == "kernel" and name not in ("is killed", "fails"):
        pytest.skip("the two ways differ in nothing else")
    first = fit.fail(act=act, keys=keys)
    assert (first.state, first.restored, fit.times) == (state, 0, 1)
    assert len(fit.kept) == 1
    end = fit.run(act=act, keys=keys)
    stage = end.stages[0]
    assert (stage.state, fit.times) == ("done", 1), stage
    assert stage.restored == 3, "begin, count and make; imports ran again"
    assert stage.checkpoint.startswith("3 cells up to cell 6 were restored from a checkpoint of")
    whole = elsewhere(fit.bench, tmp_path).run(fit.write(act=act, keys=keys))
    assert fit.times == 2 and digests(whole) == digests(end), "as if nothing had happened"
    assert not fit.kept, "a stage that is done needs none"


def test_the_notebook_the_record_and_the_ledger_say_what_was_restored(fit):
    fit.fail()
    end = fit.run()
    shown = nbformat.read(end.folder / "notebooks/fit.ipynb", 4)
    nbformat.validate(shown)
    assert shown.cells[0].source.startswith("**Restored.** 3 cells up to code cell 6 were not run")
    marked = [cell for cell in shown.cells if "restored" in cell.metadata.get("mlops_lab", {})]
    assert [cell.source for cell in marked][-1] == MAKE
    assert marked[-1].outputs[0].text == "made\n", "what it printed when it ran"
    assert shown.metadata.mlops_lab.checkpoints
    assert read_record(end.folder / "records/fit.json").timings["cells_restored"] == 3
    told = [one.data for one in ChainLog(Workspace(fit.bench.settings.workspace).ledger).read()]
    ends = [one for one in told if one.get("stage") == "fit"]
    assert [one["restored"] for one in ends] == [0, 3]


def test_a_later_cell_may_be_mended(forked):
    broken = forked.fail(work="k / 0")
    assert broken.state == "failed"
    end = forked.run().stages[0]
    assert (end.state, end.restored, forked.times) == ("done", 3, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"make": MAKE.replace("'b'", "'c'")},
        {"make": MAKE.replace("rows, same, frame", "rows, same, frame, k")},
        {"k": 2},
    ],
)
def test_what_comes_before_must_be_the_same(forked, changes):
    forked.fail()
    end = forked.run(**changes).stages[0]
    assert (end.state, end.restored, forked.times) == ("done", 0, 2)


def test_what_skipped_cells_read_without_declaring_it_is_told_and_must_be_the_same(fit):
    secretly = fit.bench.folder / "own.txt"
    secretly.write_text("1")
    make = MAKE + f"\nrows.append(open({str(secretly)!r}).read())"
    fit.fail(make=make)
    end = fit.run(make=make).stages[0]
    assert (end.restored, fit.times) == (3, 1)
    assert any("own.txt" in note for note in end.notes), "though nobody opened it this time"
    secretly.write_text("2")
    fit.fail(make=make)
    assert len(fit.kept) == 1
    secretly.write_text("3")
    end = fit.run(make=make).stages[0]
    assert (end.state, end.restored) == ("done", 0)
    assert "own.txt, which it read, changed since" in end.checkpoint


def test_comments_and_forcing(forked):
    forked.fail()
    forked.trouble.touch()
    forked.bench.run(forked.write(make=MAKE + "  # said"))
    assert forked.times == 1, "a remark changes nothing"
    forked.trouble.unlink()
    end = forked.bench.run(forked.write(), force=frozenset({"fit"})).stages[0]
    assert (end.state, end.restored, forked.times) == ("done", 0, 2)


def test_a_retry_goes_on(forked):
    crash = f"import os\nwith open({str(forked.trouble)!r}, 'a') as f: f.write('x')\n"
    crash += f"os.path.getsize({str(forked.trouble)!r}) > 1 or os._exit(1)"
    end = forked.run(act="pass", work=WORK + "\n" + crash, keys=", retries: 1").stages[0]
    assert (end.state, end.restored, forked.times) == ("done", 3, 1)


def test_the_newest_checkpoint_is_taken(forked):
    second = "#| checkpoint: rows, same, frame, extra\nextra = np.arange(3)\nrows.append(4)"
    forked.fail(after=(second,))
    assert len(forked.kept) == 2
    end = forked.run(after=(second,)).stages[0]
    assert (end.state, end.restored, forked.times) == ("done", 4, 1)


@pytest.mark.parametrize("name", ["values", "checkpoint.json", "files/0"])
@pytest.mark.parametrize("harm", ["change", "cut", "remove"])
def test_a_harmed_checkpoint_is_declined(forked, name, harm):
    forked.fail()
    place = forked.kept[0] / name
    if harm == "remove":
        place.unlink()
    else:
        data = place.read_bytes()
        place.write_bytes(data[:-5] if harm == "cut" else data[:-2] + b"xx")
    end = forked.run().stages[0]
    assert (end.state, end.restored, forked.times) == ("done", 0, 2)
    assert "a checkpoint was declined: " in end.checkpoint


def test_what_comes_back_wrong_inside_is_declined(forked):
    """A checkpoint that is whole on disk but refused by the process runs the stage from the top."""
    forked.fail()
    place = forked.kept[0]
    harm = b"cos\nsystem\n(S'touch " + str(forked.trouble).encode() + b"'\ntR."
    (place / "values").write_bytes(harm)
    facts = json.loads((place / "checkpoint.json").read_text())
    facts.pop("seal")
    facts["inside"]["values"], facts["content"] = digest_bytes(harm), _seal(place)
    write_json(place / "checkpoint.json", facts | {"seal": digest_json(facts)})
    end = forked.run().stages[0]
    assert not forked.trouble.exists(), "code in a pack is not run"
    assert (end.state, end.restored, forked.times) == ("done", 0, 2)
    assert "posix.system" in end.checkpoint or "os.system" in end.checkpoint


REFUSED = {
    "an open file": "rows = open('/dev/null')",
    "a thread": "import threading\nrows = {'t': threading.Thread()}",
    "a lock": "import threading\nrows = [threading.Lock()]",
    "half-run code": "rows = (n for n in range(3))",
    "an open connection": "import socket\nrows = socket.socket()",
    "a connection to a database": "import sqlite3\nrows = sqlite3.connect(':memory:')",
    "a function with no place": "rows = lambda: 3",
    "is running": "import threading\nw = threading.Event()\n"
    "threading.Thread(target=w.wait, daemon=True).start()\nrows = 1",
    "is open for writing": "handle = open(stage.folder / 'x.csv', 'w')\nrows = 1",
    "the working folder was changed": "os.chdir('/')\nrows = 1",
    "the folder of this run": "rows = str(stage.folder / 'early.txt')",
    "shares its memory": "base = np.arange(4)\nrows = {'a': base, 'b': base[:2]}",
    "2 stages have begun": "other = begin_stage('other', workspace)\nrows = 1",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_kept_is_said_and_does_not_harm(forked, words):
    make = f"#| checkpoint: rows\nstage.output('early.txt').write_text('e')\n{REFUSED[words]}"
    work = "stage.output('m.txt').write_text(str(type(rows)) + str(k))"
    if "x.csv" in make:
        work += "\nhandle_name = stage.folder / 'x.csv'\nhandle_name.unlink()"
    failed = forked.fail(make=make, work=work)
    assert failed.state == "kernel died" and words in failed.checkpoint, failed
    assert failed.checkpoint.startswith("no checkpoint after cell 6: ")
    assert not forked.kept
    end = forked.run(make=make, work=work).stages[0]
    assert (end.state, end.restored, forked.times) == ("done", 0, 2), end


def test_a_lost_name_is_refused_before_anything_runs(forked):
    make = MAKE.replace("rows, same, frame", "rows, same")
    with pytest.raises(PipelineProblem, match=r"reads 'frame', which the checkpoint .* would lose"):
        forked.run(make=make)
    assert forked.times == 0


def keep_for_ever(root, folder):
    """Save one checkpoint after another, as a stage and its runner would."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("big = 1")])
    store = one_cell_store(root, folder)
    big = np.arange(300_000.0)
    while True:
        (request,) = store.steps(notebook)[1][0]
        answered = answer({"big": big, "same": [big]}, request)
        take_answer(store, request, answer=answered, notebook=notebook)
        assert not store.lines, store.lines


def one_cell_store(root, folder):
    cell = CheckpointCell(1, ("big", "same"), (), frozenset())
    return Checkpoints(root, folder, (cell,), {1: "sha256:" + "a" * 64})


def test_no_kill_leaves_half_a_checkpoint(tmp_path):
    """SIGKILL at 40 random points while checkpoints are written: whole ones, or none."""
    root, folder, points = tmp_path / "fit", tmp_path / "run", random.Random(5)
    interrupted = whole = 0
    for _ in range(40):
        child = multiprocessing.get_context("fork").Process(
            target=keep_for_ever, args=(root, folder), daemon=True
        )
        child.start()
        while not any(root.glob(f".{child.pid}.*.part")):
            time.sleep(0.001)
        time.sleep(points.random() * 0.1)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        interrupted += any(root.glob(".*.part"))
        store = one_cell_store(root, folder)
        store.find()
        assert not store.lines and not any(root.glob(".*.part")), "whole, and nothing left over"
        if store.kept:
            whole += 1
            restore = store.steps(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("")]))
            variables = {}
            assert answer(variables, restore[1][-1][1])["done"]
            assert variables["same"][0] is variables["big"] and variables["big"][-1] == 299_999
    assert interrupted >= 10 and whole >= 10, (interrupted, whole)


KILLED_RUN = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from mlops_lab.foundation.settings import Settings
from notebook_bench import Bench
from mlops_lab.pipeline.plan import read_pipeline
settings = Settings(workspace=Path({workspace!r}), project=Path({project!r}))
Bench(Path({folder!r}), settings).run(read_pipeline(Path({folder!r}), vars(settings)))
"""


def test_a_stage_goes_on_after_its_runner_was_killed(forked):
    """SIGKILL of the whole run, while its first checkpoint is written and after it."""
    settings, place = forked.bench.settings, Workspace(forked.bench.settings.workspace).store
    place = place / "checkpoints/fit"
    make = MAKE.replace("print('made')", "big = np.arange(3_000_000.0)")
    changes = {"make": make.replace("same, frame", "same, frame, big"), "act": "os.abort()"}
    work = WORK + "\nif os.path.exists({!r}):\n    import time; time.sleep(60)"
    changes["work"] = work.format(str(forked.trouble))
    forked.write(**changes)
    folders = {"workspace": str(settings.workspace), "project": str(settings.project)}
    folders |= {"tests": os.path.dirname(__file__), "folder": str(forked.bench.folder)}
    forked.trouble.touch()
    for pattern in (".*.part", "[!.]*"):
        command = [sys.executable, "-c", KILLED_RUN.format(**folders)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not any(place.glob(pattern)):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert forked.times == 2, "the first kill left no checkpoint, so the second run began anew"
    forked.trouble.unlink()
    end = forked.run(**changes).stages[0]
    assert (end.state, end.restored, forked.times) == ("done", 3, 2)
    assert "declined" not in end.checkpoint and not place.exists()


SEEDED = """import keras
import tensorflow as tf
"""
LEARN = """#| checkpoint: model, x
stage.output('early.txt').write_text('early')
keras.utils.set_random_seed(3)
x = np.random.rand(32, 4)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.3), keras.layers.Dense(1)])
model.compile('adam', 'mse')
_ = model.fit(x, x[:, :1], epochs=2, verbose=0)
used = tf.random.uniform([2]), keras.random.uniform([2])"""
LEARN_ON = """_ = model.fit(x, x[:, :1], epochs=2, verbose=0)
numbers = [w.tolist() for w in model.get_weights()]
numbers += [tf.random.uniform([3]).numpy().tolist()]
numbers += [keras.ops.convert_to_numpy(keras.random.uniform([3])).tolist(), np.random.rand(), k]
stage.output('m.txt').write_text(repr(numbers))"""


@pytest.mark.slow
def test_a_model_goes_on_learning_as_if_nothing_had_happened(forked, tmp_path):
    """TensorFlow's and Keras's random numbers and the state of the optimizer are kept."""
    changes = {"make": LEARN, "work": LEARN_ON, "after": ()}
    imports, globals()["IMPORTS"] = IMPORTS, IMPORTS + "\n" + SEEDED
    try:
        failed = forked.fail(**changes)
        assert failed.checkpoint == "", failed
        end = forked.run(**changes)
        assert end.stages[0].restored == 3 and forked.times == 1, end
        whole = elsewhere(forked.bench, tmp_path).run(forked.write(**changes))
    finally:
        globals()["IMPORTS"] = imports
    assert digests(whole) == digests(end)
