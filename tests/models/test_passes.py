"""A training that is killed goes on from its checkpoint and ends with the same bits."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from model_examples import QUICK, make_frame

import mlops_lab
from mlops_lab.foundation.records import digest_folder
from mlops_lab.models.candidates import make_candidate
from mlops_lab.models.learning import read_examples
from mlops_lab.models.passes import Checkpoint
from mlops_lab.models.tasks import label_space
from mlops_lab.models.training import train_candidate, write_bundle

ROOT = Path(mlops_lab.__file__).parents[1]
MANY = """
import os, sys; sys.path[:0] = [sys.argv[1]]
from pathlib import Path
import keras
import tensorflow
from model_examples import QUICK, make_frame
from mlops_lab.models.candidates import make_candidate
from mlops_lab.models.passes import Checkpoint
from mlops_lab.models.tasks import label_space
from mlops_lab.models.training import train_candidate, write_bundle
def train(name, folder):
    frames = make_frame(600, 1), make_frame(200, 2)
    place = Checkpoint(folder / "half.npz", every_s=0.0)
    learner = make_candidate(name, QUICK[name], checkpoint=place)
    task = label_space("emotion", frames[0]["label"])
    write_bundle(train_candidate(learner, frames[0], dev=frames[1], task=task), folder / "bundle")
for line in sys.stdin:
    name, folder = line.rstrip().split(" ", 1)
    pid = os.fork()
    if not pid:
        train(name, Path(folder))
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
NETWORKS = ("embedding_bag", "text_cnn", "bi_gru", "transformer")
KILLED = ("embedding_bag", "transformer")  # real processes cost more
STOPS = int(os.environ.get("STOPS", "2"))  # drawn ones of each training; there are 16 at most
KILLS = min(int(os.environ.get("KILLS", "2")), 8)  # of a process; more would outlast its 20 steps
ALONE = NETWORKS[:3] if STOPS > 2 else NETWORKS[:2]  # without a mean; a memory takes 15 s


