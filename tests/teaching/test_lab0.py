"""Every lesson of the course, and what Lab 0 answers to the mistakes learners make."""

import ast
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_lab.command_line.doctor import examine
from mlops_lab.data.world import world_frame
from mlops_lab.foundation.records import digest_json
from mlops_lab.foundation.settings import read_settings
from mlops_lab.teaching.checks import open_checks, read_checks
from mlops_lab.teaching.lessons import read_lesson
from mlops_lab.teaching.markers import split_regions
from mlops_lab.teaching.releases import release_lesson, solution_lesson

PROJECT = Path(__file__).parents[2]
LESSONS = sorted(path.parent for path in (PROJECT / "course" / "source").glob("*/*.ipynb"))


def source_of(cell):
    return "".join(cell["source"])


def code_of(lesson):
    return [cell for cell in lesson.cells if cell["cell_type"] == "code"]


@pytest.fixture(params=LESSONS, ids=lambda folder: folder.name)
def lesson(request):
    return read_lesson(request.param)


def test_the_course_has_a_first_lab():
    assert [folder.name for folder in LESSONS][0] == "lab0"


def test_each_exercise_has_its_check_and_each_check_its_exercise(lesson):
    calls = re.findall(r'\bcheck\("(\w+)", (\w+)', "\n".join(map(source_of, code_of(lesson))))
    assert [name for name, _ in calls] == list(read_checks(lesson.folder))
    assert all(name == answer for name, answer in calls)
    assert len(calls) == len(lesson.exercises) <= 10


def test_a_check_stands_directly_under_its_answer(lesson):
    grading = [cell["metadata"].get("nbgrader", {}) for cell in lesson.cells]
    for before, here in zip(grading, grading[1:], strict=False):
        assert not here.get("grade") or before.get("solution"), here["grade_id"]


def test_releases_show_no_solution_and_no_hidden_test(lesson):
    regions = [region for cell in code_of(lesson) for region in split_regions(source_of(cell))]
    secrets = [line.strip() for one in regions if one.kind for line in one.lines if line.strip()]
    assert len(secrets) >= len(lesson.exercises)
    for language in ("en", "es"):
        released = "\n".join(map(source_of, release_lesson(lesson, language)["cells"]))
        assert not [line for line in secrets if line in released]
        assert "###  " not in released and "### BEGIN" not in released


def test_code_carries_no_words_that_would_need_a_translation(lesson):
    for cell in code_of(lesson):
        comments = [line for line in source_of(cell).split("\n") if "# " in line]
        allowed = ("### BEGIN", "### END", 'language = "en"  # en, es')
        assert all(line.startswith(allowed) for line in comments), cell["id"]


def test_cells_are_small_and_texts_are_of_lesson_length(lesson):
    for cell in code_of(lesson):
        lines = [line for line in source_of(cell).split("\n") if not line.startswith("###")]
        assert len(lines) <= 6 or cell["id"] == "imports", cell["id"]
    markdown = [cell for cell in lesson.cells if cell["cell_type"] == "markdown"]
    for language in ("en", "es"):
        words = {cell["id"]: len(lesson.text(cell, language).split()) for cell in markdown}
        assert 1500 <= sum(words.values()) <= 2600
        assert all(45 <= count <= 160 for name, count in words.items() if name.endswith("-idea"))


def test_both_languages_have_the_same_code_words_and_structure(lesson):
    for cell in lesson.cells:
        if cell["cell_type"] == "markdown":
            english, spanish = lesson.text(cell, "en"), lesson.text(cell, "es")
            assert english != spanish
            for pattern in (r"^#+ ", r"^\| ", r"<details>", r"\*\*[a-c1-5]\.?\*\*"):
                found = [len(re.findall(pattern, text, re.M)) for text in (english, spanish)]
                assert found[0] == found[1], (cell["id"], pattern)


