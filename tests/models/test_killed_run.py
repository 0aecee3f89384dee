"""A pipeline run that is killed in the middle of a training goes on from there at the next run."""

import json
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import readme

from mlops_lab.foundation.records import digest_folder
from mlops_lab.models.learning import Recipe
from mlops_lab.models.passes import training_key
from mlops_lab.models.tasks import label_space
from mlops_lab.models.training import take_examples, train_candidate, write_bundle

WORDS = ("run", "--until", "train_embedding_bag", "-p", "rows=600", "-p", "epochs=6")
SETTINGS = {"checkpoint_s": "0"}  # after every step, so that there is something to kill


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    clone = readme.make_clone(tmp_path_factory.mktemp("killed") / "clone")
    first = readme.call(clone, *WORDS[:1], "--until", "segregate", *WORDS[3:5], "--json")
    assert first.returncode == 0, first.stdout
    return clone


def run_again(clone):
    """Give folder and card of a run that trains to the end."""
    answer = readme.call(clone, *WORDS, "--json")
    told = json.loads(answer.stdout)
    [stage] = [one for one in told["stages"] if one["stage"] == "train_embedding_bag"]
    assert (answer.returncode, stage["state"]) == (0, "done"), answer.stdout
    folder = Path(told["folder"])
    return folder, json.loads((folder / "models" / "embedding_bag.json").read_text())


def kill_in_training(clone, steps):
    """Kill a run and all it started once its training has written so many checkpoints."""
    process = subprocess.Popen(
        readme.lab_command(*WORDS),
        cwd=clone,
        env=readme.environment(**SETTINGS),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seen, last, deadline = 0, 0, time.monotonic() + 120
    while seen < steps and process.poll() is None and time.monotonic() < deadline:
        now = max((file.stat().st_mtime_ns for file in halves(clone)), default=0)
        seen, last = seen + (now > last), max(now, last)
        time.sleep(0.002)
    alive = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return alive


def halves(clone):
    return [file for file in (clone / ".lab" / "trainings").glob("*.npz")]


@pytest.mark.slow
def test_a_killed_run_goes_on_in_the_middle_of_its_training(clone, tmp_path):
    "By SIGKILL of the real program, then the same command, then a training nobody kills."
    assert kill_in_training(clone, steps=12)
    [half] = halves(clone)
    with np.load(half) as kept:
        note = json.loads(kept["note"].tobytes())
    assert note["facts"]["epoch"] > 1 or note["facts"]["batch"] > 2
    folder, card = run_again(clone)
    assert not halves(clone)  # it is gone, because its training has ended
    train, dev = (pd.read_parquet(folder / "data" / f"{name}.parquet") for name in ("train", "dev"))
    task, recipe = label_space("emotion", train["label"]), Recipe(**card["recipe"])
    peaceful = train_candidate("embedding_bag", train, dev=dev, task=task, recipe=recipe)
    rows = dict(zip(("train", "dev"), take_examples(train, dev, task=task), strict=True))
    assert note["key"] == training_key(peaceful.learner.describe(), **rows)  # it was gone on from
    cleaning = json.loads((folder / "data" / "cleaning.json").read_text())["accepted"]
    known = {"created_from": card_of(folder)["created_from"], "cleaning": cleaning}
    expected = digest_folder(write_bundle(peaceful, tmp_path / "bundle", **known))
    assert card["bundle_digest"] == expected


def card_of(folder):
    return json.loads((folder / "models" / "embedding_bag" / "card.json").read_text())
