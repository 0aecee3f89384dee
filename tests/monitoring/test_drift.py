"""Quiet windows stay quiet as often as promised; planted drifts are found and named."""

import json

import numpy as np
import pytest
from monitoring_examples import TextSource

from mlops_lab.monitoring.drift import compare_profiles, divergence
from mlops_lab.monitoring.profile import build_profile

ROWS, WINDOW = 1500, 400
ALARM_RATE = 0.05


def binomial_limit(draws, chance, beyond):
    """Smallest count that a binomial exceeds with a chance below `beyond`."""
    term, total = (1 - chance) ** draws, 0.0
    for count in range(draws + 1):
        total += term
        if 1 - total < beyond:
            return count
        term *= (draws - count) / (count + 1) * chance / (1 - chance)
    return draws


@pytest.fixture(scope="module")
def reference():
    return build_profile(TextSource().draw(ROWS, 1))


def report(source, seed, reference, rows=WINDOW, rate=ALARM_RATE):
    window = build_profile(source.draw(rows, seed), like=reference)
    return compare_profiles(reference, window, false_alarm_rate=rate)


def test_quiet_windows_alarm_no_more_often_than_promised():
    draws, source, alarms = 60, TextSource(), []
    for seed in range(draws):
        # a new reference each time: its own noise belongs to the promise
        reference = build_profile(source.draw(ROWS, 10_000 + seed))
        alarms.append(report(source, seed, reference).alarms)
    limit = binomial_limit(draws, ALARM_RATE, 0.001)
    assert sum(map(bool, alarms)) <= limit < draws * 0.2
    for name in ("labels", "words", "tokens", "oov_rate", "confidence"):
        own = sum(name in found for found in alarms)
        assert own <= binomial_limit(draws, ALARM_RATE / 5, 0.001)


@pytest.mark.parametrize(
    ("drifted", "signal"),
    [
        (TextSource(label_mix=(0.15, 0.5, 0.35)), "labels"),
        (TextSource(label_mix=(0.15, 0.5, 0.35)), "confidence"),
        (TextSource(replaced=0.10), "oov_rate"),
        (TextSource(longest=8), "words"),
        (TextSource(unknown=0.06), "oov_rate"),
    ],
)
def test_planted_drifts_are_found(reference, drifted, signal):
    found = [signal in report(drifted, seed, reference).alarms for seed in range(20)]
    assert sum(found) >= 18


def test_a_new_frequent_word_is_named(reference):
    source = TextSource()
    table = source.draw(WINDOW, 3)
    table["text"] = [
        f"w400 {text}" if i % 12 == 0 else text for i, text in enumerate(table["text"])
    ]
    like = reference | {"tokens": reference["tokens"] | {"w400": 0.002}}
    found = compare_profiles(like, build_profile(table, like=like))
    tokens = next(signal for signal in found.signals if signal.name == "tokens")
    assert tokens.alarm and tokens.detail.startswith("w400:")


def test_larger_windows_see_smaller_drifts(reference):
    drifted = TextSource(unknown=0.035)
    small = [report(drifted, seed, reference, rows=50) for seed in range(10)]
    large = [report(drifted, seed, reference, rows=6000) for seed in range(3)]
    assert sum("oov_rate" in found.alarms for found in small) <= 2
    thresholds = [found.signals[1].threshold for found in (small[0], large[0])]
    assert thresholds[0] > 3 * thresholds[1]


@pytest.mark.parametrize("rate", [0.2, 0.01, 1e-6])
def test_alarm_means_p_below_its_share_of_the_rate(reference, rate):
    for source in (TextSource(), TextSource(label_mix=(0.2, 0.5, 0.3), longest=12)):
        for signal in report(source, 5, reference, rate=rate).signals:
            assert signal.alarm == (signal.p_value < rate / 5 * (1 - 1e-9))
            assert 0 <= signal.p_value <= 1 and signal.statistic >= 0


def test_rarer_alarms_need_larger_differences(reference):
    window = build_profile(TextSource().draw(WINDOW, 9), like=reference)
    strict = compare_profiles(reference, window, false_alarm_rate=1e-4)
    loose = compare_profiles(reference, window, false_alarm_rate=0.2)
    for one, other in zip(strict.signals, loose.signals, strict=True):
        assert one.threshold > other.threshold and one.statistic == other.statistic


def test_the_same_profiles_give_the_same_report(reference):
    window = build_profile(TextSource().draw(WINDOW, 4), like=reference)
    first, second = (compare_profiles(reference, window) for _ in range(2))
    assert first == second and json.loads(json.dumps(first.as_dict()))["window_rows"] == WINDOW
    assert first.frame()["name"].tolist() == [signal.name for signal in first.signals]


def test_a_bundles_profile_can_be_the_reference():
    source = TextSource()
    table = source.draw(ROWS, 1)
    plain = build_profile(table)
    counted = build_profile(table, like=plain | {"counts_all_tokens": True})
    del counted["deviation"]
    quiet = [report(source, seed, counted, rate=0.01).alarms for seed in range(20)]
    assert sum(map(bool, quiet)) <= 2
    assert "tokens" in report(TextSource(replaced=0.3), 1, counted).alarms


def test_talkative_authors_do_not_cause_alarms():
    source, alarms = TextSource(), {"as authors": 0, "as texts": 0}
    for seed in range(25):
        reference = build_profile(source.draw(ROWS, 20_000 + seed))
        window = source.draw(60, seed).loc[lambda table: table.index.repeat(8)]  # copies
        window = window.assign(author=window.index)
        for name, table in (("as authors", window), ("as texts", window.drop(columns="author"))):
            found = compare_profiles(
                reference, build_profile(table, like=reference), false_alarm_rate=ALARM_RATE
            )
            alarms[name] += bool(found.alarms)
    assert alarms["as texts"] >= 20
    assert alarms["as authors"] <= binomial_limit(25, ALARM_RATE, 0.001)


def test_one_text_is_a_window_too(reference):
    assert report(TextSource(), 1, reference, rows=1).alarms in ((), ("words",))


def test_divergence_is_symmetric_and_bounded():
    generator = np.random.default_rng(1)
    first, second = generator.dirichlet(np.ones(5), (2, 50))
    assert np.allclose(divergence(first, second), divergence(second, first))
    assert ((divergence(first, second) >= 0) & (divergence(first, second) <= 1)).all()
