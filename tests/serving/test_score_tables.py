"""Scores and feedback as rows of a SQL database."""

import subprocess
import sys

import pytest
from serving_examples import make_record

from mlops_lab.foundation.errors import ServiceProblem
from mlops_lab.serving.score_tables import (
    count_scores,
    feedback_row,
    open_engine,
    read_frame,
    read_score,
    score_row,
    write_rows,
)


@pytest.fixture
def engine(tmp_path):
    engine = open_engine(tmp_path / "scores.db")
    yield engine
    engine.dispose()


def test_a_record_comes_back_whole(engine):
    record = make_record(text="¡qué día! 👍 \n 'quoted'; DROP TABLE scores", caller="team-1")
    write_rows(engine, [score_row(record)])
    found = read_score(engine, record.score_id)
    assert found["text"] == record.text and found["caller"] == "team-1"
    assert found["probabilities"] == {"joy": 0.5, "neutral": 0.3, "sadness": 0.2}
    assert found["feedback"] == [] and read_score(engine, "nothing") is None


def test_a_transaction_is_all_or_nothing(engine):
    twice = make_record()
    with pytest.raises(ValueError, match="UNIQUE"):
        write_rows(engine, [score_row(make_record()), score_row(twice), score_row(twice)])
    assert count_scores(engine) == 0


def test_a_text_no_database_can_hold_is_a_value_error(engine):
    with pytest.raises(ValueError):
        write_rows(engine, [score_row(make_record(text="half a pair \ud800"))])


def test_the_frame_holds_the_newest_feedback_in_time_order(engine):
    days = [f"2026-01-0{day}T00:00:00.000000+00:00" for day in (3, 1, 2)]
    records = [make_record(at=day) for day in days]
    remarks = [feedback_row(records[1].score_id, label, source="a") for label in ("joy", "sadness")]
    write_rows(engine, [score_row(record) for record in records] + remarks)
    frame = read_frame(engine)
    assert frame["at"].tolist() == sorted(days)
    assert frame["true_label"].tolist()[0] == "sadness" and frame["true_label"].isna().sum() == 2
    assert frame["probabilities"][0]["joy"] == 0.5
    assert len(read_frame(engine, since="2026-01-02")) == 2
    assert len(read_frame(engine, limit=1)) == 1
    assert len(read_frame(engine, score_ids=[])) == 0


def test_many_ids_are_read_in_parts(engine):
    records = [make_record() for _ in range(1203)]
    write_rows(engine, [score_row(record) for record in records])
    wanted = [record.score_id for record in records[:1101]]
    assert set(read_frame(engine, score_ids=wanted)["score_id"]) == set(wanted)


def test_two_processes_may_open_a_new_store_at_once(tmp_path):
    code = (
        "import sys; from pathlib import Path; "
        "from mlops_lab.serving.score_tables import open_engine, count_scores; "
        "sys.stdin.readline(); print(count_scores(open_engine(Path(sys.argv[1]))))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "new.db")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen(command, **pipes) for _ in range(4)]
    assert [child.communicate("go\n", timeout=30)[0] for child in children] == ["0\n"] * 4


@pytest.mark.parametrize("content", [b"this is no database, " * 100])
def test_a_file_that_is_no_database_is_named_as_the_problem(tmp_path, content):
    (tmp_path / "notes.txt").write_bytes(content)
    with pytest.raises(ServiceProblem, match="not a database"):
        open_engine(tmp_path / "notes.txt")


def test_a_missing_driver_or_host_is_a_service_problem():
    with pytest.raises(ServiceProblem, match="does not answer"):
        open_engine("nodriver://host/scores")
