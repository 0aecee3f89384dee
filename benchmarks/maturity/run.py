"""Read the evidence of 1,000 runs and a million scores, and open 200 raters' answers.

    python benchmarks/maturity/run.py [RUNS] [SCORES]

Beside each stands plain reading of the same files in the same process (json lines, and a count of
the rows), in turns, so that the ratio counts and not the machine.
"""

import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.records import digest_json
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.maturity.answers import Answer, Sheet
from mlops_lab.maturity.bank import read_bank
from mlops_lab.maturity.disagreement import spread_answers, talking_points
from mlops_lab.maturity.evidence import gather_evidence
from mlops_lab.maturity.history import AssessmentLog
from mlops_lab.serving.score_tables import open_engine
from mlops_lab.tracking.runs import prepare_tracking

STAGES = (
    "ingest validate explore prepare segregate train_bag train_logistic evaluate gate register "
    "deploy score monitor"
).split()
RATERS, ROUNDS = 200, 3


def write_runs(lab: Workspace, runs: int) -> None:
    """A ledger, records and executed notebooks of many runs."""
    lines = []
    ran = json.dumps({"cells": [], "metadata": {"papermill": {"end_time": "x"}}})
    for number in range(runs):
        run = f"run-{number:05d}"
        folder = lab.run(run)
        for inner in ("records", "notebooks"):
            (folder / inner).mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"run": run, "stages": STAGES}))
        facts = {"run": run, "pipeline": "case_study", "commit": "abc", "section": "dev"}
        lines.append(("run-started", facts | {"trigger": "schedule"}))
        for stage in STAGES:
            body = {"stage": stage, "metrics": {"late_accuracy": 0.7}, "tables": {}}
            body |= {"outputs": {}, "inputs": {}, "headline": "done", "facts": {"version": "1"}}
            digest = digest_json(body)
            (folder / f"records/{stage}.json").write_text(json.dumps(body | {"digest": digest}))
            (folder / f"notebooks/{stage}.ipynb").write_text(ran)
            noted = {"run": run, "stage": stage, "state": "done", "seconds": 1, "record": digest}
            lines.append(("stage", noted))
        lines.append(("run-finished", {"run": run, "state": "done", "seconds": 30.0}))
    ChainLog(lab.ledger).extend(lines)


def write_trainings(lab: Workspace, runs: int) -> None:
    """Two tracked trainings for each run, straight into MLflow's tables."""
    prepare_tracking(lab)
    names = [f"{number:032x}" for number in range(2 * runs)]
    with closing(sqlite3.connect(lab.tracking_database)) as connection:
        connection.executemany(
            "insert into runs (run_uuid, name, status, start_time, lifecycle_stage, experiment_id)"
            " values (?, 'bag', 'FINISHED', 0, 'active', 0)",
            [(name,) for name in names],
        )
        for table, key in (("tags", "mlops_lab.data.train"), ("params", "epochs")):
            rows = [(key, "sha256:1", name) for name in names]
            connection.executemany(
                f"insert into {table} (key, value, run_uuid) values (?,?,?)", rows
            )
        rows = [("f1", 0.7, 0, name, 0, 0) for name in names]
        connection.executemany(
            "insert into latest_metrics (key, value, timestamp, run_uuid, step, is_nan)"
            " values (?,?,?,?,?,?)",
            rows,
        )
        connection.commit()


def write_scores(lab: Workspace, scores: int) -> None:
    """Many scores over a month, a tenth of them with a true label."""
    open_engine(lab.score_store).dispose()
    text = "It went well enough, I think, but the second task took me by surprise."
    rows = (
        (
            f"{k:032x}",
            f"2026-05-{1 + k % 28:02d}T10:00:00",
            "shop",
            text,
            "m",
            "1",
            "champion",
            "joy",
        )
        + ("{}", 1.5, 70, 14, 0.0)
        for k in range(scores)
    )
    with closing(sqlite3.connect(lab.score_store)) as connection:
        connection.executemany(f"insert into scores values ({','.join('?' * 13)})", rows)
        said = ((f"{k:032x}", "joy", "2026-05-03", "audit") for k in range(0, scores, 10))
        connection.executemany(
            "insert into feedback (score_id, label, at, source) values (?,?,?,?)", said
        )
        connection.commit()


def read_plainly(lab: Workspace) -> None:
    """Parse the ledger and count the scores, and nothing else."""
    for line in lab.ledger.read_bytes().splitlines():
        json.loads(line)
    with closing(sqlite3.connect(lab.score_store)) as connection:
        connection.execute("select count(*), sum(length(text)) from scores").fetchone()


def write_raters(folder: Path) -> AssessmentLog:
    """A revealed round of many raters who answered everything."""
    bank = read_bank()
    log = AssessmentLog(folder / "assessments.jsonl", bank=bank)
    lines = []
    for person in range(RATERS):
        answers = {name: Answer((person + k) % 4) for k, name in enumerate(bank.criteria)}
        sheet = Sheet(bank.version, answers, f"rater {person}", ("DS", "DE", "SE")[person % 3])
        facts = {"round": 1, "sheet": sheet.as_dict(), "ceilings": {}, "commit": ""}
        lines.append(("answers", facts))
    ChainLog(folder / "assessments.jsonl").extend(lines)
    log.reveal()
    return log


def open_raters(folder: Path) -> int:
    """Read the round, measure the spread, choose what to talk about."""
    bank = read_bank()
    sheets = AssessmentLog(folder / "assessments.jsonl", bank=bank).revealed(1)
    return len(talking_points(spread_answers(bank, list(sheets.values()))))


def seconds_of(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main(runs: int, scores: int) -> None:
    bank = read_bank()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        lab = Workspace(folder / ".lab").create()
        write_runs(lab, runs)
        write_trainings(lab, runs)
        write_scores(lab, scores)
        write_raters(folder)
        ours, plain, raters = [], [], []
        for _ in range(ROUNDS):
            plain.append(seconds_of(lambda: read_plainly(lab)))
            ours.append(seconds_of(lambda: gather_evidence(folder, bank)))
            raters.append(seconds_of(lambda: open_raters(folder)))
        evidence = gather_evidence(folder, bank)
    found, base = statistics.median(ours), statistics.median(plain)
    proved = sum(seen == 3 for seen in evidence.ceilings.values())
    print(
        f"evidence of {runs:,} runs and {scores:,} scores: {found:.2f} s, {proved} proved in full"
    )
    print(f"  plain reading of ledger and scores: {base:.2f} s; ratio {found / base:.1f}")
    print(f"{RATERS} raters x {len(bank.criteria)} answers: {statistics.median(raters):.2f} s")


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(*(given + [1_000, 1_000_000][len(given) :]))
