"""Quality metrics on a retailer's real year: false alarms on clean days, and which injected faults are found.

    python -m benchmarks.quality_real [--timezone ZONE] [--json]

The 364 daily files of `benchmarks.completejourney` (made on first use) are added up to the small daily aggregates that the
metrics look at. Each day from the 85th on is judged as it is, from the past only, and then with one fault at a time:

- a fifth of the lines lost: at random, or the last of the file;
- a store missing: any that is there on nearly every such weekday, or one of the 20 busiest;
- prices x100 in the whole file, or of every twentieth product;
- all lines twice;
- day and month swapped: rows land on another day, or their dates do not exist (13th and later).

Beside each metric stand the plain formulas of the first version on the same days: products sold / products known, and the
z-score of units and revenue within their own 30 days.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.quality_year import Day, Plain, Year
from handlers.quality import accuracy, anomaly, calendar, completeness, consistency, hierarchy, timeliness
from handlers.quality.result import Status

FIRST = 84  # twelve weeks of history before the first day that is judged
MEASURES = ("rows", "units", "revenue")
US_HOLIDAYS = frozenset(
    date(2017, month, day)
    for month, day in [(1, 1), (1, 2), (1, 16), (2, 20), (4, 16), (5, 29), (7, 4), (9, 4), (11, 23), (12, 24), (12, 25)]
)  # fmt: skip


# ---- the judgement of a day ------------------------------------------------------------------------------------


class Judge:
    """What the past says of each day, and how a day is judged by it."""

    def __init__(self, year: Year, *, holidays: bool = True) -> None:
        self.year = year
        self.totals = np.stack([day.totals for day in year.days], axis=1)
        self.places = np.stack([day.places for day in year.days], axis=1)
        here = self.places > 0
        began = np.where(here.any(1), here.argmax(1), here.shape[1])
        self.open = (np.arange(here.shape[1])[None] >= began[:, None]) & year.is_open
        off = [holidays and day in US_HOLIDAYS for day in year.dates]
        self.factors = np.where(off, np.nan, 1.0)
        self.chain_z, self.chain_raw = anomaly.replay(self.totals, year.weekdays, year.is_open, self.factors)
        self.place_z, self.place_raw = anomaly.replay(self.places, year.weekdays, self.open, self.factors)
        self.plain = Plain(year)
        self.prices = self.plain.prices

    def _expect(self, counts: np.ndarray, z: np.ndarray, is_open: np.ndarray, n: int) -> anomaly.Expectation:
        past = slice(max(0, n - anomaly.HISTORY), n)
        use = anomaly.usable(z[:, past], is_open[..., past])
        weekdays = self.year.weekdays
        found = anomaly.expect(counts[:, past], weekdays[past], int(weekdays[n]), use, self.factors[past])
        return found if np.isfinite(self.factors[n]) else anomaly.on_holiday(found, seen=0)

    def usual(self, n: int) -> "Usual":
        """What the past says of day ``n``."""
        same = [day for day in range(n % 7, n, 7) if self.year.is_open[day]]
        names = self.year.place_names
        seen = {day: {names[at] for at in np.flatnonzero(self.places[:, day])} for day in range(n)}
        return Usual(
            keys=completeness.learn([seen[day] for day in same]),
            seen=[keys for day, keys in seen.items() if self.year.is_open[day]],
            chain=self._expect(self.totals, self.chain_z, self.year.is_open, n),
            places=self._expect(self.places, self.place_z, self.open, n),
        )

    def judge(self, n: int, usual: "Usual", day: Day, gone: int | None = None) -> dict[str, bool]:
        """Which alarms ring on a day, and whether they name the place that is gone."""
        past = slice(max(0, n - anomaly.HISTORY), n)
        when = self.year.dates[n]
        names = self.year.place_names
        observed = {names[at] for at in np.flatnonzero(day.places)}
        complete = completeness.completeness(when, observed, usual.keys)
        exact = accuracy.accuracy(day.valid, day.physical)
        before = self.prices[day.products, max(0, n - consistency.PRICE_DAYS) : n]
        price = consistency.consistency(consistency.unit_price(day.prices, before), when)
        z = anomaly.score(day.totals, usual.chain, self.chain_raw[:, past]).z
        place_scores = anomaly.score(day.places, usual.places, self.place_raw[:, past])
        named, surely = (hierarchy.discoveries(place_scores.careful, rate) for rate in (0.05, 0.01))
        under = hierarchy.descend(
            [hierarchy.Level(z[:1]), hierarchy.Level(place_scores.z, np.zeros(len(day.places), np.int64))],
            3.0,
        )
        silent = completeness.silent(usual.seen, observed)
        chain_flag = bool((np.abs(z) > 3).any())
        found = {
            "completeness": complete.status is not Status.PASS,
            "accuracy": exact.status is not Status.PASS and exact.status is not Status.SKIPPED,
            "unit price": price.status not in (Status.PASS, Status.SKIPPED),
            **{f"{name} |z|>2": abs(z[at]) > 2 for at, name in enumerate(MEASURES)},
            **{f"{name} |z|>3": abs(z[at]) > 3 for at, name in enumerate(MEASURES)},
            "chain, any |z|>3": chain_flag,
            "places BH 5%": bool(named.any()),
            "places BH 1%": bool(surely.any()),
            "places under chain": bool(under[1].any()),
            "silent place": bool(silent),
            "… the right place named": gone is not None and (bool(named[gone]) or names[gone] in silent),
        }
        found["any warning or failure"] = (
            found["completeness"] or found["accuracy"] or found["unit price"] or chain_flag
        )
        return found | self.plain.alarms(n, day)


@dataclass(frozen=True)
class Usual:
    keys: completeness.Expected | None
    chain: anomaly.Expectation
    places: anomaly.Expectation
    seen: list[set[str]]  # open days before


# ---- faults ----------------------------------------------------------------------------------------------------


def faults(judge: Judge, n: int, usual: Usual) -> Iterator[tuple[str, Day, int | None]]:
    """The day with one fault at a time, and the place that is gone."""
    year, lines, when = judge.year, judge.year.lines[n], judge.year.dates[n]
    chance = np.random.default_rng(n)
    count = len(lines.product)
    yield "20 % of lines lost", year.add_up(lines.where(chance.random(count) >= 0.2)), None
    yield "20 % cut off at the end", year.add_up(lines.where(np.s_[: int(count * 0.8)])), None
    assert usual.keys is not None
    here = [year.place_names.index(key) for key, p in usual.keys.weights.items() if p > 0.9]
    gone = int(chance.choice([place for place in here if judge.places[place, n] > 0]))
    yield "a store missing", year.add_up(lines.where(lines.place != gone)), gone
    gone = int(chance.choice(np.argsort(-judge.places[:, n - 28 : n].sum(1))[:20]))
    yield "a busy store missing", year.add_up(lines.where(lines.place != gone)), gone
    yield "prices x100", year.add_up(replace(lines, revenue=lines.revenue * 100)), None
    some = np.where(lines.product % 20 == n % 20, 100, 1)
    yield "prices x100, 1 product in 20", year.add_up(replace(lines, revenue=lines.revenue * some)), None
    yield "all lines twice", year.add_up(lines.where(np.r_[np.arange(count), np.arange(count)])), None
    if when.day != when.month:
        nothing = year.add_up(lines.where(np.zeros(count, bool)))
        kind = "DD/MM, lands elsewhere" if when.day <= 12 else "DD/MM, no such date"
        yield kind, nothing if when.day <= 12 else replace(nothing, physical=count), None


# ---- timeliness, small files -----------------------------------------------------------------------------------


def lateness(year: Year, *, working_days: bool) -> dict[str, float]:
    """Simulated arrivals, about 02:00 of the next day, and each day's judgement at 09:00; then each file left out."""
    zone = ZoneInfo("America/New_York")
    chance = np.random.default_rng(1)
    came = []
    for day, is_open in zip(year.dates, year.is_open, strict=True):
        if not is_open or (working_days and day.weekday() > 4):
            continue
        begin = datetime.combine(day + timedelta(days=1), time(2), zone)
        came.append(
            calendar.Arrival(
                day, begin + timedelta(minutes=chance.exponential(20)), f"sales_{day:%Y%m%d}.csv"
            )
        )
    alarms = plain_alarms = named = wrongly = found = plain_found = asked = faulty = 0
    for day in year.dates[FIRST:]:
        as_of = datetime.combine(day + timedelta(days=1), time(9), zone)
        known = [arrival for arrival in came if arrival.at < as_of][-80:]
        asked += 1
        alarm, plain = _late(known, as_of, zone)
        alarms, plain_alarms = alarms + alarm, plain_alarms + plain
        received = {arrival.day for arrival in known}
        plan = calendar.learn(known, day, zone)
        assert plan is not None
        recent = known[-40].day
        wrongly += len(calendar.missing(plan, received, recent, as_of, zone))
        if day not in received:
            continue
        faulty += 1
        lost = [arrival for arrival in known if arrival.day != day]
        later = as_of + timedelta(days=2 if not working_days else 4)
        alarm, plain = _late(lost, later, zone)
        found, plain_found = found + alarm, plain_found + plain
        missing = calendar.missing(plan, received - {day}, recent, as_of, zone)
        named += [one.name for one in missing] == [f"sales_{day:%Y%m%d}.csv"]
    return {
        "days": asked,
        "false alarms per day": alarms / asked,
        "plain: false alarms per day": plain_alarms / asked,
        "silence noticed two (four) days later": found / faulty,
        "plain: the same": plain_found / faulty,
        "files named wrongly as missing, per day": wrongly / asked,
        "missing file named by 09:00": named / faulty,
    }


