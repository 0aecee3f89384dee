"""Quiet windows stay quiet as often as promised; planted drifts are found and named."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from monitoring_examples import SETS, TextSource, draw_sets
from scipy.stats import fisher_exact, hypergeom

from mlops_lab.monitoring.drift import compare_profiles, divergence
from mlops_lab.monitoring.profile import build_profile, read_profile

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


@pytest.fixture(scope="module")
def set_reference():
    return build_profile(draw_sets(ROWS, 1))


def label_signal(reference, table, rate=ALARM_RATE):
    window = build_profile(table, like=reference)
    return compare_profiles(reference, window, false_alarm_rate=rate).signals[0]


def bare_profile(rows, labels, unlabelled):
    """A profile of texts that differ in their labels only."""
    answers = {"rows": rows, "labels": labels, "unlabelled": unlabelled, "mean_probability": {}}
    texts = {"words": {"edges": [5.0], "shares": [0.5, 0.5]}, "tokens": {}, "token_base": 1}
    return answers | texts | {"oov_rate": 0.0, "deviation": {"oov_rate": 0.0, "probability": {}}}


def test_quiet_windows_of_several_labels_alarm_no_more_often_than_promised():
    """Only the answers are compared here, so that many windows can be drawn."""
    draws, alarms = 400, 0
    for seed in range(draws):
        generator = np.random.default_rng(seed)
        pair = []
        for rows in (ROWS, 60):
            counts = generator.multinomial(rows, list(SETS.values())) / rows
            sets = dict(zip(SETS, counts, strict=True))
            labels = {
                name: sum(n for one, n in sets.items() if name in one)
                for name in ("joy", "love", "sadness")
            }
            pair.append(bare_profile(rows, labels, sets[""]))
        found = compare_profiles(*pair, false_alarm_rate=0.5)
        alarms += found.signals[0].alarm
    assert 0 < alarms <= binomial_limit(draws, 0.1, 0.001)


@pytest.mark.parametrize(
    ("mix", "named"),
    [
        ({"joy_love": 0.3, "joy": 0.25}, "love: "),
        ({"joy_love": 0.0, "joy": 0.55}, "love: "),
        ({"none": 0.2, "joy": 0.26}, "no label: "),
        ({"sadness": 0.17, "joy": 0.55}, ""),
    ],
)
def test_a_label_given_more_often_or_less_is_named(set_reference, mix, named):
    found = [label_signal(set_reference, draw_sets(WINDOW, seed, **mix)) for seed in range(5)]
    assert sum(one.alarm for one in found) >= 4
    assert sum(one.detail.startswith(named) for one in found) >= 4


def test_the_surest_label_alone_would_not_have_told(set_reference):
    table = draw_sets(WINDOW, 3, joy_love=0.3, joy=0.25)
    surest = build_profile(draw_sets(ROWS, 1).drop(columns="labels"))
    assert label_signal(set_reference, table).alarm
    assert not label_signal(surest, table).alarm


def test_a_reference_that_knows_the_surest_only_is_compared_as_before(set_reference):
    table = draw_sets(WINDOW, 3)
    before = read_profile(build_profile(draw_sets(ROWS, 1).drop(columns="labels")))
    reports = [
        compare_profiles(before, build_profile(one, like=before))
        for one in (table, table.drop(columns="labels"))
    ]
    assert reports[0] == reports[1] and reports[0].signals[0].statistic < 1


def test_authors_of_many_texts_widen_each_label(set_reference):
    table = draw_sets(60, 5, joy_love=0.25, joy=0.3).loc[lambda one: one.index.repeat(8)]
    alone = label_signal(set_reference, table)
    together = label_signal(set_reference, table.assign(author=table.index))
    assert together.statistic < alone.statistic / 2


def test_one_text_of_several_labels_is_a_window_too(set_reference):
    for seed in range(20):
        found = label_signal(set_reference, draw_sets(1, seed))
        assert not found.alarm and found.statistic < 3


COUNTS = st.tuples(st.integers(1, 400), st.integers(1, 400)).flatmap(
    lambda sizes: st.tuples(st.just(sizes), st.tuples(*(st.integers(0, size) for size in sizes)))
)


@given(COUNTS)
def test_each_label_is_judged_by_fishers_exact_test(counts):
    sizes, with_label = counts
    shares = [n / size for n, size in zip(with_label, sizes, strict=True)]
    pair = [
        bare_profile(size, {"joy": share}, 0.0) for size, share in zip(sizes, shares, strict=True)
    ]
    found = compare_profiles(*pair).signals[0].p_value
    drawn = hypergeom(sum(sizes), sum(with_label), sizes[1])
    tail = min(drawn.cdf(with_label[1]), drawn.sf(with_label[1] - 1))
    assert found == pytest.approx(min(1.0, 2 * 2 * tail), rel=1e-6, abs=1e-250)
    rest = [size - n for n, size in zip(with_label, sizes, strict=True)]
    assert found >= 0.9 * fisher_exact([with_label, rest]).pvalue
