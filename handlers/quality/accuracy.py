"""Which share of the rows that came could be loaded.

Physical rows are all data rows as they were sent, also lines that could not be read as rows; each counts once, however
many reasons it was refused for.
"""

import math
from datetime import date

from handlers.quality.result import DEFAULTS, Metric, Result, Status, Thresholds, at_least

FEW_ROWS = 50
_Z = 1.959964  # 95 % between both bounds


def wilson(valid: int, physical: int) -> tuple[float, float]:
    """The bounds between which the sender's true share of good rows lies with a probability of 95 %.

    Args:
        valid: good rows.
        physical: all rows, 1 or more.
    """
    square = _Z * _Z
    middle = (valid + square / 2) / (physical + square)
    rejected = physical - valid
    reach = _Z * math.sqrt(valid * rejected / physical + square / 4) / (physical + square)
    share = valid / physical  # what rounding must not leave outside
    return max(0.0, min(share, middle - reach)), min(1.0, max(share, middle + reach))


def accuracy(
    valid: int,
    physical: int,
    *,
    scope: str = "",
    day: date | None = None,
    thresholds: Thresholds = DEFAULTS,
) -> Result:
    """The accuracy of a delivery, or of all deliveries of a day added up.

    From 50 rows on the value is the share of good rows, and is judged as it is. Of fewer rows a share says little:
    the value is then Wilson's lower bound, what can be vouched for; and it is judged by the upper bound, so that few
    rows are no alarm by themselves: three good rows of three pass.

    Args:
        valid: rows that could be loaded (duplicates of loaded rows included).
        physical: data rows of the file.
        scope: "" for the feed, or of the delivery.
        day: the business day; None for a delivery of several.
        thresholds: the limits.
    """
    if not 0 <= valid <= physical:
        raise ValueError(f"{valid} valid rows of {physical}: they must be between 0 and all rows")
    passes = thresholds.accuracy_pass
    said: dict[str, object] = {"valid": valid, "rows": physical}
    if physical == 0:
        return Result(Metric.ACCURACY, scope, day, None, passes, Status.SKIPPED, said)
    share = valid / physical
    value = judged = share
    if physical < FEW_ROWS:
        value, judged = wilson(valid, physical)
        said |= {"share": share, "at_most": judged}
    return Result(
        Metric.ACCURACY,
        scope,
        day,
        value,
        passes,
        at_least(judged, passes, thresholds.accuracy_warning),
        said,
    )