def test_a_lesson_defines_no_name_of_the_package(lesson):
    exported = set()
    for path in (PROJECT / "mlops_lab").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                exported |= set(ast.literal_eval(node.value))
    assert len(exported) > 40
    code = "\n".join(map(source_of, code_of(lesson)))
    stored = {
        node.id
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    blocks = (ast.FunctionDef, ast.ClassDef)
    defined = {node.name for node in ast.walk(ast.parse(code)) if isinstance(node, blocks)}
    assert len(stored) > 10 and not (stored | defined) & exported


# What learners do wrong in Lab 0: the answer, and a word of the step the card must offer.


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    occupied = tmp_path_factory.mktemp("lab0") / "a-file"
    occupied.write_text("not a folder")
    healthy = replace(read_settings(PROJECT, environ={}), workspace=occupied.parent / "lab")
    messages = world_frame(200, seed=7, task="emotion")
    entry = {"model": "tfidf_logistic", "macro_f1": 0.61}
    return {
        "healthy": examine(healthy),
        "sick": examine(replace(healthy, workspace=occupied)),
        "messages": messages,
        "puzzle": messages.head(5).reset_index(drop=True),
        "labels": sorted(set(messages["label"])),
        "entry": entry,
        "honest": '{"macro_f1":0.61}\n{"by":"Ana"}\n',
        "record": {"stage": "ingest", "headline": "200 messages.", "parameters": {"rows": 200}},
    }


def judge(name, answer, facts, language="en"):
    wanted = {
        "balance": {"messages": facts["messages"]},
        "spanish_share": {"messages": facts["messages"]},
        "guesses": {"puzzle": facts["puzzle"], "labels": facts["labels"]},
        "new_digest": {"old_digest": digest_json(facts["entry"])},
        "forged": {"honest": facts["honest"]},
    }
    folder = PROJECT / "course" / "source" / "lab0"
    return open_checks("lab0", language=language, folder=folder)(
        name, answer, **wanted.get(name, {})
    )


def workspace_of(findings):
    return next(item for item in findings if item.name == "workspace")


def settings_of(**overrides):
    return read_settings(
        PROJECT, environ={f"MLOPS_LAB_{k.upper()}": v for k, v in overrides.items()}
    )


RIGHT = {
    "complaint": lambda f: workspace_of(f["sick"]),
    "staging": lambda f: read_settings(PROJECT, section="staging", environ={}),
    "quick": lambda f: settings_of(rows="200", language="es"),
    "balance": lambda f: f["messages"]["label"].value_counts(),
    "spanish_share": lambda f: (f["messages"]["language"] == "es").mean(),
    "guesses": lambda f: ["joy", "fear", "anger", "neutral", "sadness"],
    "new_digest": lambda f: digest_json(f["entry"] | {"macro_f1": 0.62}),
    "forged": lambda f: f["honest"].replace("0.61", "0.91"),
    "ingest_record": lambda f: f["record"],
    "quiz": lambda f: {1: "b", 2: "a", 3: "c", 4: "b", 5: "a"},
}

ALSO_RIGHT = [
    ("balance", lambda f: f["messages"].groupby("label").size()),
    ("balance", lambda f: f["messages"]["label"].value_counts().to_dict()),
    ("spanish_share", lambda f: round((f["messages"]["language"] == "es").mean(), 2)),
    ("guesses", lambda f: ("joy",) * 5),
    ("quiz", lambda f: {1: "B", 2: " a", 3: "C", 4: "b", 5: "a"}),
]

WRONG = [
    ("complaint", lambda f: [workspace_of(f["sick"])], "`[0]`"),
    ("complaint", lambda f: workspace_of(f["sick"]).remedy, "examine(sick)"),
    ("complaint", lambda f: f["sick"][0], "`name`"),
    ("complaint", lambda f: workspace_of(f["healthy"]), "`sick`"),
    ("staging", lambda f: 8081, "whole answer"),
    ("staging", lambda f: read_settings(PROJECT, environ={}), "section"),
    ("staging", lambda f: read_settings(PROJECT, section="prod", environ={}), "section"),
    ("quick", lambda f: 200, "whole answer"),
    ("quick", lambda f: settings_of(), "MLOPS_LAB_ROWS"),
    ("quick", lambda f: settings_of(language="es"), "MLOPS_LAB_ROWS"),
    ("quick", lambda f: settings_of(rows="200"), "second"),
    ("quick", lambda f: settings_of(rows="200", language="es", env="test"), "section alone"),
    ("balance", lambda f: f["messages"]["label"].value_counts(normalize=True), "shares"),
    ("balance", lambda f: f["messages"]["language"].value_counts(), "column `label`"),
    ("balance", lambda f: f["messages"]["label"].unique(), "hint"),
    ("balance", lambda f: len(f["messages"]), "hint"),
    ("balance", lambda f: f["messages"].head(100)["label"].value_counts(), "add up to 100"),
    ("balance", lambda f: f["messages"]["label"].value_counts()[1:], "add up"),
    ("balance", lambda f: dict(zip(f["labels"], [26, *[29] * 6], strict=True)), "Count again"),
    ("spanish_share", lambda f: (f["messages"]["language"] == "es").sum(), "percentage"),
    ("spanish_share", lambda f: 100 * (f["messages"]["language"] == "es").mean(), "percentage"),
    ("spanish_share", lambda f: (f["messages"]["language"] == "en").mean(), "English"),
    ("spanish_share", lambda f: f["messages"]["language"] == "es", "one number"),
    ("spanish_share", lambda f: "40 %", "one number"),
    ("spanish_share", lambda f: True, "one number"),
    ("spanish_share", lambda f: 0.2, "over all messages"),
    ("guesses", lambda f: "joy", "square brackets"),
    ("guesses", lambda f: ["joy"] * 4, "You gave 4"),
    ("guesses", lambda f: ["joy", "happy", "anger", "Fear", "neutral"], "happy, Fear"),
    ("guesses", lambda f: [1, 2, 3, 4, 5], "lower case"),
    ("new_digest", lambda f: f["entry"] | {"macro_f1": 0.62}, "not the record"),
    ("new_digest", lambda f: "0.62", "by hand"),
    ("new_digest", lambda f: digest_json(f["entry"]), "Change `macro_f1`"),
    ("new_digest", lambda f: digest_json(f["entry"] | {"macro_f1": "0.62"}), "as a number"),
    ("new_digest", lambda f: digest_json({"macro_f1": 0.62}), "the model's name"),
    ("forged", lambda f: Path("history.jsonl"), "Start from `honest`"),
    ("forged", lambda f: f["honest"], "Nothing was changed"),
    ("forged", lambda f: f["honest"].replace("0.61", "0,91"), "not there yet"),
    ("forged", lambda f: "0.91", "More was changed"),
    ("forged", lambda f: f["honest"].replace("0.61", "0.91").replace("Ana", "Eve"), "leaves the"),
    ("ingest_record", lambda f: Path("records/ingest.json"), "read_json"),
    ("ingest_record", lambda f: "records/ingest.json", "read_json"),
    ("ingest_record", lambda f: {"rows": 200}, "`ingest.json`"),
    ("ingest_record", lambda f: f["record"] | {"stage": "prepare"}, "`run_folder`"),
    ("ingest_record", lambda f: f["record"] | {"parameters": {"rows": 12000}}, "`run_folder`"),
    ("quiz", lambda f: list("bacba"), "Keep the dictionary"),
    ("quiz", lambda f: {1: "b", 2: "a", 3: "c", 4: "b", 5: "d"}, "in quotes"),
    ("quiz", lambda f: {1: "b", 2: "b", 3: "c", 4: "a", 5: "a"}, "question 2, 4"),
    ("quiz", lambda f: dict.fromkeys(range(1, 6), "a"), "question 1, 3, 4"),
]


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize(("name", "answer"), [*RIGHT.items(), *ALSO_RIGHT])
def test_right_answers_pass(facts, name, answer, language):
    card = judge(name, answer(facts), facts, language)
    assert card.passed, card
    assert not re.search(r"\{\w+\}", repr(card)), "a value of the text is missing"


@pytest.mark.parametrize(("name", "answer", "step"), WRONG)
def test_wrong_answers_get_the_fitting_step_and_do_not_pass(facts, name, answer, step):
    card = judge(name, answer(facts), facts)
    assert card.state == "not_yet" and step in card.rows[2][1]
    spanish = judge(name, answer(facts), facts, "es")
    assert spanish.state == "not_yet" and spanish.rows[2][1] != card.rows[2][1]
    for told in (card, spanish):
        assert not re.search(r"\{\w+\}", repr(told)), "a value of the text is missing"


def test_every_rule_of_lab0_is_reached_by_a_wrong_answer(facts):
    told = {judge(name, answer(facts), facts).rows[1] for name, answer, _ in WRONG}
    checks = read_checks(PROJECT / "course" / "source" / "lab0")
    silent = [
        f"{name}: {rule['holds']}"
        for name, check in checks.items()
        for rule in check["rules"]
        if not any(
            re.fullmatch(re.sub(r"\\{\w+\\}", ".*", re.escape(rule["expected"]["en"])), text)
            for _, text in told
        )
    ]
    assert silent == []


def test_no_step_tells_the_answer(facts):
    for name, answer, _ in WRONG:
        said = " ".join(text for _, text in judge(name, answer(facts), facts).rows[1:])
        share = (facts["messages"]["language"] == "es").mean()
        assert str(share) not in said and "value_counts" not in said
        assert digest_json(facts["entry"] | {"macro_f1": 0.62}) not in said
        assert not re.search(r"\b\d: '?[abc]\b", said)


# Papermill runs the notebooks themselves.


def run_lab0(make, language, folder, monkeypatch):
    from papermill import execute_notebook

    from mlops_lab.teaching.releases import _write_notebook

    monkeypatch.setenv("MLOPS_LAB_WORKSPACE", str(folder / "lab"))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    source = _write_notebook(folder / "lab0.ipynb", make(read_lesson(LESSONS[0]), language))
    ran = execute_notebook(source, folder / "ran.ipynb", progress_bar=False, cwd=str(PROJECT))
    outputs = {
        cell["id"]: json.dumps(cell.get("outputs", []), ensure_ascii=False) for cell in ran.cells
    }
    # ten seconds on a quiet machine, twice that while tests run side by side
    slow = [cell["id"] for cell in ran.cells if cell.metadata.papermill.get("duration", 0) > 20]
    assert slow == [] and not [name for name, text in outputs.items() if '"stderr"' in text]
    return outputs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "10 of 10 exercises solved"), ("es", "10 de 10 ejercicios resueltos")],
)
def test_the_solution_runs_green_in_both_languages(language, words, tmp_path, monkeypatch):
    outputs = run_lab0(solution_lesson, language, tmp_path, monkeypatch)
    assert words in outputs["done-demo"]
    assert "line 1 of history.jsonl was changed" in outputs["chain-caught"]
    assert "image/png" in outputs["picture-demo"]


@pytest.mark.slow
def test_an_unanswered_release_runs_to_its_end_and_waits(tmp_path, monkeypatch):
    outputs = run_lab0(release_lesson, "es", tmp_path, monkeypatch)
    checks = [text for name, text in outputs.items() if name.endswith("-check")]
    assert len(checks) == 10 and all("Falta tu respuesta" in text for text in checks)
    assert "0 de 10 ejercicios resueltos" in outputs["done-demo"]
