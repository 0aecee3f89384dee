"""A wrong service does not pass; the right one does."""

import json

import pytest
from serving_examples import KeywordScorer

from mlops_lab.foundation.errors import ServiceProblem
from mlops_lab.serving.refusals import Refusal
from mlops_lab.serving.smoke_test import Check, SmokeReport, smoke_test


class ScriptedClient:
    """Answers like a service around the keyword scorer, with one fault at a time."""

    def __init__(self, fault=""):
        self.fault, self.kept = fault, {}

    def score(self, text, *, caller=""):
        if text == "" and self.fault != "scores nothing":
            raise Refusal(500 if self.fault == "breaks" else 422, "text 0 is empty")
        scores = KeywordScorer().score([text] if isinstance(text, str) else text)
        rows = [dict(zip(scores.labels, row, strict=True)) for row in scores.probabilities.tolist()]
        if self.fault == "another model":
            rows[0]["joy"] += 0.01
        told = [
            {"score_id": str(i), "label": label, "probabilities": row}
            for i, (label, row) in enumerate(zip(scores.top, rows, strict=True))
        ]
        self.kept = {score["score_id"]: score for score in told}
        return {"model": "keywords", "version": "7", "scores": told}

    def read(self, score_id):
        kept = self.kept[score_id] | {"at": "2026"}
        return kept | {"probabilities": {}} if self.fault == "forgets" else kept

    def infer(self, texts, model):
        label = "other" if self.fault == "other protocol" else KeywordScorer().score(texts).top[0]
        return {"outputs": [{"data": [label]}]}

    def ready(self):
        return self.fault != "not ready"


@pytest.fixture
def bundle(tmp_path):
    texts = ["good", "", "bad day"]
    golden = {"texts": texts, "probabilities": KeywordScorer().score(texts).probabilities.tolist()}
    (tmp_path / "golden.json").write_text(json.dumps(golden))
    return tmp_path


def test_the_right_service_passes(bundle):
    report = smoke_test(ScriptedClient(), bundle, version="7")
    assert report.passed and len(report.checks) == 6
    report.require_passed()
    assert json.loads(json.dumps(report.as_dict()))["passed"] is True


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("not ready", "ready"),
        ("another model", "golden texts"),
        ("other protocol", "inference protocol"),
        ("forgets", "stored record"),
        ("scores nothing", "blank text"),
        ("breaks", "blank text"),
    ],
)
def test_each_fault_fails_its_own_check(bundle, fault, check):
    report = smoke_test(ScriptedClient(fault), bundle)
    assert [found.name for found in report.checks if not found.passed] == [check]
    with pytest.raises(ServiceProblem, match=check):
        report.require_passed()


def test_another_version_fails(bundle):
    report = smoke_test(ScriptedClient(), bundle, version="8")
    assert [found.name for found in report.checks if not found.passed] == ["version"]


def test_a_report_without_checks_passes_nothing_wrong():
    assert SmokeReport("m", "1", ()).passed
    assert not SmokeReport("m", "1", (Check("ready", False, "no"),)).passed
