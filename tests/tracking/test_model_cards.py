"""The card of a version is the one that was written, or none."""

import pytest

from mlops_lab.foundation.errors import ModelProblem
from mlops_lab.tracking.cards import find_card, keep_card


@pytest.fixture
def version(registry, bundles):
    return registry.register(bundles[0], run_id="run", metrics={})


def write(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / "card.md").write_text(text)
    return folder


def test_the_newest_card_counts_and_older_ones_stay(registry, version, tmp_path):
    first = keep_card(registry, version, folder=write(tmp_path / "a", "one"))
    again = keep_card(registry, version, folder=write(tmp_path / "b", "one"))
    other = keep_card(registry, version, folder=write(tmp_path / "b", "two"))
    assert first == again != other
    assert [e.kind for e in registry.log.read()] == ["register", "card", "card"]
    assert (find_card(registry, 1) / "card.md").read_text() == "two"
    assert keep_card(registry, version, folder=tmp_path / "a") == first
    assert (find_card(registry, 1) / "card.md").read_text() == "one"


@pytest.mark.parametrize("damage", ["edit", "add", "remove", "log"])
def test_a_card_that_was_touched_is_not_shown(registry, version, tmp_path, damage):
    keep_card(registry, version, folder=write(tmp_path / "a", "weak at negation"))
    place = find_card(registry, 1)
    if damage == "edit":
        (place / "card.md").write_text("strong at negation")
    elif damage == "add":
        (place / "more.md").write_text("praise")
    elif damage == "remove":
        (place / "card.md").unlink()
    else:
        log = registry.lab.decisions
        log.write_bytes(log.read_bytes().replace(b'"card":"sha256:', b'"card":"sha256:0', 1))
    with pytest.raises(Exception, match="was changed"):
        find_card(registry, 1)


def test_a_version_without_a_card_is_told(registry, version):
    with pytest.raises(ModelProblem, match="version 1 has no card"):
        find_card(registry, 1)
