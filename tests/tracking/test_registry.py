import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tracking_examples import promote, write_tiny_bundle

import mlops_lab
from mlops_lab.foundation.errors import ModelProblem, RecordProblem
from mlops_lab.foundation.records import digest_folder
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.tracking.decisions import Decisions
from mlops_lab.tracking.mirror import MODEL_NAME, mirror_registry
from mlops_lab.tracking.registry import Registry
from mlops_lab.tracking.runs import open_client


def register(registry, bundle, score=0.5):
    return registry.register(bundle, run_id="run", metrics={"macro_f1": score})


def test_one_bundle_has_one_number_and_one_copy(registry, bundles):
    first, second = register(registry, bundles[0]), register(registry, bundles[1])
    assert (first.number, second.number) == (1, 2)
    assert register(registry, bundles[0], score=0.9) == first
    assert first.folder.name == digest_folder(bundles[0]).removeprefix("sha256:")
    assert digest_folder(first.folder) == first.digest
    assert [version.metrics for version in registry.versions()] == [{"macro_f1": 0.5}] * 2


def test_many_registering_at_once_get_one_number(lab, bundles):
    with ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(lambda i: register(Registry(lab, mirrored=False), bundles[i % 4]), range(16))
        )
    assert sorted({version.number for version in found}) == [1, 2, 3, 4]
    assert Decisions(lab).log.verify() == 4


def test_promoting_moves_the_championship_once(registry, bundles):
    first, second = (register(registry, bundle) for bundle in bundles[:2])
    assert registry.champion() is None
    promote(registry, first)
    promote(registry, second, evidence={"gain": 0.1})
    lines = registry.log.verify()
    promote(registry, second)
    assert registry.log.verify() == lines
    assert registry.champion() == second
    entry = registry.log.last("promote").data
    assert (entry["replaced"], entry["evidence"]) == (1, {"gain": 0.1})


def test_a_repeated_run_meets_the_same_opponent(registry, bundles):
    first, second = (register(registry, bundle) for bundle in bundles[:2])
    assert registry.opponent_of(first.digest) is None
    promote(registry, first)
    assert registry.opponent_of(first.digest) is None
    assert registry.opponent_of(second.digest) == first
    promote(registry, second)
    assert registry.opponent_of(second.digest) == first
    assert registry.opponent_of(digest_folder(bundles[2])) == second


def test_rolling_back_goes_one_reign_back_each_time(registry, bundles):
    versions = [register(registry, bundle) for bundle in bundles[:3]]
    for version in versions:
        promote(registry, version)
    back = [registry.rollback(by="Bo", role="operator", reason="alarm").number for _ in range(2)]
    assert back == [2, 1] and registry.champion() == versions[0]
    with pytest.raises(ModelProblem, match="replaced nobody"):
        registry.rollback(by="Bo", role="operator", reason="alarm")
    assert [reign.kind for reign in registry.reigns()] == ["promote"] * 3 + ["rollback"] * 2


def test_nothing_to_roll_back_is_said(registry):
    with pytest.raises(ModelProblem, match="no champion"):
        registry.rollback(by="Bo", role="operator", reason="alarm")


def test_champion_at_any_time(registry, bundles, monkeypatch):
    start, clock = datetime(2026, 3, 1, tzinfo=UTC), {"hours": 0}

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return start + timedelta(hours=clock["hours"])

    monkeypatch.setattr("mlops_lab.foundation.chain.datetime", Clock)
    versions = [register(registry, bundle) for bundle in bundles]
    for i, version in enumerate(versions):
        clock["hours"] = 10 * (i + 1)
        promote(registry, version)
    clock["hours"] = 50
    registry.rollback(by="Bo", role="operator", reason="alarm")
    truth = {0: None, 9.99: None, 10: 1, 15: 1, 20: 2, 29: 2, 30: 3, 40: 4, 49.9: 4, 50: 3, 999: 3}
    for hours, number in truth.items():
        found = registry.champion_at(start + timedelta(hours=hours))
        assert (found.number if found else None) == number
    assert registry.champion_at("2026-03-01T21:30:00+01:00").number == 2
    with pytest.raises(ValueError, match="no time zone"):
        registry.champion_at(datetime(2026, 3, 1))


@pytest.mark.parametrize("harm", ["edit", "remove", "cut", "swap"])
def test_any_harm_to_the_log_is_noticed_before_the_next_decision(registry, bundles, harm):
    versions = [register(registry, bundle) for bundle in bundles[:2]]
    promote(registry, versions[0])
    path = registry.lab.decisions
    lines = path.read_bytes().splitlines(keepends=True)
    lines = {
        "edit": [lines[0].replace(b"0.5", b"0.9"), *lines[1:]],
        "remove": [lines[0], lines[2]],
        "cut": lines[:2],
        "swap": [lines[1], lines[0], lines[2]],
    }[harm]
    path.write_bytes(b"".join(lines))
    before = path.read_bytes()
    with pytest.raises(RecordProblem):
        promote(registry, versions[1])
    assert path.read_bytes() == before
    asked = (registry.champion, registry.versions, registry.reigns)
    for ask in (*asked, lambda: registry.opponent_of(versions[1].digest)):
        with pytest.raises(RecordProblem, match="decisions.jsonl"):
            ask()


