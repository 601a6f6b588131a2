"""The tables of what follows from the rows: what is due, and what came of it.

They are apart from ``schema.py`` because a rebuild need not copy them: what is due is marked, and made anew.
"""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.types import TypeEngine

from daemon.store.schema import METADATA, BigId, UtcTime
from handlers.features import CATALOGUE
from handlers.features.feature import DType

DERIVED = MetaData(naming_convention=METADATA.naming_convention)

# Written in the transaction of a delivery, or of an unload; taken out in the one that does what is due.
DUE_PRODUCTS = Table(
    "due_products",
    DERIVED,
    Column("product_id", String(64), primary_key=True),
    Column("feed", String(32), primary_key=True),
    Column("since", Date, nullable=False),
    sqlite_with_rowid=False,
)
DUE_DAYS = Table(
    "due_days",
    DERIVED,
    Column("feed", String(32), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("delivery_id", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What is wrong, one row for each thing that ever was, and the outbox of what is to be told about it.
ALERTS = Table(
    "alerts",
    DERIVED,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("dedup_key", Text, nullable=False, unique=True),
    Column("rule", String(32), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("feed", String(32), nullable=False),
    Column("scope", Text, nullable=False),
    Column("day", Date),
    Column("state", String(16), nullable=False),
    Column("summary", Text, nullable=False),
    Column("details", JSON, nullable=False),
    Column("delivery_id", BigInteger),
    Column("first_at", UtcTime, nullable=False),
    Column("last_at", UtcTime, nullable=False),
    Column("times", Integer, nullable=False),
    Column("resolved_at", UtcTime),
    Column("acked_at", UtcTime),
    Column("ack_note", Text),
    Column("notified_at", UtcTime),
    sqlite_autoincrement=True,  # people write these numbers down
)
_IS_FIRING = text("state = 'firing'")
Index("ix_alerts_firing", ALERTS.c.id, sqlite_where=_IS_FIRING, postgresql_where=_IS_FIRING)
NOTICES = Table(
    "notices",
    DERIVED,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("alert_id", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("letter_id", String(64)),
    sqlite_autoincrement=True,  # letters are named after them
)
Index("ix_notices_alert_id", NOTICES.c.alert_id)
Index("ix_notices_letter_id", NOTICES.c.letter_id)
_WAITS = text("letter_id IS NULL")
Index("ix_notices_waiting", NOTICES.c.id, sqlite_where=_WAITS, postgresql_where=_WAITS)
LETTERS = Table(
    "letters",
    DERIVED,
    Column("id", String(64), primary_key=True),
    Column("channel", String(16), primary_key=True),
    Column("created_at", UtcTime, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_try_at", UtcTime),
    Column("lease_until", UtcTime),
    Column("accepted", JSON),
    Column("last_error", Text),
    Column("sent_at", UtcTime),
)
_UNSENT = text("sent_at IS NULL")
Index("ix_letters_unsent", LETTERS.c.next_try_at, sqlite_where=_UNSENT, postgresql_where=_UNSENT)
Index("ix_letters_created_at", LETTERS.c.created_at)
SILENCES = Table(
    "silences",
    DERIVED,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("rule", String(32)),
    Column("feed", String(32)),
    Column("scope", Text),
    Column("until", UtcTime, nullable=False),
    Column("why", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    sqlite_autoincrement=True,
)

# A row per product and day: what was known of it, at `known_at`, when that day was the newest with data.
_FEATURE_TYPES: dict[DType, TypeEngine[Any]] = {
    "float": Double(),
    "integer": BigInteger(),
    "flag": Boolean(),
    "text": String(16),
}
PRODUCT_FEATURES = Table(
    "product_features",
    DERIVED,
    Column("as_of", Date, primary_key=True),  # first: the rows of a day are written together
    Column("product_id", String(64), primary_key=True),
    Column("catalogue_version", String(16), nullable=False),
    Column("known_at", UtcTime, nullable=False),
    *(Column(feature.name, _FEATURE_TYPES[feature.dtype]) for feature in CATALOGUE),
    sqlite_with_rowid=False,
)
# What the features of a product are computed from (`daemon.after.windows`): the same work however long the history.
FEATURE_WINDOWS = Table(
    "feature_windows",
    DERIVED,
    Column("product_id", String(64), primary_key=True),
    Column("as_of", Date, nullable=False, index=True),
    Column("last_sale", Date),
    Column("competitor_price", Double),
    Column("price_day", Date),
    Column("packed", LargeBinary, nullable=False),
)

# Which rules of consistency could be judged for a product on a day, and which were broken: bits of
# `handlers.quality.product_days.RULES`.
RULE_DAYS = Table(
    "rule_days",
    DERIVED,
    Column("day", Date, primary_key=True),
    Column("product_id", String(64), primary_key=True),
    Column("evaluated", Integer, nullable=False),
    Column("violating", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# What is said of the quality of the data: a row for each time that a value or its status changed.
METRICS = Table(
    "data_quality_metrics",
    DERIVED,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("timestamp", UtcTime, nullable=False),
    Column("data_source", String(32), nullable=False),
    Column("metric_name", String(32), nullable=False),
    Column("metric_value", Double),
    Column("threshold_value", Double, nullable=False),
    Column("status", String(24), nullable=False),
    Column("details", JSON, nullable=False),
    Column("delivery_id", BigInteger),
    Column("scope", Text, nullable=False),
    Column("day", Date),
)
_M = METRICS.c
Index("ix_data_quality_metrics_key", _M.data_source, _M.metric_name, _M.scope, _M.day, _M.id)
Index("ix_data_quality_metrics_day", _M.day, _M.data_source, _M.metric_name, _M.id)
# The totals of each day that was judged, and how unusual they were: packed, for each judgement reads months of them.
QUALITY_DAYS = Table(
    "quality_days",
    DERIVED,
    Column("feed", String(32), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("scopes", Text, nullable=False),
    Column("figures", LargeBinary, nullable=False),
)

# Days whose rows were removed because they were old (`daemon.store.raw_rows`): those of deliveries with a lower number
# than `since`. A day has several, if late files came for it.
REMOVED_DAYS = Table(
    "removed_days",
    DERIVED,
    Column("feed", String(32), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("since", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

# The runs of the daily workflow, one row each; `steps` is what each step did.
WORKFLOW_RUNS = Table(
    "workflow_runs",
    DERIVED,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("day", Date, nullable=False),
    Column("host", String(255), nullable=False),
    Column("status", String(16), nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("beat_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("steps", JSON, nullable=False),
    sqlite_autoincrement=True,
)
