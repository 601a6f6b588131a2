"""Alerts, and the letters about them."""

from alembic import op

revision = "0006"
down_revision = "0005"

_SQL = (
    """CREATE TABLE alerts (
    id {number},
    dedup_key TEXT NOT NULL,
    rule VARCHAR(32) NOT NULL,
    severity VARCHAR(16) NOT NULL,
    feed VARCHAR(32) NOT NULL,
    scope TEXT NOT NULL,
    day DATE,
    state VARCHAR(16) NOT NULL,
    summary TEXT NOT NULL,
    details JSON NOT NULL,
    delivery_id BIGINT,
    first_at {moment} NOT NULL,
    last_at {moment} NOT NULL,
    times INTEGER NOT NULL,
    resolved_at {moment},
    acked_at {moment},
    ack_note TEXT,
    notified_at {moment},
    {primary_alerts}CONSTRAINT uq_alerts_dedup_key UNIQUE (dedup_key)
)""",
    "CREATE INDEX ix_alerts_firing ON alerts (id) WHERE state = 'firing'",
    """CREATE TABLE notices (
    id {number},
    alert_id BIGINT NOT NULL,
    kind VARCHAR(16) NOT NULL,
    created_at {moment} NOT NULL,
    letter_id VARCHAR(64){primary_notices}
)""",
    "CREATE INDEX ix_notices_alert_id ON notices (alert_id)",
    "CREATE INDEX ix_notices_letter_id ON notices (letter_id)",
    "CREATE INDEX ix_notices_waiting ON notices (id) WHERE letter_id IS NULL",
    """CREATE TABLE letters (
    id VARCHAR(64) NOT NULL,
    channel VARCHAR(16) NOT NULL,
    created_at {moment} NOT NULL,
    facts JSON NOT NULL,
    attempts INTEGER NOT NULL,
    next_try_at {moment},
    lease_until {moment},
    accepted JSON,
    last_error TEXT,
    sent_at {moment},
    CONSTRAINT pk_letters PRIMARY KEY (id, channel)
)""",
    "CREATE INDEX ix_letters_unsent ON letters (next_try_at) WHERE sent_at IS NULL",
    "CREATE INDEX ix_letters_created_at ON letters (created_at)",
    """CREATE TABLE silences (
    id {number},
    rule VARCHAR(32),
    feed VARCHAR(32),
    scope TEXT,
    until {moment} NOT NULL,
    why TEXT NOT NULL,
    created_at {moment} NOT NULL,
    ended_at {moment}{primary_silences}
)""",
)
_SQLITE = {
    "number": "INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT",
    "moment": "DATETIME",
    "primary_alerts": "",
    "primary_notices": "",
    "primary_silences": "",
}
_POSTGRESQL = {
    "number": "BIGSERIAL NOT NULL",
    "moment": "TIMESTAMP WITHOUT TIME ZONE",
    "primary_alerts": "CONSTRAINT pk_alerts PRIMARY KEY (id),\n    ",
    "primary_notices": ",\n    CONSTRAINT pk_notices PRIMARY KEY (id)",
    "primary_silences": ",\n    CONSTRAINT pk_silences PRIMARY KEY (id)",
}


def upgrade() -> None:
    """Makes the tables."""
    words = _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL
    for statement in _SQL:
        op.get_bind().exec_driver_sql(statement.format(**words))
