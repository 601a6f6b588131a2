"""Two databases side by side: each table row by row in the order of its key, in bounded memory.

Either may be SQLite or PostgreSQL: rows are read in a form that both give alike (see ``canonical.py``).
"""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, select, text

from daemon.store.bulk import Manners, manners_of
from daemon.store.canonical import Form, Pair, Row, Value, form_of, pairs, rows_of
from daemon.store.derived import DERIVED, REMOVED_DAYS
from daemon.store.engine import translated
from daemon.store.ledger import LOADED, REJECTS_REMOVED, ROWS_REMOVED
from daemon.store.schema import (
    CLOCK,
    DAILY,
    DELIVERIES,
    LINE_BITS,
    LIVE,
    METADATA,
    PRODUCTS,
    SHADOWED,
    TOTALS,
)
from daemon.store.store import Store
from handlers import HANDLERS, feed_named

# what a replay must find out again; the rest of the ledger is about time and place
REPLAYED = (
    *(
        "file_type",
        "status",
        "records_processed",
        "records_successful",
        "records_failed",
        "records_duplicate",
    ),
    *("sha256", "size_bytes", "slot", "superseded_by", "fixes", "extends", "encoding", "delimiter"),
)
TABLES = tuple(table for table in METADATA.tables.values() if table is not DELIVERIES)
FOLLOWING = tuple(
    DERIVED.tables.values()
)  # made from those, and of what was known at the time: no replay makes it
_SOME = 500  # rows of the ledger that are held at a time
_MOST_BEHIND = 3  # deliveries named behind a row of an aggregate


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A database as it was at one moment, whatever is written to it meanwhile."""

    connection: Connection

    @property
    def manners(self) -> Manners:
        """Of its database."""
        return manners_of(self.connection)

    def loaded(self) -> Iterator[Mapping[str, Any]]:
        """The rows of the ledger of what is loaded, also if it was superseded, in the order of arrival."""
        last, c = 0, DELIVERIES.c
        while True:
            some = select(DELIVERIES).where(c.id > last, c.status.in_(LOADED)).order_by(c.id).limit(_SOME)
            rows = [dict(row) for row in self.connection.execute(some).mappings()]
            yield from rows
            if not rows:
                return
            last = rows[-1]["id"]

    def count_loaded(self) -> int:
        """How many deliveries are loaded."""
        loaded = select(func.count()).where(DELIVERIES.c.status.in_(LOADED))
        return int(self.connection.execute(loaded).scalar_one())

    def unloaded(self) -> list[Mapping[str, Any]]:
        """The rows of the ledger of what was loaded once and taken out again."""
        c = DELIVERIES.c
        found = select(c.id, c.file_type, c.fixes, c.unloaded_at).where(c.status == "unloaded")
        return [dict(row) for row in self.connection.execute(found).mappings()]

    def rejects_removed(self) -> list[int]:
        """Loaded deliveries whose rejected rows were removed when they were old."""
        c = DELIVERIES.c
        noted = c.error_details[REJECTS_REMOVED].as_string().is_not(None)
        found = select(c.id).where(c.status.in_(LOADED), noted).order_by(c.id)
        return list(self.connection.execute(found).scalars())

    def rows_removed(self) -> int:
        """How many loaded deliveries have rows that were removed when they were old."""
        noted = DELIVERIES.c.error_details[ROWS_REMOVED].as_string().is_not(None)
        found = select(func.count()).where(DELIVERIES.c.status.in_(LOADED), noted)
        return int(self.connection.execute(found).scalar_one())

    def file_of(self, delivery_id: int) -> str | None:
        """A delivery's file name."""
        return self.connection.execute(
            select(DELIVERIES.c.file_name).where(DELIVERIES.c.id == delivery_id)
        ).scalar()


