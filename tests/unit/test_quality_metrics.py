"""Completeness, accuracy, timeliness, consistency and the calendar of files: by hand, and their properties."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.quality import calendar, completeness, consistency, timeliness
from handlers.quality.accuracy import accuracy, wilson
from handlers.quality.calendar import Arrival
from handlers.quality.result import Status, Thresholds, at_least, at_most, worst

DAY = date(2026, 3, 2)  # a Monday
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("value", "status"), [(1, "pass"), (0.95, "pass"), (0.949, "warning"), (0.90, "warning"), (0.899, "fail")]
)
def test_shares(value, status):
    assert at_least(value, 0.95, 0.90) == status


@pytest.mark.parametrize(
    ("hours", "status"), [(0, "pass"), (24, "pass"), (24.01, "warning"), (48, "warning"), (48.01, "fail")]
)
def test_delays(hours, status):
    assert at_most(hours, 24, 48) == status
    due = datetime(2026, 3, 1, 6, tzinfo=UTC)
    found = timeliness.timeliness(due + timedelta(hours=hours), covered=None, arrived=None, due=due)
    assert (found.status, found.value, found.threshold) == (status, pytest.approx(hours), 24)


def test_the_worst_speaks_for_all():
    assert worst([Status.PASS, Status.WARNING, Status.FAIL]) is Status.FAIL
    assert worst([Status.SKIPPED, Status.PASS, Status.PENDING]) is Status.PASS
    assert worst([]) is Status.SKIPPED


# ---- completeness

keys = st.sets(st.sampled_from("abcdefgh"))
weeks = st.lists(keys, min_size=4, max_size=12)


def test_the_expected_set_by_hand():
    expected = completeness.learn([{"a", "b"}] * 5 + [{"a"}, {"a", "c"}, {"a"}])
    assert expected is not None
    assert expected.weights == {"a": 8.5 / 9, "b": 5.5 / 9}
    assert completeness.share({"a"}, expected) == pytest.approx(1 / (14 / 9))
    assert completeness.share({"a", "b", "z"}, expected) == 1


def test_only_the_last_eight_days_count():
    assert completeness.learn([{"old"}] * 9 + [{"new"}] * 8) == completeness.learn([{"new"}] * 8)
    assert completeness.learn([{"a"}] * 3) is None


@given(weeks, keys, keys)
def test_completeness_is_a_share_and_never_falls_with_more_data(seen, came, later):
    expected = completeness.learn(seen)
    first, then = completeness.share(came, expected), completeness.share(came | later, expected)
    assert 0 <= first <= then <= 1
    assert completeness.share(set("abcdefgh"), expected) == pytest.approx(1)


@given(keys)
def test_a_configured_set_is_a_plain_share(came):
    expected = completeness.configured("abcd")
    assert completeness.share(came, expected) == len(came & set("abcd")) / 4


def test_statuses_of_completeness():
    deadline = datetime(2026, 3, 3, 6, tzinfo=UTC)
    expected = completeness.configured(f"store {n}" for n in range(20))

    def judged(count, **more):
        return completeness.completeness(DAY, {f"store {n}" for n in range(count)}, expected, **more)

    early = judged(5, deadline=deadline, as_of=deadline - timedelta(minutes=1))
    assert (early.status, early.value) == (Status.PENDING, 0.25)
    assert judged(5, deadline=deadline, as_of=deadline).status is Status.FAIL
    assert [judged(n).status for n in (20, 19, 18, 17)] == ["pass", "pass", "warning", "fail"]
    assert judged(18).details["missing"] == ["store 18", "store 19"]
    assert judged(0, closed=True).status is Status.SKIPPED
    assert completeness.completeness(DAY, {"a"}, None).status is Status.INSUFFICIENT_HISTORY
    assert judged(17, thresholds=Thresholds(completeness_warning=0.5)).status is Status.WARNING


def test_who_is_silent():
    seen = [{"a", "b"}] * 55 + [{"a", "b", "c"}]
    assert completeness.silent(seen, {"b", "c"}) == ["a"]
    assert completeness.silent([{"b"}, *seen], {"b"}) == ["a"]
    assert completeness.silent([*seen, {"b"}], {"b"}) == []
    assert completeness.silent(seen[1:], set()) == []


# ---- accuracy


def test_the_wilson_bounds_of_a_known_case():
    assert wilson(9, 10) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert wilson(0, 10)[0] == 0
    assert wilson(10, 10)[1] == 1


@given(st.integers(1, 49), st.data())
def test_few_rows_are_vouched_for_from_below(rows, data):
    valid = data.draw(st.integers(0, rows))
    low, high = wilson(valid, rows)
    found = accuracy(valid, rows)
    assert found.value == low <= valid / rows <= high
    assert found.status == at_least(high, 0.95, 0.90)
    if valid == rows:
        assert found.status is Status.PASS


@pytest.mark.parametrize(
    ("valid", "rows", "value", "status"),
    [
        (50, 50, 1.0, "pass"),
        (95, 100, 0.95, "pass"),
        (90, 100, 0.9, "warning"),
        (89, 100, 0.89, "fail"),
        (0, 60, 0.0, "fail"),
        (0, 0, None, "skipped"),
    ],
)
def test_accuracy(valid, rows, value, status):
    found = accuracy(valid, rows, day=DAY)
    assert (found.value, found.status) == (value, status)


def test_more_valid_rows_than_rows_are_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="5 valid rows of 4"):
        accuracy(5, 4)


# ---- timeliness


def test_a_snapshot_covers_its_day_and_a_sale_itself():
    assert timeliness.covered_until(datetime(2026, 3, 2), BERLIN) == datetime(2026, 3, 3, tzinfo=BERLIN)
    assert timeliness.covered_until(datetime(2026, 3, 2, 21, 5), BERLIN) == datetime(
        2026, 3, 2, 21, 5, tzinfo=BERLIN
    )


def test_lags_are_true_hours_when_the_clock_changes():
    covered = timeliness.covered_until(
        datetime(2026, 3, 28), BERLIN
    )  # to the 29th, 00:00: summer time begins at two
    as_of = datetime(2026, 3, 29, 6, tzinfo=BERLIN)
    found = timeliness.timeliness(as_of, covered=covered, arrived=covered, due=covered)
    assert (found.details["event_lag_hours"], found.details["arrival_lag_hours"], found.value) == (5, 5, 5)


def daily(first, count, hour=6, skip=()):
    days = [first + timedelta(days=n) for n in range(count)]
    return [datetime.combine(day, time(hour), BERLIN) for day in days if day.weekday() not in skip]


def test_the_next_delivery_is_due_a_usual_gap_later():
    came = daily(DAY, 10)
    assert timeliness.next_due(came, BERLIN) == datetime(2026, 3, 12, 7, tzinfo=BERLIN)
    extra = [*came, *(moment + timedelta(hours=9) for moment in came)]  # two a day: the first counts
    assert timeliness.next_due(extra, BERLIN) == timeliness.next_due(came, BERLIN)
    assert timeliness.next_due(came[:4], BERLIN) is None
    assert timeliness.next_due([], BERLIN) is None


def test_after_friday_comes_monday():
    came = daily(DAY, 5 * 7 - 2, skip=(5, 6))
    assert came[-1].weekday() == 4
    due = timeliness.next_due(came, BERLIN, timedelta())
    # five Fridays, four gaps of three days; six o'clock stays six o'clock when summer time begins
    assert due == datetime(2026, 4, 6, 6, tzinfo=BERLIN)
    assert timeliness.next_due(came[:-1], BERLIN, timedelta()) == came[-1]


def test_without_a_due_time_there_is_no_judgement():
    as_of = datetime(2026, 3, 2, 12, tzinfo=UTC)
    found = timeliness.timeliness(as_of, covered=None, arrived=as_of - timedelta(hours=2), due=None)
    assert (found.status, found.value) == (Status.INSUFFICIENT_HISTORY, None)
    assert found.details["arrival_lag_hours"] == 2


# ---- the calendar


def arrivals(count, *, skip=(5, 6), first=DAY):
    days = [first + timedelta(days=n) for n in range(count)]
    return [
        Arrival(
            day,
            datetime.combine(day + timedelta(days=1), time(2, day.day % 5), BERLIN),
            f"sales_data_{day:%Y%m%d}.csv",
        )
        for day in days
        if day.weekday() not in skip
    ]


def test_a_calendar_is_learned_and_names_what_did_not_come():
    came = arrivals(42)
    until = DAY + timedelta(days=42)
    plan = calendar.learn(came, until, BERLIN)
    assert plan is not None
    assert sorted(plan.due_after) == [0, 1, 2, 3, 4]
    assert plan.name(until) == "sales_data_20260413.csv"
    tuesday = until + timedelta(days=1)
    assert timedelta(hours=27) <= plan.due_after[1] <= timedelta(hours=27, minutes=4)
    received = {arrival.day for arrival in came} | {until}
    early = datetime.combine(tuesday + timedelta(days=1), time(2), BERLIN)
    assert calendar.missing(plan, received, DAY, early, BERLIN) == []
    late = calendar.missing(plan, received, DAY, early + timedelta(hours=2), BERLIN)
    assert [(one.day, one.name) for one in late] == [(tuesday, "sales_data_20260414.csv")]
    assert plan.next_due(date(2026, 4, 17), BERLIN) == plan.due(date(2026, 4, 20), BERLIN)


def test_a_late_file_does_not_move_the_time_that_is_usual():
    came = [
        Arrival(DAY + timedelta(weeks=n), datetime.combine(DAY + timedelta(weeks=n, days=1), time(2), BERLIN))
        for n in range(8)
    ]
    came[5] = Arrival(came[5].day, came[5].at + timedelta(hours=9))
    plan = calendar.learn(came, DAY + timedelta(weeks=8), BERLIN)
    assert plan is not None
    assert plan.due_after == {0: timedelta(hours=27)}


def test_a_calendar_needs_four_weeks_and_forgives_a_gap():
    assert calendar.learn(arrivals(20), DAY + timedelta(days=20), BERLIN) is None
    came = [one for n, one in enumerate(arrivals(56)) if n not in {3, 17}]
    plan = calendar.learn(came, DAY + timedelta(days=56), BERLIN)
    assert plan is not None
    assert sorted(plan.due_after) == [0, 1, 2, 3, 4]
    assert calendar.learn([], DAY, BERLIN) is None


def test_what_comes_after_does_not_change_what_was_known():
    came = arrivals(70)
    until = DAY + timedelta(days=42)
    assert (
        calendar.learn(came, until, BERLIN).due_after == calendar.learn(arrivals(42), until, BERLIN).due_after
    )


def test_a_configured_calendar():
    plan = calendar.configured({0, 1, 2}, time(6), name="stock_{date}.csv", closed={DAY})
    as_of = datetime(2026, 3, 4, 12, tzinfo=BERLIN)
    assert [one.name for one in calendar.missing(plan, set(), DAY, as_of, BERLIN)] == ["stock_20260303.csv"]
    assert plan.due(date(2026, 3, 3), BERLIN) == datetime(2026, 3, 4, 6, tzinfo=BERLIN)
    assert calendar.configured((), time(6)).next_due(DAY, BERLIN) is None


@pytest.mark.parametrize("written", ["x_2026-03-02.csv", "02032026.csv", "a20260302b.csv", "s1_260302.csv"])
def test_the_date_is_found_in_a_name(written):
    template, form = calendar._template(written, DAY)
    assert template.replace("{date}", DAY.strftime(form)) == written
    assert calendar._template("weekly.csv", DAY)[0] == ""


# ---- consistency

NAN = float("nan")


def test_reserved():
    found = consistency.reserved([10, 10, 10, 10, NAN], [0, 10, 11, -1, 3])
    assert found.violating.tolist() == [False, False, True, True, False]
    assert found.share == 0.5


def test_stock_balance():
    found = consistency.stock_balance([7, 8, 12, NAN], [10, 10, 10, 10], [3, 3, 3, 3], [0, 0, 5, 0])
    assert found.violating.tolist() == [False, True, False, False]
    assert found.evaluated.sum() == 3
    assert not consistency.stock_balance([8], [10], [3], [0], tolerance=1).violating.any()


def test_stock_balance_without_receipts():
    # 3 sold and 5 more on the shelf: 8 came in; lost stock breaks nothing
    found = consistency.stock_balance_by_transit([15, 15, 2], [10, 10, 10], [3, 3, 3], [8, 7, 0])
    assert found.violating.tolist() == [False, True, False]
    assert not consistency.stock_balance_by_transit([15], [10], [3], [0], filled=False).evaluated.any()


def test_sold_at_zero():
    found = consistency.sold_at_zero([2, 2, 0, 2, 2], [0, 5, 0, 0, NAN], [0, 0, 0, 4, 0])
    assert found.evaluated.tolist() == [True, True, False, True, False]
    assert found.violating.tolist() == [True, False, False, False, False]
    assert consistency.sold_at_zero([2], [0]).violating.all()


def test_unit_price():
    past = np.full((5, 28), NAN)
    past[:4, ::2] = 2.5
    past[3, ::4] = 25.0  # a product with two prices: ten times is within its spread
    past[4, :3] = 2.5
    found = consistency.unit_price([250, 7.4, 2.5, 25, 250], past)
    assert found.evaluated.tolist() == [True, True, True, True, False]
    assert found.violating.tolist() == [True, False, False, False, False]
    assert consistency.unit_price([0.83], past[:1]).violating.all()
    assert not consistency.unit_price([0.0], past[:1]).evaluated.any()


@given(st.floats(0.01, 1e6), st.floats(0.1, 10))
def test_unit_price_does_not_know_the_currency(price, scale):
    chance = np.random.default_rng(1)
    past = price * np.exp(chance.normal(0, 0.1, (1, 28)))
    for factor in (0.2, 1, 5):
        one = consistency.unit_price([price * factor], past)
        two = consistency.unit_price([price * factor * scale], past * scale)
        assert one.violating.tolist() == two.violating.tolist() == [factor != 1]


def test_competitor_price_and_reconciliation():
    assert consistency.competitor_price([10, 10, 10, 0], [10, 31, 3, 5]).violating.tolist() == [
        False,
        True,
        True,
        False,
    ]
    found = consistency.reconciliation([100, 100, 1000, 1000, NAN], [101, 102, 1005, 1006, 5])
    assert found.violating.tolist() == [False, True, False, True, False]


def test_the_result_of_a_rule():
    stock = np.full(100, 10)
    kept = consistency.reserved(stock, np.where(np.arange(100) < 6, 11, 0))
    found = consistency.consistency(kept, DAY, [f"P{n}" for n in range(100)])
    assert (found.scope, found.value, found.status) == ("rule:reserved", 0.94, "warning")
    assert found.details["violating_keys"] == ["P0", "P1", "P2", "P3", "P4", "P5"]
    nothing = consistency.consistency(consistency.reserved([], []), DAY)
    assert (nothing.status, nothing.value) == (Status.SKIPPED, None)
