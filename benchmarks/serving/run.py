"""Our scoring service, an empty endpoint and standard servers: one model, one client, one run.

    python benchmarks/serving/run.py --bundle DIR [--seconds 3] [--rounds 2] [--quick]

Every figure is a ratio against the empty endpoint of the same round; results.json keeps the raw
figures with load, cores and versions. MLServer is measured when SERVING_PEERS names a folder with
a virtual environment `mlserver` in it, and is "not installed" otherwise.
"""

import argparse
import json
import os
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path
from statistics import median

import servers
from load import client_name, measure

from mlops_lab.data.world import world_frame
from mlops_lab.models.scorer import load_scorer

HERE = Path(__file__).parent
GRID = [(1, 1), (1, 8), (1, 64), (64, 1), (64, 8)]  # texts in a request, connections
LADDER = {
    "without validation": ["validation"],
    "without router": ["router"],
    "without store": ["store"],
    "without cleaning": ["cleaning"],
    "without metrics": ["metrics"],
    "through the writer thread": ["thread"],
    "durability power": ["power"],
}


def bodies(server, texts, size):
    groups = [texts[i : i + size] for i in range(0, len(texts) - size + 1, size)]
    return [json.dumps(server.wrap(group)) for group in groups]


def shot(running, server, texts, cell, options, folder):
    size, connections = cell
    url, pid, _ = running
    before = servers.cpu_s(pid)
    seen = measure(
        url,
        bodies(server, texts, size),
        connections=connections,
        seconds=options.seconds,
        folder=folder,
    )
    used = servers.cpu_s(pid) - before
    requests = max(seen.per_s * options.seconds, 1)
    return {
        "server": server.name,
        "texts": size,
        "connections": connections,
        "per_s": round(seen.per_s, 1),
        "p50_ms": round(seen.p50_ms, 3),
        "p99_ms": round(seen.p99_ms, 3),
        "not_200": seen.refused,
        "cpu_us": round(used / requests * 1e6, 1),
        "load": round(os.getloadavg()[0], 2),
    }


def one_round(chosen, texts, expected, options, folder):
    """Each server in turn, with the empty endpoint right before each cell."""
    rows, starts = [], []
    blank = servers.empty()
    with servers.running(blank, texts, expected) as reference:
        for server, cells in chosen:
            with servers.running(server, texts, expected) as running:
                _, pid, took = running
                measure(
                    running[0],
                    bodies(server, texts, 1)[:500],
                    connections=8,
                    seconds=1,
                    folder=folder,
                )
                for cell in cells:
                    base = shot(reference, blank, texts, (1, cell[1]), options, folder)
                    row = shot(running, server, texts, cell, options, folder)
                    row["empty_per_s"], row["empty_cpu_us"] = base["per_s"], base["cpu_us"]
                    row["of_empty"] = round(row["per_s"] / base["per_s"], 4)
                    row["cpu_of_empty"] = round(base["cpu_us"] / max(row["cpu_us"], 1e-9), 4)
                    rows.append(row)
                    print(json.dumps(row), flush=True)
                starts.append(
                    {
                        "server": server.name,
                        "start_s": round(took, 2),
                        "resident_mb": servers.resident_mb(pid),
                        "tensorflow": servers.has_tensorflow(pid),
                    }
                )
                print(json.dumps(starts[-1]), flush=True)
    return rows, starts


def summary(rows, starts):
    """One line per server and cell: medians of the rounds."""
    lines = {}
    for row in rows:
        lines.setdefault((row["server"], row["texts"], row["connections"]), []).append(row)
    table = [
        dict(zip(("server", "texts", "connections"), key, strict=True))
        | {
            name: round(median(row[name] for row in group), 4)
            for name in ("per_s", "p50_ms", "p99_ms", "cpu_us", "of_empty", "cpu_of_empty")
        }
        for key, group in lines.items()
    ]
    seconds = {}
    for start in starts:
        seconds.setdefault(start["server"], []).append(start)
    begun = [
        {"server": name, "start_s": median(one["start_s"] for one in group)}
        | {key: group[-1][key] for key in ("resident_mb", "tensorflow")}
        for name, group in seconds.items()
    ]
    return table, begun


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the model to serve")
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one round, ours only")
    options = parser.parse_args()
    texts = world_frame(4000, seed=11)["text"].tolist()
    expected = load_scorer(options.bundle).score(texts[:64]).top
    peers = Path(os.environ.get("SERVING_PEERS", "none")) / "mlserver/bin/mlserver"
    rows, starts, missing = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder, single = Path(name), [(1, 1), (1, 64)]
        chosen = [(servers.ours("ours", options.bundle, folder / "lab"), GRID)]
        chosen += [
            (servers.ours(f"ours {name}", options.bundle, folder, *parts), single)
            for name, parts in LADDER.items()
        ]
        if not options.quick:
            chosen.append((servers.mlflow(options.bundle, folder), GRID))
            if peers.is_file():
                chosen.append((servers.mlserver(options.bundle, folder, peers), GRID))
            else:
                missing.append("MLServer: not installed")
        for _ in range(1 if options.quick else options.rounds):
            found = one_round(chosen, texts, expected, options, folder)
            rows += found[0]
            starts += found[1]
    table, begun = summary(rows, starts)
    told = ("mlflow", "starlette", "uvicorn", "uvloop", "httptools", "numpy", "tensorflow")
    record = {
        "client": client_name(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in told},
        "missing": missing,
        "summary": table,
        "starts": begun,
        "raw": rows,
    }
    (HERE / "results.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
