"""A bundle is the same bytes every time, runs alone, and is refused when anything in it changed."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import yaml
from label_set_examples import write_models

from mlops_lab.foundation.errors import ModelProblem, ServiceProblem
from mlops_lab.foundation.records import read_json
from mlops_lab.foundation.workspace import open_workspace
from mlops_lab.models.scorer import load_scorer
from mlops_lab.serving.bundling import BundleWish, make_bundle
from mlops_lab.serving.launcher import running_service
from mlops_lab.serving.manifests import ReleaseFacts
from mlops_lab.serving.sbom import SERVING_PACKAGES, list_packages
from mlops_lab.serving.smoke_test import smoke_test
from mlops_lab.tracking.release import check_release, open_release

TEXTS = ["what a great day", "I hate it", "nothing"]


@pytest.fixture(scope="module")
def model(small_model):
    return small_model


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """A model that gives a text none, one or several labels, and texts that get each of those."""
    made, rows = write_models(tmp_path_factory.mktemp("several"))
    texts = rows["text"].tolist()[:200]
    assert {len(one) for one in load_scorer(made["strict"]).score(texts).chosen} >= {0, 1, 2}
    return made["strict"], texts


@pytest.fixture(scope="module")
def packed(model, tmp_path_factory):
    target = tmp_path_factory.mktemp("packed") / "emotion.tar"
    make_bundle(BundleWish(model, version="3"), target)
    return target


@pytest.fixture
def bundle(packed, tmp_path):
    with tarfile.open(packed) as tar:
        tar.extractall(tmp_path / "bundle", filter="data")
    return tmp_path / "bundle"


def alone(bundle, *words):
    """Run Python with the bundle's code and nothing of this checkout."""
    own = {key: text for key, text in os.environ.items() if not key.startswith("MLOPS_LAB_")}
    own |= {"PYTHONPATH": str(bundle / "code"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=bundle, env=own, capture_output=True, text=True)


def test_the_same_model_gives_the_same_bytes(packed, model, tmp_path):
    copy = tmp_path / "elsewhere" / "model"
    shutil.copytree(model, copy)
    for path in copy.iterdir():
        os.utime(path, (1, 1))
        path.chmod(0o600)
    before = os.umask(0o077)
    try:
        make_bundle(BundleWish(copy, version="3"), tmp_path / "again.tar")
    finally:
        os.umask(before)
    assert (tmp_path / "again.tar").read_bytes() == packed.read_bytes()


def test_it_is_served_without_a_registry_and_answers_like_the_model(packed, model, settings):
    with running_service(settings, bundle=packed) as client:
        report = smoke_test(client, model, version="3")
        told = client.score(TEXTS)["scores"]
    report.require_passed()
    expected = load_scorer(model).score(TEXTS)
    assert [score["label"] for score in told] == expected.top
    lab = open_workspace(settings)
    assert not lab.decisions.exists() and not lab.tracking_database.exists()


def test_it_tests_itself_without_the_lab(bundle):
    done = alone(bundle, "smoke_test.py")
    assert done.returncode == 0 and "6 checks passed over HTTP" in done.stdout, done.stderr
    (bundle / "code/mlops_lab/serving/batch.py").write_text("changed")
    assert "batch.py in bundle was changed" in alone(bundle, "smoke_test.py").stderr


LOADED = """
import asyncio, sys
from importlib.metadata import packages_distributions
from pathlib import Path
import uvicorn
from mlops_lab.foundation.settings import Settings
from mlops_lab.models.scorer import load_scorer
from mlops_lab.serving.model_source import folder_source
from mlops_lab.serving.score_store import ScoreStore
from mlops_lab.serving.scored_texts import Order
from mlops_lab.serving.service import create_app
import mlops_lab.serving.launcher
import mlops_lab.serving.served_models

store = ScoreStore(Path(sys.argv[1]) / "scores.db")
app = create_app(Settings(), folder_source(Path("model"), load_scorer), store)
config = uvicorn.Config(app, ws="none")
config.load()
answer = asyncio.run(app.state.service.answer(Order(["what a great day"])))
assert store.read(answer[0].score_id)
store.close()
known = packages_distributions()
print(*sorted({known[name][0] for name in {one.partition(".")[0] for one in sys.modules}
               if name in known}))
"""


def test_the_list_of_packages_holds_all_that_is_loaded(bundle, tmp_path):
    done = alone(bundle, "-c", LOADED, tmp_path)
    assert done.returncode == 0, done.stderr
    loaded = {name.lower().replace("_", "-") for name in done.stdout.split()}
    bill = json.loads((bundle / "sbom.cdx.json").read_text())
    listed = {one["name"] for one in bill["components"]}
    known = loaded - {"mlops-lab", "setuptools", "pip"}
    assert known <= listed and {"numpy", "starlette", "orjson"} <= known
    lines = (bundle / "requirements.txt").read_text().splitlines()
    assert {line.partition("==")[0] for line in lines} == listed - {"CPython"}
    assert all(metadata.version(name) == found for name, found in (x.split("==") for x in lines))


def test_the_bill_is_sound(bundle):
    bill = json.loads((bundle / "sbom.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    refs = [one["bom-ref"] for one in bill["components"]] + [
        bill["metadata"]["component"]["bom-ref"]
    ]
    assert len(refs) == len(set(refs))
    links = {link["ref"]: link["dependsOn"] for link in bill["dependencies"]}
    assert set(links) <= set(refs) and all(set(needs) <= set(refs) for needs in links.values())
    reached, waiting = set(), [bill["metadata"]["component"]["bom-ref"]]
    while waiting:
        reached.add(one := waiting.pop())
        waiting += [need for need in links.get(one, ()) if need not in reached]
    assert reached == set(refs)
    assert {one.name for one in list_packages()} >= set(SERVING_PACKAGES)


DAMAGE = ["model/weights.npz", "model/card.json", "code/mlops_lab/serving/service.py"]
DAMAGE += ["Dockerfile", "requirements.txt", "sbom.cdx.json", "MLmodel", "kserve.yaml"]


@pytest.mark.parametrize("name", DAMAGE)
def test_one_changed_byte_anywhere_is_refused(bundle, settings, name):
    data = bytearray((bundle / name).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / name).write_bytes(data)
    with pytest.raises(ModelProblem, match=f"{name} in bundle was changed"):
        open_release(bundle, open_workspace(settings))


def test_a_file_more_or_less_and_a_broken_seal_are_refused(bundle, settings):
    lab = open_workspace(settings)
    (bundle / "code/sitecustomize.py").write_text("raise SystemExit")
    with pytest.raises(ModelProblem, match="has too much: code/sitecustomize.py"):
        open_release(bundle, lab)
    (bundle / "code/sitecustomize.py").unlink()
    (bundle / "seldon.yaml").rename(bundle / "other.yaml")
    with pytest.raises(ModelProblem, match="other.yaml"):
        open_release(bundle, lab)
    (bundle / "other.yaml").unlink()
    with pytest.raises(ModelProblem, match="lacks seldon.yaml"):
        open_release(bundle, lab)
    for seal in ("", "{}", "[]", '{"format": 1, "files": 7}', '{"format": 9, "files": {}}'):
        (bundle / "release.json").write_text(seal)
        with pytest.raises(ModelProblem, match="seal that can be read|format 9"):
            open_release(bundle, lab)


def test_a_link_in_place_of_a_file_is_refused(bundle, settings, tmp_path):
    shutil.copy(bundle / "Dockerfile", tmp_path / "same")
    (bundle / "Dockerfile").unlink()
    (bundle / "Dockerfile").symlink_to(tmp_path / "same")
    with pytest.raises(ModelProblem, match="Dockerfile in bundle was changed"):
        check_release(bundle)


def entry(name, kind=tarfile.REGTYPE, link=""):
    one = tarfile.TarInfo(name)
    one.type, one.linkname, one.size = kind, link, 4 if kind == tarfile.REGTYPE else 0
    return one


@pytest.mark.parametrize(
    "one",
    [
        entry("../outside"),
        entry("/" + "outside"),
        entry("model/../../outside"),
        entry("model", tarfile.SYMTYPE, "/etc"),
        entry("model/weights.npz", tarfile.LNKTYPE, "/etc/passwd"),
        entry("pipe", tarfile.FIFOTYPE),
        entry("device", tarfile.CHRTYPE),
    ],
    ids=lambda one: one.name,
)
def test_an_archive_that_reaches_out_is_refused_and_writes_nothing(settings, tmp_path, one):
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        tar.addfile(one, io.BytesIO(b"evil"))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ModelProblem, match="no plain file within it"):
        open_release(tmp_path / "bad.tar", open_workspace(settings))
    after = [path for path in sorted(tmp_path.rglob("*")) if path not in before]
    assert {path.name for path in after} <= {".lab", "releases"}


def test_an_archive_that_is_cut_or_huge_is_refused(packed, settings, tmp_path, monkeypatch):
    lab, data = open_workspace(settings), packed.read_bytes()
    for length in (0, 100, 5_000, len(data) // 2):
        (tmp_path / "cut.tar").write_bytes(data[:length])
        with pytest.raises(ModelProblem, match="cut.tar|lacks|no seal"):
            open_release(tmp_path / "cut.tar", lab)
    monkeypatch.setattr("mlops_lab.tracking.release._MOST_BYTES", 10_000)
    with pytest.raises(ModelProblem, match="far too large"):
        open_release(packed, lab)
    assert not list((lab.root / "releases").iterdir())


def test_a_damaged_bundle_is_not_served(bundle, settings):
    (bundle / "model/golden.json").write_text("{}")
    with pytest.raises(ServiceProblem, match="golden.json in bundle was changed"):
        with running_service(settings, bundle=bundle):
            pass


def test_the_container_is_careful(bundle):
    lines = (bundle / "Dockerfile").read_text().splitlines()
    starts = [line.split()[0] for line in lines if line[:1].isupper()]
    assert starts.index("USER") < starts.index("CMD") and "HEALTHCHECK" in starts
    assert "USER 10001:10001" in lines and not any("ADD " in line for line in lines)
    pod = yaml.safe_load((bundle / "kserve.yaml").read_text())["spec"]["predictor"]
    own = pod["containers"][0]["securityContext"]
    assert own["readOnlyRootFilesystem"] and not own["allowPrivilegeEscalation"]
    assert own["capabilities"] == {"drop": ["ALL"]} and own["runAsUser"] == 10001
    seal = read_json(bundle / "release.json")
    for name in ("kserve.yaml", "seldon.yaml"):
        notes = yaml.safe_load((bundle / name).read_text())["metadata"]["annotations"]
        assert notes["mlops-lab/bundle-digest"] == seal["digest"]


# What the manifests use of the published definitions (serving.kserve.io/v1beta1 InferenceService,
# mlops.seldon.io/v1alpha1 Model), told by name and type; benchmarks/serving/manifest_check.py reads
# them by the whole definitions.
PREDICTOR = {"containers": list, "securityContext": dict, "volumes": list}
CONTAINER = {"name": str, "image": str, "ports": list, "env": list, "resources": dict}
CONTAINER |= {"readinessProbe": dict, "livenessProbe": dict, "volumeMounts": list}
CONTAINER |= {"securityContext": dict}
SELDON_MODEL = {"storageUri": str, "requirements": list, "memory": str}


def test_the_manifests_hold_what_the_definitions_know_and_nothing_else(bundle):
    kserve, seldon = (
        yaml.safe_load((bundle / name).read_text()) for name in ("kserve.yaml", "seldon.yaml")
    )
    predictor = kserve["spec"]["predictor"]
    for told, known in (
        (predictor, PREDICTOR),
        (predictor["containers"][0], CONTAINER),
        (seldon["spec"], SELDON_MODEL),
    ):
        assert {key: type(value) for key, value in told.items()} == known
    assert kserve["spec"].keys() == {"predictor"} and len(predictor["containers"]) == 1
    notes = kserve["metadata"]["annotations"]
    assert all(isinstance(value, str) for value in notes.values())
    assert notes["serving.kserve.io/deploymentMode"] == "RawDeployment"
    assert re.fullmatch(r"[0-9]+(Ki|Mi|Gi)", seldon["spec"]["memory"])


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("emotions-blend", "emotions-blend"),
        ("28 Emotions", "model-28-emotions"),
        ("x" * 49 + "-yz", "x" * 49),
        ("ñ", "model"),
        ("", "model"),
        ("-a-", "a"),
    ],
)
def test_every_name_becomes_one_that_clusters_accept(name, slug):
    found = ReleaseFacts(name, "1", "sha256:a", ("joy",), "emotion", "image").slug
    assert found == slug and re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", found)


