"""What every command shares: answers, errors, and no borrowing of private names."""

import ast
import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import mlops_lab
from mlops_lab.command_line.terminal import answer, guard, with_json
from mlops_lab.foundation.errors import DataProblem

PACKAGE = Path(mlops_lab.__file__).parent


def call(work, *words):
    """Run a command that does this work."""

    @click.command()
    @with_json
    @guard
    def command(as_json):
        answer(*work(), as_json=as_json)

    return CliRunner().invoke(command, words)


def problem():
    raise DataProblem("no rows", "one row or more", "look into the file")


@pytest.mark.parametrize("facts", [{"a": "ñ"}, [], None, "word", 0])
def test_machines_read_any_fact_and_people_read_lines(facts):
    assert json.loads(call(lambda: (facts, ["a", "b"]), "--json").stdout) == facts
    assert call(lambda: (facts, iter(["a", "b"]))).stdout == "a\nb\n"
    assert call(lambda: (facts, [])).stdout == "\n"


def test_an_error_is_told_to_people_on_the_other_stream_and_to_machines_in_json():
    told = call(problem)
    assert (told.exit_code, told.stdout) == (1, "")
    assert told.stderr.splitlines()[0] == "error: no rows" and "try: look into" in told.stderr
    told = call(problem, "--json")
    assert told.exit_code == 1 and json.loads(told.stdout)["error"] == {
        "kind": "DataProblem",
        "found": "no rows",
        "expected": "one row or more",
        "remedy": "look into the file",
    }


def test_a_mistake_of_our_own_is_not_dressed_up():
    assert isinstance(call(lambda: 1 / 0).exception, ZeroDivisionError)


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*/*.py")), ids=lambda path: path.stem)
def test_no_module_borrows_a_private_name(path):
    borrowed = [
        f"{node.module}.{name.name}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
        if name.name.startswith("_") and not name.name.startswith("__")
    ]
    assert borrowed == []
