"""How late data are, in three numbers: of what they speak, when they came, and by when they should have come.

Evaluate it on a timer: silence brings no file. All moments have a time zone, so that the hour that summer time takes or
gives is counted as what it is.
"""

import statistics
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise

from handlers.quality.calendar import GRACE
from handlers.quality.result import DEFAULTS, Metric, Result, Status, Thresholds, at_most

LEAST_GAPS = 4
REMEMBERED = 8  # gaps of a weekday that count
_HOUR = timedelta(hours=1)


def covered_until(latest: datetime, zone: tzinfo) -> datetime:
    """The end of the period that the latest row speaks of.

    A row stamped 00:00 is a daily snapshot or total: it covers its day, to the next 00:00. Any other covers to itself.

    Args:
        latest: the latest business time of the feed, local, without a time zone.
        zone: the business time zone.
    """
    if latest == latest.replace(hour=0, minute=0, second=0, microsecond=0):
        latest += timedelta(days=1)
    return latest.replace(tzinfo=zone)


def next_due(arrivals: Sequence[datetime], zone: tzinfo, grace: timedelta = GRACE) -> datetime | None:
    """When the next delivery should be here, from the gaps between earlier ones.

    Of each local day the first arrival counts. The usual gap is the median of the last 8 gaps that began on the weekday
    of the last arrival (so Friday's may be three days); while there are fewer than 4 of them, that of the last 8 of all.

    Args:
        arrivals: committed deliveries of one feed (and source), with a time zone, in any order.
        zone: the business time zone.
        grace: added to the usual gap.

    Returns:
        None while fewer than 4 gaps are known.
    """
    first: dict[object, datetime] = {}
    for arrival in sorted(arrivals, reverse=True):
        first[arrival.astimezone(zone).date()] = arrival
    days = sorted(first.values())
    # gaps on the local clock: a file that comes at six comes at six in summer too
    local = [day.astimezone(zone).replace(tzinfo=None) for day in days]
    gaps = [(one.weekday(), (two - one).total_seconds()) for one, two in pairwise(local)]
    if len(gaps) < LEAST_GAPS:
        return None
    same = [gap for weekday, gap in gaps if weekday == local[-1].weekday()]
    usual = same if len(same) >= LEAST_GAPS else [gap for _, gap in gaps]
    due = local[-1] + timedelta(seconds=statistics.median(usual[-REMEMBERED:])) + grace
    return due.replace(tzinfo=zone)


def timeliness(
    as_of: datetime,
    *,
    covered: datetime | None,
    arrived: datetime | None,
    due: datetime | None,
    scope: str = "",
    thresholds: Thresholds = DEFAULTS,
) -> Result:
    """How late a feed (or a source of it) is at a moment; the value is the SLA delay in hours.

    Args:
        as_of: the moment that is asked about.
        covered: the end of what the latest row speaks of, see ``covered_until``; None: there is none.
        arrived: the last committed delivery; None: there is none.
        due: when the next delivery should be here: from a calendar, or ``next_due``; None: nobody knows.
        scope: "" for the feed, or its source.
        thresholds: the limits.
    """
    said: dict[str, object] = {
        "event_lag_hours": None if covered is None else _hours(covered, as_of),
        "arrival_lag_hours": None if arrived is None else _hours(arrived, as_of),
        "next_due": None if due is None else due.isoformat(),
    }
    passes = thresholds.delay_pass_hours
    if due is None:
        return Result(Metric.TIMELINESS, scope, None, None, passes, Status.INSUFFICIENT_HISTORY, said)
    delay = max(0.0, _hours(due, as_of))
    status = at_most(delay, passes, thresholds.delay_warning_hours)
    return Result(Metric.TIMELINESS, scope, None, delay, passes, status, said)


def _hours(begin: datetime, end: datetime) -> float:
    """True hours: two moments of one zone would be subtracted on the local clock."""
    return (end.astimezone(UTC) - begin.astimezone(UTC)) / _HOUR
