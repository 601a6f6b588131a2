"""Estimates for missing days on a retailer's real year: how often the truth lies within the interval.

    python -m benchmarks.fallback_real [--timezone ZONE] [--json]

Days of the 364 of `benchmarks.completejourney` are hidden at random, all products together as when a file is lost, and
estimated from the others (`handlers.fallback`): by a year with days before and after, by the past alone, and by the six
weeks before alone. Products are drawn from three classes of how much they sell. Beside the median stand the mean of the
same days and, as the plain one, the mean of the last four weeks (of a level: the last one).

Stock levels have no such real source: those are of the sample market (`daemon.sample`), which is made up.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from rich.console import Console

from benchmarks.quality_real import table
from benchmarks.quality_year import Year
from daemon.sample.market import simulate
from handlers import fallback

HIDDEN = 0.15  # of the days
PRODUCTS = 150  # of each class
CLASSES = {"1 a day and more": (1.0, np.inf), "0.2 to 1 a day": (0.2, 1.0), "0.03 to 0.2 a day": (0.03, 0.2)}
FIRST = 84
STOCK_DAYS, STOCK_PRODUCTS = 150, 40


def units_of(year: Year) -> np.ndarray:
    """Units of each product on each day; products x days."""
    units = np.zeros((year.product_count, len(year.dates)), np.int64)
    for n, lines in enumerate(year.lines):
        good = lines.where(lines.good)
        np.add.at(units[:, n], good.product, good.units)
    return units


def known_when(what: str, hidden: np.ndarray, is_open: np.ndarray, n: int) -> np.ndarray:
    """The days that an estimate of day ``n`` may use."""
    days = np.flatnonzero(is_open & ~hidden)
    match what:
        case "days before and after":
            return days
        case "days before":
            return days[days < n]
        case _:
            return days[(days < n) & (days >= n - 42)]


def measured(rows: list[tuple[int, fallback.Estimate, float]]) -> dict[str, float]:
    """Figures of some estimates, each with the truth and the plain mean of four weeks."""
    truth = np.array([row[0] for row in rows], float)
    made = [row[1] for row in rows]
    low, high = np.array([one.low for one in made]), np.array([one.high for one in made])
    median = np.array([one.value for one in made], float)
    mean = np.array([np.nan if one.mean is None else one.mean for one in made])
    plain = np.array([row[2] for row in rows])
    figures = {
        "estimates": len(rows),
        "nominal": float(np.mean([one.nominal or np.nan for one in made])),
        "within": float(np.mean((truth >= low) & (truth <= high))),
        "below": float(np.mean(truth < low)),
        "above": float(np.mean(truth > high)),
        "width": float(np.mean(high - low)),
        "units": float(truth.mean()),
        "error, median": float(np.mean(np.abs(truth - median))),
        "error, mean": float(np.mean(np.abs(truth - mean))),
        "error, plain": float(np.mean(np.abs(truth - plain))),
        "sum, median": float(median.sum() / truth.sum()),
        "sum, mean": float(mean.sum() / truth.sum()),
    }
    return {name: value for name, value in figures.items() if np.isfinite(value)}  # a level has no mean


def sales(year: Year) -> dict[str, dict[str, float]]:
    """Coverage and errors by class and by what is known."""
    units = units_of(year)
    chance = np.random.default_rng(1)
    hidden = (chance.random(len(year.dates)) < HIDDEN) & year.is_open
    days = [n for n in np.flatnonzero(hidden) if n >= FIRST]
    rates = units.sum(1) / year.is_open.sum()
    groups = {"the chain": units.sum(0, keepdims=True)}
    for name, (low, high) in CLASSES.items():
        some = np.flatnonzero((rates >= low) & (rates < high) & ((units > 0).sum(1) >= 8))
        groups[name] = units[chance.permutation(some)[:PRODUCTS]]
    found = {}
    for name, group in groups.items():
        for what in ("days before and after", "days before", "six weeks before"):
            rows = []
            for series in group:
                begin = int(np.flatnonzero(series)[0])
                for n in days:
                    use = known_when(what, hidden, year.is_open, n)
                    use = use[use >= begin]
                    made = fallback.sales({year.dates[m]: int(series[m]) for m in use}, year.dates[n])
                    if made is not None:
                        before = use[(use < n) & (use >= n - 28)]
                        rows.append(
                            (int(series[n]), made, float(series[before].mean()) if len(before) else 0.0)
                        )
            found[f"{name}; {what}"] = measured(rows)
    return found


def stock_series() -> Iterator[tuple[list[fallback.Level], Mapping[date, int]]]:
    """Levels and sales of each product of the sample market."""
    market = list(simulate(STOCK_DAYS, STOCK_PRODUCTS, 5, date(2025, 6, 30), 3))
    for product in range(STOCK_PRODUCTS):
        levels, sold = [], {}
        for day in market:
            lead = round(float(day.catalogue.lead_days[product]))
            sold[day.day] = int(day.sales.quantity[day.sales.product == product].sum())
            for place, name in enumerate(day.catalogue.locations):
                order = int(day.last_reorder[product][place])
                expected = date.fromordinal(order) + timedelta(days=lead) if order else None
                stock, coming = int(day.stock[product][place]), int(day.in_transit[product][place])
                levels.append(fallback.Level(day.day, name, stock, coming, expected))
        yield levels, sold


def inventory() -> dict[str, dict[str, float]]:
    """Coverage of levels that are hidden for one, three and seven days; with and without the sales of these days."""
    found = {}
    everything = list(stock_series())
    chance = np.random.default_rng(2)
    for gap in (1, 3, 7):
        for with_sales in (True, False):
            rows, bounds = [], []
            for levels, sold in everything:
                days = sorted(sold)
                for n in chance.choice(np.arange(100, len(days)), 8, replace=False):
                    lost = set(days[n - gap + 1 : n + 1])
                    known = [level for level in levels if level.day not in lost]
                    told = (
                        sold if with_sales else {day: count for day, count in sold.items() if day not in lost}
                    )
                    made = fallback.inventory(known, told, days[n])
                    if made is not None:
                        truth = sum(level.stock for level in levels if level.day == days[n])
                        before = sum(level.stock for level in levels if level.day == days[n - gap])
                        (rows if made.nominal else bounds).append((truth, made, float(before)))
            name = f"{gap} days, sales {'known' if with_sales else 'missing too'}"
            found[name] = measured(rows)
    return found


def main() -> int:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fallback_real", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--timezone", default="America/New_York", help="business time zone (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args()
    pa.set_cpu_count(1)
    figures = {"sales": sales(Year(args.timezone)), "inventory (made up)": inventory()}
    if args.json:
        print(json.dumps(figures, indent=1))
        return 0
    console = Console(width=200 if not sys.stdout.isatty() else None)
    for name, rows in figures.items():
        console.print(table(name, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
