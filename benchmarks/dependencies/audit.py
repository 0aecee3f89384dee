"""Ask the package index whether a pinned version is known to be vulnerable, and believe no silence.

    make audit                                              # constraints.txt, every pin
    python benchmarks/dependencies/audit.py BUNDLE/requirements.txt

pip-audit does the asking. By itself it ends with 0 where the index offers no vulnerability service,
having audited nothing; here that is an end of its own. Pins for other systems are asked about too.

Exit 0: every pin was asked about and none is known to be vulnerable. 1: some are, they are listed.
2: at least one pin could not be asked about, so nothing is proved.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def read_pins(text):
    """Give NAME==VERSION lines without markers and remarks."""
    found = re.finditer(r"^([\w.-]+)(?:\[[^\]]*\])?==([^\s;#]+)", text, re.MULTILINE)
    return [f"{one[1]}=={one[2]}" for one in found]


def find_tool():
    """The command that runs pip-audit: installed, or fetched by uv for this once."""
    beside = Path(sys.executable).parent
    if tool := shutil.which("pip-audit", path=beside) or shutil.which("pip-audit"):
        return [tool]
    if tool := shutil.which("uv", path=beside) or shutil.which("uv"):
        return [tool, "tool", "run", "pip-audit"]
    raise SystemExit("neither pip-audit nor uv is here; try: pip install pip-audit")


def ask(pins):
    """Run pip-audit on pins; give its report, or what it said instead."""
    with tempfile.TemporaryDirectory() as folder:
        file, report = Path(folder) / "pins.txt", Path(folder) / "report.json"
        file.write_text("\n".join(pins) + "\n")
        options = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
        command = [*find_tool(), *options, "--output", str(report), "--requirement", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if not report.is_file() or not report.read_text().strip():
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            return {"dependencies": []}, last
        return json.loads(report.read_text()), ""


def judge(report, pins, *, said=""):
    """Turn a report into an exit status and lines for people."""
    told = {
        _plain(f"{x['name']}=={x['version']}"): x for x in report["dependencies"] if "vulns" in x
    }
    lines, missing = [], [pin for pin in pins if _plain(pin) not in told]
    for pin, one in sorted(told.items()):
        for flaw in one["vulns"]:
            mended = ", ".join(flaw.get("fix_versions", ())) or "no version"
            lines.append(f"{pin}: {flaw['id']}, mended in {mended}")
    if lines:
        return 1, [*lines, f"{len(lines)} known flaws, {len(missing)} pins not asked about"]
    if missing:
        reasons = {one["skip_reason"] for one in report["dependencies"] if "skip_reason" in one}
        reason = said or (sorted(reasons)[0] if reasons else "no answer")
        what = f"{len(missing)} of {len(pins)} pins could not be asked about, first {missing[0]}"
        return 2, [what, f"reason: {reason}"]
    return 0, [f"{len(pins)} pins asked about, none is known to be vulnerable"]


def _plain(pin):
    name, _, version = pin.partition("==")
    return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?", default=ROOT / "constraints.txt")
    pins = read_pins(parser.parse_args().file.read_text())
    report, said = ask(pins)
    status, lines = judge(report, pins, said=said)
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(main())
