"""Selections: what was asked for runs, the rest is left alone and says so."""

import pytest

from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.errors import PipelineProblem
from mlops_lab.pipeline.selection import Selection, choose_stages


@pytest.fixture
def run(bench, chain):
    """Run the chain with a selection, and give the state of each stage."""

    def go(**asked):
        end = bench.run(chain, warm=True, **vars(choose_stages(chain, Selection(**asked))))
        return {stage.stage: stage.state for stage in end.stages}, end

    return go


def test_until_runs_what_a_stage_needs_and_stops(bench, run):
    states, end = run(until="double")
    assert states == {"make": "done", "double": "done", "show": "never run"}
    assert end.state == "done" and end.partial
    assert end.stages[2].reason == "not selected"
    finished = ChainLog(bench.settings.workspace / "ledger.jsonl").last("run-finished")
    assert finished.data["not_selected"] == 1 and finished.data["state"] == "done"
    assert run()[0] == {"make": "cached", "double": "cached", "show": "done"}


def test_only_uses_results_from_the_store(run):
    run()
    states, end = run(only=("double",), force=("double",))
    assert states == {"make": "cached", "double": "done", "show": "never run"}
    assert end.state == "done" and (end.folder / "m.txt").read_text() == "6"


def test_only_never_runs_an_earlier_stage(run):
    with pytest.raises(PipelineProblem, match="mlops-lab run --until make"):
        run(only=("double",))
    run(until="make")
    assert run(only=("double",))[0]["double"] == "done"


def test_a_run_that_lacks_a_result_is_concluded_in_the_ledger(bench, run):
    with pytest.raises(PipelineProblem):
        run(only=("show",))
    log = ChainLog(bench.settings.workspace / "ledger.jsonl")
    assert log.last("run-finished").data["state"] == "failed"
    assert {entry.data.get("state") for entry in log.read() if entry.kind == "stage"} == {
        "never run"
    }


def test_from_runs_a_stage_and_all_after_it(run):
    run()
    assert run(start="double")[0] == {"make": "cached", "double": "done", "show": "done"}
    states, _ = run(start="double", until="double")
    assert states == {"make": "cached", "double": "done", "show": "never run"}


def test_force_runs_named_stages_or_all(run):
    run()
    assert run(force=("show",))[0] == {"make": "cached", "double": "cached", "show": "done"}
    assert set(run(force=("all",))[0].values()) == {"done"}


@pytest.mark.parametrize("asked", [{"start": "dubble"}, {"until": "dubble"}, {"only": ("dubble",)}])
def test_unknown_names_come_with_the_nearest(chain, asked):
    with pytest.raises(PipelineProblem, match="did you mean 'double'"):
        choose_stages(chain, Selection(**asked))
