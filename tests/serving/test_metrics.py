"""The numbers Prometheus reads."""

import re

from hypothesis import given
from hypothesis import strategies as st

from mlops_lab.serving.metrics import Family, ServiceMetrics, families_text

LINE = re.compile(r'^[a-z_]+(\{[a-z]+="(?:[^"\\\n]|\\.)*"(,[a-z]+="(?:[^"\\\n]|\\.)*")*\})? \S+$')


@given(st.text(max_size=20))
def test_any_label_value_stays_on_one_well_formed_line(value):
    family = Family("texts_total", "counter", "Texts.", (("", {"label": value}, 3),))
    text = families_text([family])
    lines = text.split("\n")
    assert len(lines) == 4 and lines[3] == "" and LINE.match(lines[2])


@given(st.lists(st.floats(0, 20), max_size=30))
def test_buckets_are_cumulative_and_complete(times):
    metrics = ServiceMetrics()
    for seconds in times:
        metrics.saw_request("/score", 200, seconds=seconds)
    samples = metrics.families()[2].samples
    buckets = [(labels["le"], n) for suffix, labels, n in samples if suffix == "_bucket"]
    for bound, n in buckets:
        assert n == sum(seconds <= float(bound) for seconds in times)
    assert samples[-1] == ("_count", {}, len(times)) and buckets[-1][0] == "+Inf"


def test_requests_are_counted_by_route_and_status():
    metrics = ServiceMetrics()
    for status in (200, 200, 422):
        metrics.saw_request("/score", status, seconds=0.001)
    metrics.saw_text("emotions", "3", label="joy")
    lines = families_text(metrics.families()).splitlines()
    assert 'mlops_lab_requests_total{route="/score",status="200"} 2' in lines
    assert 'mlops_lab_texts_total{model="emotions",version="3",label="joy"} 1' in lines
    assert sum(line.startswith("# TYPE") for line in lines) == 3
