"""Ask one bundle the same texts through every server it is made for, and compare the answers.

    mlops-lab bundle --out /some/new/folder
    python benchmarks/serving/bundle_answers.py /some/new/folder [--mlserver FILE] [--clean FILE]

`--mlserver` is the program of an environment with MLServer; `--clean` a Python that has nothing
but the bundle's requirements.txt, which is what its container has. Without them those are left out.
"""

import argparse
import json
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from servers import Server, _free_port, ask, running


def tensor_request(texts):
    tensor = {"name": "text", "shape": [len(texts), 1], "datatype": "BYTES", "data": texts}
    return {"inputs": [tensor]}


def tensor_labels(answer):
    return next(out["data"] for out in answer["outputs"] if out["name"] == "label")


def tensor_rows(answer, labels):
    found = next(out["data"] for out in answer["outputs"] if out["name"] == "probabilities")
    return np.array(found).reshape(-1, len(labels))


def mlflow_rows(answer, labels):
    return np.array([[row[label] for label in labels] for row in answer["predictions"]])


def ours(bundle, name, python, environment):
    command = [python, "-m", "mlops_lab.serving.launcher", "--port", "{port}"]
    card = json.loads((bundle / "model/card.json").read_text())
    command += ["--bundle", str(bundle)]
    path = f"/v2/models/{card['name']}/infer"
    return Server(name, command, path, tensor_request, tensor_labels, environment), tensor_rows


def mlflow(bundle):
    program = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(bundle)]
    command = [*program, "--port", "{port}", "--env-manager", "local"]

    def wrap(texts):
        return {"dataframe_records": [{"text": text} for text in texts]}

    def read(answer):
        return [row["label"] for row in answer["predictions"]]

    return Server("mlflow models serve", command, "/invocations", wrap, read), mlflow_rows


def mlserver(bundle, program):
    name = json.loads((bundle / "model-settings.json").read_text())["name"]
    ports = [_free_port() for _ in range(2)]
    own = {"MLSERVER_HOST": "127.0.0.1", "MLSERVER_PARALLEL_WORKERS": "0"}
    own |= {"MLSERVER_GRPC_PORT": str(ports[0]), "MLSERVER_METRICS_PORT": str(ports[1])}
    start = (
        "import os, sys; os.environ['MLSERVER_HTTP_PORT'] = sys.argv[1]; "
        f"os.execv({str(program)!r}, ['mlserver', 'start', {str(bundle)!r}])"
    )
    command = [sys.executable, "-c", start, "{port}"]
    path = f"/v2/models/{name}/infer"
    own |= {"PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    return Server("MLServer", command, path, tensor_request, tensor_labels, own), tensor_rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--mlserver", type=Path)
    parser.add_argument("--clean", type=Path)
    options = parser.parse_args()
    bundle = options.bundle.resolve()
    golden = json.loads((bundle / "model/golden.json").read_text())
    labels = json.loads((bundle / "model/card.json").read_text())["labels"]
    pairs = zip(golden["texts"], golden["probabilities"], strict=True)
    texts, expected = zip(*[pair for pair in pairs if pair[0].strip()], strict=True)
    expected = np.array(expected)
    top = [labels[i] for i in expected.argmax(axis=1)]
    with TemporaryDirectory() as folder:
        home = {"MLOPS_LAB_WORKSPACE": folder}
        root = str(Path(__file__).parents[2])
        cases = [ours(bundle, "mlops-lab serve", sys.executable, home | {"PYTHONPATH": root})]
        if options.clean:
            alone = home | {"PYTHONPATH": str(bundle / "code"), "PYTHONDONTWRITEBYTECODE": "1"}
            cases.append(ours(bundle, "as in the container", str(options.clean), alone))
        cases.append(mlflow(bundle))
        if options.mlserver:
            cases.append(mlserver(bundle, options.mlserver))
        for server, rows in cases:
            with running(server, list(texts), top) as (url, _, took):
                answer = ask(url, server.wrap(list(texts)))
            off = float(np.abs(rows(answer, labels) - expected).max())
            same = server.read(answer) == top
            told = f"{len(texts)} texts, labels {'equal' if same else 'DIFFER'}"
            print(f"{server.name:<22} {told}, largest difference {off:.1e}, start {took:.1f} s")
            if not same or off > 1e-6:
                sys.exit(1)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
