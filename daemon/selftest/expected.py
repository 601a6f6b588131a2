"""Metrics and features worked out from the rows of the book in plain Python, by their definitions in the documentation.

Nothing of the program is used here, so that a mistake of the program is not repeated.
"""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

from daemon.selftest.book import Book, Row

_DAY = timedelta(days=1)
_FEW_ROWS = 50
_Z = 1.959964
_SAME_WEEKDAYS = 8
_CHANNELS = ("online", "pos", "marketplace", "wholesale")
_LEVELS = {"high": 1, "medium": 0, "low": -1}


# ---- quality


def accuracy(good: int, rows: int) -> float:
    """The share of good rows; of few rows the lower bound of Wilson's interval."""
    share = good / rows
    if rows >= _FEW_ROWS:
        return share
    square = _Z * _Z
    middle = (good + square / 2) / (rows + square)
    return middle - _Z * math.sqrt(good * (rows - good) / rows + square / 4) / (rows + square)


def completeness(book: Book, day: date) -> float:
    """What came of the channels and places that usually sell on such a weekday."""
    came: dict[date, set[tuple[str, str]]] = defaultdict(set)
    for row in book.rows("sales"):
        came[date.fromisoformat(row["date"][:10])].add((row["location"], row["channel"]))
    begin = min(came)
    earlier = [one for back in range(1, _SAME_WEEKDAYS + 1) if (one := day - 7 * _DAY * back) >= begin]
    hits = Counter(key for one in earlier for key in came[one])
    usual = {key: (count + 0.5) / (len(earlier) + 1) for key, count in hits.items()}
    usual = {key: p for key, p in usual.items() if p >= 0.5}  # noqa: PLR2004
    return min(1.0, len(usual.keys() & came[day]) / sum(usual.values()))


def stock_rules(book: Book, day: date) -> dict[str, float]:
    """The share of products that keep the rules about stock on a day."""
    now, before = (_stock(book, each) for each in (day, day - _DAY))
    sold: Counter[str] = Counter()
    for row in book.rows("sales"):
        if row["date"][:10] == str(day):
            sold[row["product_id"]] += row["quantity_sold"]
    both = now.keys() & before.keys()
    reserved = [held > level for level, held, _ in now.values()]
    balance = [now[one][0] - before[one][0] + sold[one] > before[one][2] for one in both]
    at_zero = [before[one][0] <= 0 and before[one][2] <= 0 for one in before if sold[one] > 0]
    rules = {"reserved": reserved, "stock_balance": balance, "sold_at_zero": at_zero}
    return {name: 1 - sum(broken) / len(broken) for name, broken in rules.items()}


def verdict(share: float) -> str:
    """What a share is by the limits of the documentation."""
    return "pass" if share >= 0.95 else "warning" if share >= 0.9 else "fail"  # noqa: PLR2004


def _stock(book: Book, day: date) -> dict[str, tuple[int, int, int]]:
    """By product: stock, reserved and in transit of all places."""
    found: dict[str, tuple[int, int, int]] = {}
    for row in book.rows("inventory"):
        if row["date"][:10] == str(day):
            more = row["stock_level"], row["reserved_stock"], row["in_transit"]
            had = found.get(row["product_id"], (0, 0, 0))
            found[row["product_id"]] = (had[0] + more[0], had[1] + more[1], had[2] + more[2])
    return found


# ---- features


class Product:
    """The days of a product up to one of them, that day last."""

    def __init__(self, book: Book, product: str, as_of: date) -> None:
        rows = {
            feed: [r for r in book.rows(feed) if r["product_id"] == product]
            for feed in ("sales", "inventory", "demand")
        }
        known = [row for some in rows.values() for row in some if row["date"][:10] <= str(as_of)]
        self.first = date.fromisoformat(min(row["date"] for row in known)[:10])
        self.as_of = as_of
        self._rows = rows

    def rows(self, feed: str, window: int) -> list[Row]:
        """Those of the last so many days."""
        begin, end = str(self.as_of - (window - 1) * _DAY), str(self.as_of)
        return [row for row in self._rows[feed] if begin <= row["date"][:10] <= end]

    def days(self, window: int) -> list[date]:
        """The last so many days, without those before anybody had heard of it."""
        some = (self.as_of - back * _DAY for back in range(window - 1, -1, -1))
        return [day for day in some if day >= self.first]

    def units(self, window: int) -> list[int]:
        """Units sold on each of these days."""
        sold: Counter[str] = Counter()
        for row in self.rows("sales", window):
            sold[row["date"][:10]] += row["quantity_sold"]
        return [sold[str(day)] for day in self.days(window)]

    def features(self) -> dict[str, float | None]:
        """Some features, by their names in the table."""
        return {**self._velocity(), **self._sales(), **self._stock(), **self._signals()}

    def _velocity(self) -> dict[str, float | None]:
        week, month, long = self.units(7), self.units(28), self.units(56)
        last = next((age for age, units in enumerate(reversed(self.units(100_000))) if units > 0), None)
        same = long[::-1][::7][:_SAME_WEEKDAYS]
        return {
            "mean_units_7": _mean(week),
            "mean_units_28": _mean(month),
            "std_units_28": statistics.stdev(month),
            "zero_share": sum(not units for units in month) / len(month),
            "days_since_sale": last,
            "slope": _slope(month),
            "momentum": _ratio(_mean(week), _mean(month)),
            "lag_7": long[-8],
            "lag_28": long[-29],
            "same_dow_mean": _mean(same),
        }

    def _sales(self) -> dict[str, float | None]:
        rows = self.rows("sales", 28)
        units = sum(row["quantity_sold"] for row in rows)
        revenue = float(sum((row["revenue"] for row in rows), Decimal()))
        by: Counter[str] = Counter()
        for row in rows:
            by[row["channel"]] += row["quantity_sold"]
        promoted = sum(row["quantity_sold"] for row in rows if row["promotion_code"])
        return {
            "avg_price": _ratio(revenue, units),
            "revenue_per_row": _ratio(revenue, len(rows)),
            "promo_share": _ratio(promoted, units),
            **{f"channel_share_{name}": _ratio(by[name], units) for name in _CHANNELS},
            "channel_hhi": sum((by[name] / units) ** 2 for name in _CHANNELS) if units else None,
        }

    def _stock(self) -> dict[str, float | None]:
        latest = self.rows("inventory", 1)
        on_hand = sum(row["stock_level"] for row in latest)
        available = on_hand - sum(row["reserved_stock"] for row in latest)
        levels: Counter[str] = Counter()
        for row in self.rows("inventory", 28):
            levels[row["date"]] += row["stock_level"]
        sold = self.units(28)
        return {
            "on_hand": on_hand,
            "available": available,
            "in_transit": sum(row["in_transit"] for row in latest),
            "days_of_supply": _ratio(available, _mean(sold)),
            "stockout_days_28": sum(level <= 0 for level in levels.values()),
            "sell_through": _ratio(sum(sold), sum(sold) + on_hand),
        }

    def _signals(self) -> dict[str, float | None]:
        rows = self.rows("demand", 28)
        trends = [row["market_trend"] for row in rows if row["market_trend"] is not None]
        return {
            "trend_mean_28": _mean(trends),
            "demand_level_index_28": _mean([_LEVELS[row["external_demand"]] for row in rows]),
        }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _ratio(top: float, bottom: float) -> float | None:
    return top / bottom if bottom else None


def _slope(values: Sequence[float]) -> float:
    return statistics.linear_regression(range(len(values)), values).slope
