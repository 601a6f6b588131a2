"""The products that stand out where a place, a channel or the chain does."""

from collections.abc import Sequence
from datetime import date

import numpy as np

from daemon.after.files import DAY
from daemon.after.span import Span
from daemon.store import top_products
from daemon.store.quality import MEASURES, Transaction
from handlers.quality.anomaly import HISTORY, WEEKDAYS, Bools, expect, score
from handlers.quality.hierarchy import judge_score
from handlers.quality.result import Result, Status

_PARENTS = 3  # places that are looked into
_PRODUCTS = 20  # of each


def judged(
    connection: Transaction, span: Span, day: date, measure: str, scopes: Sequence[str], open_days: Bools
) -> list[Result]:
    """The products that stand out in a measure, among the most frequent of some places.

    Their scores are not calibrated: of products none are kept.

    Args:
        connection: of the transaction.
        span: what is known of the feed.
        day: the business day.
        measure: of ``MEASURES``.
        scopes: the places that stand out, the most unusual first; none: the chain is looked into.
        open_days: which of the ``HISTORY`` days before may be learned from.
    """
    found: list[Result] = []
    for scope in list(scopes)[:_PARENTS] or [""]:
        found += _of_place(connection, span, day, measure, scope, open_days)
    return found


def _of_place(
    connection: Transaction, span: Span, day: date, measure: str, scope: str, open_days: Bools
) -> list[Result]:
    terms, of, days = span.terms, span.parts(scope), (day, day - 7 * DAY)
    deliveries = [one.delivery_id for each in days for one in span.files.sent(each) if one.counts]
    names = top_products.most_rows(connection, terms.feed, deliveries, days, of, _PRODUCTS)
    since = day - HISTORY * DAY
    rows = top_products.daily(connection, terms.feed, terms.totals, names, since, day, of)
    row = {name: n for n, name in enumerate(names)}
    counts = np.zeros((len(names), HISTORY + 1))
    for name, text, *figures in rows:
        counts[row[name], (date.fromisoformat(text) - since).days] = figures[MEASURES.index(measure)]
    history = counts[:, :-1].copy()
    history[np.cumsum(history, axis=1) == 0] = np.nan  # before it was first sold
    weekdays = (np.arange(HISTORY) + since.weekday()) % WEEKDAYS
    expected = expect(history, weekdays, day.weekday(), open_days)
    z = score(np.maximum(counts[:, -1], 0), expected).z
    money = 10_000 if measure == "value" else 1
    results = [
        judge_score(
            "|".join(filter(None, (scope, f"product:{name}"))),
            day,
            float(z[n]),
            thresholds=terms.thresholds,
            details={"counted": counts[n, -1] / money, "expected": expected.mean[n] / money},
        )
        for n, name in enumerate(names)
    ]
    return [result for result in results if result.status is Status.WARNING]
