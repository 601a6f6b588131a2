"""How far a day is from what was to be expected of it, from the past only.

A series is the daily total of a measure (units, rows, money in its smallest unit) of the chain, a place, a channel or a
product. Many are scored at once: arrays are series x days, days in order and each day there, closed ones too.

    f    weekday factor: median of the last 8 same weekdays, over the mean of the seven medians
    b    level: mean of y/f over the last 28 days
    μ    expected: b · f · holiday factor
    D    dispersion: median((y - μ)²/μ)/0.4549 over the last 56 days, and a little for what b and f may be off; 1 or more
    z    from the negative binomial of μ and D (mid-p), over the spread of the series' own last 56 z, if that is more than 1

Only days that may be used count: open, complete, not flagged. Ask ``usable`` for them.
"""

import math
from dataclasses import dataclass, replace
from datetime import time
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from handlers.quality.distributions import Floats, mid_p_z

Bools: TypeAlias = npt.NDArray[np.bool_]
Ints: TypeAlias = npt.NDArray[np.int64]

WEEKDAYS = 7
SAME_WEEKDAYS = 8  # that the weekday factor looks at
LEAST_SAME_WEEKDAYS = 4
OPEN_DAYS = 28  # that the level looks at, and needs
SCORES = 56  # own past scores that calibrate a series, and days that its dispersion looks at
LEAST_SCORES = 14
HISTORY = 126  # days of history that are enough for a score: 56 open ones, with room for closed and flagged
_CHI_MEDIAN = 0.4549  # median of a squared standard normal value
_ESTIMATED = 1 + 1 / SAME_WEEKDAYS + 1 / OPEN_DAYS
_TO_SIGMA = 1.4826
_TAIL, _TAIL_Z = 0.9, 1.6449  # share of a normal sample within ±z
HOLIDAY_SPREAD = 0.3
_FEW = 5.0  # a day: a smaller series has no weekday factors, chance is larger
BUSY = 4  # days with anything at all among those that the dispersion looks at: fewer tell nothing


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the past expects of a day; arrays with one value per series.

    Attributes:
        mean: μ; NaN where the past is too short, and on a weekday on which the series usually has nothing.
        dispersion: D, 1 or more.
        level: b, per day.
        factor: f · holiday factor of the day.
        open_days: usable days of the past, at most 56.
        same_weekdays: those of the day's weekday, at most 8.
    """

    mean: Floats
    dispersion: Floats
    level: Floats
    factor: Floats
    open_days: Ints
    same_weekdays: Ints

    @property
    def known(self) -> Bools:
        """Where the past is long enough."""
        return np.isfinite(self.mean)


def expect(
    history: npt.ArrayLike,
    weekdays: npt.ArrayLike,
    weekday: int,
    use: npt.ArrayLike = True,
    holidays: npt.ArrayLike = 1.0,
    holiday: float = 1.0,
) -> Expectation:
    """What a day is expected to bring.

    Args:
        history: series x days before it; NaN and what ``use`` leaves out does not count. More than the last ``HISTORY``
            days change nothing unless many of those are left out.
        weekdays: of the days of the history, Monday 0.
        weekday: of the day.
        use: days, or series x days, that may be used.
        holidays: holiday factor of each day of the history.
        holiday: that of the day.
    """
    y = np.atleast_2d(np.asarray(history, np.float64)) / np.asarray(holidays, np.float64)
    names = np.asarray(weekdays)
    usable_ = np.broadcast_to(np.asarray(use, np.bool_), y.shape) & np.isfinite(y)
    factors, counts = _weekday_factors(y, names, usable_)
    f = factors[:, names]
    usable_ = usable_ & np.isfinite(f)
    selling = usable_ & (f > 0)  # nothing is sold on some weekdays: they say nothing about the level
    recent = selling & _last(selling, OPEN_DAYS)
    level = _mean(y / np.where(f > 0, f, 1), recent)
    mu = level[:, None] * f
    window = usable_ & _last(usable_, SCORES) & (mu > 0)
    off = np.where(window, (y - mu) ** 2 / np.where(mu > 0, mu, 1), np.nan)
    few = level < _FEW  # there the median is that of the days without a sale, and tells nothing
    spread = np.where(few, _mean(np.nan_to_num(off), window), row_medians(off) / _CHI_MEDIAN)
    spread = np.nan_to_num(spread) * _ESTIMATED
    busy = (window & (y > 0)).sum(1) >= BUSY
    enough = busy & (usable_.sum(1) >= OPEN_DAYS) & (counts[:, weekday] >= LEAST_SAME_WEEKDAYS)
    factor = factors[:, weekday] * holiday
    enough &= factor > 0  # where nothing is usual, any sale would be beyond all bounds
    return Expectation(
        mean=np.where(enough, level * factor, np.nan),
        dispersion=np.maximum(1.0, spread),
        level=level,
        factor=factor,
        open_days=window.sum(1),
        same_weekdays=counts[:, weekday],
    )


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of one day; arrays with one value per series.

    Attributes:
        z: standard deviations from the expectation; NaN where the past is too short.
        raw: the same before calibration: keep it, later days are calibrated by it.
        careful: ``z`` calibrated by the tail too, so that a tenth of a series' own days is beyond 1.645: to compare many
            series with each other (``hierarchy.discoveries``).
    """

    z: Floats
    raw: Floats
    careful: Floats


