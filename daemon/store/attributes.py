"""What the catalogue says of products, as of a day."""

from datetime import date, timedelta

import pyarrow as pa
from sqlalchemy import Connection

from daemon.store.staging import sql_kind
from handlers.columns import LocalTime
from handlers.products import PRODUCTS


def attributes_of(connection: Connection, wanted_table: str, as_of: date) -> pa.Table:
    """The catalogue's newest row of each product that is not later than a day.

    The row is taken as it is: an empty cell means that the value is not known any more, not that an older row's holds.
    Each product is looked up by the unique key; no history is read.

    Args:
        connection: of a transaction.
        wanted_table: a table, temporary or not, with the products in its column ``product_id``, each once.
        as_of: the day; rows of any time on it count.

    Returns:
        The columns of the feed ``products``, typed, ``date`` as text; shape (products that have a row, 13), in no order.
    """
    columns = PRODUCTS.columns
    selected = ", ".join(
        f"CAST(l.{c.name} AS {'TEXT' if isinstance(c.kind, LocalTime) else sql_kind(c.kind)})"
        for c in columns
    )
    newest = (
        f"SELECT p.id FROM {PRODUCTS.table} p WHERE p.product_id = w.product_id"
        f" AND p.date < '{as_of + timedelta(days=1)}' ORDER BY p.date DESC LIMIT 1"
    )
    # CROSS JOIN: SQLite then walks the wanted products and looks each up, whatever it believes of the tables' sizes
    rows = connection.exec_driver_sql(
        f"SELECT {selected} FROM (SELECT ({newest}) AS id FROM {wanted_table} w) n"
        f" CROSS JOIN {PRODUCTS.table} l WHERE l.id = n.id"
    ).fetchall()
    values = zip(*rows, strict=True) if rows else [()] * len(columns)
    return pa.table(
        {c.name: pa.array(found, c.kind.arrow_type) for c, found in zip(columns, values, strict=True)}
    )
