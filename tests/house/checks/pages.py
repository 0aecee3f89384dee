"""Checks of the library notebooks and of what each public name says about itself."""

import ast
import re
from pathlib import Path

from .tree import (
    Cell,
    Module,
    Page,
    Violation,
    all_pages,
    comments,
    definitions,
    expected_target,
    library_pages,
    module_name,
    modules,
)

CELL_LINES, CLASS_LINES, EXAMPLE_LINES, HIDDEN_LINES = 30, 60, 10, 20
MODULE_LINES, PUBLIC_NAMES = 300, 8
DOCSTRING_WORDS, PARAMETERS, POSITIONAL = 14, 5, 2
_ALIASES = {"numpy": "np", "pandas": "pd", "tensorflow": "tf", "matplotlib.pyplot": "plt"}
_ARTICLES = {"a", "an", "the", "this", "these", "here", "in", "for", "how"}


def check_page_shape(root: Path) -> list[Violation]:
    "7a. Title and purpose, one target, then imports alone; no stored error."
    found = []
    for page in library_pages(root):
        for cell, what, wanted, mend in [
            *_opening(page),
            *_target(page),
            *_import_cells(page),
            *_fine_print(page),
        ]:
            place = f"{page.name} cell {cell}" if cell else page.name
            found.append(Violation(place, what, wanted, mend))
    return found + _stored_errors(root)


def _opening(page: Page) -> list[tuple]:
    first = page.cells[0] if page.cells else None
    mend = "write `# Title`, a blank line and `> Verb ... .` in the first cell"
    if first is None or first.kind != "markdown" or not first.source.startswith("# "):
        return [(1, "a first cell that is no title", "markdown that opens with an H1", mend)]
    quotes = [line[2:].strip() for line in first.source.splitlines() if line.startswith("> ")]
    purpose = " ".join(quotes)
    if not purpose:
        return [
            (1, "no purpose under the title", "one `> ` sentence that starts with a verb", mend)
        ]
    sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z])", purpose)
    word = purpose.split()[0].strip("*_`").lower()
    if len(sentences) > 1 or not purpose.endswith(".") or word in _ARTICLES:
        return [(1, f"purpose {purpose!r}", "one sentence that starts with a verb", mend)]
    return []


def _target(page: Page) -> list[tuple]:
    found = []
    targets = [cell for cell in page.code_cells if any("default_exp" in d for d in cell.directives)]
    wanted = f"#| default_exp {expected_target(page)}"
    if len(page.targets) != 1:
        count = len(page.targets)
        return [(0, f"{count} target directives", f"one: {wanted}", "keep one per notebook")]
    if page.targets[0] != expected_target(page):
        found.append(
            (
                targets[0].number,
                f"target {page.targets[0]!r}",
                wanted,
                "one notebook, one module, one noun: give both the same name",
            )
        )
    if targets[0].number != 2 or targets[0].size:
        found.append(
            (
                targets[0].number,
                "the target directive elsewhere than alone in cell 2",
                f"cell 2 holds only `{wanted}`",
                "move the rest of the cell below",
            )
        )
    return found


def _is_import(node: ast.stmt) -> bool:
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test) and all(map(_is_import, node.body))
    return isinstance(node, ast.Import | ast.ImportFrom)


def _import_cells(page: Page) -> list[tuple]:
    found = []
    exported = [cell for cell in page.code_cells if cell.exported]
    for cell in page.code_cells:
        imports = [node for node in cell.tree.body if _is_import(node)]
        if not imports:
            continue
        if len(imports) < len(cell.tree.body):
            text = "an import mixed with work: " + ast.unparse(imports[0])
            found.append((cell.number, text, "imports alone in their cell", "split the cell"))
        elif cell.exported and cell is not exported[0]:
            mend = "move it to the first exported cell"
            wanted = "one exported imports cell, before every definition"
            found.append((cell.number, "a second exported imports cell", wanted, mend))
        elif not cell.exported and not cell.hidden:
            mend = "add `#| hide` on top of the cell"
            found.append((cell.number, "page imports in sight", "page imports hidden", mend))
        for node in imports:
            found += [(cell.number, *finding) for finding in _import_style(node)]
    return found


