"""What was unusual on a day, each with the last weeks of its series and the range that was usual."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from daemon.after.terms import Terms
from daemon.quality_view.judgements import in_force
from daemon.settings import Settings
from daemon.store import report as store
from daemon.store import top_products
from daemon.store.quality import Transaction
from daemon.store.quality_view import Recorded
from daemon.store.totals import parts_of, scope_of
from handlers.quality.anomaly import HISTORY, expect
from handlers.quality.distributions import Floats
from handlers.quality.result import TOLD_BY, Metric, Status

SHOWN_DAYS = 28
_DAY = timedelta(days=1)
_FIGURE = {"units": 0, "rows": 1, "revenue": 2}
_MONEY = 10_000
_PLACES = ("location", "channel")


@dataclass(frozen=True, slots=True)
class _Series:
    """Of what a score is: the total of a measure, of the chain, a place, or a product there."""

    feed: str
    measure: str
    place: str
    product: str

    @classmethod
    def of(cls, row: Recorded) -> "_Series":
        parts = parts_of(row.scope)
        place = scope_of([(name, value) for name, value in parts.items() if name in _PLACES])
        return cls(row.feed, parts.get("measure", "units"), place, parts.get("product", ""))

    @property
    def key(self) -> tuple[str, str]:
        return self.place, self.product


def unusual(
    connection: Transaction, settings: Settings, rows: Sequence[Recorded], day: date, most: int
) -> dict[str, Any]:
    """The anomalies of a day: ``count`` and the first of them, ``items``; the feed as a whole before its parts, the worst first.

    Args:
        connection: to the database.
        settings: of the daemon.
        rows: what was recorded of the day, the oldest first.
        day: which.
        most: so many items.
    """
    found = [
        row
        for row in in_force(rows)
        if row.metric == Metric.ANOMALY_SCORE and row.status == Status.WARNING and row.value is not None
    ]
    found.sort(key=lambda row: (bool(row.details.get(TOLD_BY)), -abs(row.value or 0.0), row.feed, row.scope))
    shown = [(row, _Series.of(row)) for row in found[:most]]
    charts = _charts(connection, settings, shown, day)
    items = [_item(row, series, charts.get(series, [])) for row, series in shown]
    return {"count": len(found), "items": items}


def _item(row: Recorded, series: _Series, chart: list[dict[str, Any]]) -> dict[str, Any]:
    counted, expected = row.details.get("counted"), row.details.get("expected")
    change = None
    if isinstance(counted, int | float) and isinstance(expected, int | float) and expected:
        change = counted / expected - 1
    return {
        "feed": row.feed,
        "measure": series.measure,
        "scope": row.scope,
        "of": {name: value for name, value in parts_of(row.scope).items() if name != "measure"},
        "severity": row.details.get("severity", "warning"),
        "score": row.value,
        "counted": counted,
        "expected": expected,
        "change": change,
        "holiday": row.details.get("holiday") if isinstance(row.details.get("holiday"), str) else None,
        "days": chart,
    }


# ---- the last weeks


def _charts(
    connection: Transaction, settings: Settings, shown: Sequence[tuple[Recorded, _Series]], day: date
) -> dict[_Series, list[dict[str, Any]]]:
    """The last weeks of each series; all series of a feed are read together, those of products by place."""
    found: dict[_Series, list[dict[str, Any]]] = {}
    wanted: dict[str, list[_Series]] = defaultdict(list)
    for _, series in shown:
        wanted[series.feed].append(series)
    days = [day - n * _DAY for n in range(HISTORY + SHOWN_DAYS - 1, -1, -1)]
    for feed, some in wanted.items():
        terms = Terms.of(settings, feed)
        if terms is None:
            continue
        read = _read(connection, terms, some, days)
        for series in some:
            values = read.get(series.key)
            if values is not None:
                money = _MONEY if series.measure == "revenue" else 1
                found[series] = _chart(terms, values[_FIGURE.get(series.measure, 0)] / money, days)
    return found


def _read(
    connection: Transaction, terms: Terms, some: Sequence[_Series], days: Sequence[date]
) -> dict[tuple[str, str], Floats]:
    """Units, rows and money by day of each place, and of each product in a place; NaN on days without any data of the feed."""
    feed, since, until = terms.feed, days[0], days[-1]
    at = {each: n for n, each in enumerate(days)}
    places = {"", *(series.place for series in some if not series.product)}
    read: dict[tuple[str, str], Floats] = {(place, ""): np.zeros((3, len(days))) for place in places}
    for place, day, *figures in store.daily(connection, feed.name, places, since, until):
        read[place, ""][:, at[day]] = figures
    by_place: dict[str, list[str]] = defaultdict(list)
    for series in some:
        if series.product:
            by_place[series.place].append(series.product)
            read[series.key] = np.zeros((3, len(days)))
    for place, products in by_place.items():
        found = top_products.daily(
            connection, feed, terms.totals, sorted(set(products)), since, until, parts_of(place)
        )
        for product, text, *figures in found:
            read[place, product][:, at[date.fromisoformat(str(text)[:10])]] = figures
    silent = read["", ""][1] == 0
    for values in read.values():
        values[:, silent] = np.nan
    return read


def _chart(terms: Terms, values: Floats, days: Sequence[date]) -> list[dict[str, Any]]:
    """The last weeks, each day with the range that the days before it made usual."""
    weekdays = np.array([each.weekday() for each in days])
    begun = (
        np.cumsum(np.nan_to_num(values) != 0) > 0
    )  # a shop that was not there yet had no day without sales
    past = np.where(begun, values, np.nan)
    use = np.array([each not in terms.closed_days and not terms.holiday(each) for each in days])
    limit = terms.thresholds.anomaly_info
    found = []
    for n in range(len(days) - SHOWN_DAYS, len(days)):
        before = slice(n - HISTORY, n)
        expected = expect(past[None, before], weekdays[before], int(weekdays[n]), use[before])
        mean, half = (
            float(expected.mean[0]),
            float(limit * np.sqrt(expected.dispersion[0] * expected.mean[0])),
        )
        if np.isfinite(mean) and abs(values[n] - mean) > 1.5 * half:
            use[n] = False  # what stood out teaches nothing
        found.append(_point(days[n], float(values[n]), mean, half))
    return found


def _point(day: date, value: float, mean: float, half: float) -> dict[str, Any]:
    known = bool(np.isfinite(mean))
    point: Mapping[str, Any] = {
        "day": day.isoformat(),
        "value": value if np.isfinite(value) else None,
        "expected": round(mean, 2) if known else None,
        "low": round(max(0.0, mean - half), 2) if known else None,
        "high": round(mean + half, 2) if known else None,
    }
    return dict(point)
