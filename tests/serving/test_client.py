"""The client against a bad-mannered server."""

import json
import socket
import threading

import pytest

from mlops_lab.foundation.errors import ServiceProblem
from mlops_lab.serving.client import ServiceClient
from mlops_lab.serving.refusals import Refusal


def read_request(connection):
    """One whole request: the client sends its head and its body apart."""
    request = b""
    while b"\r\n\r\n" not in request:
        data = connection.recv(65536)
        if not data:
            return b""
        request += data
    head, _, body = request.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    wanted = int(lengths[0].split(b":")[1]) if lengths else 0
    while len(body) < wanted:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


class RudeServer:
    """Sends prepared raw answers, one per request; None hangs up without a word."""

    def __init__(self, answers):
        self.answers, self.requests = list(answers), []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while self.answers:
            connection, _ = self.listener.accept()
            with connection:
                while self.answers:
                    request = read_request(connection)
                    if not request:
                        break
                    self.requests.append(request)
                    answer = self.answers.pop(0)
                    if answer is None:
                        break
                    connection.sendall(answer)
        self.listener.close()


def reply(status, body):
    return f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()


def test_a_stale_connection_is_opened_again():
    server = RudeServer([reply(200, '{"label": "joy"}'), None, reply(200, '{"label": "bad"}')])
    client = ServiceClient(server.address)
    assert [client.score("a")["label"], client.score("b")["label"]] == ["joy", "bad"]
    assert len(server.requests) == 3
    client.close()


def test_a_new_connection_is_not_tried_twice():
    server = RudeServer([None])
    client = ServiceClient(server.address)
    with pytest.raises(ServiceProblem, match="does not answer"):
        client.score("a")
    client.close()


def test_refusals_carry_status_and_words():
    body = json.dumps({"error": "text 0 is 7", "expected": "a text", "remedy": ""})
    server = RudeServer([reply(422, body), reply(502, "<html>")])
    client = ServiceClient(server.address)
    with pytest.raises(Refusal, match="text 0 is 7") as refusal:
        client.score("a")
    assert refusal.value.status == 422 and refusal.value.expected == "a text"
    with pytest.raises(Refusal, match="answered 502"):
        client.infer(["a"], "keywords")
    client.close()


def test_a_silent_server_is_left_after_the_timeout():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        client = ServiceClient(address, timeout_s=0.1)
        with pytest.raises(ServiceProblem, match="timed out"):
            client.score("a")
        assert not client.ready()
        client.close()


def test_key_and_path_travel_with_each_request():
    server = RudeServer([reply(200, "{}")])
    client = ServiceClient(server.address + "/proxy/scoring/", api_key="secret")
    client.feedback("../x y", "joy")
    client.close()
    head = server.requests[0].decode()
    assert head.startswith("POST /proxy/scoring/feedback ") and "x-api-key: secret" in head
