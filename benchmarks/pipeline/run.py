"""Measure runners of notebook pipelines side by side on the same DAG, as ratios to a plain script.

    python run.py [--quick] [--rounds N] [--minutes M] [--no-truth] [RUNNER...]

Every round runs every runner once, interleaved, each in a fresh folder and fresh processes, and
compares it with the script of the same round: on a machine that others use, only that is fair.
Prints Markdown and writes results.json beside itself.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import truth
from make_dag import eight_steps
from measure import Taken, machine_facts, middle, tell
from peers import RUNNERS, Place, Runner, edit, settle

_HERE = Path(__file__).resolve().parent
_SCRIPT = RUNNERS[0]
_WARM = "mlops-lab, repeated, warm server alive"
_QUICK = (
    "plain script",
    "mlops-lab",
    _WARM,
    "papermill, one process",
    "papermill, one command each",
)


def _answer(
    place: Place,
) -> float | None:
    "The number the last step wrote."
    try:
        return json.loads((place.results / "data" / "six.json").read_text())["total"]
    except (OSError, ValueError):
        return None


def _note(
    taken: Taken,
    right: bool,  # whether the DAG gave the right number
) -> dict:
    "Keep what a run took, or how it failed."
    facts = {"s": round(taken.seconds, 3), "cpu_s": taken.cpu_s}
    facts |= {"rss_mb": taken.rss_mb, "pss_mb": taken.pss_mb}
    if not (taken.passed and right):
        said = re.sub(r"/[\w./-]+/", "", taken.said.strip())[-600:]  # no paths of a machine
        return {"failed": f"status {taken.code}: {said}"}
    return facts


def measure_runner(
    runner: Runner,
    folder: Path,  # for scratch
    *,
    limit_s: float,  # for one command
) -> dict:  # by measurement
    "Run the DAG cold, again, and after a change in step five."
    place = settle(runner, eight_steps(), folder)
    notes = {"load": round(os.getloadavg()[0], 1)}
    taken = place.run(limit_s=limit_s, shared=True)
    first = _answer(place)
    notes["cold"] = _note(taken, first is not None)
    if runner.repeats and "failed" not in notes["cold"]:
        notes["cold"] |= json.loads(taken.said.splitlines()[-1])
    if "failed" in notes["cold"]:
        return notes
    notes["answer"] = first
    if runner is _SCRIPT:
        notes["late"] = _note(place.run("five", "six", limit_s=limit_s), True)
    if runner.keeps:
        again = sorted((place.run(limit_s=limit_s) for _ in range(5)), key=lambda one: one.seconds)
        notes["noop"] = _note(again[2], _answer(place) == first)
        notes["noop"]["all_s"] = [round(one.seconds, 3) for one in again]
        edit(place, "five", '[\\"value\\"] * factor', '[\\"value\\"] * 2 * factor')
        taken = place.run(limit_s=limit_s)
        doubled = _answer(place) is not None and abs(_answer(place) - 2 * first) < 0.001
        notes["late"] = _note(taken, doubled)
    return notes


def measure_rounds(
    runners: list[Runner],
    folder: Path,  # for scratch
    *,
    rounds: int,
    deadline: float,  # time.monotonic when to stop
) -> list[dict[str, dict]]:  # by round and runner
    "Interleave all runners; a round that would not end in time leaves out the slow ones."
    noted, cost = [], {}
    for number in range(rounds):
        row: dict[str, dict] = {}
        for runner in runners:
            started = time.monotonic()
            if started + cost.get(runner.name, 0) > deadline:
                tell(f"  round {number + 1}: no time left for {runner.name}")
                continue
            place = folder / runner.name.replace(" ", "_").replace(",", "")
            limit = max(20.0, min(180.0, deadline - started + 30))
            row[runner.name] = measure_runner(runner, place, limit_s=limit)
            cost[runner.name] = time.monotonic() - started
            tell(f"  round {number + 1}: {runner.name}: {row[runner.name]}")
        noted.append(row)
    return noted


def _ratios(
    rounds: list[dict[str, dict]],
    name: str,  # of a runner
    what: str,  # cold, noop or late
    unit: str,  # s, cpu_s, rss_mb or pss_mb
) -> list[float]:  # to the script of the same round
    "Compare a runner with the script, round by round."
    found = []
    for row in rounds:
        own = row.get(name, {}).get(what, {}).get(unit)
        script = row.get(_SCRIPT.name, {}).get("cold", {}).get(unit)
        if own is not None and script:
            found.append(own / script)
    return found


def _seconds(
    rounds: list[dict[str, dict]],
    name: str,
    what: str,
) -> list[float]:
    "Collect wall times."
    found = [row.get(name, {}).get(what, {}).get("s") for row in rounds]
    return [one for one in found if one is not None]


def summarise(
    runner: Runner,
    rounds: list[dict[str, dict]],
) -> dict:
    "Medians and spread of one runner."
    name = runner.name
    cold = _ratios(rounds, name, "cold", "s")
    failed = [
        row[name]["cold"]["failed"]
        for row in rounds
        if "failed" in row.get(name, {}).get("cold", {})
    ]
    row = {"runner": name, "version": runner.version, "rounds": len(cold), "failed": failed}
    row |= {"cold": middle(cold), "cold_spread": [round(one, 2) for one in sorted(cold)]}
    row |= {"cold_cpu": middle(_ratios(rounds, name, "cold", "cpu_s"))}
    row |= {"rss": middle(_ratios(rounds, name, "cold", "rss_mb"))}
    row |= {"pss": middle(_ratios(rounds, name, "cold", "pss_mb"))}
    for what in ("cold", "noop", "late"):
        row[f"{what}_s"] = middle(_seconds(rounds, name, what))
    late = [
        own["late"]["s"] / script["late"]["s"]
        for own, script in ((one.get(name, {}), one.get(_SCRIPT.name, {})) for one in rounds)
        if "s" in own.get("late", {}) and "s" in script.get("late", {})
    ]
    return row | {"late": middle(late)}


def _spell(
    value: float | None,
    ending: str = "",
) -> str:
    "Spell a number or its absence."
    return "-" if value is None else f"{value:.2f}{ending}"


def table(
    rows: list[dict],
) -> str:
    "Spell the summary as a Markdown table."
    head = ["runner", "rounds", "cold", "spread", "cold, processor", "no-op", "late change"]
    head += ["late / its own code", "memory, PSS", "memory, RSS"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        name = f"{row['runner']} {row['version']}".strip()
        if row.get("missing"):
            lines.append(f"| {name} | not installed" + " | -" * (len(head) - 2) + " |")
            continue
        spread = row["cold_spread"]
        ends = f"{spread[0]:.2f}-{spread[-1]:.2f}" if spread else "no time left"
        ends = "failed" if row["failed"] and not spread else ends
        cells = [name, str(row["rounds"]), _spell(row["cold"]), ends, _spell(row["cold_cpu"])]
        cells += [_spell(row["noop_s"], " s"), _spell(row["late_s"], " s"), _spell(row["late"])]
        lines.append("| " + " | ".join([*cells, _spell(row["pss"]), _spell(row["rss"])]) + " |")
    return "\n".join(lines)


def _read_words() -> argparse.Namespace:
    "Read the command line."
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("runners", nargs="*", help="part of a name; all if empty")
    words.add_argument("--quick", action="store_true", help="one round, without the peers")
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--minutes", type=float, default=11.0, help="for everything")
    words.add_argument("--no-truth", action="store_true", help="leave the traps to truth.py")
    return words.parse_args()


def _choose(
    words: argparse.Namespace,
) -> list[Runner]:
    "Choose the runners; the script is always among them."
    if words.quick:
        return [one for one in RUNNERS if one.name in _QUICK]
    parts = ["script", *words.runners] if words.runners else [""]
    return [one for one in RUNNERS if any(part in one.name for part in parts)]


def _summarise_all(
    runners: list[Runner],
    rounds: list[dict[str, dict]],
) -> list[dict]:
    "A row for every runner; those that are not installed say so."
    return [
        summarise(one, rounds)
        if one.installed
        else {"runner": one.name, "missing": True, "version": ""}
        for one in runners
    ]


def _keep(
    told: dict,
) -> None:
    "Write what is known so far, with the load that the machine has now."
    told["machine"]["load_after"] = [round(one, 2) for one in os.getloadavg()]
    (_HERE / "results.json").write_text(json.dumps(told, indent=1) + "\n")


def main() -> None:
    "Measure, print and keep; the times are kept before the traps are set."
    words = _read_words()
    begun = time.monotonic()
    runners, facts = _choose(words), machine_facts()
    present = [runner for runner in runners if runner.installed]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tell("once without measuring, so that bytecode is written and files are read")
        for runner in present[:2]:
            settle(runner, eight_steps(), folder / "once").run()
        rounds = measure_rounds(
            present,
            folder,
            rounds=1 if words.quick else words.rounds,
            deadline=begun + words.minutes * 60 * (1 if words.quick or words.no_truth else 0.65),
        )
        told = {"machine": facts, "summary": _summarise_all(runners, rounds), "rounds": rounds}
        told["truth"] = {}
        _keep(told)
        if not (words.quick or words.no_truth):
            for runner in truth.asked([one.name for one in runners]):
                late = time.monotonic() - begun > words.minutes * 60 - 60
                asks = runner.installed and not late
                told["truth"][runner.name] = truth.ask(runner, folder) if asks else {}
    _keep(told)
    rows, answers = told["summary"], told["truth"]
    script = next(row for row in rows if row["runner"] == _SCRIPT.name)
    loads = [row["load"] for one in rounds for row in one.values()]
    text = [f"Script: {script['cold_s']} s. Cores: {facts['cores']}. "]
    text[0] += f"Load while measuring: {min(loads)} to {max(loads)}."
    text += ["", table(rows)]
    if answers:
        text += ["", truth.table(answers)]
    sys.stdout.write("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
