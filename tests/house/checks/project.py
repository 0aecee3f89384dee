"""Checks of the project around the code: README, settings, releases, files and the error family."""

import ast
import configparser
import re
import tomllib
from functools import lru_cache
from pathlib import Path

from .tree import (
    PACKAGE,
    Module,
    Violation,
    all_pages,
    areas,
    called_name,
    definitions,
    library_pages,
    modules,
    read_text,
    tracked_files,
)

VERBS, GLOSSARY_WORDS, FILE_BYTES = 8, 30, 1024 * 1024
COMMAND = "mlops-lab"
# Settings that say where and which settings were read; no file can hold them.
_NOT_IN_FILE = ("section", "project")


def _sections(markdown: str) -> dict[str, str]:
    "The text under each heading, fences respected."
    found, title, fenced = {"": ""}, "", False
    for line in markdown.splitlines():
        fenced ^= line.lstrip().startswith("```")
        if re.match(r"#{1,6} ", line) and not fenced:
            title = line.lstrip("#").strip()
            found[title] = ""
        else:
            found[title] += line + "\n"
    return found


def _code_spans(markdown: str) -> str:
    "Only what is set as code: fences, and spans in backticks."
    fences = re.findall(r"^ *```.*?\n(.*?)^ *```", markdown, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^ *```.*?\n.*?^ *```", "", markdown, flags=re.DOTALL | re.MULTILINE)
    return "\n".join([*fences, *re.findall(r"`([^`\n]+)`", prose)])


def check_readme_map(root: Path) -> list[Violation]:
    "11a. The README's map lists every sub-package."
    sections = _sections(read_text(root / "README.md"))
    maps = [text for title, text in sections.items() if re.search(r"\bmap\b", title, re.IGNORECASE)]
    if not maps:
        mend = "add a section whose heading holds the word map"
        return [Violation("README.md", "no map", "a map of every sub-package", mend)]
    text = "\n".join(maps)
    return [
        Violation(
            "README.md",
            f"a map without {area!r}",
            "every sub-package",
            f"add a line for `{number:02d}_{area}`: what it is for",
        )
        for area, number in areas(root).items()
        if not re.search(rf"\b{number:02d}_{area}\b|\b{PACKAGE}[./]{area}\b|`{area}`", text)
    ]


def _settings_fields(root: Path) -> list[str]:
    for module in modules(root):
        if module.name == "foundation.settings":
            for node in definitions(module.tree):
                if isinstance(node, ast.ClassDef) and node.name == "Settings":
                    return [p.target.id for p in node.body if isinstance(p, ast.AnnAssign)]
    return []


def check_settings_documented(root: Path) -> list[Violation]:
    "11b. settings.ini holds every setting, each with a remark."
    fields = [name for name in _settings_fields(root) if name not in _NOT_IN_FILE]
    text = read_text(root / "settings.ini")
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    known = {*parser.defaults()}
    found = [
        Violation(
            "settings.ini",
            f"no key {name!r} in [DEFAULT]",
            "every field of Settings with its default",
            f"add `{name} = ...` with a remark above it",
        )
        for name in fields
        if name not in known
    ]
    every = known.union(*(parser[section] for section in parser.sections()))
    found += [
        Violation(
            "settings.ini",
            f"key {name!r}, which Settings does not have",
            "fields of Settings only",
            "remove or rename it",
        )
        for name in sorted(every - set(fields))
    ]
    remark, section = False, ""
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r"\[(\w+)\]", line):
            section, remark = match[1], False
        elif not line.strip():
            remark = False
        elif line.startswith(("#", ";")):
            remark = not line.startswith(("# --", "; --")) or remark
            remark = remark or bool(re.match(r"[#;] -- .+:", line))
        elif section == "DEFAULT" and "=" in line and not line.startswith(" ") and not remark:
            name = line.split("=")[0].strip()
            mend = "say above it what it means, its unit and its range"
            text_found = f"key {name!r} without a remark"
            found.append(Violation(f"settings.ini:{number}", text_found, "a remark", mend))
    return found


