"""A site's database into another one, of either kind: what is not there yet, or is not the same, is copied.

How far an earlier try came is seen from what is there, so that it can be broken off anywhere. Rows are taken out of the
target before any are put in: a row that has moved, or whose key another has now, stands in nobody's way.
"""

import contextlib
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, Table, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from daemon.errors import DatabaseUnavailable
from daemon.store.bulk import manners_of
from daemon.store.canonical import Form, Row, form_of, missing, pairs, rows_of
from daemon.store.compare import FOLLOWING, TABLES, Snapshot, snapshot, whole_tables
from daemon.store.derived import ALERTS, DUE_DAYS, DUE_PRODUCTS, LETTERS, NOTICES, SILENCES
from daemon.store.engine import open_engine, translated
from daemon.store.schema import DELIVERIES
from daemon.store.store import Store
from handlers.errors import StockgripError

_IDENTITY = ("timestamp", "file_name", "claim", "sha256")
_LATER = ("forced_at", "unloaded_at")  # a person's doing, which a copy has only if its source has
_NUMBERED = tuple(t for t in (DELIVERIES, *FOLLOWING) if t.autoincrement_column is not None)
# small, and one of them changes with whatever follows from the deliveries
_TELLING = (DUE_PRODUCTS, DUE_DAYS, ALERTS, NOTICES, LETTERS, SILENCES)
Progress = Callable[[int], None]


class CannotCopy(StockgripError):  # noqa: N818  (named by what is so)
    """The target cannot take the copy; the message says why, and what to do."""


@contextlib.contextmanager
def opened_target(url: str, source: Snapshot, *, busy_timeout_seconds: float = 10.0) -> Iterator[Store]:
    """The database that is to have the copy, its tables made.

    Raises:
        CannotCopy: it is the source itself, holds other data, or may not be used.
        DatabaseUnavailable: it cannot be reached.
    """
    _must_be_another(source, url)
    try:
        store = Store.open(url, busy_timeout_seconds=busy_timeout_seconds)
    except DBAPIError as error:
        raise CannotCopy(f"the target cannot be used: {_in_short(error)}") from error
    try:
        with snapshot(store) as there:
            _must_be_ours(source, there)
        yield store
    finally:
        store.close()


def rows_there(url: str, source: Snapshot) -> dict[str, int]:
    """How many rows each table of a target has; nothing is made. Raises as ``opened_target`` does."""
    _must_be_another(source, url)
    forms = whole_tables()
    nothing = dict.fromkeys((form.table.name for form in forms), 0)
    file = _sqlite_file(url)
    if file is not None and not Path(file).exists():
        return nothing
    engine = open_engine(url)
    try:
        with translated(), engine.connect() as connection:
            if not inspect(connection).has_table(DELIVERIES.name):
                return nothing
            connection.rollback()
        store = Store(engine)
        with snapshot(store) as there:
            _must_be_ours(source, there)
            return {form.table.name: form.count(there.connection) for form in forms}
    except DBAPIError as error:
        raise CannotCopy(f"the target cannot be used: {_in_short(error)}") from error
    finally:
        engine.dispose()


def copy_table(source: Snapshot, target: Store, form: Form, progress: Progress) -> int:
    """Makes a table of the target the source's; how many rows were put in.

    Args:
        source: what is copied.
        target: where to.
        form: the table, whole.
        progress: called with how many rows of the source are there for sure, since the last call.

    Raises:
        CannotCopy: somebody else writes to the target.
    """
    with snapshot(target) as there:
        is_empty = next(iter(rows_of(there.connection, form)), None) is None
    if is_empty:
        return _fill(source, target, form, progress)
    if not _take_out(source, target, form):
        progress(form.count(source.connection))
        return 0
    return _complete(source, target, form, progress)


def keep_numbers(source: Snapshot, target: Store) -> None:
    """Lets the target's ledger, and what else is numbered, go on behind every id that the source has ever given."""
    with _writing(target) as connection:
        for table in _NUMBERED:
            last = max(_last_number(source.connection, table), _last_number(connection, table))
            if last == 0:
                continue
            if connection.dialect.name != "sqlite":
                connection.exec_driver_sql(f"SELECT setval({_sequence(table)}, {last})")
            elif _has_sequence(table):
                connection.exec_driver_sql(f"DELETE FROM sqlite_sequence WHERE name = '{table.name}'")
                connection.exec_driver_sql(f"INSERT INTO sqlite_sequence VALUES ('{table.name}', {last})")


