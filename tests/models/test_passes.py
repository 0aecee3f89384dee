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
ALONE = """
import sys; sys.path[:0] = [sys.argv[1]]
from pathlib import Path
from model_examples import QUICK, make_frame
from mlops_lab.models.candidates import make_candidate
from mlops_lab.models.passes import Checkpoint
from mlops_lab.models.tasks import label_space
from mlops_lab.models.training import train_candidate, write_bundle
name, folder = sys.argv[2], Path(sys.argv[3])
frames = make_frame(600, 1), make_frame(200, 2)
place = Checkpoint(folder / "half.npz", every_s=0.0)
learner = make_candidate(name, QUICK[name], checkpoint=place)
task = label_space("emotion", frames[0]["label"])
print("begin", flush=True)
write_bundle(train_candidate(learner, frames[0], dev=frames[1], task=task), folder / "bundle")
"""
NETWORKS = ("embedding_bag", "text_cnn", "bi_gru", "transformer")
KILLED = ("embedding_bag", "transformer")  # real processes cost more


def start(name, folder):
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", ALONE, str(Path(__file__).parent), name, str(folder)]
    return subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def kill_after(process, folder, steps):
    """Kill a training once it has written its checkpoint so many times; say whether it lived."""
    place, seen, last = folder / "half.npz", 0, 0
    deadline = time.monotonic() + 100
    while process.poll() is None and seen < steps and time.monotonic() < deadline:
        try:
            now = place.stat().st_mtime_ns
        except FileNotFoundError:
            now = 0
        seen, last = seen + (now not in (0, last)), now or last
        time.sleep(0.001)
    alive = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return alive


@pytest.mark.parametrize("name", KILLED)
def test_killed_at_random_points_it_ends_with_the_same_digest(name, frames, tmp_path):
    "Two kills of a real process by SIGKILL, at points drawn anew, then a run to the end."
    task = label_space("emotion", frames[0]["label"])
    peaceful = train_candidate(name, frames[0], dev=frames[1], task=task, recipe=QUICK[name])
    expected = digest_folder(write_bundle(peaceful, tmp_path / "peaceful"))
    killed = 0
    for steps in np.random.default_rng().integers(1, 9, size=2):
        killed += kill_after(start(name, tmp_path), tmp_path, int(steps))
        assert (tmp_path / "half.npz").is_file() and not (tmp_path / "bundle").exists()
    assert killed == 2
    last = start(name, tmp_path)
    last.communicate(timeout=120)
    assert last.returncode == 0
    assert digest_folder(tmp_path / "bundle") == expected
    assert not (tmp_path / "half.npz").exists()


class Stopped(Exception):
    """Stands for a kill at a step that is known."""


@pytest.mark.parametrize("averaged", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_stopped_at_every_step_it_ends_with_the_same_weights(
    name, averaged, frames, tmp_path, monkeypatch
):
    rows = [read_examples(frame, ("anger", "joy", "sadness")) for frame in frames]
    recipe = replace(QUICK[name], averaged=averaged)
    peaceful = make_candidate(name, recipe)
    history = peaceful.fit(*rows)
    place, rng = Checkpoint(tmp_path / "half.npz", every_s=0.0), np.random.default_rng()
    from mlops_lab.models import passes

    write, stops = passes.write_bytes, 0

    def write_then_stop(path, data):
        write(path, data)
        if rng.random() < 0.4:
            raise Stopped

    monkeypatch.setattr(passes, "write_bytes", write_then_stop)
    while True:
        again = make_candidate(name, recipe, checkpoint=place)
        try:
            assert again.fit(*rows) == history
            break
        except Stopped:
            stops += 1
    assert stops > 2
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
