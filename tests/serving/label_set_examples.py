"""Real models that give a text several labels, trained on messages of the simulated world."""

from dataclasses import replace

import numpy as np
import pandas as pd

from mlops_lab.data.world import world_frame
from mlops_lab.models.bundle import load_bundle, save_bundle
from mlops_lab.models.tasks import task_of
from mlops_lab.models.training import train_candidate, write_bundle

ROWS = 2400


def make_table():
    """Messages of the world; each third is two of them, with the labels of both."""
    first, second = (world_frame(ROWS, seed=seed, task="sentiment") for seed in (3, 4))
    twice = np.arange(ROWS) % 3 == 0
    pairs = zip(first["label"], second["label"], twice, strict=True)
    labels = ["|".join(dict.fromkeys([one, two] if both else [one])) for one, two, both in pairs]
    text = first["text"].where(~twice, first["text"] + " " + second["text"])
    table = pd.DataFrame({"text": text, "labels": labels, "language": first["language"]})
    return table.sample(frac=1.0, random_state=1).reset_index(drop=True)


def train(rows, dev, folder):
    """A bundle that learned from rows."""
    made = train_candidate("tfidf_logistic", rows, dev=dev, task=task_of("several", rows))
    return write_bundle(made, folder)


def write_models(folder):
    """A champion, one as good from other rows, one that learned nothing, one that is strict."""
    table = make_table()
    half, dev, test = table[:800], table[1600:2000], table[2000:]
    wrong = half.assign(labels=half["labels"].sample(frac=1.0, random_state=2).tolist())
    rows = {"first": half, "equal": table[800:1600], "worse": wrong}
    made = {name: train(own, dev, folder / name) for name, own in rows.items()}
    bundle = load_bundle(made["first"])
    bundle = replace(bundle, card=bundle.card | {"thresholds": [0.6, 0.45, 0.4]})
    return made | {"strict": save_bundle(bundle, folder / "strict")}, test
