"""Measure the data area beside plain pandas, plain SQLite and an estimate of its own ceiling.

    python benchmarks/data/run.py [PART ...] [--rows N] [--keep FILE]

Parts: contract, features, leakage, world. Each ratio is taken in one process and one run, both
sides in turns. `world` generates N rows (one million) in a process of its own: some minutes. With
`--keep` the parts measured replace those in a results file; each part carries the load it met.
"""

import argparse
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from mlops_lab.data.contract import check_frame
from mlops_lab.data.feature_store import FeatureStore
from mlops_lab.data.feature_view import author_activity, compute_features
from mlops_lab.data.segregation import leakage_report, split_frame
from mlops_lab.data.terms import infer_contract
from mlops_lab.data.world import generate_world, world_frame
from mlops_lab.data.world_posterior import ceiling

ROUNDS = 15


def seconds(work: Callable[[], object]) -> float:
    """Give the seconds a piece of work takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def in_turns(**works: Callable[[], object]) -> tuple[dict[str, list], dict[str, list]]:
    """Time several pieces of work in turns; give wall and processor seconds of each round."""
    wall, processor = {name: [] for name in works}, {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            begin = time.process_time()
            wall[name].append(seconds(work))
            processor[name].append(time.process_time() - begin)
    return wall, processor


def ratio(one: list[float], other: list[float]) -> float:
    """Give the median of the ratios of pairs that were measured one after the other."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def measure_contract(folder: Path, rows: int = 100_000) -> dict:
    """Check a contract with every rule, beside reading the same rows with pandas."""
    frame = world_frame(rows, seed=3).sort_values("at", ignore_index=True)
    frame.to_csv(folder / "rows.csv", index=False)
    frame.to_parquet(folder / "rows.parquet", index=False)
    terms = infer_contract(frame, freshest_days=30)
    as_of = str(frame["at"].max())
    found, processor = in_turns(
        check=lambda: check_frame(frame, terms, as_of=as_of),
        read_csv=lambda: pd.read_csv(folder / "rows.csv"),
        read_parquet=lambda: pd.read_parquet(folder / "rows.parquet"),
    )
    readers = ("read_csv", "read_parquet")
    ratios = {name: ratio(found["check"], found[name]) for name in readers}
    ratios |= {f"{name}_cpu": ratio(processor["check"], processor[name]) for name in readers}
    pairs = zip(found["check"], found["read_csv"], strict=True)
    ratios["read_csv_p90"] = float(np.percentile([one / other for one, other in pairs], 90))
    least = {name: min(took) for name, took in found.items()}
    ratios["read_csv_least"] = least["check"] / least["read_csv"]
    seconds_each = {name: statistics.median(took) for name, took in found.items()}
    return {"rows": rows, "rounds": ROUNDS, "seconds": seconds_each, "check_over": ratios}


def measure_leakage(folder: Path, rows: int = 100_000) -> dict:
    """Report all leaks between four splits, near texts included."""
    splits = split_frame(world_frame(rows, seed=3), seed=7)
    taken = statistics.median(seconds(lambda: leakage_report(splits)) for _ in range(3))
    return {"rows": rows, "pairs": 6, "seconds": taken}


def measure_features(folder: Path, rows: int = 30_000, calls: int = 30_000) -> dict:
    """Get features one by one, beside the bare SELECT on the same file, in turns call by call."""
    view = author_activity()
    table = compute_features(view, world_frame(rows, seed=3))
    store = FeatureStore(folder / "features.db", view)
    store.materialise(table)
    columns = ", ".join(f'"{name}"' for name in view.features)
    query = f'SELECT {columns} FROM "{view.name}" WHERE entity = ?'
    bare = sqlite3.connect(folder / "features.db")
    known = table["entity"].unique()
    entities = np.random.default_rng(1).choice(known, calls).tolist()
    taken = {"get": [], "select": []}

    def time_select(entity: str) -> None:
        begin = time.perf_counter_ns()
        bare.execute(query, (entity,)).fetchone()
        taken["select"].append(time.perf_counter_ns() - begin)

    def time_get(entity: str) -> None:
        begin = time.perf_counter_ns()
        store.get(entity)
        taken["get"].append(time.perf_counter_ns() - begin)

    for number, entity in enumerate(entities):
        # whoever comes first finds the row cold, so both come first as often
        for measure in (time_select, time_get) if number % 2 else (time_get, time_select):
            measure(entity)
    bare.close()
    store.close()
    shares = (50, 99)
    us = {
        name: {f"p{q}": float(np.percentile(t, q)) / 1e3 for q in shares}
        for name, t in taken.items()
    }
    ratios = {f"p{q}": us["get"][f"p{q}"] / us["select"][f"p{q}"] for q in shares}
    return {"entities": len(known), "calls": calls, "us": us, "get_over_select": ratios}


