"""Cleaning: idempotent, the same for one text and for a frame."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_lab.data.preparation import clean_text, prepare_frame
from mlops_lab.data.world import world_frame
from mlops_lab.foundation.errors import DataProblem

PIECES = st.sampled_from(
    [
        "&amp;",
        "&lt;",
        "&#64;",
        "@",
        "@ana",
        "a@b.co",
        "http://x.y/z",
        "www.",
        ":",
        "/",
        "aaa",
        "!!!!",
    ]
    + ["\u200b", "\n", "  ", "é", "e\u0301", "<user>", "😀", "ññññ", "1111", ".", "#", ";", "x"]
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=12).map("".join)))
def test_cleaning_twice_is_cleaning_once(text):
    once = clean_text(text)
    assert clean_text(once) == once
    assert once == once.strip() and "\n" not in once and "  " not in once


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("me@uni.example wrote", "<email> wrote"),
        ("see HTTPS://uni.example/a?b=1, ok", "see <url> ok"),
        ("see www.uni.example", "see <url>"),
        ("thanks @leo_1!", "thanks <user>!"),
        ("noooooo waaay", "noo waay"),
        ("what????", "what???"),
        ("wait... 10000 :)))))", "wait... 10000 :)))"),
        ("¡Qué guay!", "¡Qué guay!"),
        ("a\r\n\tb\u00a0c", "a b c"),
        ("&lt;3 &quot;ok&quot;", '<3 "ok"'),
        ("ﬁne", "ﬁne"),
        ("👩\u200d🎓👍🏽", "👩\u200d🎓👍🏽"),
    ],
)
def test_each_rule(text, clean):
    assert clean_text(text) == clean


def test_the_frame_uses_the_same_function():
    raw = world_frame(1_000, seed=9)
    prepared = prepare_frame(raw)
    assert list(prepared["text"]) == [clean_text(text) for text in raw["text"]]
    assert (prepared["id"] == raw["id"]).all() and (prepared["label"] == raw["label"]).all()
    assert not {"emotion", "sentiment"} & set(prepared)
    assert prepared.filter(like="posterior_").equals(raw.filter(like="posterior_"))
    assert raw.equals(world_frame(1_000, seed=9)), "the input must stay as it was"


def test_optional_columns_are_added_in_one_form():
    bare = pd.DataFrame({"id": ["1", "2"], "text": ["a", " "], "label": ["x", "y"]})
    prepared = prepare_frame(bare)
    assert list(prepared.columns) == ["id", "text", "label", "language", "topic", "author", "at"]
    assert prepared["text"].tolist() == ["a", ""] and prepared["author"].tolist() == ["1", "2"]
    assert str(prepared["at"].dtype) == "datetime64[us, UTC]"
    holes = bare.assign(author=["ana", None], language=[None, "es"])
    assert prepare_frame(holes)["author"].tolist() == ["ana", "2"]
    assert prepare_frame(holes)["language"].tolist() == ["und", "es"]


def test_null_texts_are_refused():
    with pytest.raises(DataProblem, match="1 texts are null"):
        prepare_frame(pd.DataFrame({"id": ["1"], "text": [None], "label": ["x"]}))
    with pytest.raises(TypeError, match="not bytes"):
        clean_text(b"text")
