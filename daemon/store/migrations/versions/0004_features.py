"""Features of each product and day, and the windows that they are computed from."""

from alembic import op

revision = "0004"
down_revision = "0003"

_FEATURES = """CREATE TABLE product_features (
    as_of DATE NOT NULL,
    product_id VARCHAR(64) NOT NULL,
    catalogue_version VARCHAR(16) NOT NULL,
    known_at {time} NOT NULL,
    mean_units_7 {double},
    mean_units_28 {double},
    mean_units_90 {double},
    std_units_28 {double},
    std_units_90 {double},
    cv_28 {double},
    cv_90 {double},
    zero_share {double},
    days_since_sale BIGINT,
    slope {double},
    acceleration {double},
    momentum {double},
    same_dow_mean {double},
    dow_factor {double},
    lag_7 BIGINT,
    lag_28 BIGINT,
    acf7 {double},
    adi {double},
    cv2 {double},
    demand_class VARCHAR(16),
    croston_sba {double},
    tsb {double},
    avg_price {double},
    price_vs_median {double},
    promo_share {double},
    return_rate {double},
    revenue_per_row {double},
    competitor_price_index {double},
    channel_share_online {double},
    channel_share_pos {double},
    channel_share_marketplace {double},
    channel_share_wholesale {double},
    channel_hhi {double},
    channel_entropy {double},
    channel_growth_online {double},
    channel_growth_pos {double},
    channel_growth_marketplace {double},
    channel_growth_wholesale {double},
    on_hand BIGINT,
    available BIGINT,
    reserved_ratio {double},
    in_transit BIGINT,
    days_of_supply {double},
    days_of_supply_infinite BOOLEAN,
    stockout_days_28 BIGINT,
    stockout_days_90 BIGINT,
    in_stock_rate_28 {double},
    in_stock_rate_90 {double},
    turns {double},
    gmroi {double},
    sell_through {double},
    fill_rate {double},
    safety_stock_input {double},
    trend_mean_7 {double},
    trend_mean_28 {double},
    trend_std_7 {double},
    trend_std_28 {double},
    sentiment_mean_7 {double},
    sentiment_mean_28 {double},
    sentiment_std_7 {double},
    sentiment_std_28 {double},
    demand_level_index_7 {double},
    demand_level_index_28 {double},
    dow BIGINT,
    week BIGINT,
    month BIGINT,
    quarter BIGINT,
    is_weekend BOOLEAN,
    week_sin {double},
    week_cos {double},
    year_sin {double},
    year_cos {double},
    CONSTRAINT pk_product_features PRIMARY KEY (as_of, product_id)
)"""
_WINDOWS = """CREATE TABLE feature_windows (
    product_id VARCHAR(64) NOT NULL,
    as_of DATE NOT NULL,
    last_sale DATE,
    competitor_price {double},
    price_day DATE,
    packed {bytes} NOT NULL,
    CONSTRAINT pk_feature_windows PRIMARY KEY (product_id)
)"""
_SQLITE = {"time": "DATETIME", "double": "DOUBLE", "bytes": "BLOB"}
_POSTGRESQL = {"time": "TIMESTAMP WITHOUT TIME ZONE", "double": "DOUBLE PRECISION", "bytes": "BYTEA"}


def upgrade() -> None:
    """Makes the tables; 0003 marked every product as due."""
    run = op.get_bind().exec_driver_sql
    sqlite = op.get_bind().dialect.name == "sqlite"
    kinds = _SQLITE if sqlite else _POSTGRESQL
    features = _FEATURES.format_map(kinds)
    run(features + " WITHOUT ROWID" if sqlite else features)
    run(_WINDOWS.format_map(kinds))
    run("CREATE INDEX ix_feature_windows_as_of ON feature_windows (as_of)")
