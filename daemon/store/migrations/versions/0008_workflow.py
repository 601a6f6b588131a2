"""The runs of the daily workflow, what is told of each feed without a walk through the ledger, and days whose rows went."""

from alembic import op

revision = "0008"
down_revision = "0007"

_SQLITE = """CREATE TABLE workflow_runs (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    day DATE NOT NULL,
    host VARCHAR(255) NOT NULL,
    status VARCHAR(16) NOT NULL,
    started_at DATETIME NOT NULL,
    beat_at DATETIME NOT NULL,
    ended_at DATETIME,
    steps JSON NOT NULL
)"""
_POSTGRESQL = """CREATE TABLE workflow_runs (
    id BIGSERIAL NOT NULL,
    day DATE NOT NULL,
    host VARCHAR(255) NOT NULL,
    status VARCHAR(16) NOT NULL,
    started_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    beat_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITHOUT TIME ZONE,
    steps JSON NOT NULL,
    CONSTRAINT pk_workflow_runs PRIMARY KEY (id)
)"""
_REMOVED_DAYS = """CREATE TABLE removed_days (
    feed VARCHAR(32) NOT NULL,
    day DATE NOT NULL,
    since BIGINT NOT NULL,
    CONSTRAINT pk_removed_days PRIMARY KEY (feed, day, since)
)"""

_INDEXES = (
    "CREATE INDEX ix_data_ingestion_log_feed ON data_ingestion_log (file_type, id, status)",
    "CREATE INDEX ix_data_ingestion_log_timestamp ON data_ingestion_log (timestamp)",
)


def upgrade() -> None:
    """Makes the tables and the indexes."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    removed_days = f"{_REMOVED_DAYS}{' WITHOUT ROWID' if is_sqlite else ''}"
    for statement in (_SQLITE if is_sqlite else _POSTGRESQL, *_INDEXES, removed_days):
        op.get_bind().exec_driver_sql(statement)
