"""Data that is poisoned, empty, odd or huge ends in a clear error or in a sane result."""

import json

import numpy as np
import pandas as pd
import pytest
import readme

from mlops_lab.data.world import world_frame

ODD = {
    "right to left": "\u202eevol I this\u202c مرحبا بالعالم",
    "zero width": "lo\u200bve\u200d it\ufeff",
    "combining": "I lo" + "v\u0301" * 300 + "e it",
    "emoji": "👩🏽\u200d👩🏽\u200d👧🏽\u200d👦🏽" * 200,
    "one word": "love" * 30_000,
    "long": "I really love this course and its exams. " * 2_500,
    "controls": "tab\tbell\x07 escape\x1b[31m null",
    "formula": '=HYPERLINK("http://example.org")',
    "markup": "<script>alert(1)</script> | & ${x} {y} %s",
    "full width": "Ｉ ｌｏｖｅ ｉｔ",
    "marks only": "?!¿¡ ... ---",
    "surrogate pair": "𝕀 𝕝𝕠𝕧𝕖 𝕚𝕥",
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return readme.make_clone(tmp_path_factory.mktemp("hostile") / "clone")


@pytest.fixture(scope="module")
def clean():
    """Rows of which a model can learn something."""
    return world_frame(600, seed=3, task="sentiment")[["text", "label"]]


def run(clone, frame, name, *words):
    """Run the pipeline on a file, in a lab of its own."""
    frame.to_csv(clone / f"{name}.csv", index=False)
    asked = ("--data", f"{name}.csv", "--text", "text", "--label", "label", "--json")
    answer = readme.call(clone, "run", *asked, *words, workspace=f".lab-{name}")
    assert answer.stderr == ""
    told = json.loads(answer.stdout)
    return answer.returncode, told, {one["stage"]: one for one in told["stages"]}


def first_failure(stages):
    return next(one for one in stages.values() if one["state"] == "failed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rows", "words"),
    [
        ("one_row", {"text": ["I love it"], "label": ["positive"]}, "1 rows and 1 labels"),
        ("no_label", {"text": ["fine"] * 50, "label": [""] * 50}, "50 rows and 0 labels"),
        ("single", {"text": ["fine", "great"] * 50, "label": ["joy"] * 100}, "1 labels: ['joy']"),
        ("no_text", {"text": [" "] * 50, "label": ["a", "b"] * 25}, "text_present (50)"),
    ],
)
def test_nothing_to_learn_from_is_said_before_any_model(clone, name, rows, words):
    code, told, stages = run(clone, pd.DataFrame(rows), name)
    assert code == 1 and told["champion"] is None
    failed = first_failure(stages)
    assert failed["stage"] in ("ingest", "validate")
    assert failed["reason"].startswith("DataProblem: ") and words in failed["reason"]
    assert "expected: " in failed["reason"] and "try: " in failed["reason"]
    assert stages["gate"]["state"] == "never run"


@pytest.mark.slow
def test_a_label_with_a_single_row_is_told_or_learned(clone, clean):
    rare = clean.copy()
    rare.loc[5, "label"] = "astonished"
    code, _, stages = run(clone, rare, "rare", "--until", "evaluate")
    if code == 1:
        assert "'astonished'" in first_failure(stages)["reason"]
    else:
        assert stages["evaluate"]["state"] == "done"


@pytest.mark.slow
def test_odd_and_huge_texts_are_learned_and_answered(clone, clean):
    rng = np.random.default_rng(1)
    picked = rng.choice(len(clean), size=len(ODD) * 4, replace=False)
    texts = clean["text"].tolist()
    for place, text in zip(picked, list(ODD.values()) * 4, strict=True):
        texts[place] = text
    code, told, stages = run(clone, clean.assign(text=texts), "odd")
    assert code == 0 and told["champion"]["number"] == 1
    assert {one["state"] for one in stages.values()} == {"done"}


@pytest.mark.slow
def test_poisoned_labels_make_no_champion(clone, clean):
    rng = np.random.default_rng(2)
    poisoned = clean.assign(label=rng.permutation(clean["label"].to_numpy()))
    code, told, stages = run(clone, poisoned, "poisoned")
    assert (code, told["state"], told["champion"]) == (3, "refused", None)
    assert "macro-F1" in told["refusals"]["gate"] and stages["deploy"]["state"] == "never run"


@pytest.mark.slow
def test_labels_written_in_the_texts_make_no_champion(clone, clean):
    marked = clean.assign(text=clean["text"] + " __label__" + clean["label"])
    code, told, _ = run(clone, marked, "marked")
    assert (code, told["champion"]) == (3, None)
    assert told["refusals"]["gate"].endswith("is refused: no leak.")
