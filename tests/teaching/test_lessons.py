import json

import pytest

from mlops_lab.foundation.errors import CourseProblem
from mlops_lab.teaching.lessons import read_lesson


def refuse(folder, *messages):
    with pytest.raises(CourseProblem) as caught:
        read_lesson(folder.write())
    for message in messages:
        assert message in str(caught.value)


def test_a_good_lesson_is_read(lesson_folder):
    lesson = read_lesson(lesson_folder.path)
    assert (lesson.name, lesson.points, lesson.exercises) == ("demo", 1, ["share-check"])
    assert lesson.text(lesson.cells[0], "es") == "# Proporciones\n\nDos de cinco."
    assert lesson.text(lesson.cells[2], "es") == lesson.text(lesson.cells[2], "en")


def test_a_copied_cell_is_named_twice(lesson_folder):
    lesson_folder.cells.append(lesson_folder.cell("share-check") | {"id": "copy"})
    refuse(lesson_folder, "cells 'share-check' and 'copy' share the id 'share-check'")


def test_a_grade_id_may_not_be_another_cells_id(lesson_folder):
    lesson_folder.cell("share-check")["metadata"]["nbgrader"]["grade_id"] = "share"
    refuse(lesson_folder, "share the id 'share'")


def test_unbalanced_markers_name_cell_and_line(lesson_folder):
    lesson_folder.cell("share")["source"] = ["x = 1\n", "### BEGIN SOLUTION\n", "share = 1"]
    refuse(lesson_folder, "cell 'share', line 2: BEGIN SOLUTION is never closed")


@pytest.mark.parametrize(
    ("cell", "changes", "message"),
    [
        ("share", {"solution": False}, "holds a solution but"),
        ("share-check", {"grade": False}, "holds hidden tests but"),
        ("share-check", {"points": "one"}, "gives no points"),
        ("share-check", {"grade_id": "share check"}, "has the grade id 'share check'"),
        ("share-check", {"schema_version": 2}, "without schema 3"),
    ],
)
def test_metadata_that_nbgrader_would_stumble_over(lesson_folder, cell, changes, message):
    lesson_folder.cell(cell)["metadata"]["nbgrader"].update(changes)
    refuse(lesson_folder, f"cell '{cell}'", message)


def test_a_missing_metadata_key_is_named(lesson_folder):
    del lesson_folder.cell("share")["metadata"]["nbgrader"]["locked"]
    refuse(lesson_folder, "nbgrader metadata without locked")


def test_the_language_line_must_exist(lesson_folder):
    lesson_folder.cell("language")["metadata"] = {}
    refuse(lesson_folder, 'no cell tagged parameters says language = "en"')


def test_a_missing_translation_shows_the_digest_to_store(lesson_folder):
    digest = lesson_folder.spanish.pop("title")["english"]
    refuse(lesson_folder, "es: cell 'title' has no translation", digest)


@pytest.mark.parametrize("text", [[], ["", " "]])
def test_an_empty_translation_is_missing(lesson_folder, text):
    lesson_folder.spanish["title"]["text"] = text
    refuse(lesson_folder, "cell 'title' has no translation")


def test_a_stale_translation_is_refused_until_the_new_digest_is_stored(lesson_folder):
    lesson_folder.cell("title")["source"] = ["# Shares of five"]
    with pytest.raises(CourseProblem) as caught:
        read_lesson(lesson_folder.write())
    new_digest = str(caught.value).split("its digest now is ")[1].split()[0]
    lesson_folder.spanish["title"]["english"] = new_digest
    assert read_lesson(lesson_folder.write()).name == "demo"


def test_a_translation_without_a_cell_is_refused(lesson_folder):
    lesson_folder.spanish["gone"] = {"english": "", "text": ["x"]}
    refuse(lesson_folder, "text 'gone' belongs to no cell")


def test_more_than_three_faults_are_counted(lesson_folder):
    for number in range(5):
        lesson_folder.spanish[f"gone-{number}"] = {"english": "", "text": ["x"]}
    refuse(lesson_folder, "; and 2 more")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("demo.ipynb", None, "demo.ipynb cannot be read"),
        ("demo.es.json", None, "demo.es.json cannot be read"),
        ("demo.ipynb", "{", "demo.ipynb is not JSON"),
        ("demo.ipynb", "[]", "no notebook of format 4.5"),
        ("demo.ipynb", '{"cells": [{"cell_type": "code"}]}', "no notebook of format 4.5"),
        ("demo.es.json", "[]", "no notebook of format 4.5"),
    ],
)
def test_broken_files_are_named(lesson_folder, name, content, message):
    path = lesson_folder.path / name
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(CourseProblem) as caught:
        read_lesson(lesson_folder.path)
    assert "lesson demo" in str(caught.value) and message in str(caught.value)


def test_reading_changes_nothing(lesson_folder):
    before = {path: path.read_bytes() for path in lesson_folder.path.iterdir()}
    read_lesson(lesson_folder.path)
    assert {path: path.read_bytes() for path in lesson_folder.path.iterdir()} == before
    assert json.loads(before[lesson_folder.path / "demo.ipynb"])["nbformat"] == 4
