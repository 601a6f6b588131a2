"""What is known of some products up to a day: the arrays that all features are computed from.

The last column of each array of days is ``as_of``; the column before it is the day before, and so on. An array
may be deeper than the windows need: what is older is not looked at. P is the number of products; a product's
features depend on its own row alone, so neither the order nor the number of products matters.
"""

from dataclasses import dataclass, fields
from datetime import date
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from handlers.sales import CHANNELS

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Days: TypeAlias = NDArray[np.datetime64]
Number = TypeVar("Number", np.int64, np.bool_)

UNITS_DAYS = 180  # how deep the arrays must be, in days: the longest window that reads them
MONEY_DAYS = 90
DETAIL_DAYS = 28
CHANNEL_DAYS = 56
STOCK_DAYS = 90
SIGNAL_DAYS = 28


@dataclass(frozen=True, slots=True)
class Sales:
    """Sums per product and day over locations and channels; 0 on days without sales. All are integers.

    Attributes:
        units: units sold, returns not taken off; (P, 180 or more).
        returned: units returned; (P, 90 or more).
        revenue_e4: revenue with returns taken off, in 1/10 000; (P, 90 or more).
        promo_units: of ``units``, those with a promotion code; (P, 28 or more).
        rows: rows behind the sums, returns too; (P, 28 or more).
        channel_units: ``units`` per channel, in the order of ``CHANNELS``; (P, 4, 56 or more).
    """

    units: Ints
    returned: Ints
    revenue_e4: Ints
    promo_units: Ints
    rows: Ints
    channel_units: Ints


@dataclass(frozen=True, slots=True)
class Stock:
    """Stock per product and day: the latest snapshot of each location up to that day, summed; (P, 90 or more).

    Attributes:
        close, reserved, in_transit: units; each location's latest snapshot counts until its next one, at most
            for 28 days, or for as long as it is fresh.
        known: a snapshot of the product came that day, from any location.
        fresh_days: how old the product's latest snapshot may be at ``as_of`` for ``on_hand`` and what follows
            from it: 0 accepts that day only.
    """

    close: Ints
    reserved: Ints
    in_transit: Ints
    known: Flags
    fresh_days: int = 1


@dataclass(frozen=True, slots=True)
class Signals:
    """Sums of the demand signals per product and day; (P, 28 or more), integers as in ``demand_daily``.

    Attributes:
        signals, level_sum: how many; high counts 1, medium 0, low -1.
        trend_count, trend_sum_e6, trend_square_e6: of the market trend: values, their sum and sum of squares,
            in 1/1 000 000. The same for ``sentiment``.
    """

    signals: Ints
    level_sum: Ints
    trend_count: Ints
    trend_sum_e6: Ints
    trend_square_e6: Ints
    sentiment_count: Ints
    sentiment_sum_e6: Ints
    sentiment_square_e6: Ints


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is known about each product besides its days; (P,), NaN where it is not known.

    Attributes:
        unit_cost, selling_price: money for one unit.
        lead_time_days, lead_time_std_days: days from order to receipt, and their standard deviation.
        competitor_price: the latest one up to ``as_of``.
    """

    unit_cost: Floats
    selling_price: Floats
    lead_time_days: Floats
    lead_time_std_days: Floats
    competitor_price: Floats


@dataclass(frozen=True, slots=True)
class History:
    """All of it, for P products.

    Attributes:
        products: their ids; (P,) of strings.
        as_of: the day the features speak about, in the business time zone; it is taken as complete.
        first_seen: the first day each product was heard of in any feed; NaT if it is not known; (P,).
        last_sale: the last day up to ``as_of`` each product sold, in all of history; NaT if it never did; (P,).

    Raises:
        ValueError: an array has another shape than the others demand, or a product sold before it was seen.
    """

    products: NDArray[np.object_]
    as_of: date
    first_seen: Days
    last_sale: Days
    sales: Sales
    stock: Stock
    signals: Signals
    attributes: Attributes

    def __post_init__(self) -> None:
        count = len(self.products)
        for name, array in (("first_seen", self.first_seen), ("last_sale", self.last_sale)):
            _demand(name, array, (count,))
        _demand("units", self.sales.units, (count, UNITS_DAYS))
        for name in ("returned", "revenue_e4"):
            _demand(name, getattr(self.sales, name), (count, MONEY_DAYS))
        for name in ("promo_units", "rows"):
            _demand(name, getattr(self.sales, name), (count, DETAIL_DAYS))
        _demand("channel_units", self.sales.channel_units, (count, len(CHANNELS), CHANNEL_DAYS))
        for name in ("close", "reserved", "in_transit", "known"):
            _demand(name, getattr(self.stock, name), (count, STOCK_DAYS))
        for field in fields(self.signals):
            _demand(field.name, getattr(self.signals, field.name), (count, SIGNAL_DAYS))
        for field in fields(self.attributes):
            _demand(field.name, getattr(self.attributes, field.name), (count,))
        early = np.flatnonzero((last(self.sales.units, UNITS_DAYS) * ~self.alive(UNITS_DAYS)).any(axis=1))
        if len(early):
            first = early[0]
            raise ValueError(
                f"{len(early)} products sold before they were first seen, as {self.products[first]!r} before "
                f"{self.first_seen[first]}; first_seen must be the first day of a product in any feed"
            )

    def age(self) -> Ints:
        """Days from first seen to as-of, the last one not counted; negative if not seen by then; (P,)."""
        passed = (np.datetime64(self.as_of, "D") - self.first_seen.astype("datetime64[D]")).astype(np.int64)
        return np.where(np.isnat(self.first_seen), -1, passed)

    def known_days(self, window: int) -> Ints:
        """N of a window of some days: those from first seen on; (P,)."""
        return np.clip(self.age() + 1, 0, window)

    def alive(self, window: int) -> Flags:
        """Which days of a window are counted: those from first seen on; (P, window)."""
        ages = np.arange(window - 1, -1, -1)
        return np.asarray(ages < self.known_days(window)[:, None])


def last(array: NDArray[Number], window: int, *, ending: int = 0) -> NDArray[Number]:
    """Some days of an array, the days in its last dimension, ending some days before as-of.

    Raises:
        ValueError: the array is not that deep.
    """
    depth = array.shape[-1]
    if window + ending > depth:
        raise ValueError(
            f"a window of {window + ending} days needs deeper arrays than {depth} days: build(deep=...)"
        )
    return array[..., depth - ending - window : depth - ending]


def _demand(name: str, array: NDArray[np.generic], shape: tuple[int, ...]) -> None:
    """Compares shapes: (P,) exactly, days at least."""
    found = array.shape
    right = len(found) == len(shape) and found[:1] == shape[:1]
    if right and len(shape) > 1:
        right = found[1:-1] == shape[1:-1] and found[-1] >= shape[-1]
    if not right:
        least = " or more days" if len(shape) > 1 else ""
        raise ValueError(f"{name} has the shape {found}, not {shape}{least}")
