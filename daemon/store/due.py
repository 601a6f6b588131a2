"""What is to follow from a delivery: marked in its transaction, so that no crash forgets it."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from sqlalchemy import Connection

from handlers.feed import Feed
from handlers.quality.product_days import DAYS
from handlers.quality.result import Metric

_TRANSIT_DAYS = DAYS + 1  # before a day that tell whether its sender fills the column
_LAST = date.max - timedelta(days=_TRANSIT_DAYS)


def mark(
    connection: Connection, feed: Feed, touched: str, deliveries: Sequence[int], last: Mapping[str, int]
) -> None:
    """Marks the products and days whose figures are no longer what the rows and the files say.

    Args:
        connection: of the transaction.
        feed: whose rows came or went.
        touched: the table of keys and days that were touched; ``product_id`` and ``day`` are among its columns.
        deliveries: what came or went.
        last: the last one that touched a day, where that is not the last of all.
    """
    delivery_id = max(deliveries)
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
    for day, its in last.items():
        if its != delivery_id:
            run(f"UPDATE due_days SET delivery_id = {its} WHERE feed = '{feed.name}' AND day = '{day}'")
    for day in _days_of_their_names(connection, deliveries):
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


def mark_after(connection: Connection, feed: Feed, told: Sequence[date], delivery_id: int) -> None:
    """Marks the days whose balance of stock is judged by what was in transit on some days before.

    Args:
        connection: of the transaction.
        feed: whose rows came or went.
        told: days on which something is in transit now and was not, or the other way round.
        delivery_id: what came or went.
    """
    if not told:
        return
    after = {day + timedelta(days=n + 1) for day in told if day < _LAST for n in range(_TRANSIT_DAYS)}
    days = ", ".join(f"'{day}'" for day in sorted(after))
    connection.exec_driver_sql(
        f"INSERT INTO due_days (feed, day, delivery_id) SELECT feed, day, {delivery_id} FROM scope_daily"
        f" WHERE feed = '{feed.name}' AND scope = '' AND day IN ({days}) ON CONFLICT (feed, day) DO NOTHING"
    )


def _days_of_their_names(connection: Connection, deliveries: Sequence[int]) -> list[str]:
    """The business days of files, or of the files that they fix: their rows count in those days' accuracy."""
    slots = connection.exec_driver_sql(
        "SELECT COALESCE(f.slot, d.slot) FROM data_ingestion_log d LEFT JOIN data_ingestion_log f ON f.id = d.fixes"
        f" WHERE d.id IN ({', '.join(map(str, deliveries))})"
    )
    return sorted({str(slot).split(":", 2)[1] for slot in slots.scalars() if slot is not None})
