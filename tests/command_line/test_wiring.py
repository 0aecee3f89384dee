"""What the engine is told about the lab, by the names the case study uses."""

from pathlib import Path

import pytest

from mlops_lab.command_line.wiring import (
    find_champion,
    find_opponent,
    is_registered,
    is_scored,
    is_tracked,
    make_probes,
    make_promises,
)
from mlops_lab.foundation.errors import RecordProblem
from mlops_lab.foundation.records import write_json
from mlops_lab.pipeline.plan import read_pipeline
from mlops_lab.tracking.registry import Registry


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def register(lab, tmp_path):
    """Register a bundle, and make it champion if asked."""
    registry = Registry(lab, mirrored=False)

    def make(seed, promote=True):
        bundle = tmp_path / f"bundle{seed}"
        write_json(bundle / "card.json", {"name": "tiny", "seed": seed})
        write_json(bundle / "manifest.json", {})
        version = registry.register(bundle, run_id="one", metrics={})
        if promote:
            registry.promote(version, by="Ada", role="owner", reason="better", evidence={})
        return version

    return make


def test_every_name_of_the_case_study_is_known(project, settings):
    stages = read_pipeline(project / "notebooks/pipelines/case_study", vars(settings)).stages
    assert {name for spec in stages for name in spec.state} <= set(make_probes())
    assert {name for spec in stages for name in spec.promises} <= set(make_promises())
    assert any(spec.state for spec in stages) and any(spec.promises for spec in stages)


def test_without_a_champion_there_is_nobody_to_beat(folder, lab):
    write_json(folder / "evaluation/best.json", {"bundle_digest": "sha256:0"})
    assert find_champion(folder, lab) == find_opponent(folder, lab) == "none"


def test_the_champion_does_not_have_to_beat_itself(folder, lab, register):
    first = register(1)
    for digest, opponent in ((first.digest, "none"), ("sha256:new", first.digest)):
        write_json(folder / "evaluation/best.json", {"bundle_digest": digest})
        assert find_opponent(folder, lab) == opponent
    second = register(2)
    write_json(folder / "evaluation/best.json", {"bundle_digest": second.digest})
    assert find_opponent(folder, lab) == first.digest
    assert find_champion(folder, lab) == second.digest


def test_a_refused_version_changes_neither(folder, lab, register):
    first, refused = register(1), register(2, promote=False)
    write_json(folder / "evaluation/best.json", {"bundle_digest": refused.digest})
    assert find_champion(folder, lab) == find_opponent(folder, lab) == first.digest


def test_a_rollback_is_told_until_the_version_returns(folder, lab, register):
    ask = make_probes()["withdrawal"]
    register(1)
    second = register(2)
    write_json(folder / "evaluation/best.json", {"bundle_digest": second.digest})
    assert ask(folder, lab) == "none"
    registry = Registry(lab, mirrored=False)
    registry.rollback(by="Bo", role="operator", reason="complaints")
    assert ask(folder, lab) == registry.log.last("rollback").digest
    registry.promote(second, by="Ana", role="owner", reason="mended", evidence={})
    assert ask(folder, lab) == "none"


@pytest.mark.parametrize("passed", [True, False])
def test_the_outlook_is_the_same_before_and_after_the_decision(folder, lab, register, passed):
    ask = make_probes()["outlook"]
    write_json(folder / "gate/verdict.json", {"passed": passed})
    before = ask(folder, lab)
    assert before == ("a champion" if passed else "none")
    register(1, promote=passed)
    assert ask(folder, lab) == before


def test_a_champion_made_by_hand_changes_the_outlook(folder, lab, register):
    write_json(folder / "gate/verdict.json", {"passed": False})
    assert make_probes()["outlook"](folder, lab) == "none"
    register(1)
    assert make_probes()["outlook"](folder, lab) == "a champion"


def test_a_bundle_that_was_deleted_is_missed(folder, lab, register):
    version = register(1)
    place = version.folder.relative_to(lab.root).as_posix()
    write_json(folder / "registry/version.json", {"digest": version.digest, "folder": place})
    assert is_registered(folder, lab)
    (version.folder / "manifest.json").unlink()
    assert not is_registered(folder, lab)


def test_a_broken_record_is_told(folder, lab):
    place = Path(folder / "registry/version.json")
    place.parent.mkdir(parents=True)
    place.write_text("{")
    with pytest.raises(RecordProblem, match="version.json is not JSON"):
        is_registered(folder, lab)


STORES = [
    (is_tracked, "tracking_database", "tracking_address"),
    (is_scored, "score_store", "score_store_address"),
]


@pytest.mark.parametrize("kept, file, setting", STORES, ids=["tracked", "scored"])
def test_a_store_is_in_the_lab_or_at_an_address(folder, lab, kept, file, setting):
    write_json(folder / "run.json", {"settings": {setting: ""}})
    assert not kept(folder, lab)
    getattr(lab, file).touch()
    assert kept(folder, lab)
    getattr(lab, file).unlink()
    write_json(folder / "run.json", {"settings": {setting: "postgresql://db/lab"}})
    assert kept(folder, lab)
