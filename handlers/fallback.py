"""Estimates for days of which data are missing, each with an interval and with what it rests on.

An interval of order statistics claims no distribution: if the missing value is like the n known ones (exchangeable with
them), it lies between the k-th smallest and the k-th largest of them with a probability of (n + 1 - 2k)/(n + 1), or more
where values are equal. Of fewer than nine that cannot reach 80 %: then a negative binomial distribution stands in, with
their mean and dispersion, widened for what so few may be off.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median, variance
from typing import Literal

NOMINAL = 0.8  # what an interval is meant to hold
ENOUGH = 9  # values of which the smallest and the largest hold that much
MOST = 19  # same weekdays that count: the nearest, before and after
REACH = 26 * 7  # days away that a same weekday may be
NEAR = 28  # days away that a day of any weekday may be
LEAST = 4
CARRY = 28  # days that a snapshot is gone on from
_MOST_ERRORS = 59  # of the nearest days: the 6th smallest and largest hold 80 %
_DAY = timedelta(days=1)
_Z = 1.2815515655446004  # of the normal distribution, for 80 %
_MANY = 10_000  # units from which counts are as good as normal
_PRIOR = 0.5  # of a unit in all, as Jeffreys has it: some days without sales do not mean never

Method = Literal["same_weekday", "same_weekday_few", "any_weekday", "roll_forward", "roll_forward_bounds"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate in units.

    Attributes:
        value: the median of what it may be, or a level that was rolled forward.
        low, high: the interval.
        nominal: with which probability it is meant to hold the truth; None: bounds, without one.
        method: how it was made.
        days: what it rests on: days that are like the missing one, or those of the snapshots.
        observations: how many values the interval rests on.
        mean: of those days, to be added up over products: medians of slow sellers are 0. None for a level.
        correction: by which a level was moved, because the same estimate was usually so far off.
    """

    value: float
    low: float
    high: float
    nominal: float | None
    method: Method
    days: tuple[date, ...]
    observations: int
    mean: float | None = None
    correction: float = 0.0


@dataclass(frozen=True, slots=True)
class Level:
    """The stock of a location at the end of a day.

    Attributes:
        day: its day.
        location: where.
        stock: units there.
        in_transit: units on their way there.
        expected: the day on which those should come; None: nobody knows.
    """

    day: date
    location: str
    stock: int
    in_transit: int
    expected: date | None = None


def sales(sold: Mapping[date, int], day: date) -> Estimate | None:
    """What a product may have sold on a day.

    Args:
        sold: units on each known day, days without a sale as 0; what stands there of ``day`` itself is not used.
        day: the day.

    Returns:
        None with fewer than four days of whatever weekday within four weeks, and of its own within half a year.
    """
    by_distance = sorted((one for one in sold if one != day), key=lambda one: (abs((one - day).days), one))
    same = [one for one in by_distance if one.weekday() == day.weekday() and abs((one - day).days) <= REACH][
        :MOST
    ]
    if len(same) >= LEAST:
        values = [sold[one] for one in same]
        if len(same) >= ENOUGH:
            low, high, nominal = between(values)
            return _sales("same_weekday", same, values, low, high, nominal)
        return _sales("same_weekday_few", same, values, *_counts(values))
    near = [one for one in by_distance if abs((one - day).days) <= NEAR]
    if len(near) < LEAST:
        return None
    values = [sold[one] for one in near]
    return _sales("any_weekday", near, values, *_counts(values))


def between(values: Sequence[float]) -> tuple[float, float, float]:
    """The interval of order statistics that holds ``NOMINAL``, or a little more, of what is like the values.

    Args:
        values: nine or more.

    Returns:
        Its ends, and the probability of exactly this one.
    """
    count = len(values)
    k = math.floor((count + 1) * (1 - NOMINAL) / 2 + 1e-9)
    ordered = sorted(values)
    return ordered[k - 1], ordered[count - k], (count + 1 - 2 * k) / (count + 1)


def inventory(levels: Sequence[Level], sold: Mapping[date, int], day: date) -> Estimate | None:
    """What a product's stock may have been at the end of a day, in all locations.

    The latest level before it, less what was sold since, plus what was on its way and should have come; moved by the median of
    what the same estimate is off on the days that are known, which also give the interval. What sold on a day that is not
    known is itself estimated.

    Args:
        levels: of any days; those of ``day`` itself are not used.
        sold: units, less returned ones, on each known day.
        day: the day.

    Returns:
        None without a level in the 28 days before, or if sales since then are neither known nor can be estimated.
    """
    known = _by_day([level for level in levels if level.day != day])
    start = _start(known, day)
    if start is None:
        return None
    flow = _sold_between(sold, start, day)
    if flow is None:
        return None
    here = _latest(known, start)
    stock, coming = sum(level.stock for level in here), sum(level.in_transit for level in here)
    value = _rolled(here, flow[1], day)
    bases = tuple(sorted({level.day for level in here}))
    errors = _errors(known, sold, start, day)
    if len(errors) >= ENOUGH:
        below, above, nominal = between(errors)
        off = median(errors)
        low, value, high = (max(0.0, value + error) for error in (below, off, above))
        return Estimate(value, low, high, nominal, "roll_forward", bases, len(errors), correction=off)
    low, high = max(0.0, stock - flow[2]), max(0.0, stock - flow[0] + coming)
    return Estimate(value, low, high, None, "roll_forward_bounds", bases, len(here))