def draw():
    """Draw by a number that a failure shows and that may be given again."""
    seed = int(os.environ.get("STOP_SEED", np.random.default_rng().integers(2**31)))
    print(f"STOP_SEED={seed} draws the same steps again")
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def forge():
    """A process that has imported TensorFlow but computed nothing; it forks one per training."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(
        [sys.executable, "-c", MANY, str(Path(__file__).parent)],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield process
    process.communicate(timeout=60)
    assert process.returncode == 0


def start(forge, name, folder):
    """Start a training in a process of its own."""
    forge.stdin.write(f"{name} {folder}\n")
    forge.stdin.flush()
    return int(forge.stdout.readline())


def kill_after(pid, folder, steps):
    """Kill a training once it has written its checkpoint so many times."""
    place, seen, last = folder / "half.npz", 0, 0
    deadline = time.monotonic() + 100
    while seen < steps and not (folder / "bundle").exists() and time.monotonic() < deadline:
        try:
            now = place.stat().st_mtime_ns
        except FileNotFoundError:
            now = 0
        seen, last = seen + (now not in (0, last)), now or last
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("name", KILLED)
def test_killed_at_random_points_it_ends_with_the_same_digest(name, forge, frames, tmp_path):
    "Kills of a real process by SIGKILL, at points drawn anew, then a run to the end."
    task = label_space("emotion", frames[0]["label"])
    peaceful = train_candidate(name, frames[0], dev=frames[1], task=task, recipe=QUICK[name])
    expected = digest_folder(write_bundle(peaceful, tmp_path / "peaceful"))
    for steps in draw().integers(1, max(16 // KILLS, 2) + 1, size=KILLS):
        kill_after(start(forge, name, tmp_path), tmp_path, int(steps))
        assert int(forge.stdout.readline()) == -signal.SIGKILL
        assert (tmp_path / "half.npz").is_file() and not (tmp_path / "bundle").exists()
    start(forge, name, tmp_path)
    assert int(forge.stdout.readline()) == 0
    assert digest_folder(tmp_path / "bundle") == expected
    assert not (tmp_path / "half.npz").exists()


class Stopped(Exception):
    """Stands for a kill at a step that is known."""


def steps_to_stop_at(a_pass, passes, drawn):
    """The first step, the last one of a pass, the first one of another, and some more."""
    first, other = drawn.choice(np.arange(1, passes), size=2, replace=False)
    known = {1, int(first) * a_pass, int(other) * a_pass + 1}
    rest = [step for step in range(2, passes * a_pass) if step not in known]
    return known | set(drawn.choice(rest, size=min(STOPS, len(rest)), replace=False).tolist())


# What is averaged is the same list of arrays whatever the network.
@pytest.mark.parametrize(
    ("name", "averaged"), [*((name, 3) for name in NETWORKS), *((name, 1) for name in ALONE)]
)
def test_stopped_at_drawn_steps_it_ends_with_the_same_weights(
    name, averaged, frames, tmp_path, monkeypatch
):
    rows = [read_examples(frame, ("anger", "joy", "sadness")) for frame in frames]
    recipe = replace(QUICK[name], averaged=averaged, epochs=4, patience=4, batch_size=128)
    peaceful = make_candidate(name, recipe)
    history = peaceful.fit(*rows)
    assert len(history) == 4
    place, step, stops = Checkpoint(tmp_path / "half.npz", every_s=0.0), 0, 0
    chosen = steps_to_stop_at(-(-len(frames[0]) // 128), 4, draw())
    from mlops_lab.models import passes

    write = passes.write_bytes

    def write_then_stop(path, data):
        nonlocal step
        write(path, data)
        step += 1
        if step in chosen:
            raise Stopped

    monkeypatch.setattr(passes, "write_bytes", write_then_stop)
    while True:
        again = make_candidate(name, recipe, checkpoint=place)
        try:
            assert again.fit(*rows) == history
            break
        except Stopped:
            stops += 1
    assert (stops, step) == (len(chosen), 20)  # no step was taken twice
    assert len(chosen) >= min(3 + STOPS, 19)
    pairs = zip(again.network.weights, peaceful.network.weights, strict=True)
    assert all(np.array_equal(one.numpy(), other.numpy()) for one, other in pairs)


def test_the_mean_of_the_last_passes_is_the_model(frames):
    rows = [read_examples(frame, ("anger", "joy", "sadness")) for frame in frames]

    def weights(epochs, averaged):
        recipe = replace(QUICK["text_cnn"], epochs=epochs, patience=9, averaged=averaged)
        learner = make_candidate("text_cnn", recipe)
        scores = [row["dev_macro_f1"] for row in learner.fit(*rows)]
        return scores, [variable.numpy() for variable in learner.network.weights]

    scores, mean = weights(2, 3)
    singles = [weights(epochs, 1) for epochs in (1, 2)]
    assert singles[1][0][1] > singles[1][0][0], "the second pass has to be the better one"
    best = int(np.argmax(scores)) + 1
    for i, array in enumerate(mean):
        wanted = sum(single[1][i] for single in singles[:best]) / np.float32(best)
        assert np.allclose(array, wanted, atol=1e-6)


def test_a_checkpoint_of_other_rows_is_not_used(frames, tmp_path, monkeypatch):
    rows = [read_examples(frame, ("anger", "joy", "sadness")) for frame in frames]
    other = read_examples(make_frame(600, 77), ("anger", "joy", "sadness"))
    name, place = "text_cnn", Checkpoint(tmp_path / "half.npz", every_s=0.0)
    from mlops_lab.models import passes

    write = passes.write_bytes

    def write_and_stop(path, data):
        write(path, data)
        raise Stopped

    monkeypatch.setattr(passes, "write_bytes", write_and_stop)
    with pytest.raises(Stopped):
        make_candidate(name, QUICK[name], checkpoint=place).fit(other, rows[1])
    monkeypatch.setattr(passes, "write_bytes", write)
    again, peaceful = (make_candidate(name, QUICK[name], checkpoint=c) for c in (place, None))
    assert again.fit(*rows) == peaceful.fit(*rows)
