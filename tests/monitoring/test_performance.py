"""Expected and measured quality."""

import numpy as np
import pytest
from monitoring_examples import TextSource

from mlops_lab.foundation.errors import DataProblem
from mlops_lab.monitoring.performance import late_performance


def test_accuracy_and_expectation_are_those_of_the_table():
    table = TextSource().draw(500, 1)
    found = late_performance(table)
    assert found.accuracy == pytest.approx((table["label"] == table["true_label"]).mean())
    sure = [max(row.values()) for row in table["probabilities"]]
    assert found.expected_accuracy == pytest.approx(np.mean(sure))
    assert found.low < found.accuracy < found.high and found.rows == found.labelled == 500


def test_only_labelled_rows_are_measured():
    table = TextSource().draw(300, 2)
    table.loc[table.index[100:], "true_label"] = None
    found = late_performance(table)
    assert found.labelled == 100 and found.rows == 300
    assert found.accuracy == pytest.approx((table["label"] == table["true_label"])[:100].mean())


def test_without_labels_everything_is_possible():
    found = late_performance(TextSource().draw(50, 3).assign(true_label=None))
    assert (found.accuracy, found.low, found.high) == (None, 0.0, 1.0)


def test_the_range_holds_the_truth_as_often_as_it_says():
    generator, held = np.random.default_rng(1), 0
    table = TextSource().draw(120, 4)
    for _ in range(200):
        right = generator.random(120) < 0.8
        truth = np.where(right, table["label"], "something else")
        found = late_performance(table.assign(true_label=truth))
        held += found.low <= 0.8 <= found.high
    assert held >= 178  # 95 % of 200, less four standard errors


def test_an_empty_window_is_refused():
    with pytest.raises(DataProblem, match="no scores"):
        late_performance(TextSource().draw(10, 5).head(0))
