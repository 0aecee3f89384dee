"""Checks of the exported package: fresh, complete, layered, plain, defined and quiet."""

import ast
import builtins
import importlib.util
import json
import os
import re
import shutil
import subprocess
import symtable
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from .tree import (
    PACKAGE,
    Module,
    Violation,
    areas,
    called_name,
    definitions,
    expected_target,
    library_pages,
    module_name,
    modules,
    parse,
)

_EXPORT_HINT = (
    "change the notebook and run `nbdev-export`; bring a hand edit back by `nbdev-update`"
)


def check_fresh_export(root: Path) -> list[Violation]:
    "1. The package equals a fresh export of the notebooks."
    if importlib.util.find_spec("nbdev") is None:
        return [
            Violation(
                "pyproject.toml",
                "an environment without nbdev",
                "nbdev, so that a fresh export can be compared",
                "install the extra `dev`",
            )
        ]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        problem = _export_into(root, copy)
        if problem:
            hint = "run `nbdev-export` and mend what it says"
            return [Violation("notebooks", problem, "notebooks that export", hint)]
        return _differences(root / PACKAGE, copy / PACKAGE)


def _export_into(root: Path, copy: Path) -> str:
    "Export into an empty package in another folder; say what went wrong, if anything."
    keep_notebooks = shutil.ignore_patterns(".ipynb_checkpoints", "llms.txt")
    shutil.copytree(root / "notebooks", copy / "notebooks", ignore=keep_notebooks)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        if (root / name).is_file():
            shutil.copy(root / name, copy / name)
    (copy / PACKAGE).mkdir()
    environ = {name: value for name, value in os.environ.items() if name != "IN_TEST"}
    environ["PYTHONPATH"] = str(copy)
    call = "from nbdev.doclinks import nbdev_export; nbdev_export()"
    ran = subprocess.run(
        [sys.executable, "-c", call], cwd=copy, env=environ, capture_output=True, text=True
    )
    return f"an export that fails: {ran.stderr.strip()[-300:]}" if ran.returncode else ""


def _differences(package: Path, fresh: Path) -> list[Violation]:
    found = []
    for path in sorted(fresh.rglob("*.py")):
        name = path.relative_to(fresh)
        if name.name == "_modidx.py":  # judged by check_orphans, which says what is stale
            continue
        ours = package / name
        if not ours.is_file():
            found.append(
                Violation(
                    f"{PACKAGE}/{name.as_posix()}",
                    "no such module, though a notebook exports it",
                    "the exported module committed with its notebook",
                    "run `nbdev-export`",
                )
            )
        elif ours.read_bytes() != path.read_bytes():
            pairs = zip(ours.read_text().splitlines(), path.read_text().splitlines(), strict=False)
            line, (old, new) = next(
                ((i, pair) for i, pair in enumerate(pairs, 1) if pair[0] != pair[1]),
                (0, ("a different length", "that of a fresh export")),
            )
            found.append(
                Violation(
                    f"{PACKAGE}/{name.as_posix()}:{line}",
                    f"text that differs from a fresh export: {old.strip()[:80]!r}",
                    repr(new.strip()[:80]),
                    _EXPORT_HINT,
                )
            )
    return found


def check_orphans(root: Path) -> list[Violation]:
    "2. Every module has a living notebook and the index holds what the modules define."
    pages = {}
    found = []
    for page in library_pages(root):
        target = module_name(page.targets[0]) if page.targets else None
        if target is None:
            continue
        if target in pages:
            found.append(
                Violation(
                    page.name,
                    f"target {page.targets[0]!r}, which {pages[target]} exports too",
                    "one notebook for each module",
                    "give one of them a name of its own",
                )
            )
        pages[target] = page.name
    for module in modules(root):
        if module.name not in pages:
            found.append(
                Violation(
                    module.file,
                    "a module that no notebook exports",
                    "a living notebook for each module",
                    "delete the module and export again, or bring the notebook back"
                    + (" (a folder opens with 00_overview.ipynb)" if module.is_door else ""),
                )
            )
    return found + _stale_index(root)


