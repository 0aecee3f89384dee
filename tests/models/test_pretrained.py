"""A published encoder is read from its files, learned from, and kept whole in the bundle."""

import json
from dataclasses import replace

import numpy as np
import pytest
from encoder_examples import CONFIG, make_encoder
from model_examples import make_frame, make_several

from mlops_lab.foundation.errors import ModelProblem
from mlops_lab.foundation.records import digest_folder
from mlops_lab.models import pretrained
from mlops_lab.models.bundle import save_bundle
from mlops_lab.models.candidates import make_candidate, usual_recipe
from mlops_lab.models.encoder_files import read_encoder
from mlops_lab.models.learning import read_examples
from mlops_lab.models.passes import Checkpoint
from mlops_lab.models.scorer import check_alone, load_scorer
from mlops_lab.models.tasks import label_space, task_of
from mlops_lab.models.training import train_candidate, write_bundle
from mlops_lab.models.word_pieces import PieceFeatures

# What transformers 4.57.6 (TFBertModel, mean over all pieces) makes of the same files; the first
# four numbers of each text. Made by `benchmarks/models/encoder_reference.py`.
REFERENCE = {
    "The lecture was GREAT!": [-0.390177, -0.396963, 0.008603, -0.03607],
    "La clase me encantá, un poco triste.": [-0.308036, -0.370951, 0.324028, 0.147301],
    "": [-0.324087, -0.833853, 0.187432, 0.086419],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return make_encoder(tmp_path_factory.mktemp("encoders") / "tiny")


@pytest.fixture(scope="module")
def recipe(home):
    return replace(usual_recipe("pretrained", encoder=str(home)), strength=1.0)


@pytest.fixture(scope="module")
def trained(recipe):
    frames = make_frame(600, 1), make_frame(200, 2)
    task = label_space("emotion", frames[0]["label"])
    return train_candidate("pretrained", frames[0], dev=frames[1], task=task, recipe=recipe)


def test_an_encoder_gives_what_its_authors_library_gives(home):
    published = read_encoder(home)
    found = pretrained.encoded(published.encoder, published.features.bags(REFERENCE))
    assert np.abs(found[:, :4] - list(REFERENCE.values())).max() < 1e-5


def test_it_learns_and_is_kept_whole(trained, home, tmp_path):
    assert trained.metrics["dev_macro_f1"] > 0.8
    folder = write_bundle(trained, tmp_path / "model")
    scorer, texts = load_scorer(folder), [*make_frame(50, 9)["text"], "", "😍", "love " * 500]
    found = scorer.score(texts)
    assert np.array_equal(found.probabilities, trained.scorer.score(texts).probabilities)
    assert np.isfinite(found.probabilities).all()
    assert check_alone(folder)["passed"]
    card = json.loads((folder / "card.json").read_text())
    assert card["recipe"]["encoder"] == card["encoder"]["name"] == "tiny"
    assert card["encoder"]["digest"] == read_encoder(home).digest
    assert str(home.parent) not in (folder / "card.json").read_text()
    assert list(scorer.explain("i love the exam", "joy"))[0] in ("love", "exam", "the", "i")


@pytest.mark.parametrize("longest", [1, 0, -3, 10_000, "128"])
def test_an_encoder_with_fewer_places_than_pieces_is_refused(trained, tmp_path, longest):
    features = trained.bundle.features
    rules = replace(features.rules, longest=longest)
    forged = replace(trained.bundle, features=PieceFeatures(features.vocabulary, rules))
    with pytest.raises(ModelProblem, match=f"read {longest!r} words of a text"):
        load_scorer(save_bundle(forged, tmp_path / "model"))


def test_another_folder_with_the_same_files_gives_the_same_bundle(trained, recipe, tmp_path):
    again = make_encoder(tmp_path / "there" / "tiny")
    frames = make_frame(600, 1), make_frame(200, 2)
    task, moved = label_space("emotion", frames[0]["label"]), replace(recipe, encoder=str(again))
    other = train_candidate("pretrained", frames[0], dev=frames[1], task=task, recipe=moved)
    digests = {
        digest_folder(write_bundle(one, tmp_path / name))
        for name, one in (("a", trained), ("b", other))
    }
    assert len(digests) == 1


@pytest.mark.parametrize("kind", ["several", "two"])
def test_several_labels_and_two_labels(kind, recipe, tmp_path):
    make = make_several if kind == "several" else make_frame
    frames = [make(300, 1), make(120, 2)]
    if kind == "two":
        frames = [frame[frame["label"] != "sadness"] for frame in frames]
    task = task_of("several" if kind == "several" else "emotion", frames[0])
    trained = train_candidate("pretrained", frames[0], dev=frames[1], task=task, recipe=recipe)
    scorer = load_scorer(write_bundle(trained, tmp_path / "model"))
    assert scorer.score(["love"]).probabilities.shape == (1, len(task.labels))
    assert trained.metrics["dev_macro_f1"] > 0.6
    learner, texts = trained.learner, [*frames[1]["text"], ""]
    compiled = learner.compiled().probabilities(learner.features.bags(texts))
    assert np.abs(compiled - learner.predict(texts)).max() < 1e-5


class Stopped(Exception):
    """Stands for a kill at a step that is known."""


def test_a_stopped_reading_goes_on_where_it_was(recipe, tmp_path, monkeypatch):
    rows = [read_examples(make_frame(n, n), ("anger", "joy", "sadness")) for n in (700, 200)]
    peaceful = make_candidate("pretrained", recipe)
    history = peaceful.fit(*rows)
    place = Checkpoint(tmp_path / "half.npz", every_s=0.0)
    write, logits, read = pretrained.write_bytes, pretrained.EncoderModel.logits, []

    def write_then_stop(path, data):
        write(path, data)
        raise Stopped

    def count(model, bags):
        read.append(len(bags))
        return logits(model, bags)

    monkeypatch.setattr(pretrained, "write_bytes", write_then_stop)
    monkeypatch.setattr(pretrained.EncoderModel, "logits", count)
    for _ in range(2):
        with pytest.raises(Stopped):
            make_candidate("pretrained", recipe, checkpoint=place).fit(*rows)
    monkeypatch.setattr(pretrained, "write_bytes", write)
    last = make_candidate("pretrained", recipe, checkpoint=place)
    assert last.fit(*rows) == history and sum(read) == 900  # each text was read once
    assert np.array_equal(last.compiled().table, peaceful.compiled().table)
    assert not place.path.exists()


def test_a_checkpoint_of_another_encoder_is_not_used(recipe, tmp_path):
    rows = [read_examples(make_frame(n, n), ("anger", "joy", "sadness")) for n in (300, 100)]
    place = Checkpoint(tmp_path / "half.npz", every_s=0.0)
    other = make_encoder(tmp_path / "tiny", seed=5)
    learner = make_candidate("pretrained", replace(recipe, encoder=str(other)), checkpoint=place)
    key = pretrained.training_key(learner.describe(), train=rows[0], dev=rows[1])
    bags = learner.features.bags(rows[0].texts)
    pretrained.encoded(learner.published.encoder, bags, key=key, checkpoint=place)
    assert place.path.is_file()
    again, peaceful = (make_candidate("pretrained", recipe, checkpoint=c) for c in (place, None))
    assert again.fit(*rows) == peaceful.fit(*rows)


def test_a_language_model_keeps_its_encoder_under_a_prefix(home, tmp_path):
    other = read_encoder(make_encoder(tmp_path / "masked", prefix="bert."))
    assert np.array_equal(other.encoder.vectors, read_encoder(home).encoder.vectors)


def test_tokenizer_json_says_the_same_as_vocab_txt(home, tmp_path):
    folder, texts = make_encoder(tmp_path / "fast"), ["Encantá the EXAM, ok?", "[SEP] love"]
    pieces = (folder / "vocab.txt").read_text("utf-8").split()
    (folder / "vocab.txt").unlink()
    told = {"type": "BertNormalizer", "lowercase": True, "strip_accents": None}
    model = {"type": "WordPiece", "continuing_subword_prefix": "##"}
    model["vocab"] = {piece: number for number, piece in enumerate(pieces)}
    told = {"normalizer": told | {"handle_chinese_chars": True}, "model": model, "added_tokens": []}
    (folder / "tokenizer.json").write_text(json.dumps(told), "utf-8")
    there, here = read_encoder(folder).features.bags(texts), read_encoder(home).features.bags(texts)
    assert np.array_equal(there.ids, here.ids)
    model["vocab"]["love"] += 900  # a gap: all pieces behind it would get another's vector
    (folder / "tokenizer.json").write_text(json.dumps(told), "utf-8")
    with pytest.raises(ModelProblem, match="not numbered one by one"):
        read_encoder(folder)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda home: (home / "config.json").unlink(), "lacks config.json"),
        (lambda home: (home / "vocab.txt").unlink(), "lacks vocab.txt"),
        (lambda home: (home / "model.safetensors").unlink(), "lacks model.safetensors"),
        (
            lambda home: (home / "model.safetensors").rename(home / "pytorch_model.bin"),
            "a pickle that may run foreign code",
        ),
        (
            lambda home: (home / "config.json").write_text(
                json.dumps(CONFIG | {"model_type": "xlm-roberta"})
            ),
            "architecture 'xlm-roberta'",
        ),
        (
            lambda home: (home / "config.json").write_text(
                json.dumps(CONFIG | {"num_hidden_layers": 9})
            ),
            "lacks attention.self.query.weight",
        ),
        (
            lambda home: (home / "config.json").write_text(
                json.dumps(CONFIG | {"num_attention_heads": 5})
            ),
            "32 numbers, 5 heads",
        ),
        (
            lambda home: (home / "config.json").write_text(
                json.dumps(CONFIG | {"num_hidden_layers": "2"})
            ),
            "do not fit its config.json",
        ),
        (lambda home: (home / "config.json").write_text("[" * 100_000), "config.json cannot be"),
        (lambda home: (home / "vocab.txt").write_text("a\n" * 500), r"lacks \[UNK\]"),
        (
            lambda home: (home / "model.safetensors").write_bytes(
                (home / "model.safetensors").read_bytes()[:-400]
            ),
            "model.safetensors cannot be read",
        ),
    ],
)
def test_what_cannot_be_used_is_told_in_words(spoil, words, tmp_path, recipe):
    home = make_encoder(tmp_path / "odd")
    spoil(home)
    with pytest.raises(ModelProblem, match=words):
        make_candidate("pretrained", replace(recipe, encoder=str(home)))


def test_a_name_at_a_hub_needs_the_extra_or_ends_in_words(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # as where it is not installed
    for name in ("owner/encoder", "owner/encoder@refs/pr/1"):
        with pytest.raises(ModelProblem, match=r"pip install 'mlops-lab\[pretrained\]'"):
            make_candidate("pretrained", usual_recipe("pretrained", encoder=name))
    with pytest.raises(ModelProblem, match="set encoder in settings.ini"):
        make_candidate("pretrained", usual_recipe("pretrained"))
