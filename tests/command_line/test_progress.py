"""A run as it happens: bars for people, lines for logs, silence for machines."""

import io
import sys

import pytest

from mlops_lab.command_line.progress import BarProgress, LineProgress, make_progress, spell_end
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


def test_bars_leave_the_same_lines_behind():
    lines, bars = io.StringIO(), io.StringIO()
    tell(LineProgress(5, lines))
    tell(BarProgress(5, bars))
    said = [line.rstrip() for line in bars.getvalue().splitlines()]
    assert [line for line in lines.getvalue().splitlines() if line not in said] == []


def test_a_stage_name_is_never_read_as_markup():
    bars = io.StringIO()
    with BarProgress(1, bars) as shown:
        shown(Progress("[red]x[/red]", "done", seconds=1.0))
    assert "[red]x[/red]" in bars.getvalue()


def test_a_run_that_breaks_stops_its_bars():
    with pytest.raises(RuntimeError), BarProgress(1, io.StringIO()) as shown:
        shown(STEPS[1])
        raise RuntimeError
    assert shown._bars.live.is_started is False


@pytest.mark.parametrize("terminal, kind", [(True, BarProgress), (False, LineProgress)])
def test_bars_are_for_terminals_only(monkeypatch, terminal, kind):
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", stream)
    assert type(make_progress(3)) is kind
    assert make_progress(3, quiet=True) is None
