"""What the judging of data reads and writes: totals, the ledger, scores, and ``data_quality_metrics``.

Everything read is bounded: some months of one feed's small totals, or one key of an index.
"""

import math
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias

from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from daemon.errors import GaveWay
from daemon.store import alerts, ledger
from daemon.store.arrivals import fetch
from daemon.store.derived import DUE_DAYS, METRICS, QUALITY_DAYS
from daemon.store.schema import TOTALS
from handlers.alerts.signals import signal_of
from handlers.quality.accuracy import accuracy
from handlers.quality.result import DEFAULTS, Metric, Result, Status, Thresholds

MEASURES = ("units", "rows", "value")
FIGURES = tuple(f"{what}_{measure}" for what in ("total", "z", "raw") for measure in MEASURES)
Transaction: TypeAlias = Connection  # for those above the store, who hand it on
_ACTED_ON = timedelta(days=14)  # before the newest day
_DELIVERY = "delivery:"
_FEW = 500  # scopes that are asked for by name
_M, _D = METRICS.c, QUALITY_DAYS.c


# ---- what is due


def due(
    connection: Connection, most: int, within: timedelta, *, take: bool = False
) -> tuple[str, list[tuple[date, int]]] | None:
    """The oldest days that are due, all of one feed.

    Args:
        connection: of the transaction.
        most: days.
        within: none is farther than this from the oldest.
        take: leave out what a delivery writes just now, and let none write the others before the transaction ends: it
            takes the rows before the alerts, as a delivery does, so that neither waits for the other for ever.

    Returns:
        The feed, and days with the delivery that brought them about, oldest first; None if nothing is due.
    """
    c = DUE_DAYS.c
    oldest = select(c.feed, c.day).order_by(c.day, c.feed).limit(1)
    first = connection.execute(oldest.with_for_update(skip_locked=True) if take else oldest).first()
    if first is None:
        return None
    its = (c.feed == first.feed, c.day <= first.day + within)
    some = select(c.day, c.delivery_id).where(*its).order_by(c.day).limit(most)
    rows = connection.execute(some.with_for_update(skip_locked=True) if take else some)
    return first.feed, [(row.day, row.delivery_id) for row in rows]


def done(connection: Connection, feed: str, day: date, delivery_id: int) -> None:
    """Notes that a day was judged; it stays due if another delivery touched it meanwhile."""
    c = DUE_DAYS.c
    its = (c.feed == feed, c.day == day, c.delivery_id == delivery_id)
    connection.execute(delete(DUE_DAYS).where(*its))


# ---- state


def newest_day(connection: Connection, feed: str) -> date | None:
    """The newest day of which a feed has data."""
    return connection.execute(select(func.max(TOTALS.c.day)).where(TOTALS.c.feed == feed)).scalar()


def totals(connection: Connection, feed: str, days: Sequence[date]) -> list[tuple[Any, ...]]:
    """Day (text), scope, units, rows and money of each series that has any on some days."""
    some = ", ".join(f"'{day}'" for day in days)
    return fetch(
        connection,
        "SELECT CAST(day AS TEXT), scope, units, rows, value_e4 FROM scope_daily"
        f" WHERE feed = '{feed}' AND day IN ({some})",
    )


@dataclass(frozen=True, slots=True)
class Packed:
    """A day as it was judged.

    Attributes:
        day: which.
        scopes: JSON: the names of its series.
        figures: float64, ``FIGURES`` x series.
    """

    day: date
    scopes: str
    figures: bytes


def packed(connection: Connection, feed: str, since: date, until: date) -> list[Packed]:
    """The days of a feed that were judged when they were over, both included, oldest first."""
    its = (_D.feed == feed, _D.day >= since, _D.day <= until)
    rows = connection.execute(select(_D.day, _D.scopes, _D.figures).where(*its).order_by(_D.day))
    return [Packed(row.day, row.scopes, row.figures) for row in rows]


def forget(connection: Connection, feed: str, day: date) -> None:
    """Takes a day out: nothing is learned from it until it is judged again."""
    connection.execute(delete(QUALITY_DAYS).where(_D.feed == feed, _D.day == day))


def keep(connection: Connection, feed: str, day: Packed) -> None:
    """Puts a day in the place of what was known of it."""
    forget(connection, feed, day.day)
    values = {"feed": feed, "day": day.day, "scopes": day.scopes, "figures": day.figures}
    connection.execute(insert(QUALITY_DAYS), [values])


