"""Which stage gets which parameter, what no stage may be given, and what is imported for it."""

import pytest

from mlops_lab.foundation.errors import PipelineProblem
from mlops_lab.foundation.settings import Settings
from mlops_lab.models.candidates import CANDIDATES
from mlops_lab.pipeline.closure import find_closure
from mlops_lab.pipeline.memory import Memory
from mlops_lab.pipeline.notebook import read_notebook
from mlops_lab.pipeline.plan import read_pipeline
from mlops_lab.pipeline.preparation import Prepared, spread_parameters


@pytest.fixture(scope="module")
def case_study(pytestconfig):
    place = pytestconfig.rootpath / "notebooks" / "pipelines" / "case_study"
    own = Settings(project=pytestconfig.rootpath)
    found = vars(own) | {"candidates": "embedding_bag, tfidf_logistic", "seed": 5}
    return read_pipeline(place, found, memory=Memory())


def prepare(pipeline, **given):
    given = {name.replace("__", "."): value for name, value in given.items()}
    notebooks = {spec.name: read_notebook(spec.notebook) for spec in pipeline.stages}
    return spread_parameters(pipeline, given, notebooks=notebooks)


def test_the_parameter_that_tells_stages_of_a_matrix_apart_is_not_given(case_study):
    with pytest.raises(PipelineProblem) as told:
        prepare(case_study, candidate="bi_gru")
    assert "train_embedding_bag (embedding_bag), train_tfidf_logistic" in told.value.found
    assert "MLOPS_LAB_CANDIDATES=bi_gru" in told.value.remedy
    with pytest.raises(PipelineProblem, match=r"train_tfidf_logistic \(tfidf_logistic\)"):
        prepare(case_study, candidate="embedding_bag")
    with pytest.raises(PipelineProblem, match="no other candidate"):
        prepare(case_study, train_tfidf_logistic__candidate="embedding_bag")
    same = prepare(case_study, train_tfidf_logistic__candidate="tfidf_logistic")
    assert same == prepare(case_study)


def test_a_matrix_that_is_written_out_is_changed_where_it_stands(tmp_path, case_study):
    for name in ("pipeline.yaml", "06_train.ipynb"):
        (tmp_path / name).write_bytes((case_study.path.parent / name).read_bytes())
    (tmp_path / "pipeline.yaml").write_text(
        "pipeline: one\ntitle: One\nstages:\n  train:\n    notebook: 06_train.ipynb\n"
        "    matrix: {candidate: [blend]}\n    outputs: ['models/{candidate}/']\n"
    )
    one = read_pipeline(tmp_path, {}, memory=Memory())
    with pytest.raises(PipelineProblem, match="change the matrix in line 4"):
        prepare(one, candidate="bi_gru")
    assert prepare(one, epochs=3)["train_blend"]["epochs"] == 3


def test_a_parameter_of_several_stages_goes_to_all_of_them_or_to_the_one_that_is_named(case_study):
    seeds = {name: own["seed"] for name, own in prepare(case_study).items() if "seed" in own}
    assert len(seeds) > 3 and set(seeds.values()) == {5}
    given = prepare(case_study, seed=9, train_tfidf_logistic__seed=2)
    found = {name: own["seed"] for name, own in given.items() if "seed" in own}
    assert found == dict.fromkeys(seeds, 9) | {"train_tfidf_logistic": 2}
    epochs = prepare(case_study, epochs=2)
    assert epochs["train_embedding_bag"]["epochs"] == epochs["train_tfidf_logistic"]["epochs"] == 2


LIBRARIES = {"keras", "scipy", "sklearn", "tensorflow"}
NEEDED = {
    "lexicon_rule": set(),
    "tfidf_logistic": {"scipy", "sklearn"},
    "pretrained": {"sklearn"},
    "embedding_bag": {"keras", "tensorflow"},
    "text_cnn": {"keras", "tensorflow"},
    "bi_gru": {"keras", "tensorflow"},
    "transformer": {"keras", "tensorflow"},
    "blend": LIBRARIES,
}


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_only_what_the_candidate_learns_with_is_imported_for_it(case_study, candidate):
    spec, memory = case_study.stage("train_tfidf_logistic"), Memory()
    notebook = read_notebook(spec.notebook)
    whole = find_closure(notebook, memory)
    known = {"train": notebook}, {"train": {"candidate": candidate}}, {"train": whole}
    needed = {name.split(".")[0] for name in Prepared(*known, memory).modules("train")}
    assert needed & LIBRARIES == NEEDED[candidate]
    assert "mlflow" in needed and whole.packages >= LIBRARIES  # the key still names all of them


def test_a_word_that_no_table_knows_narrows_nothing(case_study):
    notebook = read_notebook(case_study.stage("train_tfidf_logistic").notebook)
    whole = find_closure(notebook)
    known = {"train": notebook}, {"train": {"candidate": "own"}}, {"train": whole}
    assert Prepared(*known, Memory()).modules("train") == whole.modules


LEARNERS = """
def quick():
    return "nothing"
def deep():
    import scipy.sparse
    return scipy.__name__
LEARNERS = {"quick": quick, "deep": deep}
"""


@pytest.mark.parametrize(("kind", "loaded"), [("quick", "False nothing"), ("deep", "True scipy")])
def test_a_stage_finds_imported_what_its_parameter_chooses(bench, kind, loaded):
    (bench.folder / "learners.py").write_text(LEARNERS)
    bench.stage(
        "train",
        "import sys\nfrom learners import LEARNERS",
        "before = 'scipy' in sys.modules",
        "_ = stage.output('told.txt').write_text(f'{before} {LEARNERS[kind]()}')",
        parameters="kind = 'quick'",
    )
    pipeline = bench.define("  train: {notebook: train.ipynb, outputs: [told.txt]}\n")
    end = bench.run(pipeline, parameters={"kind": kind}, lend=None)
    assert end.state == "done" and (end.folder / "told.txt").read_text() == loaded
    again = bench.run(pipeline, parameters={"kind": kind}, lend=None)
    assert again.state == "cached"
