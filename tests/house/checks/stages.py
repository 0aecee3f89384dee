"""Checks of the notebooks that run: pipeline stages and the course."""

import ast
import re
from pathlib import Path

from .tree import (
    Cell,
    Page,
    Violation,
    called_name,
    comments,
    course_pages,
    definitions,
    modules,
    stage_pages,
)

CODE_LINES, LOOP_LINES = 60, 3
_FILE_CALLS = re.compile(
    r"open|Path|glob|rglob|chdir|(read|write|load|save|savez|to)(_\w+)?|scandir|listdir"
)
_DECLARED = ("input", "output")


def check_stage_pages(root: Path) -> list[Violation]:
    "9. A stage is thin: literals with remarks, one call per cell, a record at the end."
    found = []
    for page in stage_pages(root):
        findings = [
            *_opening(page),
            *_kernel(page),
            *_parameters(page),
            *_imports(page),
            *_thin(page),
            *_paths(page),
            *_start(page),
            *_finish(page),
            *_clean(page),
        ]
        for number, what, wanted, mend in findings:
            place = f"{page.name} cell {number}" if number else page.name
            found.append(Violation(place, what, wanted, mend))
    return found


def _opening(page: Page) -> list[tuple]:
    first = page.cells[0] if page.cells else None
    fine = first and first.kind == "markdown" and first.source.startswith("# ")
    if not fine or not re.search(r"^> \S", first.source, re.MULTILINE):
        mend = "write `# Title` and `> Verb ... .` in the first cell"
        return [(1, "no title and purpose on top", "a title and a purpose", mend)]
    return []


def _kernel(page: Page) -> list[tuple]:
    if page.metadata.get("kernelspec", {}).get("name") and page.metadata.get("language_info"):
        return []
    mend = "save it from JupyterLab with the Python 3 kernel"
    return [(0, "no kernelspec or no language_info", "both, or Papermill refuses it", mend)]


def _tagged(page: Page) -> list[Cell]:
    return [cell for cell in page.code_cells if "parameters" in cell.tags]


def _literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


def _parameters(page: Page) -> list[tuple]:
    tagged = _tagged(page)
    if len(tagged) != 1:
        mend = "tag the one cell of literals `parameters`"
        return [(0, f"{len(tagged)} cells tagged parameters", "exactly one", mend)]
    cell, found = tagged[0], []
    remarks, lines = comments(cell.code), set()
    for node in cell.tree.body:
        text = ast.unparse(node)[:80]
        single = isinstance(node, ast.Assign) and len(node.targets) == 1
        single = single and isinstance(node.targets[0], ast.Name)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            single = True
        if not single or not _literal(node.value):
            mend = "compute it in a later cell, from parameters"
            found.append((cell.number, f"a parameter that is no literal: {text}", "literals", mend))
        if node.lineno in lines or node.end_lineno != node.lineno:
            mend = "give each parameter a line of its own"
            found.append((cell.number, f"not one parameter a line: {text}", "one a line", mend))
        elif node.lineno not in remarks:
            mend = "add `# meaning, unit, range` behind it"
            found.append((cell.number, f"no remark: {text}", "a remark behind each", mend))
        lines.add(node.lineno)
    if "workspace" not in _names(page):
        mend = 'add `workspace = ""  # folder of this run; empty: the by-hand folder`'
        found.append((cell.number, "no parameter workspace", "all paths come from it", mend))
    return found


def _names(page: Page) -> list[str]:
    names = []
    for cell in _tagged(page):
        for node in cell.tree.body:
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            names += [part.id for part in targets if isinstance(part, ast.Name)]
    return names


def _imports(page: Page) -> list[tuple]:
    found, cells = [], []
    for cell in page.code_cells:
        imports = [n for n in ast.walk(cell.tree) if isinstance(n, ast.Import | ast.ImportFrom)]
        if imports:
            cells.append(cell.number)
            if len(imports) < len(cell.tree.body):
                text = "an import mixed with work"
                found.append((cell.number, text, "imports alone in one cell", "split the cell"))
    if len(cells) > 1:
        text = f"imports in {len(cells)} cells"
        found.append((cells[1], text, "imports alone in one cell", "gather them"))
    return found


def _thin(page: Page) -> list[tuple]:
    found = []
    for cell in page.code_cells:
        for node in ast.walk(cell.tree):
            kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
            if isinstance(node, kinds):
                name = getattr(node, "name", "lambda")
                text = f"a definition: {name}"
                mend = "move it into the library and call it"
                found.append((cell.number, text, "no def, class or lambda in a stage", mend))
            if isinstance(node, ast.For | ast.While | ast.AsyncFor):
                length = node.end_lineno - node.lineno + 1
                if length > LOOP_LINES:
                    text = f"a loop of {length} lines"
                    mend = "move it into a library function"
                    found.append((cell.number, text, f"at most {LOOP_LINES}", mend))
        for text in cell.directives:
            if re.match(r"export|default_exp|eval", text):
                mend = "a stage exports nothing and every cell runs"
                found.append((cell.number, f"the directive {text!r}", "no such directive", mend))
    total = sum(cell.size for cell in page.code_cells)
    if total > CODE_LINES:
        mend = "move work into library functions"
        found.append((0, f"{total} lines of code", f"at most {CODE_LINES}", mend))
    return found


