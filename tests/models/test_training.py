import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from model_examples import QUICK, make_frame
from threadpoolctl import threadpool_limits

import mlops_lab
from mlops_lab.data.world import world_frame
from mlops_lab.foundation.errors import DataProblem, ModelProblem
from mlops_lab.foundation.records import digest_folder
from mlops_lab.models.calibration import certainty
from mlops_lab.models.candidates import make_candidate
from mlops_lab.models.learning import Recipe, class_weights, progress, read_examples
from mlops_lab.models.scorer import load_scorer
from mlops_lab.models.tasks import Task, label_space
from mlops_lab.models.training import train_candidate, write_bundle

ROOT = Path(mlops_lab.__file__).parents[1]
ALONE = """
import sys; sys.path[:0] = [sys.argv[1]]
from model_examples import make_frame, train
from mlops_lab.models.training import write_bundle
write_bundle(train("embedding_bag", (make_frame(600, 1), make_frame(200, 2))), sys.argv[2])
"""


def test_a_candidate_learns_and_tells_how(trained):
    floor = 0.6 if trained.bundle.card["candidate"] == "lexicon_rule" else 0.8
    assert trained.metrics["dev_macro_f1"] > floor
    assert trained.history[0]["epoch"] == 1 and trained.fit_s > 0
    assert all(row["dev_loss"] > 0 and row["train_loss"] > 0 for row in trained.history)


def test_a_solver_gives_the_same_bits_with_any_number_of_cores():
    frame = world_frame(6_000, seed=7)  # long enough for sums that libraries share out
    space = label_space("emotion", frame["label"])
    rows = read_examples(frame, space.labels)
    tables = []
    for threads in (1, 2):
        learner = make_candidate("tfidf_logistic", Recipe())
        with threadpool_limits(threads):
            learner.fit(rows, rows)
        tables.append(learner.compiled().table)
    assert tables[0].tobytes() == tables[1].tobytes()


def test_the_scorer_answers_like_the_library_that_learned(trained):
    texts = [*make_frame(500, 3)["text"], "", "unseen words only", "😍" * 50]
    own = trained.learner.predict(texts)
    logits = np.log(own) * trained.metrics["certainty"]
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    compiled = trained.learner.compiled().probabilities(trained.learner.features.bags(texts))
    assert np.abs(compiled - own).max() < 1e-5
    assert np.abs(trained.scorer.score(texts).probabilities - honest).max() < 1e-5


def test_equal_recipes_give_equal_bundles_in_another_process(frames, tmp_path):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", ALONE, str(Path(__file__).parent), str(tmp_path / "there")]
    other = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    task = label_space("emotion", frames[0]["label"])
    here, another = (
        train_candidate("embedding_bag", frames[0], dev=frames[1], task=task, recipe=recipe)
        for recipe in (
            QUICK["embedding_bag"],
            Recipe(**{**vars(QUICK["embedding_bag"]), "seed": 8}),
        )
    )
    digest = digest_folder(write_bundle(here, tmp_path / "here"))
    assert other.wait(timeout=120) == 0
    assert digest_folder(tmp_path / "there") == digest
    assert digest_folder(write_bundle(another, tmp_path / "another")) != digest


def test_training_the_linear_candidate_twice_gives_one_digest(linear, frames, tmp_path):
    task = label_space("emotion", frames[0]["label"])
    again = train_candidate("tfidf_logistic", frames[0], dev=frames[1], task=task)
    first, second = (write_bundle(t, tmp_path / n) for t, n in ((linear, "a"), (again, "b")))
    assert digest_folder(first) == digest_folder(second)


def test_the_profile_describes_the_dev_rows(linear, frames):
    profile = linear.bundle.profile
    shares = frames[1]["label"].value_counts(normalize=True)
    assert profile["texts"] == 200
    assert profile["label_shares"]["joy"] == pytest.approx(shares["joy"])
    for key in ("words", "chars", "oov_rate", "confidence"):
        assert sum(profile[key]["shares"]) == pytest.approx(1.0, abs=1e-4)
        assert len(profile[key]["shares"]) == len(profile[key]["edges"]) + 1
    assert max(profile["top_tokens"].values()) < 1.0 and "given_shares" not in profile
    json.dumps(profile, allow_nan=False)


