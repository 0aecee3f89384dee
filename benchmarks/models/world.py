"""Measure how near the candidates come to the ceiling of the shipped world, and by how many rows.

    python benchmarks/models/world.py [CANDIDATE ...] [--rows 12000 60000]

The world knows the chance of every label given the text, so the score that no model can expect to
pass is computed, not guessed; it is told as expected and as counted on the very test rows. Splits
are those of the case study (by author, 70 % to learn from). Results go to `world.json`, beside what
was found before.
"""

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

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
    "blend": Recipe(shortest=2, longest=5, most=150_000),
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


def measure(name: str, examples: dict[str, Examples]) -> dict:
    """Fit one candidate and judge it on the test rows."""
    recipe = RECIPES[name]
    learner = make_candidate(name.split(",")[0], replace(recipe, seed=7))
    wall, processor = time.perf_counter(), time.process_time()
    history = learner.fit(examples["train"], examples["dev"])
    took = {"fit_s": time.perf_counter() - wall, "fit_cpu_s": time.process_time() - processor}
    found = progress(learner.predict(examples["test"].texts), examples["test"].targets)
    return {"name": name, "passes": len(history), **took, **found}


def main() -> None:
    """Measure what is asked for, show it and keep it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("candidates", nargs="*", default=list(RECIPES), metavar="CANDIDATE")
    parser.add_argument("--rows", type=int, nargs="*", default=[12_000, 60_000], help="messages")
    asked = parser.parse_args()
    if unknown := set(asked.candidates) - set(RECIPES):
        parser.error(f"no candidate {min(unknown)!r}; known: {', '.join(RECIPES)}")
    runs = json.loads(RESULTS.read_text())["runs"] if RESULTS.is_file() else []
    for rows in asked.rows:
        examples, best = read(rows)
        for name in asked.candidates:
            run = {"rows": rows, "train": len(examples["train"]), **best}
            run |= measure(name, examples)
            print({key: run[key] for key in ("rows", "name", "macro_f1", *best)}, flush=True)
            runs = [old for old in runs if (old["rows"], old["name"]) != (rows, name)] + [run]
            write_json(RESULTS, {"runs": runs})


if __name__ == "__main__":
    main()