@contextlib.contextmanager
def snapshot(store: Store) -> Iterator[Snapshot]:
    """Holds a database still for reading; nothing of it is locked for writers.

    While it is held, a SQLite log is not cut and PostgreSQL cleans nothing up that was deleted since.
    """
    with translated(), store.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            driver: Any = connection.connection.driver_connection
            connection.exec_driver_sql(
                "SELECT 1"
            )  # SQLAlchemy's transaction begins, and SQLite's with some engines
            if not driver.in_transaction:
                connection.exec_driver_sql("BEGIN")
        else:
            connection.execution_options(isolation_level="REPEATABLE READ")
            for setting in ("idle_in_transaction_session_timeout", "statement_timeout"):
                connection.exec_driver_sql(f"SET LOCAL {setting} = 0")
        connection.exec_driver_sql("SELECT 1 FROM data_ingestion_log LIMIT 1")  # from now on it stands still
        try:
            yield Snapshot(connection)
        finally:
            connection.rollback()


@dataclass(frozen=True, slots=True)
class Difference:
    """One value, or one row, that is not the same.

    Attributes:
        table: where.
        delivery: whose row it is; None in an aggregate.
        file: that delivery's name.
        line: the row's line in that file; None in an aggregate and in the ledger.
        key: the row's key in an aggregate, and in what follows from the rows.
        behind: deliveries whose rows an aggregate's row is made of, some of them.
        column: None if one side lacks the whole row.
        database: the value, or the row, in the database; None: no value, or no row.
        replay: the same in the other one.
    """

    table: str
    delivery: int | None
    file: str | None
    line: int | None
    key: dict[str, Value] | None
    behind: tuple[int, ...]
    column: str | None
    database: Value | dict[str, Value]
    replay: Value | dict[str, Value]


@dataclass(slots=True)
class Compared:
    """What was found in one table.

    Attributes:
        table: which.
        rows: how many it has in the first database.
        differences: how many values or rows differ.
        examples: the first of them.
    """

    table: str
    rows: int = 0
    differences: int = 0
    examples: list[Difference] = field(default_factory=list)


Alike = Callable[[dict[str, Value], dict[str, Value]], bool]


def compare(
    database: Snapshot,
    other: Snapshot,
    form: Form,
    other_form: Form | None = None,
    *,
    most: int = 20,
    alike: Alike = lambda _one, _other: False,
    progress: Callable[[int], None] = lambda _rows: None,
) -> Compared:
    """Compares a table of two databases.

    Args:
        database: the first.
        other: the second.
        form: how the table is read.
        other_form: how it is read in the second, if otherwise.
        most: so many examples.
        alike: whether two rows of one key that differ are as good as equal.
        progress: called with how many rows have been compared since the last call.
    """
    found = Compared(form.table.name)
    both = rows_of(database.connection, form), rows_of(other.connection, other_form or form)
    for pair in pairs(*both):
        found.rows += len(pair.left)
        if not pair.equal:
            for left, right in _unequal(pair, form.keys):
                for column, one, two in _cells(form, left, right, alike):
                    found.differences += 1
                    if len(found.examples) < most:
                        row = left or right or ()
                        found.examples.append(_named(database, other, form, row, (column, one, two)))
        progress(len(pair.left))
    return found


def whole_tables() -> list[Form]:
    """Every table, the ledger first, what follows from the rows last."""
    return [form_of(table) for table in (DELIVERIES, *TABLES, *FOLLOWING)]


def replayed_tables(database: Snapshot, *, unproved: Collection[str]) -> list[Form]:
    """What a replay must have made, as one of both databases is read: the ledger apart.

    Rows that were removed are left out, also where they are still there: in the replay, or after a pass that was killed.

    Args:
        database: in which the removed days are noted.
        unproved: feeds of which a delivery has neither a file nor its rows: no replay makes the figures of its days.
    """
    if database.connection.execute(select(REMOVED_DAYS).limit(1)).first() is None:
        return list(map(form_of, TABLES))
    wanted = {}
    for feed in HANDLERS:
        removed = f"SELECT 1 FROM removed_days r WHERE r.feed = '{feed.name}' AND r.day = "
        for table in (LIVE[feed.name], SHADOWED[feed.name]):
            its = f"{database.manners.day('date')} AND r.since > ({table.name}.id >> {LINE_BITS})"
            wanted[table] = f"NOT EXISTS ({removed}{its})"
        if feed.name in unproved:
            wanted[DAILY[feed.name]] = f"NOT EXISTS ({removed}{DAILY[feed.name].name}.day)"
    for table in (TOTALS, CLOCK) if unproved else ():
        named = ", ".join(f"'{feed}'" for feed in sorted(unproved))
        same = f"r.feed IN ({named}) AND r.feed = {table.name}.feed AND r.day = {table.name}.day"
        wanted[table] = f"NOT EXISTS (SELECT 1 FROM removed_days r WHERE {same})"
    tables = [table for table in TABLES if not (unproved and table is PRODUCTS)]
    return [form_of(table, where=wanted.get(table, "")) for table in tables]