def changed_since(source: Snapshot, store: Store) -> int:
    """How many deliveries came, or were changed, since the source was held still.

    Whatever changes a table of rows changes a row of the ledger with it.
    """
    form = form_of(DELIVERIES)
    with snapshot(store) as now:
        both = rows_of(source.connection, form), rows_of(now.connection, form)
        return sum(len(missing(pair, "right")) for pair in pairs(*both) if not pair.equal)


def followed_since(source: Snapshot, store: Store) -> bool:
    """Whether something was done, or told, since the source was held still, that follows from the deliveries."""
    with snapshot(store) as now:
        for form in map(form_of, _TELLING):
            both = rows_of(source.connection, form), rows_of(now.connection, form)
            if not all(pair.equal for pair in pairs(*both)):
                return True
    return False


# ---- the target


def _must_be_another(source: Snapshot, url: str) -> None:
    """The target is not the source.

    Raises:
        CannotCopy: it is.
        DatabaseUnavailable: it cannot be reached.
    """
    same = CannotCopy("this is the database that the site has now; name another one")
    file, mine = _sqlite_file(url), source.connection
    if file is not None:
        if mine.dialect.name == "sqlite":
            ours = mine.exec_driver_sql("PRAGMA database_list").all()[0][2]
            if Path(file).exists() and Path(file).samefile(ours):
                raise same
        return
    try:
        engine = open_engine(url)
    except ImportError as error:
        raise DatabaseUnavailable(f"the database's driver is not installed: {error}") from error
    try:
        with translated(), engine.connect() as there:
            if mine.dialect.name == "postgresql" and _share_locks(mine, there):
                raise same
    finally:
        engine.dispose()


def _share_locks(one: Connection, other: Connection) -> bool:
    """Whether two connections, however they were made, are to one schema of one database of PostgreSQL."""
    number = secrets.randbits(62)
    one.exec_driver_sql(f"SELECT pg_advisory_xact_lock({number})")
    free = other.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({number})").scalar()
    schemas = {each.exec_driver_sql("SELECT current_schema()").scalar() for each in (one, other)}
    return not free and len(schemas) == 1


def _must_be_ours(source: Snapshot, there: Snapshot) -> None:
    """The target is empty, or a copy of this site that is not whole or not new.

    Raises:
        CannotCopy: it holds something else.
    """
    form = form_of(DELIVERIES, (*_IDENTITY, *_LATER))
    known = False
    for pair in pairs(rows_of(source.connection, form), rows_of(there.connection, form)):
        known = known or bool(pair.right)
        ours = {row[0]: row for row in pair.left}
        for row in missing(pair, "right"):
            _must_be_older(form, row, ours.get(row[0]))
    if known:
        _must_not_have_told(source, there)
        return
    for table in TABLES:
        other = form_of(table)
        if next(iter(rows_of(there.connection, other)), None) is not None:
            raise CannotCopy(
                f"the target has rows in {table.name} and no delivery that they belong to; name an empty database"
            )


def _must_be_older(form: Form, theirs: Row, ours: Row | None) -> None:
    there: dict[str, Any] = dict(zip(form.columns, theirs, strict=True))
    here: dict[str, Any] | None = dict(zip(form.columns, ours, strict=True)) if ours else None
    name = f"delivery {there['id']} ({there['file_name']})"
    if here is None:
        raise CannotCopy(
            f"the target has {name}, which this site's database does not have: it is another site's, or has"
            " been in use since; name an empty database"
        )
    if any(here[column] != there[column] for column in _IDENTITY):
        raise CannotCopy(
            f"the target has {name}, which is {here['file_name']} in this site's database: it is another"
            " site's; name an empty database"
        )
    if any(there[column] is not None and here[column] != there[column] for column in _LATER):
        raise CannotCopy(
            f"{name} was unloaded or retried in the target since it was copied: it has been in use; name an"
            " empty database"
        )


def _must_not_have_told(source: Snapshot, there: Snapshot) -> None:
    """Another copy of the letter would be sent from here.

    Raises:
        CannotCopy: the target has sent a letter that the source has not.
    """
    form = form_of(LETTERS, ("sent_at",))
    for pair in pairs(rows_of(source.connection, form), rows_of(there.connection, form)):
        unsent = {row[: form.keys] for row in pair.left if row[-1] is None}
        if any(row[: form.keys] in unsent and row[-1] is not None for row in pair.right):
            raise CannotCopy(
                "a letter about alerts was sent from the target since it was copied: it has been in use; name an"
                " empty database"
            )


# ---- rows


