"""What is old enough to go: rows that nothing needs, some at a time, and filed files by the ledger.

What is to go is found by its age each time, so that everything here may be done again.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from daemon.store import alerts
from daemon.store.bulk import manners_of
from daemon.store.derived import ALERTS, LETTERS, METRICS, NOTICES, QUALITY_DAYS, WORKFLOW_RUNS
from daemon.store.ledger import FILE_REMOVED, LOADED, REJECTS_REMOVED
from daemon.store.schema import DELIVERIES, LINE_BITS, REJECTS, TOTALS
from handlers.quality.anomaly import HISTORY

_C, _R, _A, _N, _L = DELIVERIES.c, REJECTS.c, ALERTS.c, NOTICES.c, LETTERS.c
_M, _D, _W = METRICS.c, QUALITY_DAYS.c, WORKFLOW_RUNS.c
_ROWS = 2_000  # rows that are taken out in a transaction, about
_FEW = 200  # alerts, or days, in a transaction: each has several rows
_PAGE = 1_000  # rows of the ledger that are held at a time


@dataclass(frozen=True, slots=True)
class Horizons:
    """What is older goes; None: nothing does.

    Attributes:
        metrics: the first day whose metrics stay.
        rejects: deliveries that arrived before this, aware.
        alerts: those that ended before this, aware; runs of the workflow that began before it.
    """

    metrics: date | None
    rejects: datetime | None
    alerts: datetime | None


@dataclass(frozen=True, slots=True)
class _Old:
    """Rows that may go.

    Attributes:
        table: theirs.
        which: those that may.
        by: a column whose values name some of them at a time.
        most: so many values at a time; None: as many as rows.
        before: what is done in the same transaction before the rows with some values go.
        mine: what a transaction begins with.
    """

    table: Table
    which: ColumnElement[bool]
    by: Column[Any]
    most: int | None = None
    before: Callable[[Connection, list[Any]], int] = lambda _connection, _values: 0
    mine: Callable[[Connection], None] = lambda _connection: None


def newest_day(connection: Connection) -> date | None:
    """The newest day with data of any feed."""
    return connection.execute(select(func.max(TOTALS.c.day)).where(TOTALS.c.scope == "")).scalar()


def count_old(connection: Connection, horizons: Horizons) -> dict[str, int]:
    """How many rows may go, by table."""
    found = dict.fromkeys(NAMES, 0)
    for old in _olds(horizons):
        query = select(func.count()).select_from(old.table).where(old.which)
        found[str(old.table.name)] = int(connection.execute(query).scalar_one())
        if old.table is ALERTS:
            query = select(func.count()).where(_N.alert_id.in_(select(_A.id).where(old.which)))
            found["notices"] = int(connection.execute(query).scalar_one())
    return found


NAMES = tuple(
    str(each.name) for each in (METRICS, QUALITY_DAYS, REJECTS, ALERTS, NOTICES, LETTERS, WORKFLOW_RUNS)
)


def removals(horizons: Horizons) -> Iterator[tuple[str, Callable[[Connection], tuple[int, int]]]]:
    """For each table: what takes some of its old rows out, and says how many, and how many of those that hang on them.

    Call each in a writing transaction of its own, until it takes nothing out.
    """
    for old in _olds(horizons):
        yield str(old.table.name), _Removal(old)


@dataclass(frozen=True, slots=True)
class _Removal:
    old: _Old

    def __call__(self, connection: Connection) -> tuple[int, int]:
        old = self.old
        old.mine(connection)
        some = select(old.by).where(old.which).distinct().order_by(old.by).limit(old.most or _ROWS)
        values = list(connection.execute(some).scalars())
        if not values:
            return 0, 0
        more = old.before(connection, values)
        gone = connection.execute(delete(old.table).where(old.by.in_(values), old.which))
        return gone.rowcount, more


def _olds(horizons: Horizons) -> Iterator[_Old]:
    if horizons.metrics is not None:
        yield _Old(METRICS, _old_metrics(horizons.metrics), _M.id)
        # a late file of the oldest days that stay is judged by the days before them
        yield _Old(QUALITY_DAYS, _D.day < horizons.metrics - timedelta(HISTORY), _D.day, _FEW)
    if horizons.rejects is not None:
        yield _Old(REJECTS, _old_rejects(horizons.rejects), _R.id, before=_say_removed, mine=alone)
    if horizons.alerts is not None:
        yield _Old(ALERTS, _old_alerts(horizons.alerts), _A.id, _FEW, _remove_notices, alerts.take_turns)
        yield _Old(LETTERS, _old_letters(horizons.alerts), _L.id, mine=alerts.take_turns)
        last = select(func.max(_W.id)).scalar_subquery()
        over = and_(_W.status != "running", _W.started_at < horizons.alerts, _W.id != last)
        yield _Old(WORKFLOW_RUNS, over, _W.id)


def _old_metrics(first: date) -> ColumnElement[bool]:
    """Of days before the first that stays; what speaks of no day goes when it is as old, and is not the last word."""
    newer = METRICS.alias("newer")
    same = [newer.c[name] == _M[name] for name in ("data_source", "metric_name", "scope")]
    said_again = exists().where(*same, newer.c.day.is_(None), newer.c.id > _M.id)
    then = datetime.combine(first, time(), UTC)
    of_moment = and_(_M.day.is_(None), _M.timestamp < then, or_(_M.scope.like("delivery:%"), said_again))
    return or_(_M.day < first, of_moment)


def _old_rejects(before: datetime) -> ColumnElement[bool]:
    """Those of deliveries that nobody has corrected rows of lately.

    What a fix corrected stays, as long as the fix is loaded: it says which rows the fix brought, for an unload and a rebuild.
    """
    fix, corrected = DELIVERIES.alias("fix"), DELIVERIES.alias("corrected")
    is_old = exists().where(_C.id == _R.delivery_id, _C.timestamp < before)
    lately = exists().where(fix.c.fixes == _R.delivery_id, fix.c.timestamp >= before)
    by_fix = exists().where(
        corrected.c.id == _R.fixed_by, corrected.c.fixes == _R.delivery_id, corrected.c.status.in_(LOADED)
    )
    newest = select(func.max(_C.id)).where(_C.timestamp < before).scalar_subquery()
    bound = _R.id < (func.coalesce(newest, 0) + 1) * 2**LINE_BITS
    return and_(bound, is_old, ~lately, or_(_R.fixed_by.is_(None), ~by_fix))


def _say_removed(connection: Connection, rejects: list[int]) -> int:
    for delivery_id in sorted({each >> LINE_BITS for each in rejects}):
        note(connection, delivery_id, REJECTS_REMOVED)
    return 0


def _old_alerts(before: datetime) -> ColumnElement[bool]:
    """Those that are over, and of which nothing is still to be told."""
    waits = exists().where(_N.alert_id == _A.id, _N.letter_id.is_(None))
    unsent = exists().where(_N.alert_id == _A.id, _N.letter_id == _L.id, _L.sent_at.is_(None))
    return and_(_A.state == alerts.RESOLVED, _A.resolved_at < before, ~waits, ~unsent)


def _remove_notices(connection: Connection, ids: list[int]) -> int:
    return connection.execute(delete(NOTICES).where(_N.alert_id.in_(ids))).rowcount


def _old_letters(before: datetime) -> ColumnElement[bool]:
    """Those that are out by every channel, and whose alerts are gone."""
    other = LETTERS.alias("other")
    unsent = exists().where(other.c.id == _L.id, other.c.sent_at.is_(None))
    return and_(_L.created_at < before, ~unsent, ~exists().where(_N.letter_id == _L.id))


def alone(connection: Connection) -> None:
    """No delivery is loaded or taken out meanwhile; on SQLite only one transaction writes anyway."""
    if connection.dialect.name == "postgresql":
        manners_of(connection).begin(connection)


# ---- files


def filed_before(connection: Connection, moment: datetime, after: int) -> list[Mapping[str, Any]]:
    """Some deliveries whose files were filed in ``processed/`` before a moment, in the order of ids.

    Args:
        connection: to the database.
        moment: aware.
        after: only those with a higher id.
    """
    columns: Select[Any] = select(_C.id, _C.file_name, _C.archive_path, _C.sha256, _C.filed_at)
    its = (_C.id > after, _C.filed_at < moment, _C.archive_path.like("processed/%"), _C.sha256.is_not(None))
    return [
        dict(row) for row in connection.execute(columns.where(*its).order_by(_C.id).limit(_PAGE)).mappings()
    ]


def refiled(connection: Connection, was: str, now: str, sha256: str) -> int:
    """Notes that a file has another name now; how many deliveries have it. None, if it was taken out meanwhile."""
    alone(connection)
    its = (_C.archive_path == was, _C.sha256 == sha256)
    return connection.execute(update(DELIVERIES).where(*its).values(archive_path=now)).rowcount


def file_goes(connection: Connection, delivery_id: int, path: str) -> bool:
    """Notes that a delivery's file is removed; false if it was taken out, or moved, meanwhile."""
    alone(connection)
    query = select(_C.archive_path).where(_C.id == delivery_id)
    if connection.execute(query).scalar() != path:
        return False
    note(connection, delivery_id, FILE_REMOVED)
    return True


def note(connection: Connection, delivery_id: int, what: str) -> None:
    """Writes into the ledger when something of a delivery was removed, the first time."""
    query = select(_C.error_details).where(_C.id == delivery_id).with_for_update()
    details = connection.execute(query).scalar() or {}
    if what not in details:
        said = {**details, what: datetime.now(UTC).isoformat(timespec="seconds")}
        connection.execute(update(DELIVERIES).where(_C.id == delivery_id).values(error_details=said))
