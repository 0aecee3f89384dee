"""What a window looks like, as plain data."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from monitoring_examples import TextSource, draw_sets

from mlops_lab.foundation.errors import DataProblem
from mlops_lab.monitoring.profile import build_profile, plain_tokens, read_profile

BUNDLE = {
    "texts": 100,
    "label_shares": {"joy": 0.5, "sadness": 0.5},
    "predicted_shares": {"joy": 0.6, "sadness": 0.4},
    "mean_probability": {"joy": 0.55, "sadness": 0.45},
    "confidence": {"edges": [0.5], "shares": [0.5, 0.5], "mean": 0.7},
    "chars": {"edges": [10.0], "shares": [0.5, 0.5], "mean": 12.0},
    "words": {"edges": [2.0, 4.0], "shares": [0.1, 0.6, 0.3], "mean": 3.5},
    "oov_rate": {"edges": [], "shares": [1.0], "mean": 0.02},
    "top_tokens": {"good": 0.1, "bad": 0.05},
}


def scores(texts, **columns):
    plain = {
        "text": texts,
        "label": ["joy"] * len(texts),
        "probabilities": [{"joy": 0.8, "sadness": 0.2}] * len(texts),
        "oov_rate": [0.0] * len(texts),
    }
    return pd.DataFrame(plain | columns)


def test_a_bundles_profile_is_read():
    profile = read_profile(BUNDLE)
    assert profile["rows"] == 100 and profile["labels"] == BUNDLE["predicted_shares"]
    assert profile["token_base"] == 350 and profile["oov_rate"] == 0.02
    assert profile["words"] == {"edges": [2.0, 4.0], "shares": [0.1, 0.6, 0.3]}


def test_outer_edges_are_dropped():
    own = build_profile(scores(["one", "two words"]))
    closed = own | {"words": {"edges": [0, 2, 5], "shares": [0.5, 0.5]}}
    assert read_profile(closed)["words"]["edges"] == [2] and read_profile(own) == own


@pytest.mark.parametrize("record", [{}, {"texts": 3}, {"texts": 3, "predicted_shares": None}])
def test_anything_else_is_refused(record):
    with pytest.raises(DataProblem, match="no profile"):
        read_profile(record)


def test_a_window_is_measured_by_the_references_own_rulers():
    window = build_profile(scores(["good good day", "a b c d e"]), like=read_profile(BUNDLE))
    assert window["words"] == {"edges": [2.0, 4.0], "shares": [0.0, 0.5, 0.5]}
    assert window["tokens"] == {"good": 2 / 8, "bad": 0.0} and window["token_base"] == 8
    assert list(window["labels"]) == ["joy", "sadness"]


def test_tokens_are_shares_of_texts_when_nothing_else_is_asked():
    profile = build_profile(scores(["good good day", "Good"]))
    assert profile["tokens"] == {"good": 1.0, "day": 0.5} and profile["token_base"] == 2


def test_another_tokeniser_may_be_given():
    profile = build_profile(scores(["good-day now"]), tokenise=str.split)
    assert set(profile["tokens"]) == {"good-day", "now"}


def test_the_numbers_are_those_of_the_table():
    table = TextSource().draw(400, 1)
    profile = build_profile(table)
    assert profile["oov_rate"] == pytest.approx(table["oov_rate"].mean())
    assert profile["labels"]["joy"] == pytest.approx((table["label"] == "joy").mean())
    joy = [row["joy"] for row in table["probabilities"]]
    assert profile["mean_probability"]["joy"] == pytest.approx(np.mean(joy))
    assert profile["deviation"]["probability"]["joy"] == pytest.approx(np.std(joy, ddof=1))
    assert len(profile["tokens"]) == 300 and json.loads(json.dumps(profile)) == profile


@given(st.lists(st.text(max_size=60), min_size=1, max_size=8))
def test_shares_are_shares_for_any_text(texts):
    profile = build_profile(scores(texts))
    assert sum(profile["words"]["shares"]) == pytest.approx(1)
    assert all(0 < share <= 1 for share in profile["tokens"].values())
    assert set(profile["tokens"]) == {token for text in texts for token in plain_tokens(text)}


def test_a_bundles_shares_of_given_labels_are_read():
    sets = {"given_shares": {"joy": 0.7, "sadness": 0.6}, "unlabelled_share": 0.05}
    profile = read_profile(BUNDLE | sets)
    assert profile["labels"] == sets["given_shares"] and profile["unlabelled"] == 0.05
    assert "unlabelled" not in read_profile(BUNDLE)
    with pytest.raises(DataProblem, match="unlabelled_share"):
        read_profile(BUNDLE | {"given_shares": sets["given_shares"]})


def test_every_label_of_a_text_has_its_share():
    table = draw_sets(400, 1)
    profile = build_profile(table)
    for name in ("joy", "love", "sadness"):
        share = np.mean([name in labels.split("|") for labels in table["labels"]])
        assert profile["labels"][name] == pytest.approx(share)
    assert profile["unlabelled"] == pytest.approx((table["labels"] == "").mean())
    assert sum(profile["labels"].values()) > 1 - profile["unlabelled"]
    assert json.loads(json.dumps(profile)) == profile == read_profile(profile)


def test_the_reference_says_what_is_counted():
    table = scores(["a", "b", "c"], labels=["joy|sadness", "", None])
    sets = {"given_shares": {"joy": 0.7, "sadness": 0.6}, "unlabelled_share": 0.05}
    all_of_them = build_profile(table, like=read_profile(BUNDLE | sets))
    assert all_of_them["labels"] == {"joy": 2 / 3, "sadness": 1 / 3}  # None: one label only
    assert all_of_them["unlabelled"] == pytest.approx(1 / 3)
    surest = build_profile(table, like=read_profile(BUNDLE))
    assert surest["labels"] == {"joy": 1.0, "sadness": 0.0} and "unlabelled" not in surest
    assert surest == build_profile(table.drop(columns="labels"), like=read_profile(BUNDLE))


def test_an_empty_window_is_refused():
    with pytest.raises(DataProblem, match="no scores"):
        build_profile(scores([]))
