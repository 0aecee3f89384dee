"""Ask one bundle the same texts through every server it is made for, and compare the answers.

    mlops-lab bundle --out /some/new/folder
    python benchmarks/serving/bundle_answers.py /some/new/folder [--texts FILE]
        [--mlserver FILE] [--clean FILE]

`--texts` is a JSON list of texts, asked beside the golden ones; `--mlserver` is the program of an
environment with MLServer; `--clean` a Python that has nothing but the bundle's requirements.txt,
which is what its container has. Without them those are left out. Where a text may have several
labels, all that it is given are compared too.
"""

import argparse
import json
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from servers import Server, _free_port, ask, running

from mlops_lab.models.scorer import load_scorer


def tensor_request(texts):
    tensor = {"name": "text", "shape": [len(texts), 1], "datatype": "BYTES", "data": texts}
    return {"inputs": [tensor]}


def tensor_labels(answer):
    return next(out["data"] for out in answer["outputs"] if out["name"] == "label")


def tensor_answer(answer, labels):
    """Probabilities, and all labels of each text; None: the server tells the surest only."""
    told = {out["name"]: out["data"] for out in answer["outputs"]}
    return np.array(told["probabilities"]).reshape(-1, len(labels)), told.get("labels")


def mlflow_answer(answer, labels):
    rows = answer["predictions"]
    sets = [row["labels"] for row in rows] if "labels" in rows[0] else None
    return np.array([[row[label] for label in labels] for row in rows]), sets


def ours(bundle, name, python, environment):
    command = [python, "-m", "mlops_lab.serving.launcher", "--port", "{port}"]
    card = json.loads((bundle / "model/card.json").read_text())
    command += ["--bundle", str(bundle)]
    path = f"/v2/models/{card['name']}/infer"
    return Server(name, command, path, tensor_request, tensor_labels, environment), tensor_answer


def mlflow(bundle):
    program = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(bundle)]
    command = [*program, "--port", "{port}", "--env-manager", "local"]

    def wrap(texts):
        return {"dataframe_records": [{"text": text} for text in texts]}

    def read(answer):
        return [row["label"] for row in answer["predictions"]]

    return Server("mlflow models serve", command, "/invocations", wrap, read), mlflow_answer


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
    return Server("MLServer", command, path, tensor_request, tensor_labels, own), tensor_answer


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--mlserver", type=Path)
    parser.add_argument("--clean", type=Path)
    options = parser.parse_args()
    bundle = options.bundle.resolve()
    texts = json.loads((bundle / "model/golden.json").read_text())["texts"]
    texts += json.loads(options.texts.read_text()) if options.texts else []
    texts = [text for text in texts if text.strip()][:256]  # what one request may hold
    scores = load_scorer(bundle / "model").score(texts)  # which gives its golden answers, or fails
    expected, labels, top = scores.probabilities, scores.labels, scores.top
    sets = ["|".join(given) for given in scores.chosen] if scores.thresholds else None
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
        for server, read in cases:
            with running(server, texts, top) as (url, _, took):
                answer = ask(url, server.wrap(texts))
            rows, told_sets = read(answer, labels)
            off = float(np.abs(rows - expected).max())
            same = server.read(answer) == top and told_sets == sets
            told = f"{len(texts)} texts, labels {'equal' if same else 'DIFFER'}"
            told += f", {len(set(sets))} different sets of labels" if sets else ""
            print(f"{server.name:<22} {told}, largest difference {off:.1e}, start {took:.1f} s")
            if not same or off > 1e-6:
                sys.exit(1)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
