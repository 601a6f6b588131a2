"""Scores of days: the distributions against exact sums, the expectation by hand, and what must not matter to it."""

import ast
import math
from datetime import date, time
from fractions import Fraction
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from handlers import quality
from handlers.quality import anomaly, distributions, hierarchy
from handlers.quality.result import Metric, Status

MODULES = sorted(Path(quality.__file__).parent.glob("*.py"))
IMPURE = {"os", "time", "pathlib", "logging", "sys", "random", "subprocess", "socket", "sqlite3", "sqlalchemy", "daemon", "stockgrip"}  # fmt: skip


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_package_is_pure(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not IMPURE & {name.partition(".")[0] for name in names}, path
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in {"now", "today", "utcnow"}, path
    assert len(path.read_text().splitlines()) < 400


# ---- distributions


def negative_binomial_sum(count, size, dispersion):
    """P(X ≤ count) for a whole size r and a whole dispersion, exactly."""
    p = Fraction(1, dispersion)
    return sum(math.comb(k + size - 1, k) * p**size * (1 - p) ** k for k in range(count + 1))


@given(st.integers(0, 120), st.integers(1, 40), st.integers(2, 12))
def test_the_negative_binomial_is_the_exact_sum(count, size, dispersion):
    exact = negative_binomial_sum(count, size, dispersion)
    lower, upper = distributions.negative_binomial(count, size * (dispersion - 1), dispersion)
    assert lower == pytest.approx(float(exact), rel=1e-9)
    assert upper == pytest.approx(float(1 - exact), rel=1e-9, abs=1e-300)


@given(st.integers(0, 150), st.floats(0.01, 100))
def test_poisson_is_the_sum(count, mean):
    terms = [math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count + 1)]
    lower, upper = distributions.poisson(count, mean)
    assert lower == pytest.approx(math.fsum(terms), rel=1e-9)
    more = [math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count + 1, count + 900)]
    assert upper == pytest.approx(math.fsum(more), rel=1e-9)


@given(st.floats(1e-290, 0.999))
def test_the_normal_quantile_is_that_of_the_standard_library(tail):
    expected = -NormalDist().inv_cdf(tail)
    assert distributions.normal_upper_quantile(tail) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=30)
@given(st.integers(5_000, 30_000), st.floats(1.2, 400), st.floats(-6, 6))
def test_large_counts_are_as_exact_as_a_person_can_see(mean, dispersion, deviations):
    count = max(0, round(mean + deviations * math.sqrt(mean * dispersion)))
    lower, upper = distributions._counts_tails(
        np.array([float(count)]), np.array([float(mean)]), np.array([dispersion])
    )
    exact = NormalDist().inv_cdf(lower[0]) if lower[0] < upper[0] else -NormalDist().inv_cdf(upper[0])
    found = float(distributions.mid_p_z(count, mean, dispersion))
    if abs(exact) < 8:
        assert found == pytest.approx(exact, abs=0.001)
    else:  # nobody asks how far beyond
        assert abs(found) > 7.9
        assert found * exact > 0


def test_z_is_centred_signed_and_bounded():
    # Poisson(ln 2): half of the days have nothing; mid-p takes half of that half
    assert distributions.mid_p_z(0, math.log(2), 1) == pytest.approx(NormalDist().inv_cdf(0.25))
    assert distributions.mid_p_z([0, 10**9], [1e4, 1.0], 2.0).tolist() == [
        pytest.approx(-distributions.FARTHEST, abs=0.2),
        pytest.approx(distributions.FARTHEST, abs=0.2),
    ]
    assert distributions.mid_p_z(0, 0, 1) == 0
    assert distributions.mid_p_z(3, 0, 1) > 30
    assert np.isnan(distributions.mid_p_z(3, math.nan, 1))


