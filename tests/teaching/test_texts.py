import pytest

from mlops_lab.foundation.errors import CourseProblem
from mlops_lab.teaching.texts import LANGUAGES, pick_text, read_texts, require_language


def test_every_text_exists_in_every_language_and_differs():
    english, spanish = read_texts("teaching", "en"), read_texts("teaching", "es")
    assert english.keys() == spanish.keys()
    assert all(english[name] != spanish[name] for name in english)


def test_placeholders_are_the_same_in_both_languages():
    import re

    english, spanish = read_texts("teaching", "en"), read_texts("teaching", "es")
    for name, text in english.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", spanish[name])), name


@pytest.mark.parametrize("language", ["fr", "EN", "", None])
def test_unknown_language_is_refused(language):
    with pytest.raises(CourseProblem, match="is not spoken here"):
        require_language(language)


@pytest.mark.parametrize("entry", [None, "Right", {}, {"en": "Right"}, {"en": "", "es": "Bien"}])
def test_a_half_translated_text_is_refused(entry):
    with pytest.raises(CourseProblem, match="'passed' lacks"):
        pick_text(entry, "es", name="passed")


def test_languages_are_english_and_spanish():
    assert LANGUAGES == ("en", "es")
