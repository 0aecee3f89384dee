import numpy as np
import pytest

from mlops_lab.data.catalogue import find_data_set
from mlops_lab.foundation.errors import DataProblem
from mlops_lab.models.tasks import (
    coarser_labels,
    known_tasks,
    label_matrix,
    label_numbers,
    label_space,
)


def test_the_order_of_a_known_task_is_kept_and_absent_labels_left_out():
    task = label_space("emotion", ["surprise", "joy", "joy", "anger"])
    assert (task.name, task.labels) == ("emotion", ("anger", "joy", "surprise"))


def test_labels_of_own_data_are_the_task():
    task = label_space("emotion", ["4", "1", "joy"])
    assert (task.name, task.labels) == ("own", ("1", "4", "joy"))


@pytest.mark.parametrize("found", [[], ["joy"], ["joy", None], ["joy", " "], ["joy", 3]])
def test_labels_that_cannot_be_learned_are_refused(found):
    with pytest.raises(DataProblem):
        label_space("emotion", found)


def test_an_unknown_label_is_named_with_its_nearest_match():
    with pytest.raises(DataProblem, match="'sadnes'.*\n.*'sadness'"):
        label_numbers(["joy", "sadnes"], known_tasks()["emotion"].labels)


def test_numbers_are_positions():
    assert label_numbers(("b", "a", "b"), ("a", "b")).tolist() == [1, 0, 1]


def test_the_map_from_fine_to_coarse_is_that_of_the_data_set():
    "Two data files say the same: the one of tasks, and the one of GoEmotions."
    fine, published = known_tasks()["emotions-28"].labels, find_data_set("goemotions").tasks
    for name in ("emotion", "sentiment"):
        labels = known_tasks()[name].labels
        coarse = coarser_labels(np.eye(28, dtype=np.float32), name)
        found = {
            label: {fine[i] for i in np.flatnonzero(coarse[:, j])} for j, label in enumerate(labels)
        }
        assert found == {label: set(parts) for label, parts in published[name].items()}
    assert set(fine) == set(published["emotions-28"])


def test_several_labels_become_a_matrix_and_back():
    labels = known_tasks()["emotions-28"].labels
    rng = np.random.default_rng(0)
    rows = ["|".join(rng.choice(labels, size=n, replace=False)) for n in rng.integers(1, 5, 200)]
    matrix = label_matrix(rows, labels)
    back = [{labels[i] for i in np.flatnonzero(row)} for row in matrix]
    assert back == [set(row.split("|")) for row in rows]
    assert label_space("emotions-28", rows).several


@pytest.mark.parametrize("value", ["", "joy|", "joy||love", "joy | love", "jOy"])
def test_a_label_misspelt_within_several_is_named(value):
    with pytest.raises(DataProblem):
        label_matrix([value], known_tasks()["emotions-28"].labels)


def test_ambiguous_is_part_of_sentiment_only_where_it_occurs():
    assert label_space("sentiment", ["positive", "negative", "neutral"]).labels == (
        "negative",
        "neutral",
        "positive",
    )
    assert "ambiguous" in label_space("sentiment", ["positive", "ambiguous"]).labels
