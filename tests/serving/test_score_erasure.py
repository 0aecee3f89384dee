"""The drill: a person asks to be forgotten, and no byte of theirs is left."""

import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from canary_examples import trying, wait_for
from file_job import MODEL, make_job
from serving_examples import make_record

from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.errors import ServiceProblem
from mlops_lab.foundation.text_rules import PERSONAL_RULES, make_cleaner
from mlops_lab.foundation.workspace import find_erasures, find_trial_state, open_workspace
from mlops_lab.serving.file_scoring import score_file
from mlops_lab.serving.score_erasure import Wish, erase_scores, expire_scores
from mlops_lab.serving.score_exports import export_scores, note_export
from mlops_lab.serving.score_record import copy_id, new_score_id
from mlops_lab.serving.score_store import ScoreStore

SECRET = "zebra-canyon-42"  # in every text of the person, and nowhere else
PERSON = "Ximena Quispe"
OTHERS = "harmless-orchid"


def files_with(folder, *words):
    """Every file of a folder whose bytes hold one of the words."""
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    return [path.name for path in paths if any(w.encode() in path.read_bytes() for w in words)]


def rows_of(caller, mark, count):
    texts = [f"{mark} {'long ' * (i % 60)}{i}" for i in range(count)]
    return [make_record(score_id=new_score_id(), caller=caller, text=text) for text in texts]


def export_all(settings, folder):
    for name in ("all.parquet", "all.csv"):
        export_scores(settings, folder / name)
    frame = pd.read_parquet(folder / "all.parquet")
    return frame["caller"].value_counts().to_dict()


def test_no_byte_of_a_person_is_left_while_the_service_goes_on(settings, trials, add, tmp_path):
    add("first"), add("second")
    lab, told = open_workspace(settings), []
    with trying(settings, trials, share=0.5, copies_per_s=1000, labels=10**9) as client:
        for i in range(120):
            caller, mark = (PERSON, SECRET) if i % 2 else ("someone else", OTHERS)
            told.append(client.score([f"{mark} {'long ' * i}{i}"], caller=caller))
            client.feedback(told[-1]["scores"][0]["score_id"], "joy", source=PERSON)
        client.score([f"{SECRET} by nobody"])  # the text itself tells such callers apart
        lost = told[1]["scores"][0]["score_id"]
        wait_for(lambda: find_trial_state(lab).exists())
        assert export_all(settings, tmp_path)[PERSON] == 60
        assert {"scores.db", "all.csv"} <= set(files_with(tmp_path, SECRET, PERSON)) | {"scores.db"}
        assert files_with(tmp_path, SECRET)
        gone = erase_scores(settings, Wish(caller=PERSON), by="Cy", reason="request 12")
        nobody = erase_scores(
            settings,
            Wish(score_ids=tuple(rows_with(lab, SECRET))),
            by="Cy",
            reason="request 13",
        )
        assert files_with(tmp_path, SECRET, PERSON) == []
        with pytest.raises(ServiceProblem, match="no score"):
            client.read(lost)
        assert client.score(["good"], caller="someone else")["scores"]
        kept = told[0]["scores"][0]["score_id"]
        assert client.read(kept)["feedback"][0]["source"] == "erased"
    assert gone["scores"] >= 60 and gone["remarks"] == 60 and nobody["scores"] >= 1
    assert files_with(tmp_path, SECRET, PERSON) == []  # nothing was written back at the end
    assert pd.read_parquet(tmp_path / "all.parquet")["caller"].eq("someone else").sum() == 60
    log = ChainLog(find_erasures(lab))
    assert log.verify() == 6 and log.last().data["by"] == "Cy"


def rows_with(lab, mark):
    with sqlite3.connect(lab.score_store) as database:
        found = database.execute("SELECT score_id FROM scores WHERE text LIKE ?", (f"%{mark}%",))
        ids = [score_id for (score_id,) in found]
    database.close()
    return ids


def test_a_plain_delete_would_have_left_bytes(tmp_path):
    """What the drill looks for is really there when rows are only deleted."""
    store = ScoreStore(tmp_path / "scores.db")
    store.save(rows_of(PERSON, SECRET, 50))
    with sqlite3.connect(tmp_path / "scores.db") as database:
        database.execute("DELETE FROM scores")
    database.close()
    assert files_with(tmp_path, SECRET)
    store.close()


