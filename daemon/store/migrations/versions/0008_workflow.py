"""The runs of the daily workflow."""

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


def upgrade() -> None:
    """Makes the table."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    op.get_bind().exec_driver_sql(_SQLITE if is_sqlite else _POSTGRESQL)
