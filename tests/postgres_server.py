"""A PostgreSQL server of our own, for the tests of everything that takes an address."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def start(command: list[str], port: int, **options) -> subprocess.Popen:
    """Start a server and wait until its port answers."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, **quiet, **options)
    end = time.monotonic() + 40
    while time.monotonic() < end and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return server
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{command[0]} does not answer")


def stop(server: subprocess.Popen) -> None:
    server.send_signal(signal.SIGINT)
    server.wait(timeout=20)


@contextmanager
def running_postgres(folder: Path) -> Iterator[str]:
    """The address of a server whose files lie in `folder/data`; skipped where none is installed."""
    psycopg = pytest.importorskip("psycopg")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = shutil.which("initdb") or (str(found[-1]) if found else None)
    if not initdb:
        pytest.skip("no PostgreSQL server here")
    options: dict = {}
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        options = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "cwd": "/"}
        shutil.chown(folder, "nobody")
        for parent in folder.parents:  # pytest keeps its folders to itself
            if parent == Path(tempfile.gettempdir()):
                break
            parent.chmod(parent.stat().st_mode | 0o011)
    secret = folder.parent / "secret"
    secret.write_text("hush")
    secret.chmod(0o644)
    words = [
        "-D",
        f"{folder}/data",
        "-U",
        "lab",
        "--auth=scram-sha-256",
        f"--pwfile={secret}",
        "-N",
    ]
    subprocess.run([initdb, *words], check=True, capture_output=True, **options)
    port = free_port()
    program = str(Path(initdb).resolve().with_name("postgres"))
    fast = ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-k", str(folder)]
    server = start([program, "-D", f"{folder}/data", "-p", str(port), *fast], port, **options)
    address = f"postgresql://lab:hush@127.0.0.1:{port}/postgres"
    for _ in range(200):
        try:
            psycopg.connect(address).close()
            break
        except psycopg.OperationalError:
            time.sleep(0.1)
    try:
        yield address
    finally:
        stop(server)
