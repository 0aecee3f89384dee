"""Run a command with a time limit and tell what it took: time, processor time, memory."""

import os
import platform
import signal
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Taken:
    "What a command took."

    code: int  # exit status; -1: its time was up
    seconds: float  # wall time
    cpu_s: float  # processor time of all its processes, as far as sampling saw it
    rss_mb: float  # peak of the sum of resident memory; shared pages count once per process
    pss_mb: float  # the same with shared pages counted once (0 where not sampled)
    said: str  # end of what it printed

    @property
    def passed(self) -> bool:
        "Whether it ended well."
        return self.code == 0


def _family(
    root: int,  # a process
) -> list[tuple[int, float, int]]:  # process, processor seconds, resident bytes
    "List a process and all below it."
    children: dict[int, list[int]] = {}
    facts = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            rest = text[text.rindex(")") + 2 :].split()
            children.setdefault(int(rest[1]), []).append(int(entry))
            cpu = (int(rest[11]) + int(rest[12])) / _TICK
            facts[int(entry)] = (int(entry), cpu, int(rest[21]) * _PAGE)
    found, waiting = [], [root]
    while waiting:
        one = waiting.pop()
        if one in facts:
            found.append(facts[one])
        waiting += children.get(one, [])
    return found


def _proportional(
    process: int,
) -> int:  # bytes
    "Resident memory with shared pages split among those who share them."
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


class _Watch(threading.Thread):
    "Samples the processes of a command until told to stop."

    def __init__(self, root: int, shared: bool) -> None:
        super().__init__(daemon=True)
        self._root, self._shared = root, shared
        self.ended = threading.Event()
        self.cpu: dict[int, float] = {}
        self.rss = self.pss = 0

    def run(self) -> None:
        "Sample ten times a second."
        while not self.ended.wait(0.1):
            family = _family(self._root)
            self.cpu |= {process: cpu for process, cpu, _ in family}
            self.rss = max(self.rss, sum(size for *_, size in family))
            if self._shared:
                self.pss = max(self.pss, sum(_proportional(process) for process, *_ in family))


def take(
    command: list[str],
    *,
    folder: Path,  # to run it in
    environment: dict[str, str] | None = None,  # beside the present one
    limit_s: float = 180,  # then it and all its processes are killed
    shared: bool = False,  # whether to sample memory with shared pages counted once
) -> Taken:
    "Run a command in a fresh process."
    log = folder / "printed.log"
    started = time.perf_counter()
    with open(log, "wb") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        watch = _Watch(process.pid, shared)
        watch.start()
        # wait() with a limit polls, at last twenty times a second: too coarse for a no-op
        alarm = threading.Timer(limit_s, _kill, (process.pid,))
        alarm.start()
        code = process.wait()
        seconds = time.perf_counter() - started
        alarm.cancel()
        code = -1 if seconds >= limit_s else code
        watch.ended.set()
        watch.join()
    megabytes = [round(size / 2**20, 1) for size in (watch.rss, watch.pss)]
    said = log.read_text(errors="replace")[-4_000:]
    return Taken(code, seconds, round(sum(watch.cpu.values()), 2), *megabytes, said)


def _kill(
    root: int,  # a process
) -> None:
    "Kill a process and all below it."
    for process, *_ in reversed(_family(root)):
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue


def python_path() -> str:
    "The project's own folder, so that an uninstalled clone can be measured."
    here = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH", "")]))


def machine_facts() -> dict:
    "What a reader needs to know of the machine; nothing that names it."
    packages = ("papermill", "nbclient", "ipykernel", "ipython", "pandas", "numpy", "tensorflow")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.system(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "load_before": [round(one, 2) for one in os.getloadavg()],
    }


def middle(
    values: list[float],
) -> float | None:
    "The median, or nothing."
    return round(statistics.median(values), 3) if values else None


def tell(
    *words: object,
) -> None:
    "Say what is being done, so that nobody thinks it hangs."
    sys.stderr.write(" ".join(str(word) for word in words) + "\n")
    sys.stderr.flush()
