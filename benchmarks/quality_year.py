"""A retailer's real year as the small daily aggregates that metrics look at, and the plain formulas on it."""

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from benchmarks import real_year

MONEY = 10_000


@dataclass(frozen=True)
class Lines:
    """Lines of one file, as arrays: place and product are numbers."""

    product: np.ndarray
    place: np.ndarray
    units: np.ndarray
    revenue: np.ndarray

    @property
    def good(self) -> np.ndarray:
        return (self.units > 0) & (self.revenue > 0)

    def where(self, chosen: np.ndarray) -> "Lines":
        return Lines(self.product[chosen], self.place[chosen], self.units[chosen], self.revenue[chosen])


@dataclass(frozen=True)
class Day:
    """The aggregates of a day: all that the metrics see of it."""

    physical: int
    valid: int
    totals: np.ndarray  # per measure
    places: np.ndarray  # rows per place
    products: np.ndarray
    prices: np.ndarray  # of those products


class Year:
    """The year's files, and the aggregates of each day."""

    def __init__(self, zone: str) -> None:
        folder, days = real_year.feeds(zone, transaction_ids=False)
        first, last = date.fromisoformat(min(days)), date.fromisoformat(max(days))
        self.dates = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        self.is_open = np.array([f"{day}" in days for day in self.dates])  # Christmas has no file
        self.weekdays = np.array([day.weekday() for day in self.dates])
        tables = [_read(folder / days[f"{day}"]["file"] if f"{day}" in days else None) for day in self.dates]
        ends = np.cumsum([0, *(len(table) for table in tables)])
        whole = pa.concat_tables(tables)
        product = whole["product_id"].combine_chunks().dictionary_encode()
        place = whole["location"].combine_chunks().dictionary_encode()
        self.place_names = place.dictionary.to_pylist()
        self.product_count = len(product.dictionary)
        year = Lines(
            product.indices.to_numpy(),
            place.indices.to_numpy(),
            whole["quantity_sold"].to_numpy(),
            np.rint(whole["revenue"].to_numpy() * MONEY).astype(np.int64),
        )
        self.lines = [year.where(np.s_[a:b]) for a, b in pairwise(ends)]
        self.days = [self.add_up(lines) for lines in self.lines]

    def add_up(self, lines: Lines) -> Day:
        good = lines.where(lines.good)
        products, at = np.unique(good.product, return_inverse=True)
        units = np.bincount(at, good.units, len(products))
        return Day(
            physical=len(lines.product),
            valid=len(good.product),
            totals=np.array([len(good.product), good.units.sum(), good.revenue.sum()], float),
            places=np.bincount(good.place, minlength=len(self.place_names)).astype(float),
            products=products,
            prices=np.bincount(at, good.revenue, len(products)) / np.maximum(units, 1),
        )

    def busy(self, n: int) -> np.ndarray:
        """Rows per place of the four weeks before a day."""
        return np.sum([day.places for day in self.days[n - 28 : n]], axis=0)


def _read(path: Path | None) -> pa.Table:
    kinds = {
        "product_id": pa.string(),
        "location": pa.string(),
        "quantity_sold": pa.int64(),
        "revenue": pa.float64(),
    }
    if path is None:
        return pa.schema(list(kinds.items())).empty_table()
    options = pa.csv.ConvertOptions(column_types=kinds, include_columns=list(kinds))
    return pa.csv.read_csv(path, convert_options=options)


class Plain:
    """The first version's formulas: products sold / products known, and the score of a day within its own 30 days."""

    def __init__(self, year: Year) -> None:
        self.year = year
        self.totals = np.stack([day.totals for day in year.days], axis=1)
        self.prices = np.full((year.product_count, len(year.days)), np.nan)
        for n, day in enumerate(year.days):
            self.prices[day.products, n] = day.prices

    def alarms(self, n: int, day: Day) -> dict[str, bool]:
        """Which of them ring on a day, with ``day`` in place of what came."""
        known = int(np.isfinite(self.prices[:, : n + 1]).any(1).sum())
        window = self.totals[1:, n - 29 : n + 1].copy()
        window[:, -1] = day.totals[1:]
        window = window[:, self.year.is_open[n - 29 : n + 1]]
        z = np.abs((window - window.mean(1, keepdims=True)) / window.std(1, keepdims=True))
        return {
            "plain completeness": len(day.products) / known < 0.95,
            "plain z>2 this day": bool((z[:, -1] > 2).any()),
            "plain z>2 status": bool((z > 2).any()),
        }
