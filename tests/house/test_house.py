"""The real tree keeps the house style: each check in `checks/` finds nothing."""

from functools import cache
from pathlib import Path

import pytest
from checks import CHECKS, Violation, stale_exceptions, without_allowed

ROOT = Path(__file__).resolve().parents[2]


@cache
def _violations(name: str) -> list[Violation]:
    return CHECKS[name](ROOT)


@pytest.mark.parametrize("name", CHECKS)
def test_the_tree_keeps_the_house_style(name):
    left = without_allowed(name, _violations(name))
    if left:
        report = "\n".join(map(str, left))
        pytest.fail(f"{CHECKS[name].__doc__}\n{len(left)} found:\n{report}", pytrace=False)


def test_every_exception_is_still_needed():
    stale = stale_exceptions({name: _violations(name) for name in CHECKS})
    if stale:
        pytest.fail("\n".join(map(str, stale)), pytrace=False)
