"""Reading the recorded quality metrics for people. Nothing is written."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, func, select

from daemon.store.derived import METRICS
from daemon.store.schema import DELIVERIES, REJECTS, rejects_are_of

_M, _C = METRICS.c, DELIVERIES.c
_LEAN = (_M.id, _M.timestamp, _M.data_source, _M.metric_name, _M.metric_value, _M.threshold_value)
_KEY = (_M.status, _M.delivery_id, _M.scope, _M.day)
TIMELINESS = "timeliness"  # it speaks of a moment; with a day, of a file of that day that did not come
_FAR = timedelta(days=3_660)  # from the newest day: nothing is known of lateness there
_LOOKED_BACK = timedelta(days=28)  # for files that are still missing


@dataclass(frozen=True, slots=True)
class Recorded:
    """A row of ``data_quality_metrics``.

    Attributes:
        id: later rows have higher ones.
        at: the as-of moment of the judgement, UTC.
        feed: its ``data_source``.
        metric: its name.
        scope: "" is the feed as a whole.
        day: the business day.
        value: None if there was nothing to say.
        threshold: where a value passes.
        status: the judgement, or why there is none.
        delivery_id: what brought it about; None: time did.
        details: what the value was made of; empty where only a trend was asked for.
    """

    id: int
    at: datetime
    feed: str
    metric: str
    scope: str
    day: date | None
    value: float | None
    threshold: float | None
    status: str
    delivery_id: int | None
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is recorded about a day.

    Attributes:
        asked: the day that was asked for; None: the newest.
        day: the day that is told about; None: there is none with metrics.
        newest: the newest day with metrics; None: there is none.
        nearest: if the day has no metrics, the days before and after it that have.
        rows: of the day, the oldest first.
        past: of the days up to it, that one included, without details.
        late: of timeliness, up to the moment that is asked about.
        missing: of the files that did not come, or not in time, each with the business day of its slot; of the newest day
            also those of others, up to the same moment.
        rejected: per feed the deliveries of the day of which rows were rejected, see ``rejected``.
        last: per feed its newest day with metrics.
    """

    asked: date | None
    day: date | None
    newest: date | None
    nearest: tuple[date, ...] = ()
    rows: Sequence[Recorded] = ()
    past: Sequence[Recorded] = ()
    late: Sequence[Recorded] = ()
    missing: Sequence[Recorded] = ()
    rejected: Mapping[str, Sequence[tuple[int, str, int, str]]] = field(default_factory=dict)
    last: Mapping[str, date] = field(default_factory=dict)


def facts(
    connection: Connection,
    feeds: Sequence[str],
    now: datetime,
    zone: ZoneInfo,
    day: date | None = None,
    days: int = 14,
) -> Facts:
    """What is recorded of some feeds and a day.

    Args:
        connection: to the database.
        feeds: whose.
        now: of the newest day timeliness is told up to this moment; of an older one to the end of the day after it.
        zone: the business time zone.
        day: None: the newest.
        days: how many the trend has.
    """
    known = {feed: last for feed in feeds if (last := last_day(connection, feed)) is not None}
    newest = max(known.values(), default=None)
    chosen = newest if day is None else day
    if chosen is None:
        return Facts(day, None, None)
    rows = [row for feed in feeds for row in of_day(connection, chosen, feed)]
    nearest = () if rows else _nearest(connection, feeds, chosen)
    if not rows and abs(chosen - (newest or now.date())) > _FAR:
        return Facts(day, chosen, newest, nearest, last=known)
    end = now
    if newest is None or chosen < newest:
        end = min(now, datetime.combine(chosen + timedelta(days=2), time(), zone))
    span = (chosen, chosen) if end is not now else (chosen - _LOOKED_BACK, now.astimezone(zone).date())
    begin = datetime.combine(end.astimezone(zone).date() - timedelta(days=days - 1), time(), zone)
    return Facts(
        asked=day,
        day=chosen,
        newest=newest,
        nearest=nearest,
        rows=rows,
        past=[
            row
            for feed in feeds
            for row in of_days(connection, chosen - timedelta(days=days - 1), chosen, feed)
        ],
        late=[row for feed in feeds for row in of_moments(connection, begin, feed) if row.at <= end],
        missing=[row for feed in feeds for row in of_files(connection, feed, *span) if row.at <= end],
        rejected={feed: rejected(connection, feed, chosen) for feed in feeds},
        last=known,
    )


def _nearest(connection: Connection, feeds: Sequence[str], day: date) -> tuple[date, ...]:
    """The days with metrics before and after one."""
    before = [found for feed in feeds if (found := last_day(connection, feed, day)) is not None]
    after = [found for feed in feeds if (found := first_day(connection, feed, day)) is not None]
    return (*([max(before)] if before else []), *([min(after)] if after else []))


def last_day(connection: Connection, feed: str | None = None, until: date | None = None) -> date | None:
    """The newest day with metrics; None if there is none.

    Args:
        connection: to the database.
        feed: only of this one.
        until: this day or an earlier one.
    """
    only = [*_of(feed), *(() if until is None else (_M.day <= until,))]
    return connection.execute(select(func.max(_M.day)).where(_M.metric_name != TIMELINESS, *only)).scalar()


