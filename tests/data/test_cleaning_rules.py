"""Cleaning rules: people decide, and exactly what they accepted is applied, offline and online."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_lab.data.cleaning_decisions import accepted_rules, read_decisions
from mlops_lab.data.preparation import LAB_RULES, prepare_frame
from mlops_lab.data.proposals import propose_rules
from mlops_lab.data.review import Review, draw_review, review_table, take_table
from mlops_lab.data.world import world_frame
from mlops_lab.foundation import text_rules
from mlops_lab.foundation.errors import DataProblem, ModelProblem
from mlops_lab.foundation.text_rules import TEXT_RULES, make_cleaner
from mlops_lab.models.scorer import load_scorer
from mlops_lab.models.tasks import label_space
from mlops_lab.models.training import train_candidate, write_bundle

RAW = world_frame(1_500, seed=9)
DIRTY = [
    "  @leo_9 said: sooooo  GOOD &amp; fast!!!!!! see https://uni.example/x",
    "mail ana@uni.example &lt;3 \u201cfinally\u201d\u2026",
    "cafe\u0301 \u200b 😀😀 NEVER again",
    "plain words",
    "",
]
PIECES = ["&amp;", "&#64;", "@", "ana", "a@b.co", "http://x.y", "www.", "ooo", "!!!!", "\u200b"]
PIECES += [
    "\n",
    "  ",
    "é",
    "e\u0301",
    "😀",
    "👩\u200d🎓",
    "“",
    "…",
    "İ",
    "ß",
    "A",
    ".",
    "1111",
    "<user>",
]


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(max_size=30),
    st.sets(st.sampled_from(sorted(TEXT_RULES))),
)
def test_cleaning_twice_is_cleaning_once_by_any_set_of_rules(text, rules):
    clean = make_cleaner(rules)
    assert clean(clean(text)) == clean(text)
    if not rules:
        assert clean(text) == text


REMEMBERING = make_cleaner(TEXT_RULES)  # from one example to the next


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*PIECES, " ", "ok"]), max_size=12).map("".join) | st.text())
def test_what_a_cleaner_remembers_changes_no_answer(text):
    steps = [(rule.may_change, rule.change) for rule in TEXT_RULES.values()]
    thorough = text_rules._apply(steps, text)
    assert REMEMBERING(text) == REMEMBERING(text) == thorough


def test_no_stranger_fills_the_memory_of_a_cleaner(monkeypatch):
    monkeypatch.setattr(text_rules, "_PIECES", 10)
    clean = make_cleaner(["spaces"])
    assert all(clean(f" {n} " + "x" * 10**5) == f"{n} " + "x" * 10**5 for n in range(50))
    remembered = clean.__closure__[[*clean.__code__.co_freevars].index("known")].cell_contents
    assert len(remembered) <= 11


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(max_size=30))
def test_a_quick_look_never_overlooks_a_change(text):
    for rule in TEXT_RULES.values():
        assert rule.may_change(text) or rule.change(text) == text, rule.name


def test_the_decisions_of_the_lab_are_complete_and_what_the_code_falls_back_to(tmp_path):
    shipped = read_decisions(tmp_path / "absent.yaml")
    assert set(shipped) == set(TEXT_RULES) and accepted_rules(shipped) == LAB_RULES
    assert all(one.by and one.why for one in shipped.values())


def test_counts_are_those_of_the_rule_alone():
    proposals = {one.rule: one for one in propose_rules(RAW["text"])}
    for name, one in proposals.items():
        clean = make_cleaner([name])
        changed = [text for text in RAW["text"] if clean(text) != text]
        assert one.rows == len(changed) and one.texts == len(RAW)
        assert all(clean(before) == after != before for before, after in one.samples)
        assert len(one.samples) == min(3, len(set(changed)))


def test_every_decision_is_on_disk_at_once_with_who_when_and_why(tmp_path):
    place, ticks = tmp_path / "cleaning.yaml", itertools.count(1)
    review = Review(propose_rules(RAW["text"]), place, clock=lambda: f"2026-05-0{next(ticks)}")
    for name in ("emoji", "urls"):
        review.decide(name, review.state(name) != "accept", by="Ana", why=f"reason for {name}")
        kept = read_decisions(place)[name]
        assert (kept.by, kept.why) == ("Ana", f"reason for {name}") and kept.at
    assert set(review.accepted) == (set(LAB_RULES) | {"emoji"}) - {"urls"}
    before = place.read_bytes()
    for by, why in (("", "because"), ("Ana", ""), (" ", " ")):
        with pytest.raises(DataProblem):
            review.decide("marks", False, by=by, why=why)
    assert place.read_bytes() == before and review.state("marks") == "accept"


def test_a_table_is_taken_over_as_a_whole_or_not_at_all(tmp_path):
    review = Review(propose_rules(RAW["text"]), tmp_path / "cleaning.yaml")
    table = review_table(review).set_index("rule")
    table.loc["emoji", ["decision", "why"]] = ["accept", "ours are random"]
    table.loc["letter_case", ["decision", "why"]] = ["accept", ""]
    table.to_csv(tmp_path / "edited.csv")
    with pytest.raises(DataProblem, match="has no why"):
        take_table(review, tmp_path / "edited.csv", by="Leo")
    assert review.state("emoji") == "decline" and not review.path.exists()
    table.loc["letter_case", "why"] = "few rows"
    table.to_csv(tmp_path / "edited.csv")
    with pytest.raises(DataProblem, match="has no by"):
        take_table(review, tmp_path / "edited.csv", by=" ")
    taken = take_table(review, tmp_path / "edited.csv", by="Leo")
    assert sorted(taken) == ["emoji", "letter_case"]
    assert {
        name: one.by for name, one in read_decisions(review.path).items() if one.by == "Leo"
    } == {
        "emoji": "Leo",
        "letter_case": "Leo",
    }
    bare = pd.DataFrame({"rule": ["emoji"], "decision": ["accept"]})
    bare.to_csv(tmp_path / "bare.csv", index=False)
    with pytest.raises(DataProblem, match="no column why"):
        take_table(review, tmp_path / "bare.csv", by="Leo")


def test_a_page_shows_texts_and_never_runs_them(tmp_path):
    texts = pd.Series(["<script>alert(1)</script>   @leo", "ok"])
    review = Review(propose_rules(texts), tmp_path / "cleaning.yaml")
    review.decide("emoji", False, by="<b>Ana</b>", why="<i>no</i>")
    page = draw_review(review)
    assert "<script>" not in page and "<b>Ana" not in page and "&lt;script&gt;" in page


SETS = [(), LAB_RULES, ("emoji", "letter_case", "spaces"), ("handles", "typeset", "entities")]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A model for each set of rules, trained on rows prepared by it."""
    folder, made = tmp_path_factory.mktemp("models"), {}
    for number, rules in enumerate(SETS):
        rows = prepare_frame(RAW, rules)
        task = label_space("emotion", rows["label"])
        trained = train_candidate("tfidf_logistic", rows.head(1_200), dev=rows.tail(300), task=task)
        made[rules] = write_bundle(trained, folder / str(number), cleaning=rules)
    return made


