"""Cache truth: which stages run again after which change, on real notebooks.

Four stages: `make` writes rows it computes with helpers, `double` reads them, `side` is independent
of both, `show` reads what double wrote. Each row of the table makes one change after a first run
and names the stages that have to run again: no other may.
"""

import json
import os
import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import nbformat
import pytest
from notebook_bench import Bench, write_stage

from mlops_lab.pipeline import fork_server
from mlops_lab.pipeline.plan import Pipeline, read_pipeline

HELPERS = '''
"""Helpers of the stages."""
import settled
from deeper import scale

LIMIT = 3
UNUSED = 1


def used(n):
    """Give n, scaled."""
    return scale(n) + LIMIT - LIMIT


def unused(n):
    return n


class Adder:
    def __init__(self, step):
        self.step = step

    def add(self, n):
        return n + self.step - self.step


class Other:
    def add(self, n):
        return n
'''
DEEPER = "FACTOR = 1\n\n\ndef scale(n):\n    return n * FACTOR\n\n\ndef far(n):\n    return n\n"
DEFINITION = """
  make:
    notebook: make.ipynb
    parameters: {{n: 3}}
    outside: ["{own}"]
    outputs: [n.txt]
    state: [season]
  double: {{notebook: double.ipynb, inputs: [n.txt], outputs: [m.txt]}}
  side: {{notebook: side.ipynb, outputs: [s.txt]}}
  show: {{notebook: show.ipynb, inputs: [m.txt], outputs: [out/]}}
"""


@dataclass
class Lab:
    """A small project whose stages can be changed."""

    bench: Bench
    folder: Path
    options: dict = field(default_factory=dict)
    season: str = "summer"

    def write(self) -> None:
        """Write notebooks, helpers, a fake package and data."""
        (self.folder / "helpers.py").write_text(HELPERS)
        (self.folder / "deeper.py").write_text(DEEPER)
        (self.folder / "settled.py").write_text("NOTHING = 0\n")
        (self.folder / "own.csv").write_text("text,label\na,b\n")
        work = (
            "import fakery\nfrom helpers import Adder, used",
            "import os\nvalue = Adder(seed).add(used(n))",
            "_ = stage.output('n.txt').write_text(str(value + fakery.ZERO))",
        )
        begin = "n = 3  # rows\nseed = 7  # of chance"
        write_stage(self.folder, "make", *work, parameters=begin)
        double = "value = 2 * int(stage.input('n.txt').read_text())"
        write_stage(
            self.folder, "double", double, "_ = stage.output('m.txt').write_text(str(value))"
        )
        write_stage(self.folder, "side", "_ = stage.output('s.txt').write_text('side')")
        show = "folder = stage.output('out/')\nfolder.mkdir(exist_ok=True)"
        copy = "_ = (folder / 'm.txt').write_text(stage.input('m.txt').read_text())"
        write_stage(self.folder, "show", show, copy)
        self.define()

    def define(self) -> None:
        """Write the definition."""
        text = DEFINITION.format(own=self.folder / "own.csv")
        (self.folder / "pipeline.yaml").write_text("pipeline: truth\nstages:" + text)

    def pipeline(self) -> Pipeline:
        """Read the definition."""
        return read_pipeline(self.folder, {})

    def run(self):
        """Run everything."""
        probes = {"season": lambda *_: self.season}
        return self.bench.run(self.pipeline(), probes=probes, **self.options)

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a piece of a text file that must be there."""
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) == 1, (file, old)
        path.write_text(text.replace(old, new))

    def cell(self, stage: str, old: str, new: str) -> None:
        """Replace a piece of a code cell that must be there."""
        path = self.folder / f"{stage}.ipynb"
        notebook = nbformat.read(path, 4)
        found = [cell for cell in notebook.cells if old in cell.source]
        assert len(found) == 1, (stage, old)
        found[0].source = found[0].source.replace(old, new)
        nbformat.write(notebook, path)


def install(folder: Path, version: str) -> None:
    """Put a distribution named fakery on the path."""
    for old in folder.glob("fakery*"):
        shutil.rmtree(old)
    (folder / "fakery").mkdir(parents=True)
    (folder / "fakery" / "__init__.py").write_text("ZERO = 0\n")
    info = folder / f"fakery-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fakery\nVersion: {version}\n")
    (info / "top_level.txt").write_text("fakery\n")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One warm process for all rows, so that a row takes well under a second."""
    log = tmp_path_factory.mktemp("server") / "server.log"
    started = fork_server.ForkServer(["mlops_lab.pipeline.stage"], log)
    yield started
    started.close()


