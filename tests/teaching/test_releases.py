import json

import pytest

from mlops_lab.foundation.errors import CourseProblem
from mlops_lab.teaching.lessons import read_lesson
from mlops_lab.teaching.releases import (
    release_lesson,
    solution_lesson,
    write_course,
    write_working_copy,
)


def texts_of(notebook):
    return json.dumps([cell["source"] for cell in notebook["cells"]], ensure_ascii=False)


def test_a_release_holds_no_solution_and_no_hidden_test(lesson_folder):
    for language in ("en", "es"):
        text = texts_of(release_lesson(read_lesson(lesson_folder.path), language))
        assert "2 / 5" not in text and "assert" not in text and "###" not in text
        assert "share = ..." in text


def test_a_solution_holds_both(lesson_folder):
    text = texts_of(solution_lesson(read_lesson(lesson_folder.path), "es"))
    assert "share = 2 / 5" in text and "assert share == 0.4" in text and "###" not in text


def test_texts_comments_and_parameter_speak_the_language(lesson_folder):
    text = texts_of(release_lesson(read_lesson(lesson_folder.path), "es"))
    assert "Dos de cinco." in text and "Two of five." not in text
    assert "ESCRIBE AQUÍ TU CÓDIGO" in text and 'language = \\"es\\"  # en, es' in text


def test_a_made_notebook_is_valid_and_clean(lesson_folder):
    import nbformat

    lesson_folder.cell("share")["outputs"] = [{"output_type": "stream", "text": "2 / 5"}]
    lesson = read_lesson(lesson_folder.write())
    for make in (release_lesson, solution_lesson):
        notebook = make(lesson, "en")
        nbformat.validate(notebook)
        codes = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        assert all(cell["outputs"] == [] for cell in codes)
        assert [cell["id"] for cell in notebook["cells"]] == [c["id"] for c in lesson.cells]
    assert notebook["metadata"]["mlops_lab"]["kind"] == "solution"


def test_locked_cells_cannot_be_edited_by_accident(lesson_folder):
    cells = {c["id"]: c for c in release_lesson(read_lesson(lesson_folder.path))["cells"]}
    assert cells["share-check"]["metadata"]["editable"] is False
    assert "editable" not in cells["share"]["metadata"]


def test_a_written_answer_is_emptied_as_a_whole(lesson_folder):
    kind = {"grade": True, "solution": True, "locked": False, "points": 2}
    lesson_folder.add("markdown", "essay", "Because 42.", **kind)
    with pytest.raises(CourseProblem) as caught:
        read_lesson(lesson_folder.write())
    digest = str(caught.value).split("its digest is ")[1].split()[0]
    lesson_folder.spanish["essay"] = {"english": digest, "text": ["Porque 42."]}
    lesson = read_lesson(lesson_folder.write())
    assert lesson.points == 3
    for language in ("en", "es"):
        assert "42." not in texts_of(release_lesson(lesson, language))
        assert "42." in texts_of(solution_lesson(lesson, language))


def test_unknown_language_is_refused(lesson_folder):
    lesson = read_lesson(lesson_folder.path)
    for make in (release_lesson, solution_lesson):
        with pytest.raises(CourseProblem, match="'pt' is not spoken here"):
            make(lesson, "pt")


def test_a_course_is_written_whole(lesson_folder, tmp_path):
    written = write_course(lesson_folder.path.parents[1], tmp_path / "out")
    names = {path.relative_to(tmp_path / "out").as_posix() for path in written}
    assert names == {
        f"{kind}/{language}/demo/demo.ipynb"
        for kind in ("release", "solution")
        for language in ("en", "es")
    }
    again = {path: path.read_bytes() for path in written}
    write_course(lesson_folder.path.parents[1], tmp_path / "out")
    assert {path: path.read_bytes() for path in written} == again


def test_nothing_is_written_while_one_lesson_is_faulty(lesson_folder, tmp_path):
    lesson_folder.spanish = {}
    lesson_folder.write()
    with pytest.raises(CourseProblem):
        write_course(lesson_folder.path.parents[1], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_empty_course_is_refused(tmp_path):
    with pytest.raises(CourseProblem, match="no lesson in"):
        write_course(tmp_path, tmp_path / "out")


def test_a_working_copy_is_never_overwritten(lesson_folder, tmp_path):
    lesson = read_lesson(lesson_folder.path)
    path = write_working_copy(lesson, tmp_path / "work", language="es")
    assert path.name == "demo.es.ipynb"
    mine = json.loads(path.read_text())
    mine["cells"][2]["source"] = ["share = 0.4"]
    path.write_text(json.dumps(mine))
    before = path.read_bytes()
    assert write_working_copy(lesson, tmp_path / "work", language="es").read_bytes() == before