@given(st.floats(0.1, 1e6), st.floats(1, 1e4), st.integers(0, 10**6), st.integers(1, 1000))
def test_more_is_never_less_unusual_from_below(mean, dispersion, count, more):
    z = distributions.mid_p_z([count, count + more], mean, dispersion)
    assert z[0] <= z[1] + 1e-9


# ---- expectation


def weeks(count, *pattern):
    """A history of whole weeks from Monday."""
    return np.tile(np.array(pattern, float), count), np.arange(7 * count) % 7


def test_an_expectation_by_hand():
    history, weekdays = weeks(8, 100, 100, 100, 100, 100, 200, 0)
    # medians 100 x5, 200, 0: their mean is 100; b = mean(y/f) over 28 open days with a factor above 0
    saturday = anomaly.expect(history, weekdays, 5)
    assert saturday.factor[0] == pytest.approx(2)
    assert saturday.level[0] == pytest.approx(100)
    assert saturday.mean[0] == pytest.approx(200)
    assert saturday.dispersion[0] == 1
    assert saturday.same_weekdays[0] == 8
    assert not anomaly.expect(history, weekdays, 6).known[
        0
    ]  # nothing is sold on Sundays: a sale there says nothing
    assert anomaly.expect(history, weekdays, 5, holiday=1.5).mean[0] == pytest.approx(300)


def test_dispersion_by_hand():
    history = 100 + np.where(
        np.arange(56) // 7 % 2, 10.0, -10.0
    )  # every weekday alternates: median 100, (y-μ)²/μ = 1
    found = anomaly.expect(history, np.arange(56) % 7, 0)
    assert found.mean[0] == pytest.approx(100)
    assert found.dispersion[0] == pytest.approx(1 / 0.4549 * (1 + 1 / 8 + 1 / 28))


@pytest.mark.parametrize(("days", "known"), [(27, False), (28, True), (20, False), (35, True)])
def test_a_short_history_gives_no_score(days, known):
    found = anomaly.expect(np.full(days, 50.0), np.arange(days) % 7, 0)
    assert found.known.tolist() == [known]
    assert np.isfinite(anomaly.score([50.0], found).z).tolist() == [known]


def test_four_same_weekdays_are_needed():
    use = np.ones(56, bool)
    use[0:35:7] = False  # three Mondays are left
    assert not anomaly.expect(np.full(56, 50.0), np.arange(56) % 7, 0, use).known[0]
    assert anomaly.expect(np.full(56, 50.0), np.arange(56) % 7, 1, use).known[0]


def test_a_series_with_hardly_anything_is_not_judged():
    history = np.zeros(84)
    history[[40, 60, 70]] = 9
    assert not anomaly.expect(history, np.arange(84) % 7, 0).known[0]
    history[80] = 9
    assert anomaly.expect(history, np.arange(84) % 7, 0).known[0]


counts = hnp.arrays(np.int64, (3, 70), elements=st.integers(0, 500))


@settings(max_examples=40)
@given(counts, st.integers(0, 6), st.data())
def test_days_left_out_do_not_matter(history, weekday, data):
    use = data.draw(hnp.arrays(np.bool_, 70))
    noise = data.draw(counts)
    other = np.where(use, history, noise)
    one, two = (anomaly.expect(y, np.arange(70) % 7, weekday, use) for y in (history, other))
    np.testing.assert_array_equal(one.mean, two.mean)
    np.testing.assert_array_equal(one.dispersion, two.dispersion)


@settings(max_examples=40)
@given(counts, st.integers(0, 6), st.integers(0, 6))
def test_names_of_weekdays_and_company_do_not_matter(history, weekday, shift):
    names = np.arange(70) % 7
    one = anomaly.expect(history, names, weekday)
    moved = anomaly.expect(history, (names + shift) % 7, (weekday + shift) % 7)
    np.testing.assert_allclose(one.mean, moved.mean, rtol=1e-12)
    np.testing.assert_allclose(one.dispersion, moved.dispersion, rtol=1e-9)
    for series in range(3):
        alone = anomaly.expect(history[series], names, weekday)
        np.testing.assert_array_equal(alone.mean[0], one.mean[series])


