"""The score store on a real PostgreSQL server: kills, erasure, masking, retention."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from canary_examples import PROGRAM
from load_examples import kill_under_load
from postgres_server import running_postgres
from serving_examples import OLD_NAMES, OLD_TABLE, make_record

from mlops_lab.foundation.settings import Settings
from mlops_lab.foundation.text_rules import PERSONAL_RULES, make_cleaner
from mlops_lab.serving.launcher import running_service
from mlops_lab.serving.score_erasure import Wish, erase_scores
from mlops_lab.serving.score_record import new_score_id
from mlops_lab.serving.score_store import ScoreStore

KILLS = int(os.environ.get("KILLS", "3"))
SECRET, PERSON, OTHERS = "zebra-canyon-42", "Ximena Quispe", "harmless-orchid"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("postgres")
    with running_postgres(folder) as address:
        yield address, folder / "data"


@pytest.fixture
def scores(server):
    """The address of an empty database on the server, and the server's own."""
    name = f"scores_{time.time_ns()}"
    with psycopg.connect(server[0], autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    plain = server[0].removesuffix("postgres") + name
    return plain.replace("postgresql:", "postgresql+psycopg:"), plain


@pytest.fixture
def lab(tmp_path, scores):
    own = Settings(project=tmp_path, workspace=tmp_path / ".lab")
    return replace(own, score_store_address=scores[0])


def table_files(address, data):
    """Every file of a database's tables and indexes, after all is written to them."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        (number,) = connection.execute(
            "SELECT oid FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    return [path for path in (data / "base" / str(number)).iterdir() if path.is_file()]


def files_with(address, data, *words):
    marks = [word.encode() for word in words]
    files = table_files(address, data)
    return [path.name for path in files if any(mark in path.read_bytes() for mark in marks)]


def test_a_killed_service_loses_no_acknowledged_score(lab, bundle):
    acknowledged = kill_under_load(lab, bundle, KILLS)
    store = ScoreStore(lab.score_store_address)
    stored = store.frame(limit=10**7)["score_id"]
    store.close()
    assert len(acknowledged) == len(set(acknowledged)) > 3 * KILLS
    assert stored.is_unique and set(acknowledged) <= set(stored)


def test_a_persons_rows_go_while_the_service_goes_on(lab, bundle, server, scores):
    told = []
    with running_service(lab, bundle=bundle, program=PROGRAM) as client:
        for i in range(60):
            caller, mark = (PERSON, SECRET) if i % 2 else ("someone else", OTHERS)
            told.append(client.score(f"{mark} {'long ' * i}{i}", caller=caller))
            client.feedback(told[-1]["score_id"], "joy", source=PERSON)
        assert files_with(scores[1], server[1], SECRET, PERSON)
        gone = erase_scores(lab, Wish(caller=PERSON), by="Cy", reason="request 12")
        assert files_with(scores[1], server[1], SECRET, PERSON) == []
        assert client.score("good", caller="someone else")["label"] == "joy"
        assert client.read(told[0]["score_id"])["feedback"][0]["source"] == "erased"
    assert gone["scores"] == 30 and gone["remarks"] == 30  # the other remarks went with the scores
    store = ScoreStore(lab.score_store_address)
    frame = store.frame()
    store.close()
    assert len(frame) == 31 and not frame["caller"].eq(PERSON).any()


def test_masked_texts_are_stored_masked(scores, server):
    store = ScoreStore(scores[0], mask=make_cleaner(PERSONAL_RULES))
    one = make_record(score_id=new_score_id(), text="ask ximena@example.org or @ximena")
    store.save([one])
    assert store.read(one.score_id)["text"] == "ask <email> or <user>"
    store.close()
    assert files_with(scores[1], server[1], "ximena") == []


def test_a_database_of_before_gets_what_it_lacks_when_it_is_opened(scores):
    address, plain = scores
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(OLD_TABLE)
        old = make_record()
        marks = ", ".join(["%s"] * len(OLD_NAMES))
        values = [getattr(old, name) for name in OLD_NAMES]
        connection.execute(f"INSERT INTO scores ({', '.join(OLD_NAMES)}) VALUES ({marks})", values)
    with ThreadPoolExecutor(4) as together:
        stores = list(together.map(ScoreStore, [address] * 4))
    stores[0].save([new := make_record(label="joy", labels="joy|love")])
    assert stores[1].read(new.score_id)["labels"] == ["joy", "love"]
    assert "labels" not in stores[2].read(old.score_id)
    assert stores[3].frame()["labels"].dropna().tolist() == ["joy|love"]
    for store in stores:
        store.close()