@pytest.mark.parametrize("harm", ["change", "add", "remove"])
def test_a_stored_bundle_that_was_harmed_is_never_promoted(registry, bundles, harm):
    version = register(registry, bundles[0])
    if harm == "change":
        (version.folder / "weights.npz").write_bytes(b"other")
    elif harm == "add":
        (version.folder / "extra").write_bytes(b"")
    else:
        (version.folder / "weights.npz").unlink()
    with pytest.raises(ModelProblem, match="changed or is gone"):
        promote(registry, version)
    assert registry.champion() is None
    assert register(registry, bundles[0]) == version
    assert promote(registry, version) == version


def test_a_champion_whose_bundle_is_harmed_cannot_return(registry, bundles):
    versions = [register(registry, bundle) for bundle in bundles[:2]]
    for version in versions:
        promote(registry, version)
    (versions[0].folder / "card.json").write_text("{}")
    with pytest.raises(ModelProblem, match="version 1"):
        registry.rollback(by="Bo", role="operator", reason="alarm")
    assert registry.champion() == versions[1]


def test_a_refusal_is_written_and_changes_nothing(registry, bundles):
    version = register(registry, bundles[0])
    registry.refuse(version, by="gate", role="automatic gate", reason="macro-F1", evidence={"f": 1})
    entry = registry.log.last()
    assert (entry.kind, entry.data["number"], entry.data["reason"]) == ("refuse", 1, "macro-F1")
    assert registry.champion() is None


@pytest.mark.parametrize("missing", ["by", "role", "reason"])
def test_a_decision_needs_who_role_and_why(registry, bundles, missing):
    version = register(registry, bundles[0])
    with pytest.raises(ValueError, match=missing):
        promote(registry, version, **{missing: "  "})


def test_what_is_no_bundle_or_was_never_registered_is_refused(registry, tmp_path, bundles):
    with pytest.raises(ModelProblem, match="is no bundle"):
        register(registry, tmp_path / "nothing")
    other = Registry(Workspace(tmp_path / "other"), mirrored=False)
    with pytest.raises(RecordProblem, match="never registered"):
        promote(registry, register(other, bundles[0]))


def test_asking_for_the_champion_imports_nothing_heavy(registry, bundles):
    promote(registry, register(registry, bundles[0]))
    code = (
        "import sys; from pathlib import Path;"
        "from mlops_lab.foundation.workspace import Workspace;"
        "from mlops_lab.tracking.registry import Registry;"
        "assert Registry(Workspace(Path(sys.argv[1]))).champion().number == 1;"
        "heavy = {'mlflow', 'numpy', 'pandas', 'sqlalchemy'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    home = str(Path(mlops_lab.__file__).parents[1])
    command = [sys.executable, "-c", code, str(registry.lab.root)]
    subprocess.run(command, cwd=home, check=True)


def aliases(lab):
    return {
        alias: int(number)
        for alias, number in open_client(lab).get_registered_model(MODEL_NAME).aliases.items()
    }


def test_mlflow_repeats_the_log_and_is_mended(tracked_lab, tmp_path, monkeypatch):
    registry = Registry(tracked_lab)
    first = register(registry, write_tiny_bundle(tmp_path / "a", seed=1), 0.6)
    promote(registry, first)
    second = register(registry, write_tiny_bundle(tmp_path / "b", seed=2), 0.7)
    assert registry.mirror_problem == ""
    assert aliases(tracked_lab) == {"champion": 1, "challenger": 2}

    monkeypatch.setattr("mlops_lab.tracking.registry.mirror_registry", crash)
    promote(registry, second)
    third = register(registry, write_tiny_bundle(tmp_path / "c", seed=3))
    assert "ConnectionError: gone" in registry.mirror_problem
    assert registry.champion() == second and aliases(tracked_lab)["champion"] == 1

    monkeypatch.undo()
    open_client(tracked_lab).set_registered_model_alias(MODEL_NAME, "previous", "2")
    registry.refuse(third, by="gate", role="gate", reason="worse", evidence={})
    assert aliases(tracked_lab) == {"champion": 2, "previous": 1, "challenger": 3}
    registry.rollback(by="Bo", role="operator", reason="alarm")
    assert mirror_registry(tracked_lab) == aliases(tracked_lab) == {"champion": 1, "challenger": 3}
    stored = open_client(tracked_lab).get_model_version(MODEL_NAME, "2")
    assert stored.tags["mlops_lab.digest"] == second.digest
    assert json.loads((second.folder / "card.json").read_text())["seed"] == 2


def crash(lab, address):
    raise ConnectionError("gone")
