"""Score a file slowly in a process of its own, so that a test can kill it half-way."""

import sys
from pathlib import Path

from serving_examples import KeywordScorer

from mlops_lab.serving.file_scoring import FileJob, score_file
from mlops_lab.serving.messages import Limits
from mlops_lab.serving.model_source import LoadedModel
from mlops_lab.serving.score_store import ScoreStore
from mlops_lab.serving.text_table import open_table

MODEL = LoadedModel("keywords", "7", "champion", KeywordScorer())


def make_job(source, target, piece_rows=20):
    limits = Limits(body_bytes=10**6, batch=256, text_chars=100)
    return FileJob(open_table(source), target, limits, caller="file", piece_rows=piece_rows)


def run(folder, on_piece=lambda _: None):
    store = ScoreStore(folder / "scores.db")
    job = make_job(folder / "in.csv", folder / "out.parquet")
    report = score_file(job, MODEL, store=store, on_piece=on_piece)
    store.close()
    return report


if __name__ == "__main__":
    run(Path(sys.argv[1]), on_piece=lambda rows: print(rows, flush=True))
