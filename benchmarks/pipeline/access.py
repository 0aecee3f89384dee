"""What watching its files costs a stage: the same process with and without it, taking turns.

Three kinds of work: opening many different files below the watched folder, opening one of them
again and again, and work that opens nothing. The reference is the same work without the watch, in
the same round; the ratio is the median over all rounds.

    python benchmarks/pipeline/access.py [ROUNDS]
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

FILES = 3_000
WORK = f"""
import sys, time
from pathlib import Path
folder, kind, watched = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "1"
if watched:
    from mlops_lab.pipeline.access import watch_files
    watch_files(str(folder / ("notes" + sys.argv[4])), [str(folder)])
names = [str(folder / "files" / str(i)) for i in range({FILES})]
started = time.process_time()
if kind == "different":
    for name in names:
        with open(name) as file:
            file.read()
elif kind == "same":
    for _ in names:
        with open(names[0]) as file:
            file.read()
else:
    sum(i * i % 7 for i in range(1_000_000))
print(time.process_time() - started)
"""


def measure(folder: Path, kind: str, watched: bool, number: int) -> float:
    """Processor seconds of one piece of work in a process of its own."""
    words = [str(folder), kind, str(int(watched)), str(number)]
    made = subprocess.run(
        [sys.executable, "-c", WORK, *words], capture_output=True, text=True, check=True
    )
    return float(made.stdout)


def main(rounds: int) -> dict[str, dict[str, float]]:
    """Ratio, and microseconds for each file, of each kind of work."""
    told = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        (folder / "files").mkdir()
        for i in range(FILES):
            (folder / "files" / str(i)).write_text("text\n")
        for kind in ("different", "same", "nothing"):
            pairs = [
                [measure(folder, kind, watched, i) for watched in (False, True)]
                for i in range(rounds)
            ]
            ratio = statistics.median(after / before for before, after in pairs)
            more = statistics.median(after - before for before, after in pairs) / FILES
            told[kind] = {"ratio": round(ratio, 2), "microseconds_per_file": round(more * 1e6, 1)}
    return told


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]) if len(sys.argv) > 1 else 7), indent=1))
