from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from mlops_lab.teaching.cards import Card, describe_value
from mlops_lab.teaching.texts import read_texts

TEXTS = read_texts("teaching", "en")


class Words(HTMLParser):
    def __init__(self):
        super().__init__()
        self.said, self.depth = "", 0

    def handle_data(self, data):
        self.said += data + " "

    def handle_starttag(self, tag, attrs):
        self.depth += 1

    def handle_endtag(self, tag):
        self.depth -= 1


@pytest.mark.parametrize("state", ["passed", "not_yet", "unanswered"])
def test_the_page_and_the_text_say_the_same(state):
    card = Card(state, "Not yet · <Share>", (("Found", "`a` & b"), ("", "Look again.")))
    words = Words()
    words.feed(card._repr_html_())
    assert words.depth == 0
    assert " ".join(words.said.split()) == " ".join(
        repr(card).replace("Found:", "Found").replace("`", "").split()
    )


def test_a_card_is_readable_without_colour_and_without_a_theme():
    page = Card("not_yet", "Not yet")._repr_html_()
    assert "➜" in page and "var(--jp-warn-color1, #b35900)" in page and "inherit" in page


def test_an_unknown_state_is_a_programming_error():
    with pytest.raises(ValueError, match="state 'great' is not one of"):
        Card("great", "x")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (..., "nothing yet"),
        (np.float64(0.25), "0.25"),
        (np.int64(3), "3"),
        (True, "True"),
        (None, "None"),
        (KeyError("x"), "KeyError: 'x'"),
        (Exception(), "Exception: "),
        (pd.DataFrame({"a": [1, 2]}), "a table with 2 rows and 1 columns"),
        (pd.Series({"joy": 3}), "{'joy': 3}"),
    ],
)
def test_values_are_told_in_a_line(value, told):
    assert describe_value(value, TEXTS) == told


@pytest.mark.parametrize("value", ["x" * 5000, list(range(9999)), {"a": "b\nc" * 100}])
def test_long_values_are_cut(value):
    told = describe_value(value, TEXTS)
    assert len(told) == 90 and told.endswith("…") and "\n" not in told
