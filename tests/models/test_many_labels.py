"""Hundreds of labels are learned too: with many, each has few rows and a gentle slope."""

import numpy as np
import pandas as pd

from mlops_lab.models.candidates import make_candidate, usual_recipe
from mlops_lab.models.tasks import task_of
from mlops_lab.models.training import train_candidate


def test_the_linear_candidate_learns_three_hundred_labels():
    rng = np.random.default_rng(4)
    labels = np.tile(np.arange(300), 12)
    common = [f"word{n}" for n in range(400)]
    texts = [" ".join([*rng.choice(common, 12), f"topic{n}"]) for n in labels]
    frame = pd.DataFrame({"text": texts, "label": [f"label {n}" for n in labels]})
    train, dev = frame[:3_000], frame[3_000:].reset_index(drop=True)
    learner = make_candidate("tfidf_logistic", usual_recipe("tfidf_logistic", seed=1))
    trained = train_candidate(learner, train, dev=dev, task=task_of("own", train))
    assert trained.metrics["dev_macro_f1"] > 0.8