def _late(known: list[calendar.Arrival], as_of: datetime, zone: ZoneInfo) -> tuple[bool, bool]:
    moments = [arrival.at for arrival in known]
    due = timeliness.next_due(moments, zone)
    result = timeliness.timeliness(as_of, covered=None, arrived=moments[-1], due=due)
    hours = (as_of.astimezone(UTC) - moments[-1].astimezone(UTC)) / timedelta(hours=1)
    return result.status is not Status.PASS, hours > 24


def small_files(year: Year) -> dict[str, dict[str, float]]:
    """The first rows of each real file as a delivery of its own: alarms as they are, and with 3 rows of 10 spoilt."""
    found: dict[str, dict[str, float]] = {}
    chance = np.random.default_rng(2)
    files = [lines.good for lines in year.lines if len(lines.good)]
    for rows in (3, 10, 20, 49):
        clean = [int(good[:rows].sum()) for good in files]
        spoilt = [int((good[:rows] & (chance.random(rows) >= 0.3)).sum()) for good in files]
        for what, counts in (("clean", clean), ("3 of 10 spoilt", spoilt)):
            bounds = [accuracy.wilson(valid, rows) for valid in counts]
            found[f"{rows} rows, {what}"] = {
                "lower bound": float(np.mean([low < 0.95 for low, _ in bounds])),
                "share": float(np.mean([valid / rows < 0.95 for valid in counts])),
                "upper bound (used)": float(
                    np.mean([accuracy.accuracy(v, rows).status is not Status.PASS for v in counts])
                ),
            }
    return found


