"""What every test may ask for."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from mlops_lab.foundation.settings import Settings
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.maturity.test_reports import describe_test_run

# One optional validator costs 1.3 s in each process that imports nbformat.
sys.modules.setdefault("rfc3987_syntax", None)

PROJECT = Path(__file__).parent.parent
# Whole files go to one worker each; the long ones go first, so that none is left for the end.
LONG = """
test_assessment_widget test_passes test_hostile_data test_readme test_own_data test_approval
test_several_labels test_goemotions test_checkpoint test_planted_challengers test_killed_run
test_repeated_run test_sharing test_online_servers test_exploration test_search_commands
test_cache_truth test_review_widget test_house test_long_rows test_lab0 test_canary_commands
test_secret_stages test_search test_hostile_rows test_paper test_engine test_canary_trial
test_trial_keeper test_observations test_canvas_file test_decision_log test_warm_keeper
test_truth_table
""".split()


@pytest.hookimpl(trylast=True)  # once the report itself is there
def pytest_configure(config: pytest.Config) -> None:
    """Say in a JUnit report which commit was tested and who asked, so that it proves something."""
    from _pytest.junitxml import xml_key  # pytest-xdist loses what the public fixture records

    report = config.stash.get(xml_key, None)
    if report is not None:
        for name, value in describe_test_run(PROJECT).items():
            report.add_global_property(name, value)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONG)))


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


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real model, of a kind that learns in no time."""
    import pandas as pd

    from mlops_lab.models.learning import Recipe
    from mlops_lab.models.tasks import label_space
    from mlops_lab.models.training import train_candidate, write_bundle

    texts = ["what a great day", "I hate it", "so sad", "I love this"] * 10
    frame = pd.DataFrame({"text": texts, "label": ["joy", "anger", "sadness", "joy"] * 10})
    frame["language"] = "en"
    task = label_space("emotion", frame["label"])
    made = train_candidate("lexicon_rule", frame, dev=frame, task=task, recipe=Recipe())
    return write_bundle(made, tmp_path_factory.mktemp("small") / "model")


@pytest.fixture
def table_bundle(tmp_path: Path) -> Path:
    """A real bundle, small enough to be written by hand: "good" is joy, "bad" is sadness."""
    from mlops_lab.models.bag_model import BagModel
    from mlops_lab.models.bundle import Bundle, save_bundle
    from mlops_lab.models.features import fit_features

    features = fit_features(["a good day", "a bad day"] * 2)
    table = np.zeros((features.size, 2), np.float32)
    for column, word in enumerate(("good", "bad")):
        table[features.bags([word]).ids, column] = 2.0
    card = {"name": "by hand", "task": "own", "labels": ["joy", "sadness"], "candidate": "table"}
    model, golden = BagModel(table, np.zeros(2, np.float32)), {"texts": [], "probabilities": []}
    return save_bundle(Bundle(card, features, model, {}, golden), tmp_path / "table_bundle")
