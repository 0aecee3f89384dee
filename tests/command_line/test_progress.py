"""A run as it happens: bars for people, lines for logs, silence for machines."""

import io
import sys

import pytest
from rich.console import Console

from mlops_lab.command_line.progress import BarProgress, LineProgress, make_progress, spell_end
from mlops_lab.foundation.chain import ChainLog
from mlops_lab.foundation.records import write_json
from mlops_lab.foundation.workspace import Workspace
from mlops_lab.pipeline.options import Progress

STEPS = [
    Progress("ingest", "running", cells=5, reason="no result in the store"),
    Progress("ingest", "running", 1, 5),
    Progress("ingest", "done", seconds=1.25),
    Progress("train", "running", 2, 7),
    Progress("validate", "cached", reason="made by another run"),
    Progress("train", "kernel died", seconds=70.0, reason="the kernel died in cell 2\nand more"),
    Progress("score", "never run"),
]


@pytest.fixture
def lab(tmp_path):
    return Workspace(tmp_path / "lab").create()


def tell(shown):
    with shown:
        for step in STEPS:
            shown(step)


def test_an_end_is_one_line_with_its_reason_if_something_is_wrong():
    assert spell_end(STEPS[2]) == "✓ ingest                   done              1.2 s"
    assert spell_end(STEPS[4]) == "= validate                 cached"
    died = spell_end(STEPS[5])
    assert died.startswith("✗ train") and died.endswith("70.0 s  the kernel died in cell 2")


@pytest.mark.parametrize(
    "state", ["failed", "stopped early", "kernel died", "timed out", "cancelled"]
)
def test_every_bad_end_has_the_sign_of_a_bad_end(state):
    line = spell_end(Progress("train", state, seconds=1.0, reason="why"))
    assert line.startswith("✗") and state in line and line.endswith("why")


def test_a_log_gets_one_line_for_each_end_and_no_escape_codes():
    stream = io.StringIO()
    tell(LineProgress(5, stream))
    lines = stream.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == ["ingest", "validate", "train", "score"]
    assert "\x1b" not in stream.getvalue() and "running" not in stream.getvalue()


def test_bars_leave_the_same_lines_behind(lab):
    lines, bars = io.StringIO(), io.StringIO()
    tell(LineProgress(5, lines))
    tell(BarProgress(5, lab, stream=bars))
    said = [line.rstrip() for line in bars.getvalue().splitlines()]
    assert [line for line in lines.getvalue().splitlines() if line not in said] == []


def test_a_stage_name_is_never_read_as_markup(lab):
    bars = io.StringIO()
    with BarProgress(1, lab, stream=bars) as shown:
        shown(Progress("[red]x[/red]", "done", seconds=1.0))
    assert "[red]x[/red]" in bars.getvalue()


def test_a_run_that_breaks_stops_its_bars(lab):
    with pytest.raises(RuntimeError), BarProgress(1, lab, stream=io.StringIO()) as shown:
        shown(STEPS[1])
        raise RuntimeError
    assert shown._bars.live.is_started is False


@pytest.mark.parametrize("terminal, kind", [(True, BarProgress), (False, LineProgress)])
def test_bars_are_for_terminals_only(monkeypatch, lab, terminal, kind):
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", stream)
    assert type(make_progress(3, lab)) is kind
    assert make_progress(3, lab, quiet=True) is None


def test_a_bar_tells_how_long_the_run_still_takes(lab):
    ledger, run = ChainLog(lab.ledger), {"run": "one"}
    ledger.append("run-started", run | {"pipeline": "demo"})
    ledger.append("stage", run | {"stage": "ingest", "state": "done", "seconds": 40.0})
    ledger.append("stage", run | {"stage": "train", "state": "done", "seconds": 20.0})
    facts = {"pipeline": "demo", "after": {"ingest": [], "train": ["ingest"]}, "jobs": 2}
    write_json(lab.run("two") / "run.json", facts)
    bars = io.StringIO()
    with BarProgress(2, lab, stream=bars) as shown:
        shown.start(lab.run("two"))
        shown(STEPS[0])
        shown._bars.refresh()
        seen = shown._bars.get_renderable()
        table = Console(file=bars, force_terminal=False, width=120)
        table.print(seen)
    assert "about 60 s left" in bars.getvalue()
