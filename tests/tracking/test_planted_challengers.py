"""Challengers that are known to be worse, equal, better or wrong get the verdict they deserve.

The same table twice: texts with one label each, and texts that may have several."""

import json
from pathlib import Path
from shutil import copytree

import numpy as np
import pandas as pd
import pytest
from tracking_examples import FIT, agreed

from mlops_lab.data.leaks import find_leaks
from mlops_lab.data.segregation import leakage_report, split_frame
from mlops_lab.data.world import world_frame
from mlops_lab.foundation.records import digest_file
from mlops_lab.foundation.settings import Settings
from mlops_lab.models.behaviour import ask_model, compare_behaviour
from mlops_lab.models.evaluation import find_slices
from mlops_lab.models.judging import given_answers, true_answers
from mlops_lab.models.scorer import check_alone
from mlops_lab.models.tasks import task_of
from mlops_lab.models.training import train_candidate, write_bundle
from mlops_lab.serving.service_check import check_service
from mlops_lab.tracking.challenge import Challenge
from mlops_lab.tracking.comparison import mcnemar
from mlops_lab.tracking.gate import judge

LIMITS = agreed(minimum_macro_f1=0.3)


def write_pairs():
    """Messages of the world; every other one is two of them, with the labels of both."""
    first, second = (world_frame(6_000, seed=seed, task="sentiment") for seed in (11, 12))
    twice = np.arange(len(first)) % 2 == 0
    pairs = zip(first["label"], second["label"], twice, strict=True)
    both = [sorted({one, other} if two else {one}) for one, other, two in pairs]
    text = first["text"].where(~twice, first["text"] + " " + second["text"])
    return first.assign(text=text, labels=["|".join(one) for one in both])


@pytest.fixture(scope="module", params=[False, True], ids=["one label", "several labels"])
def several(request):
    return request.param


@pytest.fixture(scope="module")
def splits(several):
    frame = write_pairs() if several else world_frame(6_000, seed=11, task="sentiment")
    return split_frame(frame, seed=7)


@pytest.fixture(scope="module")
def champion(splits, several):
    """A real model of few rows, so that a better one can be planted."""
    train = splits["train"].head(500)
    task = task_of("several" if several else "sentiment", train)
    return train_candidate("tfidf_logistic", train, dev=splits["dev"], task=task)


@pytest.fixture(scope="module")
def given(splits, champion):
    """Test rows, truth, and the champion's answers to them."""
    test = splits["test"]
    scores = champion.scorer.score(test["text"].tolist())
    assert bool(scores.thresholds) == ("labels" in test)
    return test, np.array(true_answers(test, scores)), np.array(given_answers(scores))


@pytest.fixture(scope="module")
def behaved(champion):
    return compare_behaviour(ask_model(champion.scorer).as_dict(), champion.scorer)


def mend(truth, answers, count, rows=None, seed=3):
    """Right so many of the wrong answers, or spoil as many right ones if it is below 0."""
    rng, mended = np.random.default_rng(seed), answers.copy()
    rows = np.ones(len(truth), bool) if rows is None else rows
    pool = np.flatnonzero(rows & ((answers != truth) if count > 0 else (answers == truth)))
    picked = rng.choice(pool, size=min(abs(count), len(pool)), replace=False)
    others = [rng.choice(sorted(set(truth) - {truth[i]})) for i in picked]  # other sets, if several
    mended[picked] = truth[picked] if count > 0 else others
    return mended


def verdict(given, answers, behaved, **changes):
    test, truth, champion = given
    checks = {**FIT, **behaved, "several": "labels" in test, **changes}
    return judge(Challenge(truth, answers, champion, find_slices(test), **checks), LIMITS)


def failed(judged):
    return [reason.rule for reason in judged.reasons if not reason.passed]


def test_a_better_one_is_promoted(given, behaved):
    _, truth, champion = given
    assert verdict(given, mend(truth, champion, 60), behaved).passed


def test_a_worse_one_is_refused(given, behaved):
    _, truth, champion = given
    broken = failed(verdict(given, mend(truth, champion, -60), behaved))
    assert {"better than the champion", "rows won"} <= set(broken)


def test_an_equal_one_is_refused(given, behaved):
    _, truth, champion = given
    assert failed(verdict(given, champion, behaved)) == ["better than the champion", "rows won"]
    as_many = mend(truth, mend(truth, champion, 40), -40)  # other rows, perhaps of rarer labels
    assert "rows won" in failed(verdict(given, as_many, behaved))


def test_a_better_one_that_is_broken_for_one_group_is_refused(given, behaved):
    test, truth, champion = given
    spanish = (test["language"] == "es").to_numpy()
    mixed = mend(truth, mend(truth, champion, 100, ~spanish), -30, spanish)
    judged = verdict(given, mixed, behaved)
    assert failed(judged) == ["no group worse", "no group left behind"]
    assert "language es -0." in " ".join(judged.as_lines())


