"""A database that is only looked at: it is never made, migrated or written to."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, NullPool, create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from daemon.errors import DatabaseUnavailable
from daemon.store.bulk import manners_of
from daemon.store.engine import open_engine, translated
from daemon.store.migrate import HEAD
from daemon.store.store import Store

# what SQLite is asked to allow, that would change more than temporary tables
_WRITES = frozenset(
    getattr(sqlite3, f"SQLITE_{action}")
    for action in (
        *("INSERT", "UPDATE", "DELETE", "ALTER_TABLE", "REINDEX", "ANALYZE"),
        *("CREATE_TABLE", "CREATE_INDEX", "CREATE_TRIGGER", "CREATE_VIEW", "CREATE_VTABLE"),
        *("DROP_TABLE", "DROP_INDEX", "DROP_TRIGGER", "DROP_VIEW", "DROP_VTABLE"),
    )
)


@contextlib.contextmanager
def looking(url: str, *, busy_timeout_seconds: float = 2.0) -> Iterator[Store]:
    """A store for reading and staging, whose connections can write temporary tables and nothing else.

    On PostgreSQL nothing is ever committed through it: a read-only transaction would forbid temporary tables, too.

    Args:
        url: as in the settings.
        busy_timeout_seconds: how long SQLite waits for a writer that locks readers out.

    Raises:
        DatabaseUnavailable: there is no database yet, it does not answer, it may not be read, or another release
            made it.
    """
    try:
        engine = engine_to_look(url, busy_timeout_seconds)
    except ImportError as error:
        raise DatabaseUnavailable(f"the database's driver is not installed: {error}") from error
    try:
        _must_be_up_to_date(engine)
        yield Store(engine)
    finally:
        engine.dispose()


@contextlib.contextmanager
def nothing() -> Iterator[Store]:
    """A store that knows nothing: room for staging, in memory."""
    engine = open_engine("sqlite://")
    try:
        yield Store(engine)
    finally:
        engine.dispose()


def engine_to_look(url: str, busy_timeout_seconds: float) -> Engine:
    """An engine whose connections make nothing; each is a new one, and on SQLite cannot write.

    Raises:
        DatabaseUnavailable: there is no SQLite file.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(
            parsed,
            poolclass=NullPool,
            isolation_level="REPEATABLE READ",
            connect_args={"connect_timeout": 5},
        )
    path = Path(parsed.database or "")
    if not path.is_file():
        raise DatabaseUnavailable(f"there is no database yet, {path} is made by the first run or drain")

    def connect() -> sqlite3.Connection:
        # not mode=ro: the last reader of that kind leaves a log behind that, made by root, would lock the daemon out
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw",
            uri=True,
            timeout=busy_timeout_seconds,
            check_same_thread=False,
        )
        connection.execute("PRAGMA cache_size=-32768")
        connection.set_authorizer(_only_temporary)
        return connection

    return create_engine("sqlite://", creator=connect, poolclass=NullPool)


def _only_temporary(action: int, _what: Any, _more: Any, database: str | None, _by: Any) -> int:
    """SQLite's authorizer."""
    return sqlite3.SQLITE_DENY if action in _WRITES and database == "main" else sqlite3.SQLITE_OK


def _must_be_up_to_date(engine: Engine) -> None:
    try:
        with translated(), engine.connect() as connection:
            found = version_of(connection)
            if found == HEAD:
                _must_be_usable(connection)
            connection.rollback()
    except DBAPIError as error:  # what does not pass by itself: rights that this user has not got
        reason = str(error.orig).strip().splitlines()[0]
        raise DatabaseUnavailable(f"the database cannot be used: {reason}") from error
    if found is None:
        raise DatabaseUnavailable("there is no database yet, its tables are made by the first run or drain")
    if found != HEAD:
        by = "a newer release made it" if found > HEAD else "the next run or drain brings it up to date"
        raise DatabaseUnavailable(f"the database has version {found}, this release works with {HEAD}: {by}")


def version_of(connection: Connection) -> str | None:
    """The version of the tables; None: there are none of ours."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def outdated(url: str) -> bool:
    """Whether there are tables, made by an earlier release.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    try:
        engine = engine_to_look(url, 10.0)
    except DatabaseUnavailable:  # there is none
        return False
    try:
        with translated(), engine.connect() as connection:
            found = version_of(connection)
    finally:
        engine.dispose()
    return found is not None and found < HEAD


def _must_be_usable(connection: Connection) -> None:
    connection.exec_driver_sql("SELECT 1 FROM data_ingestion_log LIMIT 1")
    connection.exec_driver_sql(manners_of(connection).temporary("looked", {"at": "BIGINT"}))
