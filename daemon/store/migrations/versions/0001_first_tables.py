"""The first form of the tables.

Written out for both databases, so that it stays what it was when the tables change later.
"""

from alembic import op

revision = "0001"
down_revision = None

SQLITE = """
CREATE TABLE data_ingestion_log (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    timestamp DATETIME NOT NULL,
    file_name TEXT NOT NULL,
    file_type VARCHAR(32),
    records_processed BIGINT DEFAULT '0' NOT NULL,
    records_successful BIGINT DEFAULT '0' NOT NULL,
    records_failed BIGINT DEFAULT '0' NOT NULL,
    records_duplicate BIGINT DEFAULT '0' NOT NULL,
    processing_time_seconds FLOAT,
    status VARCHAR(16) NOT NULL,
    error_details JSON,
    claim VARCHAR(32) NOT NULL,
    sha256 VARCHAR(64),
    size_bytes BIGINT,
    slot TEXT,
    superseded_by BIGINT,
    duplicate_of BIGINT,
    archive_path TEXT,
    attempts INTEGER DEFAULT '1' NOT NULL,
    encoding VARCHAR(32),
    delimiter VARCHAR(1),
    CONSTRAINT uq_data_ingestion_log_claim UNIQUE (claim)
);

CREATE INDEX ix_data_ingestion_log_slot ON data_ingestion_log (slot);

CREATE INDEX ix_data_ingestion_log_unfiled ON data_ingestion_log (id) WHERE archive_path IS NULL;

CREATE UNIQUE INDEX uq_data_ingestion_log_loaded_sha256 ON data_ingestion_log (sha256) WHERE status IN ('success', 'partial');

CREATE TABLE demand_daily (
    product_id VARCHAR(64) NOT NULL,
    day DATE NOT NULL,
    signals BIGINT NOT NULL,
    level_sum BIGINT NOT NULL,
    trend_count BIGINT NOT NULL,
    trend_sum_e6 BIGINT NOT NULL,
    trend_square_e6 BIGINT NOT NULL,
    sentiment_count BIGINT NOT NULL,
    sentiment_sum_e6 BIGINT NOT NULL,
    sentiment_square_e6 BIGINT NOT NULL,
    competitor_price DOUBLE,
    CONSTRAINT pk_demand_daily PRIMARY KEY (product_id, day)
)
 WITHOUT ROWID;

CREATE TABLE inventory_daily (
    product_id VARCHAR(64) NOT NULL,
    day DATE NOT NULL,
    location VARCHAR(200) NOT NULL,
    close BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    in_transit BIGINT NOT NULL,
    low BIGINT NOT NULL,
    CONSTRAINT pk_inventory_daily PRIMARY KEY (product_id, day, location)
)
 WITHOUT ROWID;

CREATE TABLE live_demand_signals (
    id INTEGER NOT NULL,
    delivery_id BIGINT NOT NULL GENERATED ALWAYS AS (id >> 32),
    line BIGINT NOT NULL GENERATED ALWAYS AS (id & 4294967295),
    date VARCHAR NOT NULL,
    product_id VARCHAR(64) NOT NULL,
    external_demand VARCHAR(32) NOT NULL,
    market_trend DOUBLE,
    competitor_price DOUBLE,
    weather_factor VARCHAR(32) NOT NULL,
    event_impact VARCHAR(32) NOT NULL,
    social_sentiment DOUBLE,
    CONSTRAINT pk_live_demand_signals PRIMARY KEY (id)
);

CREATE UNIQUE INDEX uq_live_demand_signals_key ON live_demand_signals (product_id, date);

CREATE TABLE live_demand_signals_shadowed (
    id INTEGER NOT NULL,
    delivery_id BIGINT NOT NULL GENERATED ALWAYS AS (id >> 32),
    line BIGINT NOT NULL GENERATED ALWAYS AS (id & 4294967295),
    date VARCHAR NOT NULL,
    product_id VARCHAR(64) NOT NULL,
    external_demand VARCHAR(32) NOT NULL,
    market_trend DOUBLE,
    competitor_price DOUBLE,
    weather_factor VARCHAR(32) NOT NULL,
    event_impact VARCHAR(32) NOT NULL,
    social_sentiment DOUBLE,
    CONSTRAINT pk_live_demand_signals_shadowed PRIMARY KEY (id)
);

CREATE INDEX ix_live_demand_signals_shadowed_key ON live_demand_signals_shadowed (product_id, date);

CREATE TABLE live_inventory_updates (
    id INTEGER NOT NULL,
    delivery_id BIGINT NOT NULL GENERATED ALWAYS AS (id >> 32),
    line BIGINT NOT NULL GENERATED ALWAYS AS (id & 4294967295),
    date VARCHAR NOT NULL,
    product_id VARCHAR(64) NOT NULL,
    location VARCHAR(200) NOT NULL,
    stock_level INTEGER NOT NULL,
    reserved_stock INTEGER NOT NULL,
    in_transit INTEGER NOT NULL,
    supplier_id VARCHAR(200),
    last_reorder_date VARCHAR,
    CONSTRAINT pk_live_inventory_updates PRIMARY KEY (id)
);

CREATE UNIQUE INDEX uq_live_inventory_updates_key ON live_inventory_updates (product_id, location, date);

CREATE TABLE live_inventory_updates_shadowed (
    id INTEGER NOT NULL,
    delivery_id BIGINT NOT NULL GENERATED ALWAYS AS (id >> 32),
    line BIGINT NOT NULL GENERATED ALWAYS AS (id & 4294967295),
    date VARCHAR NOT NULL,
    product_id VARCHAR(64) NOT NULL,
    location VARCHAR(200) NOT NULL,
    stock_level INTEGER NOT NULL,
    reserved_stock INTEGER NOT NULL,
    in_transit INTEGER NOT NULL,
    supplier_id VARCHAR(200),
    last_reorder_date VARCHAR,
    CONSTRAINT pk_live_inventory_updates_shadowed PRIMARY KEY (id)
);

CREATE INDEX ix_live_inventory_updates_shadowed_key ON live_inventory_updates_shadowed (product_id, location, date);

CREATE TABLE live_sales_data (
    id INTEGER NOT NULL,
    delivery_id BIGINT NOT NULL GENERATED ALWAYS AS (id >> 32),
    line BIGINT NOT NULL GENERATED ALWAYS AS (id & 4294967295),
    date VARCHAR NOT NULL,
    product_id VARCHAR(64) NOT NULL,
    channel VARCHAR(32) NOT NULL,
    quantity_sold INTEGER NOT NULL,
    revenue FLOAT NOT NULL,
    customer_segment VARCHAR(32) NOT NULL,
    promotion_code VARCHAR(500),
    fulfillment_method VARCHAR(32) NOT NULL,
    location VARCHAR(200),
    transaction_id VARCHAR(200),
    transaction_line INTEGER,
    CONSTRAINT pk_live_sales_data PRIMARY KEY (id)
);

CREATE UNIQUE INDEX uq_live_sales_data_key ON live_sales_data (transaction_id, product_id, transaction_line) WHERE transaction_id IS NOT NULL;

CREATE TABLE live_sales_data_shadowed (
    id INTEGER NOT NULL,
    delivery_id BIGINT NOT NULL GENERATED ALWAYS AS (id >> 32),
    line BIGINT NOT NULL GENERATED ALWAYS AS (id & 4294967295),
    date VARCHAR NOT NULL,
    product_id VARCHAR(64) NOT NULL,
    channel VARCHAR(32) NOT NULL,
    quantity_sold INTEGER NOT NULL,
    revenue FLOAT NOT NULL,
    customer_segment VARCHAR(32) NOT NULL,
    promotion_code VARCHAR(500),
    fulfillment_method VARCHAR(32) NOT NULL,
    location VARCHAR(200),
    transaction_id VARCHAR(200),
    transaction_line INTEGER,
    CONSTRAINT pk_live_sales_data_shadowed PRIMARY KEY (id)
);

CREATE INDEX ix_live_sales_data_shadowed_key ON live_sales_data_shadowed (transaction_id, product_id, transaction_line);

CREATE TABLE products (
    product_id VARCHAR(64) NOT NULL,
    first_seen DATE NOT NULL,
    CONSTRAINT pk_products PRIMARY KEY (product_id)
);

CREATE TABLE rejected_rows (
    id INTEGER NOT NULL,
    delivery_id BIGINT NOT NULL GENERATED ALWAYS AS (id >> 32),
    line BIGINT NOT NULL GENERATED ALWAYS AS (id & 4294967295),
    column_name VARCHAR(64) NOT NULL,
    value TEXT NOT NULL,
    reason VARCHAR(32) NOT NULL,
    message TEXT NOT NULL,
    raw TEXT NOT NULL,
    CONSTRAINT pk_rejected_rows PRIMARY KEY (id)
);

CREATE TABLE sales_daily (
    product_id VARCHAR(64) NOT NULL,
    day DATE NOT NULL,
    location VARCHAR(200) NOT NULL,
    channel VARCHAR(32) NOT NULL,
    units BIGINT NOT NULL,
    returned BIGINT NOT NULL,
    revenue_e4 BIGINT NOT NULL,
    promo_units BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    CONSTRAINT pk_sales_daily PRIMARY KEY (product_id, day, location, channel)
)
 WITHOUT ROWID;
"""

