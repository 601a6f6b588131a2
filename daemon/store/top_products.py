"""The products of a day, and their last months, for one place or channel: read only where something stands out."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, text

from daemon.store import removed_days
from daemon.store.schema import LINE_BITS
from handlers.feed import Additive, Feed, Totals

_MOST_RANGES = 50  # of deliveries; a day of more files is not looked through
_GAP = 3  # delivery numbers between two files of a day, which other feeds may have


def most_rows(
    connection: Connection,
    feed: Feed,
    deliveries: Sequence[int],
    days: Sequence[date],
    of: Mapping[str, str],
    most: int,
) -> list[str]:
    """The products that have most rows on some days, the most frequent first.

    Args:
        connection: of the transaction.
        feed: whose.
        deliveries: that brought the rows.
        days: of the rows.
        of: column and value of the place or channel; empty: all.
        most: so many at most.
    """
    if removed_days.any_of(connection, feed.name, list(days)):
        return _most_rows_added_up(connection, feed, days, of, most)
    ranges = _ranges(sorted(deliveries))
    if not ranges or len(ranges) > _MOST_RANGES:
        return []
    its = " OR ".join(f"id BETWEEN {low} AND {high}" for low, high in ranges)
    when = " OR ".join(f"(date >= '{day}' AND date < '{day + timedelta(1)}')" for day in days)
    where = "".join(f" AND {name} = :{name}" for name in of)
    rows = connection.execute(
        text(
            f"SELECT product_id FROM {feed.table} WHERE ({its}) AND ({when}){where}"
            f" GROUP BY product_id ORDER BY COUNT(*) DESC, product_id LIMIT {most}"
        ),
        dict(of),
    )
    return [str(row[0]) for row in rows]


def _most_rows_added_up(
    connection: Connection, feed: Feed, days: Sequence[date], of: Mapping[str, str], most: int
) -> list[str]:
    """The same by the aggregate, where the rows are kept no more: each known product is looked up."""
    if feed.daily is None:
        return []
    rows = feed.daily.totals.rows or ("rows" if isinstance(feed.daily, Additive) else "1")
    where = "".join(f" AND d.{name} = :{name}" for name in of)
    found = connection.execute(
        text(
            f"SELECT d.product_id FROM products p CROSS JOIN {feed.daily.table} d WHERE d.product_id = p.product_id"
            f" AND d.day IN :days{where} GROUP BY d.product_id"
            f" ORDER BY SUM({rows}) DESC, d.product_id LIMIT {most}"
        ).bindparams(bindparam("days", expanding=True)),
        {"days": [day.isoformat() if connection.dialect.name == "sqlite" else day for day in days], **of},
    )
    return [str(row[0]) for row in found]


def daily(
    connection: Connection,
    feed: Feed,
    totals: Totals,
    products: Sequence[str],
    since: date,
    until: date,
    of: Mapping[str, str],
) -> list[tuple[Any, ...]]:
    """Product, day (text), units, rows and money of each day that has any, both days included.

    Args:
        connection: of the transaction.
        feed: whose.
        totals: its columns.
        products: which.
        since: the first day.
        until: the last day.
        of: column and value of the place or channel; empty: all.
    """
    if feed.daily is None or not products:
        return []
    where = "".join(f" AND {name} = :{name}" for name in of)
    rows = f"SUM({totals.rows})" if totals.rows else "COUNT(*)"
    value = f"SUM({totals.value_e4})" if totals.value_e4 else "0"
    found = connection.execute(
        text(
            f"SELECT product_id, CAST(day AS TEXT), SUM({totals.units}), {rows}, {value} FROM {feed.daily.table}"
            f" WHERE product_id IN :products AND day BETWEEN '{since}' AND '{until}'{where}"
            " GROUP BY product_id, day"
        ).bindparams(bindparam("products", expanding=True)),
        {"products": list(products), **of},
    )
    return [tuple(row) for row in found]


def _ranges(deliveries: Sequence[int]) -> list[tuple[int, int]]:
    """Row ids of deliveries; neighbours are one range."""
    runs: list[list[int]] = []
    for each in deliveries:
        if runs and each - runs[-1][1] <= _GAP:
            runs[-1][1] = each
        else:
            runs.append([each, each])
    return [(low << LINE_BITS, ((high + 1) << LINE_BITS) - 1) for low, high in runs]
