"""What shadow copies cost the callers: p99 with copies against p99 without, in one run.

Three services of the same models run side by side, each with a canary on a tenth of the callers.
One of them makes copies as well; of the two without, one is there to show what the machine does by
itself (`same`). The same load goes to each in turn, in many short windows; each figure is the
median over all turns. `closed` keeps 8 connections busy without a pause, `paced` sends at a fixed
rate and counts from the moment a request was due. Where others use the machine, read `same` first.

    python benchmarks/serving/canary_shadow.py   (5 minutes; writes canary_shadow.json)
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from mlops_lab.data.world import world_frame
from mlops_lab.foundation.settings import Settings
from mlops_lab.foundation.workspace import open_workspace
from mlops_lab.models.tasks import label_space
from mlops_lab.models.training import train_candidate, write_bundle
from mlops_lab.serving.launcher import running_service
from mlops_lab.serving.observations import read_state
from mlops_lab.tracking.registry import Registry
from mlops_lab.tracking.trials import Terms, Trials

CONNECTIONS, RATE_PER_S, COPIES_PER_S = 8, 300, 100
WHO = ("benchmark", "operator", "measure the cost of copies")
TEXTS = world_frame(500)["text"].tolist()


def make_bundles(folder):
    """Train two small models on other rows, and write both."""
    frame = world_frame(3000)[["text", "emotion", "language"]].rename(columns={"emotion": "label"})
    task = label_space("emotion", frame["label"])
    for number, rows in enumerate((frame[:1200], frame[1200:2400]), start=1):
        dev = frame[2400:].reset_index(drop=True)
        trained = train_candidate("tfidf_logistic", rows.reset_index(drop=True), dev=dev, task=task)
        write_bundle(trained, folder / str(number))
    return folder / "1", folder / "2"


def open_lab(folder, bundles):
    """Make a lab with a champion, and another version to be tried."""
    settings = Settings(project=folder, workspace=folder / ".lab", service_queue_limit=10_000)
    registry = Registry(open_workspace(settings).create(), mirrored=False)
    versions = [registry.register(bundle, run_id="run", metrics={}) for bundle in bundles]
    signed = dict(zip(("by", "role", "reason"), WHO, strict=True))
    registry.promote(versions[0], **signed, evidence={})
    return settings, Trials(registry)


def begin_trial(trials, client, copies_per_s):
    """Begin a trial that nothing ends, and wait until it is at work."""
    terms = Terms(copies_per_s=copies_per_s, automatic="none", labels=10**9)
    trial = trials.start(2, terms, signed=WHO)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        client.score("a first text")
        state = read_state(trials.registry.lab)
        if (
            state
            and state["line"] == trial.line
            and bool(state["copies"].get("made")) == bool(copies_per_s)
        ):
            return
        time.sleep(0.2)
    raise SystemExit("the trial was not taken up")


async def send(address, number, until, told, pace_s):
    """Send over one connection until the window ends."""
    where = urlsplit(address)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    due = time.perf_counter() + pace_s * number / CONNECTIONS
    while (now := time.perf_counter()) < until:
        if pace_s:
            await asyncio.sleep(max(0.0, due - now))
        began = due if pace_s else now
        text = TEXTS[len(told) % len(TEXTS)]
        body = json.dumps({"text": text, "caller": f"caller {len(told) % 1000}"}).encode()
        head = f"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        told.append((time.perf_counter() - began) * 1000)
        due += pace_s
    writer.close()


async def load(address, seconds, pace_s):
    """Load a service for a while; give the milliseconds of each answer."""
    told, until = [], time.perf_counter() + seconds
    await asyncio.gather(*(send(address, n, until, told, pace_s) for n in range(CONNECTIONS)))
    return np.array(told)


def used_s(process):
    """Processor seconds a process has used, which other work on the machine hardly changes."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children():
    """The processes this one has started."""
    found = Path("/proc/self/task").glob("*/children")
    return {int(one) for path in found for one in path.read_text().split()}


def compare(services, windows, seconds, pace_s):
    """Load all in turn; give medians of each, and of its ratios to the one without."""
    found, used, sent = {name: [] for name in services}, Counter(), Counter()
    for window in range(windows):
        names = list(services)
        for name in names[window % 3 :] + names[: window % 3]:
            address, process = services[name]
            before = used_s(process)
            told = asyncio.run(load(address, seconds, pace_s))
            used[name], sent[name] = used[name] + used_s(process) - before, sent[name] + len(told)
            found[name].append((*np.percentile(told, (50, 99)), len(told) / seconds))
    found = {name: np.array(rows) for name, rows in found.items()}
    spent = {name: used[name] / sent[name] * 1000 for name in services}
    return {
        name: describe(rows, rows / found["without"])
        | {"processor ms a request": round(spent[name], 3)}
        | {"processor ms a request, ratio": round(spent[name] / spent["without"], 3)}
        for name, rows in found.items()
    }


def describe(rows, ratios):
    """Tell p50, p99 and rate of one service, and how they stand to the one without copies."""
    medians, ratio = np.median(rows, axis=0), np.median(ratios, axis=0)
    names = ("p50 ms", "p99 ms", "requests a second")
    told = {name: round(float(value), 3) for name, value in zip(names, medians, strict=True)}
    told |= {f"{n}, ratio": round(float(v), 3) for n, v in zip(names, ratio, strict=True)}
    half = np.percentile(ratios[:, 1], (25, 75))
    return told | {"p99 ms, ratio, middle half": [round(float(value), 3) for value in half]}


def measure(windows, seconds):
    """Start the services, measure, and tell how many copies were made meanwhile."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        bundles, services, labs = make_bundles(Path(folder)), {}, {}
        for name, copies in (("without", 0), ("same", 0), ("with", COPIES_PER_S)):
            settings, trials = open_lab(Path(folder) / name, bundles)
            before = children()
            client = stack.enter_context(running_service(settings))
            services[name] = client.address, (children() - before).pop()
            begin_trial(trials, client, copies)
            labs[name] = trials.registry.lab
        result = {"windows": windows, "seconds each": seconds, "copies a second": COPIES_PER_S}
        result |= {"niceness": os.nice(0), "load average before": round(os.getloadavg()[0], 1)}
        result["paced"] = compare(services, windows, seconds, CONNECTIONS / RATE_PER_S)
        result["closed"] = compare(services, windows // 3, seconds, 0.0)
        time.sleep(1.5)
        return result | {"copies": read_state(labs["with"])["copies"]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--write", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    told = measure(options.windows, options.seconds)
    options.write.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told, indent=1))