@pytest.fixture
def truth(bench, server, tmp_path, monkeypatch):
    """A project that ran once."""
    packages = tmp_path / "packages"
    install(packages, "1.0")
    monkeypatch.syspath_prepend(str(packages))
    monkeypatch.setenv("PYTHONPATH", f"{packages}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr("mlops_lab.pipeline.runner.WarmForks", lambda *_, **__: Kept(server))
    made = Lab(bench, bench.folder)
    made.write()
    first = made.run()
    assert {one.state for one in first.stages} == {"done"}, first.stages
    made.first, made.packages, made.patch = first, packages, monkeypatch
    return made


class Kept:
    """Stands for the warm processes of a run, and keeps them."""

    def __init__(self, server):
        self._server = server

    def find(self, stage, lend=None):
        return self._server, ""

    def close(self):
        return None


CHANGES = {}


def row(*expected: str):
    """Note a change with the stages that have to run again."""
    return lambda change: CHANGES.setdefault(change.__name__, (change, set(expected)))


@row()
def nothing(truth):
    pass


@row()
def comment(truth):
    truth.cell("double", "value = 2", "# twice\nvalue = 2")


@row()
def markdown(truth):
    path = truth.folder / "double.ipynb"
    notebook = nbformat.read(path, 4)
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell("# Title"))
    nbformat.write(notebook, path)


@row()
def whitespace(truth):
    truth.cell("double", "value = 2 * int", "value = (2 *\n    int")
    truth.cell("double", ".read_text())", ".read_text()))")


@row()
def output_of_a_cell(truth):
    path = truth.folder / "double.ipynb"
    notebook = nbformat.read(path, 4)
    notebook.cells[2].outputs = [nbformat.v4.new_output("stream", text="6")]
    notebook.cells[2].execution_count = 9
    nbformat.write(notebook, path)


@row("double")
def code_with_the_same_result(truth):
    truth.cell("double", "2 * int", "(1 + 1) * int")


@row("double", "show")
def code_with_another_result(truth):
    truth.cell("double", "2 * int", "3 * int")


@row("make")
def cell_split(truth):
    truth.cell("make", "import os\nvalue", "import sys\nimport os\nvalue")


@row("make")
def helper_used(truth):
    truth.edit("helpers.py", "return scale(n) + LIMIT - LIMIT", "return scale(n)")


@row()
def helper_not_used(truth):
    truth.edit("helpers.py", "def unused(n):\n    return n", "def unused(n):\n    return n + 1")


@row("make", "double", "show")
def helper_of_a_helper(truth):
    truth.edit("deeper.py", "return n * FACTOR", "return n * FACTOR + 1")


@row()
def helper_of_a_helper_not_used(truth):
    truth.edit("deeper.py", "def far(n):\n    return n", "def far(n):\n    return n + 1")


@row()
def docstring_of_a_helper(truth):
    truth.edit("helpers.py", '"""Give n, scaled."""', '"""Give n as it should be."""')


@row()
def comment_in_a_helper(truth):
    truth.edit("helpers.py", "LIMIT = 3\n", "LIMIT = 3  # rows\n")


@row("make")
def constant_used(truth):
    truth.edit("helpers.py", "LIMIT = 3\n", "LIMIT = 4\n")


@row()
def constant_not_used(truth):
    truth.edit("helpers.py", "UNUSED = 1\n", "UNUSED = 2\n")


@row("make", "double", "show")
def constant_of_a_helper_of_a_helper(truth):
    truth.edit("deeper.py", "FACTOR = 1\n", "FACTOR = 2\n")


@row("make")
def method_of_a_class_used(truth):
    truth.edit("helpers.py", "return n + self.step - self.step", "return n")


@row()
def method_of_a_class_not_used(truth):
    truth.edit("helpers.py", "class Other:\n    def add(self, n):\n        return n\n", "")


@row()
def helper_moved_in_its_file(truth):
    truth.edit("helpers.py", "def unused(n):\n    return n\n", "")
    with open(truth.folder / "helpers.py", "a") as file:
        file.write("\n\ndef unused(n):\n    return n\n")


@row("make")
def module_changed_that_is_only_imported(truth):
    truth.edit("settled.py", "NOTHING = 0\n", "NOTHING = 0\nprint('at import')\n")


@row("make")
def data_byte(truth):
    truth.edit("own.csv", "a,b", "a,c")


@row("make")
def data_byte_with_the_same_size_and_time(truth):
    path = truth.folder / "own.csv"
    stat = path.stat()
    path.write_text("text,label\na,c\n")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@row()
def data_touched(truth):
    os.utime(truth.folder / "own.csv", (1, 1))


@row("make")
def data_gone(truth):
    (truth.folder / "own.csv").unlink()


@row()
def data_put_back(truth):
    path = truth.folder / "own.csv"
    before = path.read_text()
    path.write_text("text,label\n")
    truth.run()
    path.write_text(before)


@row()
def notebook_touched(truth):
    os.utime(truth.folder / "make.ipynb", (1, 1))


@row()
def helper_touched(truth):
    os.utime(truth.folder / "deeper.py", (1, 1))


