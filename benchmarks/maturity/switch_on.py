"""Switch the lab's capabilities on, one after the other, and see what its own traces prove.

    python benchmarks/maturity/switch_on.py

In a fresh clone of this commit, with real runs of the case study (profile small): first without a
gate; then with tests that a hook starts at each commit, with a gate that decides three times and a
deployment after it, with data so bad that validation stops the run, with scores and the monitor, on
a schedule with data that grows, in a second environment, and with a canary on a share of the
callers. After each step the evidence is read anew. Ends with status 1 if a step does not raise what
it should, or lowers anything. The result is written to `switched_on.json`. Retraining by alerts is
not in the lab yet, so what asks for it stays low.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd

from mlops_lab.foundation.workspace import Workspace
from mlops_lab.maturity.answers import Answer, Sheet
from mlops_lab.maturity.assessment import assess
from mlops_lab.maturity.bank import read_bank
from mlops_lab.maturity.evidence import gather_evidence
from mlops_lab.tracking.registry import Registry
from mlops_lab.tracking.trials import Trials

PROJECT, BANK = Path(__file__).parents[2], read_bank()
EVERYTHING = Sheet(BANK.version, {name: Answer(3) for name in BANK.criteria}, "everybody")
MAIN = "from mlops_lab.command_line.program import main; main(prog_name='mlops-lab')"
# What each step has to raise.
RAISES = {
    "data, training, evaluation": {"DAT-1", "EXP-7"},
    "CI": {"TST-6", "TST-1"},
    "gate, deployment": {"PIP-7", "DEP-2", "DEP-3", "TST-11"},
    "bad data": {"DAT-4"},
    "scores, monitor": {"MON-2"},
    "schedule": {"PIP-4", "PIP-8"},
    "second environment": {"PIP-2", "DEP-6"},
    "canary": {"DEP-4", "DEP-5"},
}
HOOK = """#!/bin/sh
MLOPS_LAB_TRIGGER=ci "{python}" -m pytest tests/foundation/test_chain.py \\
  tests/maturity/test_bank.py -q -x \\
  --junitxml=.lab/tests/$(git rev-parse --short=12 HEAD).xml >> .lab/ci.log 2>&1
