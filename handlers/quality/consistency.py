"""Whether figures agree with each other: six rules over key-days, each as a share of those that keep it.

A key-day is a product (and place) on a day. All arrays of a call have one value per key-day; NaN means unknown, and a
key-day of which a rule does not know enough is not evaluated. Alarm on rates, not on single records.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from handlers.quality.anomaly import Bools, row_medians
from handlers.quality.result import DEFAULTS, Metric, Result, Status, Thresholds, at_least

PRICE_DAYS = 28  # earlier days whose unit prices count
LEAST_PRICES = 4  # of them with a sale
_FACTOR = 3.0
_FAR = math.log(_FACTOR)
_NEAR = math.log(1.1)
_MADS = 5 * 1.4826
_WITHIN_SHARE = 0.005
_WITHIN = 1.0
MOST_NAMED = 20  # violating keys that a result names


class Rule(StrEnum):
    """The rules, by their names in results."""

    RESERVED = "reserved"
    STOCK_BALANCE = "stock_balance"
    SOLD_AT_ZERO = "sold_at_zero"
    UNIT_PRICE = "unit_price"
    COMPETITOR_PRICE = "competitor_price"
    RECONCILIATION = "reconciliation"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule found; both arrays have one value per key-day.

    Attributes:
        rule: which.
        evaluated: enough was known.
        violating: and the rule is broken.
    """

    rule: Rule
    evaluated: Bools
    violating: Bools

    @property
    def share(self) -> float:
        """1 - violating/evaluated; NaN if nothing was evaluated."""
        count = int(self.evaluated.sum())
        return 1 - int(self.violating.sum()) / count if count else math.nan


def reserved(stock: npt.ArrayLike, reserved_stock: npt.ArrayLike) -> Outcome:
    """0 ≤ reserved ≤ stock."""
    s, r = _arrays(stock, reserved_stock)
    return _outcome(Rule.RESERVED, (s, r), (r < 0) | (r > s))


def stock_balance(
    stock: npt.ArrayLike,
    stock_before: npt.ArrayLike,
    sales: npt.ArrayLike,
    receipts: npt.ArrayLike,
    tolerance: float = 0.0,
) -> Outcome:
    """Closing stock = closing stock of the day before - sales + receipts.

    Args:
        stock: closing stock of the day.
        stock_before: that of the day before.
        sales: units sold, less returned.
        receipts: units that came in, less written off.
        tolerance: units that may be missing or too many.
    """
    s, before, sold, came = _arrays(stock, stock_before, sales, receipts)
    off = np.abs(s - (before - sold + came))
    return _outcome(Rule.STOCK_BALANCE, (s, before, sold, came), off > tolerance)


def stock_balance_by_transit(
    stock: npt.ArrayLike,
    stock_before: npt.ArrayLike,
    sales: npt.ArrayLike,
    transit_before: npt.ArrayLike,
    tolerance: float = 0.0,
    *,
    filled: bool = True,
) -> Outcome:
    """Without a feed of receipts: what came in (increase + sales) was on its way the day before.

    Args:
        stock: closing stock of the day.
        stock_before: that of the day before.
        sales: units sold, less returned.
        transit_before: units on their way at the close of the day before.
        tolerance: units that may be too many.
        filled: the sender fills the column: it has had a value above 0 in the last weeks. If not, nothing is evaluated.
    """
    s, before, sold, coming = _arrays(stock, stock_before, sales, transit_before)
    if not filled:
        coming = np.full_like(coming, np.nan)
    return _outcome(Rule.STOCK_BALANCE, (s, before, sold, coming), s - before + sold > coming + tolerance)


def sold_at_zero(
    sales: npt.ArrayLike, stock_before: npt.ArrayLike, receipts: npt.ArrayLike | None = None
) -> Outcome:
    """Nothing is sold that was not there: no sales when the stock of the day before was 0 and nothing came in.

    Args:
        sales: units sold; only key-days with sales are evaluated.
        stock_before: closing stock of the day before.
        receipts: units that came in, or that were on their way the day before; None: nobody knows of any.
    """
    sold, before, came = _arrays(sales, stock_before, 0.0 if receipts is None else receipts)
    selling = np.where(sold > 0, sold, np.nan)
    return _outcome(Rule.SOLD_AT_ZERO, (selling, before, came), (before <= 0) & (came <= 0))


