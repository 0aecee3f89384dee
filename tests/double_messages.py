"""Texts with several labels, made of messages of the simulated world."""

import numpy as np
import pandas as pd

from mlops_lab.data.world import world_frame


def double_messages(rows):
    """Messages of the world; each third is two of them, with the labels of both."""
    first, second = (world_frame(rows, seed=seed, task="sentiment") for seed in (3, 4))
    twice = np.arange(rows) % 3 == 0
    pairs = zip(first["label"], second["label"], twice, strict=True)
    labels = ["|".join(dict.fromkeys([one, two] if both else [one])) for one, two, both in pairs]
    text = first["text"].where(~twice, first["text"] + " " + second["text"])
    return pd.DataFrame({"text": text, "labels": labels, "language": first["language"]})
