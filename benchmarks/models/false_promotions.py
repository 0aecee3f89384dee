"""Count how often the gate promotes a challenger that is no better than the champion.

    python benchmarks/models/false_promotions.py [REPEATS]  (300 take about 20 s)

Both answer with the same chance of being right, on rows drawn anew each time; every promotion is
therefore false. The share is reported beside that of the paired bootstrap alone, in the same run,
for several numbers of test rows, into `false_promotions.json`.
"""

import sys
from pathlib import Path

import numpy as np

from mlops_lab.foundation.records import write_json
from mlops_lab.tracking.challenge import Challenge, Thresholds
from mlops_lab.tracking.gate import judge

LABELS = np.array(["anger", "joy", "neutral", "sadness"])
SERVED = {"passed": True, "message": "it answers"}
CHECKS = {"latency_ms": 1.0, "serving": SERVED, "service": SERVED}
CHECKS |= {"behaviour": {"typos": ([True] * 10, None)}, "behaviour_judged": True}


def draw_answers(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Answer right in about 0.7 of the rows."""
    return np.where(rng.random(len(truth)) < 0.6, truth, rng.choice(LABELS, size=len(truth)))


def count_promotions(rows: int, repeats: int) -> dict:
    """Judge equal challengers, again and again."""
    rng, limits = np.random.default_rng(rows), Thresholds(minimum_macro_f1=0.0)
    gate = bootstrap = 0
    for _ in range(repeats):
        truth = rng.choice(LABELS, size=rows, p=[0.2, 0.4, 0.3, 0.1])
        answers = draw_answers(truth, rng), draw_answers(truth, rng)
        verdict = judge(Challenge(truth, *answers, **CHECKS), limits)
        kept = {reason.rule: reason.passed for reason in verdict.reasons}
        gate += verdict.passed
        bootstrap += kept["better than the champion"]
    return {
        "rows": rows,
        "repeats": repeats,
        "alpha": limits.significance,
        "promoted_by_gate": gate / repeats,
        "promoted_by_bootstrap_alone": bootstrap / repeats,
    }


def main() -> None:
    """Measure, show and keep the table."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    results = [count_promotions(rows, repeats) for rows in (30, 100, 300, 1_000, 3_000)]
    for row in results:
        print(row)
    write_json(Path(__file__).with_suffix(".json"), {"results": results})


if __name__ == "__main__":
    main()