@row("make", "double", "show")
def helper_with_the_same_size_and_time(truth):
    path = truth.folder / "deeper.py"
    stat = path.stat()
    path.write_text(DEEPER.replace("FACTOR = 1", "FACTOR = 2"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@row("make")
def package_version(truth):
    install(truth.packages, "1.1")


@row()
def package_not_used(truth):
    info = truth.packages / "other-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 2.0\n")


@row("make", "double", "side", "show")
def python_version(truth):
    truth.patch.setattr(sys, "version", "3.99.0 (planted)")


@row()
def environment_variable_not_read(truth):
    truth.patch.setenv("SOMETHING_ELSE", "1")


@row()
def parameter_equal_by_value(truth):
    truth.options = {"parameters": {"n": 3}}


@row("make", "double", "show")
def parameter(truth):
    truth.options = {"parameters": {"n": 4}}


@row("make", "double", "show")
def parameter_in_the_definition(truth):
    truth.edit("pipeline.yaml", "parameters: {n: 3}", "parameters: {n: 4}")


@row()
def default_of_a_parameter_that_is_given(truth):
    truth.cell("make", "n = 3  # rows", "n = 5  # rows")


@row("make")
def default_of_a_parameter_that_is_not_given(truth):
    truth.cell("make", "seed = 7", "seed = 8")


@row("make")
def seed(truth):
    truth.options = {"parameters": {"seed": 8}}


@row()
def remark_of_a_parameter(truth):
    truth.cell("make", "# of chance", "# start of every random choice")


@row("make")
def lab_state(truth):
    truth.season = "winter"


@row()
def notebook_renamed(truth):
    (truth.folder / "double.ipynb").rename(truth.folder / "twice.ipynb")
    truth.edit("pipeline.yaml", "double.ipynb", "twice.ipynb")


@row()
def stages_in_another_order(truth):
    truth.edit("pipeline.yaml", "  side: {notebook: side.ipynb, outputs: [s.txt]}\n", "")
    truth.edit(
        "pipeline.yaml", "stages:\n", "stages:\n  side: {notebook: side.ipynb, outputs: [s.txt]}\n"
    )


@row()
def timeout_and_retries(truth):
    truth.edit("pipeline.yaml", "inputs: [n.txt]", "inputs: [n.txt], timeout_s: 99, retries: 1")


@row("more")
def stage_added(truth):
    write_stage(truth.folder, "more", "stage.input('s.txt').read_text()")
    with open(truth.folder / "pipeline.yaml", "a") as file:
        file.write("  more: {notebook: more.ipynb, inputs: [s.txt]}\n")


@row()
def stage_removed(truth):
    truth.edit("pipeline.yaml", "  side: {notebook: side.ipynb, outputs: [s.txt]}\n", "")


@row("double")
def input_declared_in_addition(truth):
    truth.edit("pipeline.yaml", "inputs: [n.txt]", "inputs: [n.txt, s.txt]")


@row()
def output_of_an_earlier_run_deleted(truth):
    (truth.first.folder / "out" / "m.txt").unlink()


@row()
def earlier_run_deleted(truth):
    shutil.rmtree(truth.first.folder)


@row("double")
def output_changed_by_hand_in_an_earlier_run(truth):
    path = truth.first.folder / "m.txt"  # the same file as the object in the store
    stat = path.stat()
    path.chmod(0o644)
    path.write_text("7")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    path.chmod(0o444)


@row("double")
def object_deleted_from_the_store(truth):
    results = truth.bench.settings.workspace / "store" / "results"
    found = [json.loads(path.read_text()) for path in results.glob("*.json")]
    digest = next(one for one in found if one["stage"] == "double")["files"]["m.txt"]
    name = digest.removeprefix("sha256:")
    (truth.bench.settings.workspace / "store" / "objects" / name[:2] / name[2:]).unlink()


@row("double")
def result_in_the_store_torn(truth):
    results = truth.bench.settings.workspace / "store" / "results"
    for path in results.glob("*.json"):
        if json.loads(path.read_text())["stage"] == "double":
            path.write_bytes(path.read_bytes()[:-40])


@row()
def workspace_moved(truth):
    moved = truth.bench.settings.workspace.with_name("elsewhere")
    truth.bench.settings.workspace.rename(moved)
    truth.bench.settings = replace(truth.bench.settings, workspace=moved)


@pytest.mark.parametrize("name", CHANGES)
def test_only_what_a_change_reaches_runs_again(truth, name):
    change, expected = CHANGES[name]
    change(truth)
    end = truth.run()
    states = {one.stage: one.state for one in end.stages}
    assert set(states.values()) <= {"done", "cached"}, end.stages
    assert {stage for stage, state in states.items() if state == "done"} == expected
    again = truth.run()
    assert {one.state for one in again.stages} == {"cached"}
    for path in ("n.txt", "m.txt", "out/m.txt"):
        assert (again.folder / path).read_bytes() == (end.folder / path).read_bytes()


def test_the_table_is_long_enough():
    assert len(CHANGES) >= 25 and sys.version_info >= (3, 11)
