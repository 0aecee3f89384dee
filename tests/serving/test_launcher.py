"""The service as a real process: ready, answering, gone."""

import json
import selectors
import signal
import socket
import statistics
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from canary_examples import PROGRAM, children_of, runs, wait_for
from http_examples import request

import mlops_lab
from mlops_lab.foundation.errors import ServiceProblem
from mlops_lab.foundation.settings import Settings
from mlops_lab.serving import launcher
from mlops_lab.serving.client import ServiceClient
from mlops_lab.serving.launcher import running_service
from mlops_lab.serving.refusals import Refusal
from mlops_lab.serving.score_store import ScoreStore


@pytest.fixture
def lab(tmp_path):
    return Settings(project=tmp_path, workspace=tmp_path / ".lab", api_key="secret")


def test_a_real_service_answers_stores_swaps_and_leaves(lab, bundle):
    with running_service(lab, bundle=bundle, program=PROGRAM) as client:
        told = client.score("a good day", caller="test")
        assert told["label"] == "joy" and client.ready()
        client.feedback(told["score_id"], "neutral")
        assert client.read(told["score_id"])["feedback"][0]["label"] == "neutral"
        assert client.infer(["bad"], "keywords")["outputs"][0]["data"] == ["sadness"]
        with pytest.raises(Refusal, match="visible character"):
            client.score("")
        (bundle / "name.txt").write_text("renamed")
        (bundle / "manifest.json").write_text('{"new": 1}')
        wait_for(lambda: client.score("good")["model"] == "renamed", 60)
    assert not client.ready()
    store = ScoreStore(lab.workspace / "scores.db")
    assert store.read(told["score_id"])["caller"] == "test"
    store.close()


def test_without_the_quick_parser_every_request_goes_the_usual_way(lab, bundle):
    folder = str(Path(PROGRAM[0]).parent)
    run = f"sys.path.insert(0, {folder!r}); runpy.run_path({PROGRAM[0]!r}, run_name='__main__')"
    program = ("-c", f"import runpy, sys; sys.modules['httptools'] = None; {run}")
    with running_service(lab, bundle=bundle, program=program) as client:
        told = client.score(["good", "bad"])
        assert [one["label"] for one in told["scores"]] == ["joy", "sadness"]


def answers_until_all_have_one(address, callers=64):
    """Let callers come in the same moment and ask again and again; count all their answers."""
    asked, told, count = request(x_api_key="secret"), set(), 0
    with selectors.DefaultSelector() as ready, ExitStack() as stack:
        for _ in range(callers):
            line = stack.enter_context(closing(socket.socket()))
            line.setblocking(False)
            line.connect_ex((address.hostname, address.port))
            ready.register(line, selectors.EVENT_WRITE)
        while len(told) < callers:
            events = ready.select(timeout=20)
            assert events, f"{len(told)} of {callers} were answered"
            for key, event in events:
                if event & selectors.EVENT_WRITE:
                    key.fileobj.send(asked)
                    ready.modify(key.fileobj, selectors.EVENT_READ)
                else:
                    assert key.fileobj.recv(65_536).startswith(b"HTTP/1.1 200")
                    told.add(key.fd)
                    count += 1
                    ready.modify(key.fileobj, selectors.EVENT_WRITE)
    return count


def test_callers_who_come_together_are_taken_in_together(lab, bundle):
    with running_service(lab, bundle=bundle, program=PROGRAM) as client:
        counts = [answers_until_all_have_one(urlsplit(client.address)) for _ in range(9)]
    # one newcomer a turn of the event loop: the others ask a thousand times before the last is in
    assert statistics.median(counts) < 400


def test_told_to_stop_it_closes_its_store_and_says_nothing(lab, bundle):
    command = [sys.executable, *PROGRAM, "--port", "0", "--bundle", str(bundle)]
    child = subprocess.Popen(
        command, env=launcher._child_environment(lab), cwd=lab.project, stderr=subprocess.PIPE
    )
    try:
        host, port = json.loads(child.stderr.readline())["listening"]
        client = ServiceClient(f"http://{host}:{port}", api_key="secret")
        assert client.score("good")["label"] == "joy"
        client.close()
        child.send_signal(signal.SIGTERM)
        rest = child.communicate(timeout=20)[1].decode()
    finally:
        child.kill()
    assert child.returncode == 0 and rest == ""
    assert not (lab.workspace / "scores.db-wal").exists()


@pytest.mark.parametrize(
    "module",
    ["serving.launcher", "serving.service", "serving.client", "models.scorer", "tracking.registry"],
)
def test_importing_it_is_light(module):
    code = (
        f"import sys, mlops_lab.{module}; heavy = {{'tensorflow', 'sklearn', 'mlflow', "
        "'pandas', 'matplotlib'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    root = Path(mlops_lab.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, timeout=30)


def test_a_taken_port_is_named(lab, bundle):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceProblem, match=f"cannot listen on 127.0.0.1:{port}"):
            with running_service(lab, bundle=bundle, port=port, program=PROGRAM):
                pass


def test_a_broken_bundle_is_told_with_its_reason(lab, bundle):
    (bundle / "name.txt").unlink()
    with pytest.raises(ServiceProblem, match="does not load"):
        with running_service(lab, bundle=bundle, program=PROGRAM):
            pass


def test_a_process_that_never_gets_ready_is_stopped(lab, tmp_path):
    note = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))"
    code = f"import os, time; {note}; time.sleep(60)"
    with pytest.raises(ServiceProblem, match="is not ready"):
        with running_service(lab, program=("-c", code), timeout_s=0.7):
            pass
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: not runs(pid))


PARENT = """
import os, sys
from pathlib import Path
from mlops_lab.foundation.settings import Settings
from mlops_lab.serving.launcher import running_service

folder, program = Path(sys.argv[1]), sys.argv[2]
settings = Settings(project=folder, workspace=folder / ".lab")
with running_service(settings, bundle=folder / "bundle", program=(program,)) as client:
    print(client.address, flush=True)
    sys.stdin.readline()
"""


def test_no_orphan_when_the_parent_is_killed(lab, bundle, tmp_path):
    root = Path(mlops_lab.__file__).parents[1]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), *PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=root,
        text=True,
    )
    address = parent.stdout.readline().strip()
    children = children_of(parent.pid)
    parent.kill()
    parent.communicate()
    assert address.startswith("http://127.0.0.1:") and len(children) == 1
    wait_for(lambda: not runs(children[0]))


def test_an_error_in_the_block_still_stops_the_service(lab, bundle):
    with pytest.raises(ZeroDivisionError):
        with running_service(lab, bundle=bundle, program=PROGRAM) as client:
            raise ZeroDivisionError
    assert not client.ready()


def test_the_key_travels_in_the_environment_only(lab):
    environment = launcher._child_environment(lab)
    assert environment["MLOPS_LAB_API_KEY"] == "secret" and environment["MLOPS_LAB_ENV"] == "dev"


def test_the_command_line_says_what_is_wrong(lab, monkeypatch, capsys):
    monkeypatch.setenv("MLOPS_LAB_HOST", "0.0.0.0")
    monkeypatch.setenv("MLOPS_LAB_API_KEY", "")
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert launcher.main(["--port", "0", "--workspace", str(lab.workspace)]) == 1
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "no key is set" in capsys.readouterr().err
