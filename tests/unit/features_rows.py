"""Rows of products as records, and the histories that are built from them."""

import math
from dataclasses import dataclass, field, fields
from datetime import date, timedelta

import numpy as np

from handlers.features import Attributes, SalesRows, SignalRows, StockRows, build, features_of
from handlers.sales import CHANNELS


@dataclass
class Sale:
    day: date
    channel: str
    units: int
    returned: int
    revenue_e4: int
    promo_units: int
    rows: int


@dataclass
class Level:
    day: date
    location: int
    close: int
    reserved: int
    in_transit: int


@dataclass
class Signal:
    day: date
    signals: int
    level_sum: int
    trend_count: int
    trend_sum_e6: int
    trend_square_e6: int
    sentiment_count: int
    sentiment_sum_e6: int
    sentiment_square_e6: int


@dataclass
class Product:
    """All that is known of one product, later days too."""

    name: str
    first_seen: date | None
    sales: list[Sale] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    unit_cost: float | None = None
    selling_price: float | None = None
    lead_time_days: float | None = None
    lead_time_std_days: float | None = None
    competitor_price: float | None = None


def arrays(kind, found, places):
    """Rows of all products, in any order, as arrays."""
    columns = {}
    for name in (f.name for f in fields(kind)):
        if name == "product":
            values = places
        elif name == "day":
            columns[name] = np.array([row.day for row in found], "datetime64[D]")
            continue
        elif name == "channel":
            values = [CHANNELS.index(row.channel) for row in found]
        else:
            values = [getattr(row, name) for row in found]
        columns[name] = np.array(values, np.int64)
    return kind(**columns)


def rows_of(kind, parts, shuffle):
    pairs = [(row, place) for place, rows in enumerate(parts) for row in rows]
    if shuffle is not None:
        shuffle.shuffle(pairs)
    return arrays(kind, [row for row, _ in pairs], [place for _, place in pairs])


def history_of(as_of, shop, *, shuffle=None, fresh_days=1, deep=0):
    sold = [[s.day for s in p.sales if s.units and s.day <= as_of] for p in shop]
    attributes = {
        f.name: np.array([math.nan if getattr(p, f.name) is None else getattr(p, f.name) for p in shop])
        for f in fields(Attributes)
    }
    return build(
        [p.name for p in shop],
        as_of,
        first_seen=np.array([p.first_seen for p in shop], "datetime64[D]"),
        last_sale=np.array([max(days) if days else None for days in sold], "datetime64[D]"),
        sales=rows_of(SalesRows, [p.sales for p in shop], shuffle),
        stock=rows_of(StockRows, [p.levels for p in shop], shuffle),
        signals=rows_of(SignalRows, [p.signals for p in shop], shuffle),
        attributes=Attributes(**attributes),
        fresh_days=fresh_days,
        deep=deep,
    )


# ---- one product, on one day

AS_OF = date(2025, 6, 29)  # a Sunday


def sold(*units, price_e4=20_000, channel="pos", **known):
    """A product first seen on the day of the first figure; the last is of as-of."""
    first = AS_OF - timedelta(len(units) - 1)
    product = Product("P", first, **known)
    for n, count in enumerate(units):
        if count:
            day = first + timedelta(n)
            product.sales.append(Sale(day, channel, count, 0, count * price_e4, 0, 1))
    return product


def of(product, *, fresh_days=1):
    columns = features_of(history_of(AS_OF, [product], fresh_days=fresh_days)).columns
    return {name: values[0] for name, values in columns.items()}


def ago(days):
    return AS_OF - timedelta(days)
