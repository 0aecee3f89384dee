"""Throw bytes at everything that reads what comes from outside, guided by coverage where possible.

    uv venv FUZZ && uv pip install --python FUZZ --constraint constraints.txt \\
        atheris numpy orjson sqlalchemy starlette uvicorn
    FUZZ/bin/python benchmarks/serving/parser_fuzz.py messages --seconds 60
    FUZZ/bin/python benchmarks/serving/parser_fuzz.py bundle --seconds 60 --model .lab/models/DIGEST

Targets: `messages` (the bodies of all routes, in both protocols, with binary tensors), `bundle`
(the files of a model folder behind a manifest that fits), `release` (a packed one), `settings` (the
file and the environment). Each may answer or refuse in its documented way; anything else is a
finding: it is written with its input, and the exit status is 1. With atheris new inputs are chosen
by coverage; without it, or with --plain, a mutator of our own changes the seeds at random. Run both
for `bundle`: coverage finds the small files, mutation the archive.
"""

import argparse
import io
import json
import os
import random
import shutil
import sys
import tarfile
import time
import traceback
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

try:
    import atheris
except ImportError:
    atheris = None

if atheris is not None:
    with atheris.instrument_imports(include=["mlops_lab"]):
        import mlops_lab.models.scorer
        import mlops_lab.serving.binary_tensors
        import mlops_lab.serving.inference_protocol
        import mlops_lab.tracking.release  # noqa: F401

from mlops_lab.foundation.errors import LabError
from mlops_lab.foundation.records import digest_file
from mlops_lab.foundation.settings import Settings, read_settings
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.models.scorer import load_scorer
from mlops_lab.serving import binary_tensors, inference_protocol, messages
from mlops_lab.serving.refusals import Refusal
from mlops_lab.serving.score_record import ScoreRecord
from mlops_lab.tracking.release import open_release, pack_release, seal_release

LIMITS = messages.limits_from(Settings(service_batch_limit=8, service_text_limit=200))
RECORD = ScoreRecord(
    "1", "2026", "", "good", "m", "1", "champion", "a", '{"a":0.75,"b":0.25}', 1, 4, 1, 0
)


# Messages


def score_body(body):
    asked = messages.read_score_request(body, LIMITS)
    assert 1 <= len(asked.texts) <= 8 and all(isinstance(text, str) for text in asked.texts)
    json.loads(messages.score_answer(asked, [RECORD] * len(asked.texts)))


def feedback_body(body):
    assert all(isinstance(part, str) for part in messages.read_feedback_request(body))


def infer_body(body, told=""):
    body = binary_tensors.inline_tensors(body, told)
    asked = inference_protocol.read_infer_request(body, LIMITS)
    words = [{"good": 1.0}] * len(asked.texts) if asked.explain else None
    answer = inference_protocol.infer_answer(asked, [RECORD] * len(asked.texts), explained=words)
    content, length = binary_tensors.pack_answer(answer, binary_tensors.binary_outputs(body))
    json.loads(content[:length])


def binary_body(body):
    """The first byte says how long the JSON is told to be, so that tensors can follow."""
    head, rest = body[:1] or b"\0", body[1:]
    cut = rest.find(b"|") if head[0] % 4 else head[0] % (len(rest) + 1)
    infer_body(
        rest.replace(b"|", b"", 1), str(max(cut, 0)) if head[0] % 8 else rest[:9].decode("latin-1")
    )


def try_message(data):
    readers = (
        score_body,
        feedback_body,
        infer_body,
        binary_body,
        inference_protocol.read_index_request,
    )
    if data:
        readers[data[0] % len(readers)](data[1:])


def message_seeds():
    tensor = {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["good", "bad"]}
    binary = tensor | {"parameters": {"binary_data_size": 16}}
    del binary["data"]
    outputs = [{"name": "label", "parameters": {"binary_data": True}}, {"name": "explanation"}]
    bodies = [
        (0, {"text": "good"}),
        (0, {"text": ["good", "bad"], "caller": "team", "explain": True, "model": "m"}),
        (1, {"score_id": "1f", "label": "joy", "source": "teacher"}),
        (2, {"inputs": [tensor], "id": "7", "outputs": outputs}),
        (2, {"inputs": [tensor], "parameters": {"binary_data_output": True}}),
        (4, {"ready": True}),
    ]
    seeds = [bytes([kind]) + json.dumps(body).encode() for kind, body in bodies]
    raw = b"\4\0\0\0good\4\0\0\0\xc3\xb1\xc3\xb1"
    return [*seeds, b"\x03\x01" + json.dumps({"inputs": [binary]}).encode() + b"|" + raw]


# Bundles


def try_bundle(data, *, model, place):
    """One file of the model is replaced, and the manifest made to fit: no seal defends it."""
    names = sorted(path.name for path in model.iterdir() if path.name != "manifest.json")
    which = names[data[0] % len(names)] if data else names[0]
    for name in names:
        (place / name).write_bytes(data[1:] if name == which else (model / name).read_bytes())
    files = {name: digest_file(place / name) for name in names}
    (place / "manifest.json").write_text(json.dumps({"files": files}))
    load_scorer(place)