def commands(root: Path) -> dict[str, tuple[Module, ast.AST]]:
    "The subcommands of the command line, with those of its groups, read from its modules."
    found = {}
    for module in modules(root):
        if module.area != "command_line":
            continue
        for node in definitions(module.tree):
            for decorator in node.decorator_list:
                call = decorator if isinstance(decorator, ast.Call) else None
                target = call.func if call else decorator
                kind, owner = getattr(target, "attr", ""), getattr(target, "value", None)
                if kind not in ("command", "group") or getattr(owner, "id", "") == "click":
                    continue
                name = node.name.rstrip("_").replace("_", "-")
                texts = [a.value for a in (call.args if call else []) if _is_text(a)]
                texts += [k.value.value for k in (call.keywords if call else []) if k.arg == "name"]
                word = texts[0] if texts else name.removesuffix("-command")
                group = getattr(owner, "id", "main")  # a group is called as its function is
                found[word if group == "main" else f"{group} {word}"] = (module, node)
    return found


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def check_commands_documented(root: Path) -> list[Violation]:
    "11c. Every command has help and appears on a page; every command in the README is real."
    real = commands(root)
    readme = read_text(root / "README.md")
    pages = [page.prose for page in all_pages(root)]
    written = "\n".join(map(_code_spans, [readme, *pages]))
    found = []
    for name, (module, node) in real.items():
        place = f"{module.file}:{node.lineno}"
        if not ast.get_docstring(node):
            mend = "give the command function a one-line docstring"
            found.append(Violation(place, f"command {name!r} without help", "help", mend))
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and called_name(decorator) == "option":
                if not {"help", "hidden"} & {keyword.arg for keyword in decorator.keywords}:
                    text = f"option {ast.unparse(decorator.args[0])} of {name!r} without help"
                    found.append(Violation(place, text, "help", "add help=..."))
        if not re.search(rf"{COMMAND} {re.escape(name)}\b", written):
            mend = f"write `{COMMAND} {name}` in the README or on a page"
            text = f"command {name!r}, which no page shows"
            found.append(Violation(place, text, "every command on a page", mend))
    for name in sorted(set(re.findall(rf"{COMMAND} ([a-z][\w-]*)", _code_spans(readme)))):
        if name not in real:
            known = ", ".join(sorted(real)) or "none yet"
            text = f"`{COMMAND} {name}`, which is no command"
            found.append(Violation("README.md", text, f"known: {known}", "mend the README"))
    return found


def check_glossary(root: Path) -> list[Violation]:
    "11d. The glossary in the index holds at least thirty words, each once."
    for page in library_pages(root):
        sections = _sections(page.prose) if page.path.stem == "index" else {}
        for title, text in sections.items():
            if "glossary" not in title.lower():
                continue
            rows = re.findall(r"^\s*(?:\||[-*])\s*\*{0,2}`?([\w][^|:*`]*)", text, re.MULTILINE)
            words = [row.strip().lower() for row in rows]
            twice = sorted({word for word in words if words.count(word) > 1})
            if len(words) < GLOSSARY_WORDS:
                what = f"a glossary of {len(words)} words"
                wanted = f"at least {GLOSSARY_WORDS}, one line or row each"
                return [Violation(page.name, what, wanted, "add the words the package uses")]
            if twice:
                what = f"{', '.join(twice)} more than once"
                return [Violation(page.name, what, "one meaning for each word", "keep one")]
    return []


def check_make_verbs(root: Path) -> list[Violation]:
    "11e. The README's make commands are the Makefile's verbs, at most eight."
    makefile = read_text(root / "Makefile")
    targets = set(re.findall(r"^([a-z][\w-]*)\s*:(?!=)", makefile, re.MULTILINE))
    verbs = set(re.findall(r"^([a-z][\w-]*)\s*:(?!=)[^#\n]*##", makefile, re.MULTILINE))
    written = set(re.findall(r"\bmake ([a-z][\w-]*)", _code_spans(read_text(root / "README.md"))))
    found = [
        Violation("README.md", f"`make {name}`, which is no verb", "verbs of the Makefile", "mend")
        for name in sorted(written - targets)
    ]
    found += [
        Violation(
            "Makefile",
            f"verb {name!r}, which the README does not show",
            f"`make {name}` in the README",
            "add it to the README, or drop its `##` if it is no verb",
        )
        for name in sorted(verbs - written)
    ]
    if not verbs:
        mend = "write `verb: ## what it does`"
        found.append(Violation("Makefile", "no verb with a `##` help", "up to eight", mend))
    if len(verbs) > VERBS:
        text = f"{len(verbs)} verbs: {', '.join(sorted(verbs))}"
        found.append(Violation("Makefile", text, f"at most {VERBS}", "merge or drop some"))
    return found


