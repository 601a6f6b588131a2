"""What is said of the scores of a day: of the chain, and of the places and products that explain why it stands out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from daemon.after import products
from daemon.after.files import DAY
from daemon.after.span import Span
from daemon.store.quality import MEASURES, Transaction
from handlers.quality.anomaly import HISTORY, Bools
from handlers.quality.distributions import Floats
from handlers.quality.hierarchy import Level, descend, goes_on, judge_score
from handlers.quality.result import TOLD_BY, Result, Status

NAMES = {"units": "units", "rows": "rows", "value": "revenue"}
_NAMED = 20
_PARTS = 5  # that the result of the chain names
_SPELL = 7  # days that a level is looked back at


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of a day; arrays are measures x series.

    Attributes:
        measures: of ``MEASURES``, those that the feed has.
        places: the series, as rows of the span; the chain is the first.
        counted: what came.
        expected: what was expected; NaN where the past is too short.
        z: calibrated scores.
        raw: the same before calibration.
        seen: earlier days of the same holiday; None on any other day.
        ordinary: what would have been expected if it were no holiday.
    """

    measures: tuple[str, ...]
    places: list[int]
    counted: Floats
    expected: Floats
    z: Floats
    raw: Floats
    seen: int | None
    ordinary: Floats


def scope_of(measure: str, scope: str = "") -> str:
    """The scope of a score: ``measure:units``, ``measure:revenue|location:447``."""
    return f"measure:{NAMES[measure]}" + (f"|{scope}" if scope else "")


def named(
    connection: Transaction,
    span: Span,
    day: date,
    scored: Scored,
    said: Mapping[str, object],
    open_days: Bools,
) -> list[Result]:
    """The results of the chain, and of the places and products that stand out under it.

    What stands out under the chain is a detail of the chain's result, and told by its alert.

    Args:
        connection: of the transaction.
        span: what is known of the feed.
        day: the business day.
        scored: its scores.
        said: what else is known of the day; a part of a day has no products.
        open_days: which of the ``HISTORY`` days before may be learned from.
    """
    found, below = [], []
    for n, measure in enumerate(scored.measures):
        places = _standing_out(span, day, scored, n)
        its: list[Result] = []
        if places is not None:
            its = [_result(span, day, scored, n, series, said) for series in places]
            if not said:
                names = [span.scopes[scored.places[series]] for series in places]
                goods = products.judged(connection, span, day, measure, names, open_days)
                its += [replace(result, scope=scope_of(measure, result.scope)) for result in goods]
        its.sort(key=lambda result: -abs(result.value or 0.0))
        chain = _result(span, day, scored, n, 0, said)
        chain = replace(
            chain, details={**chain.details, **_parts(chain, its), **_spell(span, day, chain, measure)}
        )
        found.append(chain)
        below += [replace(one, details={**one.details, TOLD_BY: chain.scope}) for one in its]
    below.sort(key=lambda result: -abs(result.value or 0.0))
    return found + below[:_NAMED]


def _standing_out(span: Span, day: date, scored: Scored, measure: int) -> list[int] | None:
    """The places and channels that stand out, the most unusual first; None if the chain does not."""
    z = scored.z[measure]
    levels = [Level(z[:1]), Level(z[1:], np.zeros(len(z) - 1, np.int64))]
    flagged = descend(levels, span.terms.thresholds.anomaly_info)
    if not flagged[0][0]:
        return None
    beyond = np.flatnonzero(flagged[1]) + 1
    ranked = beyond[np.argsort(-np.abs(z[beyond]), kind="stable")]
    return _of_their_own(span, day, scored, [int(series) for series in ranked])


def _of_their_own(span: Span, day: date, scored: Scored, ranked: Sequence[int]) -> list[int]:
    """Leaves out what is the chain, or another place, by another name: the only shop, the only channel of a shop."""
    until = span.place(day) + 1
    seen, kept = set(), []
    for series in (0, *ranked):
        row = scored.places[series]
        figures = b"".join(span.totals(name)[row, until - HISTORY - 1 : until].tobytes() for name in MEASURES)
        if figures not in seen:
            kept.append(series)
        seen.add(figures)
    return kept[1:]


def _result(
    span: Span, day: date, scored: Scored, measure: int, series: int, said: Mapping[str, object]
) -> Result:
    name = scored.measures[measure]
    money = 10_000 if name == "value" else 1
    details: dict[str, object] = {
        "counted": float(scored.counted[measure, series]) / money,
        "expected": float(scored.expected[measure, series]) / money,
        "raw": float(scored.raw[measure, series]),
        **said,
    }
    if scored.seen is not None:
        details |= {"holidays_seen": scored.seen, "ordinary": float(scored.ordinary[measure, series]) / money}
    return judge_score(
        scope_of(name, span.scopes[scored.places[series]]),
        day,
        float(scored.z[measure, series]),
        thresholds=span.terms.thresholds,
        details=details,
    )


def _parts(chain: Result, below: Sequence[Result]) -> dict[str, object]:
    """The worst of what stands out on the chain's side of what was expected."""
    same = [one for one in below if one.value and chain.value and one.value * chain.value > 0]
    parts = [
        {
            "scope": one.scope.partition("|")[2],
            "value": one.value,
            "counted": one.details["counted"],
            "expected": one.details["expected"],
        }
        for one in same[:_PARTS]
    ]
    return {"parts": parts} if parts else {}


def _spell(span: Span, day: date, chain: Result, measure: str) -> dict[str, object]:
    """Of a level that was as unusual the day before, the first day of that: its alert tells it."""
    if not span.terms.totals.is_level or chain.status is not Status.WARNING or chain.value is None:
        return {}
    at, since, z = span.place(day), None, chain.value
    for back in range(1, _SPELL + 1):
        before = float(span.z(measure)[0, at - back])
        if not goes_on(z, before, span.terms.thresholds):
            break
        since, z = day - back * DAY, before
    return {} if since is None else {TOLD_BY: since.isoformat()}
