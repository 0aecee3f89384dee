"""Fixtures of the serving tests."""

import pytest
from canary_examples import WHO

from mlops_lab.foundation.settings import Settings
from mlops_lab.foundation.workspace import open_workspace
from mlops_lab.serving.score_store import ScoreStore
from mlops_lab.tracking.registry import Registry
from mlops_lab.tracking.trials import Trials


@pytest.fixture
def store(tmp_path):
    store = ScoreStore(tmp_path / "scores.db", queue_limit=50)
    yield store
    store.close()


@pytest.fixture
def settings(tmp_path):
    return Settings(project=tmp_path, workspace=tmp_path / ".lab")


@pytest.fixture
def trials(settings):
    return Trials(Registry(open_workspace(settings).create(), mirrored=False))


@pytest.fixture
def add(trials, tmp_path):
    """Register a bundle of a kind; the first one is champion."""

    def add_bundle(kind):
        folder = tmp_path / f"bundle-{kind}"
        folder.mkdir()
        for name, text in (("name", "keywords"), ("kind", kind)):
            (folder / f"{name}.txt").write_text(text)
        for name in ("card.json", "manifest.json"):
            (folder / name).write_text("{}")
        version = trials.registry.register(folder, run_id="r", metrics={})
        if version.number == 1:
            by, role, reason = WHO
            trials.registry.promote(version, by=by, role=role, reason=reason, evidence={})
        return version

    return add_bundle