def check_version(root: Path) -> list[Violation]:
    "12a. The package's version is the newest one in the changelog."
    door = parse_version(read_text(root / PACKAGE / "__init__.py"))
    newest = re.search(r"^## \[?v?([^\s\]]+)", read_text(root / "CHANGELOG.md"), re.MULTILINE)
    top = newest[1] if newest else "nothing"
    if door == top:
        return []
    mend = "write the release on top, or set __version__ in notebooks/index.ipynb"
    return [Violation("CHANGELOG.md", f"{top} on top", f"{door}, the package's version", mend)]


def parse_version(source: str) -> str:
    "The value of `__version__` in a module's text."
    match = re.search(r"^__version__ = [\"'](.+?)[\"']", source, re.MULTILINE)
    return match[1] if match else "no version"


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip().lower())


def _requirement(text: str) -> tuple[str, list[str], str]:
    "Name, extras and version rule of one requirement."
    match = re.match(r"\s*([\w.-]+)\s*(?:\[([^\]]*)\])?\s*([^;#]*)", text)
    extras = [part.strip() for part in (match[2] or "").split(",") if part.strip()]
    return _plain(match[1]), extras, re.sub(r"\s", "", match[3])


def _numbers(version: str) -> tuple[int, ...]:
    digits = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in digits[0].split(".")) if digits else ()


def _fits(version: str, rule: str) -> bool:
    "Whether a pinned version meets a rule such as `>=2.1,<3`."
    own = _numbers(version)
    for part in filter(None, rule.split(",")):
        match = re.match(r"(>=|<=|==|!=|~=|=|>|<)(.+)", part)
        if not match:
            return False
        sign, wanted = match[1], match[2]
        low = _numbers(wanted)
        width = max(len(own), len(low))
        left, right = own + (0,) * (width - len(own)), low + (0,) * (width - len(low))
        fine = {
            ">=": left >= right,
            "<=": left <= right,
            ">": left > right,
            "<": left < right,
            "!=": left != right,
            "~=": left >= right and own[: len(low) - 1] == low[:-1],
            "==": own[: len(low)] == low if wanted.endswith("*") else left == right,
            "=": own[: len(low)] == low,
        }[sign]
        if not fine:
            return False
    return True


def _environment(text: str) -> list[tuple[str, bool]]:
    "The entries of environment.yml, each with whether pip installs it."
    found, inside, pip_indent = [], False, None
    for line in text.splitlines():
        bare = line.split(" #")[0].rstrip()
        if re.match(r"\w+:", bare):
            inside, pip_indent = bare.startswith("dependencies:"), None
        elif inside and (match := re.match(r"( *)- (.+)", bare)):
            indent, entry = len(match[1]), match[2].strip().strip("\"'")
            if entry == "pip:":
                pip_indent = indent
            else:
                by_pip = pip_indent is not None and indent > pip_indent
                pip_indent = pip_indent if by_pip else None
                found.append((entry, by_pip))
    return found


_NOT_OURS = {"python", "pip", "make", "git"}  # what an environment holds besides packages of ours


def check_dependencies(root: Path) -> list[Violation]:
    "12b. pyproject.toml, constraints.txt and environment.yml name the same versions."
    project = tomllib.loads(read_text(root / "pyproject.toml") or "[project]")["project"]
    core = [_requirement(text) for text in project.get("dependencies", [])]
    extras = {
        name: [_requirement(text) for text in texts]
        for name, texts in project.get("optional-dependencies", {}).items()
    }
    own = _plain(project.get("name", PACKAGE))
    rules = {name: rule for name, _, rule in [*core, *sum(extras.values(), [])] if name != own}
    pins = {}
    for line in read_text(root / "constraints.txt").splitlines():
        if match := re.match(r"([\w.-]+)(?:\[[^\]]*\])?==([^\s;]+)", line):
            pins[_plain(match[1])] = match[2]
    found = []
    for name, rule in sorted(rules.items()):
        if name not in pins:
            mend = f"add `{name}==...`, the version the tests passed with"
            what = f"no pin for {name}"
            found.append(Violation("constraints.txt", what, "every dependency pinned", mend))
        elif not _fits(pins[name], rule):
            mend = "pin a version the rule allows, or change the rule"
            what = f"{name}=={pins[name]}"
            found.append(Violation("constraints.txt", what, f"{name}{rule} of pyproject", mend))
    return found + _environment_findings(root, project, core, extras, (rules, pins, own))


