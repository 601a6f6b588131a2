"""From rows of the daily aggregates to a ``History``: what a store reads, in any order, becomes arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from handlers.features.history import (
    CHANNEL_DAYS,
    DETAIL_DAYS,
    MONEY_DAYS,
    SIGNAL_DAYS,
    STOCK_DAYS,
    UNITS_DAYS,
    Attributes,
    Days,
    Flags,
    History,
    Ints,
    Sales,
    Signals,
    Stock,
)
from handlers.sales import CHANNELS

CARRY_DAYS = 28  # a location's snapshot counts for so many days, its own included, if no other comes
SALES_ROWS_DAYS = UNITS_DAYS  # how far back rows are read, in days, as_of included
SIGNAL_ROWS_DAYS = SIGNAL_DAYS


@dataclass(frozen=True, slots=True)
class SalesRows:
    """Rows of ``sales_daily``, any number per product, day and channel; arrays of one length.

    Attributes:
        product: place of the product in the list of products.
        day: datetime64[D].
        channel: place in ``CHANNELS``.
        units, returned, revenue_e4, promo_units, rows: as in the table.
    """

    product: Ints
    day: Days
    channel: Ints
    units: Ints
    returned: Ints
    revenue_e4: Ints
    promo_units: Ints
    rows: Ints


@dataclass(frozen=True, slots=True)
class StockRows:
    """Rows of ``inventory_daily``, one per product, location and day; ``location`` is a number from 0 on per location."""

    product: Ints
    day: Days
    location: Ints
    close: Ints
    reserved: Ints
    in_transit: Ints


@dataclass(frozen=True, slots=True)
class SignalRows:
    """Rows of ``demand_daily``; the measures as in the table, without ``competitor_price``."""

    product: Ints
    day: Days
    signals: Ints
    level_sum: Ints
    trend_count: Ints
    trend_sum_e6: Ints
    trend_square_e6: Ints
    sentiment_count: Ints
    sentiment_sum_e6: Ints
    sentiment_square_e6: Ints


def stock_rows_days(fresh_days: int = 1, deep: int = 0) -> int:
    """How far back rows of ``inventory_daily`` are read, in days, ``as_of`` included."""
    return max(STOCK_DAYS, deep) + _carried_days(fresh_days) - 1


def _carried_days(fresh_days: int) -> int:
    """What is fresh still counts."""
    return max(CARRY_DAYS, fresh_days + 1)


def positions(values: Sequence[str] | pa.Array, names: Sequence[str]) -> Ints:
    """Where each value stands in ``names``.

    Raises:
        ValueError: a value is not there.
    """
    column = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
    found = pc.index_in(column, pa.array(names, pa.string()))
    if found.null_count:
        unknown = column.filter(pc.is_null(found))[0]
        raise ValueError(
            f"{unknown.as_py()!r} is not among the {len(names)} names, such as {list(names[:4])}"
        )
    return np.asarray(found, dtype=np.int64)


def codes(values: Sequence[str] | pa.Array) -> Ints:
    """A number for each different value, for ``StockRows.location``."""
    column = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
    return np.asarray(column.dictionary_encode().indices, dtype=np.int64)


def build(
    products: Sequence[str],
    as_of: date,
    *,
    first_seen: Days,
    last_sale: Days,
    sales: SalesRows,
    stock: StockRows,
    signals: SignalRows,
    attributes: Attributes,
    fresh_days: int = 1,
    deep: int = 0,
) -> History:
    """The history of some products up to a day.

    Rows after ``as_of`` are left out, and so are rows that are too old to matter: reading more than the last
    ``SALES_ROWS_DAYS``, ``SIGNAL_ROWS_DAYS`` and ``stock_rows_days()`` days changes nothing.

    The numbers in ``product`` of the rows are places in ``products``; the arrays are those of ``History``. With
    ``deep`` each array has at least so many days, for windows other than the catalogue's; then rows must be read
    that far back too.

    Raises:
        ValueError: lengths differ, or a product sold before it was first seen.
    """
    count = len(products)
    named = np.empty(count, np.object_)
    named[:] = list(products)
    return History(
        products=named,
        as_of=as_of,
        first_seen=first_seen,
        last_sale=last_sale,
        sales=sales_arrays(sales, count, as_of, deep),
        stock=stock_arrays(stock, count, as_of, deep, fresh_days),
        signals=signal_arrays(signals, count, as_of, deep),
        attributes=attributes,
    )


def _ages(days: Days, as_of: date) -> Ints:
    return (np.datetime64(as_of, "D") - days.astype("datetime64[D]")).astype(np.int64)


def _laid_out(cells: Ints, values: Ints, shape: tuple[int, ...]) -> Ints:
    """An array of zeros with the values added at flat places."""
    flat = np.zeros(int(np.prod(shape)), np.int64)
    np.add.at(flat, cells, values)
    return flat.reshape(shape)


def _by_day(product: Ints, age: Ints, values: Ints, count: int, depth: int) -> Ints:
    """Values summed per product and day; (P, depth)."""
    near = (age >= 0) & (age < depth)
    cells = product[near] * depth + (depth - 1 - age[near])
    return _laid_out(cells, values[near], (count, depth))


def sales_arrays(rows: SalesRows, count: int, as_of: date, deep: int = 0) -> Sales:
    """The sales of so many products; see ``build``."""
    age = _ages(rows.day, as_of)

    def laid(values: Ints, depth: int) -> Ints:
        return _by_day(rows.product, age, values, count, max(depth, deep))

    place = rows.product * len(CHANNELS) + rows.channel
    by_channel = _by_day(place, age, rows.units, count * len(CHANNELS), max(CHANNEL_DAYS, deep))
    return Sales(
        units=laid(rows.units, UNITS_DAYS),
        returned=laid(rows.returned, MONEY_DAYS),
        revenue_e4=laid(rows.revenue_e4, MONEY_DAYS),
        promo_units=laid(rows.promo_units, DETAIL_DAYS),
        rows=laid(rows.rows, DETAIL_DAYS),
        channel_units=by_channel.reshape(count, len(CHANNELS), max(CHANNEL_DAYS, deep)),
    )


def signal_arrays(rows: SignalRows, count: int, as_of: date, deep: int = 0) -> Signals:
    """The demand signals of so many products; see ``build``."""
    age, depth = _ages(rows.day, as_of), max(SIGNAL_DAYS, deep)
    measures = {
        field.name: _by_day(rows.product, age, getattr(rows, field.name), count, depth)
        for field in fields(Signals)
    }
    return Signals(**measures)


def stock_arrays(rows: StockRows, count: int, as_of: date, deep: int, fresh_days: int) -> Stock:
    """The stock of so many products; see ``build``.

    Adds each snapshot from its day on and takes it away when the next one comes or it has grown too old.
    """
    depth = max(STOCK_DAYS, deep, fresh_days + 1)
    oldest = stock_rows_days(fresh_days, depth)
    age = _ages(rows.day, as_of)
    near = np.flatnonzero((age >= 0) & (age < oldest))
    place = rows.product[near] * (rows.location.max(initial=0) + 1) + rows.location[near]
    in_time = np.argsort(place * oldest - age[near], kind="stable")  # fast where they are sorted already
    order, place = near[in_time], place[in_time]
    product = rows.product[order]
    begin = depth - 1 - age[order]  # the column of its day; negative before the first
    end = begin + _carried_days(fresh_days)
    end[:-1] = np.where(place[1:] == place[:-1], np.minimum(end[:-1], begin[1:]), end[:-1])
    width = depth + 1  # what ends after as_of is taken away in a column that is cut off
    cells = product * width + np.clip(np.stack([begin, end]), 0, width - 1)

    def carried(values: Ints) -> Ints:
        ordered = values[order]
        changes = _laid_out(cells.ravel(), np.concatenate([ordered, -ordered]), (count, width))
        return changes.cumsum(axis=1)[:, :depth]

    known: Flags = np.zeros((count, depth), np.bool_)
    inside = begin >= 0
    known[product[inside], begin[inside]] = True
    return Stock(
        close=carried(rows.close),
        reserved=carried(rows.reserved),
        in_transit=carried(rows.in_transit),
        known=known,
        fresh_days=fresh_days,
    )
