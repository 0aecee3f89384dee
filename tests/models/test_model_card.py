"""A card says what the records say, in either language, the same bytes each time."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest
from model_examples import make_frame

from mlops_lab.foundation.records import digest_folder
from mlops_lab.models.behaviour import ask_model
from mlops_lab.models.evaluation import evaluate, find_slices
from mlops_lab.models.model_card import CardFacts, as_html, as_markdown, list_limits, write_card


@pytest.fixture(scope="module")
def facts(linear):
    test = make_frame(300, 9)
    scores = linear.scorer.score(test["text"].tolist())
    result = evaluate(test["label"].tolist(), scores, slices=find_slices(test))
    rule = {"rule": "latency", "passed": False, "found": "30 ms | slow", "required": "20 ms"}
    return CardFacts(
        card={**linear.bundle.card, "created_from": {"train": "sha256:7"}},
        bundle_digest="sha256:1",
        result=result.as_dict(),
        behaviour=ask_model(linear.scorer).as_dict(),
        source={"kind": "world", "rows": 900, "digest": "sha256:5"},
        splits=({"split": "train", "rows": 600}, {"split": "test", "rows": 300}),
        rules=(rule,),
        owner="Ana <ana@example.org>",
        licence="CC BY 4.0",
    )


class Reader(HTMLParser):
    """Whether every tag that opens also closes, in order."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.open += [] if tag == "meta" else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize(("language", "words"), [("en", "Intended use"), ("es", "Uso previsto")])
def test_every_part_is_there_in_either_language(facts, language, words):
    text, page = as_markdown(facts, language), as_html(facts, language)
    assert f"## {words}\n" in text and f"<h2>{words}</h2>" in page
    assert text.count("\n## ") == page.count("<h2>") == 12
    for known in (
        "sha256:1",
        "sha256:5",
        "sha256:7",
        "CC BY 4.0",
        f"{facts.result['macro_f1']:.4f}",
    ):
        assert known in text and known in page
    assert "{" not in text.replace("{0}", "")  # no slot is left open


def test_limits_are_the_weakest_of_everything(facts):
    limits = " ".join(list_limits(facts, "en"))
    worst = min(facts.result["classes"], key=lambda row: row["f1"])
    assert f"weakest label is {worst['label']}: F1 {worst['f1']:.2f}" in limits
    slowest = min(facts.behaviour["capabilities"], key=lambda row: row["rate"])
    assert slowest["capability"] in limits and "refused it: latency" in limits
    assert "simulated world" in limits
    real = replace(facts, source={**facts.source, "kind": "file"}, rules=())
    told = " ".join(list_limits(real, "en"))
    assert "simulated" not in told and "refused" not in told


def test_names_and_findings_break_neither_form(facts):
    odd = replace(facts, owner="<script>alert(1)</script> | & co")
    page, text = as_html(odd), as_markdown(odd)
    reader = Reader()
    reader.feed(page)
    assert reader.open == [] and "script" not in reader.seen
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    widths = {
        line.replace("\\|", "").count("|") for line in rows if "alert" in line or "slow" in line
    }
    assert widths == {3, 5}


def test_the_same_facts_give_the_same_bytes(facts, tmp_path):
    first, again = (
        digest_folder(write_card(tmp_path / n, facts, language="es")) for n in ("a", "b")
    )
    assert first == again
    assert (
        digest_folder(write_card(tmp_path / "c", replace(facts, owner="Bo"), language="es"))
        != first
    )


def test_an_own_task_and_an_empty_suite_have_a_card_too(facts):
    own = replace(
        facts,
        card={**facts.card, "task": "own"},
        behaviour={"capabilities": [], "failures": []},
        result={**facts.result, "slices": []},
        owner="",
    )
    text = as_markdown(own)
    assert "like those it learned from" in text and "## Behaviour" not in text
    assert "not named in settings.ini" in text


def test_what_was_agreed_stands_beside_what_was_found_in_either_language(facts):
    asked = [
        {"target": "maximum_latency_ms", "value": 20, "unit": "ms", "found": "at most 20 ms"}
        | {"source": "canvas.yaml line 7", "reason": {"en": "a page <waits>", "es": "espera"}},
        {"target": "minimum_rows", "value": 30, "unit": "rows", "found": "300"}
        | {"source": "the setting targets", "reason": {}},
    ]
    told = replace(facts, targets=asked)
    assert "What was agreed" not in as_markdown(facts, "en")
    lines = as_markdown(told, "es").splitlines()
    start = lines.index("## Lo acordado y lo hallado")
    wanted = "| mayor tiempo para un texto (percentil 99) | 20 ms | at most 20 ms |"
    assert lines[start + 4] == f"{wanted} canvas.yaml line 7 | espera |"
    assert (
        lines[start + 5] == "| filas de prueba mínimas | 30 filas | 300 | the setting targets |  |"
    )
    assert "a page &lt;waits&gt;" in as_html(told, "en")
