"""Numbers, moments and trends as people read them."""

import math
import sys
from collections.abc import Sequence
from datetime import datetime
from statistics import median
from zoneinfo import ZoneInfo

_BARS = "▁▂▃▄▅▆▇█"
_PLAIN_BARS = "_.-:=+*#"
_NOTHING = "·"
_SHARES = ("completeness", "accuracy", "consistency")


def value_text(metric: str, value: float | None) -> str:
    """A value with its unit; a share is never rounded up to 1."""
    if value is None:
        return "-"
    if metric == "timeliness":
        return f"{value:,.1f} h"
    if metric == "anomaly_score":
        return f"{value:+.2f}"
    return f"{math.floor(value * 1000) / 1000:.3f}"


def limit_text(metric: str, threshold: float | None, *, few: bool = False) -> str:
    """Where a value passes; of few rows another value is judged than the one that is shown."""
    if threshold is None:
        return "-"
    if few:
        return "few rows"
    if metric == "timeliness":
        return f"to {threshold:g} h"
    if metric == "anomaly_score":
        return f"within {threshold:g}"
    return f"from {threshold:g}"


def number(value: float) -> str:
    """A figure of the details."""
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR2004


def moment_text(at: datetime, zone: ZoneInfo) -> str:
    """A moment in the business time zone."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"


def heights(metric: str, values: Sequence[float | None]) -> list[float | None]:
    """How high each value stands, 0 to 1, on a scale that has the usual limits in it."""
    known = [abs(value) for value in values if value is not None]
    if metric in _SHARES:
        low, high = min([0.8, *known]), 1.0
    else:
        low, high = 0.0, max([48.0 if metric == "timeliness" else 4.0, *known])
    return [None if value is None else (abs(value) - low) / (high - low) for value in values]


def sparkline(metric: str, values: Sequence[float | None]) -> list[str]:
    """A character for each value, in the order of the days."""
    bars, nothing = (_BARS, _NOTHING) if _can_show(_BARS + _NOTHING) else (_PLAIN_BARS, " ")
    top = len(bars) - 1
    return [
        nothing if height is None else bars[round(min(max(height, 0.0), 1.0) * top)]
        for height in heights(metric, values)
    ]


def trend_words(metric: str, values: Sequence[float | None]) -> str:
    """The same in words, where nobody looks at a terminal."""
    before = [value for value in values[:-1] if value is not None]
    if not before:
        return "nothing before"
    low, high = value_text(metric, min(before)), value_text(metric, max(before))
    if low == high:
        return f"always {low}"
    return f"{low} to {high}, median {value_text(metric, median(before))}"


def _can_show(text: str) -> bool:
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
