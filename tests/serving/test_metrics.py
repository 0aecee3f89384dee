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
    assert 'mlops_lab_answered_texts_total{model="emotions",version="3"} 1' in lines
    assert not [line for line in lines if line.startswith("mlops_lab_unlabelled")]
    assert sum(line.startswith("# TYPE") for line in lines) == 5


LABEL_SETS = st.lists(st.lists(st.sampled_from(["joy", "love", "fear"]), unique=True), max_size=30)


@given(LABEL_SETS, st.integers(0, 5))
def test_a_text_counts_under_each_label_it_was_given(sets, singles):
    metrics = ServiceMetrics()
    for labels in sets:
        metrics.saw_set("moods", "1", labels=labels)
    for _ in range(singles):
        metrics.saw_text("emotions", "3", label="joy")
    told = {family.name: family.samples for family in metrics.families()}

    def values(name, model):
        found = [(labels, n) for _, labels, n in told[f"mlops_lab_{name}_total"]]
        return {labels.get("label"): n for labels, n in found if labels["model"] == model}

    every = [label for labels in sets for label in labels]
    assert values("texts", "moods") == {label: every.count(label) for label in set(every)}
    assert values("answered_texts", "moods") == ({None: len(sets)} if sets else {})
    assert values("unlabelled_texts", "moods") == ({None: sets.count([])} if sets else {})
    assert values("texts", "emotions") == ({"joy": singles} if singles else {})
    assert values("answered_texts", "emotions") == ({None: singles} if singles else {})
    assert values("unlabelled_texts", "emotions") == {}


def test_large_counts_are_told_to_the_last_digit():
    for count in (999_999, 1_000_001, 12_345_678_901):
        family = Family("texts_total", "counter", "Texts.", (("", {}, count),))
        assert families_text([family]).endswith(f"\ntexts_total {count}\n")