def unit_price(price: npt.ArrayLike, past: npt.ArrayLike) -> Outcome:
    """A unit price is near the median of its last 28 days: within a factor of 3, or within 5 of their own spreads.

    It finds cents in place of dollars (x100); real prices break it in a few of a thousand key-days.

    Args:
        price: revenue per unit of the day.
        past: key-days x the 28 days before; NaN on days without a sale. At least 4 prices are needed.
    """
    now, before = np.asarray(price, np.float64), np.asarray(past, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        now = np.where(now > 0, np.log(now), np.nan)
        before = np.where(before > 0, np.log(before), np.nan)
    middle = row_medians(before)
    spread = row_medians(np.abs(before - middle[:, None]))
    known = np.where(np.isfinite(before).sum(1) >= LEAST_PRICES, middle, np.nan)
    far = np.abs(now - middle)
    limit = np.maximum(_FAR, np.maximum(_MADS * np.nan_to_num(spread), 5 * _NEAR))
    return _outcome(Rule.UNIT_PRICE, (now, known), far > limit)


def competitor_price(own: npt.ArrayLike, competitor: npt.ArrayLike) -> Outcome:
    """Own over competitor's price is between 1/3 and 3."""
    ours, theirs = _arrays(own, competitor)
    known = (np.where(ours > 0, ours, np.nan), np.where(theirs > 0, theirs, np.nan))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = known[0] / known[1]
    return _outcome(Rule.COMPETITOR_PRICE, known, (ratio > _FACTOR) | (ratio < 1 / _FACTOR))


def reconciliation(control: npt.ArrayLike, found: npt.ArrayLike) -> Outcome:
    """A control total and what was loaded differ by no more than 1, or 0.5 %."""
    said, here = _arrays(control, found)
    allowed = np.maximum(_WITHIN, _WITHIN_SHARE * np.abs(said))
    return _outcome(Rule.RECONCILIATION, (said, here), np.abs(said - here) > allowed)


def consistency(
    outcome: Outcome, day: date | None, names: Sequence[str] = (), thresholds: Thresholds = DEFAULTS
) -> Result:
    """The result of one rule on a day.

    Args:
        outcome: of the rule.
        day: the business day; None for a delivery of several.
        names: of the key-days, to name those that break the rule.
        thresholds: the limits.
    """
    wrong = np.flatnonzero(outcome.violating)
    named = [names[at] for at in wrong[:MOST_NAMED]] if names else []
    return rate(outcome.rule, day, int(outcome.evaluated.sum()), len(wrong), named, thresholds)


def rate(
    rule: Rule,
    day: date | None,
    evaluated: int,
    violating: int,
    named: Sequence[str] = (),
    thresholds: Thresholds = DEFAULTS,
) -> Result:
    """The result of a rule from counts.

    Args:
        rule: which.
        day: the business day; None for a delivery of several.
        evaluated: key-days of which enough is known.
        violating: of these, those that break the rule.
        named: some of those that do.
        thresholds: the limits.
    """
    passes = thresholds.consistency_pass
    scope = f"rule:{rule}"
    said: dict[str, object] = {"evaluated": evaluated, "violating": violating}
    if not evaluated:
        return Result(Metric.CONSISTENCY, scope, day, None, passes, Status.SKIPPED, said)
    if named:
        said["violating_keys"] = list(named)
    value = 1 - violating / evaluated
    status = at_least(value, passes, thresholds.consistency_warning)
    return Result(Metric.CONSISTENCY, scope, day, value, passes, status, said)


def _arrays(*values: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], ...]:
    return tuple(
        np.asarray(part) for part in np.broadcast_arrays(*(np.asarray(v, np.float64) for v in values))
    )


def _outcome(rule: Rule, known: Sequence[npt.NDArray[np.float64]], broken: Bools) -> Outcome:
    evaluated = np.logical_and.reduce([np.isfinite(values) for values in known])
    return Outcome(rule, evaluated, evaluated & broken)
