"""Figures, days and words as people read them on the page."""

import math
from datetime import date, datetime

NOTHING, _MINUS, _TIMES = "\N{EN DASH}", "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
_SHARES = ("completeness", "accuracy", "consistency")
_SMALL = 100.0
_OUTCOMES = {
    "success": "loaded",
    "partial": "loaded in part",
    "failed": "refused",
    "duplicate": "repeated",
    "unloaded": "taken out",
}
_JUDGED = {
    "pass": ("✓", "pass", "good"),
    "warning": ("▲", "warning", "weak"),
    "fail": ("■", "fails", "bad"),
    "error": ("■", "not done", "bad"),
    "pending": ("…", "pending", "dim"),
    "insufficient_history": (NOTHING, "too early", "dim"),
    "skipped": (NOTHING, "nothing", "dim"),
}


def whole(value: float | None) -> str:
    """A count."""
    return NOTHING if value is None else f"{round(value):,}"


def figure(value: float | None) -> str:
    """An amount: small ones with a decimal."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= _SMALL or float(value).is_integer() else f"{value:,.1f}"


def pace(value: float | None) -> str:
    """Units a day, with a decimal that stands below the others."""
    return NOTHING if value is None else f"{value:,.1f}"


def days_text(value: float | None) -> str:
    """How long something lasts."""
    return NOTHING if value is None else f"{value:,.1f} days"


def change_text(change: float | None) -> str:
    """By how much something differs; a multiple of many hundred percent is told as such."""
    if change is None:
        return ""
    if change >= 2:  # noqa: PLR2004
        return f"{_TIMES} {change + 1:,.0f}"
    return f"{'+' if change > 0 else _MINUS if change < 0 else '±'}{abs(change) * 100:.0f} %"


def value_text(metric: str, value: float | None) -> str:
    """A metric's value; a share is never rounded up to all."""
    if value is None:
        return NOTHING
    if metric in _SHARES:
        return f"{math.floor(value * 1000 + 1e-9) / 10:g} %"
    return f"{value:,.1f} h" if metric == "timeliness" else f"{value:+.1f}".replace("-", _MINUS)


def limit_text(metric: str, threshold: float | None) -> str:
    """Where a value passes."""
    if threshold is None:
        return NOTHING
    if metric in _SHARES:
        return f"from {threshold * 100:g} %"
    return f"to {threshold:g} h" if metric == "timeliness" else f"within {threshold:g}"


def judged(status: str) -> tuple[str, str, str]:
    """A status: sign, word and class."""
    return _JUDGED.get(status, (NOTHING, status, "dim"))


def outcome(file: dict[str, object]) -> tuple[str, str]:
    """What became of a file, and its class."""
    status = str(file["outcome"])
    word = _OUTCOMES.get(status, status)
    kind = {"failed": "bad", "partial": "weak"}.get(status, "")
    if file.get("mended"):
        return f"{word}, then loaded", ""
    return (f"{word}, replaced" if file.get("replaced_by") else word), kind


def spoken(name: str) -> str:
    """A name of the program for a person."""
    return name.replace("_", " ")


def long_day(text: str) -> str:
    """``Monday 30 June 2025``."""
    day = date.fromisoformat(text)
    return f"{day:%A} {day.day} {day:%B %Y}"


def short_day(text: str | None) -> str:
    """``30 Jun``."""
    if text is None:
        return NOTHING
    day = date.fromisoformat(text)
    return f"{day.day} {day:%b}"


def moment(text: str | None) -> str:
    """``30 Jun 06:00``."""
    if text is None:
        return NOTHING
    at = datetime.fromisoformat(text)
    return f"{at.day} {at:%b %H:%M}"


def counted(number: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: list[str]) -> str:
    """One, two and three."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
