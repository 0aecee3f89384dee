"""Patterns may see more than three words; the compiled form sees the same."""

import numpy as np
import pandas as pd
import pytest
from model_examples import make_frame

from mlops_lab.foundation.errors import ModelProblem
from mlops_lab.models.convolution import convolution_from_arrays, pattern_widths
from mlops_lab.models.learning import Recipe, read_examples
from mlops_lab.models.scorer import check_alone, load_scorer
from mlops_lab.models.tasks import label_space
from mlops_lab.models.text_cnn import TextCnn
from mlops_lab.models.training import train_candidate, write_bundle

WIDE = Recipe(epochs=2, dimension=8, filters=8, learning_rate=0.02, dropout=0.2, widest=6)


@pytest.fixture(scope="module")
def trained():
    train, dev = make_frame(300, 1), make_frame(100, 2)
    return train_candidate(TextCnn(WIDE), train, dev=dev, task=label_space("own", train["label"]))


def test_widths_end_with_the_widest_and_the_usual_ones_stay():
    assert pattern_widths(Recipe().widest) == (1, 2, 3)
    for widest in range(1, 30):
        widths = pattern_widths(widest)
        assert widths[-1] == widest and list(widths) == sorted(set(widths))
    with pytest.raises(ValueError, match="widest is 0"):
        Recipe(widest=0)


def test_the_compiled_form_answers_like_the_library(trained, tmp_path):
    assert trained.learner.network.body.widths == (1, 2, 3, 5, 6)
    texts = [*make_frame(100, 7)["text"], "", "one", "unseen " * 50]
    wanted = trained.learner.logits(texts)
    compiled = trained.learner.compiled()
    bags = trained.learner.features.bags(texts)
    assert compiled.widths == (1, 2, 3, 5, 6)
    assert np.allclose(compiled.logits(bags), wanted, atol=1e-4)
    folder = write_bundle(trained, tmp_path / "wide")
    assert np.allclose(
        load_scorer(folder).score(texts).probabilities,
        trained.scorer.score(texts).probabilities,
        atol=1e-6,
    )
    assert check_alone(folder)["passed"]


def test_words_that_stand_apart_are_read_together():
    """Only what stands three words before "good" tells; both words are in every text."""
    rng = np.random.default_rng(3)
    yes = rng.random(900) < 0.5
    words = rng.choice(["the", "a", "some", "one"], (900, 8))
    pairs = [("now", "once") if one else ("once", "now") for one in yes]
    texts = [
        f"{w[0]} {w[1]} {first} {w[2]} {w[3]} good {w[4]} {w[5]} {last} {w[6]} {w[7]}"
        for (first, last), w in zip(pairs, words.tolist(), strict=True)
    ]
    frame = pd.DataFrame({"text": texts, "label": np.where(yes, "joy", "sadness")})
    parts = [read_examples(part, ("joy", "sadness")) for part in (frame[:700], frame[700:])]
    sizes = {"dimension": 16, "filters": 16, "learning_rate": 0.01, "dropout": 0.1}
    found = {}
    for widest in (3, 5):
        learner = TextCnn(Recipe(epochs=15, patience=15, widest=widest, **sizes))
        learner.fit(*parts)
        found[widest] = (learner.predict(parts[1].texts).argmax(1) == parts[1].targets).mean()
    assert found[3] < 0.7 and found[5] > 0.95, found


def test_arrays_that_do_not_fit_are_refused(trained):
    arrays = trained.learner.compiled().arrays()
    assert convolution_from_arrays(arrays).widths == (1, 2, 3, 5, 6)
    for name in ("pattern_5", "offset_6", "pattern_table"):
        with pytest.raises(ModelProblem, match=f"lack '{name}'"):
            convolution_from_arrays({key: a for key, a in arrays.items() if key != name})
    moved = {("pattern_4" if k == "pattern_5" else k): a for k, a in arrays.items()}
    with pytest.raises(ModelProblem):
        convolution_from_arrays(moved)
    with pytest.raises(ModelProblem):
        convolution_from_arrays({k: a for k, a in arrays.items() if not k.endswith("_6")})
