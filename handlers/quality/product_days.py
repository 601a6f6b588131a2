"""The rules of ``consistency.py``, judged for the last days of many products at once.

The verdicts of a product and day are two sets of rules, as bits of a byte: those that could be judged, and those that
were broken. They are kept with the product, so that a day's rates are sums to which a change adds what is new and from
which it takes what was there before.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from handlers.features import History
from handlers.quality import consistency
from handlers.quality.anomaly import Bools
from handlers.quality.consistency import PRICE_DAYS, Outcome, Rule

Bits: TypeAlias = NDArray[np.uint8]

DAYS = 28  # before as-of that are judged again when something about them changes
# the rules in the order of their bits, and the feed that an alert is about
RULES: tuple[tuple[Rule, str], ...] = (
    (Rule.RESERVED, "inventory"),
    (Rule.STOCK_BALANCE, "inventory"),
    (Rule.SOLD_AT_ZERO, "sales"),
    (Rule.UNIT_PRICE, "sales"),
    (Rule.COMPETITOR_PRICE, "demand"),
)
_BIT = {rule: np.uint8(1 << at) for at, (rule, _) in enumerate(RULES)}
_NOW = -1


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Of P products on the last days, the last column being as-of; both (P, days).

    Attributes:
        evaluated: the rules of which enough is known, as bits in the order of ``RULES``.
        violating: of these, the rules that are broken.
    """

    evaluated: Bits
    violating: Bits


def verdicts(
    history: History,
    days: int,
    competitor: NDArray[np.float64] | None = None,
    transit_told: Bools | None = None,
) -> Verdicts:
    """Judges the last days of each product.

    Args:
        history: of the products.
        days: 1 to ``DAYS``.
        competitor: the latest price of a competitor on each of these days, NaN where none is known; (P, days). None:
            only that of as-of is known.
        transit_told: on which of these days the sender is known to fill ``in_transit``: it was above 0 for any product in
            the ``DAYS`` before; (days,). None: as far as these products tell.

    Raises:
        ValueError: ``days`` is something else.
    """
    if not 1 <= days <= DAYS:
        raise ValueError(f"{days} days cannot be judged: 1 to {DAYS} can")
    shape = (len(history.products), days)
    found = Verdicts(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))
    prices = _unit_prices(history)
    if competitor is None:
        competitor = np.full(shape, np.nan)
        competitor[:, _NOW] = history.attributes.competitor_price
    if transit_told is None:
        transit_told = _transit_told(history, days)
    for back in range(days):
        column = days - 1 - back
        for outcome in _day(history, prices, competitor[:, column], back, told=bool(transit_told[column])):
            bit = _BIT[outcome.rule]
            found.evaluated[:, column] |= np.where(outcome.evaluated, bit, np.uint8(0))
            found.violating[:, column] |= np.where(outcome.violating, bit, np.uint8(0))
    return found


def has(bits: Bits, rule: Rule) -> Bools:
    """Where a rule is among the bits."""
    return np.asarray((bits & _BIT[rule]) != 0)


def _day(
    history: History, prices: NDArray[np.float64], competitor: NDArray[np.float64], back: int, *, told: bool
) -> list[Outcome]:
    """The outcomes of one day, so many days before as-of."""
    now, before = _NOW - back, _NOW - back - 1
    stock, sales = history.stock, history.sales
    counted, counted_before = stock.known[:, now], stock.known[:, before]
    close = np.where(counted, stock.close[:, now], np.nan)
    close_before = np.where(counted_before, stock.close[:, before], np.nan)
    transit_before = np.where(counted_before, stock.in_transit[:, before], np.nan)
    sold = sales.units[:, now] - sales.returned[:, now]
    balance = consistency.stock_balance_by_transit(close, close_before, sold, transit_before, filled=told)
    return [
        consistency.reserved(close, np.where(counted, stock.reserved[:, now], np.nan)),
        balance,
        consistency.sold_at_zero(sold, close_before, transit_before),
        consistency.unit_price(prices[:, now], prices[:, before - PRICE_DAYS + 1 : before + 1 or None]),
        consistency.competitor_price(prices[:, now], competitor),
    ]


def _transit_told(history: History, days: int) -> Bools:
    filled = np.asarray((history.stock.in_transit > 0).any(axis=0))
    end = len(filled) - 1  # the day before as-of is the last that counts for it
    return np.array([filled[end - back - 1 - DAYS : end - back].any() for back in range(days)][::-1])


def _unit_prices(history: History) -> NDArray[np.float64]:
    """Revenue of a unit on each of the last days, NaN on days without a sale; (P, days of the revenue)."""
    money = history.sales.revenue_e4.astype(np.float64)
    depth = money.shape[1]
    units = (history.sales.units[:, -depth:] - history.sales.returned[:, -depth:]).astype(np.float64)
    return np.where((units > 0) & (money > 0), money / np.where(units > 0, units, 1) / 10_000, np.nan)
