"""Each check of the house reports what it is for: planted in a small healthy tree, one at a time.

A plant breaks the notebooks or the exported modules, whichever the check reads. So the export
check, which compares the two, is asked only where it is the one to answer; so is the import check,
which starts interpreters. On the healthy tree all of them are asked.
"""

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import miniature
import pytest
from checks import CHECKS, stale_exceptions, without_allowed
from checks.allowed import ALLOWED, Allowed
from checks.package import check_independence, check_undefined_names
from checks.project import _fits, check_file_sizes, check_machine_paths
from plants import PLANTS, Plant, append, big, edit

ROOT = Path(__file__).resolve().parents[2]
SLOW = {"fresh_export", "quiet_import"}


@pytest.fixture(scope="session")
def healthy(tmp_path_factory):
    return miniature.build(tmp_path_factory.mktemp("healthy") / "project")


@pytest.fixture
def project(healthy, tmp_path):
    return shutil.copytree(healthy, tmp_path / "project")


def git(project: Path, *words: str) -> subprocess.CompletedProcess:
    "Run git in a project, untouched by the repository these tests may be committed to."
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ |= {"PYTHON": sys.executable, "PYTHONPATH": str(project)}
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words]
    return subprocess.run(command, cwd=project, env=environ, capture_output=True, text=True)


@pytest.mark.parametrize("name", CHECKS)
def test_a_healthy_tree_is_clean(name, healthy):
    assert [str(one) for one in CHECKS[name](healthy)] == []


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_planted_violation_is_reported_by_its_check_alone(plant: Plant, project):
    plant.change(project)
    asked = {name: CHECKS[name] for name in CHECKS if name not in SLOW or name == plant.check}
    if plant.check != "undefined_names":  # symbol tables are faster than a ruff for each plant
        asked["undefined_names"] = partial(check_undefined_names, with_ruff=False)
    found = {name: check(project) for name, check in asked.items()}
    reports = [str(one) for one in found[plant.check]]
    assert any(plant.found in report for report in reports), f"{plant.check} found {reports}"
    loud = {name for name, violations in found.items() if violations}
    noise = {name: list(map(str, found[name])) for name in loud - {plant.check, *plant.also}}
    assert not noise


def test_every_check_is_proved_by_a_plant():
    assert {plant.check for plant in PLANTS} == set(CHECKS)


def test_undefined_names_are_found_without_ruff(project, healthy):
    assert check_undefined_names(healthy, with_ruff=False) == []
    edit("mlops_lab/models/scorer.py", "import math\n", "\n")(project)
    (found,) = check_undefined_names(project, with_ruff=False)
    assert "'math'" in found.found


def test_only_the_launcher_of_serving_is_wired_to_models(project):
    for number, name in enumerate(("launcher", "router"), 1):
        text = f"md\n# S\n\n> Serve.\n---\n#| default_exp serving.{name}"
        miniature.write_page(project / f"notebooks/60_serving/{number:02d}_{name}.ipynb", text)
        append(f"mlops_lab/serving/{name}.py", "from ..models.scorer import score_rows\n")(project)
    (found,) = check_independence(project)
    assert found.found == "serving.router imports models.scorer"
    assert found.expected == "serving imports foundation and tracking"


@pytest.mark.parametrize(
    ("version", "rule", "fits"),
    [
        ("2.4.4", ">=2.1,<3", True),
        ("3.0", ">=2.1,<3", False),
        ("2.10.0", ">=2.9", True),
        ("1.4.2", "~=1.4.0", True),
        ("1.5.0", "~=1.4.0", False),
        ("3.11.7", "=3.11", True),
        ("3.1", "==3.1.*", True),
        ("3.1", "!=3.1", False),
        ("3.1", "", True),
        ("3.1", "about 3", False),
    ],
)
def test_pinned_versions_are_compared_by_number(version, rule, fits):
    assert _fits(version, rule) is fits


def test_a_named_exception_silences_its_violation_only(project):
    edit("mlops_lab/data/world.py", "count: int,  # how many", "count: int,")(project)
    edit("mlops_lab/models/scorer.py", ":  # zero or one for each", ":")(project)
    violations = CHECKS["documented_names"](project)
    bent = Allowed("documented_names", "mlops_lab/data", "'count'", "shown to prove the list works")
    assert len(violations) == 2
    (left,) = without_allowed("documented_names", violations, [bent])
    assert left.file.startswith("mlops_lab/models")
    assert stale_exceptions({"documented_names": violations}, [bent]) == []


def test_an_exception_nobody_needs_is_a_violation(healthy):
    gone = Allowed("documented_names", "mlops_lab/data", "'count'", "shown to prove the list works")
    (stale,) = stale_exceptions({"documented_names": CHECKS["documented_names"](healthy)}, [gone])
    assert "nobody needs" in stale.found


def test_an_exception_without_a_reason_is_a_violation(project):
    edit("mlops_lab/data/world.py", "count: int,  # how many", "count: int,")(project)
    results = {"documented_names": CHECKS["documented_names"](project)}
    hasty = Allowed("documented_names", "mlops_lab/data", "'count'", "because")
    (found,) = stale_exceptions(results, [hasty])
    assert "without a reason" in found.found


def test_exceptions_name_real_checks():
    assert {item.check for item in ALLOWED} <= set(CHECKS)


def test_only_tracked_files_count_where_git_knows_the_tree(project):
    git(project, "init", "-q")
    git(project, "add", "README.md")
    big("mine.bin")(project)
    assert check_file_sizes(project) == []
    git(project, "add", "mine.bin")
    (found,) = check_file_sizes(project)
    assert found.file == "mine.bin"


@pytest.mark.parametrize(
    "text", ["/workspaces/lab", "~/lab", "/v2/models", "a/" + "work/b", "/home"]
)
def test_addresses_and_general_folders_are_no_machine_paths(text, project):
    (project / "README.md").write_text(f"# A\n\n{text}\n")
    assert check_machine_paths(project) == []


def test_the_commit_hook_lets_a_healthy_tree_pass_and_stops_a_hand_edit(project):
    for name in ("tests/house/checks", ".githooks"):
        shutil.copytree(ROOT / name, project / name)
    for name in ("conftest.py", "test_house.py"):
        shutil.copy(ROOT / "tests/house" / name, project / "tests/house" / name)
    exceptions = project / "tests/house/checks/allowed.py"
    exceptions.write_text(exceptions.read_text().split("ALLOWED = (")[0] + "ALLOWED = ()\n")
    git(project, "init", "-q")
    git(project, "config", "core.hooksPath", ".githooks")
    git(project, "add", ".")
    committed = git(project, "commit", "-qm", "Begin")
    assert committed.returncode == 0, committed.stdout + committed.stderr
    edit("mlops_lab/data/world.py", "count < 1", "count < 2")(project)
    stopped = git(project, "commit", "-qam", "Edit by hand")
    assert stopped.returncode != 0
    assert "differs from a fresh export" in stopped.stderr
    assert stopped.stderr.splitlines()[-2].endswith("failed: the house tests")