def _import_style(node: ast.stmt) -> list[tuple[str, str, str]]:
    found = []
    if isinstance(node, ast.ImportFrom) and node.level:
        mend = "write the import from mlops_lab; the export turns it relative"
        found.append((ast.unparse(node), "absolute imports in a notebook", mend))
    for alias in getattr(node, "names", []):
        full = alias.name
        if isinstance(node, ast.ImportFrom):
            full = f"{node.module}.{alias.name}"
        if alias.name == "*":
            found.append((ast.unparse(node), "no star import", "name what the page needs"))
        elif alias.asname and _ALIASES.get(full) != alias.asname:
            short = ", ".join(sorted(_ALIASES.values()))
            found.append((ast.unparse(node), f"no alias except {short}", "use the name as it is"))
    return found


def _fine_print(page: Page) -> list[tuple]:
    headings = [
        (cell.number, line[3:].strip())
        for cell in page.cells
        if cell.kind == "markdown"
        for line in cell.source.splitlines()
        if line.startswith("## ")
    ]
    names = [name for _, name in headings]
    if "Fine print" in names and names[-1] != "Fine print":
        number = headings[-1][0]
        return [(number, f"heading {names[-1]!r} below Fine print", "Fine print last", "swap them")]
    return []


def _stored_errors(root: Path) -> list[Violation]:
    found = []
    for page in all_pages(root):
        for cell in page.code_cells:
            for output in cell.outputs:
                if output.get("output_type") == "error":
                    found.append(
                        Violation(
                            f"{page.name} cell {cell.number}",
                            f"a stored error: {output.get('ename')}: {output.get('evalue')}"[:120],
                            "no error output; an expected failure is caught and shown",
                            "mend the cell and run the notebook again",
                        )
                    )
    return found


def _lines_of_ours(module: Module) -> list[str]:
    "All lines but those of the list of modules that nbdev writes into the package's docstring."
    lines = module.source.splitlines()
    whole = module.file == "mlops_lab/__init__.py"
    return [line for line in lines if not (whole and line.startswith("- `mlops_lab."))]


def check_page_sizes(root: Path) -> list[Violation]:
    "7b. Cells, modules and the number of public names stay small."
    found = []
    for page in library_pages(root):
        for cell in page.code_cells:
            kind, limit = _limit(cell)
            if cell.size > limit:
                found.append(
                    Violation(
                        f"{page.name} cell {cell.number}",
                        f"{kind} of {cell.size} lines: {_first_name(cell)}",
                        f"at most {limit}",
                        "split it: one idea per function; long checks go to tests/",
                    )
                )
    for module in modules(root):
        lines = len(_lines_of_ours(module))
        if lines > MODULE_LINES:
            mend = "split the noun in two notebooks"
            wanted = f"at most {MODULE_LINES}"
            found.append(Violation(module.file, f"a module of {lines} lines", wanted, mend))
        names = len(module.public)
        if names > PUBLIC_NAMES:
            mend = "split the module, or mark what is no API with an underscore"
            wanted = f"at most {PUBLIC_NAMES}"
            found.append(Violation(module.file, f"{names} public names", wanted, mend))
    return found


def _limit(cell: Cell) -> tuple[str, int]:
    if cell.exported:
        is_class = any(isinstance(node, ast.ClassDef) for node in cell.tree.body)
        return ("an exported class", CLASS_LINES) if is_class else ("an exported cell", CELL_LINES)
    if cell.tree.body and all(map(_is_import, cell.tree.body)):
        return "an imports cell", CELL_LINES
    return ("a hidden cell", HIDDEN_LINES) if cell.hidden else ("an example", EXAMPLE_LINES)


