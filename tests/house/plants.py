"""Violations to plant in the miniature: what is broken, and which check has to say so."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from miniature import cell, write_page

ERRORS, SETTINGS = "10_foundation/01_errors", "10_foundation/02_settings"
WORLD, SCORER, COMMANDS = "20_data/01_world", "30_models/01_scorer", "95_command_line/01_commands"
STAGE, LESSON = "notebooks/pipelines/case_study/01_ingest.ipynb", "course/source/lab_0.ipynb"
WORLD_PY, ERRORS_PY = "mlops_lab/data/world.py", "mlops_lab/foundation/errors.py"
SETTINGS_PY, SCORER_PY = "mlops_lab/foundation/settings.py", "mlops_lab/models/scorer.py"
COMMANDS_PY, DATA_PY = "mlops_lab/command_line/commands.py", "mlops_lab/data/__init__.py"
INDEX_PY = "mlops_lab/_modidx.py"

Change = Callable[[Path], None]


@dataclass(frozen=True)
class Plant:
    "One planted violation."

    check: str  # the check that has to report it
    found: str  # part of what it has to find
    change: Change  # how to break a healthy tree
    also: tuple[str, ...] = ()  # other checks that cannot but notice

    @property
    def name(self) -> str:
        return f"{self.check}: {self.found}"


def edit(file: str, *pairs: str) -> Change:
    "Replace text in a file; the old text has to be there."

    def change(root: Path) -> None:
        path = root / file
        text = path.read_text(encoding="utf-8")
        for old, new in zip(pairs[::2], pairs[1::2], strict=True):
            assert old in text, f"{old!r} is not in {file}"
            text = text.replace(old, new, 1)
        path.write_text(text, encoding="utf-8")

    return change


def append(file: str, text: str) -> Change:
    "Add text to the end of a file, new or not."

    def change(root: Path) -> None:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(old + text, encoding="utf-8")

    return change


def page(file: str, work: Callable[[list[dict]], None]) -> Change:
    "Change the cells of a notebook."
    name = file if file.endswith(".ipynb") else f"notebooks/{file}.ipynb"

    def change(root: Path) -> None:
        document = json.loads((root / name).read_text(encoding="utf-8"))
        work(document["cells"])
        (root / name).write_text(json.dumps(document), encoding="utf-8")

    return change


def cells(file: str, *pairs: str) -> Change:
    "Replace text in the cell of a notebook that holds it."

    def work(listed: list[dict]) -> None:
        for old, new in zip(pairs[::2], pairs[1::2], strict=True):
            held = [one for one in listed if old in "".join(one["source"])]
            assert held, f"{old!r} is not in {file}"
            held[0]["source"] = "".join(held[0]["source"]).replace(old, new, 1)

    return page(file, work)


def insert(file: str, text: str, at: int | None = None) -> Change:
    "Put a cell into a notebook, at its end if no place is given."

    def work(listed: list[dict]) -> None:
        listed.insert(len(listed) if at is None else at, cell(text, 9000))

    return page(file, work)


def every(*changes: Change) -> Change:
    "Several changes in turn."

    def change(root: Path) -> None:
        for one in changes:
            one(root)

    return change


def remove(file: str) -> Change:
    "Delete a file."
    return lambda root: (root / file).unlink()


def move(old: str, new: str) -> Change:
    "Rename a file or a folder."
    return lambda root: shutil.move(root / old, root / new)


def big(file: str) -> Change:
    "Write one byte more than a mebibyte."
    return lambda root: (root / file).write_bytes(b"\0" * (1024 * 1024 + 1))


def output(file: str, kind: str, **facts: object) -> Change:
    "Store an output in the last cell of a notebook."
    return page(file, lambda listed: listed[-1]["outputs"].append({"output_type": kind, **facts}))


def new_area(root: Path) -> None:
    "Add a sub-package that the table of the design does not hold."
    write_page(
        root / "notebooks/25_secrets/00_overview.ipynb",
        "md\n# S\n\n> Keep it.\n---\n#| default_exp secrets.__init__\n---\n#| export\n__all__ = []",
    )
    append("mlops_lab/secrets/__init__.py", "__all__ = []\n")(root)
    append("README.md", "- `secrets`: none\n")(root)


def broken_page(root: Path) -> None:
    "Add a notebook that cannot be exported."
    text = "md\n# X\n\n> Break it.\n---\n#| default_exp data.x\n---\n#| export\ndef (:"
    write_page(root / "notebooks/20_data/02_x.ipynb", text)


def lines(count: int, text: str = "x = 1") -> str:
    return "\n".join([text] * count)


_IN_ROWS = "    chance = random.Random(seed)"
_TMP, _HOME, _WORK = "/" + "tmp/run", "/" + "home/ada/lab", "/" + "work/main"

PLANTS = [
    # 1 and 2
    Plant("fresh_export", "count < 1", edit(WORLD_PY, "count < 1", "count < 2")),
    Plant("fresh_export", "Say hello", cells(ERRORS, "What to do next.", "Say hello.")),
    Plant("fresh_export", "no such module", remove(DATA_PY)),
    Plant("fresh_export", "an export that fails", broken_page),
    Plant("orphans", "no notebook exports", append("mlops_lab/data/old.py", "__all__ = []\n")),
    Plant(
        "orphans",
        "stale entry: mlops_lab.data.world.gone",
        edit(
            INDEX_PY, "world.make_rows': (", "world.gone': (), 'mlops_lab.data.world.make_rows': ("
        ),
    ),
    Plant("orphans", "no entry for", edit(INDEX_PY, "Remedy.told'", "Remedy.said'")),
    Plant(
        "orphans",
        "exports too",
        cells(SCORER, "default_exp models.scorer", "default_exp data.world"),
        also=("page_shape",),
    ),
    # 3
    Plant(
        "import_direction",
        "foundation.errors (10/01) imports foundation.settings (10/02)",
        append(ERRORS_PY, "\n\ndef _late():\n    from .settings import Settings\n"),
        also=("orphans",),
    ),
    Plant(
        "import_direction",
        "imports foundation (10/00)",
        edit(SETTINGS_PY, "from .errors", "from . import DataProblem\nfrom .errors"),
    ),
    Plant(
        "import_direction",
        "foundation.errors (10/01) imports foundation.settings (10/02)",
        insert(ERRORS, "#| hide\nfrom mlops_lab.foundation.settings import Settings"),
    ),
    Plant(
        "import_direction",
        "data.world (5/01) imports foundation.errors (10/01)",
        move("notebooks/20_data", "notebooks/05_data"),
    ),
    Plant(
        "import_direction",
        "mlops_lab (0/00) imports foundation.errors",
        append("mlops_lab/__init__.py", "\nfrom .foundation.errors import LabError\n"),
        also=("independence",),
    ),
    Plant(
        "independence",
        "models.scorer imports data.world",
        edit(SCORER_PY, "import math", "import math\nfrom ..data.world import make_rows"),
    ),
    Plant(
        "independence",
        "models.scorer imports data.world",
        insert(SCORER, "#| hide\nfrom mlops_lab.data.world import make_rows"),
    ),
    Plant(
        "independence",
        "models.scorer imports data",
        edit(SCORER_PY, "    return", "    __import__('mlops_lab.data')\n    return"),
    ),
    Plant(
        "independence",
        "imports course.source",
        edit(COMMANDS_PY, "import click", "import click\nimport course.source"),
    ),
    Plant("independence", "sub-package 'secrets'", new_area),
    # 4
    Plant(
        "plain_code",
        "star import",
        edit(WORLD_PY, "import random", "import random\nfrom math import *"),
    ),
    Plant(
        "plain_code",
        "@patch",
        edit(SCORER_PY, "def score", "@patch\ndef score"),
        ("undefined_names",),
    ),
    Plant("plain_code", "print", edit(WORLD_PY, _IN_ROWS, "    print(count)\n" + _IN_ROWS)),
    Plant("plain_code", "assert", edit(WORLD_PY, _IN_ROWS, "    assert count\n" + _IN_ROWS)),
    Plant(
        "plain_code",
        "bare except",
        edit(
            WORLD_PY,
            _IN_ROWS,
            "    try:\n        pass\n    except:\n        count = 1\n" + _IN_ROWS,
        ),
    ),
    Plant(
        "plain_code",
        "except that passes silently",
        edit(
            WORLD_PY,
            _IN_ROWS,
            "    try:\n        1\n    except KeyError:\n        pass\n" + _IN_ROWS,
        ),
    ),
    Plant("plain_code", "mutable default []", edit(WORLD_PY, "seed: int = 7", "seed: list = []")),
    Plant(
        "plain_code",
        "mutable default dict()",
        edit(SETTINGS_PY, "least: int = 1", "least: int = dict()"),
    ),
    Plant(
        "plain_code", "named helper", append(WORLD_PY, "\n\nclass _RowHelper: ...\n"), ("orphans",)
    ),
    Plant(
        "plain_code", "a module named 'utils'", append("mlops_lab/data/utils.py", ""), ("orphans",)
    ),
    # 5 and 6
    Plant(
        "undefined_names",
        "'lost_name'",
        edit(WORLD_PY, 'RowProblem(f"count', 'lost_name(f"count'),
        ("errors_used",),
    ),
    Plant("undefined_names", "'math'", edit(SCORER_PY, "import math\n", "\n")),
    Plant("quiet_import", "writes left.txt", append(WORLD_PY, "\nopen('left.txt', 'w').close()\n")),
    Plant("quiet_import", "writes cache", append(DATA_PY, "\nimport os\n\nos.makedirs('cache')\n")),
    Plant(
        "quiet_import",
        "opens a socket",
        append(WORLD_PY, "\nimport socket\n\nsocket.socket().close()\n"),
    ),
    Plant(
        "quiet_import",
        "import mlops_lab.data loads pandas",
        every(append("pandas.py", ""), append(DATA_PY, "\nimport pandas\n")),
    ),
    Plant(
        "quiet_import",
        "import mlops_lab loads pandas",
        every(append("pandas.py", ""), append("mlops_lab/__init__.py", "\nimport pandas\n")),
    ),
    Plant(
        "quiet_import",
        "tensorflow imported on top",
        edit(SCORER_PY, "import math", "import math\nimport tensorflow"),
    ),
    Plant("quiet_import", "fails with KeyError", append(WORLD_PY, "\n{}['seed']\n")),
    # 7
    Plant("page_shape", "no title", cells(WORLD, "# World", "World")),
    Plant("page_shape", "no purpose", cells(WORLD, "> Make rows from a seed.", "Make rows.")),
    Plant(
        "page_shape", "purpose 'The rows.'", cells(WORLD, "> Make rows from a seed.", "> The rows.")
    ),
    Plant(
        "page_shape",
        "purpose 'Make. Keep.'",
        cells(WORLD, "> Make rows from a seed.", "> Make. Keep."),
    ),
    Plant("page_shape", "2 target directives", insert(WORLD, "#| default_exp data.other")),
    Plant(
        "page_shape",
        "0 target directives",
        cells(WORLD, "#| default_exp data.world", "1"),
        ("orphans",),
    ),
    Plant(
        "page_shape",
        "target 'data.worlds'",
        cells(WORLD, "data.world", "data.worlds"),
        ("orphans",),
    ),
    Plant("page_shape", "alone in cell 2", cells(WORLD, "data.world", "data.world\nrows = 3")),
    Plant("page_shape", "mixed with work", insert(WORLD, "#| hide\nimport math\n\nmath.pi")),
    Plant("page_shape", "second exported imports", insert(WORLD, "#| export\nimport math")),
    Plant("page_shape", "page imports in sight", insert(WORLD, "import math")),
    Plant(
        "page_shape",
        "from .settings import",
        insert(SETTINGS, "#| hide\nfrom .settings import Settings"),
    ),
    Plant("page_shape", "import random as r", cells(WORLD, "import random", "import random as r")),
    Plant("page_shape", "import *", insert(WORLD, "#| hide\nfrom math import *")),
    Plant("page_shape", "below Fine print", insert(ERRORS, "md\n## More")),
    Plant("page_shape", "a stored error", output(WORLD, "error", ename="KeyError", evalue="x")),
    Plant(
        "page_sizes",
        "exported cell of 31 lines",
        insert(WORLD, "#| export\n" + lines(31, "_A = 1")),
    ),
    Plant(
        "page_sizes",
        "exported class of 61 lines",
        insert(WORLD, "#| export\nclass _A:\n" + lines(60, "    a = 1")),
    ),
    Plant("page_sizes", "an example of 11 lines", insert(WORLD, lines(11))),
    Plant("page_sizes", "a hidden cell of 21 lines", insert(WORLD, "#| hide\n" + lines(21))),
    Plant(
        "page_sizes",
        "a module of 301 lines",
        lambda root: append(
            WORLD_PY, "\n" * (301 - len((root / WORLD_PY).read_text().splitlines()))
        )(root),
    ),
    Plant(
        "page_sizes",
        "9 public names",
        edit(SCORER_PY, "['score_rows']", repr(["score_rows", *"abcdefgh"])),
        ("undefined_names",),
    ),
    Plant(
        "page_asserts",
        "0 asserts for 1",
        cells(SCORER, "assert score_rows([0.2, 0.7]) == [0, 1]", "1"),
    ),
    Plant(
        "page_asserts",
        "5 asserts for 6",
        insert(ERRORS, "#| export\ndef one():\n    pass\n\n\ndef two():\n    pass"),
    ),
    # 8
    Plant(
        "documented_names",
        "make_rows without a docstring",
        edit(WORLD_PY, '    "Make rows that are the same for the same seed."\n', ""),
    ),
    Plant(
        "documented_names",
        "of several lines",
        edit(SCORER_PY, '"Round each row."', '"""Round.\n\n    Each."""'),
    ),
    Plant("documented_names", "of 15 words", edit(SCORER_PY, "Round each row.", "row " * 15)),
    Plant(
        "documented_names",
        "'count' of make_rows without a docment",
        edit(WORLD_PY, "count: int,  # how many", "count: int,"),
    ),
    Plant(
        "documented_names",
        "'rows' of score_rows without a docment",
        edit(
            SCORER_PY,
            "(\n    rows: list[float],  # numbers from 0 to 1\n) -> list[int]:",
            "(rows: list[float]) -> list[int]:",
        ),
    ),
    Plant(
        "documented_names",
        "'seed' of make_rows without an annotation",
        edit(WORLD_PY, "seed: int = 7", "seed=7"),
    ),
    Plant(
        "documented_names",
        "score_rows without a return annotation",
        edit(SCORER_PY, " -> list[int]:", ":"),
    ),
    Plant(
        "documented_names",
        "docment for what it returns",
        edit(SCORER_PY, ":  # zero or one for each", ":"),
    ),
    Plant(
        "documented_names",
        "make_rows with 6 parameters",
        edit(
            WORLD_PY,
            "seed: int = 7,",
            "*,\n" + "".join(f"    {one}: int,  # one\n" for one in "abcd") + "    seed: int = 7,",
        ),
    ),
    Plant("documented_names", "check_rows with 3 positional", edit(SETTINGS_PY, "    *,\n", "")),
    Plant(
        "documented_names",
        "takes **more",
        edit(WORLD_PY, "seed: int = 7,", "seed: int = 7,  # seed\n    **more: int,"),
    ),
    Plant(
        "documented_names",
        "field Remedy.text",
        edit(ERRORS_PY, "text: str  # the advice", "text: str"),
    ),
    Plant(
        "documented_names",
        "Remedy.told without a docstring",
        edit(ERRORS_PY, '"The advice in one line."', '""'),
    ),
    Plant("documented_names", "'loudly' of Remedy.told", edit(ERRORS_PY, "  # in capitals", "")),
    Plant(
        "documented_names",
        "public constant LIMIT",
        every(
            append(SCORER_PY, "\n\nLIMIT = 3\n"),
            edit(SCORER_PY, "'score_rows'", "'score_rows', 'LIMIT'"),
        ),
    ),
    # 9
    Plant("stage_pages", "no title", cells(STAGE, "# Ingest", "Ingest")),
    Plant("stage_pages", "no kernelspec", edit(STAGE, '"kernelspec"', '"kernel"')),
    Plant(
        "stage_pages", "0 cells tagged", page(STAGE, lambda listed: listed[1]["metadata"].clear())
    ),
    Plant(
        "stage_pages", "2 cells tagged", insert(STAGE, "tags=parameters\nstage_size = 3  # size", 2)
    ),
    Plant("stage_pages", "no literal: rows", cells(STAGE, "rows = 100", "rows = max(3, 100)")),
    Plant(
        "stage_pages",
        "no remark: seed",
        cells(STAGE, "seed = 7  # start of every random choice, 0 or more", "seed = 7"),
    ),
    Plant(
        "stage_pages",
        "not one parameter a line",
        cells(
            STAGE,
            "seed = 7  #",
            "seed = 7; rows = 1  #",
            "\nrows = 100  # rows to make, 1 to a million",
            "",
        ),
    ),
    Plant("stage_pages", "no parameter workspace", cells(STAGE, "workspace = ", "place = ")),
    Plant(
        "stage_pages",
        "mixed with work",
        cells(STAGE, "import begin_stage", "import begin_stage\n\nstart = 1"),
    ),
    Plant("stage_pages", "imports in 2 cells", insert(STAGE, "import math", 4)),
    Plant("stage_pages", "a definition: clean", insert(STAGE, "def clean():\n    return 1", 4)),
    Plant("stage_pages", "a definition: Cleaner", insert(STAGE, "class Cleaner:\n    pass", 4)),
    Plant("stage_pages", "a definition: lambda", insert(STAGE, "key = lambda row: row", 4)),
    Plant(
        "stage_pages",
        "a loop of 4 lines",
        insert(STAGE, "for row in made:\n    a = 1\n    b = 2\n    c = 3", 5),
    ),
    Plant("stage_pages", "61 lines of code", insert(STAGE, lines(51), 5)),
    Plant("stage_pages", "'eval: false'", insert(STAGE, "#| eval: false\n1", 5)),
    Plant(
        "stage_pages",
        "in read_csv: 'data/raw.csv'",
        insert(STAGE, 'rows = read_csv("data/raw.csv")', 5),
    ),
    Plant("stage_pages", "in Path: 'raw.csv'", insert(STAGE, 'rows = Path("raw.csv")', 5)),
    Plant(
        "stage_pages",
        "in open: '/raw.txt'",
        insert(STAGE, 'rows = open(f"{workspace}/raw.txt")', 5),
    ),
    Plant("stage_pages", "os.environ", insert(STAGE, 'place = os.environ["PLACE"]', 5)),
    Plant("stage_pages", "getenv", insert(STAGE, 'place = os.getenv("PLACE")', 5)),
    Plant(
        "stage_pages",
        "0 calls of begin_stage",
        cells(STAGE, 'begin_stage("ingest', 'start("ingest'),
    ),
    Plant("stage_pages", "lacks ['rows']", cells(STAGE, ", rows=rows", "")),
    Plant("stage_pages", "adds ['pace']", cells(STAGE, ", rows=rows", ", rows=rows, pace=3")),
    Plant("stage_pages", "seed=seed + 1", cells(STAGE, "seed=seed", "seed=seed + 1")),
    Plant("stage_pages", "begin_stage('ingest', seed=seed", cells(STAGE, ", workspace", "")),
    Plant("stage_pages", "no record at the end", insert(STAGE, "made[:3]")),
    Plant("stage_pages", "a stored output", output(STAGE, "stream", name="stdout", text="hello")),
    # 10
    Plant(
        "course_names",
        "'make_rows' defined again",
        insert(LESSON, "def make_rows():\n    return []"),
    ),
    Plant("course_names", "'Settings' defined again", insert(LESSON, "class Settings:\n    pass")),
    Plant("course_names", "'score_rows' defined again", insert(LESSON, "score_rows = first_rows")),
    # 11
    Plant("readme_map", "'models'", edit("README.md", "- `models`: scores\n", "")),
    Plant("readme_map", "no map", edit("README.md", "## The map", "## Parts")),
    Plant(
        "settings_documented",
        "no key 'rows'",
        edit("settings.ini", "rows = 100\n", "", "rows = 3\n", ""),
    ),
    Plant("settings_documented", "key 'pace'", append("settings.ini", "pace = 3\n")),
    Plant(
        "settings_documented",
        "'rows' without a remark",
        edit("settings.ini", "# rows to ingest\n", "\n"),
    ),
    Plant(
        "settings_documented",
        "'seed' without a remark",
        edit("settings.ini", "# start of every random choice\n", ""),
    ),
    Plant(
        "commands_documented",
        "'run' without help",
        edit(COMMANDS_PY, '    "Run the pipeline."\n', ""),
        ("documented_names",),
    ),
    Plant(
        "commands_documented",
        "option '--rows' of 'run'",
        edit(COMMANDS_PY, ', help="how many rows"', ""),
    ),
    Plant(
        "commands_documented",
        "'go', which no page shows",
        edit(COMMANDS_PY, "@main.command()", '@main.command("go")'),
        (),
    ),
    Plant(
        "commands_documented", "`mlops-lab fly`", append("README.md", "\nThen `mlops-lab fly`.\n")
    ),
    Plant(
        "glossary", "29 words", edit("notebooks/index.ipynb", "- **alarm**: what it means", "alarm")
    ),
    Plant(
        "glossary", "alarm more than once", edit("notebooks/index.ipynb", "**answer**", "**alarm**")
    ),
    Plant("make_verbs", "`make fly`", append("README.md", "\nThen `make fly`.\n")),
    Plant(
        "make_verbs",
        "'clean', which the README",
        append("Makefile", "clean: ## tidy up\n\trm -r x\n"),
    ),
    Plant("make_verbs", "no verb", edit("Makefile", "## list", "", "## run", "", "## run", "")),
    Plant(
        "make_verbs",
        "9 verbs",
        every(
            append("Makefile", "".join(f"{v}: ## {v}\n" for v in ("a", "b", "c", "d", "e", "f"))),
            append("README.md", "".join(f"`make {v}`\n" for v in ("a", "b", "c", "d", "e", "f"))),
        ),
    ),
    # 12
    Plant("version", "0.3.0 on top", edit("CHANGELOG.md", "## 0.2.0", "## 0.3.0\n\n## 0.2.0")),
    Plant("version", "0.2.0 on top", edit("mlops_lab/__init__.py", "0.2.0", "0.2.1")),
    Plant("dependencies", "no pin for click", edit("constraints.txt", "click==8.3.1\n", "")),
    Plant("dependencies", "numpy==1.26", edit("constraints.txt", "2.4.4", "1.26")),
    Plant("dependencies", "nbdev==4.0", edit("constraints.txt", "nbdev==3.3.26", "nbdev==4.0")),
    Plant("dependencies", "numpy 2.3.1", edit("environment.yml", "numpy=2.4.4", "numpy=2.3.1")),
    Plant(
        "dependencies", "click without a version", edit("environment.yml", "click==8.3.1", "click")
    ),
    Plant(
        "dependencies", "no numpy", edit("environment.yml", "  - numpy=2.4.4  # as pinned\n", "")
    ),
    Plant(
        "dependencies",
        "scipy, unknown",
        edit("environment.yml", "  - pip\n", "  - scipy=1.2\n  - pip\n"),
    ),
    Plant("dependencies", "python 3.9", edit("environment.yml", "python=3.11", "python=3.9")),
    Plant(
        "dependencies",
        "`-e .` without constraints",
        edit("environment.yml", "click==8.3.1", "-e ."),
    ),
    Plant(
        "dependencies",
        "`--editable .[dev]` without constraints",
        edit("environment.yml", "click==8.3.1", "--editable .[dev]"),
    ),
    Plant(
        "dependencies",
        "extra 'fun'",
        edit("environment.yml", "click==8.3.1", "-e .[fun]\n      - -c constraints.txt"),
    ),
    # 13
    Plant(
        "errors_used",
        "RowProblem, which nothing raises",
        edit(WORLD_PY, "raise RowProblem", "raise ValueError"),
    ),
    Plant(
        "errors_used",
        "RowProblem, missing in the tree",
        edit(ERRORS_PY, "└── RowProblem", "└── (none)"),
    ),
    Plant(
        "errors_used",
        "RowProblem, which no test names",
        edit("tests/foundation/test_errors.py", "RowProblem,\n", "", "RowProblem", "bool"),
    ),
    Plant(
        "errors_used",
        "WorldError outside",
        append(WORLD_PY, "\n\nclass WorldError(ValueError): ...\n"),
        ("orphans",),
    ),
    Plant("errors_used", "LabError(str)", edit(ERRORS_PY, "LabError(Exception)", "LabError(str)")),
    # the tree of files
    Plant("machine_paths", _HOME, append("README.md", f"\nSee {_HOME}.\n")),
    Plant("machine_paths", _TMP, output(WORLD, "stream", name="stdout", text=f"saved to {_TMP}")),
    Plant(
        "machine_paths", _WORK, append("tests/foundation/test_errors.py", f"\nROOT = '{_WORK}'\n")
    ),
    Plant("machine_paths", "C:\\" + "Users", append("Makefile", "\nX = C:\\" + "Users\\ada\n")),
    Plant(
        "machine_paths", "file:" + "//" + _TMP, append("README.md", "\nOpen file:" + f"//{_TMP}\n")
    ),
    Plant("package_index", "index" + "-url", append("Makefile", "\nP = pip --index" + "-url x\n")),
    Plant(
        "package_index",
        "sim" + "ple",
        append("README.md", "\nhttps://mirror.example/sim" + "ple/\n"),
    ),
    Plant(
        "package_index", "resolved", append("lock.json", '{"resolved"' + ': "http' + '://x/y.tgz"}')
    ),
    Plant(
        "package_index", "pypi" + ".org", append("README.md", "\nhttps://pypi" + ".org/project/x\n")
    ),
    Plant("file_sizes", "1.0 MiB", big("weights.bin")),
]
