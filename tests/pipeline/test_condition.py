"""A stage runs only if an earlier stage decided so, and a run tells refusals from failures."""

import pytest

from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.errors import PipelineProblem
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.pipeline.comparison import compare_runs
from mlops_lab.pipeline.explanation import explain_stage
from mlops_lab.pipeline.history import find_run
from mlops_lab.pipeline.options import RunOptions
from mlops_lab.pipeline.report import write_report
from mlops_lab.pipeline.reproduction import reproduce_run

DEFINITION = """  make: {notebook: make.ipynb, outputs: [n.txt]}
  judge:
    notebook: judge.ipynb
    inputs: [n.txt]
    outputs: [judged.txt]
    decides: {good: "n is too small", verdict: the judge said no}
  use: {notebook: use.ipynb, inputs: [judged.txt], outputs: [used.txt], only_if: [judge.good]}
  show: {notebook: show.ipynb, inputs: [used.txt]}
  list: {notebook: list.ipynb, inputs: [n.txt]}
"""
FINISH = "_ = stage.finish(headline='judged', facts={facts}, verdict={verdict})"
LAST = "\nstage.finish(headline='judge')"


@pytest.fixture
def define(bench):
    """Define a pipeline whose second stage decides whether the third and fourth run."""

    def write(facts="{'good': n > 2}", verdict="{'passed': n > 2, 'reasons': []}", **changes):
        bench.stage("make", "_ = stage.output('n.txt').write_text(str(n))", parameters="n = 3")
        path = bench.stage("judge", "n = int(stage.input('n.txt').read_text())")
        text = path.read_text().replace("stage.finish(headline='judge')", "FINISH")
        work = "_ = stage.output('judged.txt').write_text('1')\\n"
        path.write_text(text.replace("FINISH", work + FINISH.format(facts=facts, verdict=verdict)))
        bench.stage(
            "use", "stage.input('judged.txt')", "_ = stage.output('used.txt').write_text('1')"
        )
        bench.stage("show", "stage.input('used.txt')")
        bench.stage("list", "stage.input('n.txt')")
        definition = DEFINITION
        for old, new in changes.items():
            definition = definition.replace(old, new)
        return bench.define(definition)

    return write


def states(end):
    return {stage.stage: stage.state for stage in end.stages}


GOOD = {"make": "done", "judge": "done", "use": "done", "show": "done", "list": "done"}
LEFT_OUT = GOOD | {"use": "never run", "show": "never run"}


def test_a_true_fact_lets_all_stages_run_and_come_from_the_store(bench, define):
    pipeline = define()
    assert states(bench.run(pipeline)) == GOOD
    assert bench.run(pipeline).state == "cached"


def test_a_verdict_that_is_no_ends_in_a_refusal_and_not_in_a_failure(bench, define):
    end = bench.run(define(), parameters={"n": 1})
    assert end.state == "refused" and states(end) == LEFT_OUT
    for stage in end.stages[2:4]:
        assert (stage.reason, stage.condition) == ("n is too small", "judge.good")
        assert stage.refused and stage.settled and not stage.passed


def test_a_refusal_repeats_from_the_store_and_yields_to_other_values(bench, define):
    pipeline = define()
    first = bench.run(pipeline, parameters={"n": 1})
    again = bench.run(pipeline, parameters={"n": 1})
    ran = {name: state.replace("done", "cached") for name, state in LEFT_OUT.items()}
    assert again.state == "refused" and states(again) == ran
    assert compare_runs(first.folder, again.folder).equal
    good = bench.run(pipeline, parameters={"n": 5})
    assert good.state == "done" and states(good) == GOOD
    back = bench.run(pipeline, parameters={"n": 1})
    assert back.state == "refused" and states(back)["use"] == "never run"


def test_a_branch_that_is_not_taken_is_no_refusal(bench, define):
    pipeline = define(verdict="{'passed': True, 'reasons': []}")
    end = bench.run(pipeline, parameters={"n": 1})
    assert end.state == "done" and states(end) == LEFT_OUT
    assert bench.run(pipeline, parameters={"n": 1}).state == "cached"


def test_the_verdict_itself_may_be_asked_for(bench, define):
    end = bench.run(define(**{"[judge.good]": "[judge.verdict]"}), parameters={"n": 2})
    assert end.state == "refused" and end.stages[2].reason == "the judge said no"


