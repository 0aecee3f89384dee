import json
from pathlib import Path

import pytest

from mlops_lab.foundation.workspace import Workspace
from mlops_lab.tracking.registry import Registry


def write_tiny_bundle(folder: Path, **card) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").write_text(json.dumps({"name": "tiny", **card}))
    (folder / "weights.npz").write_bytes(b"weights of " + json.dumps(card).encode())
    return folder


def promote(registry: Registry, version, **changes):
    decision = {"by": "Ada", "role": "owner", "reason": "better", "evidence": {}}
    return registry.promote(version, **{**decision, **changes})


@pytest.fixture
def lab(tmp_path):
    return Workspace(tmp_path / ".lab").create()


@pytest.fixture
def registry(lab):
    return Registry(lab, mirrored=False)


@pytest.fixture
def bundles(tmp_path):
    return [write_tiny_bundle(tmp_path / f"bundle{i}", seed=i) for i in range(4)]


@pytest.fixture(scope="session")
def tracked_lab(tmp_path_factory):
    "One lab with one MLflow store for all tests that need it; each makes its own runs."
    return Workspace(tmp_path_factory.mktemp("tracked") / ".lab").create()
