"""What is to follow from a delivery: marked in its transaction, so that no crash forgets it."""

from sqlalchemy import Connection

from handlers.feed import Feed
from handlers.quality.result import Metric


def mark(connection: Connection, feed: Feed, touched: str, delivery_id: int) -> None:
    """Marks the products and days whose figures are no longer what the rows and the files say.

    Args:
        connection: of the transaction.
        feed: whose rows came or went.
        touched: the table of keys and days that were touched; ``product_id`` and ``day`` are among its columns.
        delivery_id: what came or went.
    """
    run = connection.exec_driver_sql
    run(
        f"INSERT INTO due_products (product_id, feed, since) SELECT product_id, '{feed.name}', MIN(day)"
        f" FROM {touched} WHERE true GROUP BY product_id ON CONFLICT (product_id, feed) DO UPDATE"
        " SET since = excluded.since WHERE excluded.since < due_products.since"
    )
    run(
        f"INSERT INTO due_days (feed, day, delivery_id) SELECT DISTINCT '{feed.name}', day, {delivery_id}"
        f" FROM {touched} WHERE true ON CONFLICT (feed, day) DO UPDATE SET delivery_id = excluded.delivery_id"
    )
    if day := _day_of_its_name(connection, delivery_id):
        # its rows may all be of other days; of a day of which nothing is known there is nothing to mend
        has_data = f"SELECT 1 FROM scope_daily WHERE feed = '{feed.name}' AND day = '{day}' AND scope = ''"
        was_judged = (
            f"SELECT 1 FROM data_quality_metrics WHERE day = '{day}' AND data_source = '{feed.name}'"
            f" AND metric_name = '{Metric.ACCURACY}' AND scope = ''"
        )
        run(
            f"INSERT INTO due_days (feed, day, delivery_id) SELECT '{feed.name}', '{day}', {delivery_id}"
            f" WHERE EXISTS ({has_data}) OR EXISTS ({was_judged}) ON CONFLICT (feed, day) DO NOTHING"
        )


def _day_of_its_name(connection: Connection, delivery_id: int) -> str | None:
    """The business day of a file, or of the file that it fixes: its rows count in that day's accuracy."""
    slot = connection.exec_driver_sql(
        "SELECT COALESCE(f.slot, d.slot) FROM data_ingestion_log d LEFT JOIN data_ingestion_log f ON f.id = d.fixes"
        f" WHERE d.id = {delivery_id}"
    ).scalar()
    return None if slot is None else str(slot).split(":", 2)[1]
