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
def bundle(tmp_path):
    """A bundle of the keyword scorer, as `keyword_service.py` loads it."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "name.txt").write_text("keywords")
    (folder / "manifest.json").write_text("{}")
    return folder


@pytest.fixture
def registry(settings):
    return Registry(open_workspace(settings).create(), mirrored=False)


@pytest.fixture
def trials(registry):
    return Trials(registry)


@pytest.fixture
def register(registry, tmp_path):
    """Register a bundle that says one thing more than its name."""

    def register_bundle(what, word):
        folder = tmp_path / f"bundle-{word}"
        folder.mkdir()
        for name, text in (("name", "keywords"), (what, word)):
            (folder / f"{name}.txt").write_text(text)
        for name in ("card.json", "manifest.json"):
            (folder / name).write_text("{}")
        return registry.register(folder, run_id="r", metrics={})

    return register_bundle


@pytest.fixture
def add(register, registry):
    """Register a bundle of a kind; the first one is champion."""

    def add_bundle(kind):
        version = register("kind", kind)
        if version.number == 1:
            by, role, reason = WHO
            registry.promote(version, by=by, role=role, reason=reason, evidence={})
        return version

    return add_bundle
