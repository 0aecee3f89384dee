"""Keys at rest, and rings that close and never open by accident."""

import stat
import threading

import pytest

from mlops_lab.foundation.access_keys import KeyRing, add_key, list_keys, remove_key
from mlops_lab.foundation.errors import SettingsProblem
from mlops_lab.foundation.rates import RateLimit


def test_no_key_is_in_any_file(tmp_path):
    place = tmp_path / "lab" / "keys.json"
    made = [add_key(place, name) for name in ("a", "b")]
    remove_key(place, "a")
    everything = b"".join(path.read_bytes() for path in place.parent.iterdir())
    assert not any(key.encode() in everything for key in made) and len(set(made)) == 2
    assert [one.name for one in list_keys(place)] == ["b"]
    assert not stat.S_IMODE(place.stat().st_mode) & stat.S_IWOTH


def test_many_makers_at_once_lose_no_key(tmp_path):
    place = tmp_path / "keys.json"
    made = {}
    threads = [
        threading.Thread(target=lambda i=i: made.update({i: add_key(place, f"team {i}")}))
        for i in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ring = KeyRing(place)
    assert {ring.name_of(key.encode()) for key in made.values()} == {f"team {i}" for i in made}


def test_every_key_is_compared_whatever_was_found(tmp_path, monkeypatch):
    seen = []
    real = __import__("hmac").compare_digest
    monkeypatch.setattr(
        "mlops_lab.foundation.access_keys.hmac.compare_digest",
        lambda a, b: seen.append((len(a), len(b))) or real(a, b),
    )
    first = add_key(tmp_path / "keys.json", "first")
    add_key(tmp_path / "keys.json", "second")
    ring = KeyRing(tmp_path / "keys.json", plain="of the settings")
    for given in (first.encode(), b"wrong", b"", b"\xff" * 5000, b"of the settings"):
        seen.clear()
        ring.name_of(given)
        assert seen == [(64, 64)] * 3  # digests of one length, all of them


def test_a_lost_or_broken_file_never_opens_the_service(tmp_path):
    place = tmp_path / "keys.json"
    ring = KeyRing(place)
    assert ring.is_open
    key = add_key(place, "a").encode()
    ring.refresh()
    assert not ring.is_open and ring.name_of(key) == "a"
    for content in (b"", b"{}", b'{"keys": 1}', b'{"keys": [{"name": "x"}]}', b"\x00\xff"):
        place.write_bytes(content)
        ring.refresh()
        assert not ring.is_open and ring.name_of(key) == "a" and ring.problem
    place.unlink()
    ring.refresh()
    assert not ring.is_open and ring.name_of(key) is None


@pytest.mark.parametrize("name", ["", "  ", "a"])
def test_a_name_must_be_new(tmp_path, name):
    add_key(tmp_path / "keys.json", "a")
    with pytest.raises(SettingsProblem, match="taken|empty"):
        add_key(tmp_path / "keys.json", name)


def test_a_steady_caller_gets_exactly_the_rate():
    now = [0.0]
    limit, passed = RateLimit(10, clock=lambda: now[0]), 0
    for step in range(10_000):  # a hundred a second for a hundred seconds
        now[0] = step / 100
        passed += limit.wait_s("flood") == 0
        if step % 100 == 0:
            assert limit.wait_s("quiet") == 0
    assert 1000 <= passed <= 1021