@settings(max_examples=20)
@given(counts, counts)
def test_the_far_past_does_not_matter(history, older):
    whole = np.concatenate([older, older, history], axis=1)
    names = np.arange(210) % 7
    one, two = anomaly.expect(whole, names, 0), anomaly.expect(whole[:, -126:], names[-126:], 0)
    np.testing.assert_allclose(one.mean, two.mean, rtol=1e-12)
    np.testing.assert_allclose(one.dispersion, two.dispersion, rtol=1e-9)


def test_chance_alone_is_scored_as_chance():
    chance = np.random.default_rng(7)
    history = chance.negative_binomial(20, 0.1, (40, 200))  # mean 180, dispersion 10
    z, _ = anomaly.replay(history, np.arange(200) % 7)
    scored = z[:, 70:]
    # 4.6 % and 0.3 % of normal values; a factor that is the median of 8 days is off by more than the formula allows for
    assert 0.03 < np.mean(np.abs(scored) > 2) < 0.08
    assert np.mean(np.abs(scored) > 3) < 0.015
    assert abs(np.median(scored)) < 0.1


def test_replay_gives_what_each_day_gave():
    chance = np.random.default_rng(3)
    history = chance.poisson(80, (2, 90)).astype(float)
    history[:, 60] = 500
    names = np.arange(90) % 7
    z, raw = anomaly.replay(history, names)
    day = 80
    use = anomaly.usable(z[:, :day])
    assert not use[:, 60].any()
    expected = anomaly.expect(history[:, :day], names[:day], int(names[day]), use)
    found = anomaly.score(history[:, day], expected, raw[:, :day])
    np.testing.assert_array_equal(found.z, z[:, day])
    later, _ = anomaly.replay(history[:, :85], names[:85])
    np.testing.assert_array_equal(later, z[:, :85])


def test_a_new_level_is_believed_after_a_while():
    chance = np.random.default_rng(5)
    history = np.concatenate([chance.poisson(100, 70), chance.poisson(200, 60)])
    z, _ = anomaly.replay(history, np.arange(130) % 7)
    assert (z[0, 70:74] > 3).all()
    assert (np.abs(z[0, -7:]) < 3).all()
    z[0, 70] = 10
    assert anomaly.usable(z)[0, 70:80].tolist() == [False] * 4 + [True] * 6


def test_calibration_divides_by_the_spread_of_the_own_scores():
    expected = anomaly.expect(np.full(56, 1000.0), np.arange(56) % 7, 0)
    past = np.tile([-4.0, 4.0], 28)
    found = anomaly.score([1200.0], expected, past)
    assert found.z[0] == pytest.approx(found.raw[0] / (1.4826 * 4))
    calm = anomaly.score([1200.0], expected, past / 100)
    assert calm.z[0] == calm.raw[0]
    assert anomaly.score([1200.0], expected, past[:13]).z[0] == found.raw[0]
    tail = np.zeros(56)
    tail[:8] = 6.0
    assert anomaly.score([1200.0], expected, tail).careful[0] == pytest.approx(found.raw[0] / (6 / 1.6449))


def test_closed_days_are_not_scored_and_teach_nothing():
    history = np.full(100, 70.0)
    is_open = np.arange(100) % 7 != 6
    history[~is_open] = 0
    z, _ = anomaly.replay(history, np.arange(100) % 7, is_open)
    assert np.isnan(z[0, ~is_open]).all()
    assert (np.abs(z[0, 40:][is_open[40:]]) < 0.5).all()


