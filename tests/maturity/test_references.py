"""References open what they name, and nothing outside of the project."""

import subprocess

import pytest

from mlops_lab.foundation.errors import RecordProblem
from mlops_lab.maturity.references import open_reference
from mlops_lab.maturity.traces import Traces


@pytest.fixture
def traces(tmp_path):
    home = tmp_path / "home"
    (home / ".lab").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("not yours")
    (home / "link.txt").symlink_to(tmp_path / "secret.txt")
    (home / "key.txt").write_text("AKIA" + "Q" * 16)
    git = ["git", "-C", str(home), "-c", "user.name=Ada", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "key.txt"], ["commit", "-qm", "A key"]):
        subprocess.run([*git, *words], check=True)
    return Traces(home)


@pytest.mark.parametrize("ref", ["../secret.txt", "link.txt", "/etc/hostname", "", ".lab/../../x"])
def test_nothing_outside_of_the_project_is_opened(traces, ref):
    try:
        opened = open_reference(traces, ref)
    except RecordProblem:
        return
    assert "not yours" not in opened.text and ref == "", "the project itself is a list of names"


def test_a_leaked_key_is_named_and_not_shown(traces):
    commit = traces.repository.commits[0].digest
    opened = open_reference(traces, f"git show {commit[:7]}")
    assert "key.txt" in opened.text and "A key" in opened.text and "AKIA" not in opened.text


def test_a_workspace_elsewhere_is_opened_by_its_name(traces, tmp_path):
    place = tmp_path / "state"
    (place / "runs" / "one" / "records").mkdir(parents=True)
    (place / "runs" / "one" / "run.json").write_text('{"commit": "abc"}')
    elsewhere = Traces(traces.project, place)
    assert "commit:" in open_reference(elsewhere, "state/runs/one").text
    with pytest.raises(RecordProblem, match="is not there"):
        open_reference(elsewhere, "state/../secret.txt")


def test_a_long_file_is_cut_and_says_so(traces):
    (traces.project / "long.txt").write_text("x" * 50_000)
    assert open_reference(traces, "long.txt").text.endswith("characters more")


@pytest.mark.parametrize("ref", [".lab/scores.db: shop 2026-05-01", ".lab/tracking.db#abc"])
def test_a_broken_database_is_told_and_does_not_raise_anything_else(traces, ref):
    (traces.project / ".lab" / ref.split("/")[1].split(":")[0].split("#")[0]).write_bytes(b"no")
    try:
        assert "rows" in open_reference(traces, ref).text
    except RecordProblem as problem:
        assert "cannot be read" in problem.found