def test_two_labels_one_of_them_rare(frames):
    frame = frames[0].assign(label=["spam"] * 595 + ["ham"] * 5)
    trained = train_candidate(
        "tfidf_logistic", frame, dev=frame, task=label_space("", frame["label"])
    )
    assert trained.bundle.card["labels"] == ["ham", "spam"]
    assert trained.scorer.score(["a"]).probabilities.shape == (1, 2)


def test_dev_rows_of_an_unlearned_label_are_left_aside(frames):
    dev = pd.concat([frames[1], pd.DataFrame({"text": ["eek"], "label": ["fear"]})])
    task = label_space("emotion", frames[0]["label"])
    trained = train_candidate("tfidf_logistic", frames[0], dev=dev, task=task)
    assert trained.bundle.card["rows"] == {"train": 600, "dev": 200}


@pytest.mark.parametrize("name", list(QUICK))
def test_rows_that_teach_nothing_are_named(name, frames):
    task, one = Task("own", ("a", "b")), pd.DataFrame({"text": ["hello"], "label": ["a"]})
    bad = [
        (frames[0][:0], frames[1], DataProblem),
        (one, one[:0], DataProblem),
        (one.assign(text=[None]), one, DataProblem),
        (one.drop(columns="text"), one, DataProblem),
    ]
    for train, dev, error in bad:
        with pytest.raises(error):
            train_candidate(name, train, dev=dev.assign(label="a"), task=task)


def test_empty_texts_do_not_stop_an_embedding_bag():
    frame = pd.DataFrame({"text": ["", "good", "", "bad"] * 10, "label": ["a", "b", "a", "c"] * 10})
    task = label_space("own", frame["label"])
    trained = train_candidate(
        "embedding_bag", frame, dev=frame, task=task, recipe=QUICK["embedding_bag"]
    )
    assert np.isfinite(trained.scorer.score(["", "good"]).probabilities).all()


def test_texts_without_any_shared_word_are_refused_by_the_vocabulary():
    frame = pd.DataFrame({"text": ["", ""], "label": ["a", "b"]})
    with pytest.raises(ModelProblem, match="no feature"):
        train_candidate("tfidf_logistic", frame, dev=frame, task=Task("own", ("a", "b")))


def test_an_unknown_candidate_and_a_wrong_recipe_are_refused():
    with pytest.raises(ModelProblem, match="did you mean 'embedding_bag'"):
        make_candidate("embeding_bag", Recipe())
    for wrong in ({"epochs": 0}, {"dropout": 1.0}, {"learning_rate": 0.0}, {"buckets": -1}):
        with pytest.raises(ValueError):
            Recipe(**wrong)


def test_balance_lifts_rare_classes(frames):
    examples = read_examples(frames[0], ("anger", "joy", "sadness"))
    counts = np.bincount(examples.targets)
    assert np.allclose(class_weights(examples, 1.0) * counts, 200)
    lifted = class_weights(examples, 0.5)
    assert lifted[2] > lifted[0] > lifted[1]


def test_certainty_finds_an_overconfident_model():
    rng = np.random.default_rng(5)
    logits = rng.normal(size=(3_000, 4))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = (chances.cumsum(axis=1) > rng.random((3_000, 1))).argmax(axis=1)
    assert certainty(logits * 4, targets) == pytest.approx(0.25, rel=0.15)
    assert progress(chances, targets)["accuracy"] < 0.7


def test_a_stored_model_is_the_trained_one(trained, tmp_path):
    folder = write_bundle(trained, tmp_path / "model", created_from={"train": "sha256:2"})
    scorer, texts = load_scorer(folder), list(make_frame(50, 9)["text"])
    assert np.array_equal(
        scorer.score(texts).probabilities, trained.scorer.score(texts).probabilities
    )
    assert scorer.card["created_from"] == {"train": "sha256:2"}
