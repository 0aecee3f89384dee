"""Cells: code and text that matter differ, what differs in any two runs does not."""

from pathlib import Path

import nbformat
import pytest

from mlops_lab.pipeline.cell_comparison import find_cells, settle_text


def book(path: Path, *cells: tuple, injected: str = "") -> Path:
    made = []
    for number, (source, text, *tags) in enumerate(cells):
        said = nbformat.v4.new_output("stream", name="stdout", text=text)
        cell = nbformat.v4.new_code_cell(source, id=f"c{number}", outputs=[said])
        cell.metadata["tags"] = tags
        made.append(cell)
    if injected:
        cell = nbformat.v4.new_code_cell(injected)
        cell.metadata["tags"] = ["injected-parameters"]
        made.insert(1, cell)
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    return path


def found(tmp_path, old, new, **more):
    paths = book(tmp_path / "old.ipynb", *old), book(tmp_path / "new.ipynb", *new)
    return [(one.cell, one.part) for one in find_cells(*paths, **more)]


def test_code_and_output_are_told_apart(tmp_path):
    old = [("n = 3", ""), ("n", "3")]
    assert found(tmp_path, old, [("n = 4", ""), ("n", "3")]) == [("c0", "code")]
    assert found(tmp_path, old, [("n = 3", ""), ("n", "4")]) == [("c1", "output")]
    assert found(tmp_path, old, old) == []


def test_a_new_cell_does_not_shift_the_rest(tmp_path):
    old = book(tmp_path / "old.ipynb", ("n = 3", ""), ("n", "3"))
    new = nbformat.read(old, 4)
    new.cells.insert(0, nbformat.v4.new_code_cell("import math", id="new"))
    nbformat.write(new, tmp_path / "new.ipynb")
    told = list(find_cells(old, tmp_path / "new.ipynb"))
    assert [(one.cell, one.part) for one in told] == [("new", "code")]
    assert told[0].diff.endswith("+import math")


def test_injected_parameters_are_no_code(tmp_path):
    cells = [("n = 3", ""), ("n", "3")]
    old = book(tmp_path / "old.ipynb", *cells, injected="workspace = '/a'")
    new = book(tmp_path / "new.ipynb", *cells, injected="workspace = '/b'")
    assert list(find_cells(old, new)) == []


def test_a_cell_may_say_that_its_output_varies(tmp_path):
    old, new = [("n", "3", "varying")], [("n", "4", "varying")]
    assert found(tmp_path, old, new) == []
    assert found(tmp_path, old, [("m", "4", "varying")]) == [("c0", "code")]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("at 2026-01-01T10:00:00.123+00:00", "at 2027-02-03T11:12:13.9+00:00"),
        ("2026-01-01 10:00:00", "2026-01-02 10:00:01"),
        ("<f at 0x7f01>", "<f at 0x8a02>"),
        ("run 2026-11-21_09-33-18_a599", "run 2026-11-22_10-00-00_beef"),
        ("id 4b1eddb5a26248089a36343fd5243640", "id bc88cc001ea84ee7b225dcae97b48cc5"),
        ("took 3.2 s", "took 11 ms"),
        ("PosixPath('/labs/one/models')", "PosixPath('/labs/one/two/models')"),
    ],
)
def test_what_differs_between_any_two_runs_is_blotted_out(old, new):
    folders = ("/labs/one", "/labs/one/two")
    assert settle_text(old, *folders) == settle_text(new, *folders)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sha256:" + "a" * 64, "sha256:" + "b" * 64),
        ("3 rows", "4 rows"),
        ("accuracy 0.75", "accuracy 0.76"),
        ("7 labels, 3 seeds", "7 labels, 4 seeds"),
    ],
)
def test_what_matters_is_not_blotted_out(old, new):
    assert settle_text(old) != settle_text(new)
