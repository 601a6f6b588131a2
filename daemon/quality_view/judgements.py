"""Recorded rows put in order: what holds now, what speaks for all, what changed."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeAlias
from zoneinfo import ZoneInfo

from daemon.store.quality_view import Facts, Recorded
from handlers.quality.result import JUDGED, Metric, Status, worst

TREND_DAYS = 14
METRICS = tuple(metric.value for metric in Metric)
_PARTS = frozenset({"location", "channel", "product", "product_id", "source", "delivery"})
_HIGHER_IS_BETTER = ("completeness", "accuracy", "consistency")
Key: TypeAlias = tuple[str, str]  # metric, scope


@dataclass(frozen=True, slots=True)
class Change:
    """What is judged otherwise than on the day before.

    Attributes:
        metric: whose.
        scope: of what.
        change: ``worse``, ``better`` (still no pass) or ``resolved``.
        before: the status of the day before.
        now: that of the day.
    """

    metric: str
    scope: str
    change: str
    before: str
    now: str


def is_part(scope: str) -> bool:
    """Whether a scope is a place, a channel, a product, a source or a delivery; not the feed, a rule or a measure."""
    return any(part.partition(":")[0] in _PARTS for part in scope.split("|"))


def in_force(rows: Iterable[Recorded]) -> list[Recorded]:
    """What holds: the newest row of each feed, metric, scope and day.

    Args:
        rows: the oldest first.
    """
    return list({(row.feed, row.metric, row.scope, row.day): row for row in rows}.values())


def still_missing(facts: Facts, feed: str) -> list[Recorded]:
    """The files of a feed that did not come, the newest first."""
    held = in_force(row for row in facts.missing if row.feed == feed)
    some = [row for row in held if row.status in (Status.FAIL, Status.WARNING, Status.PENDING)]
    return sorted(some, key=lambda row: (row.day or date.min, row.scope), reverse=True)


def lateness(facts: Facts, feed: str) -> list[Recorded]:
    """What speaks for a feed's timeliness: its delay, that of its sources, and files of the day or later that did not come."""
    missed = [
        row for row in still_missing(facts, feed) if not facts.day or not row.day or row.day >= facts.day
    ]
    return [*in_force(row for row in facts.late if row.feed == feed), *missed]


def headline(rows: Iterable[Recorded]) -> Recorded | None:
    """The row that speaks for a metric: of the feed as a whole, its rules or measures, the worst.

    Args:
        rows: in force, of one feed, metric and day.
    """
    some = list(rows)
    whole = [row for row in some if not is_part(row.scope)] or some
    if not whole:
        return None
    status = worst(Status(row.status) for row in whole)
    # a delay tells more than one of the files that it is made of
    return max(
        (row for row in whole if row.status == status), key=lambda row: (row.day is None, badness(row))
    )


def badness(row: Recorded) -> float:
    """The higher, the worse, among values of one metric."""
    if row.value is None:
        return 0.0
    return 1 - row.value if row.metric in _HIGHER_IS_BETTER else abs(row.value)


def by_metric(rows: Iterable[Recorded]) -> dict[str, list[Recorded]]:
    """Rows of one feed and day by their metric, in the metrics' order."""
    found: dict[str, list[Recorded]] = {name: [] for name in METRICS}
    for row in rows:
        found.setdefault(row.metric, []).append(row)
    return {name: some for name, some in found.items() if some}


def trends(
    rows: Iterable[Recorded], until: date, days: int = TREND_DAYS
) -> dict[tuple[str, str], list[tuple[date, Recorded | None]]]:
    """For each feed and metric what spoke for it on each of the last days, the oldest first.

    Args:
        rows: of those days, the oldest first.
        until: the last day.
        days: how many.
    """
    each: dict[tuple[str, str, date], list[Recorded]] = defaultdict(list)
    for row in rows:
        if row.day is not None:
            each[row.feed, row.metric, row.day].append(row)
    found: dict[tuple[str, str], list[tuple[date, Recorded | None]]] = {}
    for feed, metric in dict.fromkeys((feed, metric) for feed, metric, _ in each):
        found[feed, metric] = [
            (day, headline(in_force(each.get((feed, metric, day), ())))) for day in _days(until, days)
        ]
    return found


def lateness_by_day(
    rows: Sequence[Recorded], feed: str, until: date, zone: ZoneInfo, days: int = TREND_DAYS
) -> list[tuple[date, Recorded | None]]:
    """What was said last of a feed's timeliness on each day, of the business time zone; a silent day is like the one before."""
    own = [row for row in rows if row.feed == feed]
    found = []
    for day in _days(until, days):
        end = _end(day, zone)
        found.append((day, headline(in_force(row for row in own if row.at < end))))
    return found


def trend_of(
    row: Recorded, facts: Facts, now: datetime, zone: ZoneInfo
) -> Sequence[tuple[date, Recorded | None]]:
    """What was said of the same feed, metric and scope on each of the last days, the oldest first.

    Args:
        row: in force on the day that is told about, or at the moment.
        facts: of that day.
        now: aware.
        zone: the business time zone.
    """
    if row.metric == Metric.TIMELINESS:
        until = now.astimezone(zone).date()
        if facts.day is not None and facts.day != facts.newest:
            until = min(until, facts.day + timedelta(days=1))
        of_a_file = row.day is not None  # it has no past of its own
        own = [each for each in facts.late if of_a_file or each.scope == row.scope]
        return lateness_by_day(own, row.feed, until, zone)
    if facts.day is None:
        return ()
    key = (row.feed, row.metric, row.scope)
    same = (each for each in facts.past if (each.feed, each.metric, each.scope) == key)
    return trends(same, facts.day)[row.feed, row.metric]


def newer_day(facts: Facts, feeds: Sequence[str]) -> date | None:
    """The newest day after all with metrics of which lateness is known, of a file that did not come; None: there is none."""
    missed = [row.day for feed in feeds for row in still_missing(facts, feed) if row.day is not None]
    return max((day for day in missed if facts.newest is not None and day > facts.newest), default=None)


def changes(before: Iterable[Recorded], now: Iterable[Recorded]) -> list[Change]:
    """What got worse, better, or is resolved; only what is a judgement on both days.

    Args:
        before: in force on the day before, of one feed.
        now: in force on the day.
    """
    earlier: Mapping[Key, Recorded] = {(row.metric, row.scope): row for row in before}
    found = []
    for row in now:
        was = earlier.get((row.metric, row.scope))
        if was is None or was.status == row.status or not {was.status, row.status} <= set(JUDGED):
            continue
        if row.status == Status.PASS:
            change = "resolved"
        else:
            change = "worse" if worst((Status(was.status), Status(row.status))) == row.status else "better"
        found.append(Change(row.metric, row.scope, change, was.status, row.status))
    order = {"worse": 0, "better": 1, "resolved": 2}
    return sorted(found, key=lambda each: (order[each.change], is_part(each.scope)))


def _days(until: date, days: int) -> list[date]:
    return [until - timedelta(days=back) for back in range(days - 1, -1, -1)]


def _end(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), zone)