MLFLOW = """
import json, sys
import mlflow.pyfunc
model = mlflow.pyfunc.load_model(sys.argv[1])
import mlops_lab
print(json.dumps({"from": mlops_lab.__file__, "rows": model.predict(
    [{"text": text} for text in json.loads(sys.argv[2])]).to_dict("records")}))
"""


def ask_mlflow(bundle, texts):
    """Rows that MLflow predicts in a process of its own, with the bundle's code alone."""
    done = subprocess.run(
        [sys.executable, "-c", MLFLOW, bundle, json.dumps(texts)],
        env={key: text for key, text in os.environ.items() if key != "PYTHONPATH"},
        cwd=bundle.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert Path(told["from"]).name == "__init__.py"
    return told["rows"]


def test_mlflow_loads_it_with_equal_answers(bundle, model):
    told, expected = ask_mlflow(bundle, TEXTS), load_scorer(model).score(TEXTS)
    assert [row.pop("label") for row in told] == expected.top
    rows = [dict(zip(expected.labels, map(float, r), strict=True)) for r in expected.probabilities]
    assert told == rows


def test_mlflow_gives_all_labels_of_a_text(several, tmp_path):
    model, texts = several
    make_bundle(BundleWish(model), tmp_path / "bundle")
    told = ask_mlflow(tmp_path / "bundle", texts)
    expected = load_scorer(model).score(texts)
    assert [row.pop("label") for row in told] == expected.top
    assert [row.pop("labels") for row in told] == ["|".join(one) for one in expected.chosen]
    found = np.array([[row[label] for label in expected.labels] for row in told])
    assert np.array_equal(found, expected.probabilities.astype(float))


PEER = Path(os.environ.get("SERVING_PEERS", "none")) / "mlserver/bin/mlserver"
ANSWERS = Path(__file__).parents[2] / "benchmarks/serving/bundle_answers.py"


@pytest.mark.skipif(not PEER.is_file(), reason="SERVING_PEERS names no environment with MLServer")
@pytest.mark.parametrize("kind", ["one label", "several labels"])
def test_real_servers_answer_as_ours_does(kind, model, several, tmp_path):
    """Ours, `mlflow models serve` and MLServer, each in processes of its own."""
    folder = model if kind == "one label" else several[0]
    make_bundle(BundleWish(folder), tmp_path / "bundle")
    texts = tmp_path / "texts.json"
    texts.write_text(json.dumps(several[1]))
    command = [sys.executable, ANSWERS, tmp_path / "bundle", "--texts", texts, "--mlserver", PEER]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 3, done.stdout + done.stderr
    for line, name in zip(
        lines, ("mlops-lab serve", "mlflow models serve", "MLServer"), strict=True
    ):
        assert line.startswith(name) and "labels equal" in line
        assert ("different sets" in line) == (kind == "several labels")