def not_kept(connection: Connection, feed: str, since: date, before: date) -> list[date]:
    """Days with data of which nothing is kept: they were not over when they were judged."""
    c = TOTALS.c
    kept = select(_D.day).where(_D.feed == feed, _D.day >= since, _D.day < before)
    some = (c.feed == feed, c.scope == "", c.day >= since, c.day < before, c.day.not_in(kept))
    return list(connection.execute(select(c.day).where(*some).order_by(c.day)).scalars())


def hours(connection: Connection, feed: str, since: date, until: date) -> list[tuple[Any, ...]]:
    """Day (text), hour, units and rows, both days included."""
    return fetch(
        connection,
        "SELECT CAST(day AS TEXT), hour, units, rows FROM hour_daily"
        f" WHERE feed = '{feed}' AND day BETWEEN '{since}' AND '{until}' ORDER BY day, hour",
    )


# ---- metrics


@dataclass(frozen=True, slots=True)
class Said:
    """The newest row of a key of ``data_quality_metrics``."""

    scope: str
    day: date | None
    at: datetime
    value: float | None
    status: Status
    details: Mapping[str, Any]


def newest(
    connection: Connection,
    feed: str,
    metric: Metric,
    since: date,
    until: date,
    scopes: Collection[str] | None = None,
) -> dict[tuple[date, str], Said]:
    """What was last said of each day and scope, both days included; of some scopes, if only they are asked for."""
    its = [_M.data_source == feed, _M.metric_name == metric, _M.day >= since, _M.day <= until]
    if scopes is not None and len(scopes) <= _FEW:
        its.append(_M.scope.in_(scopes))
    rows = connection.execute(select(METRICS).where(*its).order_by(_M.id))
    return {(row.day, row.scope): _said(row) for row in rows}


def statuses(
    connection: Connection, feed: str, metric: Metric, since: date, until: date
) -> dict[date, Status]:
    """What was last said of each day of the feed as a whole, both days included."""
    its = (_M.data_source == feed, _M.metric_name == metric, _M.scope == "", _M.day >= since, _M.day <= until)
    rows = connection.execute(select(_M.day, _M.status).where(*its).order_by(_M.id))
    return {row.day: Status(row.status) for row in rows}


def scored_days(connection: Connection, feed: str, since: date, until: date) -> set[date]:
    """Days that were scored as a whole, or of which too little is known for that, both ends included."""
    return {
        day
        for (day, _), last in newest(connection, feed, Metric.ANOMALY_SCORE, since, until).items()
        if (last.value is not None and "part_of_day" not in last.details)
        or last.status is Status.INSUFFICIENT_HISTORY
    }


def newest_of_moment(connection: Connection, feed: str, metric: Metric, scope: str) -> Said | None:
    """What was last said of a scope, of no day."""
    its = (_M.data_source == feed, _M.metric_name == metric, _M.scope == scope, _M.day.is_(None))
    row = connection.execute(select(METRICS).where(*its).order_by(_M.id.desc()).limit(1)).first()
    return None if row is None else _said(row)


def changes(connection: Connection, results: Iterable[Result], feed: str) -> list[Result]:
    """Those results that say something else than the newest row of their key."""
    known: dict[tuple[Metric, date], dict[tuple[date, str], Said]] = {}
    found, some = [], list(results)
    for result in some:
        last: Said | None
        if result.day is None:
            last = newest_of_moment(connection, feed, result.metric, result.scope)
        else:
            of = (result.metric, result.day)
            if of not in known:
                scopes = {other.scope for other in some if (other.metric, other.day) == of}
                known[of] = newest(connection, feed, result.metric, result.day, result.day, scopes)
            last = known[of].get((result.day, result.scope))
        if last is None or not _same(last, result):
            found.append(result)
    return found


def record(
    connection: Connection,
    results: Iterable[Result],
    feed: str,
    at: datetime,
    delivery_id: int | None = None,
    thresholds: Thresholds = DEFAULTS,
    *,
    tell: bool = True,
) -> list[Result]:
    """Appends what results say anew, and raises or ends the alerts about it. The one way into the table.

    Args:
        connection: of the transaction.
        results: of checks.
        feed: whose.
        at: the as-of moment of the judgement, with a time zone.
        delivery_id: what brought it about; None: time did.
        thresholds: the limits.
        tell: whether alerts are raised and ended; a refused file is an alert of its own.

    Returns:
        Those that were appended: their value or status is not that of the newest row of the same key.
    """
    sound = (
        replace(result, value=_finite(result.value), details=_finite(result.details)) for result in results
    )
    new = changes(connection, sound, feed)
    rows = [_row(result, feed, at, delivery_id) for result in new]
    if rows:
        connection.execute(insert(METRICS), rows)
    if rows and tell:
        _tell(connection, new, feed, at, delivery_id, thresholds)
    return new


