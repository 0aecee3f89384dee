"""Whatever comes in over any route: an answer with a reason, never a 500 and never a hang.

FUZZ_CASES asks for more cases than the few of every run; the acceptance run took 10,000.
"""

import asyncio
import os

import http_examples
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_examples import OneModel, ask

from mlops_lab.foundation.settings import Settings
from mlops_lab.serving.score_store import ScoreStore
from mlops_lab.serving.service import create_app

CASES = int(os.environ.get("FUZZ_CASES", "150"))
HANG_S = 20.0

WORDS = st.one_of(st.text(max_size=40), st.sampled_from(["good", "", " ", "\0", "a" * 300, "😍"]))
NUMBERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=4)),
    max_leaves=12,
)
TENSOR = st.fixed_dictionaries(
    {},
    optional={
        "name": st.one_of(st.just("text"), JSON),
        "datatype": st.one_of(st.just("BYTES"), JSON),
        "shape": st.one_of(st.lists(st.integers(-2, 4), max_size=3), JSON),
        "data": st.one_of(
            st.lists(st.one_of(WORDS, st.lists(WORDS, max_size=2)), max_size=4), JSON
        ),
        "parameters": st.one_of(st.just({"binary_data_size": 9}), JSON),
    },
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "text": st.one_of(WORDS, st.lists(WORDS, max_size=5), JSON),
        "caller": st.one_of(WORDS, JSON),
        "score_id": st.one_of(WORDS, JSON),
        "label": st.one_of(WORDS, JSON),
        "labels": st.one_of(st.lists(WORDS, max_size=3), JSON),
        "source": st.one_of(WORDS, JSON),
        "id": st.one_of(WORDS, JSON),
        "inputs": st.one_of(st.lists(TENSOR, max_size=2), JSON),
        "outputs": st.one_of(st.lists(st.dictionaries(WORDS, WORDS, max_size=2), max_size=3), JSON),
        "parameters": JSON,
        "other": JSON,
    },
)


def keeping(value, names):
    return {name: value[name] for name in names if name in value}


SHAPES = [
    ("text", "caller"),
    ("score_id", "label", "source"),
    ("score_id", "labels"),
    ("id", "inputs", "outputs"),
]
OBJECTS = st.builds(keeping, FIELDS, st.sampled_from(SHAPES)) | FIELDS | JSON


def dumped(value):
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # half a pair of surrogates
        return repr(value).encode("utf-8", "backslashreplace")


BODIES = st.one_of(OBJECTS.map(dumped), st.binary(max_size=200), st.just(b"[" * 5000))
NAMES = st.one_of(st.sampled_from(["keywords", "7", "x"]), st.text(min_size=1, max_size=20))
TEMPLATES = [
    ("POST", "/score"),
    ("GET", "/score/{}"),
    ("POST", "/feedback"),
    ("POST", "/v2/models/{}/infer"),
    ("POST", "/v2/models/keywords/infer"),
    ("POST", "/v2/models/{}/versions/{}/infer"),
    ("GET", "/v2/models/{}/versions/{}"),
    ("GET", "/v2/models/{}"),
    ("GET", "/v2/models/{}/ready"),
    ("GET", "/v2"),
    ("GET", "/v2/health/live"),
    ("GET", "/v2/health/ready"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/"),
    ("GET", "/{}"),
]
HEADERS = st.dictionaries(
    st.sampled_from(
        ["content-length", "x-variant", "x-caller", "x-api-key", "content-type"]
        + ["inference-header-content-length", "transfer-encoding", "accept-encoding"]
    ),
    st.one_of(
        st.sampled_from(["0", "-1", "9" * 30, "canary", "champion", "²", "binary"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_categories=["C"])),
    ),
    max_size=3,
)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    store = ScoreStore(tmp_path_factory.mktemp("fuzz") / "scores.db")
    limits = Settings(service_batch_limit=4, service_text_limit=200)
    runner = asyncio.Runner()
    yield create_app(limits, OneModel(), store), runner
    runner.close()
    store.close()


@settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    st.sampled_from(TEMPLATES),
    st.tuples(NAMES, NAMES),
    BODIES,
    HEADERS,
    st.sampled_from(["", "", "", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "FOO"]),
)
def test_no_input_breaks_or_hangs_the_service(served, template, names, body, headers, other):
    app, runner = served
    method, path = template
    path = path.format(*names)  # decoded already, as a server hands it over
    asked = ask(app, other or method, path, body, headers=headers)
    answer = runner.run(asyncio.wait_for(asked, HANG_S))
    assert answer.status < 500 and answer.status in (200, 400, 401, 404, 405, 413, 422)
    if answer.status >= 400 and (other or method) != "HEAD":
        assert answer.json["error"]


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    store = ScoreStore(tmp_path_factory.mktemp("fuzz") / "scores.db")
    with http_examples.served(store) as (port, _):
        yield port
    store.close()


@settings(max_examples=CASES, deadline=None)
@given(body=BODIES)
def test_the_short_cut_answers_any_body_as_the_usual_way_does(port, body):
    quick, usual = (
        http_examples.alike(*http_examples.ask(port, http_examples.request(body, path=path)))
        for path in ("/score", "/score?")
    )
    assert quick == usual and quick[0] in (200, 422)