CHILD = """
import json, pathlib, re, sys, time
from mlops_lab.data.world import generate_world

def peak_mib():  # of this process; ru_maxrss would begin with what its parent had
    told = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", told)[1]) / 1024

before = peak_mib()
begin, rows, letters = time.perf_counter(), 0, 0
for frame in generate_world(int(sys.argv[1])):
    rows += len(frame)
    letters += int(frame["text"].str.len().sum())
taken = time.perf_counter() - begin
print(json.dumps({"rows": rows, "rows_per_s": rows / taken, "peak_mib": peak_mib(),
                  "imports_mib": before, "characters": letters}))
"""


def _macro_f1(truth: np.ndarray, given: np.ndarray) -> float:
    """Give the mean F1 of all labels."""
    scores = []
    for label in np.unique(truth):
        hit = np.sum((truth == label) & (given == label))
        scores.append(2 * hit / (np.sum(truth == label) + np.sum(given == label)))
    return float(np.mean(scores))


def _count_ceiling(frame: pd.DataFrame) -> dict:
    """Estimate the ceiling from drawn labels: answer as the posterior says, and count."""
    names = [name for name in frame if name.startswith("posterior_")]
    labels = np.array([name.removeprefix("posterior_") for name in names])
    chances = frame[names].to_numpy()
    best = labels[chances.argmax(axis=1)]
    truth = frame["label"].to_numpy(dtype=object)
    # calibration: of the labels a posterior calls 70 % likely, 70 % must be true
    own = chances[np.arange(len(frame)), np.searchsorted(labels, truth.astype(str))]
    gaps = []
    for place, label in enumerate(labels):
        for low in np.arange(0, 1, 0.1):
            inside = (chances[:, place] >= low) & (chances[:, place] < low + 0.1)
            if inside.sum() > 500:
                gaps.append(abs((truth[inside] == label).mean() - chances[inside, place].mean()))
    return {
        "accuracy": float((best == truth).mean()),
        "macro_f1": _macro_f1(truth, best),
        "log_loss": float(-np.log(np.maximum(own, 1e-12)).mean()),
        "largest_calibration_gap": float(max(gaps)),
    }


def _difficulty(language: str) -> dict:
    """Score TF-IDF with logistic regression, and a lexicon of telling words, on one language."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    from mlops_lab.data.findings import telling_words

    both = world_frame(60_000, seed=3)
    frame = both[both["language"] == language].head(25_000).reset_index(drop=True)
    train, test = frame.head(20_000), frame.tail(len(frame) - 20_000)
    grams = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    model = LogisticRegression(max_iter=200, C=4.0)
    model.fit(grams.fit_transform(train["text"]), train["label"])
    given = model.predict(grams.transform(test["text"]))
    truth = test["label"].to_numpy(dtype=object)
    lexicon = telling_words(train, each=20).set_index("word")["label"].to_dict()
    common = train["label"].mode()[0]

    def look_up(text: str) -> str:
        votes = [lexicon[word] for word in text.lower().split() if word in lexicon]
        return max(set(votes), key=lambda label: (votes.count(label), label)) if votes else common

    looked = np.array([look_up(text) for text in test["text"]], dtype=object)
    return {
        "train_rows": len(train),
        "test_rows": len(test),
        "tfidf_macro_f1": _macro_f1(truth, given),
        "lexicon_macro_f1": _macro_f1(truth, looked),
        "ceiling_macro_f1": ceiling(test).macro_f1,
    }


def measure_world(folder: Path, rows: int = 1_000_000) -> dict:
    """Generate a stream in a process of its own, confirm the ceiling, and score plain models."""
    ran = subprocess.run(
        [sys.executable, "-c", CHILD, str(rows)], capture_output=True, text=True, check=True
    )
    frame = pd.concat(generate_world(100_000, seed=9), ignore_index=True)
    plain = frame["text"].str.lower().str.replace(r"\W+", " ", regex=True)
    computed = ceiling(frame)
    return {
        "stream": json.loads(ran.stdout),
        "distinct_normalised_texts": float(plain.nunique() / len(plain)),
        "ceiling_computed": {"accuracy": computed.accuracy, "macro_f1": computed.macro_f1},
        "ceiling_counted": _count_ceiling(frame),
        "difficulty": {language: _difficulty(language) for language in ("en", "es")},
    }


PARTS = {
    "contract": measure_contract,
    "features": measure_features,
    "leakage": measure_leakage,
    "world": measure_world,
}


def rounded(value: object) -> object:
    """Give numbers four digits, however deep they are."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def main() -> None:
    """Measure the parts asked for, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the world")
    parser.add_argument("--keep", type=Path, help="file to keep the results in")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no part {min(unknown)!r}; known: {', '.join(PARTS)}")
    kept = asked.keep and asked.keep.is_file()
    told = json.loads(asked.keep.read_text()) if kept else {}
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.parts or PARTS:
            more = {"rows": asked.rows} if name == "world" else {}
            before = os.getloadavg()[0]
            found = PARTS[name](Path(folder), **more)
            load = {"load_before": round(before, 2), "load_after": round(os.getloadavg()[0], 2)}
            told[name] = found | load
    told["machine"] = {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in ("pandas", "numpy", "pyarrow", "scikit-learn")},
    }
    text = json.dumps(rounded(told), indent=1)
    if asked.keep:
        asked.keep.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