def replayed_ledger(*, only_loaded: bool) -> Form:
    """What of the ledger a replay must find out again."""
    words = ", ".join(f"'{status}'" for status in LOADED)
    return form_of(DELIVERIES, REPLAYED, f"status IN ({words})" if only_loaded else "")


def _unequal(pair: Pair, keys: int) -> Iterator[tuple[Row | None, Row | None]]:
    """The rows that differ or that one side lacks, in order."""
    left, right = ({row[:keys]: row for row in rows} for rows in (pair.left, pair.right))
    together: list[Any] = sorted(left.keys() | right.keys())
    for key in together:
        one, other = left.get(key), right.get(key)
        if one != other:
            yield one, other


Cell = tuple[str | None, Value | dict[str, Value], Value | dict[str, Value]]


def _cells(form: Form, left: Row | None, right: Row | None, alike: Alike) -> Iterator[Cell]:
    one, other = (dict(zip(form.columns, row, strict=True)) if row else None for row in (left, right))
    if one is None or other is None:
        yield None, one, other
    elif not alike(one, other):
        yield from ((name, one[name], other[name]) for name in form.columns if one[name] != other[name])


def _named(database: Snapshot, other: Snapshot, form: Form, row: Row, cell: Cell) -> Difference:
    """A difference with the delivery it belongs to."""
    delivery: int | None = None
    line: int | None = None
    key: dict[str, Value] | None = None
    behind: tuple[int, ...] = ()
    first = row[0]
    if form.table in FOLLOWING:
        key = dict(zip(form.columns, row[: form.keys], strict=False))
    elif not isinstance(first, int):
        key = dict(zip(form.columns, row[: form.keys], strict=False))
        behind = _behind(database, form, key) or _behind(other, form, key)
    elif form.table is DELIVERIES:
        delivery = first
    else:
        delivery, line = first >> LINE_BITS, first & (2**LINE_BITS - 1)
    file = None
    if delivery is not None:
        file = database.file_of(delivery) or other.file_of(delivery)
    return Difference(form.table.name, delivery, file, line, key, behind, *cell)


def _behind(database: Snapshot, form: Form, key: Mapping[str, Value]) -> tuple[int, ...]:
    """Some of the deliveries whose rows an aggregate's row is made of, those with the earliest rows first."""
    if form.table in (TOTALS, CLOCK):
        feeds = [feed_named(str(key["feed"]))]
        key = {"day": key["day"]}
    else:
        feeds = [feed for feed in HANDLERS if feed.daily and form.table in (PRODUCTS, DAILY[feed.name])]
    wanted = [f"COALESCE({name}, '') = :{name}" for name in key if name != "day"]
    if "day" in key:
        wanted.append(f"{database.manners.day('date')} = {_as_day(database, ':day')}")
    found: list[Any] = []
    for feed in feeds:
        sql = (
            f"SELECT MIN(date), delivery_id FROM {LIVE[feed.name].name} WHERE {' AND '.join(wanted)}"
            f" GROUP BY delivery_id ORDER BY 1, 2 LIMIT {_MOST_BEHIND}"
        )
        found += map(tuple, database.connection.execute(text(sql), key))
    return tuple(delivery for _, delivery in sorted(found)[:_MOST_BEHIND])


def _as_day(database: Snapshot, value: str) -> str:
    return value if database.manners.name == "sqlite" else f"CAST({value} AS DATE)"
