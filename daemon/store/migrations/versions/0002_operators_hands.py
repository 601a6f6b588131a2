"""What is known about a delivery's way, and what an operator did with it."""

from alembic import op

revision = "0002"
down_revision = "0001"

_COLUMNS = (
    ("seen_at", "{time}"),
    ("waited", "TEXT"),
    ("evidence", "VARCHAR(64)"),
    ("filed_at", "{time}"),
    ("rejects_path", "TEXT"),
    ("fixes", "BIGINT"),
    ("extends", "BIGINT"),
    ("retry_of", "BIGINT"),
    ("forced_at", "{time}"),
    ("unloaded_at", "{time}"),
)
_LOG = "data_ingestion_log"


def upgrade() -> None:
    """Adds the columns and their indexes; existing rejects files can be dropped back, too."""
    run = op.get_bind().exec_driver_sql
    time = "DATETIME" if op.get_bind().dialect.name == "sqlite" else "TIMESTAMP WITHOUT TIME ZONE"
    for name, kind in _COLUMNS:
        run(f"ALTER TABLE {_LOG} ADD COLUMN {name} {kind.format(time=time)}")
    run("ALTER TABLE rejected_rows ADD COLUMN fixed_by BIGINT")
    run(f"CREATE INDEX ix_{_LOG}_sha256 ON {_LOG} (sha256)")
    run(f"CREATE INDEX ix_{_LOG}_file_name ON {_LOG} (file_name, id)")
    for name in ("rejects_path", "fixes", "extends", "superseded_by"):
        run(f"CREATE INDEX ix_{_LOG}_{name} ON {_LOG} ({name}) WHERE {name} IS NOT NULL")
    run(
        f"CREATE INDEX ix_{_LOG}_appended ON {_LOG} (file_type, id)"
        " WHERE slot IS NULL AND status IN ('success', 'partial')"
    )
    # archive paths begin processed/YYYY/MM/
    run(
        f"UPDATE {_LOG} SET rejects_path = 'errors/' || substr(archive_path, 19) || '.rejects.csv'"
        " WHERE status = 'partial' AND archive_path IS NOT NULL AND superseded_by IS NULL"
    )
