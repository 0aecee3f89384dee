"""Measure what our engine costs for stages that do nothing.

    python overhead.py [--quick]

Chains of 50, 100 and 200 trivial stages, run cold and again: seconds per executed and per cached
stage, and whether they grow faster than the number of stages. Writes overhead.json beside itself.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from make_dag import trivial_steps
from measure import machine_facts, tell
from peers import RUNNERS, settle

_OURS = next(runner for runner in RUNNERS if runner.name == "mlops-lab")


def measure_chain(
    stages: int,  # how many
    folder: Path,  # for scratch
) -> dict:
    "Run a chain cold and again."
    place = settle(_OURS, trivial_steps(stages), folder / str(stages))
    cold = place.run(limit_s=240)
    again = place.run(limit_s=120)
    made = json.loads((place.results / "data" / f"s{stages - 1:03d}.json").read_text())
    if not (cold.passed and again.passed and made["n"] == stages - 1):
        raise RuntimeError(f"{stages} stages: {cold.said[-300:]} {again.said[-300:]}")
    row = {"stages": stages, "cold_s": round(cold.seconds, 3), "noop_s": round(again.seconds, 3)}
    row |= {"cold_cpu_s": cold.cpu_s, "noop_cpu_s": again.cpu_s}
    row["load"] = round(os.getloadavg()[0], 2)
    tell(" ", row)
    return row


def slope(
    rows: list[dict],
    key: str,
) -> list[float]:  # seconds per stage, from each length to the next
    "What each further stage costs, so that start-up does not count."
    pairs = zip(rows, rows[1:], strict=False)
    return [round((b[key] - a[key]) / (b["stages"] - a["stages"]), 4) for a, b in pairs]


def main() -> None:
    "Measure, print and keep."
    lengths = (25, 50) if "--quick" in sys.argv else (50, 100, 200)
    facts = machine_facts()
    with tempfile.TemporaryDirectory() as scratch:
        rows = [measure_chain(length, Path(scratch)) for length in lengths]
    told = {"machine": facts, "rows": rows}
    told |= {"executed_s": slope(rows, "cold_s"), "cached_s": slope(rows, "noop_s")}
    told["machine"]["load_after"] = [round(one, 2) for one in os.getloadavg()]
    Path(__file__).with_suffix(".json").write_text(json.dumps(told, indent=1) + "\n")
    lines = [
        "| stages | cold, s | no-op, s | s per executed | s per cached |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        each = [f"{row[key] / row['stages']:.3f}" for key in ("cold_s", "noop_s")]
        lines.append(f"| {row['stages']} | {row['cold_s']:.1f} | {row['noop_s']:.2f} | ")
        lines[-1] += " | ".join(each) + " |"
    lines += ["", f"Each further executed stage: {told['executed_s']} s (target 0.25)."]
    lines += [f"Each further cached stage: {told['cached_s']} s (target 0.02)."]
    lines += ["Growth is linear where the numbers of a line are alike."]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
