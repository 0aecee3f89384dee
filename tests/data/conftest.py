"""Where real data sets are, for the tests that need them."""

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The data home that holds real data sets, or a skip that says where they are looked for."""
    home = Path(os.environ.get("MLOPS_LAB_DATA_HOME") or _BESIDE).expanduser()
    if not (home / "goemotions" / "train.tsv").is_file():
        pytest.skip(f"no real data sets in {home}; MLOPS_LAB_DATA_HOME names another folder")
    return home
