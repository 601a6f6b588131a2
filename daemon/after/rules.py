"""Consistency: the rules are judged with the features of a product, and counted when its day is."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from daemon.store import rule_days
from daemon.store.quality import Transaction
from handlers.features import History
from handlers.features.history import Days
from handlers.quality.consistency import MOST_NAMED, rate
from handlers.quality.product_days import DAYS, RULES, verdicts
from handlers.quality.result import Result, Thresholds


def note(connection: Transaction, history: History, since: Days) -> None:
    """Judges the days on which something changed, for each product.

    Args:
        connection: of the transaction.
        history: of P products, up to the data day.
        since: the first day of each product on which rows came or went; NaT if none did; (P,).
    """
    today = np.datetime64(history.as_of, "D")
    changed = ~np.isnat(since)
    new = np.where(changed, (today - np.where(changed, since, today)).astype(np.int64) + 1, 0).clip(0, DAYS)
    days = int(new.max(initial=0))
    if not days:
        return
    found = verdicts(history, days)
    parts = []
    for age in range(days):
        places = np.flatnonzero(new > age)
        day = str(history.as_of - timedelta(days=age))
        parts.append(
            pa.table(
                {
                    "day": pa.array([day] * len(places), pa.string()),
                    "product_id": pa.array(history.products[places].tolist(), pa.string()),
                    "evaluated": found.evaluated[places, days - 1 - age].astype(np.int64),
                    "violating": found.violating[places, days - 1 - age].astype(np.int64),
                }
            )
        )
    rule_days.write(connection, pa.concat_tables(parts))


def results(connection: Transaction, day: date, thresholds: Thresholds) -> list[tuple[str, Result]]:
    """The rates of a day, each with the feed it is about; rules that nothing could be held to are left out."""
    counts = rule_days.counts(connection, day)
    found = []
    for at, (rule, feed) in enumerate(RULES):
        bit = 1 << at
        evaluated = sum(count for judged, _, count in counts if judged & bit)
        violating = sum(count for _, broken, count in counts if broken & bit)
        if evaluated:
            named = rule_days.breaking(connection, day, bit, MOST_NAMED) if violating else ()
            found.append((feed, rate(rule, day, evaluated, violating, named, thresholds)))
    return found
