"""Run a pipeline again and again in one process that keeps its imports, every stage each time.

    python warm.py FOLDER [RUNS]     FOLDER holds pipeline.yaml; the last line printed is JSON

The first run starts the warm processes and is not counted. A run is everything that a turn of
`mlops-lab run --every` does: definition and notebooks read, staleness of the warm processes looked
at, stages executed and stored, ledger and report written. MLflow is told nothing: on a schedule
that goes on in the background, between the runs.
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def _processor_s() -> float:
    "Processor time of this process and all below it, ended ones too."
    waiting, total = [os.getpid()], 0
    for process in waiting:
        try:
            text = Path(f"/proc/{process}/stat").read_text()
            total += sum(map(int, text[text.rindex(")") + 2 :].split()[11:15]))
            for thread in Path(f"/proc/{process}/task").iterdir():
                waiting += map(int, (thread / "children").read_text().split())
        except OSError:
            continue
    return total / _TICK


def measure(
    folder: Path,  # with pipeline.yaml
    runs: int,  # that count
) -> dict[str, float]:
    "Medians of wall and processor time of a repeated run."
    from mlops_lab.command_line.outcome import close_run
    from mlops_lab.command_line.repeated_run import Repetition, run_again
    from mlops_lab.command_line.request import RunRequest
    from mlops_lab.pipeline.schedule import Timetable

    marks, states = [], []

    def tell(told: dict, skipped: str) -> None:
        marks[-1].append(time.perf_counter())
        time.sleep(1.0)  # processes of the run end, and are counted; the next ones get ready
        marks[-1].append(_processor_s())
        states.append(told["state"])
        begin()

    def begin() -> None:
        marks.append([_processor_s(), time.perf_counter()])

    request = RunRequest(str(folder), force=("all",))
    begin()
    run_again(Repetition(request, Timetable(0.001, runs + 1), close=close_run, tell=tell))
    if set(states) != {"done"}:
        raise SystemExit(f"states: {states}")
    counted = marks[1 : runs + 1]
    return {
        "s": statistics.median(end - start for _, start, end, _ in counted),
        "cpu_s": statistics.median(last - first for first, _, _, last in counted),
        "first_s": marks[0][2] - marks[0][1],
    }


if __name__ == "__main__":
    os.environ["MLOPS_LAB_MLFLOW_RUNS"] = "off"
    print(json.dumps(measure(Path(sys.argv[1]), int((sys.argv[2:] or ["3"])[0]))))