def _stale_index(root: Path) -> list[Violation]:
    file = f"{PACKAGE}/_modidx.py"
    path = root / file
    indexed: dict[str, set[str]] = {}
    if path.is_file():
        for node in parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign):
                indexed = {k: set(v) for k, v in ast.literal_eval(node.value)["syms"].items()}
    defined: dict[str, set[str]] = {}
    for module in modules(root):
        if module.path.name.startswith("_"):
            continue
        name = f"{PACKAGE}.{module.name}"
        kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        symbols = {f"{name}.{node.name}" for node in definitions(module.tree)}
        for node in definitions(module.tree):
            if isinstance(node, ast.ClassDef):
                inner = [part.name for part in node.body if isinstance(part, kinds)]
                symbols |= {f"{name}.{node.name}.{part}" for part in inner}
        if symbols:
            defined[name] = symbols
    known = {symbol for symbols in indexed.values() for symbol in symbols}
    wanted = {symbol for symbols in defined.values() for symbol in symbols}
    return [
        Violation(
            file,
            f"a stale entry: {symbol}",
            "an index of what the modules define",
            "run `nbdev-export`",
        )
        for symbol in sorted((set(indexed) - set(defined)) | (known - wanted))
    ] + [
        Violation(
            file,
            f"no entry for {symbol}",
            "an index of what the modules define",
            "run `nbdev-export`",
        )
        for symbol in sorted(wanted - known)
    ]


# What a sub-package may import, beside itself: the table in section 3 of the design. `None` means
# everything with a smaller number. Nothing else of ours may be imported.
MAY_IMPORT: dict[str, tuple[str, ...] | None] = {
    "foundation": (),
    "data": ("foundation",),
    "models": ("foundation",),
    "tracking": ("foundation",),
    "pipeline": ("foundation", "tracking"),
    "serving": ("foundation", "tracking"),
    "monitoring": ("foundation", "data", "tracking"),
    "maturity": ("foundation",),
    "teamwork": ("foundation",),
    "selection": ("foundation",),
    "teaching": None,
    "command_line": None,
}
# The one place of a sub-package that is wired to more than the table says.
WIRING = {"serving.launcher": ("models",)}
_NEVER_IMPORTED = ("notebooks", "pipelines", "course", "apps", "explore", "tests", "benchmarks")


