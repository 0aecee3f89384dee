import json
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_examples import make_frame

import mlops_lab
from mlops_lab.foundation.errors import ModelProblem
from mlops_lab.foundation.records import digest_file, digest_folder
from mlops_lab.models.bundle import check_manifest, load_bundle, save_bundle
from mlops_lab.models.scorer import check_alone, load_scorer
from mlops_lab.models.training import write_bundle

FILES = ["card.json", "features.json", "golden.json", "profile.json", "weights.npz"]


def reseal(folder: Path) -> None:
    "Write a manifest that agrees with the files as they are."
    digests = {name: digest_file(folder / name) for name in FILES}
    (folder / "manifest.json").write_text(json.dumps({"files": digests}))


def change(folder: Path, name: str, **values) -> None:
    record = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**record, **values}))


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_any_changed_file_is_refused(bundle_folder, name, harm):
    path = bundle_folder / name
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    if harm == "cut":
        path.write_bytes(data[:middle])
    if harm == "remove":
        path.unlink()
    with pytest.raises(ModelProblem):
        load_scorer(bundle_folder)


def test_a_file_too_many_is_refused(bundle_folder):
    (bundle_folder / "model.pkl").write_bytes(b"")
    with pytest.raises(ModelProblem, match=r"model\.pkl"):
        check_manifest(bundle_folder)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("card.json", {"labels": ["anger", "joy"]}, "do not fit"),
        ("card.json", {"format": 99}, "format 99"),
        ("card.json", {"labels": None}, "cannot be read"),
        ("golden.json", {"probabilities": [[1.0, 0.0, 0.0]] * 20}, "answers"),
        ("golden.json", {"texts": None}, "cannot be used"),
        ("features.json", {"words": 3}, "cannot be read|cannot be restored"),
        ("features.json", {"vocabulary": ["w|good"]}, "do not fit"),
    ],
)
def test_a_resealed_bundle_that_makes_no_sense_is_refused(bundle_folder, name, values, message):
    change(bundle_folder, name, **values)
    reseal(bundle_folder)
    with pytest.raises(ModelProblem, match=message):
        load_scorer(bundle_folder)


def test_changed_weights_are_found_by_the_golden_texts(bundle_folder):
    with np.load(bundle_folder / "weights.npz") as stored:
        arrays = dict(stored)
    np.savez(bundle_folder / "weights.npz", **{**arrays, "bias": arrays["bias"][::-1]})
    reseal(bundle_folder)
    with pytest.raises(ModelProblem, match="answers"):
        load_scorer(bundle_folder)


def test_pickled_arrays_are_never_loaded(bundle_folder):
    np.savez(bundle_folder / "weights.npz", table=np.array([{}], dtype=object), bias=np.zeros(3))
    reseal(bundle_folder)
    with pytest.raises(ModelProblem, match="allow_pickle"):
        load_scorer(bundle_folder)


def test_writing_again_gives_the_same_bytes_and_leaves_nothing_behind(bundle_folder):
    before = digest_folder(bundle_folder)
    save_bundle(load_bundle(bundle_folder), bundle_folder)
    assert digest_folder(bundle_folder) == before
    assert [path.name for path in bundle_folder.parent.iterdir()] == ["bundle"]


def test_loading_needs_neither_tensorflow_nor_sklearn(bundle_folder):
    assert check_alone(bundle_folder) == {
        "passed": True,
        "message": "loads alone and answers, 3 labels",
    }
    code = (
        "import sys; from mlops_lab.models.scorer import load_scorer; load_scorer(sys.argv[1]);"
        "bad = {'tensorflow', 'keras', 'sklearn', 'scipy', 'pandas', 'mlflow'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    home = str(Path(mlops_lab.__file__).parents[1])
    subprocess.run([sys.executable, "-c", code, str(bundle_folder)], cwd=home, check=True)


def test_a_broken_bundle_fails_alone_with_its_reason(bundle_folder):
    (bundle_folder / "card.json").write_text("{}")
    told = check_alone(bundle_folder)
    assert not told["passed"] and "card.json" in told["message"]


@pytest.fixture(scope="module")
def scorer(linear):
    return linear.scorer


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_gets_probabilities(scorer, text):
    scores = scorer.score([text])
    assert np.isfinite(scores.probabilities).all()
    assert scores.probabilities.sum() == pytest.approx(1.0, abs=1e-5)
    profile = scorer.profile_text(text)
    assert profile["chars"] == len(text) and 0 <= profile["oov_rate"] <= 1


def test_alone_and_in_a_batch_answers_are_equal_to_the_bit(scorer):
    texts = [*make_frame(100, 4)["text"], "", "x" * 100_000, "\x00\x07", "😡" * 3_000]
    together = scorer.score(texts).probabilities
    alone = np.concatenate([scorer.score([text]).probabilities for text in texts])
    assert np.array_equal(together, alone)
    assert together.dtype == np.float32


@pytest.mark.parametrize("wrong", ["one text", [None], ["a", 1], [b"a"]])
def test_what_is_no_list_of_texts_is_refused(scorer, wrong):
    with pytest.raises(TypeError):
        scorer.score(wrong)


def test_no_texts_no_scores(scorer):
    scores = scorer.score([])
    assert scores.probabilities.shape == (0, 3) and scores.top == [] == scores.as_dicts()


def test_explaining_names_the_words_that_spoke(scorer):
    assert list(scorer.explain("the exam was fantastic", "joy"))[0] == "fantastic"
    assert scorer.explain("", "joy") == {}
    with pytest.raises(ModelProblem, match="known: anger, joy, sadness"):
        scorer.explain("a", "boredom")


def test_one_text_takes_less_than_a_millisecond(trained, tmp_path):
    scorer = load_scorer(write_bundle(trained, tmp_path / "model"))
    texts, times = list(make_frame(300, 6)["text"]), []
    for text in texts:
        began = perf_counter()
        scorer.score([text])
        times.append(perf_counter() - began)
    assert np.median(times) < 0.001
