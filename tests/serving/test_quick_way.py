"""The short cut for scores answers as the usual way does, whatever the network does."""

import logging
import socket
import threading
import time

import pytest
from http_examples import GOOD, alike, ask, connect, read_answer, request, served
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_examples import KeywordScorer, OneModel

from mlops_lab.serving import quick_way
from mlops_lab.serving.model_source import LoadedModel
from mlops_lab.serving.score_store import ScoreStore


class Spy:
    """Counts the requests that took the short cut."""

    def __init__(self, monkeypatch):
        self.quick, begin = 0, quick_way._begin

        def counted(*request):
            self.quick += 1
            begin(*request)

        monkeypatch.setattr(quick_way, "_begin", counted)


@pytest.fixture
def spy(monkeypatch):
    return Spy(monkeypatch)


@pytest.fixture
def port(store, spy):
    with served(store) as (port, _):
        yield port


ASKED = {
    "a text": request(),
    "several texts": request(b'{"text": ["good", "bad", "so"], "caller": "me"}'),
    "explained": request(b'{"text": "good", "explain": true}'),
    "no JSON": request(b"{"),
    "nothing": request(b""),
    "another model": request(b'{"text": "good", "model": "other"}'),
    "no such variant": request(x_variant="red"),
    "no canary": request(x_variant="canary"),
    "a champion": request(x_variant="champion", x_caller="team-1"),
}


@pytest.mark.parametrize("name", ASKED)
def test_both_ways_answer_alike(port, store, spy, name):
    (quick,) = ask(port, ASKED[name])
    assert spy.quick == 1
    (usual,) = ask(port, ASKED[name].replace(b"/score ", b"/score? ", 1))
    for _, _, told in (quick, usual):
        for score in told.get("scores", [told]):
            assert "error" in score or store.read(score["score_id"])["label"] == score["label"]
    assert spy.quick == 1 and alike(quick) == alike(usual)


USUAL = {
    "HTTP/1.0": request(version="1.0"),
    "without a length, in chunks": request(
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD), length=False, Transfer_Encoding="chunked"
    ),
    "a large body": request(b'{"text": ["good"], "caller": "me"' + b" " * 70_000 + b"}"),
    "another path": request(path="/score?x=1"),
}


@pytest.mark.parametrize("name", USUAL)
def test_what_is_unusual_goes_the_usual_way(port, spy, name):
    ((status, _, told),) = ask(port, USUAL[name])
    assert (status, spy.quick) == (200, 0) and (told.get("label") or told["scores"][0]["label"])


def test_who_wants_another_protocol_does_not_get_it(port, spy):
    ((status, _, _),) = ask(port, request(Connection="upgrade", Upgrade="h2c"))
    assert (status, spy.quick) == (422, 0)  # what follows the head belongs to the other protocol


@pytest.mark.parametrize("pause_s, is_quick", [(0.005, True), (0.3, False)])
def test_a_body_that_comes_later_is_waited_for(port, spy, pause_s, is_quick):
    whole = request()
    head = whole.removesuffix(GOOD)
    ((status, _, told),) = ask(port, head, GOOD[:9], GOOD[9:], pause_s=pause_s)
    assert (status, told["label"]) == (200, "joy") and (spy.quick == 1 or not is_quick)
    assert is_quick or spy.quick == 0


def test_a_body_that_never_comes_is_forgotten_with_its_caller(port, store, caplog):
    with connect(port) as line:
        line.sendall(request()[:-10])
    time.sleep(0.2)
    assert ask(port, request())[0][0] == 200 and store.count() == 1 and not caplog.records


def test_who_wants_to_be_told_to_go_on_is_told(port, spy):
    head = request(Expect="100-continue").removesuffix(GOOD)
    with connect(port) as line:
        line.sendall(head)
        stream = line.makefile("rb")
        assert stream.readline().startswith(b"HTTP/1.1 100") and stream.readline() == b"\r\n"
        line.sendall(GOOD)
        assert read_answer(stream)[0] == 200 and spy.quick == 0


def test_a_connection_is_closed_where_the_caller_wants_it(port, spy):
    kept, closed = request(), request(Connection="close")
    answers = ask(port, kept, closed, answers=3, pause_s=0.05)
    assert [answer and answer[0] for answer in answers] == [200, 200, None]
    assert "connection" not in answers[0][1] and answers[1][1]["connection"] == "close"
    assert spy.quick == 2


@pytest.mark.parametrize("key, status", [("secret", 200), ("guess", 401), ("", 401)])
def test_a_key_is_asked_for(store, spy, key, status):
    with served(store, api_key="secret") as (port, _):
        ((told, _, answer),) = ask(port, request(X_Api_Key=key))
    assert told == status and spy.quick == 1 and ("label" in answer) == (status == 200)


def test_who_asks_too_often_is_told_when_to_come_back(store):
    with served(store, service_rate_per_s=1) as (port, _):
        first, *_, last = ask(port, *[request()] * 4, answers=4, pause_s=0.01)
    assert (first[0], last[0], last[1].get("retry-after")) == (200, 429, "1")


def test_requests_are_counted_on_both_ways(port, spy):
    ask(port, request(), request(path="/score?"), request(b"{"), answers=3, pause_s=0.05)
    with connect(port) as line:
        line.sendall(b"GET /metrics HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")
        told = line.makefile("rb").read().decode()
    assert 'mlops_lab_requests_total{route="/score",status="200"} 2' in told
    assert 'mlops_lab_requests_total{route="/score",status="422"} 1' in told and spy.quick == 2


