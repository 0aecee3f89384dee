"""`mlops-lab assess` as its users and their CI meet it."""

import json

import pytest

from mlops_lab.foundation.chain import ChainLog


def test_without_answers_the_evidence_speaks_and_nothing_is_written(call, unchanged):
    unchanged()
    told = call("assess")
    assert told.returncode == 0 and told.stderr == ""
    assert told.stdout.startswith("By evidence alone") and "Three steps" in told.stdout
    assert unchanged()


def test_claims_count_only_as_far_as_traces_allow(call, home):
    claims = {"PIP-7": {"value": 3}, "DOC-6": {"value": 2}, "MON-1": {"value": 0}}
    (home / "answers.json").write_text(json.dumps({"answers": claims, "person": "Ada"}))
    told = json.loads(call("assess", "--answers", "answers.json", "--json").stdout)
    lines = told["criteria"]
    assert (lines["PIP-7"]["effective"], lines["PIP-7"]["status"]) == (0, "overclaim")
    assert (lines["DOC-6"]["effective"], lines["DOC-6"]["status"]) == (2, "claim only")
    assert lines["MON-1"]["status"] == "absent" and lines["PIP-1"]["status"] == "unanswered"
    assert told["person"] == "Ada" and len(told["next_steps"]) == 3
    assert told["claimed_levels"].keys() == {"google", "microsoft", "ladder"}


@pytest.mark.parametrize(
    ("wanted", "status"),
    [("google:0", 0), ("google:1", 1), ("microsoft.release:1", 1), ("ml_test_score:0.5", 1)],
)
def test_a_check_ends_with_its_status(call, wanted, status):
    told = call("assess", "--check", wanted, "--check", "ladder:0")
    assert told.returncode == status
    assert f"{'✗' if status else '✓'} {wanted}" in told.stdout and "✓ ladder:0" in told.stdout


@pytest.mark.parametrize("wanted", ["google", "gogle:1", "google:9", "microsoft.speed:1"])
def test_a_level_that_does_not_exist_is_refused(call, wanted):
    told = call("assess", "--check", wanted)
    assert told.returncode == 1 and told.stderr.startswith("error: ") and not told.stdout


def test_answers_to_unknown_questions_are_refused(call, home):
    (home / "answers.json").write_text('{"answers": {"PIP-99": 3}}')
    told = call("assess", "--answers", "answers.json", "--json")
    assert told.returncode == 1 and "PIP-99" in json.loads(told.stdout)["error"]["found"]


def test_badge_report_and_language(call, home):
    words = ("--badge", "badge.svg", "--report", "out/report.html", "--language", "es")
    told = call("assess", *words, "--numbering", "1-5")
    assert "Escalera" in told.stdout and "written: badge.svg" in told.stdout
    assert "Microsoft 1 ·" in (home / "badge.svg").read_text()
    assert '<html lang="es">' in (home / "out/report.html").read_text()
    call("assess", "--report", "report.md")
    assert (home / "report.md").read_text().startswith("# How mature is this project?")


def test_saved_assessments_tell_what_was_lost(call, home):
    ledger = ChainLog(home / ".lab" / "ledger.jsonl")
    ledger.append("run-started", {"run": "one", "pipeline": "tiny"})
    for stage in ("ingest", "train", "gate"):
        ledger.append("stage", {"run": "one", "stage": stage, "state": "done", "seconds": 0.1})
    ledger.append("run-finished", {"run": "one", "state": "done", "seconds": 1.0})
    assert call("assess", "--save").returncode == 0
    ledger.path.write_text(ledger.path.read_text().replace('"gate"', '"date"'))
    told = call("assess", "--save")
    assert "evidence lost:" in told.stdout and "PIP-1" in told.stdout.splitlines()[-1]
    assert "A log is broken" in told.stdout
    kinds = [entry.kind for entry in ChainLog(home / ".lab" / "assessments.jsonl").read()]
    assert kinds == ["evidence", "evidence"]


def test_the_library_of_the_assessment_stays_out_of_help(call):
    before = "import sys, atexit; atexit.register(lambda: print(sorted(m for m in sys.modules if "
    before += "m.startswith('mlops_lab.maturity') or m == 'ipywidgets')))"
    assert call("assess", "--help", before=before).stdout.strip().endswith("[]")


def test_without_voila_the_web_page_names_the_extra(call):
    before = "import importlib.util as u; real = u.find_spec\n"
    before += "u.find_spec = lambda name, *rest: None if name == 'voila' else real(name, *rest)"
    told = call("assess", "--web", before=before)
    assert told.returncode == 1 and "the extra 'web'" in told.stderr
    assert "pip install 'mlops-lab[web]'" in told.stderr and not told.stdout


@pytest.mark.parametrize("words", [("--check", "google:1"), ("--json",), ("--save",)])
def test_the_web_page_goes_with_no_other_answer(call, words):
    told = call("assess", "--web", *words)
    assert told.returncode == 2 and "--web asks" in told.stderr


def test_the_report_can_be_a_pdf(call, home):
    assert "written: report.pdf" in call("assess", "--report", "report.pdf").stdout
    assert (home / "report.pdf").read_bytes().startswith(b"%PDF-")
