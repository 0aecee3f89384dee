"""`mlops-lab data`: each command on real rows, for people and for machines."""

import json

import pandas as pd
import pytest
from click.testing import CliRunner

from mlops_lab.command_line.program import main
from mlops_lab.data.terms import read_contract
from mlops_lab.data.world import world_frame


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Call the program in a project of its own."""
    (tmp_path / "settings.ini").write_text("[DEFAULT]\ndata_home = home\n[dev]\n")
    monkeypatch.chdir(tmp_path)
    for name in ("MLOPS_LAB_DATA_HOME", "MLOPS_LAB_WORKSPACE", "MLOPS_LAB_ENV"):
        monkeypatch.delenv(name, raising=False)
    world_frame(300, seed=5)[["id", "text", "label"]].to_csv(tmp_path / "mine.csv", index=False)
    return lambda *words: CliRunner().invoke(main, ["data", *words])


def answer(result, code=0):
    assert result.exit_code == code, result.output
    return json.loads(result.output)


def test_list_names_public_and_stored_sets(call):
    assert "goemotions" in call("list").output and not answer(call("list", "--json"))["stored"]
    assert answer(call("add", "mine", "mine.csv", "--json"))["rows"] == 300
    assert answer(call("list", "--json"))["stored"] == [{"name": "mine", "rows": 300}]
    [known] = [
        one for one in answer(call("list", "--json"))["public"] if one["name"] == "goemotions"
    ]
    assert (
        known["rows"] == 54_263
        and not known["here"]
        and known["tasks"] == ["emotion", "sentiment", "emotions-28"]
    )


def test_get_offline_says_which_file_to_put_where(call, tmp_path):
    error = answer(call("get", "goemotions", "--offline", "--json"), code=1)["error"]
    assert error["kind"] == "DataProblem" and "train.tsv" in error["expected"]
    assert str(tmp_path / "home" / "goemotions") in error["expected"]
    assert "https://" in error["remedy"]
    assert "did you mean 'goemotions'" in call("get", "goemotion").output


def test_describe_tells_what_is_in_a_source(call):
    told = answer(call("describe", "mine.csv", "--json"))
    assert told["source"]["rows_found"] == 300 and told["findings"]["labels"] == 7
    shown = call("describe", "world", "--rows", "200")
    assert shown.exit_code == 0 and "200 of 200 rows of world" in shown.output


def test_check_infers_keeps_and_enforces_a_contract(call, tmp_path):
    shown = call("check", "mine.csv", "--infer", "--contract", "terms.yaml")
    assert shown.exit_code == 0 and "300 of 300 rows keep the contract" in shown.output
    assert len(read_contract(tmp_path / "terms.yaml").labels) == 7
    frame = pd.read_csv(tmp_path / "mine.csv")
    frame.loc[:3, "text"] = None
    frame.loc[10:99, "label"] = "hungry"
    frame.to_csv(tmp_path / "bad.csv", index=False)
    report = answer(call("check", "bad.csv", "--contract", "terms.yaml", "--json"), code=1)
    found = {rule["name"]: rule["failing"] for rule in report["rules"] if rule["failing"]}
    assert found["text_present"] == 4 and found["label_known"] == 90 and "quarantine_share" in found
    assert report["kept"] + report["quarantined"] == 300
    assert "label_known" in call("check", "bad.csv", "--contract", "terms.yaml").output


def test_versions_are_added_listed_compared_and_exported(call, tmp_path):
    first = answer(call("add", "mine", "mine.csv", "--json"))["version"]
    frame = pd.read_csv(tmp_path / "mine.csv").iloc[20:]
    frame.iloc[0, 1] = "other words"
    frame.to_csv(tmp_path / "mine.csv", index=False)
    call("add", "mine", "mine.csv")
    listed = answer(call("versions", "mine", "--json"))
    assert [one["rows"] for one in listed] == [280, 300] and listed[1]["digest"] == first
    told = answer(call("diff", "mine", first[7:15], "--json"), code=1)
    assert (told["added"], told["removed"], told["changed"]) == (0, 20, 1)
    assert "removed" in call("diff", "mine", first[7:15]).output
    assert call("diff", "mine", first[7:15], first[7:15]).exit_code == 0
    for ending in ("csv", "tsv", "jsonl", "parquet"):
        out = f"old.{ending}"
        done = answer(call("export", "mine", "--version", first[7:15], "--out", out, "--json"))
        assert done["rows"] == 300
        again = answer(call("describe", out, "--json"))
        assert again["source"]["rows"] == 300 and again["findings"]["labels"] == 7
    refused = answer(call("export", "world", "--out", "x.xls", "--json"), code=1)
    assert "no writer" in refused["error"]["found"]


def test_a_public_data_set_is_an_answer_to_data(tmp_path, monkeypatch):
    from mlops_lab.command_line.commands import _FILE

    assert _FILE.convert("goemotions", None, None) == "goemotions"


@pytest.mark.real_data
def test_real_data_is_described_and_exported(call, real_data, monkeypatch, tmp_path):
    monkeypatch.setenv("MLOPS_LAB_DATA_HOME", str(real_data))
    assert len(answer(call("get", "goemotions", "--offline", "--json"))["files"]) == 3
    told = call("describe", "emoevent_es", "--rows", "100000")
    assert "defect: test: row 91 holds the texts of 31 rows" in told.output
    out = ["export", "goemotions", "--rows", "100000", "--out", "all.jsonl", "--json"]
    assert answer(call(*out))["rows"] == 54_263


def test_review_goes_out_as_a_table_and_comes_back_as_decisions(call, tmp_path):
    told = answer(call("review", "mine.csv", "--table", "review.csv", "--json"))
    assert len(told["rules"]) == 12 and len(told["accepted"]) == 9 and not told["taken"]
    table = pd.read_csv(tmp_path / "review.csv", dtype=str, keep_default_na=False)
    table.loc[table["rule"] == "emoji", ["decision", "why"]] = ["accept", "ours are random"]
    table.to_csv(tmp_path / "review.csv", index=False)
    nameless = call("review", "mine.csv", "--take", "review.csv", "--json")
    assert "has no by" in answer(nameless, code=1)["error"]["found"]
    assert not (tmp_path / "cleaning.yaml").exists()
    shown = call("review", "mine.csv", "--take", "review.csv", "--by", "Ana")
    assert shown.exit_code == 0 and "10 of 12 rules are accepted (cleaning.yaml)" in shown.output
    assert "by: Ana" in (tmp_path / "cleaning.yaml").read_text()
