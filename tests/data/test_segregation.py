"""Splits: stable, complete, without a shared author."""

import numpy as np
import pandas as pd
import pytest

from mlops_lab.data.preparation import prepare_frame
from mlops_lab.data.segregation import (
    SHARES,
    leakage_report,
    normalised_text,
    split_frame,
    split_table,
)
from mlops_lab.data.world import world_frame
from mlops_lab.foundation.errors import DataProblem

FRAME = prepare_frame(world_frame(6_000, seed=2))


def ids(splits):
    return {name: set(part["id"]) for name, part in splits.items()}


def test_splits_are_complete_and_near_their_shares():
    splits = split_frame(FRAME, seed=7)
    assert list(splits) == list(SHARES)
    assert sorted(sum((list(part["id"]) for part in splits.values()), [])) == sorted(FRAME["id"])
    for name, share in SHARES.items():
        assert abs(len(splits[name]) / len(FRAME) - share) < 0.04
        assert splits[name].index.tolist() == list(range(len(splits[name])))


def test_a_split_is_known_for_ever():
    counts = [len(part) for part in split_frame(FRAME, seed=7).values()]
    assert counts == [4291, 550, 536, 623]


def test_rows_do_not_move_when_others_come_or_go():
    splits = ids(split_frame(FRAME, seed=7))
    fewer = ids(split_frame(FRAME.sample(frac=0.6, random_state=3), seed=7))
    assert all(fewer[name] <= splits[name] for name in SHARES)
    assert ids(split_frame(FRAME, seed=8)) != splits


@pytest.mark.parametrize("seed", range(6))
def test_no_author_is_in_two_splits(seed):
    splits = split_frame(FRAME, seed=seed)
    authors = [set(part["author"]) for part in splits.values()]
    assert sum(map(len, authors)) == len(set().union(*authors))
    assert leakage_report(splits)["same_author"].sum() == 0


def test_planted_leaks_are_counted():
    splits = split_frame(FRAME, seed=7)
    clean = leakage_report(splits).set_index(["earlier", "later"])
    stolen = splits["train"].head(5).copy()
    stolen["text"] = stolen["text"].str.upper() + " !!!"
    stolen["author"] = "somebody else"
    splits["holdout"] = pd.concat([splits["holdout"], stolen])
    found = leakage_report(splits).set_index(["earlier", "later"])
    pair, other = ("train", "holdout"), ("dev", "test")
    gain = found.loc[pair, "same_normalised_text"] - clean.loc[pair, "same_normalised_text"]
    assert gain == 5 and found.loc[pair, "same_text"] == clean.loc[pair, "same_text"]
    assert found.loc[pair, "same_author"] == 0
    assert found.loc[other].to_dict() == clean.loc[other].to_dict()
    assert len(found) == 6


def test_own_rows_without_authors_keep_equal_texts_together():
    texts = [f"message {n % 150}" for n in range(600)]
    own = pd.DataFrame({"id": [str(n) for n in range(600)], "text": texts})
    own["author"], own["label"] = own["id"], np.where(np.arange(600) % 3, "a", "b")
    report = leakage_report(split_frame(own, seed=1))
    assert report["same_text"].sum() == 0 and report["same_normalised_text"].sum() == 0


def test_small_or_lopsided_data_is_refused_with_a_remedy():
    with pytest.raises(DataProblem, match="split is empty") as caught:
        split_frame(FRAME.head(3), seed=7)
    assert "bring more" in caught.value.remedy
    one_author = FRAME.assign(author="only me")
    with pytest.raises(DataProblem, match="1 authors"):
        split_frame(one_author, seed=7)
    rare = FRAME.copy()
    outside = split_frame(FRAME, seed=7)["test"]["id"][0]
    rare.loc[rare["id"] == outside, "label"] = "rare"
    with pytest.raises(DataProblem, match="labelled 'rare'"):
        split_frame(rare, seed=7)
    with pytest.raises(DataProblem, match="no rows"):
        split_frame(FRAME.head(0), seed=7)


@pytest.mark.parametrize(
    "shares", [{"train": 0.5, "test": 0.6}, {"dev": 1.0}, {"train": 1.2, "dev": -0.2}]
)
def test_shares_must_make_sense(shares):
    with pytest.raises(ValueError, match="sum to 1"):
        split_frame(FRAME, seed=7, shares=shares)


def test_normalised_text_keeps_letters_of_all_alphabets():
    given = pd.Series(["¡Ñandú, SÍ!", "Привет...", "😀😀", "a_b"], index=[3, 1, 4, 7])
    assert normalised_text(given).to_dict() == {3: "ñandú sí", 1: "привет", 4: "😀😀", 7: "a b"}


def test_the_table_adds_up():
    table = split_table(split_frame(FRAME, seed=7))
    assert table["rows"].sum() == len(FRAME) and table["share"].sum() == pytest.approx(1)
    assert (table["labels"] == 7).all() and table["authors"].sum() == FRAME["author"].nunique()
