"""Start the servers of the benchmark, one at a time, and stop them again."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass
class Server:
    """A way to serve the same model."""

    name: str
    command: list[str]  # {port} is filled in
    path: str  # where scores are asked for
    wrap: object  # texts in, body out
    read: object  # answer in, labels out; None: an empty answer
    environment: dict = None


def _plain(texts):
    return {"text": texts[0] if len(texts) == 1 else texts}


def _labels(answer):
    return [score["label"] for score in answer.get("scores", [answer])]


def ours(name, bundle, folder, *parts):
    command = [sys.executable, str(HERE / "ladder.py"), "{port}", str(bundle), *parts]
    if not parts:
        launcher = ["-m", "mlops_lab.serving.launcher", "--port", "{port}"]
        command = [sys.executable, *launcher, "--bundle", str(bundle), "--workspace", str(folder)]
    return Server(name, command, "/score", _plain, _labels)


def empty():
    command = [sys.executable, str(HERE / "empty.py"), "{port}"]
    return Server("empty Starlette endpoint", command, "/score", _plain, None)


def mlflow(bundle, folder):
    """The Keras form of the bundle behind `mlflow models serve`."""
    import mlflow.pyfunc

    target = folder / "mlflow_model"
    mlflow.pyfunc.save_model(
        target,
        python_model=str(HERE / "keras_model.py"),
        artifacts={"bundle": str(bundle)},
        pip_requirements=["mlflow"],
    )
    labels = json.loads((bundle / "card.json").read_text())["labels"]
    program = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(target)]
    command = [*program, "-p", "{port}", "--env-manager", "local"]

    def read(answer):
        return [labels[row.index(max(row))] for row in answer["predictions"]]

    name = "mlflow models serve, Keras direct call"
    return Server(name, command, "/invocations", lambda texts: {"inputs": texts}, read)


def mlserver(bundle, folder, program):
    """MLServer with adaptive batching around our NumPy scorer; `program` is its own."""
    home = folder / "mlserver_model"
    home.mkdir()
    shutil.copy(HERE / "mlserver_runtime.py", home)
    model = {
        "name": "bag",
        "implementation": "mlserver_runtime.Bag",
        "max_batch_size": 64,
        "max_batch_time": 0.005,
        "parameters": {"uri": str(bundle)},
    }
    (home / "model-settings.json").write_text(json.dumps(model))
    start = (
        f"import json, sys; json.dump({{'host': '127.0.0.1', 'http_port': int(sys.argv[1]), "
        f"'grpc_port': int(sys.argv[1]) + 1, 'metrics_port': int(sys.argv[1]) + 2, "
        f"'parallel_workers': 0}}, open({str(home / 'settings.json')!r}, 'w')); "
        f"import os; os.execv({str(program)!r}, ['mlserver', 'start', {str(home)!r}])"
    )

    def wrap(texts):
        tensor = {"name": "text", "shape": [len(texts), 1], "datatype": "BYTES", "data": texts}
        return {"inputs": [tensor]}

    def read(answer):
        return next(out["data"] for out in answer["outputs"] if out["name"] == "label")

    command = [sys.executable, "-c", start, "{port}"]
    path = "/v2/models/bag/infer"
    more = {"PYTHONPATH": os.pathsep.join((str(home), os.environ.get("PYTHONPATH", "")))}
    return Server("MLServer, NumPy, adaptive batching", command, path, wrap, read, more)


def _free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def ask(url, body):
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def family(pid):
    """A process and its children."""
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            waiting += map(int, task.read_text().split())
    return found


def resident_mb(pid):
    """Memory that is really taken: shared pages count once (PSS)."""
    kb = 0
    for one in family(pid):
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            kb += int(line.split()[1]) if line.startswith("Pss:") else 0
    return round(kb / 1024, 1)


def cpu_s(pid):
    """Processor seconds of a process and its children so far."""
    ticks = 0
    for one in family(pid):
        parts = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(parts[11]) + int(parts[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def has_tensorflow(pid):
    maps = "".join(Path(f"/proc/{one}/maps").read_text() for one in family(pid))
    return "libtensorflow" in maps


@contextmanager
def running(server, texts, expected):
    """Run a server; give its address, pid, and seconds to the first correct answer."""
    port, began = _free_port(), time.perf_counter()
    command = [part.replace("{port}", str(port)) for part in server.command]
    environment = os.environ | (server.environment or {})
    child = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}{server.path}"
    try:
        while True:
            try:
                answer = ask(url, server.wrap(texts[:1]))
                break
            except (OSError, urllib.error.URLError):
                if child.poll() is not None or time.perf_counter() - began > 180:
                    raise RuntimeError(f"{server.name} did not start") from None
                time.sleep(0.01)
        took = time.perf_counter() - began
        if server.read is not None:
            if server.read(answer) != expected[:1]:
                raise RuntimeError(f"{server.name} answers {answer}")
            many = server.read(ask(url, server.wrap(texts[:64])))
            if many != expected[:64]:
                raise RuntimeError(f"{server.name} answers many texts differently")
        yield url, child.pid, took
    finally:
        with suppress(ProcessLookupError):  # it may have ended by itself
            os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
