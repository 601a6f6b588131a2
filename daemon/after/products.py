"""The products that stand out where a place, a channel or the chain does."""

from collections.abc import Sequence
from datetime import date

import numpy as np

from daemon.after.files import DAY
from daemon.after.span import Span
from daemon.store import top_products
from daemon.store.quality import MEASURES, Transaction
from daemon.store.totals import scope_of
from handlers.quality.anomaly import HISTORY, WEEKDAYS, Bools, expect, score
from handlers.quality.distributions import Floats
from handlers.quality.hierarchy import judge_score
from handlers.quality.result import Result, Status

_PARENTS = 3  # places that are looked into
_PRODUCTS = 20  # of each


def judged(
    connection: Transaction, span: Span, day: date, measure: str, scopes: Sequence[str], open_days: Bools
) -> list[Result]:
    """The products that stand out in a measure, among the most frequent of some places; each where it does so most.

    Their scores are not calibrated: of products none are kept.

    Args:
        connection: of the transaction.
        span: what is known of the feed.
        day: the business day.
        measure: of ``MEASURES``.
        scopes: the places that stand out, the most unusual first; none: the chain is looked into.
        open_days: which of the ``HISTORY`` days before may be learned from.
    """
    found: dict[str, Result] = {}
    for scope in list(scopes)[:_PARENTS] or [""]:
        for name, result in _of_place(connection, span, day, measure, scope, open_days).items():
            if name not in found or abs(result.value or 0) > abs(found[name].value or 0):
                found[name] = result
    return list(found.values())


def _of_place(
    connection: Transaction, span: Span, day: date, measure: str, scope: str, open_days: Bools
) -> dict[str, Result]:
    if (day, scope) not in span.sold:
        span.sold[day, scope] = _sold(connection, span, day, scope)
    names, sold = span.sold[day, scope]
    counts, terms = sold[MEASURES.index(measure)], span.terms
    history = counts[:, :-1].copy()
    history[np.cumsum(history, axis=1) == 0] = np.nan  # before it was first sold
    weekdays = (np.arange(HISTORY) + (day - HISTORY * DAY).weekday()) % WEEKDAYS
    expected = expect(history, weekdays, day.weekday(), open_days)
    z = score(np.maximum(counts[:, -1], 0), expected).z
    money = 10_000 if measure == "value" else 1
    results = {
        name: judge_score(
            "|".join(filter(None, (scope, scope_of([("product", name)])))),
            day,
            float(z[n]),
            thresholds=terms.thresholds,
            details={"counted": counts[n, -1] / money, "expected": expected.mean[n] / money},
        )
        for n, name in enumerate(names)
    }
    return {name: result for name, result in results.items() if result.status is Status.WARNING}


def _sold(connection: Transaction, span: Span, day: date, scope: str) -> tuple[list[str], Floats]:
    """The most frequent products of a place, and what came of each until the day: measures x products x days."""
    terms, of, days = span.terms, span.parts(scope), (day, day - 7 * DAY)
    deliveries = [one.delivery_id for each in days for one in span.files.sent(each) if one.counts]
    names = top_products.most_rows(connection, terms.feed, deliveries, days, of, _PRODUCTS)
    since = day - HISTORY * DAY
    row = {name: n for n, name in enumerate(names)}
    sold = np.zeros((len(MEASURES), len(names), HISTORY + 1))
    for name, text, *figures in top_products.daily(
        connection, terms.feed, terms.totals, names, since, day, of
    ):
        sold[:, row[name], (date.fromisoformat(text) - since).days] = figures
    return names, sold
