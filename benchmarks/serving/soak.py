"""Hold the service at 70 % of its maximum rate: flat memory, steady times, no lost score.

python benchmarks/serving/soak.py --bundle DIR [--seconds 600]
"""

import argparse
import asyncio
import json
import re
import tempfile
import time
from pathlib import Path

import servers
from load import measure

from mlops_lab.data.world import world_frame
from mlops_lab.models.scorer import load_scorer
from mlops_lab.serving.score_store import ScoreStore

CONNECTIONS = 16
SHARE = 0.7


async def _steady(address, texts, per_s, end, seen):
    """Ask on schedule over one connection; late ones are not made up for."""
    host, port = re.match(r"http://([^:/]+):(\d+)", address).groups()
    reader, writer = await asyncio.open_connection(host, int(port))
    number = 0
    while time.perf_counter() < end:
        due = time.perf_counter() + 1 / per_s
        body = json.dumps({"text": texts[number % len(texts)]}).encode()
        number += 1
        began = time.perf_counter()
        writer.write(b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body))
        writer.write(body)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head.lower())[1])
        answer = json.loads(await reader.readexactly(length))
        seen.append((time.perf_counter() - began, answer.get("score_id")))
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    writer.close()


async def _soak(address, texts, per_s, seconds, pid):
    seen, memory, end = [], [], time.perf_counter() + seconds
    each = [
        asyncio.create_task(_steady(address, texts[n::CONNECTIONS], per_s / CONNECTIONS, end, seen))
        for n in range(CONNECTIONS)
    ]
    while not all(task.done() for task in each):
        memory.append(servers.resident_mb(pid))
        await asyncio.sleep(max(seconds / 20, 0.5))
    await asyncio.gather(*each)
    return seen, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=600)
    options = parser.parse_args()
    texts = world_frame(4000, seed=11)["text"].tolist()
    expected = load_scorer(options.bundle).score(texts[:64]).top
    with tempfile.TemporaryDirectory() as name:
        server = servers.ours("ours", options.bundle, Path(name) / "lab")
        with servers.running(server, texts, expected) as (url, pid, _):
            asked = [json.dumps({"text": text}) for text in texts]
            full = measure(url, asked, connections=CONNECTIONS, seconds=5, folder=Path(name))
            rate = SHARE * full.per_s
            seen, memory = asyncio.run(_soak(url, texts, rate, options.seconds, pid))
        store = ScoreStore(Path(name) / "lab" / "scores.db")
        told = [score_id for _, score_id in seen]
        kept = set(store.frame(limit=10**8)["score_id"])
        store.close()
    times = sorted(1000 * took for took, _ in seen)
    quarter = max(len(memory) // 4, 1)
    record = {
        "seconds": options.seconds,
        "asked_per_s": round(rate, 1),
        "answered_per_s": round(len(seen) / options.seconds, 1),
        "p50_ms": round(times[len(times) // 2], 3),
        "p99_ms": round(times[int(len(times) * 0.99)], 3),
        "answers_without_id": told.count(None),
        "lost": len(set(told) - {None} - kept),
        "resident_mb_second_quarter": memory[quarter : 2 * quarter],
        "resident_mb_last_quarter": memory[-quarter:],
    }
    print(json.dumps(record, indent=1))
    (Path(__file__).parent / "soak.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
