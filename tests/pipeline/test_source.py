"""The commit read from git's files is the one git tells."""

import subprocess

import pytest

from mlops_lab.pipeline.source import is_dirty, read_commit


def git(folder, *words):
    identity = ["-c", "user.name=A", "-c", "user.email=a@b.c"]
    ask = {"cwd": folder, "check": True, "capture_output": True, "text": True}
    return subprocess.run(["git", *identity, *words], **ask).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "a.txt").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    return tmp_path


def test_loose_packed_and_detached(repository):
    assert read_commit(repository) == git(repository, "rev-parse", "HEAD")
    git(repository, "pack-refs", "--all")
    assert read_commit(repository) == git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "-q", "--detach")
    assert read_commit(repository) == git(repository, "rev-parse", "HEAD")


def test_a_second_working_tree(repository, tmp_path_factory):
    other = tmp_path_factory.mktemp("trees") / "other"
    git(repository, "worktree", "add", "-q", str(other), "-b", "side")
    git(other, "commit", "-qm", "two", "--allow-empty")
    assert read_commit(other) == git(other, "rev-parse", "HEAD") != read_commit(repository)


def test_a_repository_without_commits_and_no_repository(tmp_path):
    assert read_commit(tmp_path) == ""
    git(tmp_path, "init", "-q")
    assert read_commit(tmp_path) == ""


def test_dirty(repository):
    assert is_dirty(repository) is False
    (repository / "a.txt").write_text("2")
    assert is_dirty(repository) is True
