"""A registry with bundles of several kinds, and services whose canaries are watched."""

import http.client
import json
import os
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from mlops_lab.serving import launcher
from mlops_lab.serving.observations import read_state
from mlops_lab.tracking.trials import Terms

PROGRAM = (str(Path(__file__).parent / "keyword_service.py"),)
WHO = ("Ana", "owner", "test")
LONG = {"labels": 10**9}  # never promoted


def wait_for(found, wait_s=15.0):
    """Wait until something is there, and give it."""
    end = time.monotonic() + wait_s
    while not (one := found()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
    return one


def wait_until_tried(trials, trial):
    def state():
        known = read_state(trials.registry.lab)
        return known and known["line"] == trial.line

    wait_for(state)


@contextmanager
def trying(settings, trials, **terms):
    """A service that tries version 2."""
    with launcher.running_service(settings, program=PROGRAM) as client:
        wait_until_tried(trials, trials.start(2, Terms(**terms), signed=WHO))
        yield client


def wait_for_end(trials):
    wait_for(lambda: trials.running() is None)
    return trials.registry.log.last("canary_end").data


def post(client, text, **headers):
    """Ask with headers; give status and answer."""
    connection = http.client.HTTPConnection(urlsplit(client.address).netloc, timeout=20)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", "/score", json.dumps({"text": text}), named)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def send_labelled(client, number, *, callers=20):
    """Ask, and say what was right: joy for good, sadness for bad."""
    text, right = (("good", "joy"), ("bad", "sadness"))[number % 2]
    told = client.score(f"{text} day {number}", caller=f"caller {number % callers}")
    client.feedback(told["score_id"], right, source="teacher")
    return told


@contextmanager
def started(settings, log, *arguments):
    """A service that may be killed."""
    command = [sys.executable, *PROGRAM, "--port", "0", *arguments]
    child = subprocess.Popen(
        command, env=launcher._child_environment(settings), cwd=settings.project, stderr=log
    )
    try:
        with closing(launcher._wait_until_ready(child, log.fileno(), 20.0, "")) as client:
            yield child, client
    finally:
        child.kill()
        child.wait()


def children_of(pid):
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(one) for path in found for one in path.read_text().split()]


def runs(pid):
    """Whether a process is there and no zombie."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
