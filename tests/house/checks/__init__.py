"""The house style as plain functions: `check_x(root)` gives the violations it finds in a tree."""

from collections.abc import Callable, Iterable
from pathlib import Path

from .allowed import ALLOWED, Allowed
from .package import (
    check_fresh_export,
    check_import_direction,
    check_independence,
    check_orphans,
    check_plain_code,
    check_quiet_import,
    check_undefined_names,
)
from .pages import (
    check_documented_names,
    check_page_asserts,
    check_page_shape,
    check_page_sizes,
)
from .project import (
    check_commands_documented,
    check_dependencies,
    check_errors_used,
    check_file_sizes,
    check_glossary,
    check_machine_paths,
    check_make_verbs,
    check_package_index,
    check_readme_map,
    check_settings_documented,
    check_version,
)
from .stages import check_course_names, check_stage_pages
from .tree import Violation

_ALL = (
    check_fresh_export,
    check_orphans,
    check_import_direction,
    check_independence,
    check_plain_code,
    check_undefined_names,
    check_quiet_import,
    check_page_shape,
    check_page_sizes,
    check_page_asserts,
    check_documented_names,
    check_stage_pages,
    check_course_names,
    check_readme_map,
    check_settings_documented,
    check_commands_documented,
    check_glossary,
    check_make_verbs,
    check_version,
    check_dependencies,
    check_errors_used,
    check_machine_paths,
    check_package_index,
    check_file_sizes,
)
CHECKS: dict[str, Callable[[Path], list[Violation]]] = {
    check.__name__.removeprefix("check_"): check for check in _ALL
}


def _covers(allowed: Allowed, check: str, violation: Violation) -> bool:
    return (
        allowed.check == check
        and violation.file.startswith(allowed.file)
        and allowed.found in violation.found
    )


def without_allowed(
    check: str, violations: Iterable[Violation], allowed: Iterable[Allowed] = ALLOWED
) -> list[Violation]:
    "The violations of one check that no named exception covers."
    known = list(allowed)
    return [one for one in violations if not any(_covers(item, check, one) for item in known)]


def stale_exceptions(
    results: dict[str, list[Violation]], allowed: Iterable[Allowed] = ALLOWED
) -> list[Violation]:
    "The named exceptions that cover nothing any more, or give no reason."
    found = []
    for item in allowed:
        place = "tests/house/checks/allowed.py"
        violations = results.get(item.check, [])
        if not any(_covers(item, item.check, one) for one in violations):
            text = f"an exception nobody needs: {item.check}, {item.file}, {item.found}"
            mend = "remove it from ALLOWED"
            found.append(Violation(place, text, "exceptions that are still needed", mend))
        if len(item.reason.split()) < 4:
            text = f"an exception without a reason: {item.check}, {item.file}"
            found.append(Violation(place, text, "a reason beside each", "say why the rule bends"))
    return found
