"""Which model answers, and what happens when the next one is bad."""

import threading
from types import SimpleNamespace

import pytest
from serving_examples import KeywordScorer

from mlops_lab.foundation.errors import LabError, ModelProblem
from mlops_lab.serving.model_source import (
    FoundBundle,
    SwappingSource,
    folder_source,
    registry_source,
)


def load(folder):
    return KeywordScorer(name=(folder / "name.txt").read_text())


def make_bundle(folder, name="first"):
    folder.mkdir(exist_ok=True)
    (folder / "name.txt").write_text(name)
    (folder / "manifest.json").write_text(f'{{"name.txt": "{name}"}}')
    return folder


class OneMethodRegistry:
    """The one method of a registry the source uses."""

    def __init__(self, version=None):
        self.version = version

    def champion(self):
        return self.version


def test_a_folder_is_served_under_the_digest_of_its_manifest(tmp_path):
    source = folder_source(make_bundle(tmp_path / "a"), load)
    model = source.current()
    assert model.name == "first" and model.variant == "champion" and len(model.version) == 12
    assert not source.refresh()
    make_bundle(tmp_path / "a", "second")
    assert source.refresh() and source.current().name == "second"
    with pytest.raises(ModelProblem, match="no model to serve"):
        folder_source(tmp_path, load).current()


def test_a_promotion_swaps_and_a_broken_champion_does_not(tmp_path):
    registry = OneMethodRegistry()
    source = registry_source(registry, load)
    with pytest.raises(ModelProblem, match="no model to serve"):
        source.current()
    registry.version = SimpleNamespace(number=1, folder=make_bundle(tmp_path / "a"))
    assert source.refresh() and source.current().version == "1"
    registry.version = SimpleNamespace(number=2, folder=tmp_path / "missing")
    assert not source.refresh() and source.current().version == "1"
    assert "version 2 does not load" in source.problem.found
    registry.version = SimpleNamespace(number=3, folder=make_bundle(tmp_path / "c", "third"))
    assert source.refresh() and source.current().name == "third" and source.problem is None


def test_a_version_that_failed_is_loaded_once_only():
    tries = []

    def load_badly(folder):
        tries.append(folder)
        raise ModelProblem("golden texts are answered otherwise")

    source = SwappingSource(lambda: FoundBundle("1", "a"), load_badly)
    assert [source.refresh() for _ in range(3)] == [False] * 3 and len(tries) == 1
    with pytest.raises(ModelProblem, match="golden"):
        source.current()


def test_a_broken_registry_keeps_the_model():
    def find():
        if broken:
            raise LabError("line 3 of the decision log was changed")
        return FoundBundle("1", "a")

    broken = False
    source = SwappingSource(find, lambda folder: KeywordScorer())
    assert source.refresh()
    broken = True
    assert not source.refresh() and source.current().version == "1"
    assert "line 3" in source.problem.found


def test_a_model_answers_before_it_is_current():
    seen = []

    class Watched(KeywordScorer):
        def score(self, texts):
            seen.append(texts)
            return super().score(texts)

    SwappingSource(lambda: FoundBundle("1", "a"), lambda folder: Watched()).refresh()
    assert seen == [["warm up"]]


def test_many_refreshes_at_once_load_once():
    loads, gate = [], threading.Barrier(4)

    def slow_load(folder):
        loads.append(folder)
        return KeywordScorer()

    source = SwappingSource(lambda: FoundBundle("1", "a"), slow_load)
    threads = [threading.Thread(target=lambda: (gate.wait(), source.refresh())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1 and source.current().version == "1"