STREAM = [
    request(),
    request(b'{"text": ["good", "bad"]}'),
    b"GET /v2 HTTP/1.1\r\nHost: lab\r\n\r\n",
    request(b"{"),
    request(path="/feedback", body=b"{}"),
    request(b'{"text": "bad", "caller": "x"}'),
]


@pytest.fixture(scope="module")
def busy_port(tmp_path_factory):
    store = ScoreStore(tmp_path_factory.mktemp("busy") / "scores.db")
    with served(store) as (port, _):
        yield port
    store.close()


@pytest.fixture(scope="module")
def one_by_one(busy_port):
    return [alike(answer) for one in STREAM for answer in ask(busy_port, one)]


@settings(max_examples=60, deadline=None)
@given(
    order=st.lists(st.integers(0, len(STREAM) - 1), min_size=1, max_size=6),
    cuts=st.lists(st.floats(0, 1), max_size=5),
)
def test_packets_may_be_cut_anywhere(busy_port, one_by_one, order, cuts):
    whole = b"".join(STREAM[i] for i in order)
    ends = [*sorted(int(cut * len(whole)) for cut in cuts), len(whole)]
    parts = [whole[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    answers = ask(busy_port, *parts, answers=len(order), pause_s=0.002)
    assert [alike(answer) for answer in answers] == [one_by_one[i] for i in order]


def test_every_byte_alone(busy_port, one_by_one):
    whole = STREAM[0] + STREAM[1]
    parts = [whole[i : i + 1] for i in range(len(whole))]
    answers = ask(busy_port, *parts, answers=2, pause_s=0.0005)
    assert [alike(answer) for answer in answers] == one_by_one[:2]


def test_what_is_no_http_closes_the_connection(port, caplog):
    for wrong in (
        b"POST /score HTTP/1.1\r\nContent-Length: 5x\r\n\r\n",
        request() + b"\0nonsense\r\n",
    ):
        with connect(port) as line:
            line.sendall(wrong)
            assert b"400 Bad Request" in line.makefile("rb").read()
    assert ask(port, request())[0][0] == 200 and "Traceback" not in caplog.text


class SlowScorer(KeywordScorer):
    """Takes its time, so that callers can leave and servers can stop meanwhile."""

    begun = threading.Event()

    def score(self, texts):
        self.begun.set()
        time.sleep(0.4)
        return super().score(texts)


class SlowModel(OneModel):
    def __init__(self):
        super().__init__()
        self.model = LoadedModel("keywords", "7", "champion", SlowScorer())


def test_a_caller_who_leaves_is_stored_and_nobody_complains(store, caplog):
    with served(store, source=SlowModel()) as (port, _), caplog.at_level(logging.INFO):
        SlowScorer.begun.clear()
        with connect(port) as line:
            line.sendall(request())
            assert SlowScorer.begun.wait(5)
        end = time.monotonic() + 5
        while store.count() < 1 and time.monotonic() < end:
            time.sleep(0.02)
        assert ask(port, request())[0][0] == 200
    assert store.count() == 2 and not [
        one for one in caplog.records if one.levelno >= logging.ERROR
    ]


def test_a_server_that_stops_answers_what_it_has_begun(store):
    with served(store, source=SlowModel()) as (port, server):
        ask(port, request())  # from now on it works in a thread, and the server goes on
        SlowScorer.begun.clear()
        with connect(port) as line:
            line.sendall(request())
            assert SlowScorer.begun.wait(5)
            server.should_exit = True
            stream = line.makefile("rb")
            status, _, told = read_answer(stream)
            assert status == 200 and store.read(told["score_id"]) and read_answer(stream) is None


def test_a_server_that_stops_waits_for_the_rest_of_a_body(store, monkeypatch):
    monkeypatch.setattr(quick_way, "_QUICK_WAIT_S", 5.0)  # longer than the server goes on
    with served(store) as (port, server), connect(port) as line:
        line.sendall(request()[:-10])
        time.sleep(0.02)
        server.should_exit = True
        time.sleep(0.3)
        line.sendall(request()[-10:])
        assert read_answer(line.makefile("rb"))[0] == 200


def test_an_idle_connection_is_closed_and_a_busy_one_is_not(store):
    with served(store, keep_alive_s=1) as (port, _), connect(port) as line:
        stream, end = line.makefile("rb"), time.monotonic() + 2.5
        while time.monotonic() < end:  # longer than it may be idle
            line.sendall(request())
            assert read_answer(stream)[0] == 200
            time.sleep(0.1)
        began = time.monotonic()
        assert read_answer(stream) is None and 0.5 < time.monotonic() - began < 5


def comes_to(store, count, wait_s=1.0):
    end = time.monotonic() + wait_s
    while store.count() < count and time.monotonic() < end:
        time.sleep(0.001)
    return store.count() >= count


def test_who_does_not_read_is_not_written_to_without_end(store, spy):
    """The kernel's buffers and one of the server's fill; then nothing more is scored."""
    many = request(b'{"text": [%s]}' % b", ".join([b'"good"'] * 100))  # answered by 15 kB
    with served(store) as (port, _), socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", port))
        sent = 0
        while sent < 1200 and comes_to(store, 100 * sent):
            line.sendall(many)
            sent += 1
        assert 1 < spy.quick < sent < 1200
        line.settimeout(10)
        stream = line.makefile("rb")
        assert all(read_answer(stream)[0] == 200 for _ in range(sent))  # who reads, gets them all
