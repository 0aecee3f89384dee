"""A bundle whose bytes are damaged is refused in the lab's words, wherever the damage is."""

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mlops_lab.foundation.errors import ModelProblem
from mlops_lab.foundation.records import digest_file
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
