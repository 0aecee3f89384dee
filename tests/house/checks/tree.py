"""Read a project tree: its files, notebooks and exported modules, and nothing else.

Standard library only, nothing of the project is imported. Every check takes the root of a tree, so
the same checks judge the real project and the miniature one that proves they bite.
"""

import ast
import io
import json
import os
import re
import shutil
import subprocess
import tokenize
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

PACKAGE = "mlops_lab"
_SKIPPED_FOLDERS = {"__pycache__", "build", "dist", "work", "mlruns", "_proc"}


@dataclass(frozen=True)
class Violation:
    "One departure from the house style, with the way out of it."

    file: str  # path below the root
    found: str  # what stands there, with its value
    expected: str  # what the house style wants
    mend: str  # what to do next

    def __str__(self) -> str:
        return (
            f"{self.file}: found {self.found}\n    expected: {self.expected}\n    mend: {self.mend}"
        )


@dataclass(frozen=True)
class Cell:
    "One notebook cell."

    kind: str  # code or markdown
    source: str  # text, directives included
    tags: tuple[str, ...]  # cell tags
    outputs: tuple  # stored outputs
    ran: bool  # an execution count is stored
    number: int  # position on the page, counted from 1

    @property
    def directives(self) -> tuple[str, ...]:
        "The words after `#|` on top of the cell."
        lines = self.source.splitlines()
        return tuple(m[1].strip() for m in map(_DIRECTIVE.match, lines) if m)

    @property
    def code(self) -> str:
        "The source without directives and magics, line numbers kept."
        return "\n".join(
            "" if _DIRECTIVE.match(line) or line.startswith(("%", "!")) else line
            for line in self.source.splitlines()
        )

    @property
    def size(self) -> int:
        "Lines that are neither blank nor directives."
        return sum(bool(line.strip()) for line in self.code.splitlines())

    @property
    def exported(self) -> bool:
        "Whether the cell goes into the package."
        return any(re.match(r"export[ise]?\b", text) for text in self.directives)

    @property
    def hidden(self) -> bool:
        "Whether the page hides the cell."
        return "hide" in self.directives

    @property
    def tree(self) -> ast.Module:
        "The parsed code; an empty module where it does not parse."
        return parse(self.code)


_DIRECTIVE = re.compile(r"\s*#\s*\|(.*)")


@dataclass(frozen=True)
class Page:
    "One notebook."

    path: Path
    name: str  # path below the root
    cells: tuple[Cell, ...]
    metadata: dict

    @property
    def code_cells(self) -> list[Cell]:
        "Code cells in order, blank ones left out."
        return [cell for cell in self.cells if cell.kind == "code" and cell.source.strip()]

    @property
    def prose(self) -> str:
        "All markdown of the page."
        return "\n\n".join(cell.source for cell in self.cells if cell.kind == "markdown")

    @property
    def targets(self) -> list[str]:
        "The modules that `default_exp` names."
        words = [text.split() for cell in self.code_cells for text in cell.directives]
        return [pair[1] for pair in words if len(pair) == 2 and pair[0] == "default_exp"]


@dataclass(frozen=True)
class Module:
    "One exported module."

    path: Path
    file: str  # path below the root
    name: str  # dotted, below the package; "" is the package itself
    is_door: bool  # an __init__
    source: str
    tree: ast.Module

    @property
    def area(self) -> str:
        "The sub-package it belongs to; empty for the package root."
        return self.name.split(".")[0]

    @property
    def public(self) -> list[str]:
        "The names in `__all__`."
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and _names(node.targets[0]) == ["__all__"]:
                return list(ast.literal_eval(node.value))
        return []


def _names(node: ast.AST) -> list[str]:
    return [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]


@lru_cache(maxsize=4096)
def parse(source: str) -> ast.Module:
    "Parse Python text; text that does not parse gives an empty module."
    try:
        return ast.parse(source)
    except SyntaxError:
        return ast.Module(body=[], type_ignores=[])


@lru_cache(maxsize=4096)
def comments(source: str) -> dict[int, str]:
    "The comment on each line, by line number."
    found = {}
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                found[token.start[0]] = token.string.lstrip("# ").strip()
    except (tokenize.TokenError, SyntaxError):  # unfinished text has no more comments to give
        return found
    return found