@lru_cache(maxsize=4096)
def _imports(tree: ast.AST, module: str, is_door: bool) -> list[tuple[int, str]]:
    "Line and absolute name of everything imported, also inside functions and by name."
    base = [PACKAGE, *module.split(".")] if module else [PACKAGE]
    package = base if is_door else base[:-1]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                above = package[: len(package) - node.level + 1]
                origin = ".".join([*above, *([origin] if origin else [])])
            found += [(node.lineno, f"{origin}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Call) and called_name(node) in ("import_module", "__import__"):
            names = [part.value for part in node.args[:1] if isinstance(part, ast.Constant)]
            found += [(node.lineno, str(name)) for name in names]
    return found


def _ours(name: str, known: set[str]) -> str | None:
    "The module of ours that an imported name belongs to; None if it is not ours."
    parts = name.split(".")
    if parts[0] != PACKAGE:
        return None
    for end in (3, 2):
        candidate = ".".join(parts[1:end])
        if candidate in known:
            return candidate
    return parts[1] if len(parts) > 1 and parts[1] not in ("", "__version__") else ""


def _sources(root: Path) -> list[tuple[str, str, bool, list[tuple[int, str]]]]:
    "File, module name, whether it is a door, and imports: of each module and each page."
    found = []
    for module in modules(root):
        imports = _imports(module.tree, module.name, module.is_door)
        found.append((module.file, module.name, module.is_door, imports))
    for page in library_pages(root):
        target = expected_target(page)
        name, is_door = module_name(target), target.endswith("__init__")
        for cell in page.code_cells:
            if not cell.exported:
                imports = _imports(cell.tree, name, is_door)
                found.append((f"{page.name} cell {cell.number}", name, is_door, imports))
    return found


def _numbers(root: Path) -> dict[str, tuple[int, int]]:
    "Folder number and file number of each module, the package root first of all."
    numbers = {"": (0, 0)}
    area_numbers = areas(root)
    for page in library_pages(root):
        folder = page.path.parent.name[3:]
        if folder in area_numbers and page.path.name[:2].isdigit():
            name = module_name(expected_target(page))
            numbers[name] = (area_numbers[folder], int(page.path.name[:2]))
    return numbers


def check_import_direction(root: Path) -> list[Violation]:
    "3a. An import points to a smaller folder number, or a smaller number in the same folder."
    numbers = _numbers(root)
    found = []
    for file, name, is_door, imports in _sources(root):
        own = numbers.get(name, (0, 0))
        for line, imported in imports:
            other = _ours(imported, set(numbers))
            if other is None or other == name and not file.endswith(".py"):
                continue
            there = numbers.get(other)
            if there is None and other.split(".")[0] in areas(root):
                there = numbers.get(other.split(".")[0])
            if there is None:
                continue
            area = other.split(".")[0]
            if is_door and name and area == name:  # a door shows names from behind it
                fine = other != name
            else:
                door_from_inside = other == area and name.split(".")[0] == area
                fine = (there < own and not door_from_inside) or (name and not other)
            if not fine:
                found.append(
                    Violation(
                        f"{file}:{line}",
                        f"{name or PACKAGE} ({own[0]}/{own[1]:02d}) imports"
                        f" {other} ({there[0]}/{there[1]:02d})",
                        "imports that point to a smaller number, and not to the own door",
                        "move the shared part down, or pass it in as an argument",
                    )
                )
    return found


def check_independence(root: Path) -> list[Violation]:
    "3b. A sub-package imports only what the table of the design lets it."
    numbers = _numbers(root)
    known = areas(root)
    found = [
        Violation(
            f"notebooks/{number:02d}_{area}",
            f"sub-package {area!r}, which the table does not hold",
            "a row in the table of design section 3 for each sub-package",
            "add it to MAY_IMPORT in tests/house/checks/package.py, with the design",
        )
        for area, number in known.items()
        if area not in MAY_IMPORT
    ]
    for file, name, _, imports in _sources(root):
        area = name.split(".")[0]
        allowed = MAY_IMPORT.get(area, ()) if area else ()
        for line, imported in imports:
            top = imported.split(".")[0]
            other = _ours(imported, set(numbers))
            if top in _NEVER_IMPORTED:
                bad = f"{name or PACKAGE} imports {imported}"
                wanted = "wiring places are never imported: notebooks, course, apps, tests"
            elif other is None or not other or other.split(".")[0] == area or allowed is None:
                continue
            else:
                there = other.split(".")[0]
                if there in (*allowed, *WIRING.get(name, ())):
                    continue
                bad = f"{name or PACKAGE} imports {other}"
                choice = " and ".join(allowed) or "nothing of ours"
                wanted = f"{area or PACKAGE} imports {choice}"
            found.append(
                Violation(
                    f"{file}:{line}",
                    bad,
                    wanted,
                    "pass a plain value, a table or a function in as an argument instead",
                )
            )
    return found


_EMPTY_NAMES = {"util", "utils", "helper", "helpers", "misc", "common", "manager"}
_MUTABLE_CALLS = {"list", "dict", "set", "defaultdict", "Counter", "deque", "bytearray"}


def check_plain_code(root: Path) -> list[Violation]:
    "4. No star import, patch, print, assert, bare or silent except, mutable default."
    found = []
    for module in modules(root):
        for line, what, wanted, mend in _plain_findings(module):
            found.append(Violation(f"{module.file}:{line}", what, wanted, mend))
    return found


def _plain_findings(module: Module) -> list[tuple[int, str, str, str]]:
    words = set(re.split(r"[._]", module.name))
    found = [
        (1, f"a module named {name!r}", "a noun of the domain", "name it after what it holds")
        for name in sorted(words & _EMPTY_NAMES)
    ]
    for node in ast.walk(module.tree):
        found += [(node.lineno, *finding) for finding in _node_findings(node)]
    return found


def _node_findings(node: ast.AST) -> list[tuple[str, str, str]]:
    if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
        return [(f"star import from {node.module}", "names imported one by one", "name them")]
    if isinstance(node, ast.Call) and called_name(node) == "print":
        if isinstance(node.func, ast.Name):
            mend = "return the text, or raise an error; only the command line speaks"
            return [("print", "a library that stays silent", mend)]
    if isinstance(node, ast.Assert):
        mend = "raise a LabError, a ValueError or a TypeError"
        return [("assert", "asserts in examples and tests only", mend)]
    if isinstance(node, ast.ExceptHandler):
        return _handler_findings(node)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return _definition_findings(node)
    return []


def _handler_findings(node: ast.ExceptHandler) -> list[tuple[str, str, str]]:
    found = []
    if node.type is None:
        mend = "name the exception, or record its reason"
        found.append(("bare except", "a named exception", mend))
    silent = all(
        isinstance(part, ast.Pass)
        or (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
        for part in node.body
    )
    if silent:
        mend = "turn it into a recorded result, or use contextlib.suppress with a named exception"
        found.append(("except that passes silently", "errors that leave a trace", mend))
    return found


def _definition_findings(node: ast.AST) -> list[tuple[str, str, str]]:
    found = []
    for decorator in node.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = getattr(target, "attr", getattr(target, "id", ""))
        if name.startswith("patch"):
            mend = "write the method in its class, in one cell"
            found.append((f"@{name} on {node.name}", "classes whole in one place", mend))
    pieces = set(re.findall(r"[A-Z]?[a-z]+", node.name))
    for word in sorted({piece.lower() for piece in pieces} & _EMPTY_NAMES):
        mend = "name it after what it gives or holds"
        found.append((f"{node.name!r}, named {word}", "a name of the domain", mend))
    if isinstance(node, ast.ClassDef):
        return found
    defaults = [*node.args.defaults, *(part for part in node.args.kw_defaults if part)]
    for default in defaults:
        built = isinstance(default, ast.Call) and called_name(default) in _MUTABLE_CALLS
        kinds = ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
        if built or isinstance(default, kinds):
            text = ast.unparse(default)
            mend = "use None or a tuple and make the value inside"
            found.append((f"mutable default {text} in {node.name}", "immutable defaults", mend))
    return found


def check_undefined_names(root: Path, with_ruff: bool = True) -> list[Violation]:
    "5. Every name in the package is defined: by ruff where there is one, else by symbol tables."
    ruff = [sys.executable, "-m", "ruff"] if importlib.util.find_spec("ruff") else None
    if with_ruff and ruff is None and shutil.which("ruff"):
        ruff = ["ruff"]
    found = _undefined_by_ruff(root, ruff) if with_ruff and ruff else _undefined_by_symbols(root)
    mend = "a name from a page cell is not in the module: export the import or the definition"
    return [
        Violation(f"{file}:{line}", f"undefined name {name!r}", "defined names only", mend)
        for file, line, name in found
    ]


def _undefined_by_ruff(root: Path, ruff: list[str]) -> list[tuple[str, int, str]]:
    options = ["check", "--isolated", "--no-cache", "--select", "F821,F822", "--output-format=json"]
    ran = subprocess.run([*ruff, *options, PACKAGE], cwd=root, capture_output=True, text=True)
    findings = json.loads(ran.stdout or "[]")
    return [
        (
            Path(item["filename"]).resolve().relative_to(root.resolve()).as_posix(),
            item["location"]["row"],
            re.sub(r".*`(.+?)`.*", r"\1", item["message"]),
        )
        for item in findings
    ]


def _undefined_by_symbols(root: Path) -> list[tuple[str, int, str]]:
    builtin = {*dir(builtins), "__file__", "__name__", "__path__", "__doc__", "__spec__"}
    found = []
    for module in modules(root):
        table = symtable.symtable(module.source, module.file, "exec")
        known = builtin | {
            symbol.get_name()
            for symbol in table.get_symbols()
            if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
        }
        lines = {}
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Name):
                lines.setdefault(node.id, node.lineno)
        tables = [table]
        while tables:
            current = tables.pop()
            tables += current.get_children()
            for symbol in current.get_symbols():
                name = symbol.get_name()
                free = symbol.is_global() or current is table
                if free and symbol.is_referenced() and name not in known and name in lines:
                    found.append((module.file, lines[name], name))
    return sorted(set(found))


_HEAVY = ("tensorflow", "keras", "mlflow", "sklearn", "pandas", "matplotlib")
_HEAVY_ON_TOP = ("tensorflow", "keras", "mlflow", "sklearn")
# Runs in a fresh interpreter: imports a door, then the modules behind it, and tells what happened.
_PROBE = """
import json, os, sys
root, heavy, names = sys.argv[1], sys.argv[2].split(","), sys.argv[3].split(",")
sys.path.insert(0, root)
watched = (os.path.realpath(os.getcwd()), os.path.realpath(root))
current, seen = "", []
_WRITES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink"}
def hook(event, args):
    if event in ("socket.__new__", "socket.connect", "socket.bind"):
        frame = sys._getframe(1)
        while frame.f_back and frame.f_globals.get("__name__") == "socket":
            frame = frame.f_back
        line = [current, f"opens a socket (in {frame.f_globals.get('__name__')})"]
        if line not in seen:
            seen.append(line)
    elif event == "open" or event in _WRITES:
        path = args[0]
        if event == "open":
            flags = args[2] if len(args) > 2 and isinstance(args[2], int) else 0
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            if isinstance(args[1], str):
                writes = writes or bool(set(args[1]) & set("wax+"))
            if not writes:
                return
        if isinstance(path, (str, bytes, os.PathLike)):
            path = os.path.realpath(os.fsdecode(path))
            if path.startswith(watched) and "__pycache__" not in path:
                name = os.path.relpath(path, watched[0 if path.startswith(watched[0]) else 1])
                seen.append([current, f"writes {name} ({event})"])
sys.addaudithook(hook)
for number, name in enumerate(names):
    current = name
    try:
        __import__(name)
    except BaseException as error:
        seen.append([name, f"fails with {type(error).__name__}: {error}"])
    if number == 0:
        loaded = sorted(set(heavy) & set(sys.modules))
        seen += [[name, f"loads {one}"] for one in loaded]
print(json.dumps(seen))
"""


def check_quiet_import(root: Path) -> list[Violation]:
    "6. Importing writes no file, opens no socket and loads nothing heavy."
    found = _heavy_on_top(root)
    groups: dict[str, list[Module]] = {}
    for module in modules(root):
        groups.setdefault(module.area, []).append(module)
    with ThreadPoolExecutor(max_workers=3) as pool:
        seen = list(pool.map(lambda group: _probe(root, group), groups.values()))
    files = {module.name: module.file for module in modules(root)}
    for name, what in (item for items in seen for item in items):
        key = name.removeprefix(PACKAGE).lstrip(".")
        found.append(
            Violation(
                files.get(key, name),
                f"import {name} {what}",
                "an import that does nothing: no file, no socket, nothing heavy through a door",
                "move it into the function that needs it",
            )
        )
    return found


def _heavy_on_top(root: Path) -> list[Violation]:
    found = []
    for module in modules(root):
        for node in module.tree.body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in names:
                if name.split(".")[0] in _HEAVY_ON_TOP:
                    found.append(
                        Violation(
                            f"{module.file}:{node.lineno}",
                            f"{name} imported on top of the module",
                            "heavy libraries imported inside the function that needs them",
                            "move the import into the function",
                        )
                    )
    return found


def _probe(root: Path, group: list[Module]) -> list[list[str]]:
    "Import one sub-package and the modules behind its door in a fresh interpreter."
    ordered = sorted(group, key=lambda module: (not module.is_door, module.name))
    names = [".".join(filter(None, (PACKAGE, module.name))) for module in ordered]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "matplotlib"
    environ = {k: v for k, v in os.environ.items() if not k.startswith("MLOPS_LAB_")}
    environ |= {"PYTHONDONTWRITEBYTECODE": "1", "MPLCONFIGDIR": str(cache)}
    environ.pop("PYTHONPATH", None)
    # A module that imports something heavy on top is already reported; importing it costs seconds.
    slow = {item.file.split(":")[0] for item in _heavy_on_top(root)}
    names = [n for n, module in zip(names, ordered, strict=True) if module.file not in slow]
    if not names:
        return []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", _PROBE, str(root), ",".join(_HEAVY), ",".join(names)]
        ran = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
        left = [path.name for path in Path(folder).iterdir()]
    if ran.returncode:
        return [[names[0], f"ends the interpreter: {ran.stderr.strip()[-200:]}"]]
    return json.loads(ran.stdout.splitlines()[-1]) + (
        [[names[0], f"leaves {', '.join(left)} in the current folder"]] if left else []
    )
