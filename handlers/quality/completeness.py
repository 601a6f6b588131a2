"""Whether all came that was to be expected of a business day.

What is counted are the units that send, not the products: a product that sold nothing is not missing. Each unit is a key.
The state is ``presence(feed, key, day, n)``: how many rows a key had on a day.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from handlers.quality.result import DEFAULTS, Metric, Result, Status, Thresholds, at_least

UNITS: Mapping[str, tuple[str, ...]] = {
    "sales": ("location", "channel", "source"),
    "inventory": ("location",),
    "demand": ("source",),
}
SAME_WEEKDAYS = 8
LEAST_DAYS = 4
SILENT_DAYS = 56
_EXPECTED = 0.5
_NAMED = 20  # missing keys that a result names


@dataclass(frozen=True, slots=True)
class Expected:
    """What a day should bring.

    Attributes:
        weights: the expected keys, K, each with the probability that it comes on such a day.
        days: open days that taught it; 0 if it was configured.
    """

    weights: Mapping[str, float]
    days: int

    @property
    def total(self) -> float:
        """How many keys come on average, of those expected."""
        return sum(self.weights.values())


def learn(seen: Sequence[Collection[str]]) -> Expected | None:
    """What usually comes on a weekday.

    Args:
        seen: the keys of earlier open days of that weekday, oldest first; the last 8 count. Leave out days that were
            closed or known to be incomplete, and holidays.

    Returns:
        The keys with p = (hits + 0.5)/(days + 1) of 0.5 or more; None after fewer than 4 days.
    """
    days = seen[-SAME_WEEKDAYS:]
    if len(days) < LEAST_DAYS:
        return None
    hits: dict[str, int] = {}
    for keys in days:
        for key in set(keys):
            hits[key] = hits.get(key, 0) + 1
    p = {key: (count + 0.5) / (len(days) + 1) for key, count in hits.items()}
    return Expected({key: p[key] for key in sorted(p) if p[key] >= _EXPECTED}, len(days))


def configured(keys: Iterable[str]) -> Expected:
    """What must come according to the configuration."""
    return Expected(dict.fromkeys(sorted(keys), 1.0), 0)


def silent(seen: Sequence[Collection[str]], observed: Collection[str], least: int = SILENT_DAYS) -> list[str]:
    """The keys that came on each of the last open days, of whatever weekday, and did not come now.

    The share C hides one of many: this names it. It is a hint, no verdict: a key that came on 56 days of 56 still stays
    away on about one day in 100.

    Args:
        seen: the keys of earlier open days, oldest first; the last ``least`` count, and as many are needed.
        observed: the keys of the day.
        least: open days.
    """
    days = seen[-least:]
    if len(days) < least:
        return []
    return sorted(set(days[-1]).intersection(*days) - set(observed))


def share(observed: Collection[str], expected: Expected) -> float:
    """C = min(1, |observed ∩ K| / Σ p), 0 to 1; 1 if nothing is expected."""
    if not expected.weights:
        return 1.0
    return min(1.0, len(expected.weights.keys() & set(observed)) / expected.total)


def completeness(
    day: date,
    observed: Collection[str],
    expected: Expected | None,
    *,
    deadline: datetime | None = None,
    as_of: datetime | None = None,
    closed: bool = False,
    thresholds: Thresholds = DEFAULTS,
) -> Result:
    """The completeness of a business day. Ask again when late data came: the value can only rise.

    Args:
        day: the business day.
        observed: the keys that came.
        expected: from ``learn`` or ``configured``; None: too little is known.
        deadline: until when data of the day may come, pending before it; None: they should be here.
        as_of: the moment that is asked about, like ``deadline`` with or without a time zone.
        closed: the day is a closed one: nothing is expected.
        thresholds: the limits.
    """
    passes = thresholds.completeness_pass
    said: dict[str, Any] = {"observed": len(set(observed))}
    if closed:
        return Result(Metric.COMPLETENESS, "", day, None, passes, Status.SKIPPED, {**said, "why": "closed"})
    if expected is None:
        return Result(Metric.COMPLETENESS, "", day, None, passes, Status.INSUFFICIENT_HISTORY, said)
    missing = sorted(expected.weights.keys() - set(observed), key=lambda key: (-expected.weights[key], key))
    said |= {
        "expected": len(expected.weights),
        "usual": round(expected.total, 2),
        "learned_from_days": expected.days,
        "new": len(set(observed) - expected.weights.keys()),
        "missing": missing[:_NAMED],
        "missing_count": len(missing),
    }
    value = share(observed, expected)
    if not expected.weights:
        status = Status.SKIPPED
    elif deadline is not None and as_of is not None and as_of < deadline:
        status = Status.PENDING
        said["deadline"] = deadline.isoformat()
    else:
        status = at_least(value, passes, thresholds.completeness_warning)
    return Result(Metric.COMPLETENESS, "", day, value, passes, status, said)
