"""Each way in which right answers reach a model is told by its name."""

import pandas as pd
import pytest

from mlops_lab.data.leaks import describe_markers, describe_overlap, find_leaks
from mlops_lab.data.segregation import leakage_report, split_frame
from mlops_lab.data.world import world_frame


@pytest.fixture(scope="module")
def splits():
    return split_frame(world_frame(1_500, seed=4, task="sentiment"), seed=7)


def report(splits, **changes):
    return leakage_report({**splits, **changes}).to_dict("records")


def plant(splits, kind):
    """Put a fifth of the test rows into the train rows, disguised."""
    test, train = splits["test"], splits["train"]
    copied = test.head(len(test) // 5)
    marks = copied["text"].str.upper() + " !!!"
    disguised = {
        "same_text": copied.assign(author=[f"x{i}" for i in range(len(copied))]),
        "same_normalised_text": copied.assign(text=marks, author="x"),
        "near_text": copied.assign(text=copied["text"] + " ok", author="x"),
        "same_author": copied.assign(text=[f"new words {i} {i}" for i in range(len(copied))]),
    }
    return pd.concat([train, disguised[kind]], ignore_index=True)


def test_a_clean_split_has_no_leak(splits):
    assert find_leaks(splits["test"], report(splits)) == ""


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("same_text", "the very text of train rows"),
        ("same_normalised_text", "but for case and marks, of train rows"),
        ("same_author", "their author with train rows"),
    ],
)
def test_each_planted_leak_is_told_by_its_name(splits, kind, words):
    leaking = report(splits, train=plant(splits, kind))
    told = find_leaks(splits["test"], leaking)
    assert words in told and f"of {len(splits['test'])} test rows" in told


def test_nearly_the_same_texts_have_a_limit_of_their_own(splits):
    leaking = report(splits, train=plant(splits, "near_text"))
    assert find_leaks(splits["test"], leaking) == ""
    assert "nearly the text of train rows" in find_leaks(splits["test"], leaking, near_limit=0.1)


def test_a_leak_into_the_dev_rows_counts_and_one_into_the_holdout_does_not(splits):
    assert "dev rows" in find_leaks(splits["test"], report(splits, dev=splits["test"]))
    assert find_leaks(splits["test"], report(splits, holdout=splits["test"])) == ""


def test_at_the_limit_nothing_is_said_and_above_it_it_is():
    line = {"earlier": "train", "later": "test", "rows": 100, "same_text": 5}
    line |= {"same_normalised_text": 5, "near_text": 5, "same_author": 0}
    assert describe_overlap([line], limit=0.05, near_limit=0.5) == ""
    assert "5 of 100 test rows (5.0%)" in describe_overlap([line], limit=0.049, near_limit=0.5)


@pytest.mark.parametrize("mark", ["__label__{0}", "{0}", "class={0};", "#{0}"])
def test_labels_written_in_the_texts_are_found(splits, mark):
    frame = splits["test"]
    marks = frame["label"].map(mark.format)
    assert "every text carries its label" in describe_markers(
        frame.assign(text=frame["text"] + " " + marks)
    )
    some = frame.assign(text=frame["text"] + " " + marks.where(frame.index % 5 > 0, ""))
    assert describe_markers(some) == ""  # one text in five goes without


def test_telling_words_of_people_are_no_marks():
    texts = ["I love it", "I hate it", "so good", "so bad"] * 10
    frame = pd.DataFrame({"text": texts, "label": ["positive", "negative"] * 20})
    assert describe_markers(frame) == ""
    assert describe_markers(frame.head(1)) == describe_markers(frame.head(0)) == ""
