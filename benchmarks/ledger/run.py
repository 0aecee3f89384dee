"""Ask a ledger of 100,000 stage records for its latest run, beside reading it with plain json.

    python benchmarks/ledger/run.py [RECORDS]

Both read the same file in the same process, in turns, so that only the ratio counts. The whole
command `mlops-lab status` is timed too, in processes of its own, beside `python -c pass`.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mlops_lab.foundation.chain import _make_entry
from mlops_lab.foundation.records import write_json
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.pipeline.history import find_run, read_history

STAGES, ROUNDS = 20, 5
PROGRAM = "from mlops_lab.command_line.program import main; main()"


def write_ledger(lab: Workspace, records: int) -> int:
    """Write finished runs of twenty stages each, and one run that is at work; give the bytes."""
    lab.create()
    last = None
    with open(lab.ledger, "wb") as file:

        def note(kind: str, **data: object) -> None:
            nonlocal last
            last = _make_entry(last, kind, data)
            file.write(last.as_line())

        for number in range(records // STAGES):
            run = f"2026-01-01_00-00-00_{number:06x}"
            note("run-started", run=run, pipeline="bench", commit="", process=0)
            for stage in range(STAGES):
                ended = {"state": "done", "seconds": 0.5, "key": "sha256:" + "0" * 64}
                note("stage", run=run, stage=f"stage_{stage}", reason="forced", **ended)
            note("run-finished", run=run, state="done", seconds=10.0)
        note("run-started", run="2026-01-02_at-work", pipeline="bench", process=os.getpid())
        note("stage", run="2026-01-02_at-work", stage="stage_0", state="done", seconds=0.5)
    write_json(
        lab.ledger.with_name("ledger.jsonl.head"), {"number": last.number, "digest": last.digest}
    )
    return lab.ledger.stat().st_size


def seconds_of(work: Callable[[], object]) -> float:
    """Time one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def process(lab: Workspace, code: str, *words: str) -> Callable[[], object]:
    """A call that starts a Python process."""
    environ = os.environ | {"MLOPS_LAB_WORKSPACE": str(lab.root)}
    command = [sys.executable, "-c", code, *words]
    return lambda: subprocess.run(command, env=environ, check=True, capture_output=True)


def main(records: int) -> None:
    """Measure in turns and write medians and ratios."""
    with tempfile.TemporaryDirectory() as folder:
        lab = Workspace(Path(folder) / "lab")
        size = write_ledger(lab, records)
        old = "2026-01-01_00-00-00_000000"
        ways = {
            "plain json, every line": lambda: list(
                map(json.loads, lab.ledger.read_bytes().splitlines())
            ),
            "find_run, latest": lambda: find_run(lab),
            "read_history, 20 runs": lambda: read_history(lab, 20),
            "find_run, the first of all": lambda: find_run(lab, old),
            "python -c pass": process(lab, "pass"),
            "mlops-lab status": process(lab, PROGRAM, "status"),
            "mlops-lab runs": process(lab, PROGRAM, "runs"),
        }
        times = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, work in ways.items():
                times[name].append(seconds_of(work))
    medians = {name: statistics.median(values) for name, values in times.items()}
    plain = medians["plain json, every line"]
    print(f"{records:,} stage records, {size / 1e6:.0f} MB, medians of {ROUNDS} rounds in turns")
    print(f"{'way':<28} {'seconds':>9} {'of plain json':>14}")
    for name, value in medians.items():
        print(f"{name:<28} {value:9.4f} {value / plain:14.4f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