def first_day(connection: Connection, feed: str | None, since: date) -> date | None:
    """The oldest day with metrics from one on; None if there is none."""
    only = (_M.metric_name != TIMELINESS, _M.day >= since, *_of(feed))
    return connection.execute(select(func.min(_M.day)).where(*only)).scalar()


def of_day(connection: Connection, day: date, feed: str | None = None) -> list[Recorded]:
    """All that was said of a day, the oldest first."""
    found = select(*_LEAN, *_KEY, _M.details).where(_M.day == day, _M.metric_name != TIMELINESS, *_of(feed))
    return [_recorded(row) for row in connection.execute(found.order_by(_M.id))]


def of_days(connection: Connection, since: date, until: date, feed: str | None = None) -> list[Recorded]:
    """All that was said of some days, the oldest first, without details.

    Args:
        connection: to the database.
        since: the first day.
        until: the last day.
        feed: only of this one.
    """
    when = (_M.day >= since, _M.day <= until, _M.metric_name != TIMELINESS)
    found = select(*_LEAN, *_KEY).where(*when, *_of(feed))
    return [_recorded(row) for row in connection.execute(found.order_by(_M.id))]


def of_files(connection: Connection, feed: str, since: date, until: date) -> list[Recorded]:
    """What was said of the files of some days that did not come in time, the oldest first."""
    which = (_M.metric_name == TIMELINESS, _M.data_source == feed, _M.day >= since, _M.day <= until)
    found = select(*_LEAN, *_KEY, _M.details).where(*which)
    return [_recorded(row) for row in connection.execute(found.order_by(_M.id))]


def anomalies(connection: Connection, feed: str, since: date, until: date) -> list[Recorded]:
    """All anomaly scores of some days, the oldest first, with details."""
    when = (_M.day >= since, _M.day <= until, _M.metric_name == "anomaly_score", _M.data_source == feed)
    found = select(*_LEAN, *_KEY, _M.details).where(*when)
    return [_recorded(row) for row in connection.execute(found.order_by(_M.id))]


def of_moments(connection: Connection, since: datetime, feed: str | None = None) -> list[Recorded]:
    """What was said of timeliness since a moment, and what held then; the oldest first."""
    late = (_M.metric_name == TIMELINESS, _M.day.is_(None), *_of(feed))
    held = select(func.max(_M.id)).where(*late, _M.timestamp < since).group_by(_M.data_source, _M.scope)
    found = select(*_LEAN, *_KEY, _M.details).where(*late, (_M.timestamp >= since) | _M.id.in_(held))
    return [_recorded(row) for row in connection.execute(found.order_by(_M.id))]


def files(connection: Connection, deliveries: Iterable[int]) -> dict[int, str]:
    """The names of some deliveries' files."""
    ids = list(set(deliveries))
    found = connection.execute(select(_C.id, _C.file_name).where(_C.id.in_(ids)))
    return {row.id: row.file_name for row in found}


def rejected(connection: Connection, feed: str, day: date) -> list[tuple[int, str, int, str]]:
    """The deliveries of a day of which rows were rejected: id, file, rows, the most frequent reason; the worst first."""
    # no range: how a slot's colons sort is the database's affair
    slot = _C.slot.startswith(f"{feed}:{day.isoformat()}:", autoescape=True)
    bad = (slot, _C.superseded_by.is_(None), _C.records_failed > 0)
    rows = connection.execute(
        select(_C.id, _C.file_name, _C.records_failed, _C.status, _C.error_details)
        .where(*bad, _C.status.in_(("partial", "failed")))
        .order_by(_C.records_failed.desc(), _C.id)
    ).all()
    return [(row.id, row.file_name, *_reason(connection, row)) for row in rows]


def _reason(connection: Connection, row: Any) -> tuple[int, str]:
    """How many of a delivery's rows were rejected, and why most of them; of a refused file those that were found to be bad."""
    if row.status == "failed":
        reasons = Counter[str]((row.error_details or {}).get("reasons") or {})
        if not reasons:
            return row.records_failed, str((row.error_details or {}).get("reason", ""))
        return reasons.total(), reasons.most_common(1)[0][0]
    count = func.count()
    most = (
        select(REJECTS.c.reason, count)
        .where(rejects_are_of(row.id))
        .group_by(REJECTS.c.reason)
        .order_by(count.desc(), REJECTS.c.reason)
    )
    return row.records_failed, connection.execute(most.limit(1)).scalar() or ""


def _of(feed: str | None) -> tuple[ColumnElement[bool], ...]:
    return () if feed is None else (_M.data_source == feed,)


def _recorded(row: Any) -> Recorded:
    return Recorded(
        id=row.id,
        at=row.timestamp,
        feed=row.data_source,
        metric=row.metric_name,
        scope=row.scope,
        day=row.day,
        value=row.metric_value,
        threshold=row.threshold_value,
        status=row.status,
        delivery_id=row.delivery_id,
        details=getattr(row, "details", None) or {},
    )
