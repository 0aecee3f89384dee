"""The drawing says what the report says."""

import io
import re

from monitoring_examples import TextSource

from mlops_lab.monitoring.drift import DriftReport, Signal, compare_profiles
from mlops_lab.monitoring.profile import build_profile
from mlops_lab.monitoring.views import drift_figure


def draw(source, seed=2):
    reference = build_profile(TextSource().draw(800, 1))
    report = compare_profiles(reference, build_profile(source.draw(300, seed), like=reference))
    return report, drift_figure(report)


def svg(figure):
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    return buffer.getvalue()


def test_every_signal_is_drawn_and_alarms_lie_right_of_the_line():
    report, figure = draw(TextSource(longest=6, replaced=0.2))
    axes = figure.axes[0]
    assert len(axes.get_yticklabels()) == 5
    marks = {line.get_marker(): [] for line in axes.lines}
    for line in axes.lines:
        marks[line.get_marker()].append(line.get_xdata()[0])
    assert len(marks["D"]) == len(report.alarms) and all(times > 1 for times in marks["D"])
    assert all(times <= 1 for times in marks.get("o", []))


def test_every_dot_is_inside_the_axes():
    report, figure = draw(TextSource(longest=4, replaced=0.5))
    right = figure.axes[0].get_xlim()[1]
    assert all(signal.statistic / signal.threshold < right for signal in report.signals)


def test_it_keeps_to_its_palette_and_the_default_text_colour():
    colours = set(re.findall(r"#[0-9a-f]{6}", svg(draw(TextSource(longest=6))[1])))
    assert {"#d55e00", "#0072b2"} <= colours <= {"#d55e00", "#0072b2", "#000000", "#ffffff"}


def test_a_signal_without_threshold_is_drawn_at_zero():
    signal = Signal("labels", 0.0, 0.0, 1.0, False, "one value only")
    assert drift_figure(DriftReport(1, 1, 0.01, (signal,))).axes[0].lines[1].get_xdata()[0] == 0
