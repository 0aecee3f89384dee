"""What shadow copies cost the callers: p99 with copies against p99 without, in one service.

A service with a canary on a tenth of the callers is loaded in blocks. From block to block its trial
is begun anew: without copies, without copies again (`same`, which shows what the machine does by
itself) or with copies. So a service is only compared with itself; two processes of the same program
may differ by more than what is measured. Each ratio is of all answers of a kind together, with the
interval in which nine of ten draws of the blocks fall.

Blocks differ too, so there is a second look: when copies are made is written down, and all answers
of the blocks with copies stand against those of the same blocks that no copy was made beside.

`closed` keeps 8 connections busy without a pause, `paced` sends at a fixed rate and counts from the
moment a request was due. Where others use the machine, read `same` first.

    python benchmarks/serving/canary_shadow.py   (15 minutes; writes canary_shadow.json)
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections import Counter
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
KINDS = {"without": 0, "same": 0, "with": COPIES_PER_S}  # copies a second
WHO = ("benchmark", "operator", "measure the cost of copies")
TEXTS = world_frame(500)["text"].tolist()
SETTLE_S = 2.0  # after a trial began, whose process of copies takes a second to start
WATCHED = """
import sys, time
from mlops_lab.serving import copies, launcher

def watched(copier, records, copy=copies.Copier._copy):
    began = time.perf_counter()
    copy(copier, records)
    with open({turns!r}, "a") as file:
        file.write(f"{{began}} {{time.perf_counter()}}\\n")

copies.Copier._copy = watched
sys.exit(launcher.main())
"""


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
    if trials.running():
        trials.end("stop", signed=WHO, evidence={})
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
            return time.sleep(SETTLE_S)
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
        told.append((began, time.perf_counter()))
        due += pace_s
    writer.close()


async def load(address, seconds, pace_s):
    """Load a service for a while; give when each answer was asked for, and when it was there."""
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


def compare(service, blocks, seconds, pace_s):
    """Load a service in blocks of each kind; tell how the kinds stand to the one without copies."""
    trials, client, process, turns = service
    told, used = {name: [] for name in KINDS}, Counter()
    for block in range(blocks):
        names = list(KINDS)[block % 3 :] + list(KINDS)[: block % 3]
        for name in names:
            begin_trial(trials, client, KINDS[name])
            before = used_s(process)
            told[name].append(asyncio.run(load(client.address, seconds, pace_s)))
            used[name] += used_s(process) - before
    met = [meets(answers, np.loadtxt(turns, ndmin=2)) for answers in told["with"]]
    spent = {name: used[name] / sum(map(len, told[name])) * 1000 for name in KINDS}
    times = {
        name: [(ended - began) * 1000 for began, ended in map(np.transpose, told[name])]
        for name in KINDS
    }
    found = {
        name: describe(times[name])
        | compared(times[name], times["without"])
        | {"processor ms a request": round(spent[name], 3)}
        for name in KINDS
    }
    beside = [answers[~one] for answers, one in zip(times["with"], met, strict=True)]
    found["with, but no copy beside"] = describe(beside)
    found["with"] |= {"made beside a copy": round(float(np.concatenate(met).mean()), 4)}
    return found | {"with, against those with no copy beside": compared(times["with"], beside)}


def meets(answers, turns):
    """Tell which answers were made while copies were made."""
    began, ended = answers.T
    first = np.searchsorted(turns[:, 1], began)  # the first turn that ends later
    return np.append(turns[:, 0], np.inf)[first] < ended


def describe(blocks):
    """Tell p50 and p99 of all answers."""
    p50, p99 = np.percentile(np.concatenate(blocks), (50, 99))
    return {"answers": sum(map(len, blocks)), "p50 ms": round(p50, 3), "p99 ms": round(p99, 3)}


def compared(blocks, others):
    """Tell how p50 and p99 stand to those of other blocks."""
    chance, both = np.random.default_rng(0), list(zip(blocks, others, strict=True))

    def ratio(pairs, percent):
        ours, theirs = map(np.concatenate, zip(*pairs, strict=True))
        return float(np.percentile(ours, percent) / np.percentile(theirs, percent))

    draws = (chance.integers(0, len(both), len(both)) for _ in range(500))
    drawn = [ratio([both[place] for place in places], 99) for places in draws]
    return {
        "p50, ratio": round(ratio(both, 50), 3),
        "p99, ratio": round(ratio(both, 99), 3),
        "p99, ratio, nine of ten": [round(float(v), 3) for v in np.percentile(drawn, (5, 95))],
    }


def measure(blocks, seconds):
    """Start a service, measure, and tell what the machine did before."""
    with tempfile.TemporaryDirectory() as folder:
        settings, trials = open_lab(Path(folder) / "lab", make_bundles(Path(folder)))
        turns, before = f"{folder}/turns", children()
        with running_service(settings, program=("-c", WATCHED.format(turns=turns))) as client:
            service = trials, client, (children() - before).pop(), turns
            result = {"blocks of each kind": blocks, "seconds each": seconds}
            result |= {"copies a second": COPIES_PER_S, "sent a second, paced": RATE_PER_S}
            result |= {"niceness": os.nice(0), "load average before": round(os.getloadavg()[0], 1)}
            result["paced"] = compare(service, blocks, seconds, CONNECTIONS / RATE_PER_S)
            result["closed"] = compare(service, blocks // 2, seconds, 0.0)
        return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--write", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    told = measure(options.blocks, options.seconds)
    options.write.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told, indent=1))
