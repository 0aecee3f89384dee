"""Rows that memory would not hold: the same models from files as from memory."""

from itertools import product

import numpy as np
import pytest
from model_examples import QUICK, make_frame, make_several

from mlops_lab.data.mapped_table import map_table
from mlops_lab.models import bag_model, linear, long_arrays
from mlops_lab.models.candidates import make_candidate
from mlops_lab.models.features import FeatureSettings, fit_features
from mlops_lab.models.learning import read_examples
from mlops_lab.models.tasks import label_space
from mlops_lab.models.text_column import TextColumn


@pytest.fixture
def tiny_memory(monkeypatch):
    """Let no array of more than a kilobyte lie in memory, and count the files instead."""
    files, made = [], long_arrays.tempfile.TemporaryFile

    def counted(**words):
        files.append(made(**words))
        return files[-1]

    monkeypatch.setattr(long_arrays, "_IN_MEMORY", 1_000)
    monkeypatch.setattr(bag_model, "_BLOCK", 2_000)
    monkeypatch.setattr(long_arrays.tempfile, "TemporaryFile", counted)
    return files


def learned(name, frames, *, several):
    column = "labels" if several else "label"
    task = label_space("emotion", frames[0][column], several=several)
    train, dev = (read_examples(frame, task.labels, several=several) for frame in frames)
    candidate = make_candidate(name, QUICK[name])
    candidate.fit(train, dev)
    return candidate.compiled().arrays(), candidate.logits(dev.texts)


@pytest.mark.parametrize("several", [False, True], ids=["one label", "several"])
@pytest.mark.parametrize("name", sorted(QUICK))
def test_a_model_learned_from_files_has_the_same_bits(name, several, tmp_path, request):
    frames = [(make_several if several else make_frame)(rows, rows) for rows in (300, 100)]
    arrays, logits = learned(name, frames, several=several)
    files = request.getfixturevalue("tiny_memory")
    for number, frame in enumerate(frames):
        frame.to_parquet(tmp_path / f"{number}.parquet")
    mapped = [map_table(tmp_path / f"{number}.parquet") for number in range(2)]
    again, from_files = learned(name, mapped, several=several)
    assert len(files) >= 2 and all(file.closed for file in files)
    assert arrays.keys() == again.keys()
    assert all(np.array_equal(arrays[key], again[key]) for key in arrays)
    assert np.array_equal(logits, from_files)


def test_texts_of_a_mapped_table_are_not_copied(tmp_path):
    make_frame(300, 1).to_parquet(tmp_path / "rows.parquet")
    frame = map_table(tmp_path / "rows.parquet")
    examples = read_examples(frame, ("anger", "joy", "sadness"))
    assert isinstance(examples.texts, TextColumn)
    letters = [chunk.buffers()[2] for chunk in examples.texts.column.chunks]
    kept = [chunk.buffers()[2] for chunk in frame["text"].array.__arrow_array__().chunks]
    assert [one.address for one in letters] == [one.address for one in kept]


def test_many_rows_of_several_labels_learn_without_copies(monkeypatch):
    frames = [make_several(rows, rows) for rows in (300, 100)]
    usual, logits = learned("tfidf_logistic", frames, several=True)
    monkeypatch.setattr(linear, "_MANY", 10)
    other, close = learned("tfidf_logistic", frames, several=True)
    assert usual.keys() == other.keys() and not np.array_equal(usual["table"], other["table"])
    assert ((logits > 0) == (close > 0)).mean() > 0.97, "another solver, the same model"


def test_what_occurred_once_is_forgotten_where_there_is_too_much(monkeypatch):
    from mlops_lab.models import features

    words = ("".join(pair) for pair in product("abcdefghijklmnopqrstuvwxyz", repeat=2))
    texts = [f"always often{i % 7} once{word}x" for i, word in enumerate(words)]
    kinds = FeatureSettings(ordered=True, minimum_texts=2)
    whole = fit_features(texts, kinds).vocabulary
    monkeypatch.setattr(features, "_COUNTED", 60)
    assert fit_features(texts, kinds).vocabulary == whole