@pytest.mark.parametrize(
    "facts, verdict, words",
    [
        ("{}", "{'passed': True, 'reasons': []}", "says good = None"),
        ("{'good': 1}", "{'passed': True, 'reasons': []}", "says good = 1"),
        ("{'good': True}", "None", "says verdict = None"),
    ],
)
def test_a_stage_that_does_not_decide_what_it_declares_fails(bench, define, facts, verdict, words):
    end = bench.run(define(facts, verdict))
    assert end.state == "failed" and states(end)["judge"] == "failed"
    assert words in end.stages[1].reason


def test_a_result_from_before_the_fact_was_declared_is_made_again(bench, define):
    assert (
        bench.run(define(**{"    decides:": "    #", ", only_if: [judge.good]": ""})).state
        == "done"
    )
    again = bench.run(define())
    assert states(again)["judge"] == "done" and "good" in again.stages[1].reason


def test_a_failure_beside_a_refusal_is_a_failure(bench, define):
    pipeline = define()
    bench.stage("list", "1 / 0")
    end = bench.run(pipeline, parameters={"n": 1}, jobs=1)
    assert end.state == "failed" and states(end)["list"] == "failed"


MISTAKES = {
    "[judge.good]": [
        ("[jugde.good]", "line 9: stage 'use' asks the unknown stage 'jugde'", "'judge'"),
        ("[judge.god]", "line 9: stage 'use' asks for 'god', which 'judge' does not", "'good'"),
        ("[list.good]", "line 9: stage 'use' asks 'list', which it does not wait", "judge, make"),
        ("[use.good]", "line 9: stage 'use' asks 'use', which it does not wait for", "judge, make"),
        ("[good]", "line 9: stage 'use' has only_if: good", "stage.fact"),
        ("judge.good", "line 9: stage 'use' has only_if = 'judge.good'", "a list"),
    ],
    '{good: "n is too small"': [
        ("{good: true", "line 8: decides good = True", "what is told if it is false"),
        ("{good: ''", "line 8: decides good = ''", "what is told if it is false"),
    ],
}


@pytest.mark.parametrize(
    "old, new, found, expected", [(old, *row) for old, rows in MISTAKES.items() for row in rows]
)
def test_a_mistake_is_told_by_its_line_before_anything_starts(define, old, new, found, expected):
    with pytest.raises(PipelineProblem) as caught:
        define(**{old: new})
    assert found in caught.value.found and expected in caught.value.expected


def test_ledger_status_and_report_tell_the_refusal(bench, define):
    end = bench.run(define(), parameters={"n": 1})
    lab = Workspace(bench.settings.workspace)
    assert ChainLog(lab.ledger).last("run-finished").data["state"] == "refused"
    run = find_run(lab)
    assert run.state == "refused" and run.stages["show"]["condition"] == "judge.good"
    page = write_report(lab, run, title="Bench").read_text()
    assert "What was refused</h2><p>n is too small</p>" in page
    assert "What went wrong" not in page and "(judge.good is false)" in page
    assert end.folder == lab.run(run.run)


def test_explain_says_what_keeps_a_stage_from_running(bench, define):
    pipeline = define()
    end = bench.run(pipeline, parameters={"n": 1})

    def explain(name, **given):
        asked = {"settings": bench.settings, "run_folder": end.folder}
        return explain_stage(pipeline, name, options=RunOptions(given), **asked)

    assert explain("show", n=1).lines() == [
        "show: would never run: n is too small (judge.good is false)"
    ]
    later = explain("use", n=5)
    assert later.undecided == ("judge.good",) and "  only if judge.good is true" in later.lines()
    assert not explain("list", n=1).unmet and explain("list", n=1).stored


def test_a_stage_that_may_only_come_from_the_store_but_was_refused_is_not_missing(bench, define):
    pipeline, names = define(), frozenset(GOOD)
    bench.run(pipeline, parameters={"n": 1})
    end = bench.run(pipeline, parameters={"n": 1}, stages=names, stored=names - {"show"})
    assert end.state == "refused"


def test_a_refused_run_is_reproduced_as_refused(bench, define):
    end = bench.run(define(), parameters={"n": 1})
    lab = Workspace(bench.settings.workspace)
    told = reproduce_run(lab, find_run(lab), project=bench.settings.project, options=RunOptions())
    assert told["reproduced"] and end.state == "refused"
