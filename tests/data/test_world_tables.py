"""The hand-written tables: complete, well formed and fair to every state."""

import re

import numpy as np
import pytest

from mlops_lab.data.world_draws import choose, cumulate, uniforms
from mlops_lab.data.world_evidence import build_evidence
from mlops_lab.data.world_phrases import Page, fill, open_desk
from mlops_lab.data.world_posterior import annotator, ceiling, state_posterior
from mlops_lab.data.world_scene import meet_authors, set_scene
from mlops_lab.data.world_settings import STATES, WorldSettings, read_table, state_shares
from mlops_lab.data.world_style import capitalise, spell
from mlops_lab.data.world_writer import write_message

LANGUAGES = ("en", "es")


def texts(value):
    if isinstance(value, str):
        yield value
    else:
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_slot_of_every_phrase_can_be_filled(language):
    desk = open_desk(language, WorldSettings())
    people, _ = meet_authors(1, WorldSettings())
    phrases = [text for text in texts(read_table(language)) if "{" in text]
    known = {"w": "w", "wf": "w", "wm": "w", "mod": "", "primary": "p", "second": "s"}
    for number, phrase in enumerate(phrases):
        numbers = uniforms(2, np.array([number]), width=40)[0].tolist()
        page = Page(desk, people[0], topic="labs", draw=iter(numbers).__next__)
        assert not re.search("[{}]", fill(page, phrase, given=known)), phrase


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_phrase_is_listed_twice(language):
    table = read_table(language)
    for bank in table["cues"].values():
        for state, words in bank.items():
            assert len(set(words)) == len(words), state
    for topic in table["topics"].values():
        for listed in topic.values():
            assert len(set(listed)) == len(listed)


@pytest.mark.parametrize("language", LANGUAGES)
def test_banks_are_big_enough_to_hide_the_grammar(language):
    table = read_table(language)
    for bank in ("feel", "verdict", "clause"):
        assert min(len(words) for words in table["cues"][bank].values()) >= 14
    for topic in table["topics"].values():
        assert len(topic["things"]) >= 20 and len(topic["facts"]) >= 18


def test_evidence_of_a_shared_word_is_shared():
    evidence = build_evidence("en", WorldSettings())
    row = evidence.matrix[evidence.starts["first"] + evidence.cues.index(("feel", "upset"))]
    likely = {STATES[place] for place in np.argsort(row)[-2:]}
    assert likely == {"anger", "sadness"}


def test_no_evidence_gives_back_even_odds_and_a_topic_gives_its_prior():
    evidence = build_evidence("en", WorldSettings())
    assert np.allclose(state_posterior(evidence, [[0]]), 1 / len(STATES))
    topic = evidence.starts["topic"]
    assert np.allclose(state_posterior(evidence, [[topic]])[0], evidence.matrix[topic])


def test_topic_prior_is_the_average_that_the_scene_draws():
    evidence, scene = build_evidence("en", WorldSettings()), set_scene(WorldSettings())
    weeks = np.diff([0.0, *scene.week_draws])
    for line, topic in enumerate(scene.topics):
        total = np.zeros(len(STATES))
        for weight, (_, period) in zip(weeks, scene.weeks, strict=True):
            share = np.diff([0.0, *scene.topic_draws[period]])[line]
            total += weight * share * np.array(state_shares(topic, period))
        row = evidence.matrix[evidence.starts["topic"] + line]
        assert np.allclose(total / total.sum(), row)


def test_annotator_without_noise_copies():
    assert (annotator(WorldSettings(label_noise=0.0)) == np.eye(len(STATES))).all()


def test_numbers_are_those_of_a_plain_python_splitmix():
    import hashlib

    def mix(value):
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
        return value ^ (value >> 31)

    key = int.from_bytes(hashlib.blake2b(b"rows:7", digest_size=8).digest(), "little")
    line = mix((key + 6 * 0x9E3779B97F4A7C15) % 2**64)
    place = mix((line + 3 * 0x9E3779B97F4A7C15) % 2**64)
    assert uniforms(7, np.array([5]), width=4)[0, 2] == (place >> 11) / 2**53


def test_choose_follows_the_weights():
    table = cumulate([1, 2, 0, 5])
    found = [choose(table, draw) for draw in uniforms(1, np.arange(8_000), width=1)[:, 0]]
    assert np.allclose(np.bincount(found, minlength=4) / 8_000, [1 / 8, 2 / 8, 0, 5 / 8], atol=0.02)


def test_spelling_keeps_plain_authors_plain():
    people, _ = meet_authors(7, WorldSettings())
    for author in people[:200]:
        if not (author.lower or author.slang or author.bare):
            assert spell("one. two", author, draw=lambda: 0.999) == "One. Two"
    assert capitalise("¿qué? sí") == "¿Qué? Sí"


def test_the_longest_message_has_numbers_enough():
    people, _ = meet_authors(7, WorldSettings())
    wordy = max(people, key=lambda author: author.wordiness)
    for row in range(400):
        draws = iter(uniforms(row, np.array([row]), width=128)[0].tolist())
        desk = open_desk(wordy.language, WorldSettings(aside_share=1.0))
        write_message(Page(desk, wordy, topic="staff", draw=draws.__next__), row % 8)
        assert len(list(draws)) > 30


def test_a_ceiling_without_a_never_answered_label():
    import pandas as pd

    rare = pd.DataFrame({"posterior_a": [0.9, 0.8], "posterior_b": [0.1, 0.2]})
    assert ceiling(rare).f1["b"] == 0.0 and ceiling(rare).accuracy == pytest.approx(0.85)
