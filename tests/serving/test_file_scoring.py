"""Every row of a file exactly once, whatever happens to the process."""

import os
import random
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from file_job import MODEL, make_job, run
from pyarrow import parquet
from serving_examples import OneModel, call

from mlops_lab.foundation.errors import DataProblem
from mlops_lab.foundation.settings import Settings
from mlops_lab.foundation.whole_files import written_whole
from mlops_lab.serving import file_scoring, job_folder
from mlops_lab.serving.file_scoring import score_file
from mlops_lab.serving.model_source import LoadedModel
from mlops_lab.serving.score_store import ScoreStore
from mlops_lab.serving.service import create_app
from mlops_lab.serving.text_table import open_table

KILLS = int(os.environ.get("FILE_KILLS", "4"))  # the acceptance run took 40
ROWS = 400


def write_rows(path, rows=ROWS):
    texts = [f"{'good' if i % 3 else 'bad'} day {i}" for i in range(rows)]
    texts[7], texts[8] = "", "x" * 101
    pd.DataFrame({"id": range(rows), "text": texts}).to_csv(path, index=False)
    return texts


def check_whole(folder, texts):
    frame = pd.read_parquet(folder / "out.parquet")
    assert frame["id"].tolist() == [str(i) for i in range(len(texts))]
    assert frame["text"].tolist() == texts
    good = frame[frame["problem"] == ""]
    assert len(good) == len(texts) - 2 and frame["predicted"].isna().sum() == 2
    assert good["predicted"].tolist() == MODEL.scorer.score(good["text"].tolist()).top
    store = ScoreStore(folder / "scores.db")
    kept = store.frame(limit=10**6)
    store.close()
    assert sorted(kept["score_id"]) == sorted(good["score_id"])
    by_id = kept.set_index("score_id").loc[good["score_id"]]
    assert by_id["text"].tolist() == good["text"].tolist()
    assert set(kept["caller"]) == {"file"}


def test_a_killed_job_goes_on_and_ends_with_each_row_once(tmp_path):
    texts, chance, whole = write_rows(tmp_path / "in.csv"), random.Random(3), 0
    command = [sys.executable, str(Path(__file__).parent / "file_job.py"), str(tmp_path)]
    for _ in range(KILLS):
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        for _ in range(chance.randint(1, 6)):  # pieces it sees done, old ones too
            child.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.03))
        child.kill()
        child.communicate()
        whole += (tmp_path / "out.parquet").exists()
    report = run(tmp_path)
    assert report.rows == ROWS and report.refused == 2
    assert whole or report.resumed > 0  # some kill came in the middle
    check_whole(tmp_path, texts)
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize("where", ["_with_scores", "finish_piece", "write_pieces", "clear_folder"])
def test_a_job_that_dies_at_the_worst_moments_is_mended_by_the_next(tmp_path, monkeypatch, where):
    texts, seen = write_rows(tmp_path / "in.csv"), []
    real = getattr(file_scoring, where)

    def dies(*args):
        seen.append(args)
        if len(seen) == (1 if where in ("write_pieces", "clear_folder") else 5):
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(file_scoring, where, dies)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert run(tmp_path).resumed > 0
    check_whole(tmp_path, texts)


def test_file_and_service_give_the_same_answers(tmp_path, store):
    texts = write_rows(tmp_path / "in.csv", 40)
    score_file(make_job(tmp_path / "in.csv", tmp_path / "out.csv"), MODEL)
    app = create_app(Settings(service_text_limit=100), OneModel(), store)
    for row, text in zip(pd.read_csv(tmp_path / "out.csv").itertuples(), texts, strict=True):
        told = call(app, "POST", "/score", {"text": text})
        assert (told.status == 422) == isinstance(row.problem, str)
        if told.status == 200:
            assert told.json["label"] == row.predicted
            assert told.json["probabilities"]["joy"] == row.p_joy


def test_memory_does_not_grow_with_the_file(tmp_path):
    peaks = []
    for rows in (1_500, 9_000):
        write_rows(tmp_path / "in.csv", rows)
        job = make_job(tmp_path / "in.csv", tmp_path / f"{rows}.parquet", piece_rows=300)
        tracemalloc.start()
        before = pa.total_allocated_bytes()
        score_file(job, MODEL)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert pa.total_allocated_bytes() - before < 1_000_000
    assert peaks[1] < 1.3 * peaks[0]


def test_parquet_keeps_its_types_and_other_columns(tmp_path):
    source = tmp_path / "in.parquet"
    table = pa.table({"n": [1, 2], "when": [[1, 2], []], "words": pa.array(["good", None])})
    parquet.write_table(table.append_column("k", pa.array(["a", "b"]).dictionary_encode()), source)
    job = make_job(write_plain(tmp_path), tmp_path / "out.parquet")
    job = replace(job, table=open_table(source, "words"))
    report = score_file(job, MODEL)
    made = parquet.read_table(tmp_path / "out.parquet")
    assert (report.scored, report.refused) == (1, 1) and made.column("problem")[1].as_py()
    assert made.select(["n", "when"]).equals(table.select(["n", "when"]))
    with pytest.raises(DataProblem, match="cannot hold these columns"):
        score_file(replace(job, target=tmp_path / "out.csv"), MODEL)
    with pytest.raises(DataProblem, match="column 'n' of in.parquet holds int64"):
        open_table(source, "n")


def write_plain(folder):
    (folder / "plain.csv").write_text("text\ngood\n")
    return folder / "plain.csv"


def test_another_job_on_the_same_file_is_refused_until_told_to_restart(tmp_path, monkeypatch):
    write_rows(tmp_path / "in.csv")
    job = make_job(tmp_path / "in.csv", tmp_path / "out.csv")

    def dies(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(file_scoring, "write_pieces", dies)
        score_file(job, MODEL)
    other = LoadedModel("keywords", "8", "champion", MODEL.scorer)
    with pytest.raises(DataProblem, match="began with version 7, now 8"):
        score_file(job, other)
    with open(tmp_path / "in.csv", "a") as file:
        file.write("400,good\n")
    with pytest.raises(DataProblem, match="--restart"):
        score_file(job, MODEL)
    report = score_file(job, other, restart=True)
    assert (report.rows, report.resumed) == (ROWS + 1, 0)


def test_two_at_once_do_not_mix(tmp_path):
    write_rows(tmp_path / "in.csv")
    job = make_job(tmp_path / "in.csv", tmp_path / "out.csv")
    found = []

    def second(_):
        with pytest.raises(DataProblem, match="another process"):
            score_file(job, MODEL)
        found.append(1)

    score_file(job, MODEL, on_piece=second)
    assert len(found) == ROWS / 20


def test_a_full_disk_leaves_what_is_done(tmp_path, monkeypatch):
    texts, seen = write_rows(tmp_path / "in.csv"), []

    def full(path):
        seen.append(path)
        if len(seen) == 3:
            raise OSError(28, "No space left on device")
        return written_whole(path)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(job_folder, "written_whole", full)
        run(tmp_path)
    assert run(tmp_path).resumed == 40
    check_whole(tmp_path, texts)
