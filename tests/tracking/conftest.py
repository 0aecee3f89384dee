import pytest
from tracking_examples import write_tiny_bundle

from mlops_lab.foundation.workspace import Workspace
from mlops_lab.tracking.registry import Registry


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