def test_a_better_one_that_lost_a_capability_is_refused(given, behaved):
    _, truth, champion = given
    pairs = dict(behaved["behaviour"])
    own, theirs = pairs["typos"]
    pairs["typos"] = ([mark and i % 3 > 0 for i, mark in enumerate(own)], theirs)
    judged = verdict(given, mend(truth, champion, 60), behaved | {"behaviour": pairs})
    assert failed(judged) == ["no behaviour worse"] and "typos -0." in " ".join(judged.as_lines())


def test_a_faster_one_that_is_untrue_is_refused_by_the_real_service(
    given, behaved, champion, tmp_path
):
    """Its weights are cut to one bit; its golden answers and its manifest say otherwise."""
    _, truth, before = given
    bundle = write_bundle(champion, tmp_path / "true")
    fast = Path(copytree(bundle, tmp_path / "fast"))
    with np.load(fast / "weights.npz") as stored:
        np.savez(fast / "weights.npz", **{key: np.sign(part) for key, part in stored.items()})
    manifest = json.loads((fast / "manifest.json").read_text())
    manifest["files"]["weights.npz"] = digest_file(fast / "weights.npz")
    (fast / "manifest.json").write_text(json.dumps(manifest))
    settings = Settings(project=Path.cwd(), workspace=tmp_path / "lab")
    checks = {"serving": check_alone(fast), "service": check_service(settings, fast)}
    judged = verdict(given, mend(truth, before, 60), behaved, latency_ms=0.01, **checks)
    assert failed(judged) == ["loads alone", "serves"]
    assert not (tmp_path / "lab").exists()  # the trial left nothing in the lab
    true = {"serving": check_alone(bundle), "service": check_service(settings, bundle)}
    assert verdict(given, mend(truth, before, 60), behaved, **true).passed


def test_one_that_saw_the_test_rows_is_refused_for_that_reason(given, behaved, splits):
    _, truth, champion = given
    train = pd.concat([splits["train"], splits["test"].head(200)], ignore_index=True)
    report = leakage_report({**splits, "train": train}).to_dict("records")
    leaks = find_leaks(splits["test"], report)
    judged = verdict(given, mend(truth, champion, 60), behaved, leaks=leaks)
    assert failed(judged) == ["no leak"] and "the very text of train rows" in judged.as_lines()[4]


def test_one_that_reads_the_label_in_the_text_is_refused_for_that_reason(given, behaved):
    test, truth, champion = given
    several = "labels" in test
    signs = [" ".join(f"__label__{part}" for part in row.split("|")) for row in truth]
    marked = test.assign(text=test["text"] + " " + signs)
    judged = verdict(given, truth, behaved, leaks=find_leaks(marked, [], several=several))
    assert failed(judged) == ["no leak"] and "__label__" in judged.as_lines()[4]
    unknown = verdict(given, truth, behaved)  # nobody knows how, but it is too good to be true
    assert failed(unknown) == ["no leak"] and "to 1.000" in unknown.as_lines()[4]


def test_equal_challengers_drawn_again_and_again_seldom_pass(given, behaved):
    """Two hundred pairs that answer with the champion's own chances, drawn anew."""
    test, truth, champion = given
    rng, passed = np.random.default_rng(17), 0
    right = {label: (champion == truth)[truth == label].mean() for label in set(truth)}
    share = np.array([right[label] for label in truth])
    labels = np.array(sorted(set(truth)))
    limits = agreed(minimum_macro_f1=0.0)
    checks = {**FIT, **behaved, "several": "labels" in test}

    def draw():
        places = np.searchsorted(labels, truth) + rng.integers(1, len(labels), len(truth))
        return np.where(rng.random(len(truth)) < share, truth, labels[places % len(labels)])

    for _ in range(200):
        judged = judge(Challenge(truth, draw(), draw(), find_slices(test), **checks), limits)
        passed += judged.passed
    assert passed / 200 <= limits["significance"]


def test_a_text_of_several_labels_is_one_trial():
    """Counting each label would take ten lucky texts for forty lucky labels."""
    truth, full, none = ["a|b|c|d"] * 10, ["d|c|b|a"] * 10, ["e"] * 10
    assert mcnemar(Challenge(truth, full, none, several=True))[:2] == (10, 0)
    partly = Challenge(truth, ["a|b|c"] * 10, ["a|b"] * 10, several=True)
    assert mcnemar(partly)[:2] == (10, 0)  # neither set is right, one is nearer
    too_many = Challenge(["a"] * 10, ["a|b"] * 10, ["a"] * 10, several=True)
    assert mcnemar(too_many)[:2] == (0, 10)
