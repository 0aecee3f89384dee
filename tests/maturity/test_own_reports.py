"""The lab's own tests say in their report which commit they tested, and who asked."""

import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from mlops_lab.maturity.test_reports import describe_test_run


@pytest.mark.parametrize(("trigger", "actor"), [("ci", "ci"), ("person", "person")])
@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_a_report_names_commit_and_actor(trigger, actor, workers, project, tmp_path):
    report = tmp_path / "report.xml"
    words = [*workers, f"--junitxml={report}", "-p", "no:cacheprovider"]
    test = "tests/maturity/test_bank.py"
    own = os.environ | {"MLOPS_LAB_TRIGGER": trigger, "PYTHONPATH": str(project)}
    command = [sys.executable, "-m", "pytest", test, "-q", "-k", "cycle or circle", *words]
    subprocess.run(command, cwd=project, env=own, capture_output=True)
    found = ElementTree.parse(report).getroot().iter("property")
    told = {one.get("name"): one.get("value") for one in found}
    assert told["actor"] == actor and told["commit"] == describe_test_run(project)["commit"]


def test_a_tree_with_changes_is_no_commit(tmp_path):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=Ada", "-c", "user.email=a@example.org"]
    (tmp_path / "one.txt").write_text("one")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "One"]):
        subprocess.run([*git, *words], check=True)
    clean = describe_test_run(tmp_path)["commit"]
    (tmp_path / "two.txt").write_text("two")
    assert len(clean) == 40 and describe_test_run(tmp_path)["commit"] == f"{clean} with changes"
