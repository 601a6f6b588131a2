"""Quality metrics, and the days that later ones are judged by."""

from alembic import op

revision = "0005"
down_revision = "0004"

_METRICS = """CREATE TABLE data_quality_metrics (
    id {id} NOT NULL,
    timestamp {time} NOT NULL,
    data_source VARCHAR(32) NOT NULL,
    metric_name VARCHAR(32) NOT NULL,
    metric_value {double},
    threshold_value {double} NOT NULL,
    status VARCHAR(24) NOT NULL,
    details JSON NOT NULL,
    delivery_id BIGINT,
    scope TEXT NOT NULL,
    day DATE,
    CONSTRAINT pk_data_quality_metrics PRIMARY KEY (id)
)"""
_DAYS = """CREATE TABLE quality_days (
    feed VARCHAR(32) NOT NULL,
    day DATE NOT NULL,
    scopes TEXT NOT NULL,
    figures {bytes} NOT NULL,
    CONSTRAINT pk_quality_days PRIMARY KEY (feed, day)
)"""
_SQLITE = {"id": "INTEGER", "time": "DATETIME", "double": "DOUBLE", "bytes": "BLOB"}
_POSTGRESQL = {
    "id": "BIGSERIAL",
    "time": "TIMESTAMP WITHOUT TIME ZONE",
    "double": "DOUBLE PRECISION",
    "bytes": "BYTEA",
}


def upgrade() -> None:
    """Makes the tables."""
    run = op.get_bind().exec_driver_sql
    kinds = _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL
    run(_METRICS.format(**kinds))
    run(
        "CREATE INDEX ix_data_quality_metrics_key ON data_quality_metrics"
        " (data_source, metric_name, scope, day, id)"
    )
    run(
        "CREATE INDEX ix_data_quality_metrics_day ON data_quality_metrics (day, data_source, metric_name, id)"
    )
    run(_DAYS.format(**kinds))
