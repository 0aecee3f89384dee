"""Measure what a training holds in memory, by the number of rows it learns from.

    python benchmarks/models/streaming.py [CANDIDATE ...] [--rows 50000 200000] [--in-memory 32]

Each candidate learns from world texts in a Parquet file, in a process of its own, for one pass.
Told is the anonymous memory at its highest (what cannot be given back to the disk) above that of
the process with all its libraries, beside what the rows would take as Python objects (the strings,
and the numbers of their features). `--in-memory` says how many MiB of an array may lie in memory;
the lab itself allows 256. Results go to `streaming.json`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_lab.data.mapped_table import map_table
from mlops_lab.data.world import world_frame
from mlops_lab.foundation.records import write_json
from mlops_lab.models import long_arrays
from mlops_lab.models.candidates import make_candidate
from mlops_lab.models.learning import Recipe
from mlops_lab.models.tasks import task_of
from mlops_lab.models.training import take_examples

RESULTS = Path(__file__).with_suffix(".json")
STEP = 10_000


def anonymous_mb() -> float:
    """Read the memory of this process that no file stands behind."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise OSError("/proc/self/status has no RssAnon")


class Watch(threading.Thread):
    """Note the highest memory."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.highest, self.on = anonymous_mb(), True

    def run(self) -> None:
        while self.on:
            self.highest = max(self.highest, anonymous_mb())
            time.sleep(0.02)


def write_rows(path: Path, rows: int) -> None:
    """Write world rows in steps, so that this process holds few of them."""
    writer = None
    for seed in range(0, rows, STEP):
        frame = world_frame(min(STEP, rows - seed), seed=seed + 1)[["text", "label"]]
        table = pa.Table.from_pandas(frame, preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


def learn(candidate: str, folder: Path, in_memory: int) -> dict:
    """Train one candidate and tell what it held."""
    import sklearn.linear_model  # noqa: F401  loaded before the clock and the scales start
    import tensorflow  # noqa: F401

    long_arrays._IN_MEMORY = in_memory * 2**20
    recipe = Recipe(epochs=1, buckets=2**16)
    before, watch = anonymous_mb(), Watch()
    watch.start()
    began = time.perf_counter()
    train, dev = (map_table(folder / f"{name}.parquet") for name in ("train", "dev"))
    examples = take_examples(train, dev, task=task_of("emotion", train))
    learner = make_candidate(candidate, recipe)
    history = learner.fit(*examples)
    took = time.perf_counter() - began
    watch.on = False
    watch.join()
    strings = sum(sys.getsizeof(text) + 8 for text in examples[0].texts)
    first = learner.features.bags(examples[0].texts[:2_000])
    numbers = 8 * len(first.ids) * len(examples[0]) / max(len(first), 1)
    held, whole = watch.highest - before, (strings + numbers) / 2**20
    return {
        "candidate": candidate,
        "rows": len(examples[0]),
        "held_mb": round(held, 1),
        "rows_as_objects_mb": round(whole, 1),
        "held_over_rows": round(held / whole, 3),
        "fit_s": round(took, 1),
        "dev_macro_f1": round(history[-1]["dev_macro_f1"], 4),
    }


def main() -> None:
    """Measure each candidate at each size."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = ["embedding_bag", "text_cnn", "tfidf_logistic"]
    parser.add_argument("candidates", nargs="*", default=names, metavar="CANDIDATE")
    parser.add_argument("--rows", type=int, nargs="*", default=[50_000, 200_000])
    parser.add_argument("--in-memory", type=int, default=32, help="MiB of an array")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(learn(asked.candidates[0], asked.one, asked.in_memory)))
        return
    found = []
    for rows in asked.rows:
        with tempfile.TemporaryDirectory() as name:
            write_rows(Path(name) / "train.parquet", rows)
            write_rows(Path(name) / "dev.parquet", 2_000)
            for candidate in asked.candidates:
                words = [sys.executable, __file__, candidate, "--one", name]
                words += ["--in-memory", str(asked.in_memory)]
                told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
                found.append(json.loads(told.splitlines()[-1]))
                print(found[-1], flush=True)
    write_json(RESULTS, {"in_memory_mb": asked.in_memory, "rows": found})


if __name__ == "__main__":
    main()
