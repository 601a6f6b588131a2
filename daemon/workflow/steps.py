"""What a step of the daily workflow is, and what becomes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Details = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """A step.

    Attributes:
        name: such as ``backup``.
        work: does it, and says what it did; safe to do again.
        skipped: why it is not done; empty: it is.
    """

    name: str
    work: Callable[[], Details]
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a step.

    Attributes:
        name: of the step.
        status: whether it was done.
        seconds: how long it took.
        details: what it did, or why it was skipped.
        error: why it failed; empty if it did not.
    """

    name: str
    status: Literal["ok", "failed", "skipped"]
    seconds: float
    details: Details = field(default_factory=dict)
    error: str = ""
