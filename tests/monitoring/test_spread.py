"""Errors of means when texts of one author resemble each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_lab.monitoring.spread import category_effect, group_deviation, token_effects


def clustered(generator, authors=60, texts=8):
    """Every author has a mean of their own; gives values and authors."""
    own = generator.normal(0, 1, authors)
    values = np.repeat(own, texts) + generator.normal(0, 1, authors * texts)
    return values[:, None], np.repeat(np.arange(authors), texts)


def test_the_error_of_a_clustered_mean_is_right():
    generator = np.random.default_rng(1)
    means, told = [], []
    for _ in range(400):
        values, groups = clustered(generator)
        means.append(values.mean())
        told.append(group_deviation(values, groups)[0] / np.sqrt(len(values)))
    assert np.mean(told) == pytest.approx(np.std(means), rel=0.1)
    naive = values.std() / np.sqrt(len(values))
    assert np.std(means) > 1.7 * naive


@given(st.lists(st.integers(0, 4), min_size=2, max_size=30))
def test_the_order_and_names_of_groups_do_not_matter(groups):
    groups = np.unique(groups, return_inverse=True)[1]
    values = np.random.default_rng(2).normal(size=(len(groups), 3))
    shuffled = np.random.default_rng(3).permutation(len(groups))
    renamed = groups.max() - groups
    first = group_deviation(values, groups)
    assert np.allclose(first, group_deviation(values[shuffled], groups[shuffled]))
    assert np.allclose(first, group_deviation(values, renamed))


def test_single_texts_have_the_ordinary_deviation():
    values = np.random.default_rng(4).normal(size=(50, 2))
    assert np.allclose(group_deviation(values, np.arange(50)), values.std(axis=0, ddof=1))


def test_copies_count_once():
    moods = np.random.default_rng(5).integers(0, 4, 200)
    effect = category_effect(np.repeat(moods, 10), 4, groups=np.repeat(np.arange(200), 10))
    assert effect == pytest.approx(10, rel=0.1)
    assert category_effect(moods, 4, groups=np.arange(200)) < 1.15


def test_one_category_and_absent_tokens_have_no_effect():
    assert category_effect(np.zeros(9, dtype=int), 3, groups=np.arange(9)) == 1.0
    effects = token_effects(
        np.zeros((4, 2)), sizes=np.array([3.0, 0.0, 2.0, 1.0]), groups=np.arange(4)
    )
    assert effects.tolist() == [1.0, 1.0]


def test_a_word_of_one_author_is_worth_less():
    counts, sizes = np.zeros((100, 4)), np.full(100, 10.0)
    counts[:20, 0] = 1  # all by author 0
    counts[::5, 1:] = 1  # by everyone
    groups = np.repeat(np.arange(5), 20)
    mine, *ours = token_effects(counts, sizes=sizes, groups=groups)
    assert mine > 5 and ours == [1.0] * 3
