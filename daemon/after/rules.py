"""Consistency: the rules are judged with the features of a product, and counted when its day is.

The verdict of a product and day follows from the rows up to that day, whenever it is judged; whether the sender fills
``in_transit`` is taken from all products' rows, as they are when it is judged. Of a day too long ago to be
judged nothing is known once a row of the product came or went on it or before.
"""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from daemon.store import product_days, rule_days
from daemon.store.quality import Transaction
from handlers.features import History
from handlers.features.history import Days, Floats, Ints
from handlers.quality.consistency import MOST_NAMED, Rule, rate
from handlers.quality.product_days import DAYS, RULES, verdicts
from handlers.quality.result import Result, Thresholds


def forget(connection: Transaction, products: Sequence[str], since: Days, as_of: date) -> None:
    """Takes back the verdicts of days that changed and are too long ago to be judged again.

    Args:
        connection: of the transaction.
        products: P of them.
        since: the first day of each on which rows came or went; NaT if none did; (P,).
        as_of: the data day.
    """
    before = as_of - timedelta(days=DAYS - 1)
    places = np.flatnonzero(since < np.datetime64(before, "D")).tolist()
    if places:
        days = [since[place].astype(object) for place in places]
        rule_days.forget_earlier(connection, [products[place] for place in places], days, before)


def note(connection: Transaction, history: History, since: Days) -> None:
    """Judges the days on which something changed, for each product.

    Args:
        connection: of the transaction.
        history: of P products, up to the data day.
        since: the first day of each product that is judged; NaT if none is; (P,).
    """
    today = np.datetime64(history.as_of, "D")
    changed = ~np.isnat(since)
    new = np.where(changed, (today - np.where(changed, since, today)).astype(np.int64) + 1, 0).clip(0, DAYS)
    days = int(new.max(initial=0))
    if not days:
        return
    everywhere = np.ones(
        days, np.bool_
    )  # whether a sender fills in_transit may change: it is asked when a day is counted
    found = verdicts(history, days, _competitor(connection, history, new), everywhere)
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


def _competitor(connection: Transaction, history: History, new: Ints) -> Floats:
    """The latest price of a competitor on each of the days that are judged; (P, days)."""
    prices = np.full((len(new), int(new.max())), np.nan)
    prices[:, -1] = history.attributes.competitor_price
    several = np.flatnonzero(new > 1).tolist()
    if several:
        names = {place: str(history.products[place]) for place in several}
        since = {place: history.as_of - timedelta(days=int(new[place]) - 1) for place in several}
        found = product_days.competitor_prices_since(connection, names, since, history.as_of, prices.shape[1])
        for place, latest in found.items():
            prices[place] = latest
    return prices


def _tells_transit(connection: Transaction, day: date) -> bool:
    """Whether anything of the feed was in transit in the weeks before a day."""
    return bool(product_days.transit_told(connection, day, 1, DAYS)[0])


def results(connection: Transaction, day: date, thresholds: Thresholds) -> list[tuple[str, Result]]:
    """The rates of a day, each with the feed it is about.

    A rule that nothing could be held to is left out, unless something was said of it before: that holds no more.
    """
    counts = rule_days.counts(connection, day)
    said = rule_days.said(connection, day)
    found = []
    for at, (rule, feed) in enumerate(RULES):
        bit = 1 << at
        evaluated = sum(count for judged, _, count in counts if judged & bit)
        violating = sum(count for _, broken, count in counts if broken & bit)
        if rule is Rule.STOCK_BALANCE and evaluated and not _tells_transit(connection, day):
            evaluated = violating = 0
        named = rule_days.breaking(connection, day, bit, MOST_NAMED) if violating else ()
        result = rate(rule, day, evaluated, violating, named, thresholds)
        if evaluated or (feed, result.scope) in said:
            found.append((feed, result))
    return found