def _sales(
    method: Method, days: Sequence[date], values: Sequence[int], low: float, high: float, nominal: float
) -> Estimate:
    mean = sum(values) / len(values)
    return Estimate(median(values), low, high, nominal, method, tuple(sorted(days)), len(days), mean)


def _counts(values: Sequence[int]) -> tuple[float, float, float]:
    """The middle 80 % of a negative binomial distribution with the mean and dispersion of a few counts."""
    count = len(values)
    mean = (sum(values) + _PRIOR) / count
    dispersion = max(1.0, variance(values) / mean)
    # 1 + 1/n for what the mean may be off, Student's t for the variance; more than the mean, so that it is no Poisson
    # distribution
    spread = mean * dispersion * (1 + 1 / count) * (_student(count - 1) / _Z) ** 2
    tail = (1 - NOMINAL) / 2
    if mean > _MANY:
        reach = _Z * math.sqrt(spread)
        return max(0.0, round(mean - reach)), round(mean + reach), NOMINAL
    p = mean / spread
    r = mean * p / (1 - p)
    return _quantile(r, p, tail), _quantile(r, p, 1 - tail), NOMINAL


def _student(freedom: int) -> float:
    """What Student's t exceeds with a probability of 10 % (Cornish and Fisher's expansion; 1 % off for 3 degrees)."""
    z = _Z
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def _quantile(r: float, p: float, share: float) -> float:
    """The smallest count that at least this share of a negative binomial distribution does not exceed."""
    log_f, below, count = r * math.log(p), 0.0, 0
    while True:
        below += math.exp(log_f)
        if below >= share:
            return count
        log_f += math.log((count + r) / (count + 1)) + math.log1p(-p)
        count += 1


def _by_day(levels: Sequence[Level]) -> dict[date, list[Level]]:
    days: dict[date, list[Level]] = {}
    for level in levels:
        days.setdefault(level.day, []).append(level)
    return days


def _start(known: Mapping[date, Sequence[Level]], day: date) -> date | None:
    """The last day before it with a level."""
    return next((one for back in range(1, CARRY + 1) if (one := day - back * _DAY) in known), None)


def _latest(known: Mapping[date, Sequence[Level]], day: date) -> list[Level]:
    """Each location's latest level up to a day."""
    found: dict[str, Level] = {}
    for back in range(CARRY):
        for level in known.get(day - back * _DAY, ()):
            found.setdefault(level.location, level)
    return list(found.values())


def _rolled(here: Sequence[Level], sold: float, day: date) -> float:
    """Levels, less what was sold since, plus what should have come; no stock is below nothing."""
    came = sum(level.in_transit for level in here if level.expected is not None and level.expected <= day)
    return max(0.0, sum(level.stock for level in here) - sold + came)


def _sold_between(sold: Mapping[date, int], start: date, day: date) -> tuple[float, float, float] | None:
    """Units sold after a day up to another: at least, probably, at most; None if nobody knows."""
    low = value = high = 0.0
    for ahead in range(1, (day - start).days + 1):
        one = start + ahead * _DAY
        if one in sold:
            low, value, high = low + sold[one], value + sold[one], high + sold[one]
            continue
        guess = sales(sold, one)
        if guess is None:
            return None
        low, value, high = low + guess.low, value + (guess.mean or 0.0), high + guess.high
    return low, value, high


def _errors(
    known: Mapping[date, Sequence[Level]], sold: Mapping[date, int], start: date, day: date
) -> list[float]:
    """How far off the same estimate would have been on the nearest days whose level is known.

    From a level as many days before, and with sales of the same days after it unknown.
    """
    gap = day - start
    unknown = [ahead for ahead in range(1, gap.days + 1) if start + ahead * _DAY not in sold]
    found: list[float] = []
    for target in sorted(known, key=lambda one: (abs((one - day).days), one)):
        begin = target - gap
        if begin not in known or len(found) == _MOST_ERRORS:
            continue
        hidden = {begin + ahead * _DAY for ahead in unknown}
        told = {one: units for one, units in sold.items() if one not in hidden} if hidden else sold
        if not all(begin + ahead * _DAY in told for ahead in range(1, gap.days + 1) if ahead not in unknown):
            continue
        flow, here = _sold_between(told, begin, target), _latest(known, begin)
        if flow is not None and {level.location for level in here} == {
            level.location for level in known[target]
        }:
            found.append(sum(level.stock for level in known[target]) - _rolled(here, flow[1], target))
    return found
