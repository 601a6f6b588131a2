"""What an estimate for a missing day may rest on: the daily figures of one product, and the days that are known."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from sqlalchemy import ColumnElement, Connection, Table, func, select

from daemon.store.schema import DAILY, LIVE, PRODUCTS, TOTALS
from handlers.fallback import Level

_SALES, _STOCK = DAILY["sales"], DAILY["inventory"]


@dataclass(frozen=True, slots=True)
class Told:
    """What the tables say of a product around a day.

    Attributes:
        first_seen: since when it is known; None: it is not.
        sold: units on each day of which any sales are loaded, from its first on; 0 where it did not sell.
        net: the same, returned units taken off.
        levels: its stock by day and location.
    """

    first_seen: date | None
    sold: Mapping[date, int]
    net: Mapping[date, int]
    levels: list[Level]


def told(connection: Connection, product: str, first: date, last: date) -> Told:
    """Reads it.

    Args:
        connection: of the transaction.
        product: which.
        first: the first day.
        last: the last day.
    """
    seen = connection.scalar(select(PRODUCTS.c.first_seen).where(PRODUCTS.c.product_id == product))
    if seen is None:
        return Told(None, {}, {}, [])
    sold = dict.fromkeys(_days_with_sales(connection, max(first, seen), last), 0)
    net = dict(sold)
    c = _SALES.c
    rows = connection.execute(
        select(c.day, func.sum(c.units), func.sum(c.returned))
        .where(c.product_id == product, c.day.between(first, last))
        .group_by(c.day)
    )
    for day, units, returned in rows:
        sold[day], net[day] = int(units), int(units) - int(returned)
    return Told(seen, sold, net, _levels(connection, product, first, last))


def _days_with_sales(connection: Connection, first: date, last: date) -> list[date]:
    c = TOTALS.c
    chain = select(c.day).where(c.feed == "sales", c.scope == "", c.rows > 0, c.day.between(first, last))
    return list(connection.scalars(chain))


def _levels(connection: Connection, product: str, first: date, last: date) -> list[Level]:
    c = _STOCK.c
    found = select(c.day, c.location, c.close, c.in_transit)
    ordered = _ordered(connection, product, first, last)
    lead = _lead_days(connection, product, last)
    levels = []
    for day, location, close, coming in connection.execute(
        found.where(c.product_id == product, c.day.between(first, last))
    ):
        order = ordered.get((location, day))
        expected = None if order is None or lead is None else order + timedelta(days=round(lead))
        levels.append(Level(day, location, int(close), int(coming), expected))
    return levels


def _ordered(connection: Connection, product: str, first: date, last: date) -> dict[tuple[str, date], date]:
    """When it was last ordered, as the last row of each day and location says."""
    c = LIVE["inventory"].c
    rows = connection.execute(
        select(c.location, c.date, c.last_reorder_date)
        .where(c.product_id == product, *_within(LIVE["inventory"], first, last))
        .order_by(c.date)
    )
    return {(location, at.date()): order.date() for location, at, order in rows if order is not None}


def _lead_days(connection: Connection, product: str, day: date) -> float | None:
    """Days from an order to its receipt, by the catalogue in force."""
    c = LIVE["products"].c
    rows = (
        select(c.lead_time_days)
        .where(c.product_id == product, *_within(LIVE["products"], date(1, 1, 1), day))
        .order_by(c.date.desc())
        .limit(1)
    )
    return connection.scalar(rows)


def _within(table: Table, first: date, last: date) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Conditions: a local time between two days, the last included."""
    begin, end = datetime.combine(first, time()), datetime.combine(last + timedelta(days=1), time())
    return table.c.date >= begin, table.c.date < end
