from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_lab.foundation.errors import ModelProblem
from mlops_lab.models import bag_model
from mlops_lab.models.bag_model import BagModel, bag_model_from_arrays, bag_weights, softmax
from mlops_lab.models.features import Bags

RNG = np.random.default_rng(0)
MODEL = BagModel(
    RNG.normal(size=(50, 4)).astype(np.float32),
    RNG.normal(size=4).astype(np.float32),
    RNG.uniform(1, 3, size=50).astype(np.float32),
)


def make_bags(lengths: list[int]) -> Bags:
    ids = [RNG.choice(50, size=n, replace=False) for n in lengths]
    counts = RNG.integers(1, 5, size=sum(lengths)).astype(np.float32)
    ids = np.concatenate(ids or [[]]).astype(np.int32)
    return Bags(ids, counts, np.cumsum([0, *lengths]))


def dense_logits(bags: Bags) -> np.ndarray:
    "The same, written as plainly as possible."
    rows = []
    for i in range(len(bags)):
        part = slice(bags.starts[i], bags.starts[i + 1])
        ids, counts = bags.ids[part], bags.counts[part].astype(float)
        weights = (1 + np.log(counts)) * MODEL.importance[ids]
        weights = weights / max(np.sqrt((weights**2).sum()), 1e-6)
        rows.append(weights @ MODEL.table[ids] + MODEL.bias)
    return np.array(rows)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=20), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_logits_equal_the_plain_sum_whatever_the_part(lengths, part):
    bags = make_bags(lengths)
    assert np.allclose(MODEL.logits(bags), dense_logits(bags), atol=1e-4)
    before, bag_model._PART = bag_model._PART, part
    try:
        usual = MODEL.logits(bags)
        assert np.allclose(usual, dense_logits(bags), atol=1e-4)
        for row, (begin, end) in enumerate(pairwise(bags.starts)):
            own = Bags(
                bags.ids[begin:end].copy(), bags.counts[begin:end], np.array([0, end - begin])
            )
            assert MODEL.logits(own).tobytes() == usual[row].tobytes()
    finally:
        bag_model._PART = before


def test_bags_have_length_one_and_empty_bags_nothing():
    bags = make_bags([3, 0, 7])
    squares = np.bincount(bags.rows, weights=bag_weights(bags) ** 2, minlength=3)
    assert np.allclose(squares, [1, 0, 1])


def test_softmax_survives_large_logits():
    assert np.allclose(softmax(np.array([[1e4, -1e4, 1e4]])), [[0.5, 0, 0.5]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"table": None}, "lack 'table'"),
        ({"bias": np.zeros(3)}, "do not fit"),
        ({"importance": np.zeros(49)}, "do not fit"),
        ({"table": np.zeros(5)}, "do not fit"),
        ({"bias": np.full(4, np.inf)}, "no number"),
    ],
)
def test_arrays_that_are_wrong_are_refused(change, message):
    arrays = {**MODEL.arrays(), **change}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    with pytest.raises(ModelProblem, match=message):
        bag_model_from_arrays(arrays)