@pytest.mark.parametrize("rules", SETS, ids=str)
def test_a_request_is_cleaned_exactly_as_the_rows_were(models, rules):
    scorer = load_scorer(models[rules])
    raw = [*RAW["text"].tail(300), *DIRTY]
    frame = pd.DataFrame({"id": range(len(raw)), "text": raw, "label": "joy"})
    offline = prepare_frame(frame, rules)["text"].tolist()
    online = scorer.score(raw).probabilities
    assert np.array_equal(online, scorer.score(offline).probabilities)
    one_by_one = [scorer.score([text]).probabilities[0] for text in raw[-20:]]
    assert np.allclose(one_by_one, online[-20:], atol=1e-6)
    for text, clean in zip(raw, offline, strict=True):
        assert scorer.profile_text(text) == scorer.profile_text(clean)
    bare = load_bundle_without_rules(models[rules])
    told = [bare.profile_text(text) != scorer.profile_text(text) for text in DIRTY]
    assert any(told) == bool(rules)
    if rules == LAB_RULES:  # a service that forgets to clean is found out
        assert not np.array_equal(bare.score(DIRTY).probabilities, online[-len(DIRTY) :])


def load_bundle_without_rules(folder):
    """The same model, if the service forgot to clean."""
    from dataclasses import replace

    from mlops_lab.models.bundle import load_bundle
    from mlops_lab.models.scorer import Scorer

    bundle = load_bundle(folder)
    card = {key: value for key, value in bundle.card.items() if key != "cleaning"}
    return Scorer(replace(bundle, card=card))


def test_a_model_whose_rules_are_not_known_here_is_refused(models, tmp_path):
    import shutil

    from mlops_lab.foundation.records import digest_file

    folder = tmp_path / "model"
    shutil.copytree(models[LAB_RULES], folder)
    card = json.loads((folder / "card.json").read_text())
    card["cleaning"][0] = "stemming"
    (folder / "card.json").write_text(json.dumps(card))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["card.json"] = digest_file(folder / "card.json")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelProblem, match="stemming"):
        load_scorer(folder)
