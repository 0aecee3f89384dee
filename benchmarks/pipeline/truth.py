"""Ask every runner the questions in which notebook pipelines go wrong, by setting the traps.

    python truth.py [RUNNER...]

A small DAG a -> b -> c: `a` reads a source file, `b` uses a helper module, `c` adds one. Each trap
is set where a run went well before (stale results) or in a fresh folder (broken kernels). Writes
truth.json beside itself.
"""

import json
import os
import stat
import sys
import tempfile
from pathlib import Path

from make_dag import chain_of_three
from measure import tell
from peers import RUNNERS, Place, Runner, settle

_LIMIT_S = 90
TRAPS = {
    "kill": "kernel killed",
    "timeout": "timeout",
    "exit": "sys.exit(0)",
    "typo": "typo in a parameter",
    "helper": "helper module changed",
    "bytes": "data changed, same size and time",
    "tamper": "intermediate tampered with",
    "delete": "final output deleted",
}
_UNDECLARED = "a helper module is declared to no runner; ours finds it by itself"


def _result(
    place: Place,
) -> int | None:
    "The number that step c wrote, if it did."
    try:
        return json.loads((place.results / "data" / "c.json").read_text())["n"]
    except (OSError, ValueError):
        return None


def _claims(
    place: Place,
    trap: str,  # word in the cell that never ended
) -> bool:
    "Whether the executed notebook of b says that cells which never ran are completed."
    try:
        cells = json.loads((place.executed / "b.ipynb").read_text())["cells"]
    except (OSError, ValueError):
        return False
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    at = [i for i, cell in enumerate(code) if trap in "".join(cell["source"])]
    later = code[at[-1] + 1 :] if at else []
    said = [cell["metadata"].get("papermill", {}).get("status") for cell in later]
    return "completed" in said


def _stamps(
    place: Place,
) -> dict[str, int]:
    "When each notebook was executed last."
    return {path.stem: path.stat().st_mtime_ns for path in place.executed.glob("?.ipynb")}


def _broken(
    runner: Runner,
    trap: str,
    folder: Path,
) -> str:  # right, or what is wrong
    "Set a trap in the middle of b and see what is said of it."
    place = settle(runner, chain_of_three(trap), folder)
    taken = place.run(limit_s=_LIMIT_S)
    if taken.code == -1:
        return "wrong: hangs"
    if not (place.results / "data" / "a.json").exists():
        return f"not measured: {taken.said.strip()[-80:]}"
    if _result(place) is not None:
        return "wrong: went on to c"
    if taken.passed:
        return "wrong: called a success"
    words = {"kill": "SIGKILL", "timeout": "time.sleep", "exit": "sys.exit"}
    if _claims(place, words[trap]):
        return "wrong: saved notebook says cells that never ran completed"
    return "right"


def _mistyped(
    runner: Runner,
    folder: Path,
) -> str:  # right, or what is wrong
    "Hand b a parameter that it does not have."
    place = settle(runner, chain_of_three("typo"), folder)
    taken = place.run(limit_s=_LIMIT_S)
    ran = sorted(_stamps(place))
    if taken.passed:
        return "wrong: called a success"
    if "factr" not in taken.said:
        return f"not measured: {taken.said.strip()[-80:]}"
    return "right" if not ran else f"right, after running {''.join(ran)}"


def _overwrite(
    path: Path,
    text: str,
) -> None:
    "Change a file in place, read-only or not."
    os.chmod(path, path.stat().st_mode | stat.S_IWUSR)
    with open(path, "r+") as file:
        file.write(text)
        file.truncate()


def _change(
    place: Place,
    trap: str,
) -> None:
    "Make the change that the next run has to notice."
    if trap == "helper":
        (place.folder / "helper.py").write_text("def scale(n):\n    return n * 100\n")
    if trap == "bytes":
        source = place.folder / "source.txt"
        before = source.stat()
        _overwrite(source, "5\n")
        os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    if trap == "tamper":
        _overwrite(place.results / "data" / "a.json", '{"n": 9}')
    if trap == "delete":
        (place.results / "data" / "c.json").unlink()


