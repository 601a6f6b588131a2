"""What an alert can be about, how bad it is, and which alerts are kept quiet by a silence or by a late feed."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How bad; in the order in which a person should look."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return list(Severity).index(self)


class Rule(StrEnum):
    """What is wrong. The metrics' rules have the metrics' names."""

    COMPLETENESS = "completeness"
    ACCURACY = "accuracy"
    TIMELINESS = "timeliness"
    MISSING_FILE = "missing_file"
    CONSISTENCY = "consistency"
    ANOMALY_SCORE = "anomaly_score"
    REFUSED_FILE = "refused_file"
    WORKFLOW = "workflow"

    @property
    def meaning(self) -> str:
        """A sentence without a full stop, for people."""
        return _MEANINGS[self]


_MEANINGS = {
    Rule.COMPLETENESS: "Much of what was to be expected of a business day did not come",
    Rule.ACCURACY: "Many rows of a delivery, or of a day, were rejected",
    Rule.TIMELINESS: "A feed, or a source of it, is far behind the time that data were due",
    Rule.MISSING_FILE: "The file of a business day was due and did not come",
    Rule.CONSISTENCY: "Many figures of a day contradict each other",
    Rule.ANOMALY_SCORE: "A day is far from what its past let expect",
    Rule.REFUSED_FILE: "A file was refused, or is held, and lies in errors/",
    Rule.WORKFLOW: "Steps of the daily workflow failed",
}
LATENESS = frozenset({Rule.TIMELINESS, Rule.MISSING_FILE})
INHIBITED_BY_LATENESS = frozenset({Rule.COMPLETENESS, Rule.ANOMALY_SCORE})


def inhibits(late: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether one alert that fires keeps another quiet: what did not come cannot be complete or as usual.

    Args:
        late: an alert that fires, a row of ``alerts``.
        other: the one that may be kept quiet.
    """
    return (
        late["rule"] in LATENESS
        and other["rule"] in INHIBITED_BY_LATENESS
        and late["feed"] == other["feed"]
        and late["scope"] in ("", other["scope"])
        and (late["day"] is None or late["day"] == other["day"])
    )


def silenced_by(
    alert: Mapping[str, Any], silences: Iterable[Mapping[str, Any]], now: datetime
) -> Mapping[str, Any] | None:
    """The silence that an alert falls under, if there is one.

    Args:
        alert: a row of ``alerts``.
        silences: rows of ``silences``; None in ``rule``, ``feed`` or ``scope`` stands for any.
        now: UTC, like ``until``.
    """
    for silence in silences:
        asked = ((silence[name], alert[name]) for name in ("rule", "feed", "scope"))
        if in_force(silence, now) and all(wanted in (None, found) for wanted, found in asked):
            return silence
    return None


def in_force(silence: Mapping[str, Any], now: datetime) -> bool:
    """Whether a silence has neither expired nor been ended."""
    return silence["ended_at"] is None and now < silence["until"]


def worse(one: str, other: str) -> bool:
    """Whether a severity is worse than another."""
    return Severity(one).rank < Severity(other).rank


def worst(severities: Collection[str]) -> Severity:
    """The worst of some severities, at least one."""
    return min(map(Severity, severities), key=lambda severity: severity.rank)
