"""From what was found to whether somebody should know: the signals that begin, change and end alerts.

A signal says of one thing (a rule, a feed, a scope, a day) that it is wrong now, or that it is well. Where the figures say
neither, as between the share at which an alert begins and the one at which it ends, there is no signal.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from handlers.alerts.rules import Rule, Severity
from handlers.alerts.words import clock_words, figure_words, scope_words
from handlers.quality.result import DEFAULTS, TOLD_BY, Metric, Result, Status, Thresholds

_NAMED = 5
_PARTS = 3
_LONGEST = 400  # characters of a summary
_NO_FEED = ""


@dataclass(frozen=True, slots=True)
class Signal:
    """What is known of one thing now.

    Attributes:
        rule: what is wrong, or well.
        severity: how bad; of no meaning when it does not fire.
        feed: whose; "" if no feed owns the file, or the whole site is meant.
        scope: "" is the feed as a whole, else ``location:447``, ``rule:unit_price``, ``delivery:12``, ``file:x.csv``, ….
        day: the business day; None if it speaks of now, or of several.
        firing: wrong (True) or well.
        summary: one sentence with the figures, without feed and day.
        details: what JSON can hold.
        delivery_id: what brought it about; None: time did.
    """

    rule: Rule
    severity: Severity
    feed: str
    scope: str
    day: date | None
    firing: bool
    summary: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    delivery_id: int | None = None

    @property
    def key(self) -> str:
        """What tells one alert from another: ``rule|feed|scope|day``."""
        return "|".join((self.rule, self.feed, self.scope, self.day.isoformat() if self.day else ""))


def signal_of(
    result: Result, feed: str, delivery_id: int | None, thresholds: Thresholds = DEFAULTS
) -> Signal | None:
    """What a result means for alerts.

    A result of timeliness that has a day speaks of that day's file, which did not come (or came, if it passes): its rule
    is ``missing_file``. One of accuracy without a day speaks of its delivery, and has the scope ``delivery:<id>``. What
    another alert tells (``TOLD_BY`` in its details) begins none of its own, and ends what it began before.

    Args:
        result: of a check.
        feed: whose.
        delivery_id: the delivery that was judged, or that led to it; None: a timer did.
        thresholds: the limits; ``completeness_resolved`` counts here.

    Returns:
        None if an alert neither begins nor ends by it: too little is known, or the value is between both limits.
    """
    firing = _firing(result, thresholds)
    if firing is None:
        return None
    rule, scope = Rule(_rule(result)), result.scope
    if result.metric is Metric.ACCURACY and result.day is None and not scope and delivery_id is not None:
        scope = delivery_scope(delivery_id)
    return Signal(
        rule,
        _severity(result),
        feed,
        scope,
        result.day,
        firing,
        _within(_TELL[rule](result)),
        {**result.details, "value": result.value, "threshold": result.threshold},
        delivery_id,
    )


def refused(row: Mapping[str, Any]) -> Signal:
    """The signal of a file that was refused or is held.

    It is known by its slot, so that whatever loads that slot ends it; a file without one, and a fix, by its name.

    Args:
        row: of the ledger.
    """
    details = row["error_details"] or {}
    scope, day = _place(row)
    name, reason, message = row["file_name"], details.get("reason", ""), details.get("message", "")
    held = reason == "shrunk"
    said = {
        "file": name,
        "slot": row["slot"],
        "held": held,
        **{key: details.get(key) for key in ("reason", "message", "remedy", "reasons") if details.get(key)},
    }
    summary = f"{name} {'is held' if held else 'was refused'} ({reason}): {message}"
    feed = row["file_type"] or _NO_FEED
    return Signal(
        Rule.REFUSED_FILE, Severity.WARNING, feed, scope, day, True, _within(summary), said, row["id"]
    )


def arrived(row: Mapping[str, Any], tried: Iterable[Mapping[str, Any]] = ()) -> tuple[Signal, ...]:
    """The signals of a file that was loaded: what it makes good is well.

    That is what was refused of its slot, what was refused under its name (also when no feed owned that name yet), and
    what was refused of its bytes, under whatever name.

    Args:
        row: of the ledger, of the delivery that was loaded.
        tried: rows of refused deliveries with the same bytes.
    """
    feed, name = row["file_type"], _file_scope(row["file_name"])
    places = [(feed, *_place(row)), (feed, name, None), (_NO_FEED, name, None)]
    places += [(other["file_type"] or _NO_FEED, *_place(other)) for other in tried]
    return tuple(
        Signal(
            Rule.REFUSED_FILE,
            Severity.WARNING,
            owner,
            scope,
            day,
            False,
            f"{row['file_name']} was loaded",
            delivery_id=row["id"],
        )
        for owner, scope, day in dict.fromkeys(places)
    )


def workflow_done(failed: Mapping[str, str]) -> Signal:
    """The signal of a run of the daily workflow that has ended; the next one without a failure ends it.

    Args:
        failed: the steps that failed, and why.
    """
    said = "; ".join(f"{step}: {why}" for step, why in failed.items())
    number = "1 step" if len(failed) == 1 else f"{len(failed)} steps"
    summary = f"{number} of the daily workflow failed: {said}" if failed else "every step was done again"
    return Signal(
        Rule.WORKFLOW,
        Severity.WARNING,
        _NO_FEED,
        "",
        None,
        bool(failed),
        _within(summary),
        {"failed": dict(failed)},
    )


def ended(alert: Mapping[str, Any], why: str) -> Signal:
    """The signal that ends an alert.

    Args:
        alert: a row of ``alerts``.
        why: its new summary.
    """
    rule, severity = Rule(alert["rule"]), Severity(alert["severity"])
    return Signal(
        rule,
        severity,
        alert["feed"],
        alert["scope"],
        alert["day"],
        False,
        why,
        alert["details"] or {},
        alert["delivery_id"],
    )


def delivery_scope(delivery_id: int) -> str:
    """The scope of what is said of one delivery."""
    return f"delivery:{delivery_id}"


def merged(signals: Iterable[Signal]) -> list[Signal]:
    """One signal for each alert: the last."""
    return list({signal.key: signal for signal in signals}.values())


# ---- whether, and how bad


def _firing(result: Result, thresholds: Thresholds) -> bool | None:
    """Wrong, well, or neither can be said."""
    status, value = result.status, result.value
    if status in (Status.PASS, Status.SKIPPED):
        return False
    if status not in (Status.WARNING, Status.FAIL):
        return None
    if result.details.get(TOLD_BY):
        return False
    match result.metric:
        case Metric.TIMELINESS | Metric.ANOMALY_SCORE:
            return True
        case Metric.COMPLETENESS if status is Status.WARNING:
            return False if value is not None and value >= thresholds.completeness_resolved else None
        case _:
            return True if status is Status.FAIL else None


def _rule(result: Result) -> str:
    late = result.metric is Metric.TIMELINESS and result.day is not None
    return Rule.MISSING_FILE if late else result.metric


def _severity(result: Result) -> Severity:
    if result.metric is Metric.COMPLETENESS:
        return Severity.CRITICAL
    if result.metric is Metric.ANOMALY_SCORE and result.details.get("severity", "info") == "info":
        return Severity.INFO
    return Severity.WARNING


# ---- places


def _place(row: Mapping[str, Any]) -> tuple[str, date | None]:
    """Scope and day of a file: from its slot ``feed:day:source``, else its name."""
    slot = row["slot"]
    if slot is None or row["fixes"] is not None:
        return _file_scope(row["file_name"]), None
    _, day, source = slot.split(":", 2)
    return f"source:{source}" if source else "", date.fromisoformat(day)


def _file_scope(name: str) -> str:
    """A file by its name, packed or not."""
    return f"file:{name.removesuffix('.gz').removesuffix('.zst')}"


# ---- words


def _completeness(result: Result) -> str:
    if result.value is None:
        return "nothing is expected"
    said = f"{_percent(result.value)} of what was expected came"
    missing, count = result.details.get("missing") or (), result.details.get("missing_count", 0)
    if not missing or result.status is Status.PASS:
        return said
    names = _some(map(scope_words, missing), count)
    return f"{said}; {count:,} of {result.details.get('expected', count):,} missing: {names}"


def _accuracy(result: Result) -> str:
    valid, rows = result.details.get("valid"), result.details.get("rows")
    name = result.details.get("file")
    of = f"{name}: " if name else ""
    if not rows:
        return f"{of}there are no rows"
    return f"{of}{valid:,} of {rows:,} rows are good ({_percent(valid / rows)})"


def _timeliness(result: Result) -> str:
    due = result.details.get("next_due")
    if result.value is None:
        return "nothing is due"
    if result.status is Status.PASS:
        return f"within the time allowed, {result.value:.1f} hours behind it was due"
    since = f" ({clock_words(due)})" if due else ""
    return f"{result.value:,.1f} hours behind the time that data were due{since}"


def _missing_file(result: Result) -> str:
    name, due = result.details.get("name") or "the file", result.details.get("due")
    why = result.details.get("why")
    if result.status not in (Status.WARNING, Status.FAIL):
        return f"{name}: {why}" if why else f"{name} came"
    said = f"{name} is not here: {why}" if why else f"{name} did not come"
    return f"{said}; it was due at {clock_words(due)}" if due else said


def _consistency(result: Result) -> str:
    rule = result.scope.removeprefix("rule:").replace("_", " ")
    of = f"{rule}: " if rule else ""
    if result.value is None:
        return f"{of}nothing could be compared"
    wrong, count = result.details.get("violating", 0), result.details.get("evaluated", 0)
    keys = result.details.get("violating_keys") or ()
    said = f"{of}{wrong:,} of {count:,} contradict each other ({_percent(result.value)} agree)"
    return f"{said}: {_some(keys, wrong)}" if keys else said


def _anomaly(result: Result) -> str:
    what, details = scope_words(result.scope, ", "), result.details
    if result.value is None or result.status not in (Status.WARNING, Status.PASS):
        return f"{what or 'it'} does not stand out any more"
    seen, usual = details.get("counted"), details.get("expected")
    far = f"{result.value:+.1f} standard deviations"
    if isinstance(seen, int | float) and isinstance(usual, int | float):
        said = f"{what} {figure_words(seen)}, expected {figure_words(usual)} ({far})".strip()
    else:
        said = f"{what}: {far} from what was expected".removeprefix(": ")
    parts = details.get("parts") or ()
    worst = [f"{scope_words(part['scope'])} {part['value']:+.1f}" for part in parts[:_PARTS]]
    return f"{said}; above all {', '.join(worst)}" if worst else said


_TELL = {
    Rule.COMPLETENESS: _completeness,
    Rule.ACCURACY: _accuracy,
    Rule.TIMELINESS: _timeliness,
    Rule.MISSING_FILE: _missing_file,
    Rule.CONSISTENCY: _consistency,
    Rule.ANOMALY_SCORE: _anomaly,
}


def _percent(share: float) -> str:
    """Never rounded up: 89.96 % is not 90 %."""
    return f"{math.floor(share * 1000 + 1e-9) / 10:.1f} %"


def _some(names: Iterable[Any], count: int) -> str:
    named = [str(name) for name in names][:_NAMED]
    rest = count - len(named)
    return ", ".join(named) + (f" and {rest:,} more" if rest > 0 else "")


def _within(text: str) -> str:
    """One line that any database and any terminal can take."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
