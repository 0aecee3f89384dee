"""Two runs: what counts, what does not, and what may have caused it."""

import json

import nbformat

from mlops_lab.pipeline.comparison import compare_runs, compare_stage


def edit(path, old, new):
    book = nbformat.read(path, 4)
    for cell in book.cells:
        cell.source = cell.source.replace(old, new)
    nbformat.write(book, path)


def parts(comparison, stage):
    found = next(one for one in comparison.stages if one.stage == stage)
    return {one.part for one in found.differences}


def test_a_run_from_the_store_equals_the_run_that_made_it(bench, chain):
    first, second = bench.run(chain), bench.run(chain)
    found = compare_runs(first.folder, second.folder)
    assert found.equal and [one.stage for one in found.stages] == ["make", "double", "show"]
    assert found.stages[0].states == ("done", "cached")
    assert found.lines()[-1] == "the same result"


def test_a_changed_parameter_is_followed_to_what_it_changed(bench, chain):
    first, second = bench.run(chain), bench.run(chain, parameters={"n": 4})
    found = compare_runs(first.folder, second.folder)
    assert not found.equal
    assert parts(found, "make") == {"outputs"}  # this notebook keeps no parameter in its record
    assert parts(found, "double") == {"inputs", "outputs"}
    assert "output" in parts(found, "show")
    outputs = [one for one in found.stages[0].differences if one.part == "outputs"]
    assert outputs[0].detail == "line 1 was '3', is '4'"
    assert json.loads(json.dumps(found.as_dict()))["equal"] is False


def test_changed_code_is_shown_as_a_unified_diff(bench, chain):
    first = bench.run(chain)
    edit(bench.folder / "double.ipynb", "n = 2 *", "n = 3 *")
    found = compare_stage("double", old=first.folder, new=bench.run(chain).folder)
    code = next(one for one in found.differences if one.part == "code")
    assert "-n = 2 * int" in code.detail and "+n = 3 * int" in code.detail
    assert not found.same_key


def test_other_code_with_the_same_result_is_still_other_code(bench, chain):
    first = bench.run(chain)
    edit(bench.folder / "double.ipynb", "2 * int", "(1 + 1) * int")
    found = compare_runs(first.folder, bench.run(chain).folder)
    assert parts(found, "double") == {"code"} and parts(found, "show") == set()


def test_a_failed_stage_differs_from_one_that_is_done(bench, chain):
    first = bench.run(chain)
    edit(bench.folder / "double.ipynb", "n = 2 *", "n = 1 / 0 *")
    found = compare_runs(first.folder, bench.run(chain).folder)
    states = {one.stage: one.states for one in found.stages}
    assert states["double"] == ("done", "failed") and states["show"] == ("done", "never run")
    assert not found.equal and found.lines()[-1] == "2 of 3 stages differ"


CLOCK = "import time\n_ = stage.output('t.json').write_text('{\"at\": %f, \"n\": 1}' % time.time())"


def test_a_declared_field_is_told_but_does_not_count(bench):
    bench.stage("make", CLOCK)
    bench.stage("use", "stage.input('t.json').exists()")
    stages = "  make: {notebook: make.ipynb, outputs: [t.json]%s}\n"
    stages += "  use: {notebook: use.ipynb, inputs: [t.json]}\n"
    plain, declared = bench.define(stages % ""), stages % ", varying: {t.json: [at]}"
    folders = [bench.run(plain, force=frozenset(["make"])).folder for _ in range(2)]
    assert not compare_runs(*folders).equal
    declared = bench.define(declared)
    folders = [bench.run(declared, force=frozenset(["make"])).folder for _ in range(2)]
    found = compare_runs(*folders)
    assert found.equal and [one.counts for one in found.stages[0].differences] == [False]
    assert "varies, as declared" in "\n".join(found.lines())


def test_a_varying_output_stays_in_the_keys_of_what_reads_it(bench):
    bench.stage("make", CLOCK)
    bench.stage("use", "stage.input('t.json').exists()")
    pipeline = bench.define(
        "  make: {notebook: make.ipynb, outputs: [t.json], varying: {t.json: [at]}}\n"
        "  use: {notebook: use.ipynb, inputs: [t.json]}\n"
    )
    bench.run(pipeline)
    again = bench.run(pipeline, force=frozenset(["make"]))
    assert [end.state for end in again.stages] == ["done", "done"]
    assert "t.json changed" in again.stages[1].reason
