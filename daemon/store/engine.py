"""Opening a database: durable settings, and errors told apart by whose fault they are."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from daemon.errors import DatabaseUnavailable, TransientError
from daemon.faults import PASSING
from daemon.store.migrate import is_present, migrate
from daemon.store.scratch import AUTOCHECKPOINT
from handlers.errors import FileError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

# PostgreSQL's classes of errors that pass: serialization and deadlock, connection, shutdown, resources, a statement that
# the server or its administrator ended (our own limit is told apart before, see watched.py).
_PASSING_STATES = ("40001", "40P01", "08", "57P0", "57014", "53", "55P03", "25006")
IMMEDIATE = {"begin": "IMMEDIATE"}
# Of libpq: text is UTF-8 whatever the database's own encoding (a character that it does not have is an error, never another one),
# and a server that vanishes without a word is given up after about half a minute, not after TCP's two hours.
_LIBPQ = {
    "client_encoding": "utf8",
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}


def open_engine(url: str, *, busy_timeout_seconds: float = 10.0) -> Engine:
    """An engine with this project's settings. Connects to nothing yet, and makes the folder of a SQLite file.

    SQLite runs in WAL with ``synchronous=FULL``: with NORMAL a committed transaction can vanish on power loss, and
    by then the file would have been filed away.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(
            parsed,
            pool_pre_ping=True,
            isolation_level="READ COMMITTED",  # whatever the server's default: who waited sees what was committed
            connect_args=_LIBPQ,
        )
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    # scratch files are attached by their URIs
    arguments = {"timeout": busy_timeout_seconds, "check_same_thread": False, "uri": True}
    engine = create_engine(parsed, connect_args=arguments)

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, see below
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "cache_size=-32768",
            f"wal_autocheckpoint={AUTOCHECKPOINT}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


_MIGRATING = threading.Lock()


def create_database(url: str, *, busy_timeout_seconds: float = 10.0) -> Engine:
    """Opens a database and brings its tables to the present form; safe to call again and from many processes.

    Args:
        url: ``sqlite:///path`` or ``postgresql://…``.
        busy_timeout_seconds: how long SQLite waits for another writer.

    Raises:
        DatabaseUnavailable: it cannot be reached, or is locked.
    """
    try:
        engine = open_engine(_with_driver(url), busy_timeout_seconds=busy_timeout_seconds)
    except OSError as error:
        raise DatabaseUnavailable(f"the database's folder cannot be made: {error}") from error
    try:
        with translated(), _MIGRATING:
            migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def existing_database(url: str, *, busy_timeout_seconds: float = 10.0) -> Engine:
    """Opens a database as it is. Where there is none yet, none is made: then it is an empty one, in memory.

    Args:
        url: as for ``create_database``.
        busy_timeout_seconds: how long SQLite waits for another writer.

    Raises:
        ConfigError: its tables are not those that this program needs.
        DatabaseUnavailable: it cannot be reached, or is locked.
    """
    if not _may_be_there(_with_driver(url)):
        return create_database("sqlite://")
    engine = open_engine(_with_driver(url), busy_timeout_seconds=busy_timeout_seconds)
    present = False
    try:
        with translated():
            present = is_present(engine)
    finally:
        if not present:
            engine.dispose()
    return engine if present else create_database("sqlite://")


def _may_be_there(url: str) -> bool:
    """False if there is no such SQLite file."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return True
    try:
        Path(parsed.database or "").stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise DatabaseUnavailable(f"the database cannot be looked at: {error}") from error
    return True


def _with_driver(url: str) -> str:
    if url.startswith(("postgres://", "postgresql://")):
        return "postgresql+psycopg://" + url.split("://", 1)[1]
    return url


def get_session(engine: Engine) -> "Session":
    """A SQLAlchemy session, for reading the tables."""
    from sqlalchemy.orm import Session  # noqa: PLC0415  (the daemon does without: 0.1 s of its start)

    return Session(engine)


@contextmanager
def translated(as_error: type[DatabaseUnavailable] = DatabaseUnavailable) -> Iterator[None]:
    """Turns the database's troubles that pass into ``DatabaseUnavailable``, or a kind of it."""
    try:
        yield
    except (TransientError, FileError, OSError):
        raise
    except Exception as error:
        if is_worlds_fault(error):
            raise as_error(f"the database does not answer: {_in_short(error)}") from error
        raise


def is_worlds_fault(error: BaseException) -> bool:
    """Whether an error may pass by itself, so that the file is not to blame and must be kept."""
    if isinstance(error, TransientError | PoolTimeout):
        return True
    if isinstance(error, OSError):
        return error.errno in PASSING
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        error = error.orig or error
    if isinstance(error, sqlite3.DatabaseError):
        # a malformed or missing database is no file's fault either
        return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError
    state: Any = getattr(error, "sqlstate", None)
    if state is None:
        # psycopg has no state for a connection that could not be made or was cut
        return type(error).__name__ in (
            "OperationalError",
            "InterfaceError",
            "InternalError",
            "ConnectionTimeout",
        )
    return str(state).startswith(_PASSING_STATES)


def _in_short(error: BaseException) -> str:
    """An error without the statement and its parameters."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__


__all__ = [
    "IMMEDIATE",
    "create_database",
    "get_session",
    "is_worlds_fault",
    "open_engine",
    "translated",
]
