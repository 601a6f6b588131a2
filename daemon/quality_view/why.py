"""Why a value is what it is, in one line."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from daemon.quality_view.figures import moment_text, number
from daemon.quality_view.meanings import RULES
from daemon.store.quality_view import Recorded
from handlers.quality.result import Status

_SHOWN = 4  # names in a line
Rejected = Sequence[tuple[int, str, int, str]]  # delivery, file, rows, most frequent reason


def why(row: Recorded, zone: ZoneInfo, rejected: Rejected = ()) -> str:
    """What a person should know of a result first; "" if there is nothing to say.

    Args:
        row: with its details.
        zone: the business time zone.
        rejected: the deliveries of the day of which rows were rejected, the worst first.
    """
    if row.status in ("insufficient_history", "skipped", "pending", "error"):
        return _unjudged(row, zone)
    say = {
        "completeness": lambda: _incomplete(row),
        "accuracy": lambda: _inaccurate(row, rejected),
        "timeliness": lambda: _late(row, zone),
        "consistency": lambda: _inconsistent(row),
        "anomaly_score": lambda: _unusual(row),
    }.get(row.metric)
    return say() if say else ""


def missing_text(file: Mapping[str, Any], zone: ZoneInfo) -> str:
    """A file that did not come: its name, when it was due, and what came instead."""
    name = file["name"] or " ".join(filter(None, ("the file of", file["source"], file["day"])))
    due = _moment(file["due"], zone)
    more = [f"due {due}"] if due else []
    if file["why"]:
        came = file["came"] or {}
        more.append(f"{file['why']}: {came['message']}" if came.get("message") else str(file["why"]))
    return f"{name} ({'; '.join(more)})" if more else name


def named(names: Sequence[Any], count: int | None = None, most: int = _SHOWN) -> str:
    """Some names, and how many more there are."""
    total = max(count or 0, len(names))
    shown = [scope_text(str(name)) for name in names[:most]]
    return ", ".join(shown) + (f" and {total - len(shown):,} more" if total > len(shown) else "")


def scope_text(scope: str) -> str:
    """``location:447|channel:pos`` as ``447 pos``; of a rule its name."""
    if scope.startswith("delivery:"):
        return scope.replace(":", " ")
    return " ".join(part.partition(":")[2] or part for part in scope.split("|"))


def _unjudged(row: Recorded, zone: ZoneInfo) -> str:
    details = row.details
    told = details.get("why") or details.get("error")
    if row.status == "pending":
        until = _moment(details.get("deadline"), zone)
        missing = _missing(details)
        return "; ".join(
            filter(None, [f"more may come until {until}" if until else "more may come", missing])
        )
    if row.status == "insufficient_history":
        return f"too little history{f': {told}' if told else ''}"
    if row.status == "skipped":
        return str(told) if told else _SKIPPED.get(row.metric, "nothing to judge")
    return str(told or "the check could not be done: see the log")


_SKIPPED = {
    "completeness": "nothing was expected",
    "accuracy": "there were no rows",
    "consistency": "nothing to compare",
}


def _incomplete(row: Recorded) -> str:
    details = row.details
    told = [_missing(details)]
    silent = details.get("silent") or []
    if silent and not set(silent) <= set(details.get("missing") or []):
        told.append(f"came every day and not now: {named(silent)}")
    if not any(told) and row.value is not None and row.value < 1:
        told.append(
            f"{number(details.get('observed', 0))} came, {number(details.get('usual', 0))} usually do"
        )
    return "; ".join(filter(None, told))


def _missing(details: Mapping[str, Any]) -> str:
    """The places that are missing."""
    missing, expected = details.get("missing") or [], details.get("expected")
    count = details.get("missing_count") or len(missing)
    told = []
    if missing:
        of = f" of {number(expected)} expected" if isinstance(expected, int | float) else ""
        told.append(f"{count:,}{of} missing: {named(missing, count)}")
    return "; ".join(told)


def _inaccurate(row: Recorded, rejected: Rejected) -> str:
    rows, valid = row.details.get("rows"), row.details.get("valid")
    told = []
    if row.status == Status.PASS and "share" in row.details and isinstance(rows, int):
        told.append(f"{valid:,} of {rows:,} rows are good; so few vouch for no more than the value")
    if isinstance(rows, int) and isinstance(valid, int) and rows > valid:
        told.append(f"{rows - valid:,} of {rows:,} rows were rejected")
    files = [f"{file} ({count:,}, mostly {reason})" for _, file, count, reason in rejected[:2]]
    if files:
        more = f" and {len(rejected) - 2:,} more files" if len(rejected) > len(files) else ""
        told.append(", ".join(files) + more)
    return ": ".join(told)


def _late(row: Recorded, zone: ZoneInfo) -> str:
    due, lag = _moment(row.details.get("next_due"), zone), row.details.get("arrival_lag_hours")
    told = []
    if due:
        told.append(f"a file was due {due}" if row.value else f"the next file is due {due}")
    if isinstance(lag, int | float):
        told.append(f"the last one came {_ago(lag)} before")
    return "; ".join(told)


def _ago(hours: float) -> str:
    return f"{hours:,.0f} h" if hours < 72 else f"{hours / 24:,.0f} days"  # noqa: PLR2004


def _inconsistent(row: Recorded) -> str:
    details, rule = row.details, scope_text(row.scope)
    keys = details.get("violating_keys") or []
    wrong, of = details.get("violating"), details.get("evaluated")
    counted = f"{wrong:,} of {of:,} break" if isinstance(wrong, int) and isinstance(of, int) else "broken:"
    return f"{counted} {rule} ({RULES.get(rule, 'a rule')})" + (f": {named(keys, wrong)}" if keys else "")


def _unusual(row: Recorded) -> str:
    counted, expected = row.details.get("counted"), row.details.get("expected")
    what = next((part[8:] for part in row.scope.split("|") if part.startswith("measure:")), "")
    if not (isinstance(counted, int | float) and isinstance(expected, int | float)):
        return f"{abs(row.value or 0):.1f} standard deviations {'less' if (row.value or 0) < 0 else 'more'} than usual"
    change = f" ({(counted - expected) / expected:+.0%})" if expected else ""
    holiday = row.details.get("holiday")
    return " ".join(
        filter(
            None,
            [f"{number(round(counted))}", what, f"counted, {number(round(expected))} expected{change}"],
        )
    ) + (f"; {holiday}" if isinstance(holiday, str) else "")


def _moment(text: Any, zone: ZoneInfo) -> str:
    if not isinstance(text, str):
        return ""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment_text(at, zone) if at.tzinfo else f"{at:%Y-%m-%d %H:%M}"
