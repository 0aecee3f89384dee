import pytest
from model_examples import QUICK, make_frame, train

from mlops_lab.models.training import write_bundle


@pytest.fixture(scope="session")
def frames():
    return make_frame(600, 1), make_frame(200, 2)


@pytest.fixture(scope="session", params=list(QUICK))
def trained(request, frames):
    return train(request.param, frames)


@pytest.fixture(scope="session")
def linear(frames):
    return train("tfidf_logistic", frames)


@pytest.fixture
def bundle_folder(linear, tmp_path):
    return write_bundle(linear, tmp_path / "bundle", created_from={"train": "sha256:1"})
