"""Receipts: the same twice is said so, and a planted difference is named with its stage."""

import pytest

from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.errors import PipelineProblem
from mlops_lab.foundation.records import digest_json, read_json
from mlops_lab.pipeline.history import find_run
from mlops_lab.pipeline.options import RunOptions
from mlops_lab.pipeline.plan import read_pipeline
from mlops_lab.pipeline.profile import apply_profile
from mlops_lab.pipeline.reproduction import copy_registry, reproduce_run

SHUFFLE = (
    "import random\nrows = list(range(99))\n{seed}random.shuffle(rows)\n"
    "_ = stage.output('mixed.txt').write_text('\\n'.join(map(str, rows)))"
)
STAGES = (
    "  make: {notebook: make.ipynb, outputs: [n.txt]}\n"
    "  mix: {notebook: mix.ipynb, inputs: [n.txt], outputs: [mixed.txt]}\n"
    "  show: {notebook: show.ipynb, inputs: [mixed.txt]}\n"
)


def mixing(bench, seed=""):
    bench.stage("make", "_ = stage.output('n.txt').write_text(str(n))", parameters="n = 3")
    bench.stage("mix", "stage.input('n.txt').exists()", SHUFFLE.format(seed=seed))
    bench.stage("show", "stage.input('mixed.txt').read_text()[:20]")
    return bench.define(STAGES)


def again(bench, lab, **more):
    asked = {"project": bench.folder, "options": RunOptions()}
    return reproduce_run(lab, find_run(lab), **asked, **more)


def test_a_seeded_run_is_reproduced_with_its_parameters(bench, lab):
    bench.run(mixing(bench, "random.seed(7)\n"), parameters={"n": 8})
    receipt = again(bench, lab)
    assert receipt["reproduced"] and receipt["first_difference"] is None
    for stage in receipt["stages"]:
        assert stage["record"]["then"] == stage["record"]["now"] and stage["same_key"]
        assert all(one["then"] == one["now"] for one in stage["outputs"].values())
    assert list((lab.root / "reproductions").iterdir()) == []
    kept = list((lab.run(receipt["run"]) / "receipts").glob("*.json"))
    noted = ChainLog(lab.ledger).last("reproduced").data
    assert noted["receipt"] == digest_json(read_json(kept[0])) == digest_json(receipt)
    assert receipt["environment"]["python"] and find_run(lab).run == receipt["run"]


def test_a_run_with_a_profile_is_reproduced_with_its_profile(bench, lab):
    mixing(bench, "random.seed(7)\n")
    path = bench.folder / "pipeline.yaml"
    path.write_text(path.read_text() + "profiles:\n  eight: {make: {n: 8}}\n")
    bench.run(apply_profile(read_pipeline(path), "eight"))
    receipt = again(bench, lab)
    assert receipt["reproduced"] and receipt["first_difference"] is None


def test_an_unseeded_shuffle_is_named_with_its_stage(bench, lab):
    bench.run(mixing(bench))
    receipt = again(bench, lab)
    first = receipt["first_difference"]
    assert not receipt["reproduced"]
    assert (first["stage"], first["part"], first["name"]) == ("mix", "outputs", "mixed.txt")
    assert "line" in first["detail"] and "not deterministic" in first["why"]
    assert [stage["equal"] for stage in receipt["stages"]] == [True, False, False]
    assert receipt["kept"].startswith(str(lab.root))


def test_a_stage_alone_runs_on_the_inputs_it_had(bench, lab):
    bench.run(mixing(bench))
    innocent = again(bench, lab, stage="show")
    assert innocent["reproduced"] and len(innocent["stages"]) == 1
    assert again(bench, lab, stage="mix")["first_difference"]["stage"] == "mix"
    assert again(bench, lab, stage="make")["reproduced"]
    with pytest.raises(PipelineProblem, match="left no result"):
        again(bench, lab, stage="mux")


def test_what_changed_since_is_told_as_the_cause(bench, lab):
    bench.run(mixing(bench, "random.seed(7)\n"))
    mixing(bench, "random.seed(8)\n")
    first = again(bench, lab)["first_difference"]
    assert first["stage"] == "mix" and "code: cell" in first["why"]
    assert "not deterministic" not in first["why"]


def test_a_later_run_is_untouched_and_the_lab_is_as_it_was(bench, lab):
    bench.run(mixing(bench, "random.seed(7)\n"))
    before = {path: path.stat().st_mtime_ns for path in lab.store.rglob("*") if path.is_file()}
    assert again(bench, lab)["reproduced"]
    after = {path: path.stat().st_mtime_ns for path in lab.store.rglob("*") if path.is_file()}
    assert before == after and not lab.tracking_database.exists()


def test_only_decisions_before_the_run_are_copied(lab, tmp_path):
    log = ChainLog(lab.decisions)
    facts = {"run_id": "r", "metrics": {}}
    first = log.append("register", {"number": 1, "digest": "sha256:1"} | facts)
    second = log.append("register", {"number": 2, "digest": "sha256:2"} | facts)
    (lab.models / "1").mkdir()
    (lab.models / "1" / "card.json").write_text("{}")
    copy = type(lab)(tmp_path / "copy")
    assert copy_registry(lab, copy, before=second.at) == 1
    assert ChainLog(copy.decisions).verify() == 1
    assert (copy.models / "1" / "card.json").read_text() == "{}"
    assert copy_registry(lab, copy, before=first.at) == 0
