"""Looking at a database for ``stockgrip doctor``: nothing in it is changed, nothing is made, no migration runs."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, NullPool, create_engine, event, func, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from daemon.settings import safe_url
from daemon.store.derived import DERIVED
from daemon.store.engine import open_engine
from daemon.store.facts import Backlog, Database, Ledger, PostgresFacts, SqliteFacts, Unreachable
from daemon.store.following import backlog
from daemon.store.migrate import HEAD
from daemon.store.schema import DELIVERIES, METADATA

_ANSWER_MILLISECONDS = 10_000  # a question that takes longer is given up
_IDLE_MINUTES = 5


def sqlite_file(url: str) -> Path | None:
    """Where a SQLite database lies; None if it is none."""
    parsed = make_url(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


def examine(url: str, *, patience_seconds: float, deep: bool) -> Database | Unreachable:
    """Asks a database about itself.

    Args:
        url: as in the settings.
        patience_seconds: how long to wait for a connection or a lock.
        deep: read the whole database and check that it is sound (SQLite).
    """
    file = sqlite_file(url)
    if file is not None and not os.path.lexists(file):
        if os.path.exists(file.parent) and not os.access(file.parent, os.X_OK):  # noqa: PTH110  (never raises)
            return Unreachable(f"we may not look into {file.parent}")
        return Unreachable(f"{file} is not there", missing=True)
    try:
        if file is not None:
            return _sqlite(url, file, patience_seconds, deep=deep)
        return _postgresql(url, patience_seconds)
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        return Unreachable(_in_short(error))
    except ModuleNotFoundError as error:
        return Unreachable(f"its driver is not installed ({error.name})")


def _in_short(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return safe_url("; ".join(lines[:2]) or type(cause).__name__)


# ---- SQLite


def _sqlite(url: str, file: Path, patience: float, *, deep: bool) -> Database:
    writable = os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)
    with _reading_file(file, patience, writable=writable) as connection:
        journal_mode = _journal_mode(file, connection)
        version = str(connection.execute(text("SELECT sqlite_version()")).scalar())
        revision, ledger = _revision(connection), _ledger(connection)
        due = _backlog(connection, revision)
        integrity = _integrity(connection) if deep else None
        connection.rollback()
        locked = _lock(connection) if writable else None
    synchronous = _synchronous(url, patience) if writable and journal_mode == "wal" and not locked else None
    own = SqliteFacts(file, writable, journal_mode, synchronous, locked, integrity)
    return Database(tuple(int(n) for n in version.split(".")), revision, HEAD, ledger, due, own)


@contextmanager
def _reading_file(file: Path, patience: float, *, writable: bool) -> Iterator[Connection]:
    """A connection that makes no database, and leaves nothing beside it."""
    mode = "mode=rw"
    if not writable:
        # without a journal nobody writes, and then no companion need be made, which we might not be allowed
        mode = "mode=ro" if Path(f"{file}-wal").exists() else "mode=ro&immutable=1"
    address = f"file:{quote(str(file))}?{mode}"
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(address, uri=True, timeout=patience, isolation_level=None),
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def _integrity(connection: Connection) -> tuple[str, ...]:
    """The first problems, or ``ok``."""
    try:
        return tuple(connection.execute(text("PRAGMA quick_check(5)")).scalars())
    except DBAPIError as error:
        return (_in_short(error),)


def _journal_mode(file: Path, connection: Connection) -> str:
    """As the file says: a connection that must not make a journal calls it something else."""
    with file.open("rb") as opened:
        if opened.read(20)[18:] == b"\x02\x02":
            return "wal"
    return str(connection.execute(text("PRAGMA journal_mode")).scalar())


def _lock(connection: Connection) -> str | None:
    """The error of beginning to write; nothing is written."""
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        connection.exec_driver_sql("ROLLBACK")
    except DBAPIError as error:
        return _in_short(error)
    return None


def _synchronous(url: str, patience: float) -> int:
    engine = open_engine(url, busy_timeout_seconds=patience)
    try:
        with engine.connect() as connection:
            return int(connection.execute(text("PRAGMA synchronous")).scalar() or 0)
    finally:
        engine.dispose()


# ---- PostgreSQL

_SETTINGS = (
    *("server_version", "server_version_num", "TimeZone", "fsync", "synchronous_commit", "full_page_writes"),
    *("max_connections", "superuser_reserved_connections"),
)


def _postgresql(url: str, patience: float) -> Database:
    # libpq takes one second for two, and none for ever
    engine = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": max(2, round(patience))})

    @event.listens_for(engine, "connect")
    def limit(connection: Any, _record: object) -> None:
        connection.execute(f"SET statement_timeout = {_ANSWER_MILLISECONDS}")
        connection.commit()

    try:
        with engine.connect() as connection:
            own = _postgres_facts(connection)
            revision, ledger = _revision(connection), _ledger(connection)
            due = None if own.not_ours else _backlog(connection, revision)
    finally:
        engine.dispose()
    number = int(own.settings["server_version_num"])
    return Database((number // 10_000, number % 10_000), revision, HEAD, ledger, due, own)


def _postgres_facts(connection: Connection) -> PostgresFacts:
    settings = {name: connection.execute(text(f"SHOW {name}")).scalar_one() for name in _SETTINGS}
    row = connection.execute(
        text(
            "SELECT pg_encoding_to_char(encoding) AS encoding,"
            " pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on' AS read_only,"
            " has_database_privilege(oid, 'TEMP') AS temporary, current_schema() AS schema,"
            " coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS tables"
            " FROM pg_database WHERE datname = current_database()"
        )
    ).one()
    foreign = connection.execute(
        text(
            "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(current_schema())"
            " AND relkind = 'r' AND relname = ANY(:names) AND NOT (has_table_privilege(oid, 'SELECT')"
            " AND has_table_privilege(oid, 'INSERT') AND has_table_privilege(oid, 'UPDATE')"
            " AND has_table_privilege(oid, 'DELETE')) ORDER BY relname"
        ),
        {"names": [*METADATA.tables, *DERIVED.tables]},
    ).scalars()
    # of other users' sessions only that they are there can be seen
    sessions = connection.execute(
        text(
            "SELECT count(*) AS connections, count(*) FILTER (WHERE datname = current_database()"
            " AND state LIKE 'idle in transaction%'"
            f" AND state_change < now() - interval '{_IDLE_MINUTES} minutes') AS idle"
            " FROM pg_stat_activity WHERE datid IS NOT NULL"
        )
    ).one()
    return PostgresFacts(
        settings=settings,
        encoding=row.encoding,
        read_only=row.read_only,
        may_make_temporary=row.temporary,
        may_make_tables=row.tables,
        schema=row.schema,
        not_ours=tuple(foreign),
        connections=sessions.connections,
        idle=sessions.idle,
    )


# ---- both


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _ledger(connection: Connection) -> Ledger | None:
    """Asked with columns that every revision has."""
    if not inspect(connection).has_table(DELIVERIES.name):
        return None
    c = DELIVERIES.c
    last = connection.execute(select(c.timestamp).order_by(c.id.desc()).limit(1)).scalar()
    unfiled = connection.execute(
        select(func.count(), func.min(c.timestamp)).where(c.archive_path.is_(None))
    ).one()
    return Ledger(last is not None, last, unfiled[0], unfiled[1])


def _backlog(connection: Connection, revision: str | None) -> Backlog | None:
    """Asked only of tables that are sure to be there."""
    return backlog(connection) if revision == HEAD else None
