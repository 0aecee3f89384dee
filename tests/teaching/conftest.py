"""A small lesson that tests may break."""

from pathlib import Path

import pytest

from mlops_lab.foundation.records import digest_bytes, write_json


def make_cell(kind: str, name: str, source: str, **grading: object) -> dict:
    """One cell of a source notebook; grading becomes its nbgrader metadata."""
    nbgrader = {"schema_version": 3, "grade_id": name, "task": False, **grading}
    return {
        "cell_type": kind,
        "id": name,
        "metadata": {"nbgrader": nbgrader} if grading else {},
        "source": source.splitlines(keepends=True),
    }


class LessonFolder:
    """A lesson on disk whose parts can be changed one at a time."""

    def __init__(self, root: Path) -> None:
        self.path = root / "source" / "demo"
        parameters = make_cell("code", "language", 'language = "en"  # en, es')
        parameters["metadata"]["tags"] = ["parameters"]
        self.cells = [
            make_cell("markdown", "title", "# Shares\n\nTwo of five."),
            parameters,
            make_cell(
                "code",
                "share",
                "### BEGIN SOLUTION\nshare = 2 / 5\n### END SOLUTION",
                grade=False,
                solution=True,
                locked=False,
            ),
            make_cell(
                "code",
                "share-check",
                "### BEGIN HIDDEN TESTS\nassert share == 0.4\n### END HIDDEN TESTS\nshare",
                grade=True,
                solution=False,
                locked=True,
                points=1,
            ),
        ]
        digest = digest_bytes(b"# Shares\n\nTwo of five.")
        self.spanish = {
            "title": {"english": digest, "text": ["# Proporciones", "", "Dos de cinco."]}
        }
        self.write()

    def write(self) -> Path:
        write_json(self.path / "demo.ipynb", {"cells": self.cells, "nbformat": 4})
        write_json(self.path / "demo.es.json", self.spanish)
        return self.path

    def add(self, kind: str, name: str, source: str, **grading: object) -> None:
        self.cells.append(make_cell(kind, name, source, **grading))

    def cell(self, name: str) -> dict:
        return next(cell for cell in self.cells if cell["id"] == name)


@pytest.fixture
def lesson_folder(tmp_path: Path) -> LessonFolder:
    return LessonFolder(tmp_path)


@pytest.fixture
def course_folder() -> Path:
    return Path(__file__).parents[2] / "course"
