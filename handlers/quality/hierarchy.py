"""Which of many scores to tell a person about, and as what: from the chain down to the product."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from handlers.quality.anomaly import Bools, Ints
from handlers.quality.distributions import Floats
from handlers.quality.result import DEFAULTS, Metric, Result, Status, Thresholds


@dataclass(frozen=True, slots=True)
class Level:
    """The scores of one kind of series on one day.

    Attributes:
        z: calibrated scores; NaN where there is none.
        parent: for each series its place in the level above; the first level has none.
    """

    z: Floats
    parent: Ints | None = None


def descend(levels: Sequence[Level], limit: float) -> list[Bools]:
    """What is flagged, level by level: a child only under a flagged parent.

    Few questions are asked, so few are answered wrongly. What concerns one small child alone is not found: for that
    see ``discoveries``.

    Args:
        levels: the chain, its places or channels, the products there.
        limit: standard deviations.
    """
    found: list[Bools] = []
    for level in levels:
        flagged = np.abs(np.nan_to_num(level.z)) > limit
        if found and level.parent is not None:
            flagged &= found[-1][level.parent]
        found.append(flagged)
    return found


def discoveries(z: npt.ArrayLike, rate: float = 0.05) -> Bools:
    """What stands out among many series by Benjamini and Hochberg: of what is named, at most this share is chance.

    Args:
        z: scores, best the ``careful`` ones; NaN where there is none.
        rate: the share, 0 to 1.
    """
    scores = np.abs(np.asarray(z, np.float64))
    p = np.array([math.erfc(value / math.sqrt(2)) if value == value else 1.0 for value in scores.ravel()])  # noqa: PLR0124
    tested = int(np.isfinite(scores).sum())
    order = np.argsort(p, kind="stable")
    within = p[order] * tested <= rate * np.arange(1, len(p) + 1)
    count = int(np.max(np.flatnonzero(within), initial=-1)) + 1
    named = np.zeros(len(p), np.bool_)
    named[order[:count]] = True
    return named.reshape(scores.shape) & np.isfinite(scores)


def goes_on(z: float, before: float, thresholds: Thresholds = DEFAULTS) -> bool:
    """Whether a score only says again what the day before said: of a level, that stays where it is.

    Args:
        z: of the day.
        before: of the day before; NaN if there is none.
        thresholds: the limits.

    Returns:
        False where it is on the other side, a warning for the first time, or farther out by ``anomaly_info``.
    """
    size, earlier = abs(z), abs(before)
    limit, warning = thresholds.anomaly_info, thresholds.anomaly_warning
    worse = size > warning >= earlier or size > earlier + limit
    return earlier > limit and z * before > 0 and not worse


def judge_score(
    scope: str,
    day: date,
    z: float,
    *,
    thresholds: Thresholds = DEFAULTS,
    details: Mapping[str, Any] | None = None,
) -> Result:
    """The result of one score.

    Within ``anomaly_info`` it passes. Beyond it is a warning with the severity ``info``, beyond ``anomaly_warning``
    with the severity ``warning``: a surprise is no proof of a fault, so it never fails.

    Args:
        scope: of the series.
        day: that was scored.
        z: its score; NaN if the past is too short.
        thresholds: the limits.
        details: what else ``explain`` shows: counted, expected, ….
    """
    said = dict(details or {})
    if math.isnan(z):
        return Result(
            Metric.ANOMALY_SCORE,
            scope,
            day,
            None,
            thresholds.anomaly_info,
            Status.INSUFFICIENT_HISTORY,
            said,
        )
    size = abs(z)
    status = Status.PASS if size <= thresholds.anomaly_info else Status.WARNING
    if status is Status.WARNING:
        said["severity"] = "warning" if size > thresholds.anomaly_warning else "info"
    return Result(Metric.ANOMALY_SCORE, scope, day, z, thresholds.anomaly_info, status, said)