def bundle_seeds(model):
    names = sorted(path.name for path in model.iterdir() if path.name != "manifest.json")
    return [bytes([number]) + (model / name).read_bytes() for number, name in enumerate(names)]


def try_release(data, *, place):
    path = place / "packed.tar"
    path.write_bytes(data)
    open_release(path, Workspace(place / "lab"))


def release_seeds(place):
    folder = place / "release"
    (folder / "model").mkdir(parents=True)
    (folder / "model/manifest.json").write_text("{}")
    seal_release(folder, {"name": "m", "version": "1"})
    pack_release(folder, place / "seed.tar")
    odd = io.BytesIO()
    with tarfile.open(fileobj=odd, mode="w") as tar:
        link = tarfile.TarInfo("model/x")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)
    return [(place / "seed.tar").read_bytes(), odd.getvalue()]


# Settings


def try_settings(data, *, place):
    """Text before NUL is the file, behind it stand key and value of the environment."""
    text, _, more = data.partition(b"\0")
    (place / "settings.ini").write_bytes(text)
    key, _, value = more.decode(errors="surrogateescape").partition("=")
    read_settings(place, environ={f"MLOPS_LAB_{key.upper()}": value} if key else {})


def settings_seeds():
    text = (Path(__file__).resolve().parents[2] / "settings.ini").read_bytes()
    return [text[:2000], b"[DEFAULT]\nport = 8080\n\0canary_share=0.2", b"[dev]\nhost=%(port)s"]


# Running


def mutate(data, chance):
    """Change a seed the ways a fuzzer does: bits, bytes, cuts, doubles and odd numbers."""
    data = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data) + 1)
        size = chance.choice((1, 1, 2, 4, 16, 64))
        piece = chance.choice(
            (b"\0", b"\xff", b'"', b"[", b"{", b"null", b"-1", b"1e999", b"\\ud800")
        )
        kind = chance.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at:at] = piece
        elif kind == 2:
            del data[at : at + size]
        elif kind == 3:
            data[at:at] = data[at : at + size]
        elif kind == 4:
            data[at : at + size] = chance.randbytes(size)
        else:
            data[at : at + len(piece)] = piece
    return bytes(data)


class Findings:
    """What was neither answered nor refused, once per place in the code."""

    def __init__(self, work):
        self.work, self.cases, self.refused, self.seen = work, 0, 0, {}

    def __call__(self, data):
        self.cases += 1
        try:
            self.work(data)
        except (LabError, Refusal):
            self.refused += 1
        except Exception as problem:
            frame = traceback.extract_tb(problem.__traceback__)[-1]
            where = (type(problem).__name__, frame.filename.rpartition("/")[2], frame.lineno)
            if where not in self.seen:
                self.seen[where] = data
                print(
                    f"finding: {problem!r:.200} at {where[1]}:{where[2]}, input {data[:300]!r}",
                    flush=True,
                )

    def tell(self, seconds):
        told = f"{self.cases} cases in {seconds:.0f} s of processor time, {self.refused} refused"
        print(f"{told}, {len(self.seen)} findings", flush=True)


def run_plain(findings, seeds, *, seconds, seed):
    chance, end = random.Random(seed), time.process_time() + seconds
    for data in seeds:
        findings(data)
    while time.process_time() < end:
        findings(mutate(chance.choice(seeds), chance))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=("messages", "bundle", "release", "settings"))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", type=Path, help="a model folder, for bundle")
    parser.add_argument("--plain", action="store_true", help="without atheris, though it is here")
    options = parser.parse_args()
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        place = Path(folder)
        work, seeds = {
            "messages": lambda: (try_message, message_seeds()),
            "bundle": lambda: (
                partial(try_bundle, model=options.model, place=make(place / "model")),
                bundle_seeds(options.model),
            ),
            "release": lambda: (partial(try_release, place=place), release_seeds(place)),
            "settings": lambda: (partial(try_settings, place=place), settings_seeds()),
        }[options.target]()
        findings, began = Findings(work), time.process_time()
        if atheris is None or options.plain:
            run_plain(findings, seeds, seconds=options.seconds, seed=options.seed)
            findings.tell(time.process_time() - began)
            return 1 if findings.seen else 0
        run_guided(findings, seeds, place, options)


def make(folder):
    folder.mkdir()
    return folder


def run_guided(findings, seeds, place, options):
    """Hand over to atheris, which never comes back: the last case ends the process."""
    corpus = make(place / "corpus")
    for number, data in enumerate(seeds):
        (corpus / f"{number}").write_bytes(data)
    most, began = max(4096, *(2 * len(data) for data in seeds)), time.process_time()

    def count(data):
        findings(data)
        if time.process_time() - began > options.seconds:
            findings.tell(time.process_time() - began)
            shutil.rmtree(place, ignore_errors=True)
            os._exit(1 if findings.seen else 0)

    words = [sys.argv[0], str(corpus), f"-seed={options.seed}", f"-max_len={most}"]
    atheris.Setup([*words, "-verbosity=0"], count)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
