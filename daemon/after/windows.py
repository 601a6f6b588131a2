"""The window of each product: the days that its features are computed from, kept in one row.

A delivery shifts the windows of the products it touched to the newest day and replaces the days it touched; nothing
else of the history is read. The arrays are those of ``handlers.features.History``, (P, days), all as 64-bit integers;
those of stock go on for some days beyond the last one: what counts then if no other snapshot comes.
"""

from collections.abc import Sequence
from dataclasses import fields
from datetime import date, timedelta
from typing import Final, TypeAlias

import numpy as np

from handlers.features import Attributes, History, Sales, SalesRows, SignalRows, Signals, Stock, StockRows
from handlers.features.build import CARRY_DAYS, sales_arrays, signal_arrays, stock_arrays
from handlers.features.history import (
    CHANNEL_DAYS,
    DETAIL_DAYS,
    MONEY_DAYS,
    SIGNAL_DAYS,
    STOCK_DAYS,
    UNITS_DAYS,
    Days,
    Flags,
    Ints,
)
from handlers.sales import CHANNELS

Arrays: TypeAlias = dict[str, Ints]

AHEAD: Final = CARRY_DAYS - 1  # days after the last one on which a snapshot of that day counts
NEVER: Final = -AHEAD - 1  # days that are new in a window, if nothing is

_STOCK: Final = ("close", "reserved", "in_transit")
SALES_SHAPES: Final[dict[str, tuple[int, ...]]] = {
    "units": (UNITS_DAYS,),
    "returned": (MONEY_DAYS,),
    "revenue_e4": (MONEY_DAYS,),
    "promo_units": (DETAIL_DAYS,),
    "rows": (DETAIL_DAYS,),
    "channel_units": (len(CHANNELS), CHANNEL_DAYS),
}
STOCK_SHAPES: Final[dict[str, tuple[int, ...]]] = {
    **dict.fromkeys(_STOCK, (STOCK_DAYS + AHEAD,)),
    "known": (STOCK_DAYS,),
}
SIGNAL_SHAPES: Final[dict[str, tuple[int, ...]]] = {field.name: (SIGNAL_DAYS,) for field in fields(Signals)}
SHAPES: Final = SALES_SHAPES | STOCK_SHAPES | SIGNAL_SHAPES
FEEDS: Final = {"sales": SALES_SHAPES, "inventory": STOCK_SHAPES, "demand": SIGNAL_SHAPES}


def _layout(small: str, large: str) -> np.dtype[np.void]:
    """How a window is laid out in bytes: sums of money and of signals are much larger than counts."""
    kinds = [(name, large if name.endswith(("_e4", "_e6")) else small) for name in SHAPES]
    return np.dtype([("layout", "u1"), *((name, kind, SHAPES[name]) for name, kind in kinds)])


# The number of a layout is its place, from 1 on, and the first byte of a window. Most windows fit the first.
_LAYOUTS: Final = (_layout("<i2", "<i4"), _layout("<i4", "<i8"), _layout("<i8", "<i8"))


def empty(count: int) -> Arrays:
    """Windows of products of which nothing is known."""
    return {name: np.zeros((count, *shape), np.int64) for name, shape in SHAPES.items()}


def pack(arrays: Arrays) -> list[bytes]:
    """Each product's window as bytes, as few as its largest numbers allow."""
    count = len(arrays["units"])
    packed = [b""] * count
    left = np.ones(count, np.bool_)
    for number, layout in enumerate(_LAYOUTS, 1):
        places = np.flatnonzero(left & _fits(arrays, layout))
        records = np.zeros(len(places), layout)
        records["layout"] = number
        for name in SHAPES:
            records[name] = arrays[name][places]
        whole, size = records.tobytes(), layout.itemsize
        for n, place in enumerate(places.tolist()):
            packed[place] = whole[n * size : (n + 1) * size]
        left[places] = False
    return packed


def _fits(arrays: Arrays, layout: np.dtype[np.void]) -> Flags:
    """Which products' numbers a layout can hold."""
    fits = np.ones(len(arrays["units"]), np.bool_)
    for name in SHAPES:
        limits, array = np.iinfo(layout[name].base), arrays[name]
        days = tuple(range(1, array.ndim))
        fits &= (array.min(axis=days) >= limits.min) & (array.max(axis=days) <= limits.max)
    return fits


