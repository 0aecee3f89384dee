"""What every test may ask for."""

import os
import sys
from pathlib import Path

import pytest

from mlops_lab.foundation.settings import Settings
from mlops_lab.foundation.workspace import Workspace

# One optional validator costs 1.3 s in each process that imports nbformat.
sys.modules.setdefault("rfc3987_syntax", None)

PROJECT = Path(__file__).parent.parent


@pytest.fixture
def project() -> Path:
    """The project's own folder."""
    return PROJECT


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of an empty lab in a temporary folder."""
    return Settings(project=PROJECT, workspace=tmp_path / "lab")


@pytest.fixture
def lab(settings: Settings) -> Workspace:
    """The empty lab of these settings."""
    return Workspace(settings.workspace).create()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The data home that holds real data sets, or a skip that says where they are looked for."""
    home = Path(os.environ.get("MLOPS_LAB_DATA_HOME") or PROJECT.parent / "shared" / "data")
    if not (home / "goemotions" / "train.tsv").is_file():
        pytest.skip(f"no real data sets in {home}; MLOPS_LAB_DATA_HOME names another folder")
    return home