def score(count: npt.ArrayLike, expectation: Expectation, past: npt.ArrayLike | None = None) -> Scores:
    """Scores a day against its expectation.

    Args:
        count: what the day brought, per series.
        expectation: of that day.
        past: series x days of earlier raw scores, oldest first; NaN where a day had none. None: nothing is known.
    """
    raw = mid_p_z(count, expectation.mean, expectation.dispersion)
    if past is None:
        return Scores(raw, raw, raw)
    scores = np.atleast_2d(np.asarray(past, np.float64))
    scored = np.isfinite(scores)
    window = np.where(scored & _last(scored, SCORES), scores, np.nan)
    spread = _TO_SIGMA * row_medians(np.abs(window - row_medians(window)[:, None]))
    enough = scored.sum(1) >= LEAST_SCORES
    scale = np.where(enough, np.maximum(1.0, np.nan_to_num(spread)), 1.0)
    tail = np.where(enough, np.nan_to_num(_quantile(np.abs(window), _TAIL)) / _TAIL_Z, 1.0)
    return Scores(raw / scale, raw, raw / np.maximum(scale, tail))


def usable(
    z: npt.ArrayLike, open_days: npt.ArrayLike = True, flag: float = 3.0, within: int = 7, believed: int = 4
) -> Bools:
    """The days that later expectations may be built on: open and complete, and not flagged.

    A series that stays away from its old level is at a new one: when ``believed`` of the last ``within`` days before a
    day were flagged, the day counts in spite of its score.

    Args:
        z: series x days, NaN where a day has no score.
        open_days: days, or series x days, that were open and complete.
        flag: a score beyond this is left out.
        within: days.
        believed: of them.
    """
    scores = np.atleast_2d(np.asarray(z, np.float64))
    flagged = np.abs(np.nan_to_num(scores)) > flag
    before = np.cumsum(np.pad(flagged, ((0, 0), (within, 0))), axis=1)
    earlier: Ints = before[:, within - 1 : -1] - np.pad(before, ((0, 0), (1, 0)))[:, : -within - 1]
    return np.broadcast_to(np.asarray(open_days, np.bool_), scores.shape) & ~(flagged & (earlier < believed))


def replay(
    counts: npt.ArrayLike,
    weekdays: npt.ArrayLike,
    open_days: npt.ArrayLike = True,
    holidays: npt.ArrayLike = 1.0,
) -> tuple[Floats, Floats]:
    """Scores each day of a history as it would have been scored then: what was flagged is left out of what follows.

    Args:
        counts: series x days, each day there.
        weekdays: of the days, Monday 0.
        open_days: days, or series x days, that were open and complete: only they are scored.
        holidays: holiday factor of each day; NaN on a holiday of which nothing is known: it is scored with caution, and
            no later expectation is built on it.

    Returns:
        z and raw z, series x days; NaN where a day was not scored.
    """
    y = np.atleast_2d(np.asarray(counts, np.float64))
    names = np.asarray(weekdays)
    is_open = np.broadcast_to(np.asarray(open_days, np.bool_), y.shape)
    factors = np.broadcast_to(np.asarray(holidays, np.float64), names.shape)
    z, raw = np.full(y.shape, np.nan), np.full(y.shape, np.nan)
    for day in range(y.shape[1]):
        past = slice(max(0, day - HISTORY), day)
        use = usable(z[:, past], is_open[:, past])
        ordinary = bool(np.isfinite(factors[day]))
        factor = float(factors[day]) if ordinary else 1.0
        expected = expect(y[:, past], names[past], int(names[day]), use, factors[past], factor)
        if not ordinary:
            expected = on_holiday(expected, seen=0)
        found = score(y[:, day], expected, raw[:, past])
        z[:, day] = np.where(is_open[:, day], found.z, np.nan)
        raw[:, day] = np.where(is_open[:, day], found.raw, np.nan)
    return z, raw


