"""Labels that compete, from training to a loaded bundle."""

import numpy as np
import pandas as pd
import pytest

from mlops_lab.foundation.errors import ModelProblem
from mlops_lab.models.forms import restore_model
from mlops_lab.models.rivals import RivalModel
from mlops_lab.models.scorer import load_scorer
from mlops_lab.models.tasks import label_space
from mlops_lab.models.training import train_candidate, write_bundle

MOODS = {"joy": "glad merry bright", "anger": "cross furious mad", "fear": "afraid scared shy"}


def feedback(rows, *, together, seed=0):
    """Texts of one mood; or, together, with each mood of a text drawn on its own."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(rows):
        own = [mood for mood in MOODS if rng.random() < 0.4] if together else []
        own = own or [str(rng.choice(list(MOODS)))]
        words = [str(rng.choice(MOODS[mood].split())) for mood in own]
        noise = [
            str(rng.choice("the a so day week room lab glad cross shy".split())) for _ in "1234"
        ]
        found.append((" ".join(rng.permutation(words + noise)), "|".join(sorted(own))))
    return pd.DataFrame(found, columns=["text", "labels"])


def trained(*, together):
    frames = [feedback(600, together=together, seed=seed) for seed in (1, 2)]
    task = label_space("several", frames[0]["labels"], several=True)
    return train_candidate("tfidf_logistic", frames[0], dev=frames[1], task=task)


@pytest.fixture(scope="module")
def rivals():
    return trained(together=False)


def test_labels_that_exclude_each_other_compete(rivals):
    assert rivals.metrics["rivalry"] == 1.0
    assert isinstance(rivals.bundle.model, RivalModel)
    part, texts = rivals.bundle.model.part, ["glad and cross", "glad merry"]
    bags = rivals.bundle.features.bags(texts)
    apart, competing = part.probabilities(bags), rivals.bundle.model.probabilities(bags)
    joy = rivals.bundle.card["labels"].index("joy")
    lost = np.log(apart[:, joy]) - np.log(competing[:, joy])
    assert lost[0] > lost[1], "a word for anger speaks against joy"


def test_labels_that_come_together_compete_less(rivals):
    assert trained(together=True).metrics["rivalry"] < rivals.metrics["rivalry"]


def test_a_bundle_of_rivals_answers_the_same_alone_and_in_company(rivals, tmp_path):
    scorer = load_scorer(write_bundle(rivals, tmp_path / "model"))
    texts = ["glad", "", "cross and shy", "😍" * 50, "nothing known"]
    whole = scorer.score(texts)
    alone = np.concatenate([scorer.score([text]).probabilities for text in texts])
    assert np.array_equal(whole.probabilities, alone)
    assert np.array_equal(whole.probabilities, rivals.scorer.score(texts).probabilities)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("rival_share", np.float32(-0.5), "labels compete by"),
        ("rival_share", np.float32(np.nan), "labels compete by"),
        ("rival_factor", np.ones(2, np.float32), "do not fit"),
        ("rival_shift", np.array([0.0, np.inf, 0.0], np.float32), "labels compete by"),
    ],
)
def test_numbers_that_cannot_be_are_refused(rivals, name, value, told):
    with pytest.raises(ModelProblem, match=told):
        restore_model({**rivals.bundle.model.arrays(), name: value}, several=True)
