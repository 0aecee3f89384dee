"""Each capability, switched on, raises a level; switched off again, the level falls."""

import json

import full_project
import pytest
from damages import each_log, remove, replace, sql, with_data, without

from mlops_lab.maturity.answers import Answer, Sheet
from mlops_lab.maturity.assessment import assess
from mlops_lab.maturity.bank import read_bank
from mlops_lab.maturity.evidence import gather_evidence

BANK = read_bank()
EVERYTHING = Sheet(BANK.version, {name: Answer(3) for name in BANK.criteria}, "Ada")


def no_stage(name):
    """A pipeline without one stage."""
    return lambda e: None if e.kind == "stage" and e.data["stage"].startswith(name) else {}


OFF = {
    "schedule": [each_log("ledger.jsonl", with_data("run-started", trigger="manual"))],
    "gate": [
        each_log("ledger.jsonl", no_stage("gate")),
        each_log("decisions.jsonl", without("promote", "rollback")),
    ],
    "canary": [
        sql(
            "scores.db",
            "delete from feedback where score_id in "
            "(select score_id from scores where variant = 'canary')",
            "delete from scores where variant = 'canary'",
        )
    ],
    "monitor": [
        each_log("ledger.jsonl", no_stage("monitor")),
        each_log("alerts.jsonl", without("alert")),
    ],
    "CI": [remove("reports"), replace(".github/workflows/ci.yml", "pytest", "echo")],
}
# Google, ladder, Microsoft (creation, release) and ML Test Score when everyone claims everything.
LEVELS = {
    "": (2, 4, 4, 4, 5.5),
    "schedule": (0, 3, 1, 4, 5.5),
    "gate": (0, 3, 1, 2, 3.5),
    "canary": (2, 4, 4, 2, 5.5),
    "monitor": (1, 1, 3, 4, 0.5),
    "CI": (1, 4, 4, 1, 4.5),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return full_project.build(tmp_path_factory.mktemp("full") / "project")


def levels(folder):
    found = assess(BANK, EVERYTHING, ceilings=gather_evidence(folder, BANK).ceilings)
    tracks = {track.track: track.level for track in found.lenses["microsoft"].tracks}
    google, ladder = found.lenses["google"].level, found.lenses["ladder"].level
    return google, ladder, tracks["creation"], tracks["release"], found.score.score


@pytest.mark.slow
@pytest.mark.parametrize("capability", LEVELS)
def test_a_capability_raises_levels(capability, project, tmp_path):
    copy = full_project.copy_of(project, tmp_path / "copy")
    for damage in OFF.get(capability, []):
        damage(copy)
    off, on = levels(copy.folder), LEVELS[""]
    assert off == LEVELS[capability]
    assert all(a <= b for a, b in zip(off, on, strict=True))
    assert capability == "" or off != on


def test_a_plain_repository_gets_a_fair_low_explained_result(tmp_path):
    project = full_project.Project(tmp_path / "plain")
    project.folder.mkdir()
    project.git("init", "-q")
    project.write("tests/test_model.py", "def test_predict():\n    assert True\n")
    project.write("model.py", "def predict(x):\n    return x\n")
    project.write(".gitlab-ci.yml", "test:\n  script: [pytest]\n")
    project.write("requirements.txt", "numpy==2.1.0\n")
    for who in ("Ada", "Ben"):
        project.write("README.md", f"by {who}\n")
        project.git("add", ".")
        project.git("commit", "-qm", "work", who=who)
    evidence = gather_evidence(project.folder, BANK)
    found = assess(BANK, ceilings=evidence.ceilings)
    proved = {name: seen for name, seen in evidence.ceilings.items() if seen}
    assert proved == {
        **{"EXP-1": 2, "EXP-12": 2, "TST-1": 2, "TST-5": 2, "TST-6": 2},
        **{"DEP-10": 1, "GOV-2": 2},
    }
    assert found.lenses["google"].level == 0 and found.score.score == 0
    tracks = {track.track: track.level for track in found.lenses["microsoft"].tracks}
    assert tracks == {"people": 0, "creation": 0, "release": 2, "integration": 0}
    refs = [finding.refs for finding in evidence.deciding.values() if finding.ceiling]
    assert all(refs) and ("tests/test_model.py::test_predict",) in refs


@pytest.mark.parametrize("inside", [False, True])
def test_an_empty_folder_proves_nothing(inside, tmp_path):
    project = full_project.Project(tmp_path)
    if inside:
        project.git("init", "-q")
        project.write("settings.ini", "[DEFAULT]\nminimum_macro_f1 = 0.5\n")
        project.git("add", ".")
        project.git("commit", "-qm", "not the folder's own")
    empty = tmp_path / "empty"
    empty.mkdir()
    evidence = gather_evidence(empty, BANK)
    found = assess(BANK, ceilings=evidence.ceilings)
    assert not any(evidence.ceilings.values()) and evidence.commit == ""
    assert {lens.level for lens in found.lenses.values()} == {0} and found.score.score == 0
    assert {line.status for line in found.lines.values()} == {"absent", "not checkable"}
    assert not list(empty.iterdir())


def test_a_malformed_trace_takes_nothing_else_down(tmp_path):
    from mlops_lab.foundation.chain import ChainLog

    log = ChainLog(tmp_path / ".lab" / "decisions.jsonl")
    log.append("promote", {"surprise": 1})
    (tmp_path / ".lab" / "scores.db").write_bytes(b"no database")
    (tmp_path / ".lab" / "tracking.db").write_bytes(json.dumps({}).encode())
    evidence = gather_evidence(tmp_path, BANK)
    assert not any(seen for name, seen in evidence.ceilings.items() if name != "GOV-3")
    assert evidence.findings["V06"].ceiling == 0
    assert any("cannot be read" in str(f.refs) for f in evidence.findings.values())
