"""What a quality check says: a metric, where and when, its value, and what that means."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any


class Metric(StrEnum):
    """The five metrics."""

    COMPLETENESS = "completeness"
    ACCURACY = "accuracy"
    TIMELINESS = "timeliness"
    CONSISTENCY = "consistency"
    ANOMALY_SCORE = "anomaly_score"


class Status(StrEnum):
    """What a value means. Only the first three are judgements."""

    PASS = "pass"  # noqa: S105  (the word of the table)
    WARNING = "warning"
    FAIL = "fail"
    PENDING = "pending"
    INSUFFICIENT_HISTORY = "insufficient_history"
    SKIPPED = "skipped"
    ERROR = "error"


TOLD_BY = "told_by"  # among details: what another alert is about, which tells of this as well
JUDGED = (Status.PASS, Status.WARNING, Status.FAIL)
_WORST_FIRST = (
    Status.FAIL,
    Status.ERROR,
    Status.WARNING,
    Status.PASS,
    Status.PENDING,
    Status.INSUFFICIENT_HISTORY,
    Status.SKIPPED,
)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where a value passes, and where it still is only a warning; shares are 0 to 1.

    Attributes:
        completeness_pass: and above.
        completeness_warning: and above; below it a result fails.
        completeness_resolved: an alert ends at this share, a little above where it began.
        accuracy_pass: and above.
        accuracy_warning: and above.
        consistency_pass: and above.
        consistency_warning: and above.
        delay_pass_hours: and less, beyond the time at which data were due.
        delay_warning_hours: and less.
        anomaly_info: standard deviations; more are worth a line in the digest.
        anomaly_warning: standard deviations; more are worth a look today.
    """

    completeness_pass: float = 0.95
    completeness_warning: float = 0.90
    completeness_resolved: float = 0.93
    accuracy_pass: float = 0.95
    accuracy_warning: float = 0.90
    consistency_pass: float = 0.95
    consistency_warning: float = 0.90
    delay_pass_hours: float = 24.0
    delay_warning_hours: float = 48.0
    anomaly_info: float = 2.0
    anomaly_warning: float = 3.0


DEFAULTS = Thresholds()


@dataclass(frozen=True, slots=True)
class Result:
    """One value of one metric; kept also when it passes.

    Attributes:
        metric: which of the five.
        scope: what it speaks about: "" is the feed as a whole, else ``rule:unit_price``, ``location:447``, ….
        day: the business day; None if it speaks of now.
        value: None if there is nothing to say.
        threshold: where a value passes.
        status: the judgement, or why there is none.
        details: what JSON can hold, for a person and for ``explain``.
    """

    metric: Metric
    scope: str
    day: date | None
    value: float | None
    threshold: float
    status: Status
    details: Mapping[str, Any] = field(default_factory=dict)


def at_least(value: float, passes: float, warns: float) -> Status:
    """The judgement of a share: the more the better."""
    if value >= passes:
        return Status.PASS
    return Status.WARNING if value >= warns else Status.FAIL


def at_most(value: float, passes: float, warns: float) -> Status:
    """The judgement of a delay: the less the better."""
    if value <= passes:
        return Status.PASS
    return Status.WARNING if value <= warns else Status.FAIL


def worst(statuses: Iterable[Status]) -> Status:
    """The one that speaks for all: a failure before an error, a warning, a pass; ``skipped`` if there is none."""
    return min(statuses, key=_WORST_FIRST.index, default=Status.SKIPPED)