def _environment_findings(
    root: Path, project: dict, core: list, extras: dict, known: tuple
) -> list[Violation]:
    rules, pins, own = known
    file, found, covered = "environment.yml", [], set()
    entries = _environment(read_text(root / file))
    constrained = any(re.search(r"(-c|--constraint)[ =]?\S*constraints.txt", e) for e, _ in entries)
    for entry, by_pip in entries:
        local = re.match(r"(?:(?:-e|--editable) )?\.(?:\[([^\]]*)\])?$", entry)
        if entry.startswith("-") and not local:
            continue
        if local:
            chosen = [part.strip() for part in (local[1] or "").split(",") if part.strip()]
            covered |= {name for name, _, _ in core}
            covered |= {name for extra in chosen for name, _, _ in extras.get(extra, [])}
            for extra in sorted(set(chosen) - set(extras)):
                what, mend = f"extra {extra!r}", "name an extra of pyproject.toml"
                found.append(Violation(file, what, f"known: {', '.join(extras)}", mend))
            if not constrained:
                mend = "add `- --constraint constraints.txt` to the pip list"
                found.append(Violation(file, f"`{entry}` without constraints", "the pins", mend))
            continue
        name, _, rule = _requirement(entry.split("::")[-1])
        version = rule.lstrip("=").removesuffix(".*")
        covered.add(name)
        if name == "python":
            wanted = project.get("requires-python", "")
            if not _fits(version, wanted):
                mend = "choose a Python that pyproject.toml allows"
                found.append(Violation(file, f"python {version}", wanted, mend))
        elif name in _NOT_OURS or name == own:
            continue
        elif name not in rules:
            mend = "add it to pyproject.toml, or drop it here"
            wanted = "names that pyproject.toml holds"
            found.append(Violation(file, f"{name}, unknown elsewhere", wanted, mend))
        elif not version and not (by_pip and constrained):
            mend = f"write `{name}={pins.get(name, '...')}`"
            found.append(Violation(file, f"{name} without a version", "the pinned version", mend))
        elif version and name in pins and not _fits(pins[name], f"={version}"):
            mend = "write the same version in both"
            wanted = f"{name}=={pins[name]} as in constraints.txt"
            found.append(Violation(file, f"{name} {version}", wanted, mend))
    for name in sorted({name for name, _, _ in core} - covered):
        mend = f"add `{name}={pins.get(name, '...')}`"
        found.append(Violation(file, f"no {name}", "every core dependency", mend))
    return found


def check_errors_used(root: Path) -> list[Violation]:
    "13. Every error class is raised, drawn in the tree and met by a test."
    family = _family(root)
    by_name = {module.name: module for module in modules(root)}
    own = by_name.get("foundation.errors")
    if own is None:
        return []
    drawn = ast.get_docstring(own.tree) or ""
    tests = "\n".join(
        path.read_text(encoding="utf-8")
        for path in sorted((root / "tests").rglob("*.py"))
        if "house" not in path.relative_to(root).parts
    )
    raised = set().union(*(_raised(module.tree) for module in by_name.values()))
    found = []
    for name, parent in family.items():
        children = {child for child in family if _descends(child, name, family)}
        if not {name, *children} & raised:
            mend = f"raise it where it is meant, or drop {name}"
            found.append((f"{name}, which nothing raises", "every error raised somewhere", mend))
        if not re.search(rf"^\s*(?:[│├└─ ]*)\b{name}\b", drawn, re.MULTILINE):
            mend = "draw it in the exported markdown on top of the errors page"
            found.append((f"{name}, missing in the tree", "the whole family drawn", mend))
        if not re.search(rf"\b{name}\b", tests):
            mend = "write a test that provokes it"
            wanted = "every error in a test outside tests/house"
            found.append((f"{name}, which no test names", wanted, mend))
        if parent not in family and parent != "Exception":
            mend = "derive it from LabError or a child of it"
            found.append((f"{name}({parent})", "one family", mend))
    return [Violation(own.file, *finding) for finding in found] + _strangers(root, family)


def _family(root: Path) -> dict[str, str]:
    "The error classes of foundation.errors with their parents."
    return {
        node.name: ast.unparse(node.bases[0])
        for module in modules(root)
        if module.name == "foundation.errors"
        for node in definitions(module.tree)
        if isinstance(node, ast.ClassDef) and node.bases
    }


def _descends(name: str, ancestor: str, family: dict[str, str]) -> bool:
    while name in family:
        name = family[name]
        if name == ancestor:
            return True
    return False


