"""The daily aggregates and ``products``, brought up to the rows that came and went."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from daemon.store.bulk import Manners
from daemon.store.schema import DAILY
from handlers.errors import FileError
from handlers.feed import Additive, Feed, Fold, Snapshot


def add(connection: Connection, manners: Manners, daily: Additive, sums: pa.Table, touched: str) -> None:
    """Adds sums, some of them negative, to an aggregate.

    Args:
        connection: of the transaction.
        manners: of its database.
        daily: the aggregate.
        sums: of shape (keys, columns of the aggregate).
        touched: a temporary table for them.
    """
    manners.insert(connection, touched, sums)
    columns, keys = ", ".join((*daily.keys, *daily.measures)), ", ".join(daily.keys)
    updates = ", ".join(f"{m} = {daily.table}.{m} + excluded.{m}" for m in daily.measures)
    connection.exec_driver_sql(
        f"INSERT INTO {daily.table} ({columns}) SELECT {columns} FROM {touched} WHERE true"
        f" ON CONFLICT ({keys}) DO UPDATE SET {updates}"
    )
    if pc.min(sums["rows"]).as_py() < 1:  # a sum that takes rows out may leave none
        connection.exec_driver_sql(
            f"DELETE FROM {daily.table} WHERE rows = 0 AND ({keys}) IN (SELECT {keys} FROM {touched})"
        )


def summarise_again(
    connection: Connection, manners: Manners, feed: Feed, daily: Snapshot, touched: str
) -> None:
    """Makes the touched keys and days of an aggregate anew from the feed's rows."""
    keys = without_day(daily.keys)
    own = ", ".join(keys)
    connection.exec_driver_sql(
        f"DELETE FROM {daily.table} WHERE ({own}, day) IN (SELECT {own}, day FROM {touched})"
    )
    join = " AND ".join(f"l.{key} = t.{key}" for key in keys)
    window = f"{', '.join(f'l.{key}' for key in keys)}, t.day"
    lasts = {fold.of for fold in daily.folds if fold.how == "last"}
    ranks = "".join(
        f", ROW_NUMBER() OVER (PARTITION BY {window}, l.{of} IS NULL ORDER BY l.date DESC) AS {of}_rank"
        for of in sorted(lasts)
    )
    # CROSS JOIN: SQLite then walks the touched keys and looks each up, whatever it believes of the tables' sizes
    rows = (
        f"SELECT t.day AS day, l.*{ranks} FROM (SELECT DISTINCT {own}, day FROM {touched}) t CROSS JOIN {feed.table} l"
        f" WHERE {join} AND l.date >= t.day AND l.date < {manners.day_after('t.day')}"
    )
    measures = ", ".join(_fold(fold) for fold in daily.folds)
    columns = ", ".join((*keys, "day", *(fold.name for fold in daily.folds)))
    connection.exec_driver_sql(
        f"INSERT INTO {daily.table} ({columns}) SELECT {own}, day, {measures} FROM ({rows}) ranked"
        f" GROUP BY {own}, day"
    )


def note_products(connection: Connection, touched: str, *, rows_went: bool) -> None:
    """Notes the first day of products that are seen; after rows went, the first on which they still are, or none."""
    connection.exec_driver_sql(
        f"INSERT INTO products (product_id, first_seen) SELECT product_id, MIN(day) FROM {touched}"
        " GROUP BY product_id ON CONFLICT (product_id) DO UPDATE SET first_seen = excluded.first_seen"
        " WHERE excluded.first_seen < products.first_seen"
    )
    if not rows_went:
        return
    days = " UNION ALL ".join(
        f"SELECT MIN(day) AS day FROM {table.name} WHERE product_id = products.product_id"
        for table in DAILY.values()
    )
    its, seen = f"product_id IN (SELECT product_id FROM {touched})", f"(SELECT MIN(day) FROM ({days}) seen)"
    connection.exec_driver_sql(f"DELETE FROM products WHERE {its} AND {seen} IS NULL")
    connection.exec_driver_sql(f"UPDATE products SET first_seen = {seen} WHERE {its}")


def summed(daily: Additive, rows: pa.Table) -> Iterator[pa.Table]:
    """The rows' sums, in parts if they are too large to be added at once: they were loaded from several files."""
    try:
        yield daily.summarise(rows)
    except FileError:
        half = rows.num_rows // 2
        if half == 0:
            raise
        yield from summed(daily, rows.slice(0, half))
        yield from summed(daily, rows.slice(half))


def without_day(keys: tuple[str, ...]) -> tuple[str, ...]:
    """The keys of an aggregate but for the day."""
    return tuple(key for key in keys if key != "day")


def _fold(fold: Fold) -> str:
    match fold.how:
        case "last":
            return f"MAX(CASE WHEN {fold.of}_rank = 1 THEN {fold.of} END)"
        case "min":
            return f"MIN({fold.of})"
        case "sum":
            return f"COALESCE(SUM({fold.of}), 0)"
        case "count":
            return f"COUNT({fold.of})"
