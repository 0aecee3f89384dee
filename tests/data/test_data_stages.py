"""The five data stages, run cell by cell on a small world and on an own file."""

import json
from pathlib import Path

import pandas as pd
import pytest

from mlops_lab.data.sealing import open_sealed, read_seal
from mlops_lab.foundation.errors import DataProblem

STAGES = Path(__file__).parents[2] / "notebooks" / "pipelines" / "case_study"
NAMES = ("01_ingest", "02_validate", "03_explore", "04_prepare", "05_segregate")


def run_stage(name, workspace, **parameters):
    cells = json.loads((STAGES / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    space = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), name, "exec"), space)
            if "parameters" in cell["metadata"].get("tags", []):
                unknown = set(parameters) - set(space)
                assert not unknown, unknown
                space |= parameters | {"workspace": str(workspace)}
    record = name.split("_", 1)[1]
    return json.loads((workspace / "records" / f"{record}.json").read_text(encoding="utf-8"))


def test_the_world_goes_through_all_data_stages(tmp_path):
    records = {name: run_stage(name, tmp_path, **given(name, rows=1_500)) for name in NAMES}
    ingest, segregate = records["01_ingest"], records["05_segregate"]
    assert ingest["metrics"]["rows"] == 1_500 and ingest["metrics"]["ceiling_macro_f1"] > 0.8
    assert records["02_validate"]["metrics"]["quarantined"] == 0
    assert len(list((tmp_path / "figures" / "explore").glob("*.svg"))) == 6
    sizes = [len(pd.read_parquet(tmp_path / f"data/{part}.parquet")) for part in PARTS]
    sealed = read_seal(tmp_path / "data/test.sealed")
    assert sealed.readers == ("evaluate", "gate") and not (tmp_path / "data/test.parquet").exists()
    assert sum(sizes) + sealed.rows == 1_500 and segregate["verdict"]["passed"]
    assert records["04_prepare"]["headline"].startswith("1,500 rows are prepared")
    train = pd.read_parquet(tmp_path / "data/train.parquet")
    assert {"posterior_joy", "author", "at"} <= set(train) and "emotion" not in train


PARTS = ("train", "dev", "holdout")


def given(name, **ingest):
    return ingest if name == "01_ingest" else {}


def test_an_own_file_goes_through_all_data_stages(tmp_path):
    path = tmp_path / "mine.csv"
    rows = pd.DataFrame({"said": [f"message number {n}" for n in range(300)]})
    rows["mood"] = ["good", "bad", "odd"] * 100
    rows.loc[5, "said"] = None
    rows.to_csv(path, index=False)
    mine = {"data_set": str(path), "text_column": "said", "label_column": "mood"}
    records = {name: run_stage(name, tmp_path, **given(name, **mine)) for name in NAMES}
    assert records["02_validate"]["metrics"]["quarantined"] == 1
    quarantine = pd.read_parquet(tmp_path / "data/quarantine.parquet")
    assert quarantine["reasons"].tolist() == ["text_present"]
    assert records["05_segregate"]["metrics"]["worst_leak"] == 0


@pytest.mark.real_data
def test_a_public_data_set_goes_through_all_data_stages(tmp_path, real_data, monkeypatch):
    monkeypatch.setenv("MLOPS_LAB_DATA_HOME", str(real_data))
    public = {"data_set": "goemotions", "rows": 3_000}
    records = {name: run_stage(name, tmp_path, **given(name, **public)) for name in NAMES}
    source = json.loads((tmp_path / "data/source.json").read_text(encoding="utf-8"))
    assert source["kind"] == "goemotions" and source["rows_found"] == 54_263
    assert source["splits"] == {"train": 43_410, "dev": 5_426, "test": 5_427}
    assert records["01_ingest"]["metrics"] == {"rows": 3_000, "labels": 7}
    assert records["05_segregate"]["metrics"]["worst_leak"] == 0
    test = open_sealed(tmp_path / "data/test.sealed", reader="evaluate")
    assert len(test) == records["05_segregate"]["metrics"]["test"]


def test_a_broken_source_stops_at_validation_and_leaves_its_report(tmp_path):
    run_stage("01_ingest", tmp_path, rows=300)
    raw = pd.read_parquet(tmp_path / "data/raw.parquet")
    raw.loc[:60, "label"] = "hungry"
    raw.to_parquet(tmp_path / "data/raw.parquet", index=False)
    with pytest.raises(DataProblem, match="label_known \\(61\\)"):
        run_stage("02_validate", tmp_path)
    report = json.loads((tmp_path / "data/validation.json").read_text(encoding="utf-8"))
    assert report["passed"] is False and not (tmp_path / "data/checked.parquet").exists()
    assert not (tmp_path / "records/validate.json").exists()