POSTGRESQL = """
CREATE TABLE data_ingestion_log (
    id BIGSERIAL NOT NULL,
    timestamp TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    file_name TEXT NOT NULL,
    file_type VARCHAR(32),
    records_processed BIGINT DEFAULT '0' NOT NULL,
    records_successful BIGINT DEFAULT '0' NOT NULL,
    records_failed BIGINT DEFAULT '0' NOT NULL,
    records_duplicate BIGINT DEFAULT '0' NOT NULL,
    processing_time_seconds FLOAT,
    status VARCHAR(16) NOT NULL,
    error_details JSON,
    claim VARCHAR(32) NOT NULL,
    sha256 VARCHAR(64),
    size_bytes BIGINT,
    slot TEXT,
    superseded_by BIGINT,
    duplicate_of BIGINT,
    archive_path TEXT,
    attempts INTEGER DEFAULT '1' NOT NULL,
    encoding VARCHAR(32),
    delimiter VARCHAR(1),
    CONSTRAINT pk_data_ingestion_log PRIMARY KEY (id),
    CONSTRAINT uq_data_ingestion_log_claim UNIQUE (claim)
);

CREATE INDEX ix_data_ingestion_log_slot ON data_ingestion_log (slot);

CREATE INDEX ix_data_ingestion_log_unfiled ON data_ingestion_log (id) WHERE archive_path IS NULL;

CREATE UNIQUE INDEX uq_data_ingestion_log_loaded_sha256 ON data_ingestion_log (sha256) WHERE status IN ('success', 'partial');

CREATE TABLE demand_daily (
    product_id VARCHAR(64) NOT NULL,
    day DATE NOT NULL,
    signals BIGINT NOT NULL,
    level_sum BIGINT NOT NULL,
    trend_count BIGINT NOT NULL,
    trend_sum_e6 BIGINT NOT NULL,
    trend_square_e6 BIGINT NOT NULL,
    sentiment_count BIGINT NOT NULL,
    sentiment_sum_e6 BIGINT NOT NULL,
    sentiment_square_e6 BIGINT NOT NULL,
    competitor_price DOUBLE PRECISION,
    CONSTRAINT pk_demand_daily PRIMARY KEY (product_id, day)
);

CREATE TABLE inventory_daily (
    product_id VARCHAR(64) NOT NULL,
    day DATE NOT NULL,
    location VARCHAR(200) NOT NULL,
    close BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    in_transit BIGINT NOT NULL,
    low BIGINT NOT NULL,
    CONSTRAINT pk_inventory_daily PRIMARY KEY (product_id, day, location)
);

CREATE TABLE live_demand_signals (
    id BIGINT NOT NULL,
    delivery_id BIGINT GENERATED ALWAYS AS (id >> 32) STORED NOT NULL,
    line BIGINT GENERATED ALWAYS AS (id & 4294967295) STORED NOT NULL,
    date TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    product_id VARCHAR(64) NOT NULL,
    external_demand VARCHAR(32) NOT NULL,
    market_trend DOUBLE PRECISION,
    competitor_price DOUBLE PRECISION,
    weather_factor VARCHAR(32) NOT NULL,
    event_impact VARCHAR(32) NOT NULL,
    social_sentiment DOUBLE PRECISION,
    CONSTRAINT pk_live_demand_signals PRIMARY KEY (id)
);

CREATE UNIQUE INDEX uq_live_demand_signals_key ON live_demand_signals (product_id, date);

CREATE TABLE live_demand_signals_shadowed (
    id BIGINT NOT NULL,
    delivery_id BIGINT GENERATED ALWAYS AS (id >> 32) STORED NOT NULL,
    line BIGINT GENERATED ALWAYS AS (id & 4294967295) STORED NOT NULL,
    date TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    product_id VARCHAR(64) NOT NULL,
    external_demand VARCHAR(32) NOT NULL,
    market_trend DOUBLE PRECISION,
    competitor_price DOUBLE PRECISION,
    weather_factor VARCHAR(32) NOT NULL,
    event_impact VARCHAR(32) NOT NULL,
    social_sentiment DOUBLE PRECISION,
    CONSTRAINT pk_live_demand_signals_shadowed PRIMARY KEY (id)
);

CREATE INDEX ix_live_demand_signals_shadowed_key ON live_demand_signals_shadowed (product_id, date);

CREATE TABLE live_inventory_updates (
    id BIGINT NOT NULL,
    delivery_id BIGINT GENERATED ALWAYS AS (id >> 32) STORED NOT NULL,
    line BIGINT GENERATED ALWAYS AS (id & 4294967295) STORED NOT NULL,
    date TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    product_id VARCHAR(64) NOT NULL,
    location VARCHAR(200) NOT NULL,
    stock_level INTEGER NOT NULL,
    reserved_stock INTEGER NOT NULL,
    in_transit INTEGER NOT NULL,
    supplier_id VARCHAR(200),
    last_reorder_date TIMESTAMP WITHOUT TIME ZONE,
    CONSTRAINT pk_live_inventory_updates PRIMARY KEY (id)
);

CREATE UNIQUE INDEX uq_live_inventory_updates_key ON live_inventory_updates (product_id, location, date);

CREATE TABLE live_inventory_updates_shadowed (
    id BIGINT NOT NULL,
    delivery_id BIGINT GENERATED ALWAYS AS (id >> 32) STORED NOT NULL,
    line BIGINT GENERATED ALWAYS AS (id & 4294967295) STORED NOT NULL,
    date TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    product_id VARCHAR(64) NOT NULL,
    location VARCHAR(200) NOT NULL,
    stock_level INTEGER NOT NULL,
    reserved_stock INTEGER NOT NULL,
    in_transit INTEGER NOT NULL,
    supplier_id VARCHAR(200),
    last_reorder_date TIMESTAMP WITHOUT TIME ZONE,
    CONSTRAINT pk_live_inventory_updates_shadowed PRIMARY KEY (id)
);

CREATE INDEX ix_live_inventory_updates_shadowed_key ON live_inventory_updates_shadowed (product_id, location, date);

CREATE TABLE live_sales_data (
    id BIGINT NOT NULL,
    delivery_id BIGINT GENERATED ALWAYS AS (id >> 32) STORED NOT NULL,
    line BIGINT GENERATED ALWAYS AS (id & 4294967295) STORED NOT NULL,
    date TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    product_id VARCHAR(64) NOT NULL,
    channel VARCHAR(32) NOT NULL,
    quantity_sold INTEGER NOT NULL,
    revenue NUMERIC(15, 4) NOT NULL,
    customer_segment VARCHAR(32) NOT NULL,
    promotion_code VARCHAR(500),
    fulfillment_method VARCHAR(32) NOT NULL,
    location VARCHAR(200),
    transaction_id VARCHAR(200),
    transaction_line INTEGER,
    CONSTRAINT pk_live_sales_data PRIMARY KEY (id)
);

CREATE UNIQUE INDEX uq_live_sales_data_key ON live_sales_data (transaction_id, product_id, transaction_line) WHERE transaction_id IS NOT NULL;

CREATE TABLE live_sales_data_shadowed (
    id BIGINT NOT NULL,
    delivery_id BIGINT GENERATED ALWAYS AS (id >> 32) STORED NOT NULL,
    line BIGINT GENERATED ALWAYS AS (id & 4294967295) STORED NOT NULL,
    date TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    product_id VARCHAR(64) NOT NULL,
    channel VARCHAR(32) NOT NULL,
    quantity_sold INTEGER NOT NULL,
    revenue NUMERIC(15, 4) NOT NULL,
    customer_segment VARCHAR(32) NOT NULL,
    promotion_code VARCHAR(500),
    fulfillment_method VARCHAR(32) NOT NULL,
    location VARCHAR(200),
    transaction_id VARCHAR(200),
    transaction_line INTEGER,
    CONSTRAINT pk_live_sales_data_shadowed PRIMARY KEY (id)
);

CREATE INDEX ix_live_sales_data_shadowed_key ON live_sales_data_shadowed (transaction_id, product_id, transaction_line);

CREATE TABLE products (
    product_id VARCHAR(64) NOT NULL,
    first_seen DATE NOT NULL,
    CONSTRAINT pk_products PRIMARY KEY (product_id)
);

CREATE TABLE rejected_rows (
    id BIGINT NOT NULL,
    delivery_id BIGINT GENERATED ALWAYS AS (id >> 32) STORED NOT NULL,
    line BIGINT GENERATED ALWAYS AS (id & 4294967295) STORED NOT NULL,
    column_name VARCHAR(64) NOT NULL,
    value TEXT NOT NULL,
    reason VARCHAR(32) NOT NULL,
    message TEXT NOT NULL,
    raw TEXT NOT NULL,
    CONSTRAINT pk_rejected_rows PRIMARY KEY (id)
);

CREATE TABLE sales_daily (
    product_id VARCHAR(64) NOT NULL,
    day DATE NOT NULL,
    location VARCHAR(200) NOT NULL,
    channel VARCHAR(32) NOT NULL,
    units BIGINT NOT NULL,
    returned BIGINT NOT NULL,
    revenue_e4 BIGINT NOT NULL,
    promo_units BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    CONSTRAINT pk_sales_daily PRIMARY KEY (product_id, day, location, channel)
);
"""


def upgrade() -> None:
    """Makes the tables."""
    script = SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL
    for statement in script.split(";\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
