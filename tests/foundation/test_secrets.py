"""Secrets: resolved from references, recognised in every usual spelling, never shown."""

import base64
import json
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_lab.foundation.errors import SettingsProblem
from mlops_lab.foundation.secrets import Secrets, resolve_secret, scrub_file

VALUE = 'tr0ub4dor & "friends" ñ/+='
SECRETS = Secrets({"TOKEN": VALUE})
SPELLINGS = {
    "itself": VALUE,
    "json": json.dumps({"token": VALUE}),
    "url": f"https://example.org/?t={quote_plus(VALUE)}",
    "repr": repr({"token": VALUE}),
    "base64": base64.b64encode(VALUE.encode()).decode(),
    "basic": base64.b64encode(f"user:{VALUE}".encode()).decode(),
    "inside": base64.urlsafe_b64encode(f"ab{VALUE}cd".encode()).decode(),
    "hex": VALUE.encode().hex(),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_is_recognised(name):
    text = SPELLINGS[name]
    assert "[secret TOKEN]" in SECRETS.scrub(f"before {text} after")
    assert SECRETS.find(b"\0\xff" + text.encode() + b"\0") == ["TOKEN"]
    assert SECRETS.scrub("an ordinary sentence") == "an ordinary sentence"


@given(st.lists(st.integers(1, len(VALUE)), max_size=4))
def test_a_secret_printed_in_pieces_never_shows(cuts):
    text = f"a {VALUE} b {VALUE}"
    edges = sorted({0, len(text), *cuts})
    shown, held = "", ""
    for start, end in zip(edges, edges[1:], strict=False):
        safe, held = SECRETS.hold_back(held + text[start:end])
        shown += safe
    assert shown + held == "a [secret TOKEN] b [secret TOKEN]"


@pytest.mark.parametrize("line", range(2))
def test_each_line_of_a_long_secret_is_one(line):
    secrets = Secrets({"KEY": "-----BEGIN-----\nMIIEvQIBADANBg"})
    assert secrets.find(secrets.values["KEY"].splitlines()[line].encode()) == ["KEY"]


def test_what_cannot_be_kept_secret_is_refused(monkeypatch):
    monkeypatch.setenv("SHORT", "abc")
    for reference, words in (
        ("env:SHORT", "fewer than 8"),
        ("env:NONE", "not set"),
        (VALUE, "ref"),
    ):
        with pytest.raises(SettingsProblem, match=words) as caught:
            resolve_secret(reference)
        assert "abc" not in str(caught.value) and VALUE not in str(caught.value)


def test_a_file_without_secrets_is_left_alone(tmp_path):
    place = tmp_path / "a.log"
    place.write_bytes(b"\xff binary")
    scrub_file(place, SECRETS)
    assert place.read_bytes() == b"\xff binary"
    scrub_file(tmp_path / "absent.log", SECRETS)