# ---- parts of a day, and holidays


def part_of_day(expectation: Expectation, share: float) -> Expectation:
    """What is expected of the first part of a day, when the whole day is expected to be as given.

    Args:
        expectation: of the whole day.
        share: of a day's total that has come by now, more than 0 and at most 1; see ``share_by``.
    """
    return replace(
        expectation,
        mean=expectation.mean * share,
        dispersion=1 + (expectation.dispersion - 1) * share,  # what thinning a count leaves of its dispersion
        factor=expectation.factor * share,
    )


def share_by(hourly: npt.ArrayLike, moment: time) -> float | None:
    """The share of a day's total that has usually come by a time of day; None if nothing was ever counted.

    Args:
        hourly: 24 totals of earlier days, of the hours from 00:00.
        moment: local time of day; within an hour the share grows evenly.
    """
    totals = np.asarray(hourly, np.float64)
    if not totals.sum() > 0:
        return None
    into = (moment.minute * 60 + moment.second) / 3600
    return float((totals[: moment.hour].sum() + into * totals[moment.hour]) / totals.sum())


def holiday_factor(seen: npt.ArrayLike) -> float:
    """How a holiday changes a day, from what the same holiday did before; drawn towards 1 while little is known.

    Args:
        seen: counts of earlier such days, each over what an ordinary day would have brought; more than 0.
    """
    ratios = np.asarray(seen, np.float64)
    return float(np.exp(np.log(ratios).sum() / (len(ratios) + 1)))


def on_holiday(expectation: Expectation, seen: int) -> Expectation:
    """The expectation of a holiday: as unsure as ``seen`` earlier ones leave it.

    On real data holidays change a day by a factor with a standard deviation of about ``HOLIDAY_SPREAD``; what is not
    known of it adds to the dispersion.
    """
    unknown = HOLIDAY_SPREAD / math.sqrt(seen + 1)
    return replace(expectation, dispersion=expectation.dispersion + expectation.mean * unknown**2)


# ---- small parts


def _weekday_factors(y: Floats, names: npt.NDArray[np.int64], use: Bools) -> tuple[Floats, Ints]:
    """Factor and number of days of each weekday, series x 7; NaN where there are too few days."""
    medians = np.full((len(y), WEEKDAYS), np.nan)
    counts = np.zeros((len(y), WEEKDAYS), np.int64)
    for weekday in range(WEEKDAYS):
        columns = names == weekday
        kept = use[:, columns] & _last(use[:, columns], SAME_WEEKDAYS)
        counts[:, weekday] = kept.sum(1)
        medians[:, weekday] = row_medians(np.where(kept, y[:, columns], np.nan))
    medians[counts < LEAST_SAME_WEEKDAYS] = np.nan
    known = np.isfinite(medians)
    mean = _mean(np.nan_to_num(medians), known)[:, None]
    few = mean < _FEW
    return np.where(known, np.where(few, 1.0, medians / np.where(few, 1.0, mean)), np.nan), counts


def _last(mask: Bools, count: int) -> Bools:
    """The last ``count`` true values of each row."""
    return mask & (np.cumsum(mask[:, ::-1], axis=1)[:, ::-1] <= count)


def row_medians(values: Floats) -> Floats:
    """Of each row, without its NaNs; NaN if there is nothing else."""
    if not values.shape[1]:
        return np.full(len(values), np.nan)
    ordered = np.sort(values, axis=1)  # NaN last
    count = np.isfinite(ordered).sum(1)
    rows = np.arange(len(values))
    return np.asarray(
        (ordered[rows, np.maximum(count - 1, 0) // 2] + ordered[rows, count // 2]) / 2, np.float64
    )


def _quantile(values: Floats, share: float) -> Floats:
    """Of each row, without its NaNs, the nearest value; NaN if there is nothing else."""
    if not values.shape[1]:
        return np.full(len(values), np.nan)
    ordered = np.sort(values, axis=1)  # NaN last
    last = np.maximum(np.isfinite(ordered).sum(1) - 1, 0)
    return np.asarray(ordered[np.arange(len(values)), np.rint(share * last).astype(np.int64)], np.float64)


def _mean(values: Floats, mask: Bools) -> Floats:
    """Of each row where ``mask``; NaN if it is nowhere true."""
    count = mask.sum(1)
    total = np.where(mask, values, 0).sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