def _raised(tree: ast.Module) -> set[str]:
    "Names raised, or made to be returned to someone who raises them."
    found = set()
    for node in ast.walk(tree):
        value = None
        if isinstance(node, ast.Raise):
            value = node.exc
        elif isinstance(node, ast.Return):
            value = node.value
        if isinstance(value, ast.Call):
            found.add(called_name(value))
        elif isinstance(node, ast.Raise) and isinstance(value, ast.Name):
            found.add(value.id)
    return found


def _strangers(root: Path, family: dict[str, str]) -> list[Violation]:
    "Public error classes that live outside the one family."
    mend = "raise one of the family; a new situation is a new child in foundation.errors"
    return [
        Violation(
            f"{module.file}:{node.lineno}",
            f"error class {node.name} outside foundation.errors",
            "one small family, drawn in one place",
            mend,
        )
        for module in modules(root)
        if module.name != "foundation.errors"
        for node in definitions(module.tree)
        if isinstance(node, ast.ClassDef)
        and not node.name.startswith("_")  # a signal that never leaves its module
        and any(
            ast.unparse(base) in family or ast.unparse(base).endswith(("Error", "Exception"))
            for base in node.bases
        )
    ]


# The patterns are put together from parts, so that this file does not break its own rule.
_FOLDERS = (
    "home/[a-z]",
    "Users/[A-Za-z]",
    "root/",
    "root\\b",
    "tmp/",
    "tmp\\b",
    "work/",
    "work\\b",
)
_MACHINE_PATH = re.compile(
    r"(?<![\w.\-~/}\])*:])/(?:" + "|".join(_FOLDERS) + r")[\w./-]*" + r"|\b[A-Z]:\\{1,2}Users\\"
)
_FILE_ADDRESS = re.compile("file:" + r"///?(?:" + "|".join(_FOLDERS) + r")[\w./-]*")
_INDEX = re.compile(
    "|".join(
        [
            r"--(?:extra-)?index" + "-url",
            r"\bindex" + r"[-_]url\s*=",
            r"(?:PIP|UV)(?:_EXTRA)?_(?:DEFAULT_)?INDEX" + r"(?:_URL)?\b",
            r"resolved[\"']?\s*:\s*[\"']?" + "http",
            r"https?://[^\s\"'<>]*/sim" + r"ple\b/?",
            r"\bpypi"
            + r"\.org\b|\bpython"
            + r"hosted\.org\b|\bregistry\."
            + r"(?:npmjs|yarnpkg)\b",
            r"\b(?:conda\.|repo\.)ana" + r"conda\.(?:org|com)\b|\b\w*artifact" + r"ory\b",
        ]
    ),
    re.IGNORECASE,
)


@lru_cache(maxsize=4096)
def _matches(pattern: re.Pattern, text: str) -> list[tuple[int, str]]:
    "Line numbers and texts of all matches."
    lines = enumerate(text.splitlines(), 1)
    return [(number, match[0]) for number, line in lines for match in pattern.finditer(line)]


def _search(root: Path, pattern: re.Pattern) -> list[tuple[str, str]]:
    "Place and text of all matches in the tracked text files."
    found = []
    for name in tracked_files(root):
        raw = (root / name).read_bytes()
        if b"\0" in raw[:8192] or len(raw) > 8 * FILE_BYTES:
            continue
        text = raw.decode("utf-8", errors="replace")
        found += [(f"{name}:{number}", match) for number, match in _matches(pattern, text)]
    return found


def check_machine_paths(root: Path) -> list[Violation]:
    "14. No tracked file names a folder of one machine."
    wanted = "paths relative to the project, or taken from settings"
    mend = "make it relative; in a notebook, clear or rerun the output"
    return [
        Violation(place, f"a path of a machine: {match}", wanted, mend)
        for pattern in (_MACHINE_PATH, _FILE_ADDRESS)
        for place, match in _search(root, pattern)
    ]


def check_package_index(root: Path) -> list[Violation]:
    "15. No tracked file names the address of a package index."
    wanted = "names and versions only; where they come from is the machine's setting"
    return [
        Violation(place, f"a package index: {match}", wanted, "remove it")
        for place, match in _search(root, _INDEX)
    ]


def check_file_sizes(root: Path) -> list[Violation]:
    "16. No tracked file is above one mebibyte."
    return [
        Violation(
            name,
            f"{(root / name).stat().st_size / FILE_BYTES:.1f} MiB",
            "at most 1 MiB",
            "make it when it is needed, or keep it in the data home",
        )
        for name in tracked_files(root)
        if (root / name).stat().st_size > FILE_BYTES
    ]
