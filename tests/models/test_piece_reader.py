"""The quick reader of texts against the plain one that training uses."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_lab.models.bag_model import BagModel
from mlops_lab.models.features import FeatureSettings, fit_features, tokens
from mlops_lab.models.piece_reader import PieceReader
from mlops_lab.models.profile import text_profile

TEXTS = [
    "The lecture was not good :(",
    "La clase no fue buena 😢",
    "¡Me encanta la clase! sooo good",
    "not good, not bad; http://x.org it\u2019s",
]
FITTED = {n: fit_features(TEXTS, FeatureSettings(minimum_texts=1, buckets=n)) for n in (0, 128)}
# letters of several scripts, marks that join or reorder, spaces of many kinds, half emoticons
AWKWARD = st.text(
    st.one_of(
        st.sampled_from("aA éΣςİıßﬁ'\u2019:;=-)(<3/!¡?😍\u0301\u0323\u0345\u200b\u200d\ufeff"),
        st.sampled_from(" \t\n\r\x0b\x0c\x1c\x85\xa0\u1680\u2000\u2001\u2028\u202f\u3000"),
        st.characters(),
    ),
    max_size=60,
)
ANY = st.one_of(AWKWARD, st.lists(st.sampled_from(" ".join(TEXTS).split())).map(" ".join))


@given(ANY)
@settings(max_examples=1500, deadline=None)
def test_no_token_crosses_a_space(text):
    assert tokens(text) == [token for piece in text.split() for token in tokens(piece)]


@pytest.mark.parametrize("buckets", FITTED)
@given(texts=st.lists(ANY, max_size=6))
@settings(max_examples=300, deadline=None)
def test_the_same_features_as_training_counts(buckets, texts):
    features = FITTED[buckets]
    reader = PieceReader(features)
    for _ in range(2):  # read, then remembered
        bags = reader.bags(texts)
        for i, text in enumerate(texts):
            part = bags.part(i, i + 1)
            ids, counts = part.ids.tolist(), part.counts.tolist()
            assert Counter(dict(zip(ids, counts, strict=True))) == features.bag(text)
            assert ids == sorted(ids) and reader.measure(text) == text_profile(text, features)


@given(st.lists(ANY, min_size=1, max_size=8))
@settings(max_examples=200, deadline=None)
def test_neighbours_change_no_bit_of_an_answer(texts):
    features, rng = FITTED[128], np.random.default_rng(3)
    model = BagModel(rng.normal(size=(128, 7)).astype("f4"), rng.normal(size=7).astype("f4"))
    reader = PieceReader(features)
    together = model.probabilities(reader.bags(texts))
    alone = [model.probabilities(reader.bags([text]))[0] for text in texts]
    assert together.tobytes() == np.array(alone, "f4").tobytes()
    usual = model.probabilities(features.bags(texts))
    assert np.abs(together - usual).max() < 1e-6


def test_long_texts_and_pieces_are_cut_like_tokens_and_not_remembered():
    features = FITTED[128]
    reader = PieceReader(features)
    for text in ("good " * 10_000, "x" * 30_000, "ab" * 15_000 + " good", "-" * 30_000 + " good"):
        assert reader.measure(text) == text_profile(text, features)
        assert reader.bags([text]).counts.sum() == sum(features.bag(text).values())
    assert set(reader._pieces) <= {"good"}


def test_a_full_memory_is_emptied(monkeypatch):
    monkeypatch.setattr("mlops_lab.models.piece_reader._CACHE_LIMIT", 3)
    reader = PieceReader(FITTED[128])
    for n in range(20):
        reader.measure(f"word{n}")
    assert len(reader._pieces) <= 4
