"""What ``examine.py`` finds out about a database: plain frozen values."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Why nothing could be asked.

    Attributes:
        error: in one line, without a password.
        missing: there is no SQLite file.
    """

    error: str
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the ledger says.

    Attributes:
        deliveries: whether there are any.
        last: when the last one arrived, UTC.
        unfiled: how many have an outcome whose file has not been moved yet.
        unfiled_since: when the oldest of those arrived, UTC.
    """

    deliveries: bool
    last: datetime | None
    unfiled: int
    unfiled_since: datetime | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What follows from the deliveries, and is not done yet.

    Attributes:
        products: whose features are not those of the data day with all that is known.
        days: of a feed, that are to be judged.
        days_since: when the delivery arrived that made the first of those days due, UTC.
    """

    products: int
    days: int
    days_since: datetime | None


@dataclass(frozen=True, slots=True)
class SqliteFacts:
    """What only SQLite has.

    Attributes:
        file: where it lies.
        writable: whether we may write the file and make its companions beside it.
        journal_mode: ``wal`` is what we need.
        synchronous: what a connection of ours gets, 2 is FULL; None if it was not opened so.
        locked: the error of beginning to write; None if that went well or was not tried.
        integrity: what ``PRAGMA quick_check`` said; None if it was not asked.
    """

    file: Path
    writable: bool
    journal_mode: str
    synchronous: int | None
    locked: str | None
    integrity: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class PostgresFacts:
    """What only PostgreSQL has.

    Attributes:
        settings: of the server, by name, as it shows them.
        encoding: of the database.
        read_only: a standby, or transactions are read-only by default.
        may_make_temporary: tables of one session.
        may_make_tables: in the schema in use.
        schema: the schema in use; None if there is none.
        not_ours: our tables that we may not read and write.
        connections: sessions of the server now.
        idle: sessions that hold a transaction open without doing anything, for longer than five minutes.
    """

    settings: dict[str, str]
    encoding: str
    read_only: bool
    may_make_temporary: bool
    may_make_tables: bool
    schema: str | None
    not_ours: tuple[str, ...]
    connections: int
    idle: int


@dataclass(frozen=True, slots=True)
class Database:
    """What was found.

    Attributes:
        version: of SQLite's library or of the server, such as (15, 8).
        revision: of its tables; None if it has none of ours.
        needed: the revision that this release needs.
        ledger: None if it has none.
        backlog: None if its tables are not those that this release needs, or may not be read.
        own: what only this kind has.
    """

    version: tuple[int, ...]
    revision: str | None
    needed: str
    ledger: Ledger | None
    backlog: Backlog | None
    own: SqliteFacts | PostgresFacts
