"""Measure the candidates on GoEmotions beside a plain TF-IDF logistic regression, in one run.

    python benchmarks/models/goemotions.py [CANDIDATE ...] [--seeds 3] [--tasks emotions-28 ...]

The reference is what anybody writes with scikit-learn: words 1-2 and letters 2-5 by TF-IDF, one
default logistic regression per label. All train on the published train rows on this processor from
scratch; thresholds come from dev alone, test is read once per model. Times are those of `fit`, wall
and processor, without the loading of libraries, told as ratios to the reference of the same task.
Labels compete as `models.rivals` finds on dev; the reference is left as anybody writes it.
With --workers above one, models share the processor while they are fitted, so that only their
processor times compare.
The blend is the mean of TF-IDF without and with naive Bayes and of two networks: that of the seed
and that of the next, so the blends of two seeds share a network and their spread is understated.
Rows called "NAME, coarser" answer a coarse task with the model of 28 labels that was fitted for the
first, at no further cost; on coarse tasks the blend is the mean of its own coarser view, of naive
Bayes and of the network of the seed, both fitted on the coarse labels. Results go to
`goemotions.json` and replace those of the run before; `--write` names another file, as for
`goemotions_bag.json`, the bag beside the reference on a machine with nothing else to do:

    python benchmarks/models/goemotions.py reference embedding_bag --tasks emotions-28 \\
        --write benchmarks/models/goemotions_bag.json
"""

import argparse
import os
import statistics
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd

from mlops_lab.data.sources import load_split
from mlops_lab.foundation.records import write_json
from mlops_lab.foundation.settings import read_settings
from mlops_lab.models.bag_model import sigmoid
from mlops_lab.models.calibration import platt_scaling
from mlops_lab.models.embedding import EmbeddingBag
from mlops_lab.models.forms import coarser_logits
from mlops_lab.models.learning import Candidate, Examples, Recipe
from mlops_lab.models.lexicon import LexiconRule
from mlops_lab.models.linear import TfidfLogistic
from mlops_lab.models.rivals import find_rivalry
from mlops_lab.models.scorer import Scores
from mlops_lab.models.several_evaluation import evaluate_several
from mlops_lab.models.tasks import coarser_labels, known_tasks, label_matrix
from mlops_lab.models.text_cnn import TextCnn
from mlops_lab.models.thresholds import best_thresholds

TASKS = ("emotions-28", "emotion", "sentiment")
RESULTS = Path(__file__).with_suffix(".json")
LETTERS = Recipe(shortest=2, longest=5, most=150_000)
LINEAR = replace(LETTERS, strength=1.0)
BAYES = replace(LETTERS, strength=1.0, ratio=0.5)
BAG = Recipe(learning_rate=0.012, batch_size=512, epochs=3, patience=3)
CNN = Recipe(
    dimension=100,
    filters=100,
    learning_rate=0.003,
    batch_size=64,
    epochs=5,
    patience=5,
    averaged=3,
)
COARSE_CNN = replace(CNN, learning_rate=0.002, epochs=3, averaged=2)  # fewer labels, sooner learned


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


def make(name: str, seed: int, *, coarse: bool = False) -> Candidate | Reference:
    """Make a model by its name in the table."""

    def seeded(recipe: Recipe) -> Recipe:
        return replace(recipe, seed=seed)

    makers = {
        "reference": Reference,
        "lexicon_rule": lambda: LexiconRule(Recipe()),
        "tfidf_logistic": lambda: TfidfLogistic(seeded(LINEAR)),
        "tfidf_bayes": lambda: TfidfLogistic(seeded(BAYES)),
        "embedding_bag": lambda: EmbeddingBag(seeded(BAG)),
        "text_cnn": lambda: TextCnn(seeded(COARSE_CNN if coarse else CNN)),
    }
    return makers[name]()


SEEDED = ("embedding_bag", "text_cnn")  # the others give the same for every seed
FINE, FINE_PARTS = TASKS[0], ("tfidf_logistic", "tfidf_bayes", "text_cnn")  # of the blend
COARSE_ONLY = ("reference", "tfidf_bayes", "text_cnn")  # fitted on coarse labels too


@lru_cache
def read(split: str, task: str) -> Examples:
    """Read a published split with all labels of each row."""
    home = read_settings().data_home
    frame: pd.DataFrame = load_split("goemotions", split, data_home=home, task=task)
    labels = known_tasks()[task].labels
    return Examples(tuple(frame["text"]), label_matrix(frame["labels"], labels), labels)


def read_all(task: str) -> dict[str, Examples]:
    """Read the three published splits."""
    return {split: read(split, task) for split in ("train", "dev", "test")}


def answer(task: str, name: str, seed: int) -> dict:
    """Fit one model and give its honest logits on dev and test, and the seconds it took."""
    rows, model = read_all(task), make(name, seed, coarse=task != FINE)
    for library in ("sklearn.linear_model", "sklearn.feature_extraction.text", "tensorflow"):
        import_module(library)
    wall, processor = time.perf_counter(), time.process_time()
    model.fit(rows["train"], rows["dev"])
    took = {"fit_s": time.perf_counter() - wall, "fit_cpu_s": time.process_time() - processor}
    logits = {split: np.asarray(model.logits(rows[split].texts)) for split in ("dev", "test")}
    return honest(took | logits, rows["dev"].targets)


