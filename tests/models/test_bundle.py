"""A bundle whose bytes are damaged is refused in the lab's words, wherever the damage is."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mlops_lab.foundation.errors import ModelProblem
from mlops_lab.foundation.records import digest_file
from mlops_lab.models.attention import attention_from_arrays
from mlops_lab.models.bundle import Bundle, load_bundle, save_bundle
from mlops_lab.models.features import FeatureSettings, fit_features
from mlops_lab.models.forms import BlendFeatures, BlendModel, CoarserModel
from mlops_lab.models.rivals import RivalModel
from mlops_lab.models.scorer import load_scorer

NAMES = ("card.json", "features.json", "golden.json", "profile.json", "weights.npz")


def put(folder, name, data):
    """Replace a file and make the manifest fit, so that its digest does not give it away."""
    (folder / name).write_bytes(data)
    files = {one: digest_file(folder / one) for one in NAMES}
    (folder / "manifest.json").write_text(json.dumps({"files": files}))


# found by benchmarks/serving/parser_fuzz.py: each once ended in an error of a library
DAMAGE = {
    "empty weights": ("weights.npz", lambda data: b""),
    "no archive": ("weights.npz", lambda data: b"PK\x03\x04" + b"\0" * 60),
    "unknown version of the archive": ("weights.npz", lambda data: central(data, 6, b"\x65\0")),
    "unknown compression": ("weights.npz", lambda data: central(data, 10, b"\x3e\x8c")),
    "bad stream": ("weights.npz", lambda data: data[:60] + b"\xff" * 40 + data[100:]),
    "card is a number": ("card.json", lambda data: b"1"),
    "card is a list": ("card.json", lambda data: b"[]"),
    "deep card": ("card.json", lambda data: b"[" * 100_000),
    "features are none": ("features.json", lambda data: b'{"settings":[],"vocabulary":1}'),
    "fewer golden texts": ("golden.json", lambda data: b'{"texts":["a"],"probabilities":[]}'),
    "golden texts are none": ("golden.json", lambda data: b"7"),
}


def central(data, place, value):
    """Change a field of the archive's first central record."""
    at = data.index(b"PK\x01\x02") + place
    return data[:at] + value + data[at + len(value) :]


@pytest.mark.parametrize("damage", DAMAGE)
def test_known_damage_is_refused(table_bundle, damage):
    name, spoil = DAMAGE[damage]
    put(table_bundle, name, spoil((table_bundle / name).read_bytes()))
    with pytest.raises(ModelProblem):
        load_scorer(table_bundle).score(["a good day"])


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(NAMES),
    at=st.integers(0, 3000),
    piece=st.binary(max_size=8),
    cut=st.integers(0, 40),
)
@example(name="weights.npz", at=0, piece=b"", cut=3000)
def test_any_damage_is_refused_or_does_no_harm(table_bundle, name, at, piece, cut):
    before = (table_bundle / name).read_bytes()
    place = at % (len(before) + 1)
    try:
        put(table_bundle, name, before[:place] + piece + before[place + cut :])
        load_scorer(table_bundle)
    except ModelProblem as problem:
        assert problem.found and problem.expected
    finally:
        put(table_bundle, name, before)


# A model with a number for each place in a text


def attention(words, places):
    """A small model of attention that no training has touched."""
    rng = np.random.default_rng(places)
    shapes = {"vectors": (words, 4), "places": (places, 4), "last_scale": (2, 4)}
    shapes |= {"attention_table": (8, 3), "bias": (3,), "first_scale_0": (2, 4)}
    shapes |= {"ask_0": (4, 12), "ask_offset_0": (12,), "take_0": (4, 4), "take_offset_0": (4,)}
    shapes |= {"second_scale_0": (2, 4), "widen_0": (4, 8), "widen_offset_0": (8,)}
    shapes |= {"narrow_0": (8, 4), "narrow_offset_0": (4,)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return attention_from_arrays(arrays | {"heads": np.array(2)}, several=True)


def around(kind, features, model):
    """The same model inside of another form."""
    one, none = np.ones(3, np.float32), np.zeros(3, np.float32)
    if kind == "blend":
        return BlendFeatures((features, features)), BlendModel((model, model), one, none, True)
    if kind == "coarser":
        return features, CoarserModel(model, np.eye(3, dtype=np.float32), one, none, True)
    if kind == "rivals":
        return features, RivalModel(model, np.float32(0.5), one, none)
    return features, model


@pytest.fixture(params=["alone", "blend", "coarser", "rivals"])
def keep(request, tmp_path):
    """Keep a bundle whose features read more or fewer words than the model has places for."""

    def make(first, places):
        texts = ["good day", "bad day", "good evening"] * 2
        fitted = fit_features(texts, FeatureSettings(ordered=True, first=first))
        features, model = around(request.param, fitted, attention(fitted.size, places))
        card = {"name": "small", "labels": ["a", "b", "c"], "several": True}
        return save_bundle(Bundle(card, features, model, {}, {}), tmp_path / "bundle")

    return make


@pytest.mark.parametrize(("first", "places"), [(8, 7), (8, 1), (8, 0), (1, 0)])
def test_a_model_with_fewer_places_than_words_is_refused(keep, first, places):
    with pytest.raises(ModelProblem) as told:
        load_bundle(keep(first, places))
    assert f"read {first} words" in told.value.found and f"{places} places" in told.value.found
    assert "train again" in told.value.remedy


def test_a_long_text_is_cut_where_the_places_end(keep):
    bundle = load_bundle(keep(8, 8))
    answers = bundle.model.probabilities(bundle.features.bags(["good " * 8, "good " * 900, ""]))
    assert np.array_equal(answers[0], answers[1]) and np.isfinite(answers).all()
    load_bundle(keep(3, 8))


@pytest.mark.parametrize("first", [0, -1, None, "8", 2.5])
def test_a_text_is_cut_after_a_whole_number_of_words(keep, first):
    folder = keep(8, 8)
    record = (folder / "features.json").read_bytes()
    put(
        folder,
        "features.json",
        record.replace(b'"first":8', f'"first":{json.dumps(first)}'.encode()),
    )
    assert record != (folder / "features.json").read_bytes()
    with pytest.raises(ModelProblem, match="words of a text"):
        load_bundle(folder)


def test_a_blend_has_features_for_each_of_its_models(tmp_path):
    fitted = fit_features(["good day"] * 2, FeatureSettings(ordered=True, first=8))
    blend = BlendModel((attention(fitted.size, 8),) * 2, *np.ones((2, 3), np.float32), True)
    card = {"name": "small", "labels": ["a", "b", "c"], "several": True}
    folder = save_bundle(Bundle(card, fitted, blend, {}, {}), tmp_path / "bundle")
    with pytest.raises(ModelProblem, match="0 parts of features for 2"):
        load_bundle(folder)
