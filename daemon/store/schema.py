"""The tables. Migrations bring a database here; ``tests/integration/test_migrations.py`` holds both together.

The rows of a feed have one key, ``id = delivery_id * 2**32 + line``: it tells the lineage, it is sequential, so that
rows are appended and never sorted in, and a delivery's rows are one range.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Computed,
    Date,
    DateTime,
    Dialect,
    Double,
    Float,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.types import TypeEngine

from handlers import HANDLERS, columns
from handlers.feed import Additive, Feed, Fold, Snapshot

LINE_BITS = 32

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

BigId = BigInteger().with_variant(Integer(), "sqlite")
MONEY_PLACES = 4
Money = Float().with_variant(Numeric(15, 4), "postgresql")


class LocalTime(TypeDecorator[datetime]):
    """A naive time in the business time zone; in SQLite the text ``YYYY-MM-DD HH:MM:SS[.ffffff]``."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text in SQLite: SQLAlchemy's own would add a fraction that sorts differently."""
        return dialect.type_descriptor(String() if dialect.name == "sqlite" else DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Python to database."""
        return value.isoformat(" ") if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Database to Python."""
        return datetime.fromisoformat(value) if isinstance(value, str) else value


class UtcTime(TypeDecorator[datetime]):
    """An aware time, kept in UTC."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Python to database."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Database to Python."""
        return None if value is None else value.replace(tzinfo=UTC)


def column_type(kind: columns.Kind) -> TypeEngine[Any]:
    """The database's type for a kind of column."""
    match kind:
        case columns.Text(longest=longest):
            return String(longest)
        case columns.Words():
            return String(32)
        case columns.Integer():
            return Integer()
        case columns.Decimal(places=places) if places <= MONEY_PLACES:
            return Money
        case columns.Decimal():
            return Double()
        case columns.LocalTime():
            return LocalTime()
        case _:
            raise AssertionError(kind)


DELIVERIES = Table(
    "data_ingestion_log",
    METADATA,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("timestamp", UtcTime, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("file_type", String(32)),
    Column("records_processed", BigInteger, nullable=False, server_default="0"),
    Column("records_successful", BigInteger, nullable=False, server_default="0"),
    Column("records_failed", BigInteger, nullable=False, server_default="0"),
    Column("records_duplicate", BigInteger, nullable=False, server_default="0"),
    Column("processing_time_seconds", Float),
    Column("status", String(16), nullable=False),
    Column("error_details", JSON),
    Column("claim", String(32), nullable=False, unique=True),
    Column("sha256", String(64)),
    Column("size_bytes", BigInteger),
    Column("slot", Text),
    Column("superseded_by", BigInteger),
    Column("duplicate_of", BigInteger),
    Column("archive_path", Text),
    Column("attempts", Integer, nullable=False, server_default="1"),
    Column("encoding", String(32)),
    Column("delimiter", String(1)),
    Column("seen_at", UtcTime),
    Column("waited", Text),
    Column("evidence", String(64)),
    Column("filed_at", UtcTime),
    Column("rejects_path", Text),
    Column("fixes", BigInteger),
    Column("extends", BigInteger),
    Column("retry_of", BigInteger),
    Column("forced_at", UtcTime),
    Column("unloaded_at", UtcTime),
    sqlite_autoincrement=True,  # an id is never used again, also after its row is gone
)
IS_LOADED = text("status IN ('success', 'partial')")
_BY_NAME = ", ".join(f"'{feed.name}'" for feed in HANDLERS if feed.dated_by_name)
# the same bytes are loaded once, but of feeds that say something else under the name of another day
_LOADED_ONCE = text(f"status IN ('success', 'partial') AND file_type NOT IN ({_BY_NAME})")
Index(
    "uq_data_ingestion_log_loaded_sha256",
    DELIVERIES.c.sha256,
    unique=True,
    sqlite_where=_LOADED_ONCE,
    postgresql_where=_LOADED_ONCE,
)
Index("ix_data_ingestion_log_slot", DELIVERIES.c.slot)
Index("ix_data_ingestion_log_sha256", DELIVERIES.c.sha256)
Index("ix_data_ingestion_log_file_name", DELIVERIES.c.file_name, DELIVERIES.c.id)
# for what is told of each feed: its last delivery is one look, and counting does not touch the rows
Index("ix_data_ingestion_log_feed", DELIVERIES.c.file_type, DELIVERIES.c.id, DELIVERIES.c.status)
Index("ix_data_ingestion_log_timestamp", DELIVERIES.c.timestamp)
_IS_UNFILED = text("archive_path IS NULL")
Index(
    "ix_data_ingestion_log_unfiled",
    DELIVERIES.c.id,
    sqlite_where=_IS_UNFILED,
    postgresql_where=_IS_UNFILED,
)
# few deliveries have these: the indexes cost nothing, and looking never walks through the history
for _name in ("rejects_path", "fixes", "extends", "superseded_by"):
    _given = text(f"{_name} IS NOT NULL")
    Index(
        f"ix_data_ingestion_log_{_name}",
        DELIVERIES.c[_name],
        sqlite_where=_given,
        postgresql_where=_given,
    )
_APPENDS = text("slot IS NULL AND status IN ('success', 'partial')")
Index(
    "ix_data_ingestion_log_appended",
    DELIVERIES.c.file_type,
    DELIVERIES.c.id,
    sqlite_where=_APPENDS,
    postgresql_where=_APPENDS,
)

REJECTS = Table(
    "rejected_rows",
    METADATA,
    Column("id", BigId, primary_key=True, autoincrement=False),
    Column("delivery_id", BigInteger, Computed(f"id >> {LINE_BITS}", persisted=True), nullable=False),
    Column("line", BigInteger, Computed(f"id & {2**LINE_BITS - 1}", persisted=True), nullable=False),
    Column("column_name", String(64), nullable=False),
    Column("value", Text, nullable=False),
    Column("reason", String(32), nullable=False),
    Column("message", Text, nullable=False),
    Column("raw", Text, nullable=False),
    Column("fixed_by", BigInteger),
)

PRODUCTS = Table(
    "products",
    METADATA,
    Column("product_id", String(64), primary_key=True),
    Column("first_seen", Date, nullable=False),
)

TOTALS = Table(
    "scope_daily",
    METADATA,
    Column("feed", String(32), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("scope", Text, primary_key=True),
    Column("units", BigInteger, nullable=False),
    Column("value_e4", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
CLOCK = Table(
    "hour_daily",
    METADATA,
    Column("feed", String(32), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("units", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)


def is_of(delivery_id: int, row_id: str = "id") -> str:
    """SQL: a row of a feed's tables, or a reject, is a delivery's; their ids are one range."""
    first = delivery_id << LINE_BITS
    return f"{row_id} BETWEEN {first} AND {first + 2**LINE_BITS - 1}"


def rejects_are_of(delivery_id: int) -> ColumnElement[bool]:
    """The same of a reject, as an expression."""
    first = delivery_id << LINE_BITS
    return REJECTS.c.id.between(first, first + 2**LINE_BITS - 1)


def _row_columns(feed: Feed) -> list[Column[Any]]:
    own = [Column("id", BigId, primary_key=True, autoincrement=False)]
    own += [
        Column("delivery_id", BigInteger, Computed(f"id >> {LINE_BITS}", persisted=True), nullable=False),
        Column("line", BigInteger, Computed(f"id & {2**LINE_BITS - 1}", persisted=True), nullable=False),
    ]
    for column in feed.columns:
        always = column.required or column.default is not None
        own.append(Column(column.name, column_type(column.kind), nullable=not always))
    if feed.repeats == "number":
        own.append(Column(feed.key[-1], Integer))
    return own


def _live(feed: Feed) -> Table:
    """The rows that count."""
    table = Table(feed.table, METADATA, *_row_columns(feed))
    optional = any(table.c[name].nullable for name in feed.key)
    where = text(f"{feed.key[0]} IS NOT NULL") if optional else None
    Index(
        f"uq_{feed.table}_key",
        *(table.c[name] for name in feed.key),
        unique=True,
        sqlite_where=where,
        postgresql_where=where,
    )
    return table


def _shadowed(feed: Feed) -> Table:
    """Rows whose key a later delivery has: they come back if that one is taken out."""
    table = Table(f"{feed.table}_shadowed", METADATA, *_row_columns(feed))
    Index(f"ix_{feed.table}_shadowed_key", *(table.c[name] for name in feed.key))
    return table


def _fold_type(fold: Fold) -> TypeEngine[Any]:
    return BigInteger() if fold.integer else Double()


def _daily(feed: Feed, daily: Additive | Snapshot) -> Table:
    keys: list[Column[Any]] = []
    for name in daily.keys:
        kind: TypeEngine[Any] = Date() if name == "day" else column_type(feed.column(name).kind)
        keys.append(Column(name, kind, primary_key=True))
    if isinstance(daily, Additive):
        values = [Column(name, BigInteger, nullable=False) for name in daily.measures]
    else:
        values = [Column(fold.name, _fold_type(fold), nullable=not fold.integer) for fold in daily.folds]
    return Table(daily.table, METADATA, *keys, *values, sqlite_with_rowid=False)


LIVE = {feed.name: _live(feed) for feed in HANDLERS}
SHADOWED = {feed.name: _shadowed(feed) for feed in HANDLERS}
DAILY = {feed.name: _daily(feed, feed.daily) for feed in HANDLERS if feed.daily}
