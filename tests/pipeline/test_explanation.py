"""What would run, and why: the same answer the next run gives."""

from dataclasses import replace

import nbformat
import pytest

from mlops_lab.foundation.errors import PipelineProblem
from mlops_lab.foundation.workspace import open_workspace
from mlops_lab.pipeline.explanation import explain_stage
from mlops_lab.pipeline.options import RunOptions


@pytest.fixture
def explain(bench):
    def ask(pipeline, name, end, **options):
        asked = replace(RunOptions(), **options)
        return explain_stage(
            pipeline, name, settings=bench.settings, run_folder=end.folder, options=asked
        )

    return ask


def change_first_work(path, source):
    notebook = nbformat.read(path, 4)
    notebook.cells[2].source = source
    nbformat.write(notebook, path)


def test_after_a_run_nothing_would_run(bench, chain, explain):
    end = bench.run(chain)
    for stage in end.stages:
        told = explain(chain, stage.stage, end)
        assert told.stored and told.key == stage.key and not told.waits_for and not told.missing
        assert told.lines() == [f"{stage.stage}: in the store, made by {end.run}"]


def test_a_changed_stage_is_named_by_all_that_come_after_it(bench, chain, explain):
    end = bench.run(chain)
    change_first_work(
        bench.folder / "make.ipynb", "_ = stage.output('n.txt').write_text(str(n + 1))"
    )
    first, *_ = explain(chain, "make", end).changes
    assert first.part == "notebook"
    assert explain(chain, "double", end).waits_for == ("make",)
    assert explain(chain, "show", end).waits_for == ("double",)
    ran = [stage.stage for stage in bench.run(chain).stages if stage.state == "done"]
    assert ran == ["make", "double", "show"]


def test_an_older_result_that_fits_again_is_named_by_its_own_run(bench, chain, explain):
    first = bench.run(chain)
    second = bench.run(chain, parameters={"n": 5})
    assert explain(chain, "make", second).made_by == first.run
    assert explain(chain, "make", second, parameters={"n": 5}).made_by == second.run


def test_after_a_failure_the_missing_input_is_named(bench, chain, explain):
    change_first_work(bench.folder / "double.ipynb", "1 / 0")
    end = bench.run(chain)
    told = explain(chain, "show", end)
    assert told.key == "" and not told.stored and told.missing == ("m.txt",)
    assert told.lines() == [
        "show: would run",
        "  it has no result in the store",
        "  after double, which would run",
        "  its input m.txt is not there yet",
    ]


def test_what_a_run_would_refuse_is_refused(bench, chain, explain):
    end = bench.run(chain)
    with pytest.raises(PipelineProblem, match="no stage has the parameter 'm'"):
        explain(chain, "make", end, parameters={"m": 3})
    with pytest.raises(PipelineProblem, match="no stage 'mkae'"):
        explain(chain, "mkae", end)


def test_explaining_changes_nothing(bench, chain, explain):
    end = bench.run(chain)
    lab = open_workspace(bench.settings)
    before = sorted(path for path in lab.root.rglob("*"))
    explain(chain, "show", end, parameters={"n": 7})
    assert sorted(path for path in lab.root.rglob("*")) == before
