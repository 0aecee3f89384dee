"""Sealed test rows: opened by the evaluator alone, and every visit is on record."""

import pandas as pd
import pytest

from mlops_lab.data.sealing import open_sealed, read_seal, seal_frame, visits
from mlops_lab.data.segregation import split_by_time, split_frame
from mlops_lab.data.world import world_frame
from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.errors import DataProblem, RecordProblem
from mlops_lab.foundation.workspace import find_visits


def test_only_readers_on_the_list_come_in_and_all_are_logged(tmp_path):
    path, test = tmp_path / "test.sealed", split_frame(world_frame(2_000), seed=1)["test"]
    seal = seal_frame(test, path)
    assert read_seal(path) == seal and seal.rows == len(test)
    for reader in ("train", "", "Evaluate", "notebook"):
        with pytest.raises(DataProblem, match="not among its readers"):
            open_sealed(path, reader=reader, reason="curious")
    pd.testing.assert_frame_equal(open_sealed(path, reader="evaluate"), test)
    noted = [(visit.data["reader"], visit.data["granted"]) for visit in visits(path).read()]
    assert noted == [(name, False) for name in ("train", "", "Evaluate", "notebook")] + [
        ("evaluate", True)
    ]


@pytest.mark.parametrize("read", [pd.read_parquet, pd.read_csv, pd.read_json, pd.read_pickle])
def test_no_other_program_reads_rows_by_accident(tmp_path, read):
    path, rows = tmp_path / "test.sealed", world_frame(200)
    seal_frame(rows, path)
    try:
        found = read(path).to_string()
    except Exception:
        found = ""
    assert not any(text in found for text in rows["text"])
    assert rows["text"][0].encode() not in path.read_bytes()


def test_a_lab_keeps_one_log_of_all_visits(tmp_path, lab):
    for name in ("one", "two"):
        seal_frame(world_frame(20), tmp_path / name)
        open_sealed(tmp_path / name, reader="gate", lab=lab)
    with pytest.raises(DataProblem):
        open_sealed(tmp_path / "two", reader="train", lab=lab)
    noted = ChainLog(find_visits(lab))
    assert noted.verify() == 3 and [one.data["granted"] for one in noted.read()][-1] is False
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["one", "two"]


def test_a_visit_that_was_wiped_out_is_noticed(tmp_path):
    path = tmp_path / "test.sealed"
    seal_frame(world_frame(20), path)
    with pytest.raises(DataProblem):
        open_sealed(path, reader="train")
    open_sealed(path, reader="gate")
    assert visits(path).verify() == 2
    log = visits(path).path
    log.write_bytes(log.read_bytes().split(b"\n", 1)[1])
    with pytest.raises(RecordProblem):
        visits(path).verify()


def test_the_past_never_holds_the_future():
    splits = split_by_time(world_frame(3_000))
    ends = [(part["at"].min(), part["at"].max()) for part in splits.values()]
    assert all(end < begin for (_, end), (begin, _) in zip(ends, ends[1:], strict=False))


@pytest.mark.parametrize("group", ["author", "text", "near"])
def test_groups_stay_together(group):
    frame = world_frame(3_000)
    copies = frame.head(200).assign(
        id=lambda rows: rows["id"] + "c",
        author=lambda rows: rows["id"],
        text=lambda rows: rows["text"] + "!",
    )
    both = pd.concat([frame, copies], ignore_index=True)
    splits = split_frame(both, seed=3, group=group)
    place = {row: name for name, part in splits.items() for row in part["id"]}
    apart = sum(place[row] != place[row + "c"] for row in frame["id"].head(200))
    assert apart == 0 if group in ("text", "near") else apart > 20
    with pytest.raises(DataProblem, match="did you mean"):
        split_frame(both, seed=3, group=group + "s")
