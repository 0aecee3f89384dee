import json
import unicodedata
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_lab.foundation.errors import ModelProblem
from mlops_lab.models.features import (
    FeatureSettings,
    features_from_record,
    features_record,
    fit_features,
    tokens,
)

TEXTS = [
    "The lecture was not good :(",
    "I love the lecture!!! 😍",
    "La clase no fue buena 😢",
    "¡Me encanta la clase!",
    "not good, not bad",
]


@pytest.fixture(params=[0, 128], ids=["vocabulary", "hashed"])
def features(request):
    return fit_features(TEXTS, FeatureSettings(minimum_texts=1, buckets=request.param))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sooooo goooood", ["soo", "good"]),
        ("¿Qué tal, niño?", ["¿", "qué", "tal", ",", "niño", "?"]),
        ("[NAME] [x [1]", ["[name]", "[", "x", "[", "1", "]"]),
        ("“ok” - wait...", ["“", "ok", "”", "-", "wait", ".", "."]),
        ("I <3 it :-) ;p", ["i", "<3", "it", ":-)", ";p"]),
        ("don't", ["don't"]),
        ("a_b", ["a", "b"]),
        ("很好 ПРИВЕТ", ["很好", "привет"]),
        ("\u200b\ufeff\x00", []),
    ],
)
def test_tokens(text, expected):
    assert tokens(text) == expected


@given(st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_text_has_tokens_without_spaces_and_in_one_normal_form(text):
    found = tokens(text)
    assert all(token and not any(letter.isspace() for letter in token) for token in found)
    assert tokens(unicodedata.normalize("NFD", text.lower())) == tokens(
        unicodedata.normalize("NFC", text.lower())
    )


def test_texts_alone_and_together_have_the_same_features(features):
    together = features.bags(TEXTS)
    for i, text in enumerate(TEXTS):
        alone = features.bags([text])
        part = together.part(i, i + 1)
        assert part.ids.tolist() == alone.ids.tolist()
        assert part.counts.tolist() == alone.counts.tolist()


def test_numbers_stay_in_range_and_survive_a_record(features):
    again = features_from_record(json.loads(json.dumps(features_record(features))))
    for text in [*TEXTS, "never seen 🤷 words"]:
        assert again.bag(text) == features.bag(text)
        assert all(0 <= number < features.size for number in features.bag(text))


def test_an_empty_text_is_an_empty_stretch(features):
    bags = features.bags(["", "good", "", ""])
    assert bags.starts[0] == bags.starts[1] == 0
    assert bags.starts[2] == bags.starts[3] == bags.starts[4] == bags.ids.size


def test_a_forgotten_memory_changes_nothing(features, monkeypatch):
    before = features.bags(TEXTS).ids.tolist()
    monkeypatch.setattr("mlops_lab.models.features._CACHE_LIMIT", 1)
    assert features.bags(TEXTS).ids.tolist() == before


def test_rare_words_are_left_out_of_a_vocabulary_and_unknown():
    fitted = fit_features(TEXTS, FeatureSettings(minimum_texts=2))
    assert "w|good" in fitted.vocabulary and "w|buena" not in fitted.vocabulary
    assert fitted.unknown_share(["good", "buena", "!"]) == 0.5
    assert len(fit_features(TEXTS, FeatureSettings(minimum_texts=1, most=10)).vocabulary) == 10


def test_pairs_tell_not_good_from_good(features):
    alone = features.bag("not") + features.bag("good")
    assert features.bag("not good") != alone


def test_a_huge_text_takes_no_time(features):
    began = process_time()
    for text in ("word " * 20_000, "x" * 100_000, "ab" * 50_000, "😀" * 100_000, "'" * 100_000):
        features.bag(text)
    assert process_time() - began < 2.0


def test_a_broken_record_is_refused():
    with pytest.raises(ModelProblem, match="cannot be restored"):
        features_from_record({"settings": {"colour": 1}, "words": [], "vocabulary": []})