def mean_of(parts: list[dict]) -> dict:
    """Do what `models.blend` does with parts that were fitted before: take the mean."""
    took = {key: sum(part[key] for part in parts) for key in ("fit_s", "fit_cpu_s")}
    return took | {key: np.mean([part[key] for part in parts], axis=0) for key in ("dev", "test")}


def honest(found: dict, truth: np.ndarray) -> dict:
    """Put logits on the scale that dev allows."""
    factor, shift = platt_scaling(found["dev"], truth)
    return found | {key: found[key] * factor + shift for key in ("dev", "test")}


def coarser(fine: dict, task: str, rows: dict[str, Examples]) -> dict:
    """Answer a coarse task with a model of 28 labels, honest again on dev."""
    groups = coarser_labels(np.eye(28, dtype=np.float32), task)
    seen = {key: coarser_logits(fine[key], groups, several=True) for key in ("dev", "test")}
    return honest(fine | seen, rows["dev"].targets)


def measure(answers: dict, rows: dict[str, Examples], *, compete: bool = True) -> dict:
    """Let labels compete and find thresholds on dev, judge on test."""
    truth, settled = rows["dev"].targets, honest(answers, rows["dev"].targets)
    rivalry = find_rivalry(settled["dev"], truth)
    if compete:
        settled |= {key: rivalry.changed(settled[key]) for key in ("dev", "test")}
    dev, test = sigmoid(settled["dev"]), sigmoid(settled["test"])
    cuts = tuple(best_thresholds(dev, truth).tolist())
    found = evaluate_several(rows["test"].targets, Scores(rows["dev"].labels, test, cuts))
    took = {key: answers[key] for key in ("fit_s", "fit_cpu_s")}
    return took | {"rivalry": rivalry.share * compete} | found.as_dict()


def blend(fitted: Mapping[tuple[str, str, int], dict], seed: int, seeds: int) -> dict:
    """Let two linear models and two networks of 28 labels answer together."""
    keys = [("tfidf_logistic", 1), ("tfidf_bayes", 1), ("text_cnn", seed)]
    keys += [("text_cnn", seed % seeds + 1)] if seeds > 1 else []
    return mean_of([fitted[FINE, *key] for key in keys])


def wanted(task: str, names: list[str], seeds: int) -> list[tuple[str, str, int]]:
    """Say which models of a task are fitted."""
    own = names if task == FINE else [name for name in names if name in COARSE_ONLY]
    return [
        (task, name, seed) for name in own for seed in range(1, seeds + 1 if name in SEEDED else 2)
    ]


def measure_task(
    task: str, seeds: int, answers: dict[tuple[str, str, int], Future], fitted: dict
) -> Iterator[dict]:
    """Measure every model of one task, what is known from the fine one, and the blend."""
    rows = read_all(task)

    def told(name: str, seed: int, found: dict) -> dict:
        judged = measure(found, rows, compete=not name.startswith("reference"))
        return {"task": task, "name": name, "seed": seed, **judged}

    for key, found in answers.items():
        if key[0] == task:
            fitted[key] = found.result()
            yield told(*key[1:], fitted[key])
    names = {name for _, name, _ in answers}
    every = range(1, seeds + 1 if set(FINE_PARTS) <= names else 1)
    if task == FINE:
        for seed in every:
            fitted[FINE, "blend", seed] = honest(blend(fitted, seed, seeds), rows["dev"].targets)
            yield told("blend", seed, fitted[FINE, "blend", seed])
        return
    seen = {key[1:]: coarser(found, task, rows) for key, found in fitted.items() if key[0] == FINE}
    for (name, seed), found in seen.items():
        yield told(f"{name}, coarser", seed, found)
    for seed in every:
        own = [fitted[task, "tfidf_bayes", 1], fitted[task, "text_cnn", seed]]
        yield told("blend", seed, mean_of([seen["blend", seed], *own]))


def summary(runs: list[dict]) -> list[dict]:
    """Give mean and spread over the seeds, and times as ratios to the reference."""
    table = []
    for task in TASKS:
        of_task = [run for run in runs if run["task"] == task]
        for name in dict.fromkeys(run["name"] for run in of_task):
            own = [run for run in of_task if run["name"] == name]
            reference = [run for run in of_task if run["name"] == "reference"]
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
    parser.add_argument("--workers", type=int, default=1, help="models fitted at a time")
    parser.add_argument("--write", type=Path, default=RESULTS, help="file of results")
    asked = parser.parse_args()
    if unknown := set(asked.candidates) - set(names):
        parser.error(f"no candidate {min(unknown)!r}; known: {', '.join(names)}")
    runs, fitted = [], {}
    begun = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    tasks = [task for task in TASKS if task in asked.tasks or task == FINE]
    jobs = [job for task in tasks for job in wanted(task, asked.candidates, asked.seeds)]
    with ProcessPoolExecutor(asked.workers, get_context("spawn")) as pool:
        answers = {job: pool.submit(answer, *job) for job in jobs}
        for task in tasks:
            for run in measure_task(task, asked.seeds, answers, fitted):
                runs.append(run)
                shown = ("task", "name", "seed", "macro_f1", "micro_f1", "fit_s", "fit_cpu_s")
                print({key: run[key] for key in shown}, flush=True)
                write_json(asked.write, {"begun": begun, "runs": runs, "table": summary(runs)})
    print(pd.DataFrame(summary(runs)).round(4).to_string(index=False))


if __name__ == "__main__":
    main()