def unpack(packed: Sequence[bytes]) -> Arrays:
    """Windows from bytes; no bytes are an empty window.

    Raises:
        ValueError: the bytes are no window that this release knows.
    """
    arrays = empty(len(packed))
    numbers = np.array([window[0] if window else 0 for window in packed], np.int64)
    for number in np.unique(numbers[numbers > 0]).tolist():
        if number > len(_LAYOUTS):
            raise ValueError(f"a window has layout {number}; this release knows 1 to {len(_LAYOUTS)}")
        places = np.flatnonzero(numbers == number).tolist()
        records = np.frombuffer(b"".join(packed[place] for place in places), _LAYOUTS[number - 1])
        for name in SHAPES:
            arrays[name][places] = records[name]
    return arrays


def shift(arrays: Arrays, by: Ints) -> None:
    """Moves windows on, in place; nothing is known of the days that come in.

    Args:
        arrays: of P products.
        by: days; (P,).
    """
    for days in np.unique(by[by > 0]).tolist():
        places = np.flatnonzero(by == days)
        for array in arrays.values():
            moved = np.zeros((len(places), *array.shape[1:]), np.int64)
            if days < array.shape[-1]:
                moved[..., :-days] = array[places][..., days:]
            array[places] = moved


def replace_days(arrays: Arrays, fresh: Arrays, new: Ints) -> None:
    """Replaces the last days of some arrays, in place.

    Args:
        arrays: of P products; those that ``fresh`` has are changed.
        fresh: of the same products and days.
        new: how many days up to the last one, which is the data day, are new; ``NEVER`` if none; (P,).
    """
    for name, array in fresh.items():
        ahead = AHEAD if name in _STOCK else 0
        ages = np.arange(array.shape[-1] - 1 - ahead, -1 - ahead, -1)
        are_new = ages < new[:, None]
        if array.ndim > are_new.ndim:
            are_new = are_new[:, None, :]
        np.copyto(arrays[name], array, where=are_new)


def sales_days(rows: SalesRows, count: int, frontier: date) -> Arrays:
    """The arrays of sales from rows."""
    found = sales_arrays(rows, count, frontier)
    return {name: getattr(found, name) for name in SALES_SHAPES}


def stock_days(rows: StockRows, count: int, frontier: date) -> Arrays:
    """The arrays of stock from rows up to the data day, and for some days beyond it."""
    found = stock_arrays(rows, count, frontier + timedelta(AHEAD), STOCK_DAYS + AHEAD, 0)
    known = found.known[:, :STOCK_DAYS].astype(np.int64)
    return {**{name: getattr(found, name) for name in _STOCK}, "known": known}


def signal_days(rows: SignalRows, count: int, frontier: date) -> Arrays:
    """The arrays of signals from rows."""
    found = signal_arrays(rows, count, frontier)
    return {name: getattr(found, name) for name in SIGNAL_SHAPES}


def last_sold(units: Ints, frontier: date) -> Days:
    """The last day with units in the window; NaT if there is none; (P,)."""
    sold = units > 0
    age = np.argmax(sold[:, ::-1], axis=1)
    return np.where(sold.any(axis=1), np.datetime64(frontier, "D") - age, np.datetime64("NaT", "D"))


def history(
    products: Sequence[str],
    frontier: date,
    arrays: Arrays,
    *,
    first_seen: Days,
    last_sale: Days,
    attributes: Attributes,
    fresh_days: int,
) -> History:
    """The windows as what features are computed from."""
    named = np.empty(len(products), np.object_)
    named[:] = list(products)
    return History(
        products=named,
        as_of=frontier,
        first_seen=first_seen,
        last_sale=last_sale,
        sales=Sales(**{name: arrays[name] for name in SALES_SHAPES}),
        stock=Stock(
            **{name: arrays[name][:, :STOCK_DAYS] for name in _STOCK},
            known=arrays["known"].astype(np.bool_),
            fresh_days=fresh_days,
        ),
        signals=Signals(**{name: arrays[name] for name in SIGNAL_SHAPES}),
        attributes=attributes,
    )
