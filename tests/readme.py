"""What the README tells people to type, and a clone of the project to type it in."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]
MAIN = "from mlops_lab.command_line.program import main; main(prog_name='mlops-lab')"
_FENCE = re.compile(r"^```.*?\n(.*?)^```", re.DOTALL | re.MULTILINE)
_PROGRAMS = ("make", "mlops-lab", "papermill", "git", "uv", "from", "MLOPS_LAB_")


def read_commands() -> list[str]:
    """Give each command of the README once, on one line."""
    text = (PROJECT / "README.md").read_text()
    lines = [line for fence in _FENCE.findall(text) for line in fence.splitlines()]
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", _FENCE.sub("", text))]
    typed = [line.strip().removeprefix(".venv/bin/") for line in [*lines, *spans]]
    commands = [line for line in typed if line.startswith(_PROGRAMS) and re.search(r"[ =]", line)]
    return list(dict.fromkeys(commands))


def make_clone(folder: Path) -> Path:
    """Make a project whose notebooks are ours and whose state is its own."""
    folder.mkdir(parents=True)
    shutil.copy(PROJECT / "settings.ini", folder)
    shutil.copytree(PROJECT / "course", folder / "course")
    (folder / "notebooks").symlink_to(PROJECT / "notebooks")
    return folder


def free_port() -> str:
    """Give a port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def environment(**settings: str) -> dict[str, str]:
    """Give an environment in which only these settings of the lab are set.

    MLflow shows no finished runs unless asked to: each run would start a process of 4 s for it.
    """
    settings = {"mlflow_runs": "off", **settings}
    own = {key: text for key, text in os.environ.items() if not key.startswith("MLOPS_LAB_")}
    own |= {f"MLOPS_LAB_{key.upper()}": text for key, text in settings.items()}
    bin_folder = os.pathsep.join([str(Path(sys.executable).parent), own["PATH"]])
    return own | {"PYTHONPATH": str(PROJECT), "PATH": bin_folder}


def lab_command(*words: str) -> list[str]:
    """Spell mlops-lab as a command that runs this code, installed or not."""
    return [sys.executable, "-c", MAIN, *words]


def call(clone: Path, *words: str, **settings: str) -> subprocess.CompletedProcess:
    """Run mlops-lab in a clone."""
    return subprocess.run(
        lab_command(*words),
        cwd=clone,
        env=environment(**settings),
        capture_output=True,
        text=True,
    )
