"""What is pinned is what is needed, and an audit that asked nobody does not pass."""

import re
import runpy
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
AUDIT = runpy.run_path(str(ROOT / "benchmarks" / "dependencies" / "audit.py"))
PINS = dict(line.split("==") for line in AUDIT["read_pins"]((ROOT / "constraints.txt").read_text()))
PINS = {canonicalize_name(name): version for name, version in PINS.items()}


def read_project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def list_wanted():
    """Requirements of the core and of each extra."""
    project = read_project()
    groups = {"core": project["dependencies"], **project["optional-dependencies"]}
    return {name: [Requirement(text) for text in texts] for name, texts in groups.items()}


def applies(requirement, extras):
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": one}) for one in extras or ("",))


def walk(requirements):
    """Every requirement below some, with who asks; what is not installed is a leaf."""
    waiting = [("mlops-lab", one) for one in requirements if applies(one, ())]
    seen, found = set(), []
    while waiting:
        asker, one = waiting.pop()
        name, extras = canonicalize_name(one.name), tuple(sorted(one.extras))
        found.append((asker, name, one.specifier))
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            needs = metadata.distribution(name).requires or ()
        except metadata.PackageNotFoundError:
            continue
        inner = map(Requirement, needs)
        waiting += [(name, need) for need in inner if applies(need, ("", *extras))]
    return found


@pytest.mark.parametrize("group", list_wanted())
def test_every_dependency_is_pinned_to_a_version_that_all_who_need_it_accept(group):
    found = walk(list_wanted()[group])
    assert len(found) >= len(list_wanted()[group])
    missing = sorted({f"{name} (for {asker})" for asker, name, _ in found if name not in PINS})
    assert not missing, f"constraints.txt does not pin {', '.join(missing)}"
    wrong = sorted(
        f"{name}=={PINS[name]}, {asker} wants {rule}"
        for asker, name, rule in found
        if not rule.contains(PINS[name], prereleases=True)
    )
    assert not wrong, "\n".join(wrong)


def test_the_walk_goes_below_the_first_level():
    found = walk(list_wanted()["core"])
    assert len({name for _, name, _ in found}) > 3 * len(read_project()["dependencies"])
    assert ("starlette", "anyio") in {(asker, name) for asker, name, _ in found}


def test_each_line_of_the_constraints_is_one_version():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    assert len(lines) == len(PINS)
    odd = [one for one in lines if not re.fullmatch(r"[a-z0-9.-]+(\[\w+\])?==[\w.+]+( ; .+)?", one)]
    assert not odd and lines == sorted(lines, key=lambda one: re.split(r"[=\[]", one)[0])


# The audit


CLEAN = {"name": "Jinja2", "version": "3.1.6", "vulns": []}
FLAW = {"id": "GHSA-1", "fix_versions": ["2.0"], "aliases": [], "description": ""}


def test_an_audit_passes_only_if_every_pin_was_asked_about():
    pins = ["jinja2==3.1.6", "numpy==2.4.6"]
    numpy = {"name": "numpy", "version": "2.4.6", "vulns": []}
    assert AUDIT["judge"]({"dependencies": [CLEAN, numpy]}, pins)[0] == 0
    skipped = {"name": "numpy", "skip_reason": "Dependency not found on PyPI"}
    status, lines = AUDIT["judge"]({"dependencies": [CLEAN, skipped]}, pins)
    assert status == 2 and "numpy==2.4.6" in lines[0] and "not found" in lines[1]
    assert AUDIT["judge"]({"dependencies": []}, pins, said="no network")[0] == 2


def test_a_known_flaw_is_told_with_its_mending():
    bad = {"name": "jinja2", "version": "3.1.6", "vulns": [FLAW]}
    status, lines = AUDIT["judge"]({"dependencies": [bad]}, ["jinja2==3.1.6"])
    assert status == 1 and lines[0] == "jinja2==3.1.6: GHSA-1, mended in 2.0"


def test_pins_for_other_systems_are_asked_about_too():
    pins = AUDIT["read_pins"](
        "# remark\nappnope==1.0 ; sys_platform == 'darwin'\nx[a,b]==2 # why\n"
    )
    assert pins == ["appnope==1.0", "x==2"]
