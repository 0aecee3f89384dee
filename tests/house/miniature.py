"""A small healthy project that keeps every rule of the house, for planting violations in."""

import json
import os
import subprocess
import sys
from pathlib import Path

# A page is text: cells parted by a line `---`; `md` or `tags=...` on a cell's first line.
INDEX = """md
# Miniature

> Show the whole loop in one small tree.
---
#| default_exp __init__
---
#| export
__version__ = "0.2.0"
---
md
## Glossary

{glossary}
"""
WORDS = """alarm answer artifact bundle cache canary candidate card challenger champion digest drift
feedback gate holdout label ledger lesson model monitor parameter pipeline profile record run score
setting split stage workspace"""

FOUNDATION = """md
# Foundation

> Hold what every other part stands on.
---
#| default_exp foundation.__init__
---
md
#| export
Nothing in here knows about data.
---
#| export
__all__ = []
"""
ERRORS = """md
# Errors

> Name what went wrong.
---
#| default_exp foundation.errors
---
md
#| export
The family:

    LabError
    ├── DataProblem      rows are not what was asked for
    │   └── RowProblem   one row is wrong
---
#| export
from dataclasses import dataclass
---
md
## The family
---
#| export
class LabError(Exception):
    "An error the user can mend."


class DataProblem(LabError):
    "Rows are not what was asked for."


class RowProblem(DataProblem):
    "One row is wrong."
---
str(LabError("found this"))
---
assert str(LabError("a")) == "a"
assert issubclass(DataProblem, LabError) and issubclass(RowProblem, DataProblem)
assert str(RowProblem("b")) == "b"
---
#| export
@dataclass(frozen=True)
class Remedy:
    "What to do next."

    text: str  # the advice
    words: int = 0  # how many

    def told(
        self,
        loudly: bool = False,  # in capitals
    ) -> str:  # the advice as told
        "The advice in one line."
        return self.text.upper() if loudly else self.text
---
Remedy("look").told(True)
---
assert Remedy("look").told(True) == "LOOK"
---
md
## Fine print
---
#| hide
assert Remedy("").told() == ""
"""
SETTINGS = """md
# Settings

> Read the settings once.
---
#| default_exp foundation.settings
---
#| export
from dataclasses import dataclass

from mlops_lab.foundation.errors import LabError
---
#| export
@dataclass(frozen=True)
class Settings:
    "What this lab was asked to be."

    section: str = "dev"  # work environment
    seed: int = 7  # start of every random choice
    rows: int = 100  # rows to ingest
---
Settings()
---
assert Settings().seed == 7
---
#| export
def check_rows(
    settings: Settings,  # what was asked for
    limit: int = 10**6,  # most rows
    *,
    least: int = 1,  # fewest rows
) -> int:  # the rows
    "Give the rows, if they are in range."
    if not least <= settings.rows <= limit:
        raise LabError(f"rows = {settings.rows}")
    return settings.rows
---
check_rows(Settings())
---
assert check_rows(Settings()) == 100
"""
DATA = """md
# Data

> Make and check the rows of the lab.
---
#| default_exp data.__init__
---
#| export
__all__ = []
"""
WORLD = """md
# World

> Make rows from a seed.
---
#| default_exp data.world
---
#| export
import random

from mlops_lab.foundation.errors import RowProblem
---
#| hide
from fastcore.test import test_fail
---
#| export
def make_rows(
    count: int,  # how many
    seed: int = 7,  # start of the random choice
) -> list[float]:  # numbers from 0 to 1
    "Make rows that are the same for the same seed."
    if count < 1:
        raise RowProblem(f"count = {count}")
    chance = random.Random(seed)
    return [chance.random() for _ in range(count)]
---
len(make_rows(3))
---
assert make_rows(3) == make_rows(3)
test_fail(lambda: make_rows(0), contains="count = 0")
"""
MODELS = DATA.replace("Data", "Models").replace("data.", "models.")
SCORER = """md
# Scorer

> Score rows with a threshold.
---
#| default_exp models.scorer
---
#| export
import math
---
#| export
def score_rows(
    rows: list[float],  # numbers from 0 to 1
) -> list[int]:  # zero or one for each
    "Round each row."
    return [math.floor(row + 0.5) for row in rows]
---
score_rows([0.2, 0.7])
---
assert score_rows([0.2, 0.7]) == [0, 1]
"""
COMMAND_LINE = DATA.replace("Data", "Command line").replace("data.", "command_line.")
COMMANDS = """md
# Commands

> Call the library from a terminal.
---
#| default_exp command_line.commands
---
#| export
import click
---
#| export
@click.group()
def main() -> None:
    "The lab in a terminal."


@main.command()
@click.option("--rows", default=3, help="how many rows")
def run(rows: int) -> None:
    "Run the pipeline."
    from mlops_lab.data.world import make_rows

    click.echo(len(make_rows(rows)))
---
main.name
---
assert main.name == "main"
assert run.name == "run"
"""
STAGE = """md
# Ingest

> Bring the rows in.
---
tags=parameters
workspace = ""  # folder of this run; empty: the by-hand folder
seed = 7  # start of every random choice, 0 or more
rows = 100  # rows to make, 1 to a million
---
from mlops_lab.data.world import make_rows
from mlops_lab.foundation.records import write_json
from mlops_lab.pipeline.stage import begin_stage
---
stage = begin_stage("ingest", workspace, seed=seed, rows=rows)
---
made = make_rows(rows, seed)
write_json(stage.output("data/raw.json"), made)
---
stage.finish(headline=f"{len(made)} rows / one stage", metrics={"rows": len(made)})
"""
LESSON = """md
# Lab 0
---
from mlops_lab.data.world import make_rows
---
first_rows = make_rows(3)
first_rows
"""
FILES = {
    "pyproject.toml": """[project]
name = "mlops-lab"
requires-python = ">=3.11"
dynamic = ["version"]
dependencies = ["click>=8.1,<9", "numpy>=2.1,<3"]

[project.optional-dependencies]
dev = ["nbdev>=3.3,<4"]

[tool.nbdev]
nbs_path = "notebooks"
lib_path = "mlops_lab"
update_pyproject = false

[tool.ruff]
line-length = 100
extend-exclude = ["mlops_lab"]

[tool.ruff.lint]
select = ["F", "E", "I", "B", "UP"]
isort.known-first-party = ["mlops_lab"]
per-file-ignores = { "*.ipynb" = ["B018", "E402", "F811"] }
""",
    "constraints.txt": "click==8.3.1\nnbdev==3.3.26\nnumpy==2.4.4\n",
    "environment.yml": """name: miniature
channels: [conda-forge]
dependencies:
  - python=3.11
  - numpy=2.4.4  # as pinned
  - pip
  - pip:
      - click==8.3.1
""",
    "settings.ini": """[DEFAULT]
# -- data
# start of every random choice
seed = 7
# rows to ingest
rows = 100

[test]
rows = 3
""",
    "Makefile": """.PHONY: help run test
help: ## list the verbs
\t@grep '##' Makefile
run: ## run the pipeline
\tmlops-lab run
test: ## run the tests
\tpytest
""",
    "README.md": """# Miniature

Make sure to begin with `make help`, then:

```
make run
mlops-lab run --rows 3
make test
```

## The map

- `10_foundation`: errors and settings
- `mlops_lab.data`: rows
- `models`: scores
- `mlops_lab/command_line`: commands
""",
    "CHANGELOG.md": "# Changelog\n\nNewest first.\n\n## 0.2.0\n\n### Added\n\n- rows\n\n## 0.1.0\n",
    "tests/foundation/test_errors.py": """from mlops_lab.foundation.errors import (
    DataProblem,
    LabError,
    RowProblem,
)


def test_family():
    assert issubclass(RowProblem, DataProblem) and issubclass(DataProblem, LabError)
""",
}
PAGES = {
    "notebooks/index.ipynb": INDEX.format(
        glossary="\n".join(f"- **{word}**: what it means" for word in WORDS.split())
    ),
    "notebooks/10_foundation/00_overview.ipynb": FOUNDATION,
    "notebooks/10_foundation/01_errors.ipynb": ERRORS,
    "notebooks/10_foundation/02_settings.ipynb": SETTINGS,
    "notebooks/20_data/00_overview.ipynb": DATA,
    "notebooks/20_data/01_world.ipynb": WORLD,
    "notebooks/30_models/00_overview.ipynb": MODELS,
    "notebooks/30_models/01_scorer.ipynb": SCORER,
    "notebooks/95_command_line/00_overview.ipynb": COMMAND_LINE,
    "notebooks/95_command_line/01_commands.ipynb": COMMANDS,
    "notebooks/pipelines/case_study/01_ingest.ipynb": STAGE,
    "course/source/lab_0.ipynb": LESSON,
}


