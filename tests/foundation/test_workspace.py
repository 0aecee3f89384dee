"""The state folder: made on purpose, refused where it cannot be."""

from pathlib import Path

import pytest

from mlops_lab.foundation.errors import WorkspaceProblem
from mlops_lab.foundation.settings import Settings
from mlops_lab.foundation.workspace import Workspace, open_workspace


def test_opening_writes_nothing(tmp_path):
    open_workspace(Settings(workspace=tmp_path / "lab"))
    assert list(tmp_path.iterdir()) == []


def test_every_path_lies_in_the_state_folder(tmp_path):
    lab = Workspace(tmp_path / "lab").create()
    paths = [
        getattr(lab, name) for name, kind in vars(Workspace).items() if isinstance(kind, property)
    ]
    assert len(paths) == len(set(paths)) >= 9
    assert all(path.is_relative_to(lab.root) for path in paths)


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "lab").write_text("")
    with pytest.raises(WorkspaceProblem, match="MLOPS_LAB_WORKSPACE"):
        Workspace(tmp_path / "lab").create()


def test_a_folder_that_cannot_be_made_is_named():
    with pytest.raises(WorkspaceProblem, match="cannot be made"):
        Workspace(Path("/proc/lab")).create()