def _first_name(cell: Cell) -> str:
    named = definitions(cell.tree)
    return named[0].name if named else next(iter(cell.code.split("\n")), "")[:60]


def check_page_asserts(root: Path) -> list[Violation]:
    "7c. A page asserts at least once for each public definition it exports."
    found = []
    for page in library_pages(root):
        public = [
            node.name
            for cell in page.code_cells
            if cell.exported
            for node in definitions(cell.tree)
            if not node.name.startswith("_")
        ]
        asserts = sum(_asserts(cell) for cell in page.code_cells if not cell.exported)
        if asserts < len(public):
            found.append(
                Violation(
                    page.name,
                    f"{asserts} asserts for {len(public)} definitions: {', '.join(public)}",
                    "at least one assert for each",
                    "assert on the objects the example made",
                )
            )
    return found


def _asserts(cell: Cell) -> int:
    "Asserts, and calls that fail when something is not as told."
    calls = ("test_", "expect_fail", "raises", "assert_")
    return sum(
        isinstance(node, ast.Assert)
        or isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-1].startswith(calls)
        for node in ast.walk(cell.tree)
    )


def check_documented_names(root: Path) -> list[Violation]:
    "8. Each public name says in one line what it gives, and each parameter what it is."
    found = []
    targets = {module_name(expected_target(page)) for page in library_pages(root)}
    for module in modules(root):
        if module.name not in targets:  # an orphan is reported as such
            continue
        public = set(module.public)
        for node in definitions(module.tree):
            if node.name in public:
                found += _definition(module, node)
        found += _constants(module, public)
    return found


def _constants(module: Module, public: set[str]) -> list[Violation]:
    found, remarks = [], comments(module.source)
    for node in module.tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = {part.id for target in targets for part in ast.walk(target) if hasattr(part, "id")}
        if not names & public - {"__all__"}:
            continue
        if not {node.lineno - 1, node.lineno, node.end_lineno} & set(remarks):
            found.append(
                Violation(
                    f"{module.file}:{node.lineno}",
                    f"public constant {', '.join(sorted(names))} without a remark",
                    "a remark that gives meaning and unit, or a name with an underscore",
                    "add the remark, or an underscore if it is no API",
                )
            )
    return found


def _decorators(node: ast.AST) -> set[str]:
    return {
        part
        for decorator in node.decorator_list
        for part in re.findall(r"\w+", ast.unparse(decorator).split("(")[0])
    }


def _definition(module: Module, node: ast.AST) -> list[Violation]:
    findings = _docstring(node, node.name)
    if isinstance(node, ast.ClassDef):
        if "dataclass" in _decorators(node):
            findings += _fields(module, node)
        for part in node.body:
            kinds = ast.FunctionDef | ast.AsyncFunctionDef
            if isinstance(part, kinds) and (part.name == "__init__" or part.name[0] != "_"):
                findings += _method(module, node, part)
    else:
        findings += _signature(module, node, node.name, skip_first=False)
    return [Violation(f"{module.file}:{line}", *rest) for line, *rest in findings]


def _method(module: Module, owner: ast.ClassDef, node: ast.AST) -> list[tuple]:
    name = f"{owner.name}.{node.name}"
    marks = _decorators(node)
    findings = [] if node.name == "__init__" or "setter" in marks else _docstring(node, name)
    return findings + _signature(module, node, name, skip_first="staticmethod" not in marks)


def _docstring(node: ast.AST, name: str) -> list[tuple]:
    text = ast.get_docstring(node)
    mend = "say in one line what it gives; reasons go to the page's prose"
    wanted = f"one line of at most 12 words (never above {DOCSTRING_WORDS})"
    if not text:
        return [(node.lineno, f"{name} without a docstring", wanted, mend)]
    if "\n" in text.strip():
        return [(node.lineno, f"{name} with a docstring of several lines", wanted, mend)]
    if len(text.split()) > DOCSTRING_WORDS:
        count = len(text.split())
        return [(node.lineno, f"{name} with a docstring of {count} words", wanted, mend)]
    return []


