"""The products feed, whose files may have the bytes of an earlier day's."""

from alembic import op

revision = "0007"
down_revision = "0006"

_SQLITE = """CREATE TABLE {table} (
    id INTEGER NOT NULL,
    delivery_id BIGINT NOT NULL GENERATED ALWAYS AS (id >> 32),
    line BIGINT NOT NULL GENERATED ALWAYS AS (id & 4294967295),
    date VARCHAR NOT NULL,
    product_id VARCHAR(64) NOT NULL,
    name VARCHAR(500),
    category VARCHAR(200),
    unit_cost FLOAT,
    selling_price FLOAT,
    lead_time_days DOUBLE,
    lead_time_std_days DOUBLE,
    shelf_life_days INTEGER,
    min_order_quantity INTEGER,
    max_order_quantity INTEGER,
    pack_size INTEGER,
    supplier_id VARCHAR(200),
    CONSTRAINT pk_{table} PRIMARY KEY (id)
)"""
_POSTGRESQL = """CREATE TABLE {table} (
    id BIGINT NOT NULL,
    delivery_id BIGINT GENERATED ALWAYS AS (id >> 32) STORED NOT NULL,
    line BIGINT GENERATED ALWAYS AS (id & 4294967295) STORED NOT NULL,
    date TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    product_id VARCHAR(64) NOT NULL,
    name VARCHAR(500),
    category VARCHAR(200),
    unit_cost NUMERIC(15, 4),
    selling_price NUMERIC(15, 4),
    lead_time_days DOUBLE PRECISION,
    lead_time_std_days DOUBLE PRECISION,
    shelf_life_days INTEGER,
    min_order_quantity INTEGER,
    max_order_quantity INTEGER,
    pack_size INTEGER,
    supplier_id VARCHAR(200),
    CONSTRAINT pk_{table} PRIMARY KEY (id)
)"""


def upgrade() -> None:
    """Makes the tables, and lets the same bytes be loaded again under the name of another day."""
    run = op.get_bind().exec_driver_sql
    create = _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL
    for table in ("live_products", "live_products_shadowed"):
        run(create.format(table=table))
    run("CREATE UNIQUE INDEX uq_live_products_key ON live_products (product_id, date)")
    run("CREATE INDEX ix_live_products_shadowed_key ON live_products_shadowed (product_id, date)")
    run("DROP INDEX uq_data_ingestion_log_loaded_sha256")
    run(
        "CREATE UNIQUE INDEX uq_data_ingestion_log_loaded_sha256 ON data_ingestion_log (sha256)"
        " WHERE status IN ('success', 'partial') AND file_type NOT IN ('products')"
    )