def test_kept_scores_of_files_go_too(settings, tmp_path):
    lab = open_workspace(settings).create()
    store = ScoreStore(lab.score_store)
    for name in ("done", "half"):
        texts = [f"{SECRET} good {i}" for i in range(60)]
        pd.DataFrame({"text": texts}).to_csv(tmp_path / "in.csv", index=False)
        job = replace(make_job(tmp_path / "in.csv", tmp_path / f"{name}.csv"), caller=PERSON)
        note_export(lab, job.target)

        def stop(rows, name=name):
            if name == "half" and rows == 40:
                raise KeyboardInterrupt

        try:
            score_file(job, MODEL, store=store, on_piece=stop)
        except KeyboardInterrupt:
            assert (tmp_path / ".half.csv.parts").is_dir()
    (tmp_path / "in.csv").unlink()  # the person's own file is not the lab's to erase
    told = erase_scores(settings, Wish(caller=PERSON), by="Cy", reason="request 14")
    assert (told["scores"], told["files"], told["left"]) == (100, 2, [])
    store.close()
    assert files_with(tmp_path, SECRET, PERSON) == []


def test_what_is_too_old_goes_and_the_rest_stays_byte_for_byte(settings, tmp_path):
    lab = open_workspace(settings).create()
    store = ScoreStore(lab.score_store)
    old = [one._replace(at="2020-01-01T00:00:00.000000+00:00") for one in rows_of("a", SECRET, 30)]
    new = [
        one._replace(at="2999-01-01T00:00:00.000000+00:00") for one in rows_of("b", OTHERS, 2_500)
    ]
    store.save(old + new)
    store.add_feedback(new[0].score_id, "neutral")
    before = store.frame(since="2900")
    kept = replace(settings, score_keep_days=30)
    assert expire_scores(kept, by="Cy")["scores"] == 30
    assert files_with(tmp_path, SECRET) == []
    pd.testing.assert_frame_equal(store.frame(), before)
    store.close()


def test_a_copy_that_cannot_be_looked_at_is_named(settings, tmp_path):
    store = ScoreStore(open_workspace(settings).create().score_store)
    store.save(rows_of(PERSON, SECRET, 3))
    export_scores(settings, tmp_path / "all.parquet")
    (tmp_path / "all.parquet").write_bytes(b"PAR1 broken")
    told = erase_scores(settings, Wish(caller=PERSON), by="Cy", reason="request 15")
    assert told["left"] == [str((tmp_path / "all.parquet").resolve())] and told["scores"] == 3
    store.close()


def test_a_copy_of_a_score_goes_with_it(settings):
    store = ScoreStore(open_workspace(settings).create().score_store)
    one = rows_of(PERSON, SECRET, 1)[0]
    store.save([one, one._replace(score_id=copy_id(one.score_id), variant="shadow")])
    told = erase_scores(settings, Wish(score_ids=(one.score_id,)), by="Cy", reason="16")
    assert told["scores"] == 2 and store.count() == 0
    store.close()


def test_a_reader_that_never_pauses_is_told(settings, monkeypatch):
    monkeypatch.setattr("mlops_lab.serving.score_erasure._CLEAN_WAIT_S", 0.3)
    lab = open_workspace(settings).create()
    store = ScoreStore(lab.score_store)
    store.save(rows_of(PERSON, SECRET, 3))
    reader = sqlite3.connect(lab.score_store)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM scores").fetchone()
    with pytest.raises(ServiceProblem, match="score store"):
        erase_scores(settings, Wish(caller=PERSON), by="Cy", reason="17")
    reader.close()
    assert erase_scores(settings, Wish(caller=PERSON), by="Cy", reason="17")["scores"] == 0
    assert files_with(lab.root, SECRET) == []
    store.close()


def test_exports_go_through_many_pages_in_order(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("mlops_lab.serving.score_exports._PAGE_ROWS", 7)
    store = ScoreStore(open_workspace(settings).create().score_store)
    rows = rows_of("a", OTHERS, 50)
    store.save(rows)
    for label in ("joy", "sadness"):
        store.add_feedback(rows[3].score_id, label)
    export_scores(settings, tmp_path / "all.parquet")
    made = pd.read_parquet(tmp_path / "all.parquet")
    pd.testing.assert_series_equal(made["score_id"], store.frame()["score_id"], check_dtype=False)
    assert made["true_label"].dropna().tolist() == ["sadness"]
    store.close()


def test_masked_texts_are_stored_masked(tmp_path):
    store = ScoreStore(tmp_path / "scores.db", mask=make_cleaner(PERSONAL_RULES))
    one = make_record(text="ask ximena@example.org or @ximena")
    threading.Thread(target=store.save, args=([one],)).start()
    wait_for(lambda: store.count() == 1)
    assert store.read(one.score_id)["text"] == "ask <email> or <user>"
    store.close()
    assert files_with(tmp_path, "ximena") == []