def _fields(module: Module, node: ast.ClassDef) -> list[tuple]:
    remarks = comments(module.source)
    return [
        (
            part.lineno,
            f"field {node.name}.{part.target.id} without a docment",
            "a remark on the field's line: meaning, unit",
            "add `# meaning` behind it",
        )
        for part in node.body
        if isinstance(part, ast.AnnAssign)
        and isinstance(part.target, ast.Name)
        and not part.target.id.startswith("_")
        and not any(line in remarks for line in range(part.lineno, part.end_lineno + 1))
    ]


def _signature(module: Module, node: ast.AST, name: str, *, skip_first: bool) -> list[tuple]:
    given = node.args
    positional = [*given.posonlyargs, *given.args][1 if skip_first else 0 :]
    parameters = [*positional, *([given.vararg] if given.vararg else []), *given.kwonlyargs]
    line, findings = node.lineno, []
    if node.returns is None:
        mend = "annotate the return"
        findings.append((line, f"{name} without a return annotation", "an annotation", mend))
    if given.kwarg:
        text = f"{name} takes **{given.kwarg.arg}"
        mend = "name the parameters, or take one dataclass"
        findings.append((line, text, "no catch-all parameters", mend))
    for parameter in parameters:
        if parameter.annotation is None:
            text = f"parameter {parameter.arg!r} of {name} without an annotation"
            findings.append((line, text, "an annotation on each parameter", "annotate it"))
    if _options_speak(node):
        return findings
    if len(parameters) > PARAMETERS:
        text = f"{name} with {len(parameters)} parameters"
        mend = "gather what belongs together in one dataclass"
        findings.append((line, text, f"at most {PARAMETERS}", mend))
    if len(positional) > POSITIONAL:
        text = f"{name} with {len(positional)} positional parameters"
        wanted = f"at most {POSITIONAL}, the rest keyword-only"
        findings.append((line, text, wanted, f"put `*,` behind {positional[POSITIONAL - 1].arg!r}"))
    return findings + _docments(module, node, name, parameters)


def _options_speak(node: ast.AST) -> bool:
    "A command's parameters are described by the help of its options."
    return bool({"command", "option", "argument"} & _decorators(node))


def _span(node: ast.AST, parameter: ast.arg) -> range:
    "The lines a parameter takes, its default included."
    given = node.args
    positional = [*given.posonlyargs, *given.args]
    first = len(positional) - len(given.defaults)
    pairs = [
        *zip(positional[first:], given.defaults, strict=True),
        *zip(given.kwonlyargs, given.kw_defaults, strict=True),
    ]
    ends = [default.end_lineno for owner, default in pairs if owner is parameter and default]
    return range(parameter.lineno, max([parameter.end_lineno, *ends]) + 1)


def _docments(module: Module, node: ast.AST, name: str, parameters: list) -> list[tuple]:
    remarks, findings = comments(module.source), []
    spans = {parameter.arg: _span(node, parameter) for parameter in parameters}
    for parameter in parameters:
        lines = spans[parameter.arg]
        others = [span for other, span in spans.items() if other != parameter.arg]
        alone = lines.start > node.lineno and not any(set(lines) & set(span) for span in others)
        if not (alone and set(lines) & set(remarks)):
            text = f"parameter {parameter.arg!r} of {name} without a docment"
            mend = "give it a line of its own with `# meaning` behind it"
            findings.append((parameter.lineno, text, "a remark on its own line", mend))
    returns = node.returns
    nothing = returns is None or isinstance(returns, ast.Constant) and returns.value is None
    if parameters and not nothing and returns.end_lineno not in remarks:
        if "Iterator" not in ast.unparse(returns) or "contextmanager" not in _decorators(node):
            text = f"{name} without a docment for what it returns"
            mend = "write `) -> Type:  # what comes back`"
            findings.append((returns.lineno, text, "a remark on the return's line", mend))
    return findings
