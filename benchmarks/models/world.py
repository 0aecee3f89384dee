"""Measure how near the candidates come to the ceiling of the shipped world, and by how many rows.

    python benchmarks/models/world.py [CANDIDATE ...] [--rows 12000 60000] [--seeds 7 8]

One core needs about 30 s for text_cnn on 12,000 rows, 4 minutes for its wide form on 60,000 and 9
on 100,000; a blend takes twice as long, and an hour on 300,000. Where fits shared the machine,
their processor seconds say more than the others.

The world knows the chance of every label given the text, so the score that no model can expect to
pass is computed, not guessed. It is told as expected over all that could have been written
(`ceiling`) and as counted on the very test rows (`ceiling_counted`), where a perfect reader has the
same luck as the model. Splits are those of the case study (by author, 70 % to learn from); a seed
starts the random choices of a training, the world stays the shipped one. Results go to
`world.json`, beside what was found before; the learning curve is printed at the end.
"""

import argparse
import json
import os
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from mlops_lab.data.segregation import split_frame
from mlops_lab.data.world import world_frame
from mlops_lab.data.world_posterior import ceiling
from mlops_lab.foundation.records import write_json
from mlops_lab.models.candidates import make_candidate
from mlops_lab.models.learning import Examples, Recipe, progress, read_examples
from mlops_lab.models.tasks import label_space

RESULTS = Path(__file__).with_suffix(".json")
DEEP = Recipe(dimension=100, filters=100, learning_rate=0.002, batch_size=64)
RECIPES = {
    "lexicon_rule": Recipe(),
    "tfidf_logistic": Recipe(),
    "tfidf_logistic, letters 2-5": Recipe(shortest=2, longest=5, most=150_000),
    "embedding_bag": Recipe(),
    "text_cnn": DEEP,
    "text_cnn, wide": replace(DEEP, widest=7, averaged=3),
    "blend": Recipe(shortest=2, longest=5, most=150_000),
    "blend, wide": Recipe(shortest=2, longest=5, most=150_000, widest=7),
}


def read(rows: int) -> tuple[dict[str, Examples], dict]:
    """Make a world, split it, and compute what its test rows allow."""
    frame = world_frame(rows, seed=7)
    splits = split_frame(frame, seed=7)
    task = label_space("emotion", splits["train"]["label"])
    examples = {name: read_examples(splits[name], task.labels) for name in ("train", "dev", "test")}
    chances = splits["test"][[f"posterior_{label}" for label in task.labels]].to_numpy()
    best = {
        "ceiling": ceiling(splits["test"]).macro_f1,
        "ceiling_counted": progress(chances, examples["test"].targets)["macro_f1"],
    }
    return examples, best


def measure(name: str, examples: dict[str, Examples], seed: int) -> dict:
    """Fit one candidate and judge it on the test rows."""
    learner = make_candidate(name.split(",")[0], replace(RECIPES[name], seed=seed))
    wall, processor = time.perf_counter(), time.process_time()
    history = learner.fit(examples["train"], examples["dev"])
    took = {"fit_s": time.perf_counter() - wall, "fit_cpu_s": time.process_time() - processor}
    found = progress(learner.predict(examples["test"].texts), examples["test"].targets)
    return {"name": name, "seed": seed, "passes": len(history), **took, **found}


def draw_curve(runs: list[dict]) -> list[dict]:
    """Tell for each candidate and number of rows how far it stays below the ceiling."""
    groups = defaultdict(list)
    for run in runs:
        groups[run["name"], run["rows"]].append(run)
    return [
        {
            "name": name,
            "rows": rows,
            "train": own[0]["train"],
            "test": own[0]["test"],
            "seeds": len(own),
            "macro_f1": float(np.mean([run["macro_f1"] for run in own])),
            "spread": float(np.ptp([run["macro_f1"] for run in own])),
            "below_ceiling": float(np.mean([run["ceiling"] - run["macro_f1"] for run in own])),
            "below_counted": float(
                np.mean([run["ceiling_counted"] - run["macro_f1"] for run in own])
            ),
        }
        for (name, rows), own in sorted(groups.items())
    ]


def main() -> None:
    """Measure what is asked for, show it and keep it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("candidates", nargs="*", default=list(RECIPES), metavar="CANDIDATE")
    parser.add_argument("--rows", type=int, nargs="*", default=[12_000, 60_000], help="messages")
    parser.add_argument("--seeds", type=int, nargs="*", default=[7], help="of the training")
    asked = parser.parse_args()
    if unknown := set(asked.candidates) - set(RECIPES):
        parser.error(f"no candidate {min(unknown)!r}; known: {', '.join(RECIPES)}")
    runs = json.loads(RESULTS.read_text())["runs"] if RESULTS.is_file() else []
    for rows in asked.rows:
        examples, best = read(rows)
        sizes = {"train": len(examples["train"]), "test": len(examples["test"])}
        for name, seed in ((name, seed) for seed in asked.seeds for name in asked.candidates):
            run = {"rows": rows, **sizes, **best, **measure(name, examples, seed)}
            print(
                {key: run[key] for key in ("rows", "name", "seed", "macro_f1", *best)}, flush=True
            )
            told = ("rows", "name", "seed")
            runs = [old for old in runs if [old.get(k) for k in told] != [run[k] for k in told]]
            runs.append(run)
            write_json(RESULTS, {"curve": draw_curve(runs), "runs": runs})
    for line in draw_curve(runs):
        print(line)


if __name__ == "__main__":
    main()