def _fill(source: Snapshot, target: Store, form: Form, progress: Progress) -> int:
    """Puts everything into an empty table."""
    copied = 0
    for rows in rows_of(source.connection, form):
        _put_in(target, form, rows)
        copied += len(rows)
        progress(len(rows))
    return copied


def _take_out(source: Snapshot, target: Store, form: Form) -> bool:
    """Takes out what the source does not have, or has otherwise; whether anything is to be put in."""
    lacks = False
    with snapshot(target) as there:
        for pair in pairs(rows_of(source.connection, form), rows_of(there.connection, form)):
            if pair.equal:
                continue
            lacks = lacks or bool(missing(pair, "left"))
            strange = missing(pair, "right")
            if strange:
                with _writing(target) as connection:
                    mark = "?" if connection.dialect.name == "sqlite" else "%s"
                    key = " AND ".join(f'"{name}" = {mark}' for name in form.columns[: form.keys])
                    sql = f"DELETE FROM {form.table.name} WHERE {key}"
                    connection.exec_driver_sql(sql, [row[: form.keys] for row in strange])
    return lacks


def _complete(source: Snapshot, target: Store, form: Form, progress: Progress) -> int:
    """Puts in what is missing."""
    copied = 0
    with snapshot(target) as there:
        for pair in pairs(rows_of(source.connection, form), rows_of(there.connection, form)):
            rows = missing(pair, "left")
            if rows:
                _put_in(target, form, rows)
                copied += len(rows)
            progress(len(pair.left))
    return copied


def _put_in(target: Store, form: Form, rows: list[Row]) -> None:
    with _writing(target) as connection:
        found = form.as_table(rows)
        if connection.dialect.name != "sqlite":
            found = _with_readable_bytes(found)
        manners_of(connection).insert(connection, form.table.name, found)


def _with_readable_bytes(rows: pa.Table) -> pa.Table:
    """Bytes as PostgreSQL reads them in text."""
    for place, column in enumerate(rows.columns):
        if column.type == pa.binary():
            texts = [None if value is None else f"\\x{value.hex()}" for value in column.to_pylist()]
            rows = rows.set_column(place, rows.schema.names[place], pa.array(texts, pa.string()))
    return rows


@contextlib.contextmanager
def _writing(target: Store) -> Iterator[Connection]:
    """A transaction on the target.

    Raises:
        CannotCopy: what is written is there already.
    """
    try:
        with translated(), target.engine.connect() as connection:
            connection.execution_options(begin="DEFERRED")
            manners_of(connection).begin(connection)
            yield connection
            connection.commit()
    except Exception as error:
        if _state(error) == _TAKEN:
            raise CannotCopy(
                "somebody else writes to the target at the same time; stop that and run it again"
            ) from error
        if _state(error).startswith(_UNFIT):
            raise CannotCopy(f"the target does not take a row: {_in_short(error)}") from error
        raise


_TAKEN = "23505"  # PostgreSQL's word for a key that is there already
_UNFIT = ("22", "23")  # values and constraints


def _state(error: Exception) -> str:
    """An error's class in PostgreSQL's numbers, of either driver and as SQLAlchemy wraps it."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    if isinstance(cause, sqlite3.IntegrityError):
        return _TAKEN if "UNIQUE" in str(cause) else _UNFIT[1]
    return str(getattr(cause, "sqlstate", None) or "")


# ---- names and numbers


def _sequence(table: Table) -> str:
    return f"pg_get_serial_sequence('{table.name}', 'id')"


def _has_sequence(table: Table) -> bool:
    """Whether SQLite keeps the greatest id of a table also when its row is gone."""
    return bool(table.dialect_options["sqlite"]["autoincrement"])


def _last_number(connection: Connection, table: Table) -> int:
    """The greatest id that a table has ever given."""
    highest = connection.exec_driver_sql(f"SELECT COALESCE(MAX(id), 0) FROM {table.name}").scalar_one()
    if connection.dialect.name == "sqlite":
        sql = f"SELECT seq FROM sqlite_sequence WHERE name = '{table.name}'"
        return max(int(connection.exec_driver_sql(sql).scalar() or 0), int(highest))
    sequence = connection.exec_driver_sql(f"SELECT {_sequence(table)}").scalar_one()
    row = connection.exec_driver_sql(f"SELECT last_value, is_called FROM {sequence}").one()
    return max(int(row[0]) if row[1] else 0, int(highest))


def _sqlite_file(url: str) -> str | None:
    parsed = make_url(url)
    return parsed.database if parsed.get_backend_name() == "sqlite" else None


def _in_short(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0]