def _paths(page: Page) -> list[tuple]:
    found = []
    for cell in page.code_cells:
        for node in ast.walk(cell.tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "Path.cwd"):
                text = ast.unparse(node)
                mend = "take it as a parameter, or from stage.settings"
                found.append((cell.number, text, "no environment, no current folder", mend))
            if not isinstance(node, ast.Call):
                continue
            name = called_name(node)
            if name == "getenv":
                mend = "take it as a parameter, or from stage.settings"
                found.append((cell.number, "getenv", "no environment reads", mend))
            if name in _DECLARED or not _FILE_CALLS.fullmatch(name):
                continue
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            for value in filter(None, map(_path_text, given)):
                mend = f"use stage.input({value!r}) or stage.output({value!r})"
                text = f"a path of its own in {name}: {value!r}"
                found.append((cell.number, text, "declared inputs and outputs only", mend))
    return found


def _path_text(node: ast.expr) -> str:
    "The text of a literal path, also of an f-string or a sum; empty if it is none."
    if isinstance(node, ast.Call | ast.Attribute | ast.Name):
        return ""
    texts = [
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]
    text = "".join(texts)
    looks_like_path = "/" in text or re.search(r"\.(json|csv|parquet|npz|txt|html|svg|db)$", text)
    return text if looks_like_path and "://" not in text else ""


def _start(page: Page) -> list[tuple]:
    calls = [
        (cell, node)
        for cell in page.code_cells
        for node in ast.walk(cell.tree)
        if isinstance(node, ast.Call) and called_name(node) == "begin_stage"
    ]
    if len(calls) != 1:
        mend = 'call begin_stage("name", workspace, seed=seed, ...) once'
        return [(0, f"{len(calls)} calls of begin_stage", "exactly one", mend)]
    cell, call = calls[0]
    found = []
    second = call.args[1] if len(call.args) > 1 else None
    if not (isinstance(second, ast.Name) and second.id == "workspace" and len(call.args) == 2):
        mend = 'begin_stage("name", workspace, ...)'
        found.append((cell.number, ast.unparse(call)[:80], "name, then workspace", mend))
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    wanted = set(_names(page)) - {"workspace"}
    if set(given) != wanted:
        gone, more = sorted(wanted - set(given)), sorted(str(n) for n in set(given) - wanted)
        text = f"begin_stage lacks {gone or 'nothing'} and adds {more or 'nothing'}"
        mend = "hand every parameter over by its name"
        found.append((cell.number, text, "every parameter but workspace, by name", mend))
    for name, value in given.items():
        if name in wanted and not (isinstance(value, ast.Name) and value.id == name):
            text = f"begin_stage with {name}={ast.unparse(value)}"
            found.append((cell.number, text, f"{name}={name}", "hand the parameter over as it is"))
    return found


def _finish(page: Page) -> list[tuple]:
    last = page.code_cells[-1] if page.code_cells else None
    statement = last.tree.body[-1] if last and last.tree.body else None
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        if called_name(statement.value) == "finish":
            return []
    mend = "end with `stage.finish(headline=..., metrics=...)`"
    return [(last.number if last else 0, "no record at the end", "a last call of .finish(", mend)]


def _clean(page: Page) -> list[tuple]:
    return [
        (
            cell.number,
            "a stored output or execution count",
            "stages committed without outputs",
            "clear all outputs and save",
        )
        for cell in page.code_cells
        if cell.outputs or cell.ran
    ]


def check_course_names(root: Path) -> list[Violation]:
    "10. A lesson defines no name that the package has: it imports it."
    owners = {name: module.name for module in modules(root) for name in module.public}
    found = []
    for page in course_pages(root):
        for cell in page.code_cells:
            for name in sorted(set(_defined(cell)) & set(owners)):
                found.append(
                    Violation(
                        f"{page.name} cell {cell.number}",
                        f"{name!r} defined again; mlops_lab.{owners[name]} has it",
                        "lessons that use the library instead of retyping it",
                        f"import it from mlops_lab.{owners[name]}, or choose another name",
                    )
                )
    return found


def _defined(cell: Cell) -> list[str]:
    names = [node.name for node in definitions(cell.tree)]
    for node in cell.tree.body:
        names += [
            part.id
            for part in ast.walk(node)
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
        ]
    return names
