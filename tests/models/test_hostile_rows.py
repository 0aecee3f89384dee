"""Every candidate meets rows nobody wishes for, and answers sanely or says what is wrong."""

import numpy as np
import pytest
from model_examples import QUICK, make_frame, make_several

from mlops_lab.foundation.errors import DataProblem
from mlops_lab.models.judging import judge
from mlops_lab.models.scorer import load_scorer
from mlops_lab.models.tasks import label_space, task_of
from mlops_lab.models.training import train_candidate, write_bundle

HUGE = {
    "words": "I really love this course and its exams. " * 2_500,  # 102,500 characters
    "one word": "love" * 30_000,
    "marks": "?!" * 50_000,
    "emoji": "👩🏽\u200d👩🏽\u200d👧🏽\u200d👦🏽" * 9_100,
    "spaces": " \u3000\t\n" * 25_000,
    "digits": "0123456789" * 10_000,
}
ODD = {
    "right to left": "\u202eevol I this\u202c مرحبا بالعالم",
    "zero width": "lo\u200bve\u200d it\ufeff",
    "combining": "I lo" + "v\u0301" * 300 + "e it",
    "no character": "love \x00 it \x1b[31m \uffff \ufffe",
    "half a pair": "love \ud83d it",
    "private": "\ue000\U000f0000 love",
    "full width": "Ｉ ｌｏｖｅ ｉｔ",
    "mathematical": "𝕀 𝕝𝕠𝕧𝕖 𝕚𝕥",
    "ligatures": "ﬁne ﬃ ǆ ß İ ı",
    "nothing": "",
}
FAMILIES = [name for name in QUICK if name not in ("bi_gru", "transformer")]  # as text_cnn here


@pytest.fixture(scope="module", params=list(QUICK))
def hostile(request):
    """A candidate that learned from ordinary rows with every odd and huge text among them."""
    train, dev = make_frame(300, 1), make_frame(120, 2)
    odd = [text for name, text in (HUGE | ODD).items() if name != "half a pair"]
    train.loc[: len(odd) - 1, "text"] = odd
    dev.loc[: len(odd) - 1, "text"] = odd
    task = label_space("emotion", train["label"])
    name = request.param
    return train_candidate(name, train, dev=dev, task=task, recipe=QUICK[name])


@pytest.mark.parametrize("name", [*HUGE, *ODD])
def test_any_text_gets_finite_probabilities(hostile, name):
    text = (HUGE | ODD)[name]
    alone = hostile.scorer.score([text]).probabilities
    assert np.isfinite(alone).all() and alone.sum() == pytest.approx(1.0, abs=1e-4)
    among = hostile.scorer.score(["great", text, ""]).probabilities[1]
    assert np.allclose(among, alone[0], rtol=0, atol=1e-6)  # other neighbours, other rounding


def test_what_learned_from_hostile_rows_is_stored_and_answers_the_same(hostile, tmp_path):
    texts = [text for name, text in (HUGE | ODD).items()]
    again = load_scorer(write_bundle(hostile, tmp_path / "model")).score(texts)
    assert np.array_equal(again.probabilities, hostile.scorer.score(texts).probabilities)
    assert hostile.metrics["dev_macro_f1"] > 0.5  # the ordinary rows are still learned


@pytest.mark.parametrize("name", FAMILIES)
def test_a_class_that_dev_and_test_rows_lack_is_learned_all_the_same(name):
    train, dev, test = (make_frame(rows, seed) for rows, seed in ((300, 1), (120, 2), (120, 3)))
    dev, test = (frame[frame["label"] != "sadness"] for frame in (dev, test))
    task = label_space("emotion", train["label"])
    trained = train_candidate(name, train, dev=dev, task=task, recipe=QUICK[name])
    scores = trained.scorer.score(test["text"].tolist())
    found = judge(test, scores)
    assert scores.labels == ("anger", "joy", "sadness")
    [lacking] = [row for row in found.classes if row["label"] == "sadness"]
    assert lacking["rows"] == 0 and found.macro_f1 > 0.5  # a mean over the labels that occur


@pytest.mark.parametrize("name", FAMILIES)
def test_a_class_of_one_row_spoils_nothing(name):
    train, dev = make_frame(300, 1), make_frame(120, 2)
    train.loc[7, "label"] = "surprise"
    task = label_space("emotion", train["label"])
    trained = train_candidate(name, train, dev=dev, task=task, recipe=QUICK[name])
    assert trained.bundle.card["labels"] == ["anger", "joy", "sadness", "surprise"]
    assert trained.metrics["dev_macro_f1"] > 0.5


def test_one_row_one_class_and_no_row_are_told_in_words():
    train, dev = make_frame(60, 1), make_frame(30, 2)
    for few in (train.iloc[:1], train[train["label"] == "joy"], train.iloc[:0]):
        with pytest.raises(DataProblem, match=r"the rows have [01] label: (none|\w+)"):
            task_of("emotion", few)
    task = task_of("emotion", train)
    with pytest.raises(DataProblem, match="none of the 0 dev rows"):
        train_candidate("text_cnn", train, dev=dev.iloc[:0], task=task)
    with pytest.raises(DataProblem, match="the table has no rows"):
        train_candidate("text_cnn", train.iloc[:0], dev=dev, task=task)


@pytest.mark.parametrize("name", FAMILIES)
def test_several_labels_of_which_dev_lacks_one(name):
    train, dev = make_several(300, 1), make_several(120, 2)
    dev = dev[~dev["labels"].str.contains("sadness")]
    task = task_of("several", train)
    trained = train_candidate(name, train, dev=dev, task=task, recipe=QUICK[name])
    scores = trained.scorer.score([*HUGE.values(), *ODD.values()])
    assert np.isfinite(scores.probabilities).all() and len(scores.thresholds) == 3
    never = scores.labels.index("sadness")  # no dev row says from where on, so it is not given
    assert not (scores.probabilities[:, never] >= scores.thresholds[never]).any()


def test_labels_at_random_teach_nothing():
    rng, train, dev = np.random.default_rng(3), make_frame(600, 1), make_frame(300, 2)
    train = train.assign(label=rng.permutation(train["label"].to_numpy()))
    task = label_space("emotion", train["label"])
    trained = train_candidate("tfidf_logistic", train, dev=dev, task=task)
    found = judge(dev, trained.scorer.score(dev["text"].tolist()))
    assert found.macro_f1 < 0.5 and found.calibration_error < 0.25
