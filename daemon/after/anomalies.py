"""How unusual the totals of a day are: of the chain, of each place and channel, and of the products where it stands out."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta

import numpy as np

from daemon.after.files import DAY
from daemon.after.files_due import FilesDue
from daemon.after.outstanding import Scored, named, scope_of
from daemon.after.span import Span
from daemon.store import quality as store
from daemon.store.quality import MEASURES, Transaction
from handlers.quality.anomaly import (
    HISTORY,
    WEEKDAYS,
    Bools,
    Expectation,
    expect,
    holiday_factor,
    on_holiday,
    part_of_day,
    score,
    share_by,
    usable,
)
from handlers.quality.result import Metric, Result, Status

_HOLIDAY_YEARS = 4
_CLOCK_DAYS = 56  # that tell which share of a day has come by an hour
_LEAST_CLOCK_DAYS = 4


def judged(connection: Transaction, span: Span, due: FilesDue, day: date) -> list[Result]:
    """The scores of a day that is worth one; those of a day that is settled are kept for later ones.

    Args:
        connection: of the transaction.
        span: what is known of the feed.
        due: the files of the feed, and the moment that is asked about.
        day: the business day.
    """
    if day in span.terms.closed_days or not span.has_data(day):
        store.forget(connection, span.terms.feed.name, day)
        return _withdrawn(connection, span, day, [])
    over, settled = due.is_over(day), due.is_settled(day)
    share = None if over else _share(connection, span, due.as_of, day)
    if not over and share is None:
        return [_pending(span, measure, day) for measure in _measures(span)]
    scored = scores(connection, span, day, share or 1.0)
    if settled:
        _keep(connection, span, day, scored)
    said = {} if over else {"part_of_day": round(share or 0.0, 4)}
    found = named(connection, span, day, scored, said, _open_before(span, day))
    if over and not settled:
        found = [_awaited(result) for result in found]
    return found + _withdrawn(connection, span, day, found)


def scores(connection: Transaction, span: Span, day: date, share: float = 1.0) -> Scored:
    """Scores each series of a day.

    Args:
        connection: of the transaction.
        span: what is known of the feed.
        day: the business day.
        share: of the day that has usually come by now.
    """
    at = span.place(day)
    past = slice(at - HISTORY, at)
    rows = span.totals("rows")
    places = [n for n in span.single if n == 0 or rows[n, at - HISTORY : at + 1].any()]
    measures = _measures(span)
    counted = np.array([span.totals(name)[places, at] for name in measures], np.float64)
    history = np.array([span.totals(name)[places, past] for name in measures], np.float64)
    known = (
        np.cumsum(rows[places, past], axis=1) > 0
    )  # a shop that was not there yet had no day without sales
    history[:, ~known] = np.nan
    z, raw = (
        np.array([table(name)[places, past] for name in measures]).reshape(-1, HISTORY)
        for table in (span.z, span.raw)
    )
    days = _days_before(day)
    weekdays = (np.arange(HISTORY) + days[0].weekday()) % WEEKDAYS
    holidays = np.array([np.nan if span.terms.holiday(each) else 1.0 for each in days])
    seen = _holiday_ratios(connection, span, day)
    ordinary = expect(
        history.reshape(-1, HISTORY), weekdays, day.weekday(), usable(z, _open_before(span, day)), holidays
    )
    expected = ordinary if seen is None else _for_holiday(ordinary, seen)
    found = score(np.maximum(counted, 0).ravel(), part_of_day(expected, share), raw)
    shape = counted.shape
    return Scored(
        measures=measures,
        places=places,
        counted=counted,
        expected=(expected.mean * share).reshape(shape),
        z=found.z.reshape(shape),
        raw=found.raw.reshape(shape),
        seen=None if seen is None else len(seen),
        ordinary=(ordinary.mean * share).reshape(shape),
    )


def _days_before(day: date) -> list[date]:
    return [day - n * DAY for n in range(HISTORY, 0, -1)]


def _open_before(span: Span, day: date) -> Bools:
    """Which of the days before had data, and most of what they should have, as far as that is known."""
    return np.array(
        [
            span.has_data(each)
            and each not in span.terms.closed_days
            and span.statuses.get(each) not in (Status.FAIL, Status.PENDING)
            for each in _days_before(day)
        ]
    )


def _measures(span: Span) -> tuple[str, ...]:
    return tuple(name for name in MEASURES if name != "value" or span.terms.totals.value_e4)


# ---- a part of a day, and holidays


def _share(connection: Transaction, span: Span, as_of: datetime, day: date) -> float | None:
    """The share of the day that has usually come by now; None if that is not to be said."""
    feed = span.terms.feed.name
    local = as_of.astimezone(span.terms.zone)
    if local.date() != day:
        return None
    hours: dict[str, list[int]] = {}
    for text, hour, _, rows in store.hours(connection, feed, day - timedelta(_CLOCK_DAYS), day):
        hours.setdefault(text, [0] * 24)[hour] += rows
    today = hours.pop(day.isoformat(), None)
    same = [each for text, each in hours.items() if date.fromisoformat(text).weekday() == day.weekday()]
    earlier = same if len(same) >= _LEAST_CLOCK_DAYS else list(hours.values())
    if today is None or not earlier:
        return None
    # the file ends where its rows do, which may be before it came
    end = max(hour for hour, rows in enumerate(today) if rows) + 1
    moment = local.time() if local.hour < end else time(end)
    share = share_by(np.array(earlier).sum(0), moment)
    return share or None


def _holiday_ratios(connection: Transaction, span: Span, day: date) -> list[float] | None:
    """What the same holiday did to the chain in each earlier year that is known; None on any other day."""
    if not span.terms.holiday(day):
        return None
    found = []
    for earlier in span.terms.same_holidays(day, _HOLIDAY_YEARS):
        said = store.newest(connection, span.terms.feed.name, Metric.ANOMALY_SCORE, earlier, earlier)
        last = said.get((earlier, scope_of(_measures(span)[-1])))
        counted, ordinary = (last.details.get(key) for key in ("counted", "ordinary")) if last else (0, 0)
        if counted and ordinary:
            found.append(counted / ordinary)
    return found


def _for_holiday(ordinary: Expectation, ratios: Sequence[float]) -> Expectation:
    """The expectation of a holiday, by what it did to the chain before."""
    factor = holiday_factor(ratios) if ratios else 1.0
    changed = replace(ordinary, mean=ordinary.mean * factor, factor=ordinary.factor * factor)
    return on_holiday(changed, len(ratios))


# ---- what is said


def _pending(span: Span, measure: str, day: date) -> Result:
    limit = span.terms.thresholds.anomaly_info
    return Result(
        Metric.ANOMALY_SCORE,
        scope_of(measure),
        day,
        None,
        limit,
        Status.PENDING,
        {"why": "the day is not over"},
    )


def _awaited(result: Result) -> Result:
    """A day of which a file is late, and not given up: that there is less than usual is no news."""
    if result.status is not Status.WARNING or (result.value or 0) > 0:
        return result
    return replace(
        result, status=Status.PENDING, details={**result.details, "why": "a file is late, and waited for"}
    )


def _withdrawn(connection: Transaction, span: Span, day: date, now: Sequence[Result]) -> list[Result]:
    """What stood out before and does not any more, with late data."""
    scopes = {result.scope for result in now}
    said = store.newest(connection, span.terms.feed.name, Metric.ANOMALY_SCORE, day, day)
    return [
        Result(
            Metric.ANOMALY_SCORE,
            scope,
            day,
            None,
            span.terms.thresholds.anomaly_info,
            Status.SKIPPED,
            {"why": "with what came later it does not stand out"},
        )
        for (_, scope), last in said.items()
        if scope not in scopes and last.status is not Status.SKIPPED
    ]


def _keep(connection: Transaction, span: Span, day: date, scored: Scored) -> None:
    """Keeps the scores of a day that is over: for the days that follow in this span, and in the database."""
    at = span.place(day)
    for n, measure in enumerate(scored.measures):
        span.z(measure)[scored.places, at] = scored.z[n]
        span.raw(measure)[scored.places, at] = scored.raw[n]
    span.keep(connection, day)