def read_text(path: Path) -> str:
    "Read a text file, or nothing where there is none."
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def tracked_files(root: Path) -> list[str]:
    "The files git tracks below the root; where git does not know the tree, those on disk."
    if (root / ".git").exists() and shutil.which("git"):
        listing = ["git", "-C", str(root), "ls-files", "-z"]
        ran = subprocess.run(listing, capture_output=True, text=True)
        if ran.returncode == 0:
            names = sorted(set(ran.stdout.split("\0")) - {""})
            return [name for name in names if (root / name).is_file()]
    skipped = (".git", ".venv", ".lab")
    kept = ".githooks"
    names = []
    for folder, folders, files in os.walk(root):
        folders[:] = [
            name
            for name in folders
            if name == kept or not (name in _SKIPPED_FOLDERS or name.startswith(skipped))
        ]
        names += [os.path.relpath(os.path.join(folder, name), root) for name in files]
    return sorted(name.replace(os.sep, "/") for name in names)


def read_page(path: Path, root: Path) -> Page:
    "Read one notebook."
    stamp = path.stat()
    return _read_page(path, root, stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=1024)
def _read_page(path: Path, root: Path, changed: int, size: int) -> Page:
    document = json.loads(path.read_text(encoding="utf-8"))
    cells = tuple(
        Cell(
            kind=cell["cell_type"],
            source="".join(cell["source"]),
            tags=tuple(cell.get("metadata", {}).get("tags", [])),
            outputs=tuple(cell.get("outputs", [])),
            ran=cell.get("execution_count") is not None,
            number=number,
        )
        for number, cell in enumerate(document["cells"], 1)
    )
    return Page(path, path.relative_to(root).as_posix(), cells, document.get("metadata", {}))


def _pages(root: Path, folder: str, pattern: str) -> list[Page]:
    paths = sorted((root / folder).glob(pattern))
    return [
        read_page(path, root)
        for path in paths
        if not any(part.startswith((".", "_")) for part in path.relative_to(root).parts)
    ]


def library_pages(root: Path) -> list[Page]:
    "Notebooks that become the package: the index and those in numbered folders."
    return _pages(root, "notebooks", "index.ipynb") + _pages(
        root, "notebooks", "[0-9][0-9]_*/*.ipynb"
    )


def stage_pages(root: Path) -> list[Page]:
    "Notebooks that Papermill runs as stages."
    return _pages(root, "notebooks/pipelines", "**/*.ipynb")


def course_pages(root: Path) -> list[Page]:
    "Notebooks of the course."
    return _pages(root, "course", "**/*.ipynb")


def all_pages(root: Path) -> list[Page]:
    "Every notebook under `notebooks/` and `course/`."
    return _pages(root, "notebooks", "**/*.ipynb") + course_pages(root)


def modules(root: Path) -> list[Module]:
    "The exported modules on disk, the generated index left out."
    found = []
    for folder, folders, names in os.walk(root / PACKAGE):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".py") and name != "_modidx.py":
                path = os.path.join(folder, name)
                stamp = os.stat(path)
                found.append(_read_module(path, root, stamp.st_mtime_ns, stamp.st_size))
    return found


@lru_cache(maxsize=1024)
def _read_module(path: str, root: Path, changed: int, size: int) -> Module:
    place = Path(path)
    parts = place.relative_to(root / PACKAGE).with_suffix("").parts
    is_door = parts[-1] == "__init__"
    source = place.read_text(encoding="utf-8")
    file, name = place.relative_to(root).as_posix(), ".".join(parts[:-1] if is_door else parts)
    return Module(place, file, name, is_door, source, parse(source))


def expected_target(page: Page) -> str:
    "The module a library notebook should export to, read from its folder and file name."
    folder, file = page.path.parent.name, page.path.stem
    if file == "index":
        return "__init__"
    area, name = folder.split("_", 1)[-1], file.split("_", 1)[-1]
    return f"{area}.__init__" if file == "00_overview" else f"{area}.{name}"


def module_name(target: str) -> str:
    "The dotted module name of a `default_exp` target: a door has its folder's name."
    return target.removesuffix("__init__").rstrip(".")


def areas(root: Path) -> dict[str, int]:
    "The sub-packages and their numbers, read from the notebook folders."
    folders = sorted((root / "notebooks").glob("[0-9][0-9]_*"))
    return {folder.name[3:]: int(folder.name[:2]) for folder in folders if folder.is_dir()}


def definitions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    "Functions and classes on the top level."
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return [node for node in tree.body if isinstance(node, kinds)]


def called_name(node: ast.Call) -> str:
    "The last part of the name that a call calls."
    function = node.func
    return getattr(function, "attr", getattr(function, "id", ""))