def cell(text: str, number: int = 0) -> dict:
    "One notebook cell from its text."
    head, _, rest = text.strip("\n").partition("\n")
    kind, tags = ("markdown" if head == "md" else "code"), []
    if head.startswith("tags="):
        tags = head.removeprefix("tags=").split(",")
    source = rest if kind == "markdown" or tags else text.strip("\n")
    made = {
        "cell_type": kind,
        "id": f"cell{number:04d}",
        "metadata": {"tags": tags} if tags else {},
        "source": source.strip("\n").splitlines(keepends=True),
    }
    return made if kind == "markdown" else made | {"execution_count": None, "outputs": []}


def write_page(path: Path, text: str) -> None:
    "Write a notebook from the text of its cells."
    cells = [cell(part, number) for number, part in enumerate(text.split("\n---\n"))]
    kernel = {"display_name": "python3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    document = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def build(root: Path) -> Path:
    "Write the whole miniature and export its package."
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name, text in PAGES.items():
        write_page(root / name, text)
    export(root)
    return root


def export(root: Path) -> None:
    "Run nbdev-export in a tree."
    environ = {name: value for name, value in os.environ.items() if name != "IN_TEST"}
    (root / "mlops_lab").mkdir(exist_ok=True)
    call = "from nbdev.doclinks import nbdev_export; nbdev_export()"
    subprocess.run([sys.executable, "-c", call], cwd=root, env=environ, check=True)
