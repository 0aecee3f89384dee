"""The cases ask what they say, in both languages, and real models fail and pass as they should."""

import json
from collections import Counter

import numpy as np
import pytest

from mlops_lab.models.behaviour import (
    ask_model,
    behaviour_table,
    compare_behaviour,
    pair_marks,
    run_behaviour,
    spoken_languages,
)
from mlops_lab.models.behaviour_cases import list_cases, read_suite
from mlops_lab.models.scorer import Scores

EMOTIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
SENTIMENTS = ("negative", "neutral", "positive")


class Oracle:
    """Answers every case rightly, as the one who wrote the cases would."""

    def __init__(self, labels):
        self.labels, self.senses = labels, read_suite()["senses"]
        self.known = {}
        for case in list_cases():
            if case.wish == "expect":
                self.known[case.texts[0]] = case.sense
        for case in list_cases():
            if case.wish == "same" and (base := self._base(case)):
                self.known.update(dict.fromkeys(case.texts, base))

    def _base(self, case):
        return next((self.known[text] for text in case.texts if text in self.known), None)

    def score(self, texts):
        rows = np.full((len(texts), len(self.labels)), 0.01)
        for row, text in zip(rows, texts, strict=True):
            meant = self.senses[self.known.get(text, "neutral")]
            fits = [label in meant for label in self.labels]
            row[int(np.argmax(fits))] = 1.0
        return Scores(self.labels, rows / rows.sum(axis=1, keepdims=True))


def rates(behaviour):
    return {one["capability"]: one["rate"] for one in behaviour.capabilities()}


def test_there_are_enough_cases_in_both_languages():
    counted = Counter((case.capability, case.language) for case in list_cases())
    assert len(list_cases()) > 1_000 and min(counted.values()) >= 16
    assert all(
        counted[name, "en"] and counted[name, "es"] for name, _ in counted if name != "twins"
    )
    assert counted["twins", "en, es"] >= 80


def test_no_case_asks_for_two_things_of_one_text():
    wanted: dict[str, set[str]] = {}
    for case in list_cases():
        if case.wish == "expect":
            wanted.setdefault(case.texts[0], set()).add(case.sense)
    assert all(len(senses) == 1 for senses in wanted.values())


def test_what_should_not_matter_changes_the_text_and_nothing_else():
    for case in list_cases():
        assert len(set(case.texts)) == len(case.texts), case
        if case.test == "lower case":
            assert case.texts[1] == case.texts[0].lower()
        if case.test == "typo":
            assert Counter(case.texts[0]) == Counter(case.texts[1])
        if case.test == "two typos":
            assert len(case.texts[0]) - len(case.texts[1]) in (0, 1)


@pytest.mark.parametrize("labels", [EMOTIONS, SENTIMENTS])
def test_who_knows_the_answers_passes_what_has_an_answer(labels):
    found = rates(run_behaviour(Oracle(labels).score, labels))
    for name in ("vocabulary", "contrast", "twins", "typos", "spelling"):
        assert found[name] == 1.0, name


def test_a_model_that_always_says_the_same_fails_what_matters():
    def score(texts):
        return Scores(SENTIMENTS, np.tile([0.6, 0.3, 0.1], (len(texts), 1)))

    found = rates(run_behaviour(score, SENTIMENTS))
    assert found["names"] == found["typos"] == found["twins"] == 1.0
    assert found["direction"] == 0.0 and found["vocabulary"] < 0.7


def test_surprise_is_not_asked_of_sentiments_nor_joy_of_spam():
    behaviour = run_behaviour(Oracle(SENTIMENTS).score, SENTIMENTS)
    pairs = zip(list_cases(), behaviour.marks, strict=True)
    assert {mark for case, mark in pairs if case.sense == "surprise"} == {"-"}
    flat = Scores(("ham", "spam"), np.tile([0.8, 0.2], (3_000, 1)))
    spam = run_behaviour(lambda texts: flat, flat.labels)
    assert not spam.judged and set(rates(spam).values()) == {1.0}


def test_a_language_nobody_taught_is_not_asked():
    assert spoken_languages(lambda text: {"oov_rate": 0.2}) == ("en", "es")
    english = spoken_languages(lambda text: {"oov_rate": 0.3 if "the " in text.lower() else 0.9})
    assert english == ("en",)
    behaviour = run_behaviour(Oracle(EMOTIONS).score, EMOTIONS, languages=english)
    pairs = zip(list_cases(), behaviour.marks, strict=True)
    assert {case.language for case, mark in pairs if mark != "-"} == {"en"}


def test_a_real_model_is_asked_and_gives_the_same_again(linear):
    first, again = ask_model(linear.scorer), ask_model(linear.scorer)
    assert first == again and json.loads(json.dumps(first.as_dict())) == first.as_dict()
    assert 0 < first.rate < 1 and first.judged and "1" in first.marks and "0" in first.marks
    assert len(first.failures) == first.marks.count("0")
    table = behaviour_table({"linear": first})
    assert table["linear"].between(0, 1).all() and (table["cases"] > 0).all()


def test_a_kind_that_the_champion_cannot_be_asked_about_is_measured_all_the_same():
    own = run_behaviour(Oracle(EMOTIONS).score, EMOTIONS).marks
    english = run_behaviour(Oracle(EMOTIONS).score, EMOTIONS, languages=("en",)).marks
    paired = pair_marks(own, english)
    assert paired["twins"] == pair_marks(own)["twins"] and paired["twins"][1] is None
    mine, other = paired["typos"]
    assert len(mine) == len(other) < len(pair_marks(own)["typos"][0])
    assert "twins" not in pair_marks(english, own)


def test_two_models_are_compared_on_the_cases_of_both(linear):
    own = ask_model(linear.scorer)
    sentiments = run_behaviour(Oracle(SENTIMENTS).score, SENTIMENTS)
    paired = pair_marks(own.marks, sentiments.marks)
    cases = sum(len(mine) for mine, _ in paired.values())
    both = sum("-" not in pair for pair in zip(own.marks, sentiments.marks, strict=True))
    assert cases == both and all(len(mine) == len(other) for mine, other in paired.values())
    alone = compare_behaviour(own.as_dict(), None)
    assert alone["behaviour_judged"] and all(
        other is None for _, other in alone["behaviour"].values()
    )
    against = compare_behaviour(own.as_dict(), linear.scorer)["behaviour"]
    assert all(mine == other for mine, other in against.values())
