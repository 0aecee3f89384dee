"""Measure the candidates on GoEmotions beside a plain TF-IDF logistic regression, in one run.

    python benchmarks/models/goemotions.py [CANDIDATE ...] [--seeds 3] [--tasks emotions-28 ...]

The reference is what anybody writes with scikit-learn: words 1-2 and letters 2-5 by TF-IDF, one
default logistic regression per label. All train on the published train rows on this processor from
scratch; thresholds come from dev alone, test is read once per model. Times are those of `fit`, wall
and processor, and are told as ratios to the reference of the same run and task.
The blend is the mean of the four candidates named in PARTS. Results go to
`goemotions.json`, beside what a run on the same rows found before.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd

from mlops_lab.data.sources import load_split
from mlops_lab.foundation.records import write_json
from mlops_lab.foundation.settings import read_settings
from mlops_lab.models.calibration import platt_scaling
from mlops_lab.models.embedding import EmbeddingBag
from mlops_lab.models.learning import Candidate, Examples, Recipe
from mlops_lab.models.lexicon import LexiconRule
from mlops_lab.models.linear import TfidfLogistic
from mlops_lab.models.scorer import Scores
from mlops_lab.models.several_evaluation import evaluate_several
from mlops_lab.models.tasks import known_tasks, label_matrix
from mlops_lab.models.text_cnn import TextCnn
from mlops_lab.models.thresholds import best_thresholds

TASKS = ("emotions-28", "emotion", "sentiment")
RESULTS = Path(__file__).with_suffix(".json")
LETTERS = Recipe(shortest=2, longest=5, most=150_000)
LINEAR = replace(LETTERS, strength=1.0)
BAYES = replace(LETTERS, strength=1.0, ratio=0.5)
BAG = Recipe(
    longest=5,
    buckets=2**17,
    dimension=32,
    learning_rate=0.008,
    batch_size=256,
    epochs=3,
    patience=3,
)
CNN = Recipe(dimension=100, filters=100, learning_rate=0.002, batch_size=64, epochs=4)


class Reference:
    """TF-IDF and logistic regression as anybody writes them."""

    def fit(self, train: Examples, dev: Examples) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.multiclass import OneVsRestClassifier
        from sklearn.pipeline import make_pipeline, make_union

        grams = make_union(
            TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=3, sublinear_tf=True),
        )
        models = OneVsRestClassifier(LogisticRegression(max_iter=1_000))
        self.model = make_pipeline(grams, models).fit(train.texts, train.targets)

    def logits(self, texts: tuple[str, ...]) -> np.ndarray:
        return self.model.decision_function(texts)


def make(name: str, seed: int) -> Candidate | Reference:
    """Make a model by its name in the table."""

    def seeded(recipe: Recipe) -> Recipe:
        return replace(recipe, seed=seed)

    makers = {
        "reference": Reference,
        "lexicon_rule": lambda: LexiconRule(Recipe()),
        "tfidf_logistic": lambda: TfidfLogistic(seeded(LINEAR)),
        "tfidf_bayes": lambda: TfidfLogistic(seeded(BAYES)),
        "embedding_bag": lambda: EmbeddingBag(seeded(BAG)),
        "text_cnn": lambda: TextCnn(seeded(CNN)),
    }
    return makers[name]()


SEEDED = ("embedding_bag", "text_cnn")  # the others give the same for every seed
PARTS = ("tfidf_logistic", "tfidf_bayes", "embedding_bag", "text_cnn")  # of the blend


def read(split: str, task: str) -> Examples:
    """Read a published split with all labels of each row."""
    home = read_settings().data_home
    frame: pd.DataFrame = load_split("goemotions", split, data_home=home, task=task)
    labels = known_tasks()[task].labels
    return Examples(tuple(frame["text"]), label_matrix(frame["labels"], labels), labels)


def answer(name: str, seed: int, rows: dict[str, Examples]) -> dict:
    """Fit one model and give its honest logits on dev and test, and the seconds it took."""
    model = make(name, seed)
    wall, processor = time.perf_counter(), time.process_time()
    model.fit(rows["train"], rows["dev"])
    took = {"fit_s": time.perf_counter() - wall, "fit_cpu_s": time.process_time() - processor}
    logits = {split: np.asarray(model.logits(rows[split].texts)) for split in ("dev", "test")}
    factor, shift = platt_scaling(logits["dev"], rows["dev"].targets)
    return took | {split: own * factor + shift for split, own in logits.items()}


def mean_of(parts: list[dict]) -> dict:
    """Do what `models.blend` does with parts that were fitted before: take the mean."""
    took = {key: sum(part[key] for part in parts) for key in ("fit_s", "fit_cpu_s")}
    return took | {key: np.mean([part[key] for part in parts], axis=0) for key in ("dev", "test")}


def measure(answers: dict, rows: dict[str, Examples]) -> dict:
    """Find thresholds on dev, judge on test."""
    truth = rows["dev"].targets
    factor, shift = platt_scaling(answers["dev"], truth)
    dev, test = (1 / (1 + np.exp(-(answers[key] * factor + shift))) for key in ("dev", "test"))
    cuts = tuple(best_thresholds(dev, truth).tolist())
    found = evaluate_several(rows["test"].targets, Scores(rows["dev"].labels, test, cuts))
    took = {key: answers[key] for key in ("fit_s", "fit_cpu_s")}
    return took | found.as_dict()


def measure_task(task: str, names: list[str], seeds: int) -> Iterator[dict]:
    """Measure every model of one task, and the blend of those that were asked for."""
    rows = {split: read(split, task) for split in ("train", "dev", "test")}
    fitted: dict[tuple[str, int], dict] = {}
    for name in names:
        for seed in range(1, seeds + 1 if name in SEEDED else 2):
            fitted[name, seed] = answer(name, seed, rows)
            yield {"task": task, "name": name, "seed": seed, **measure(fitted[name, seed], rows)}
    if set(PARTS) <= set(names):
        for seed in range(1, seeds + 1):
            parts = [fitted.get((name, seed), fitted[name, 1]) for name in PARTS]
            yield {"task": task, "name": "blend", "seed": seed, **measure(mean_of(parts), rows)}


def summary(runs: list[dict]) -> list[dict]:
    """Give mean and spread over the seeds, and times as ratios to the reference."""
    table = []
    for task in TASKS:
        of_task = [run for run in runs if run["task"] == task]
        for name in dict.fromkeys(run["name"] for run in of_task):
            own = [run for run in of_task if run["name"] == name]
            reference = [
                run
                for run in of_task
                if (run["name"], run["begun"]) == ("reference", own[0]["begun"])
            ]
            scores = [run["macro_f1"] for run in own]
            row = {"task": task, "name": name, "seeds": len(own)}
            row |= {"macro_f1": statistics.mean(scores), "spread": float(np.std(scores))}
            for key in ("micro_f1", "weighted_f1", "calibration_error", "fit_s", "fit_cpu_s"):
                row[key] = statistics.mean(run[key] for run in own)
            for key in ("fit_s", "fit_cpu_s") if reference else ():
                row[f"{key}_over_reference"] = row[key] / reference[0][key]
            table.append(row)
    return table


def main() -> None:
    """Measure what is asked for, show the table and keep it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = ["reference", "lexicon_rule", "tfidf_logistic", "tfidf_bayes", *SEEDED]
    parser.add_argument("candidates", nargs="*", default=names, metavar="CANDIDATE")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), help=", ".join(TASKS))
    asked = parser.parse_args()
    if unknown := set(asked.candidates) - set(names):
        parser.error(f"no candidate {min(unknown)!r}; known: {', '.join(names)}")
    old = json.loads(RESULTS.read_text())["runs"] if RESULTS.is_file() else []
    runs, begun = [], time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for task in asked.tasks:
        for run in measure_task(task, asked.candidates, asked.seeds):
            run["begun"] = begun
            runs.append(run)
            shown = {k: run[k] for k in ("task", "name", "seed", "macro_f1", "micro_f1", "fit_s")}
            print(shown, flush=True)
            fresh = {(one["task"], one["name"], one["seed"]) for one in runs}
            kept = [one for one in old if (one["task"], one["name"], one["seed"]) not in fresh]
            write_json(RESULTS, {"runs": kept + runs, "table": summary(kept + runs)})
    print(pd.DataFrame(summary(runs)).round(4).to_string(index=False))


if __name__ == "__main__":
    main()
