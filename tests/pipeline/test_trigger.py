"""What started a run, and what the ledger keeps of it."""

import pytest

from mlops_lab.foundation.errors import SettingsProblem
from mlops_lab.foundation.settings import Settings, read_settings
from mlops_lab.pipeline.trigger import Trigger, read_trigger


@pytest.mark.parametrize("kind", ["person", "schedule", "monitor", "ci"])
def test_the_environment_says_what_starts_runs(kind, monkeypatch, project):
    monkeypatch.setenv("MLOPS_LAB_TRIGGER", kind)
    assert read_trigger(read_settings(project)).kind == kind


def test_an_unknown_kind_is_refused(monkeypatch, project):
    monkeypatch.setenv("MLOPS_LAB_TRIGGER", "cron")
    with pytest.raises(SettingsProblem, match="trigger = 'cron'"):
        read_settings(project)


def test_what_is_empty_is_not_noted():
    assert Trigger().as_dict() == {"kind": "person"}
    assert read_trigger(Settings()).as_dict()["kind"] == "person"
