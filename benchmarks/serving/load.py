"""One client for all servers: a closed loop over raw sockets, and its figures.

`wrk` is used where it is installed, because a client in Python takes as much processor as the
server; otherwise the same loop runs here, and results.json says which it was.
"""

import asyncio
import json
import re
import shutil
import subprocess
import time
from dataclasses import dataclass


@dataclass
class Figures:
    """What one client saw."""

    per_s: float  # answered requests
    p50_ms: float
    p99_ms: float
    refused: int  # answers that were no 200


def _lua(path, bodies):
    quoted = ",\n".join("[==[" + body + "]==]" for body in bodies)
    path.write_text(
        f"local bodies = {{{quoted}}}\n"
        "wrk.method = 'POST'\nwrk.headers['content-type'] = 'application/json'\n"
        "local n = 0\n"
        "function request() n = n % #bodies + 1\n"
        " return wrk.format(nil, nil, nil, bodies[n]) end\n"
        "function done(summary, latency)\n"
        " io.write(string.format('FIGURES %d %d %f %f %d\\n', summary.requests, summary.duration,\n"
        "  latency:percentile(50), latency:percentile(99), summary.errors.status)) end\n"
    )


def _wrk(url, bodies, connections, seconds, folder):
    script = folder / "bodies.lua"
    _lua(script, bodies)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s"]
    told = subprocess.run([*command, "-s", str(script), url], capture_output=True, text=True)
    found = re.search(r"FIGURES (\d+) (\d+) ([\d.]+) ([\d.]+) (\d+)", told.stdout)
    if found is None:
        raise RuntimeError(f"wrk failed: {told.stdout[-300:]} {told.stderr[-300:]}")
    requests, micros, p50, p99, refused = map(float, found.groups())
    return Figures(requests / micros * 1e6, p50 / 1000, p99 / 1000, int(refused))


async def _one_connection(host, port, path, bodies, end, seen):
    reader, writer = await asyncio.open_connection(host, port)
    number = id(reader)
    while time.perf_counter() < end:
        number += 1
        body = bodies[number % len(bodies)].encode()
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        began = time.perf_counter()
        writer.write(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
        told = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", told.lower())[1])
        await reader.readexactly(length)
        seen.append((time.perf_counter() - began, told[9:12] == b"200"))
    writer.close()


async def _python(url, bodies, connections, seconds):
    host, port, path = re.match(r"http://([^:/]+):(\d+)(/.*)", url).groups()
    seen, end = [], time.perf_counter() + seconds
    await asyncio.gather(
        *(_one_connection(host, int(port), path, bodies, end, seen) for _ in range(connections))
    )
    times = sorted(1000 * took for took, _ in seen)
    refused = sum(not good for _, good in seen)
    return Figures(
        len(times) / seconds, times[len(times) // 2], times[int(len(times) * 0.99)], refused
    )


def client_name():
    """Which client measures."""
    return "wrk" if shutil.which("wrk") else "python"


def measure(url, bodies, *, connections, seconds, folder):
    """Load a server for some seconds."""
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    if client_name() == "wrk":
        return _wrk(url, texts, connections, seconds, folder)
    return asyncio.run(_python(url, texts, connections, seconds))
