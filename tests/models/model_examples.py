import numpy as np
import pandas as pd

from mlops_lab.models.learning import Recipe
from mlops_lab.models.tasks import label_space
from mlops_lab.models.training import train_candidate

CUES = {
    "joy": ["love", "great", "encanta", "😍", "fantastic"],
    "anger": ["hate", "furious", "odio", "😡", "annoying"],
    "sadness": ["sad", "cry", "triste", "😢", "gloomy"],
}
FILLERS = "the lecture exam la clase el examen was today room very un poco it and page".split()
QUICK = {
    "tfidf_logistic": Recipe(),
    "embedding_bag": Recipe(epochs=4, buckets=2_048, dimension=8, learning_rate=0.02, dropout=0.2),
    "text_cnn": Recipe(epochs=4, dimension=16, filters=16, learning_rate=0.02, dropout=0.2),
    "bi_gru": Recipe(epochs=4, dimension=16, units=8, learning_rate=0.02, dropout=0.1),
    "transformer": Recipe(
        epochs=6, dimension=16, heads=2, blocks=1, learning_rate=0.01, dropout=0.1, batch_size=64
    ),
    "lexicon_rule": Recipe(),
}


def make_frame(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    labels = rng.choice(list(CUES), size=rows, p=[0.5, 0.3, 0.2])
    texts = []
    for label in labels:
        cue = label if rng.random() > 0.1 else rng.choice(list(CUES))
        words = [*rng.choice(FILLERS, size=rng.integers(2, 14)), rng.choice(CUES[cue])]
        rng.shuffle(words)
        texts.append(" ".join(words))
    language = rng.choice(["en", "es"], size=rows)
    return pd.DataFrame({"text": texts, "label": labels, "language": language})


def train(name, frames):
    task = label_space("emotion", frames[0]["label"])
    return train_candidate(name, frames[0], dev=frames[1], task=task, recipe=QUICK[name])


def make_several(rows, seed):
    """Rows that may have two labels: two texts of one label each, put together."""
    frame, other = make_frame(rows, seed), make_frame(rows, seed + 100)
    twice = np.arange(rows) % 3 == 0
    joined = frame["text"] + " " + other["text"]
    labels = [
        "|".join(sorted({a, b} if two else {a}))
        for a, b, two in zip(frame["label"], other["label"], twice, strict=True)
    ]
    return frame.assign(text=frame["text"].where(~twice, joined), labels=labels)


def train_several(name, frames):
    task = label_space("emotion", frames[0]["labels"], several=True)
    return train_candidate(name, frames[0], dev=frames[1], task=task, recipe=QUICK[name])
