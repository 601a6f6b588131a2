"""What is to follow from a delivery: marked in its transaction, so that no crash forgets it."""

from sqlalchemy import Connection

from handlers.feed import Feed


def mark(connection: Connection, feed: Feed, touched: str, delivery_id: int) -> None:
    """Marks the products and days whose figures are no longer what the rows say.

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
