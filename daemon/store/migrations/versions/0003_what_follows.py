"""Daily totals per place and channel, totals per hour, and what is due after a delivery."""

from alembic import op
from sqlalchemy import text

revision = "0003"
down_revision = "0002"

_TABLES = (
    """CREATE TABLE scope_daily (
    feed VARCHAR(32) NOT NULL,
    day DATE NOT NULL,
    scope TEXT NOT NULL,
    units BIGINT NOT NULL,
    value_e4 BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    CONSTRAINT pk_scope_daily PRIMARY KEY (feed, day, scope)
)""",
    """CREATE TABLE hour_daily (
    feed VARCHAR(32) NOT NULL,
    day DATE NOT NULL,
    hour INTEGER NOT NULL,
    units BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    CONSTRAINT pk_hour_daily PRIMARY KEY (feed, day, hour)
)""",
    """CREATE TABLE due_products (
    product_id VARCHAR(64) NOT NULL,
    feed VARCHAR(32) NOT NULL,
    since DATE NOT NULL,
    CONSTRAINT pk_due_products PRIMARY KEY (product_id, feed)
)""",
    """CREATE TABLE due_days (
    feed VARCHAR(32) NOT NULL,
    day DATE NOT NULL,
    delivery_id BIGINT NOT NULL,
    CONSTRAINT pk_due_days PRIMARY KEY (feed, day)
)""",
    """CREATE TABLE rule_days (
    day DATE NOT NULL,
    product_id VARCHAR(64) NOT NULL,
    evaluated INTEGER NOT NULL,
    violating INTEGER NOT NULL,
    CONSTRAINT pk_rule_days PRIMARY KEY (day, product_id)
)""",
)
# rows of the aggregates, over all products: the history is sorted once, not once for each kind of total
_PARTS = (
    (
        "SELECT 'sales' AS feed, day, location, channel, SUM(units) AS units, SUM(revenue_e4) AS value_e4,"
        " SUM(rows) AS rows FROM sales_daily GROUP BY day, location, channel"
    ),
    "SELECT 'inventory', day, location, '', SUM(close), SUM(in_transit), COUNT(*) FROM inventory_daily GROUP BY day, location",
    "SELECT 'demand', day, '', '', SUM(signals), 0, COUNT(*) FROM demand_daily GROUP BY day",
)
# in a name | only stands between two parts
_LOCATION = "'location:' || REPLACE(REPLACE(location, '%', '%25'), '|', '%7C')"
# scope, and of which parts it is the total
_SCOPES = (
    ("''", "1 = 1"),
    (_LOCATION, "location <> ''"),
    ("'channel:' || channel", "channel <> ''"),
    (f"{_LOCATION} || '|channel:' || channel", "location <> '' AND channel <> ''"),
)
_DAYS_THAT_MATTER = 126  # to judge a day: what is older is never looked at again


def upgrade() -> None:
    """Makes the tables, fills the totals from the aggregates, and marks as due what has features or can be judged."""
    run = op.get_bind().exec_driver_sql
    sqlite = op.get_bind().dialect.name == "sqlite"
    for table in _TABLES:
        run(table + (" WITHOUT ROWID" if sqlite else ""))
    run(f"CREATE TEMPORARY TABLE parts AS {' UNION ALL '.join(_PARTS)}")
    for scope, where in _SCOPES:
        fill = (
            "INSERT INTO scope_daily (feed, day, scope, units, value_e4, rows)"
            f" SELECT feed, day, {scope}, SUM(units), SUM(value_e4), SUM(rows) FROM parts WHERE {where}"
            " GROUP BY 1, 2, 3"
        )
        op.get_bind().execute(text(fill))  # as text: a driver would take its % for a parameter
    run("DROP TABLE parts")
    day, hour = (
        ("substr(date, 1, 10)", "CAST(substr(date, 12, 2) AS INTEGER)")
        if sqlite
        else ("CAST(date AS DATE)", "CAST(EXTRACT(HOUR FROM date) AS INTEGER)")
    )
    run(
        f"INSERT INTO hour_daily (feed, day, hour, units, rows) SELECT 'sales', {day}, {hour},"
        " SUM(CASE WHEN quantity_sold > 0 THEN quantity_sold ELSE 0 END), COUNT(*)"
        f" FROM live_sales_data GROUP BY {day}, {hour}"
    )
    # one mark is enough: a product without a window is read as a whole
    run(
        "INSERT INTO due_products (product_id, feed, since) SELECT product_id, 'sales', first_seen FROM products"
    )
    newest = "(SELECT MAX(day) FROM scope_daily n WHERE n.feed = s.feed)"
    first = f"date({newest}, '-{_DAYS_THAT_MATTER} days')" if sqlite else f"{newest} - {_DAYS_THAT_MATTER}"
    run(
        "INSERT INTO due_days (feed, day, delivery_id) SELECT feed, day, (SELECT COALESCE(MAX(id), 0)"
        f" FROM data_ingestion_log) FROM scope_daily s WHERE scope = '' AND day > {first}"
    )
