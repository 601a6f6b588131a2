"""The feeds' rows of old days: which may go, and how they do, some at a time.

A day goes as a whole, and a delivery's rows together with its newest ones. One short transaction decides: it notes the
day, and in the ledger those whose rows it has. From then on these rows do not count as known, even while some are
still there; they follow, some at a time. What a kill leaves is found again, for it is looked for among the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, exists, func, insert, select

from daemon.store import ledger, retention
from daemon.store.bulk import manners_of
from daemon.store.derived import REMOVED_DAYS
from daemon.store.schema import DELIVERIES, LINE_BITS, LIVE, SHADOWED, is_of
from handlers import HANDLERS
from handlers.feed import Feed

_C, _D = DELIVERIES.c, REMOVED_DAYS.c
_DAYS = 31  # that are looked through at a time
_ROWS = 5_000  # that are taken out in a transaction
_MANY = 500  # deliveries that are asked about at once
# what came for a day when others like it had gone already can be taken out again for so long
LATE_STAYS = timedelta(days=7)

FEEDS = tuple(
    feed for feed in HANDLERS if feed.daily is not None
)  # of others nothing is added up: their rows stay
NAMES = tuple(str(tables[feed.name].name) for feed in FEEDS for tables in (LIVE, SHADOWED))


@dataclass(frozen=True, slots=True)
class Old:
    """What is too old.

    Attributes:
        before: the first day that stays.
        upto: the number of the last delivery that is looked at.
        late_before: late files that arrived before this stay no longer, aware.
    """

    before: date
    upto: int
    late_before: datetime


@dataclass(slots=True)
class Day:
    """Rows of a day that may go.

    Attributes:
        feed: whose.
        day: which.
        upto: the last delivery that was looked at.
        decided: deliveries whose rows of that day are to go since an earlier pass.
        undecided: those whose rows may go now, all or none.
        rows: how many there are, by table.
    """

    feed: Feed
    day: date
    upto: int
    decided: list[int] = field(default_factory=list)
    undecided: list[int] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Some:
    """Some days that were looked through.

    Attributes:
        days: those with rows that may go, in order.
        until: the first day that was not looked through.
    """

    days: list[Day]
    until: date


def last_delivery(connection: Connection) -> int:
    """The latest delivery, in a writing transaction: none with a lower number is still under way."""
    retention.alone(connection)
    return ledger.last(connection)


def look(connection: Connection, feed: Feed, old: Old, first: date) -> Some | None:
    """Looks through the next days that have rows; None if there are no more.

    Args:
        connection: of a reading transaction.
        feed: whose rows.
        old: what is too old.
        first: the first day to look at.
    """
    begin = _first_day(connection, feed, old, first)
    if begin is None:
        return None
    until = min(begin + timedelta(days=_DAYS), old.before)
    counted = _counted(connection, feed, old, begin, until)
    facts = _facts(connection, {key for rows in counted.values() for key in rows})
    stay = {key for key in facts if _has_rows_since(connection, feed, key, old.before)}
    days = []
    for day in sorted(counted):
        found = _judged(connection, feed, day, old, counted[day], facts, stay)
        if found.decided or found.undecided:
            days.append(found)
    return Some(days, until)


def decide(connection: Connection, day: Day) -> bool:
    """Notes that the rows of a day go; false if something has come for it since it was looked at.

    In a writing transaction.
    """
    retention.alone(connection)
    first = (day.upto + 1) << LINE_BITS
    its = _of_day(day.day)
    for table in _tables(day.feed):
        # in the order of ids, for PostgreSQL would rather begin with the old rows, which are many
        newer = f"SELECT id FROM {table} WHERE id >= {first} AND {its} ORDER BY id LIMIT 1"
        if connection.exec_driver_sql(newer).first() is not None:
            return False
    fixed = exists().where(_C.id > day.upto, _C.fixes.is_not(None), _C.file_type == day.feed.name)
    if connection.execute(select(fixed)).scalar():  # it may have put rows among those of any delivery
        return False
    row = {"feed": day.feed.name, "day": day.day, "since": day.upto + 1}
    known = exists().where(*(_D[name] == value for name, value in row.items()))
    if not connection.execute(select(known)).scalar():
        connection.execute(insert(REMOVED_DAYS).values(row))
    for begin in range(0, len(day.undecided), _MANY):
        some = _C.id.in_(day.undecided[begin : begin + _MANY]), _C.status.in_(ledger.LOADED)
        for key in connection.execute(select(_C.id).where(*some)).scalars().all():
            retention.note(connection, key, ledger.ROWS_REMOVED)
    return True


def take_out(connection: Connection, day: Day, deliveries: Sequence[int]) -> tuple[dict[str, int], list[int]]:
    """Takes some rows of a day out; how many by table, and the deliveries that may have more.

    In a writing transaction.

    Args:
        connection: of the transaction.
        day: that was decided.
        deliveries: those whose rows are still to go.
    """
    retention.alone(connection)
    gone = dict.fromkeys(_tables(day.feed), 0)
    left = list(deliveries)
    while left and (room := _ROWS - sum(gone.values())) > 0:
        its = f"{is_of(left[0])} AND {_of_day(day.day)}"
        done = True
        for table in gone:
            some = f"SELECT id FROM {table} WHERE {its} LIMIT {room}"
            rows = connection.exec_driver_sql(f"DELETE FROM {table} WHERE id IN ({some})").rowcount
            gone[table] += rows
            room -= rows
            if room <= 0:
                done = False
                break
        if done:
            left.pop(0)
    return gone, left


# ---- looking


def _first_day(connection: Connection, feed: Feed, old: Old, first: date) -> date | None:
    day = manners_of(connection).day("MIN(date)")
    its = f"date >= '{first}' AND date < '{old.before}' AND {_upto(old)}"
    found = [connection.exec_driver_sql(f"SELECT {day} FROM {t} WHERE {its}").scalar() for t in _tables(feed)]
    return min((_date(each) for each in found if each is not None), default=None)


def _counted(
    connection: Connection, feed: Feed, old: Old, begin: date, until: date
) -> dict[date, dict[int, dict[str, int]]]:
    """How many rows each table has, by day and delivery."""
    day = manners_of(connection).day("date")
    its = f"date >= '{begin}' AND date < '{until}' AND {_upto(old)}"
    found: dict[date, dict[int, dict[str, int]]] = {}
    for table in _tables(feed):
        rows = connection.exec_driver_sql(
            f"SELECT {day}, id >> {LINE_BITS}, COUNT(*) FROM {table} WHERE {its} GROUP BY 1, 2"
        )
        for each, key, count in rows:
            found.setdefault(_date(each), {}).setdefault(int(key), {})[table] = int(count)
    return found


def _facts(connection: Connection, deliveries: set[int]) -> dict[int, Any]:
    """When deliveries arrived, and whether some of their rows are gone."""
    keys, found = sorted(deliveries), {}
    for begin in range(0, len(keys), _MANY):
        query = select(_C.id, _C.timestamp, _C.error_details).where(_C.id.in_(keys[begin : begin + _MANY]))
        for key, at, details in connection.execute(query):
            found[key] = at, ledger.ROWS_REMOVED in (details or {})
    return found


def _has_rows_since(connection: Connection, feed: Feed, delivery_id: int, day: date) -> bool:
    its = f"{is_of(delivery_id)} AND date >= '{day}'"
    return any(
        connection.exec_driver_sql(f"SELECT 1 FROM {table} WHERE {its} LIMIT 1").first() is not None
        for table in _tables(feed)
    )


def _judged(
    connection: Connection,
    feed: Feed,
    day: date,
    old: Old,
    counted: dict[int, dict[str, int]],
    facts: dict[int, Any],
    stay: set[int],
) -> Day:
    """Which rows of a day may go: those that were to go, and the others if all of them may."""
    its = (_D.feed == feed.name, _D.day == day)
    since = connection.execute(select(func.max(_D.since)).where(*its)).scalar() or 0
    late = connection.execute(select(func.min(_D.since)).where(_D.feed == feed.name, _D.day >= day)).scalar()
    found = Day(feed, day, old.upto)
    for key in sorted(counted):
        _, noted = facts.get(key, (None, False))
        (found.decided if noted and key < since else found.undecided).append(key)
    if any(
        key in stay or (late is not None and key >= late and facts[key][0] >= old.late_before)
        for key in found.undecided
    ):
        found.undecided = []
    for key in (*found.decided, *found.undecided):
        for table, count in counted[key].items():
            found.rows[table] = found.rows.get(table, 0) + count
    return found


def _tables(feed: Feed) -> tuple[str, str]:
    return feed.table, f"{feed.table}_shadowed"


def _upto(old: Old) -> str:
    return f"id < {(old.upto + 1) << LINE_BITS}"


def _of_day(day: date) -> str:
    return f"date >= '{day}' AND date < '{day + timedelta(days=1)}'"


def _date(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value))
