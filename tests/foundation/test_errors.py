"""One family of errors, each with three parts."""

import pytest

from mlops_lab.foundation import errors
from mlops_lab.foundation.errors import LabError, close_matches


def test_the_message_has_at_most_three_lines():
    assert str(LabError("a", "b", "c")).splitlines() == ["a", "  expected: b", "  try: c"]
    assert str(LabError("a", remedy="c")).splitlines() == ["a", "  try: c"]


@pytest.mark.parametrize("name", errors.__all__)
def test_the_tree_in_the_docstring_names_every_class(name):
    kind = getattr(errors, name)
    if isinstance(kind, type):
        assert name in errors.__doc__
        assert issubclass(kind, LabError)
        assert isinstance(kind("found"), LabError)


def test_close_matches_offer_names_or_list_them():
    assert close_matches("trian", ["train", "test"]) == "did you mean 'train'?"
    assert close_matches("xyz", ["train", "test"]) == "known: test, train"
    assert close_matches("xyz", []) == "known: none"