def _row(result: Result, feed: str, at: datetime, delivery_id: int | None) -> dict[str, Any]:
    return {
        "timestamp": at,
        "data_source": feed,
        "metric_name": str(result.metric),
        "metric_value": result.value,
        "threshold_value": result.threshold,
        "status": str(result.status),
        "details": dict(result.details),
        "delivery_id": delivery_id,
        "scope": result.scope,
        "day": result.day,
    }


def accuracy_of_delivery(
    connection: Connection, delivery_id: int, at: datetime, thresholds: Thresholds = DEFAULTS
) -> None:
    """Records which share of a file's rows is good; call when the ledger has its counts.

    Args:
        connection: of the transaction.
        delivery_id: a delivery that was loaded or refused; of one whose rows were not read nothing is said.
        at: when it, or what changed its counts, arrived.
        thresholds: the limits.
    """
    row = ledger.row_of(connection, delivery_id)
    if row is None or row["file_type"] is None or not row["records_processed"]:
        return
    rejected = row["records_failed"]
    if row["status"] == "failed":  # all of its rows are counted as such
        rejected = sum(((row["error_details"] or {}).get("reasons") or {}).values())
    result = _accuracy(row, row["records_processed"] - rejected, thresholds)
    record(
        connection, [result], row["file_type"], at, delivery_id, thresholds, tell=row["status"] != "failed"
    )


def accuracy_of_clean(
    connection: Connection, rows: Sequence[Mapping[str, Any]], at: datetime, thresholds: Thresholds = DEFAULTS
) -> None:
    """Records that every row of some new files is good: there is no alert that this could begin or end.

    Args:
        connection: of the transaction.
        rows: of the ledger.
        at: when they arrived.
        thresholds: the limits.
    """
    results = ((row, _accuracy(row, row["records_processed"], thresholds)) for row in rows)
    found = [_row(result, row["file_type"], at, row["id"]) for row, result in results]
    connection.execute(insert(METRICS), found)


def _accuracy(row: Mapping[str, Any], good: int, thresholds: Thresholds) -> Result:
    day = None if row["slot"] is None else date.fromisoformat(row["slot"].split(":", 2)[1])
    result = accuracy(
        good, row["records_processed"], scope=f"{_DELIVERY}{row['id']}", day=day, thresholds=thresholds
    )
    return replace(result, details={**result.details, "file": row["file_name"]})


def _tell(
    connection: Connection,
    results: Sequence[Result],
    feed: str,
    at: datetime,
    delivery_id: int | None,
    thresholds: Thresholds,
) -> None:
    """Raises and ends alerts; of a day long ago none is raised, but for a file: nobody can act on it."""
    signals = [s for result in results if (s := signal_of(result, feed, delivery_id, thresholds)) is not None]
    if any(signal.firing and signal.day for signal in signals):
        last = newest_day(connection, feed)
        signals = [
            signal
            for signal in signals
            if not signal.firing
            or signal.day is None
            or signal.scope.startswith(_DELIVERY)
            or last is None
            or signal.day >= last - _ACTED_ON
        ]
    alerts.apply(connection, signals, at)


def attempted(check: Callable[[], list[Result]]) -> list[Result] | Exception:
    """What a check finds, or the defect that it met; where the database is at fault nothing more can be done.

    Raises:
        SQLAlchemyError, sqlite3.Error: the transaction is of no use any more.
        GaveWay: it is to be broken off.
    """
    try:
        return check()
    except (SQLAlchemyError, sqlite3.Error, GaveWay):
        raise
    except Exception as error:  # noqa: BLE001  (one check that fails must not hide the others)
        return error


def _same(last: Said, result: Result) -> bool:
    """A delay grows all the time: of one only each full day is worth a row."""
    if last.status != result.status or (last.value is None) != (result.value is None):
        return False
    if last.value is None or result.value is None:
        return True
    if result.metric is Metric.TIMELINESS:
        return math.ceil(last.value / 24) == math.ceil(result.value / 24)
    return math.isclose(last.value, result.value, rel_tol=1e-9, abs_tol=1e-12)


def _said(row: Any) -> Said:
    return Said(row.scope, row.day, row.timestamp, row.metric_value, Status(row.status), row.details or {})


def _finite(value: Any) -> Any:
    """The value with None for each number that JSON does not have."""
    match value:
        case float() if not math.isfinite(value):
            return None
        case Mapping():
            return {key: _finite(each) for key, each in value.items()}
        case list() | tuple():
            return [_finite(each) for each in value]
        case _:
            return value
