"""Real public data: published counts, known defects and leaks, through the lab's own door."""

import hashlib

import pandas as pd
import pytest

from mlops_lab.data.catalogue import find_data_set
from mlops_lab.data.contract import check_frame, divide_frame
from mlops_lab.data.data_home import FetchRules, fetch_data_set
from mlops_lab.data.preparation import prepare_frame
from mlops_lab.data.segregation import leakage_report, split_frame
from mlops_lab.data.sources import load_source, load_split
from mlops_lab.data.terms import contract_for
from mlops_lab.foundation.errors import DataProblem

pytestmark = pytest.mark.real_data
OFFLINE = FetchRules(offline=True)
HERE = ("goemotions", "semeval2017_4a", "mds_blitzer", "airline_tweets", "emoevent_es")


@pytest.fixture(scope="module")
def goemotions(real_data):
    return {
        split: load_split("goemotions", split, data_home=real_data, rules=OFFLINE)
        for split in ("train", "dev", "test")
    }


def source_counts(frame):
    return frame["source_label"].str.split(",").explode().value_counts().to_dict()


@pytest.mark.parametrize("name", HERE)
def test_rows_and_labels_are_the_published_ones(real_data, name):
    data_set = find_data_set(name)
    task = next(iter(data_set.tasks))
    frame, facts = load_source(str(real_data / name), rows=10**6, task=task)
    assert facts["splits"] == data_set.rows and facts["kind"] == name
    assert len(frame) == facts["rows"] == sum(data_set.rows.values())
    assert list(frame.columns[:7]) == ["id", "text", "label", "language", "topic", "author", "at"]
    for split, counts in data_set.labels.items():
        assert source_counts(frame[frame["split"] == split]) == counts
    assert set(frame["label"]) == set(data_set.tasks[task]) and frame["label"].notna().all()
    assert frame["language"].eq(data_set.language).all()


def test_goemotions_counts_and_the_32_shared_texts(goemotions):
    assert [len(frame) for frame in goemotions.values()] == [43_410, 5_426, 5_427]
    leaks = leakage_report(goemotions).set_index(["earlier", "later"])
    shared = set(goemotions["train"]["text"]) & set(goemotions["test"]["text"])
    assert leaks.loc[("train", "test"), "distinct_texts"] == len(shared) == 32
    assert leaks.loc[("train", "dev"), "distinct_texts"] == 41
    assert leaks.loc[("train", "test"), "same_normalised_text"] >= 106


def test_goemotions_groups_are_the_published_ones(goemotions):
    every = goemotions["train"]["labels"].str.split("|")
    assert every.explode().value_counts().to_dict() == {
        "joy": 17_410,
        "neutral": 14_219,
        "anger": 5_579,
        "surprise": 5_367,
        "sadness": 3_263,
        "disgust": 793,
        "fear": 726,
    }
    assert (every.str.len() > 1).sum() == 3_855
    rarest = goemotions["train"].loc[goemotions["train"]["labels"] == "fear|joy", "label"]
    assert len(rarest) and set(rarest) == {"fear"}


def test_goemotions_keeps_its_quotes(goemotions):
    quoted = goemotions["train"]["text"].str.match(r'^".*"$')
    assert quoted.sum() > 500 and goemotions["train"]["id"].is_unique


def test_goemotions_through_contract_preparation_and_split(real_data):
    frame, _ = load_source(str(real_data / "goemotions"), rows=12_000, task="emotion")
    kept, quarantine = divide_frame(frame, report := check_frame(frame, contract_for(frame)))
    assert len(kept) + len(quarantine) == report.rows == 12_000
    splits = split_frame(prepare_frame(kept), seed=7)
    leaks = leakage_report(splits)
    assert leaks[["same_text", "same_normalised_text", "distinct_texts"]].to_numpy().sum() == 0


def test_the_broken_emoevent_file_is_noticed_and_put_right(real_data):
    frame, facts = load_source(str(real_data / "emoevent_es"), rows=10**6, task="emotion")
    [defect] = facts["defects"]
    assert defect.startswith("test: row 91 holds the texts of 31 rows")
    assert "label of each row after it belongs to another text" in defect
    assert "30 rows at the end have a label only" in defect
    right = pd.read_parquet(real_data / "emoevent_es" / "test_repaired.parquet")
    test = frame[frame["split"] == "test"].reset_index(drop=True)
    assert list(test["text"]) == list(right["tweet"])
    assert list(test["source_label"]) == list(right["emotion"])
    assert list(test["id"]) == list(right["id"]) and list(test["topic"]) == list(right["event"])


def test_tweets_carry_the_time_of_their_ids(real_data):
    frame, _ = load_source(str(real_data / "semeval2017_4a"), rows=10**6, task="sentiment")
    assert frame["at"].min().year == 2011 and f"{frame['at'].max():%Y-%m}" == "2016-12"
    by_year = frame["at"].dt.year.value_counts().to_dict()
    assert by_year == {2011: 2_154, 2012: 15_073, 2014: 2_476, 2015: 30_631, 2016: 12_284}


def test_a_data_home_that_may_not_be_written_to_is_enough(real_data):
    folder, form = fetch_data_set("goemotions", real_data, rules=OFFLINE)
    assert folder == real_data / "goemotions" and form.reader == "separated"


def test_a_changed_copy_is_refused(real_data, tmp_path):
    folder = tmp_path / "goemotions"
    folder.mkdir()
    for name in ("train.tsv", "dev.tsv", "test.tsv"):
        content = (real_data / "goemotions" / name).read_bytes()
        (folder / name).write_bytes(content.replace(b"\t27\t", b"\t17\t", 1))
    assert hashlib.sha256((folder / "dev.tsv").read_bytes()).hexdigest() != form_digest("dev.tsv")
    with pytest.raises(DataProblem, match="train.tsv is not the published file"):
        load_source(str(folder), task="emotion")


def form_digest(name):
    files = find_data_set("goemotions").forms[0].files
    return next(file.sha256 for file in files if file.name == name)