def _wanted(
    place: Place,
) -> int:
    "What step c has to write, from the files as they are now."
    times = int((place.folder / "helper.py").read_text().split("*")[1])
    return int((place.folder / "source.txt").read_text()) * times * 2 + 1


def _stale(
    place: Place,  # where a run went well before
    trap: str,
) -> str:  # right, or what is wrong
    "Change something and see what the next run makes."
    stamps, where = _stamps(place), place.executed
    _change(place, trap)
    taken = place.run(limit_s=_LIMIT_S)
    found = _result(place)
    if trap == "tamper" and '"n": 9' in (place.results / "data" / "a.json").read_text():
        return "wrong: keeps the forged file"
    if place.executed == where:
        now = _stamps(place)
        ran = "".join(name for name in sorted(now) if now[name] != stamps.get(name))
    else:
        ends = json.loads(taken.said)["stages"]
        ran = "".join(end["stage"] for end in ends if end["state"] == "done")
    note = f" (ran {ran or 'nothing'})"
    if found != _wanted(place):
        return f"wrong: {'no result' if found is None else 'stale result'}{note}"
    return ("right" if taken.passed else f"wrong: status {taken.code}") + note


def _stale_all(
    runner: Runner,
    folder: Path,
) -> dict[str, str]:  # answer by trap
    "Make one change after the other; after a wrong answer begin afresh."
    answers, place = {}, None
    for trap in ("delete", "tamper", "bytes", "helper"):
        if place is None:
            place = settle(runner, chain_of_three(), folder)
            taken = place.run(limit_s=_LIMIT_S)
            if _result(place) != _wanted(place):
                answers[trap] = f"not measured: {taken.said.strip()[-80:]}"
                return answers
        answers[trap] = _stale(place, trap)
        place = place if answers[trap].startswith("right") else None
    return answers


def ask(
    runner: Runner,
    folder: Path,  # for scratch
) -> dict[str, str]:  # answer by trap
    "Set every trap for one runner."
    place = folder / runner.name.replace(" ", "_").replace(",", "")
    answers = {trap: _broken(runner, trap, place) for trap in ("kill", "timeout", "exit")}
    answers |= {"typo": _mistyped(runner, place)} | _stale_all(runner, place)
    for trap, said in answers.items():
        tell(" ", runner.name, "|", TRAPS[trap], "|", said)
    return answers


def table(
    answers: dict[str, dict[str, str]],  # by runner
) -> str:
    "Spell the answers as a Markdown table."
    lines = ["| trap | " + " | ".join(answers) + " |", "|---" * (len(answers) + 1) + "|"]
    for trap, words in TRAPS.items():
        cells = [one.get(trap, "-") for one in answers.values()]
        lines.append(f"| {words} | " + " | ".join(cells) + " |")
    rights = [
        f"{sum(answer.startswith('right') for answer in one.values())} of {len(TRAPS)}"
        if one
        else "not installed, or no time left"
        for one in answers.values()
    ]
    return "\n".join([*lines, "| **right** | " + " | ".join(rights) + " |"])


def asked(
    names: list[str],  # part of a runner's name; all if empty
) -> list[Runner]:
    "Choose the runners to ask: no script, which has no stages, and each tool once."
    same = ("mlops-lab, one stage at a time", "mlops-lab, repeated", "papermill, one process")
    chosen = [one for one in RUNNERS if not one.name.startswith(("plain script", *same))]
    return [one for one in chosen if not names or any(name in one.name for name in names)]


def main() -> None:
    "Ask and print."
    with tempfile.TemporaryDirectory() as scratch:
        answers = {
            runner.name: ask(runner, Path(scratch)) if runner.installed else {}
            for runner in asked(sys.argv[1:])
        }
    Path(__file__).with_suffix(".json").write_text(json.dumps(answers, indent=1) + "\n")
    sys.stdout.write(table(answers) + "\n\n" + _UNDECLARED + "\n")


if __name__ == "__main__":
    main()
