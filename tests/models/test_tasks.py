import pytest

from mlops_lab.foundation.errors import DataProblem
from mlops_lab.models.tasks import TASKS, label_numbers, label_space


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
        label_numbers(["joy", "sadnes"], TASKS["emotion"])


def test_numbers_are_positions():
    assert label_numbers(("b", "a", "b"), ("a", "b")).tolist() == [1, 0, 1]