def test_a_part_of_a_day_is_scored_against_its_share():
    whole = anomaly.expect(np.full(56, 1000.0), np.arange(56) % 7, 0)
    half = anomaly.part_of_day(whole, 0.5)
    assert half.mean[0] == 500
    assert abs(anomaly.score([500.0], half).z[0]) < 0.1
    assert anomaly.score([500.0], whole).z[0] < -10
    scattered = anomaly.expect(100 + np.where(np.arange(56) // 7 % 2, 50.0, -50.0), np.arange(56) % 7, 0)
    part = anomaly.part_of_day(scattered, 0.25)
    assert part.dispersion[0] == pytest.approx(1 + (scattered.dispersion[0] - 1) / 4)
    hourly = np.zeros(24)
    hourly[8:12] = 25
    assert anomaly.share_by(hourly, time(9, 30)) == pytest.approx(0.375)
    assert anomaly.share_by(hourly, time(3)) == 0
    assert anomaly.share_by(hourly, time(23, 59)) == 1
    assert anomaly.share_by(np.zeros(24), time(12)) is None


def test_holidays():
    assert anomaly.holiday_factor([]) == 1
    assert anomaly.holiday_factor([0.25]) == pytest.approx(0.5)
    history = np.full(100, 70.0)
    factors = np.ones(100)
    history[70], factors[70] = 0, math.nan  # a holiday of which nothing is known
    history[90], factors[90] = 35, 0.5  # and one that halves the day
    z, _ = anomaly.replay(history, np.arange(100) % 7, True, factors)
    plain, _ = anomaly.replay(history, np.arange(100) % 7)
    assert plain[0, 70] < -8
    assert -8 < z[0, 70] < -2
    assert abs(z[0, 90]) < 0.2
    assert (np.abs(z[0, 91:]) < 0.2).all()


# ---- hierarchy


def test_children_are_asked_only_under_a_flagged_parent():
    places = hierarchy.Level(np.array([4.0, 4.0, -5.0, math.nan]), np.zeros(4, np.int64))
    products = hierarchy.Level(np.array([9.0, 9.0]), np.array([0, 3]))
    for chain, expected in ((5.0, [True, True, True, False]), (1.0, [False] * 4)):
        found = hierarchy.descend([hierarchy.Level(np.array([chain])), places, products], 3.0)
        assert found[1].tolist() == expected
        assert found[2].tolist() == [chain > 3, False]


@pytest.mark.parametrize(
    ("before", "z", "same"),
    [
        *((4.0, 4.1, True), (4.0, 3.1, True), (2.5, 2.9, True), (-4.0, -4.1, True)),
        *(
            (2.5, 3.1, False),
            (4.0, 6.1, False),
            (-4.0, 4.0, False),
            (1.9, 2.1, False),
            (math.nan, 4.0, False),
        ),
    ],
)
def test_a_level_goes_on_while_it_is_no_worse(before, z, same):
    assert hierarchy.goes_on(z, before) is same


def test_benjamini_hochberg_by_hand():
    p = np.array([0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216])
    z = distributions.normal_upper_quantile(p / 2)
    assert hierarchy.discoveries(z, 0.05).tolist() == [True, True] + [False] * 8
    assert hierarchy.discoveries(np.append(z, [math.nan] * 90), 0.05)[:2].all()
    assert hierarchy.discoveries([], 0.05).tolist() == []


@pytest.mark.parametrize(
    ("z", "status", "severity"),
    [
        (0.0, Status.PASS, None),
        (-2.0, Status.PASS, None),
        (2.01, Status.WARNING, "info"),
        (-3.0, Status.WARNING, "info"),
        (3.01, Status.WARNING, "warning"),
        (math.nan, Status.INSUFFICIENT_HISTORY, None),
    ],
)
def test_what_a_score_means(z, status, severity):
    found = hierarchy.judge_score("location:447", date(2026, 3, 1), z, details={"counted": 5})
    assert (found.metric, found.status, found.details.get("severity")) == (
        Metric.ANOMALY_SCORE,
        status,
        severity,
    )
    assert found.value is None if math.isnan(z) else found.value == z
    assert found.threshold == 2.0
    assert found.details["counted"] == 5