def price_base_rate(judge: Judge) -> float:
    """Share of clean product-days that break the price rule."""
    broken = evaluated = 0
    for n in range(FIRST, len(judge.year.days)):
        day = judge.year.days[n]
        found = consistency.unit_price(day.prices, judge.prices[day.products, n - consistency.PRICE_DAYS : n])
        broken, evaluated = broken + int(found.violating.sum()), evaluated + int(found.evaluated.sum())
    return broken / evaluated


# ---- the command -----------------------------------------------------------------------------------------------


def measure_days(judge: Judge) -> dict[str, dict[str, float]]:
    """Share of days on which each alarm rings: clean, and per fault."""
    rang: dict[str, list[dict[str, bool]]] = {}
    for n in np.flatnonzero(judge.year.is_open):
        if n < FIRST:
            continue
        usual = judge.usual(n)
        clean = judge.judge(n, usual, judge.year.days[n])
        rang.setdefault("clean days", []).append(clean)
        near = any(abs((judge.year.dates[n] - holiday).days) <= 1 for holiday in US_HOLIDAYS)
        rang.setdefault("clean days, no holiday near", [])
        if not near:
            rang["clean days, no holiday near"].append(clean)
        for name, day, gone in faults(judge, n, usual):
            rang.setdefault(name, []).append(judge.judge(n, usual, day, gone))
    return {
        name: {"days": len(days), **{alarm: float(np.mean([d[alarm] for d in days])) for alarm in days[0]}}
        for name, days in rang.items()
    }


def table(title: str, rows: dict[str, dict[str, float]], *, turned: bool = False) -> Table:
    """Rows and columns of figures; turned: a column for each of the rows."""
    if turned:
        rows = {
            alarm: {name: row[alarm] for name, row in rows.items()} for alarm in next(iter(rows.values()))
        }
    shown = Table("", *(f"{name}" for name in next(iter(rows.values()))), title=title)
    for name, row in rows.items():
        shown.add_row(name, *(f"{v:g}" if v == int(v) and v > 1 else f"{v:.3f}" for v in row.values()))
    return shown


def main() -> int:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality_real", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--timezone", default="America/New_York", help="business time zone (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args()

    year = Year(args.timezone)
    judge = Judge(year)
    found = measure_days(judge)
    # how far holidays differ from an ordinary day: what HOLIDAY_SPREAD stands for
    off = [
        math.log(judge.totals[0, n] / judge.usual(n).chain.mean[0])
        for n, day in enumerate(year.dates)
        if n >= FIRST and day in US_HOLIDAYS and year.is_open[n]
    ]
    figures = {
        "alarms": found,
        "timeliness": {
            "every day": lateness(year, working_days=False),
            "working days": lateness(year, working_days=True),
        },
        "small files": small_files(year),
        "unit price base rate": price_base_rate(judge),
        "holidays": {"days": len(off), "spread of the logarithm": math.sqrt(float(np.mean(np.square(off))))},
    }
    if args.json:
        print(json.dumps(figures, indent=1))
        return 0
    console = Console(width=200 if not sys.stdout.isatty() else None)
    console.print(table("share of days with the alarm", found, turned=True))
    console.print(table("timeliness, simulated arrivals", figures["timeliness"], turned=True))
    console.print(table("alarms of accuracy on small files", figures["small files"]))
    console.print(
        f"holidays: {figures['holidays']}; unit price base rate: {figures['unit price base rate']:.4f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
