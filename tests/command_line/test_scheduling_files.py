"""The examples for cron and systemd: valid, and doing what they say."""

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from program_examples import MAIN, PROJECT

from mlops_lab.foundation.chain import ChainLog

FILES = PROJECT / "docs" / "scheduling"
UNITS = sorted(path.name for path in FILES.glob("mlops-lab*.*") if path.suffix != ".cron")
RANGES = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]


@pytest.fixture
def user(tmp_path: Path, home: Path) -> Path:
    """A user who has the lab in ~/mlops-lab, with the program in its environment."""
    user = tmp_path / "user"
    shutil.copytree(home, user / "mlops-lab")
    shutil.copytree(FILES, user / "mlops-lab" / "docs" / "scheduling")
    program = user / "mlops-lab" / ".venv" / "bin" / "mlops-lab"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(PROJECT)!r})\n")
    program.write_text(program.read_text() + MAIN.replace("; ", "\n") + "\n")
    program.chmod(0o755)
    folder = user / "mlops-lab" / "notebooks" / "pipelines"
    (folder / "tiny").rename(folder / "case_study")
    return user


def run_as(
    user: Path, command: str, folder: Path, extra: dict[str, str]
) -> subprocess.CompletedProcess:
    """Run a line as cron does: a bare environment, a plain shell."""
    own = extra | {"HOME": str(user), "PATH": "/usr/bin:/bin", "MLOPS_LAB_MLFLOW_RUNS": "off"}
    own["PYTHONPATH"] = str(PROJECT)
    asked = {"capture_output": True, "text": True, "timeout": 120}
    return subprocess.run(["/bin/sh", "-c", command], cwd=folder, env=own, **asked)


def cron_lines() -> list[tuple[list[str], str]]:
    """The five times and the command of each line."""
    lines = (FILES / "mlops-lab.cron").read_text().splitlines()
    jobs = [line for line in lines if line and not re.match(r"#|\w+=", line)]
    return [(line.split(None, 5)[:5], line.split(None, 5)[5]) for line in jobs]


def named_values(lines: list[str]) -> dict[str, str]:
    """What a crontab or a unit puts into the environment."""
    words = [line.removeprefix("Environment=") for line in lines]
    return dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))


def started_by(user: Path) -> list[str]:
    """What started each run, as the ledger noted it."""
    entries = ChainLog(user / "mlops-lab" / ".lab" / "ledger.jsonl").read()
    return [one.data["trigger"]["kind"] for one in entries if one.kind == "run-started"]


def minutes(word: str, low: int, high: int) -> set[int]:
    """What a field of a crontab stands for."""
    found: set[int] = set()
    for part in word.split(","):
        matched = re.fullmatch(r"(\*|\d+(?:-\d+)?)(?:/(\d+))?", part)
        assert matched, part
        first, _, last = matched[1].replace("*", f"{low}-{high}").partition("-")
        found |= set(range(int(first), int(last or first) + 1, int(matched[2] or 1)))
    assert found and min(found) >= low and max(found) <= high
    return found


def test_cron_runs_every_quarter_of_an_hour():
    [(times, command)] = cron_lines()
    fields = [minutes(word, *bounds) for word, bounds in zip(times, RANGES, strict=True)]
    assert fields[0] == {0, 15, 30, 45} and all(len(field) > 6 for field in fields[1:])
    assert "%" not in command  # cron would make a new line of it


def test_the_command_of_cron_runs_the_pipeline(user):
    [(_, command)] = cron_lines()
    named = named_values((FILES / "mlops-lab.cron").read_text().splitlines())
    told = run_as(user, command, user, named)
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")
    assert '"state": "done"' in (user / "mlops-lab" / ".lab" / "cron.log").read_text()
    assert started_by(user) == ["schedule"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="only systemd can judge units")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_accepts_each_unit(user, name):
    folder = user / "mlops-lab" / "docs" / "scheduling"
    own = os.environ | {"HOME": str(user), "XDG_RUNTIME_DIR": str(user)}
    command = ["systemd-analyze", "--user", "verify", str(folder / name)]
    told = subprocess.run(command, env=own, capture_output=True, text=True)
    ours = [line for line in (told.stdout + told.stderr).splitlines() if "mlops-lab" in line]
    assert (told.returncode, ours) == (0, []), told.stderr
    broken = folder / f"broken-{name}"
    broken.write_text((folder / name).read_text().replace("ExecStart=", "ExecStart=not").replace(
        "OnUnitActiveSec=15min", "OnUnitActiveSec=soon"))  # fmt: skip
    told = subprocess.run([*command[:3], str(broken)], env=own, capture_output=True, text=True)
    assert "broken" in told.stdout + told.stderr  # so the check can fail


@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith(".service")])
def test_the_command_of_each_service_runs_the_pipeline(user, name):
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(FILES / name)
    command = unit["Service"]["ExecStart"].replace("%h", str(user))
    assert Path(shlex.split(command)[0]).is_file()
    command += " --times 1" if "--every" in command else ""
    folder = Path(unit["Service"]["WorkingDirectory"].replace("%h", str(user)))
    told = run_as(user, command, folder, named_values((FILES / name).read_text().splitlines()))
    assert told.returncode == 0 and '"state": "done"' in told.stdout, told.stderr
    assert started_by(user) == ["schedule"]


def test_the_page_names_each_file():
    page = (FILES / "README.md").read_text()
    assert all(path.name in page for path in FILES.iterdir() if path.name != "README.md")
