"""Real models that give a text several labels, trained on messages of the simulated world."""

from dataclasses import replace

from double_messages import double_messages

from mlops_lab.models.bundle import load_bundle, save_bundle
from mlops_lab.models.tasks import task_of
from mlops_lab.models.training import train_candidate, write_bundle


def train(rows, dev, folder):
    """A bundle that learned from rows."""
    made = train_candidate("tfidf_logistic", rows, dev=dev, task=task_of("several", rows))
    return write_bundle(made, folder)


def write_models(folder):
    """A champion, one as good from other rows, one that learned nothing, one that is strict."""
    table = double_messages(2400).sample(frac=1.0, random_state=1).reset_index(drop=True)
    half, dev, test = table[:800], table[1600:2000], table[2000:]
    wrong = half.assign(labels=half["labels"].sample(frac=1.0, random_state=2).tolist())
    rows = {"first": half, "equal": table[800:1600], "worse": wrong}
    made = {name: train(own, dev, folder / name) for name, own in rows.items()}
    bundle = load_bundle(made["first"])
    bundle = replace(bundle, card=bundle.card | {"thresholds": [0.6, 0.45, 0.4]})
    return made | {"strict": save_bundle(bundle, folder / "strict")}, test
