"""Scoring files, looking after scores, keys and bundles at a terminal."""

import json

import pandas as pd
import pytest
from click.testing import CliRunner

from mlops_lab.command_line.program import main
from mlops_lab.foundation.settings import read_settings
from mlops_lab.foundation.workspace import open_workspace
from mlops_lab.tracking.registry import Registry


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.ini").write_text("[DEFAULT]\nworkspace = .lab\n")
    return open_workspace(read_settings(tmp_path)).create()


@pytest.fixture
def champion(lab, small_model):
    registry = Registry(lab, mirrored=False)
    version = registry.register(small_model, run_id="r", metrics={})
    registry.promote(version, by="Ana", role="owner", reason="test", evidence={})
    return version


def invoke(*words, code=0):
    told = CliRunner().invoke(main, [str(word) for word in words])
    assert told.exit_code == code, told.output
    return told


def test_a_guessed_encoding_is_told(champion, tmp_path):
    for encoding, notes in (("cp1252", 1), ("utf-8", 0)):
        (tmp_path / "in.csv").write_text("text\nqué día, «sí»\n", encoding=encoding)
        told = invoke("score", "in.csv", "--out", f"{encoding}.csv").output
        assert told.count("note: in.csv is no UTF-8 and was read as Windows-1252") == notes
        assert pd.read_csv(tmp_path / f"{encoding}.csv")["text"].tolist() == ["qué día, «sí»"]


def test_a_file_is_scored_kept_exported_and_forgotten(champion, tmp_path):
    table = pd.DataFrame({"n": range(30), "message": ["what a great day", ""] * 15})
    table.to_csv(tmp_path / "in.csv", index=False)
    line = invoke("score", "in.csv", "--text", "message", "--keep", "--caller", "Ana")
    assert "30 rows by version 1, 15 scored, 15 not" in line.output
    made = pd.read_csv(tmp_path / "in.scored.csv")
    assert len(made) == 30 and made["predicted"].dropna().eq("joy").all()
    assert made["score_id"].notna().sum() == 15
    told = json.loads(invoke("scores", "export", "--out", "all.parquet", "--json").stdout)
    assert told["rows"] == 15
    gone = invoke("scores", "forget", "--caller", "Ana", "--by", "Bo", "--reason", "12", "--json")
    assert json.loads(gone.stdout)["scores"] == 15 and json.loads(gone.stdout)["files"] == 2
    assert not (tmp_path / "all.parquet").exists()
    assert len(pd.read_csv(tmp_path / "in.scored.csv")) == 15  # those that were never scored
    invoke("scores", "expire", "--by", "Bo", "--days", "1")


REFUSED = {
    "no column": (["score", "in.csv", "--text", "words"], 1, "no column 'words'"),
    "no table": (["score", "settings.ini"], 1, "no reader or writer"),
    "no file": (["score", "none.csv"], 2, "does not exist"),
    "itself": (["score", "in.csv", "--out", "in.csv"], 1, "is the file to be scored"),
    "another format": (["score", "in.csv", "--out", "out.xlsx"], 1, ".parquet"),
    "nobody": (["scores", "forget", "--by", "Bo", "--reason", "1"], 2, "say whose scores"),
    "named": (
        ["scores", "forget", "--caller", "Ana", "--by", "Bo", "--reason", "Ana asked"],
        2,
        "give a number instead",
    ),
    "for ever": (["scores", "expire", "--by", "Bo"], 2, "kept for ever"),
    "nothing there": (["scores", "export", "--out", "x.csv"], 1, "no score to export"),
    "not a bundle": (["score", "in.csv", "--bundle", "in.csv"], 1, "is no release"),
    "no such key": (["keys", "remove", "x"], 1, "no key named 'x'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_is_said_in_words(champion, tmp_path, name):
    (tmp_path / "in.csv").write_text("text\ngood\n")
    words, code, told = REFUSED[name]
    assert told in invoke(*words, code=code).output
    assert not (tmp_path / "in.scored.csv").exists()


def test_without_a_champion_it_says_so(lab, tmp_path):
    (tmp_path / "in.csv").write_text("text\ngood\n")
    assert "there is no champion" in invoke("score", "in.csv", code=1).output
    assert "there is no champion" in invoke("bundle", "--out", "x", code=1).output


def test_a_champion_is_bundled_and_scores_elsewhere(champion, tmp_path):
    told = json.loads(invoke("bundle", "--out", "emotion.tar", "--json").stdout)
    assert told["version"] == "1" and told["check"]["message"] == "6 checks passed over HTTP"
    assert told["digest"] == champion.digest and told["seal"].startswith("sha256:")
    (tmp_path / "in.csv").write_text("text\nwhat a great day\n")
    line = invoke("score", "in.csv", "--bundle", "emotion.tar").output
    assert "1 rows by version 1, 1 scored" in line
    assert "is there already" in invoke("bundle", "--out", tmp_path, code=1).output


def test_a_key_is_shown_once(lab):
    key = invoke("keys", "add", "team-1").output.strip()
    assert key.startswith("lab_") and key not in invoke("keys", "list").output
    assert "team-1" in invoke("keys", "list").output
    invoke("keys", "remove", "team-1")
    assert json.loads(invoke("keys", "list", "--json").stdout) == []