"""


def run(clone: Path, *words: str, fails: bool = False, **extra: str) -> None:
    """A command in the clone, as a person types it; one that should fail has to."""
    own = {key: text for key, text in os.environ.items() if not key.startswith("MLOPS_LAB_")}
    own |= {"PYTHONPATH": str(clone), "MLOPS_LAB_MLFLOW_RUNS": "off"} | extra
    done = subprocess.run(words, cwd=clone, env=own, capture_output=True, text=True)
    if bool(done.returncode) != fails:
        raise SystemExit(f"{' '.join(words[-6:])}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def lab(clone: Path, *words: str, fails: bool = False, **extra: str) -> None:
    command = (sys.executable, "-c", MAIN, "run", "--profile", "small")
    run(clone, *command, *words, fails=fails, **extra)


def commit(clone: Path, number: int) -> None:
    """A change of the settings that changes no result."""
    settings = clone / "settings.ini"
    settings.write_text(settings.read_text() + f"# change {number}\n")
    git = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    run(clone, *git, "commit", "-qam", f"Change {number}")


def with_gate(clone: Path) -> None:
    """Three models, each from more data than the one before."""
    for rows in (1500, 4000, 9000):
        lab(clone, "--until", "deploy", "-p", f"rows={rows}")


def with_bad_data(clone: Path) -> None:
    """A file in which an upstream fault emptied every third text."""
    rows, file = last_rows(clone), clone / ".lab" / "broken.csv"
    rows.loc[::3, "text"] = ""
    rows.to_csv(file, index=False)
    lab(clone, "--data", str(file), "--text", "text", "--label", "label", fails=True)


def in_two_environments(clone: Path) -> None:
    """Each of two commits in development, then before the doors of production."""
    for number, rows in ((4, 2000), (5, 3000)):
        commit(clone, number)
        for section in ("dev", "staging"):
            lab(clone, "-p", f"rows={rows}", MLOPS_LAB_ENV=section)


def last_rows(clone: Path) -> pd.DataFrame:
    """Texts and labels that the last run took in."""
    found = sorted((clone / ".lab" / "runs").glob("*/data/raw.parquet"))[-1]
    return pd.read_parquet(found)[["text", "label"]]


def on_schedule(clone: Path) -> None:
    """Three turns on a file that grows while they run."""
    rows = last_rows(clone)
    file, stop = clone / ".lab" / "feedback.csv", threading.Event()
    rows[:1000].to_csv(file, index=False)

    def grow() -> None:
        for end in range(1020, len(rows), 20):
            if stop.wait(4):
                return
            draft = file.with_suffix(".new")
            rows[:end].to_csv(draft, index=False)
            draft.replace(file)

    writer = threading.Thread(target=grow)
    writer.start()
    words = ("--data", str(file), "--text", "text", "--label", "label")
    try:
        lab(clone, *words, "--every", "5s", "--times", "3")
    finally:
        stop.set()
        writer.join()


def with_canary(clone: Path) -> None:
    """A service, callers, a version on trial, and the way back."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = str(sock.getsockname()[1])
    own = os.environ | {"PYTHONPATH": str(clone)}
    words = [sys.executable, "-c", MAIN, "serve", "--port", port]
    server = subprocess.Popen(words, cwd=clone, env=own, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with suppress(OSError):
                ask(port, "hello", "start")
                break
            if server.poll() is not None:
                raise SystemExit(f"the service ended at once with {server.returncode}")
            time.sleep(0.2)
        registry = Registry(Workspace(clone / ".lab"), mirrored=False)
        other = "1" if registry.champion().number != 1 else "2"
        command = (sys.executable, "-c", MAIN, "canary")
        run(clone, *command, "start", other, "--share", "0.5", "--port", port, "--again")
        for number in range(60):
            ask(port, f"It went well, number {number}", f"caller {number}")
            time.sleep(0.1)  # the service looks for a new trial now and then
        if Trials(registry).running():  # or else the service has sent it back by itself
            run(clone, *command, "stop", "--roll-back", "--reason", "a drill")
    finally:
        server.terminate()
        server.wait()


def ask(port: str, text: str, caller: str) -> None:
    """One request of a client."""
    body = json.dumps({"text": text, "caller": caller}).encode()
    head = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/score", body, head)
    with urllib.request.urlopen(request, timeout=10) as told:
        told.read()


def with_ci(clone: Path) -> None:
    """Three commits, each tested by a hook that nobody has to remember."""
    hook = clone / ".git" / "hooks" / "post-commit"
    hook.write_text(HOOK.format(python=sys.executable))
    hook.chmod(0o755)
    for number in (1, 2, 3):
        commit(clone, number)


STEPS: dict[str, Callable[[Path], None]] = {
    "clone": lambda clone: run(clone, "git", "clone", "-q", str(PROJECT), "."),
    "data, training, evaluation": lambda clone: lab(clone, "--until", "evaluate"),
    "CI": with_ci,
    "gate, deployment": with_gate,
    "bad data": with_bad_data,
    "scores, monitor": lambda clone: lab(clone),
    "schedule": on_schedule,
    "second environment": in_two_environments,
    "canary": with_canary,
}


def levels(ceilings: dict[str, int], sheet: Sheet | None) -> dict:
    """Levels, without or with claims."""
    found = assess(BANK, sheet, ceilings=ceilings)
    told = {name: lens.level for name, lens in found.lenses.items()}
    tracks = {f"microsoft {t.track}": t.level for t in found.lenses["microsoft"].tracks}
    return told | tracks | {"ML Test Score": found.score.score}


def look_again(clone: Path, name: str, before: dict[str, int]) -> tuple[dict, dict[str, int]]:
    """What one step raised or lowered, and all that is proved now."""
    seen = gather_evidence(clone, BANK).ceilings
    gained = {k: v for k, v in seen.items() if v > before.get(k, 0)}
    lost = sorted(k for k, v in seen.items() if v < before.get(k, 0))
    step = {"step": name, "proved": sum(seen.values()), "gained": gained, "lost": lost}
    step |= {"by evidence alone": levels(seen, None), "claimed": levels(seen, EVERYTHING)}
    print(f"{name}: {step['proved']} points, {step['by evidence alone']}, lost {lost}")
    print(f"    gained: {' '.join(f'{k}={v}' for k, v in gained.items())}", flush=True)
    return step, seen


def carried(steps: list[dict], seen: dict[str, int]) -> dict[str, dict]:
    """Levels that would be lower at the end if what a step proved were not proved (computed)."""
    told, last = {}, levels(seen, None)
    for number, step in enumerate(steps):
        known = {k: v for one in steps[:number] for k, v in one["gained"].items()}
        less = levels(seen | {k: known.get(k, 0) for k in step["gained"]}, None)
        told[step["step"]] = {k: [v, last[k]] for k, v in less.items() if v < last[k]}
    return told


def main() -> int:
    steps, seen, wrong = [], {}, []
    with tempfile.TemporaryDirectory() as place:
        clone = Path(place) / "lab"
        clone.mkdir()
        for name, work in STEPS.items():
            began = time.perf_counter()
            work(clone)
            seconds = time.perf_counter() - began
            step, seen = look_again(clone, name, seen)
            steps.append(step | {"seconds": round(seconds, 1)})
            missing = sorted(RAISES.get(name, set()) - set(step["gained"]))
            wrong += [f"{name}: not raised {missing}"] * bool(missing)
            wrong += [f"{name}: lowered {step['lost']}"] * bool(step["lost"])
            keep = os.environ.get("SWITCH_ON_KEEP")
            if keep and wrong:
                shutil.copytree(clone, keep, symlinks=True, dirs_exist_ok=True)
    low, carries = sorted(k for k, v in seen.items() if not v), carried(steps, seen)
    wrong += [f"{name}: no level hangs on it" for name, lower in carries.items() if not lower]
    facts = {"steps": steps, "carries": carries, "low": low, "wrong": wrong}
    (Path(__file__).parent / "switched_on.json").write_text(json.dumps(facts, indent=1) + "\n")
    for name, lower in carries.items():
        print(f"without {name}: {', '.join(f'{k} {a} not {b}' for k, (a, b) in lower.items())}")
    print("\n".join(wrong) or "each step raised what it should, and lowered nothing")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
