"""A real server with the quick way, and a caller that writes HTTP by hand."""

import socket
import threading
import time
from contextlib import contextmanager

import orjson
import uvicorn
from serving_examples import OneModel

from mlops_lab.foundation.settings import Settings
from mlops_lab.serving.quick_way import scoring_protocol
from mlops_lab.serving.service import create_app

GOOD = b'{"text": "a good day"}'


@contextmanager
def served(store, *, source=None, keep_alive_s=5, grace_s=5, **limits):
    """A real server on a free port, in a thread; gives its port and the server."""
    app = create_app(Settings(**limits), source or OneModel(), store)
    config = uvicorn.Config(app, log_level="error", timeout_keep_alive=keep_alive_s)
    config.http, config.timeout_graceful_shutdown = scoring_protocol(app.state.desk), grace_s
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1], server
        finally:
            server.should_exit = True
            thread.join()


def connect(port):
    line = socket.create_connection(("127.0.0.1", port))
    line.settimeout(10)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line


def request(body=GOOD, *, path="/score", version="1.1", length=True, **headers):
    lines = [f"POST {path} HTTP/{version}", "Host: lab"]
    lines += [f"Content-Length: {len(body)}"] if length else []
    lines += [f"{name.replace('_', '-')}: {text}" for name, text in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def read_answer(stream):
    """Status, headers and body of the next answer; None where the connection ended."""
    first = stream.readline()
    if not first:
        return None
    headers = {}
    while (line := stream.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers["content-length"]))
    return int(first.split()[1]), headers, orjson.loads(body)


def ask(port, *parts, answers=1, pause_s=0.0):
    """Send parts one after the other and read so many answers."""
    with connect(port) as line:
        for part in parts:
            line.sendall(part)
            time.sleep(pause_s)
        stream = line.makefile("rb")
        return [read_answer(stream) for _ in range(answers)]


def alike(answer):
    """What must not depend on the way."""
    status, headers, told = answer
    for score in [told, *told.get("scores", [])]:
        score.pop("score_id", None)
    return status, set(headers) - {"date"}, told
