"""The program as its users meet it: in a process of its own, in a project of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from program_examples import MAIN, PROJECT, write_stage

from mlops_lab.foundation.records import digest_folder

DEFINITION = """pipeline: tiny
title: Two stages
stages:
  make: {notebook: make.ipynb, outputs: [n.txt]}
  double: {notebook: double.ipynb, inputs: [n.txt], outputs: [m.txt]}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A project with settings and a pipeline of two stages, without a lab yet."""
    home = tmp_path / "project"
    folder = home / "notebooks" / "pipelines" / "tiny"
    folder.mkdir(parents=True)
    shutil.copy(PROJECT / "settings.ini", home)
    (folder / "pipeline.yaml").write_text(DEFINITION)
    write_stage(folder / "make.ipynb", "n = 3", "_ = stage.output('n.txt').write_text(str(n))")
    double = "m = 2 * int(stage.input('n.txt').read_text())"
    write_stage(folder / "double.ipynb", "", double, "_ = stage.output('m.txt').write_text(str(m))")
    return home


@pytest.fixture
def call(home: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Run mlops-lab in the project, in a process of its own."""

    def run(*words: str, before: str = "", **settings: str) -> subprocess.CompletedProcess:
        own = {key: text for key, text in os.environ.items() if not key.startswith("MLOPS_LAB_")}
        own |= {f"MLOPS_LAB_{key.upper()}": text for key, text in settings.items()}
        command = [sys.executable, "-c", f"{before}\n{MAIN}", *words]
        own.setdefault("MLOPS_LAB_MLFLOW_RUNS", "off")
        own["PYTHONPATH"] = str(PROJECT)
        return subprocess.run(command, cwd=home, env=own, capture_output=True, text=True)

    return run


@pytest.fixture
def unchanged(home: Path) -> Callable[[], bool]:
    """Whether every file of the project, the lab's too, is as it was on the first asking."""
    seen = []

    def ask() -> bool:
        seen.append(digest_folder(home))
        return seen[0] == seen[-1]

    return ask


@pytest.fixture(autouse=True)
def _no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no process in the background that outlives its test."""
    monkeypatch.setattr("mlops_lab.command_line.mirroring.start_mirror", lambda *_: "")
