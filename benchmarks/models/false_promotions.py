"""Count how often the gate promotes a challenger that is no better than the champion.

    python benchmarks/models/false_promotions.py [REPEATS]  (300 take about a minute)

Both answer with the same chance of being right, on rows drawn anew each time; every promotion is
therefore false. Once with one label for each text, once with several; there each label of a text is
found or missed, and others are added, with the same chances for both. The share is reported beside
that of the paired bootstrap and of the test of rows won alone, in the same run, for several numbers
of test rows, into `false_promotions.json`, with the 95 % interval that so many repeats allow.
"""

import sys
from math import sqrt
from pathlib import Path

import numpy as np

from mlops_lab.foundation.canvas import read_canvas
from mlops_lab.foundation.records import write_json
from mlops_lab.foundation.targets import Targets
from mlops_lab.tracking.challenge import Challenge
from mlops_lab.tracking.gate import judge

LABELS = np.array(["anger", "joy", "neutral", "sadness"])
SHARES = np.array([0.2, 0.4, 0.3, 0.1])
SERVED = {"passed": True, "message": "it answers"}
CHECKS = {"latency_ms": 1.0, "serving": SERVED, "service": SERVED, "size_mb": 1.0}
CHECKS |= {"behaviour": {"typos": ([True] * 10, None)}, "behaviour_judged": True}
CHECKS |= {"certainty": [{"confidence": 0.8, "accuracy": 0.8, "share": 1.0, "answers": 1_000}]}


def draw_single(rows: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Draw a truth, and two who are right in about 0.7 of the rows."""
    truth = rng.choice(LABELS, size=rows, p=SHARES)
    guesses = (rng.choice(LABELS, size=rows) for _ in range(2))
    return [truth, *(np.where(rng.random(rows) < 0.6, truth, guess) for guess in guesses)]


def draw_several(rows: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Draw sets of labels, and two who find a label with 0.7 and add one with 0.1."""
    truth = rng.random((rows, len(LABELS))) < SHARES
    empty = np.flatnonzero(~truth.any(axis=1))
    truth[empty, rng.integers(len(LABELS), size=len(empty))] = True
    draws = (rng.random(truth.shape) for _ in range(2))
    return [spell(truth), *(spell(draw < np.where(truth, 0.7, 0.1)) for draw in draws)]


def spell(matrix: np.ndarray) -> np.ndarray:
    """Spell sets of labels as the gate reads them."""
    return np.array(["|".join(LABELS[row]) for row in matrix])


KINDS = {"one label": draw_single, "several labels": draw_several}


def count_promotions(kind: str, rows: int, repeats: int, limits: Targets) -> dict:
    """Judge equal challengers, again and again."""
    rng, counts = np.random.default_rng(rows), {"gate": 0, "bootstrap": 0, "rows_won": 0}
    for _ in range(repeats):
        columns = KINDS[kind](rows, rng)
        verdict = judge(Challenge(*columns, **CHECKS, several=kind != "one label"), limits)
        kept = {reason.rule: reason.passed for reason in verdict.reasons}
        counts["gate"] += verdict.passed
        counts["bootstrap"] += kept["better than the champion"]
        counts["rows_won"] += kept["rows won"]
    share = counts["gate"] / repeats
    wide = 1.96 * sqrt(max(share * (1 - share), 1 / repeats) / repeats)
    return {
        "kind": kind,
        "rows": rows,
        "repeats": repeats,
        "alpha": limits["significance"],
        "promoted_by_gate": share,
        "promoted_by_gate_interval": [max(share - wide, 0.0), min(share + wide, 1.0)],
        "promoted_by_bootstrap_alone": counts["bootstrap"] / repeats,
        "promoted_by_rows_won_alone": counts["rows_won"] / repeats,
    }


def main() -> None:
    """Measure, show and keep the table."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    limits = read_canvas().targets.changed({"minimum_macro_f1": 0.0}, "this benchmark")
    sizes = (30, 100, 300, 1_000, 3_000)
    results = []
    for kind, rows in ((kind, rows) for kind in KINDS for rows in sizes):
        results.append(count_promotions(kind, rows, repeats, limits))
        print(results[-1], flush=True)
    write_json(Path(__file__).with_suffix(".json"), {"results": results})


if __name__ == "__main__":
    main()
