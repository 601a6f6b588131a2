"""How many rows a delivery usually has, learned from earlier ones of its kind."""

from collections.abc import Sequence
from dataclasses import dataclass

REMEMBERED = 8  # the last deliveries of a kind
_LEAST_KNOWN = 4  # fewer tell nothing


@dataclass(frozen=True, slots=True)
class Band:
    """What is usual, in data rows; both ends belong to it."""

    least: float
    most: int


def learn(rows: Sequence[int]) -> Band | None:
    """The band of some earlier deliveries, wide enough for a quiet day and a busy one; None if they are too few."""
    if len(rows) < _LEAST_KNOWN:
        return None
    return Band(least=0.5 * min(rows), most=2 * max(rows))
