"""The quality engine as the daemon runs it, on a retailer's real year: alerts of clean days, and of days with a fault.

    python -m benchmarks.quality_site [--whole] [--country US] [--every 9] [--days N] [--scratch DIR] [--json]

The daily files of `benchmarks.completejourney` are loaded one business day after the other into a site with default
settings (SQLite, business time of New York). Each arrives about 02:00 of the next day; what follows it is done, the watch ticks
and the courier makes letters at that moment and some hours of the day. The clock is the files', never the wall's.

From the 86th file on each alert that a letter tells of is counted: nothing is wrong with these files, so it is a false alarm
(or a true one of the year itself: Christmas has no file). On every ninth day each fault is injected into a copy of the
database as it was the day before, and judged there at once and at 09:00.

The products that a day did not touch are left out unless ``--whole`` is given: they cost most of the time, and no alert
comes of them. What was found so far stands in build/quality_site.json.
"""

import argparse
import json
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from benchmarks import measure, real_year
from benchmarks.quality_real import Lines, Plain, Year
from daemon import logs
from daemon.after import features, quality
from daemon.after.steps import AfterSteps
from daemon.alerts.courier import Courier
from daemon.claims import Claim
from daemon.config import load_settings
from daemon.ingest import settle
from daemon.outcomes import Delivery, Outcome
from daemon.reading import Rules
from daemon.settings import Settings
from daemon.store import Store

ZONE = "America/New_York"
WARM_UP = 85  # files before the first that is judged
TICKS = (0, 3.1, 7.01, 9, 15, 21)  # hours of the day at which the watch looks, besides a minute after a file
DAY = timedelta(days=1)
PROGRESS = measure.BUILD / "quality_site.json"
TOLD = """
SELECT n.id, n.kind, a.rule, a.severity, a.feed, a.scope, a.day, a.summary, n.letter_id, n.created_at
FROM notices AS n JOIN alerts AS a ON a.id = n.alert_id WHERE n.kind = 'firing' AND n.id > :after ORDER BY n.id
"""


# ---- a site whose clock is the files' -------------------------------------------------------------------------------


@dataclass
class Site:
    """A daemon's database, and what the daemon does with a file, at moments that are given.

    Attributes:
        settings: the defaults, but for the zone.
        store: its database.
        loading: seconds of each delivery, to its commit.
        following: seconds of what followed each: features of its products, judgement, features of the other products.
        whole: whether the others are brought up to date.
    """

    settings: Settings
    store: Store
    loading: list[float] = field(default_factory=list)
    following: list[tuple[float, float, float]] = field(default_factory=list)
    whole: bool = False

    def send(self, name: str, rows: pa.Table | bytes, arrived: datetime) -> Outcome:
        """Loads a file that arrived at a moment, and nothing more."""
        with tempfile.TemporaryDirectory() as folder:
            claim = Claim(secrets.token_hex(8), Path(folder), name, lock=-1)
            claim.room.mkdir()
            if isinstance(rows, bytes):
                claim.path.write_bytes(rows)
            else:
                csv.write_csv(rows, claim.path)
            begun = time.perf_counter()
            delivery = Delivery(claim.id, name, arrived.astimezone(UTC))
            outcome = settle(claim, delivery, Rules.of(self.settings), self.store)
            self.loading.append(time.perf_counter() - begun)
        self.store.filed(outcome.delivery_id, f"processed/{name}")
        return outcome

    def follow(self) -> None:
        """What follows the deliveries; ends the benchmark if a step failed."""
        moments = [time.perf_counter()]
        while self._count("due_products"):
            features.advance(self.store, self.settings)
        moments.append(time.perf_counter())
        while quality.judge(self.store, self.settings):
            pass
        moments.append(time.perf_counter())
        if self.whole:
            AfterSteps(self.store, self.settings).run()
        moments.append(time.perf_counter())
        first, second, third = (b - a for a, b in pairwise(moments))
        self.following.append((first, second, third))
        if self._count("due_products") + self._count("due_days"):
            sys.exit("a step after a delivery failed: see the log")

    def _count(self, table: str) -> int:
        with self.store.engine.connect() as connection:
            return int(connection.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one())

    def tick(self, now: datetime) -> None:
        """What time brings about."""
        AfterSteps(self.store, self.settings).tick(now.astimezone(UTC))

    def letters(self, now: datetime) -> None:
        """The courier's round: notices become letters."""
        at = now.astimezone(UTC)
        courier = Courier(self.settings, lambda: self.store, clock=lambda: at)
        courier.round()

    def hours(self, day: date, since: datetime, until: datetime) -> None:
        """The watch and the courier at some hours of a day, after one moment and before another."""
        for hour in TICKS:
            now = datetime.combine(day, clock(), since.tzinfo) + timedelta(hours=hour)
            if since < now < until:
                self.tick(now)
                self.letters(now + timedelta(minutes=2))

    def told(self, after: int = 0) -> list[Mapping[str, Any]]:
        """The alerts that began since a notice and were, or wait to be, told."""
        with self.store.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(TOLD), {"after": after}).mappings()]

    def last_notice(self) -> int:
        """The number of the newest notice."""
        with self.store.engine.connect() as connection:
            return int(connection.execute(text("SELECT COALESCE(MAX(id), 0) FROM notices")).scalar_one())

    def close(self) -> None:
        """Closes the database."""
        self.store.close()


@contextmanager
def site(folder: Path, settings: Mapping[str, Any]) -> Iterator[Site]:
    """A site on a folder.

    Args:
        folder: holds, or will hold, ``stockgrip.db``.
        settings: those that are not the defaults.
    """
    own = Settings.model_validate({**load_settings(None, {}).model_dump(), **settings, "data_dir": folder})
    own = own.model_copy(update={"data_dir": folder})
    found = Site(own, Store.open(f"sqlite:///{folder / 'stockgrip.db'}"))
    try:
        yield found
    finally:
        found.close()


@contextmanager
def copied(of: Site, scratch: Path) -> Iterator[Site]:
    """A copy of a site's database as it is now, to try something on."""
    with of.store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    with tempfile.TemporaryDirectory(dir=scratch, prefix="copy-") as folder:
        shutil.copyfile(of.settings.data_dir / "stockgrip.db", Path(folder, "stockgrip.db"))
        copy = Site(of.settings, Store.open(f"sqlite:///{folder}/stockgrip.db"))
        try:
            yield copy
        finally:
            copy.close()


# ---- faults ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """What arrives of a day, and the same lines for the plain formulas.

    Attributes:
        files: suffix after the date, and rows.
        lines: all that would be loaded.
    """

    files: dict[str, pa.Table]
    lines: Lines


def faults(year: Year, n: int, rows: pa.Table) -> Iterator[tuple[str, Fault]]:
    """One day with each fault; ``rows`` is its file as text."""
    chance, lines, when = np.random.default_rng(n), year.lines[n], year.dates[n]
    count = len(lines.product)

    def some(kept: np.ndarray) -> Fault:
        return Fault({"": rows.filter(pa.array(kept))}, lines.where(kept))

    def dearer(factor: np.ndarray) -> Fault:
        cents = pc.multiply(pc.cast(rows["revenue"], pa.float64()), pa.array(factor.astype(float)))
        written = pa.array([f"{value:.2f}" for value in cents.to_pylist()])
        changed = rows.set_column(rows.schema.get_field_index("revenue"), "revenue", written)
        return Fault({"": changed}, Lines(lines.product, lines.place, lines.units, lines.revenue * factor))

    yield "nothing wrong", Fault({"": rows}, lines)
    yield "a fifth of the lines lost", some(chance.random(count) >= 0.2)
    busy = np.argsort(-year.busy(n))[:20]
    gone = int(chance.choice(busy))
    yield "a busy store missing", some(lines.place != gone)
    yield "prices x100", dearer(np.full(count, 100))
    yield "prices x100, 1 product in 20", dearer(np.where(lines.product % 20 == n % 20, 100, 1))
    both = np.r_[np.arange(count), np.arange(count)]
    twice = {"": rows, "_again": rows.take(pa.array(np.arange(count)[::-1]))}
    yield "delivered twice, two sources", Fault(twice, lines.where(both))
    yield "all lines twice in one file", Fault({"": rows.take(pa.array(both))}, lines.where(both))
    if when.day != when.month:
        dates = rows["date"].to_pylist()
        swapped = pa.array([f"{each[:4]}-{each[8:10]}-{each[5:7]}{each[10:]}" for each in dates])
        kind = "DD/MM, lands elsewhere" if when.day <= 12 else "DD/MM, no such date"
        flipped = {"": rows.set_column(rows.schema.get_field_index("date"), "date", swapped)}
        yield kind, Fault(flipped, lines.where(np.zeros(count, bool)))


def read_text(path: Path) -> pa.Table:
    """A file's cells as they are written."""
    names = path.open().readline().strip().split(",")
    return csv.read_csv(
        path, convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    )


# ---- the year -------------------------------------------------------------------------------------------------------


@dataclass
class Found:
    """What the year showed.

    Attributes:
        days: files that were judged.
        told: alerts of clean days, each with the business day on which it was told.
        rang: per fault and day, the alerts that the copy told.
        plain: per fault and day, the plain formulas.
        loading: seconds per file.
        following: seconds per file of the steps after it, in three parts.
        seconds: of the whole year, without the faults.
        megabytes: of the database at the end.
    """

    days: int = 0
    told: list[Mapping[str, Any]] = field(default_factory=list)
    rang: dict[str, list[list[Mapping[str, Any]]]] = field(default_factory=dict)
    plain: dict[str, list[dict[str, bool]]] = field(default_factory=dict)
    loading: list[float] = field(default_factory=list)
    following: list[tuple[float, float, float]] = field(default_factory=list)
    seconds: float = 0.0
    megabytes: float = 0.0


def run(
    every: int, most: int | None, terms: Mapping[str, Any], scratch: Path | None, *, whole: bool
) -> Found:
    """Runs the year.

    Args:
        every: so many days after each other have faults injected; 0: none.
        most: files; None: all.
        terms: settings of quality.
        scratch: where copies go.
        whole: with the products that a day did not touch.
    """
    folder, files = real_year.feeds(ZONE, transaction_ids=False)
    names = dict(list(files.items())[:most])
    year, zone, chance = Year(ZONE), ZoneInfo(ZONE), np.random.default_rng(1)
    plain, found, before = Plain(year), Found(), 0
    with measure.workspace() as home, site(home, {"timezone": ZONE, "quality": terms}) as own:
        own.whole, found.loading, found.following = whole, own.loading, own.following
        for n, day in enumerate(year.dates[: (date.fromisoformat(max(names)) - year.dates[0]).days + 1]):
            came = datetime.combine(day + DAY, clock(2), zone) + timedelta(minutes=chance.exponential(20))
            name = f"sales_data_{day:%Y%m%d}"
            judged = n >= WARM_UP
            if f"{day}" in names:
                rows = read_text(folder / names[f"{day}"]["file"])
                if every and judged and n % every == WARM_UP % every:
                    _inject(own, found, plain, n, rows, came, scratch or home)
                begun = time.perf_counter()
                own.hours(day + DAY, came - timedelta(hours=12), came)
                own.send(f"{name}.csv", rows, came)
                own.follow()
                own.tick(came + timedelta(minutes=1))
                own.letters(came + timedelta(minutes=2))
                found.days += judged
            else:
                begun = time.perf_counter()
            own.hours(day + DAY, came, came + DAY)
            found.seconds += time.perf_counter() - begun
            new = own.told(before)
            before = own.last_notice()
            found.told += [{**alert, "on": day} for alert in new if judged]
            found.megabytes = (home / "stockgrip.db").stat().st_size / 1e6
            if found.days and n % 10 == 0:
                PROGRESS.write_text(json.dumps({"upto": f"{day}", **figures(found)}, indent=1))
        found.megabytes = (home / "stockgrip.db").stat().st_size / 1e6
    return found


def _inject(
    own: Site, found: Found, plain: Plain, n: int, rows: pa.Table, came: datetime, scratch: Path
) -> None:
    day = plain.year.dates[n]
    before = own.last_notice()
    for kind, fault in faults(plain.year, n, rows):
        with copied(own, scratch) as copy:
            for minutes, (suffix, its) in enumerate(fault.files.items()):
                copy.send(f"sales_data_{day:%Y%m%d}{suffix}.csv", its, came + timedelta(minutes=10 * minutes))
                copy.follow()
            copy.tick(datetime.combine(day + DAY, clock(9), came.tzinfo))
            found.rang.setdefault(kind, []).append(copy.told(before))
        added = plain.year.add_up(fault.lines)
        found.plain.setdefault(kind, []).append(plain.alarms(n, added))


# ---- what is said of it ---------------------------------------------------------------------------------------------


def kind_of(alert: Mapping[str, Any]) -> str:
    """Rule, what kind of thing it is about, and severity."""
    scope = alert["scope"]
    head = scope.split(":")[0] if alert["rule"] != "consistency" else scope.removeprefix("rule:")
    if alert["rule"] == "anomaly_score":
        parts = scope.split("|")
        head = parts[0].removeprefix("measure:")
        head += {1: ", the chain"}.get(len(parts), ", a product" if "product:" in scope else ", a place")
    return f"{alert['rule']}{f' ({head})' if head else ''}, {alert['severity']}"


def clean(found: Found) -> dict[str, dict[str, float]]:
    """Per kind: alerts told a day, and the share of days with one."""
    kinds: dict[str, list[date]] = {}
    for alert in found.told:
        for kind in {kind_of(alert), f"any {alert['severity']}", "any"}:
            kinds.setdefault(kind, []).append(alert["on"])
        if alert["severity"] != "info":
            kinds.setdefault("any critical or warning", []).append(alert["on"])
    return {
        kind: {"alerts": len(on), "a day": len(on) / found.days, "days with one": len(set(on)) / found.days}
        for kind, on in sorted(kinds.items())
    }


def detected(found: Found) -> dict[str, dict[str, float]]:
    """Per fault: the share of days with an alert of each rule, and with each alarm of the plain formulas."""
    rows = {}
    for kind, days in found.rang.items():
        its: dict[str, float] = {"days": len(days)}
        its["any"] = share(bool(told) for told in days)
        its["critical or warning"] = share(any(a["severity"] != "info" for a in told) for told in days)
        for rule in RULES:
            its[rule] = share(any(_is(rule, alert) for alert in told) for told in days)
        rows[kind] = its | {name: share(d[name] for d in found.plain[kind]) for name in found.plain[kind][0]}
    return rows


RULES = (
    "refused_file",
    "accuracy",
    "completeness",
    "consistency: unit_price",
    "missing_file",
    "timeliness",
    "anomaly_score, warning",
    "anomaly_score, info",
    "… of the chain, any",
)


def _is(rule: str, alert: Mapping[str, Any]) -> bool:
    if rule.startswith("…"):
        return bool(alert["rule"] == "anomaly_score" and "|" not in alert["scope"])
    name, _, severity = rule.partition(", ")
    name, _, scope = name.partition(": ")
    return (
        alert["rule"] == name
        and severity in ("", alert["severity"])
        and (not scope or alert["scope"] == f"rule:{scope}")
    )


def share(those: Iterable[bool]) -> float:
    """Of those that are true."""
    return statistics.fmean(those)


def figures(found: Found) -> dict[str, Any]:
    """All of it, for JSON."""

    def spread(seconds: list[float]) -> dict[str, float]:
        ms = sorted(1_000 * each for each in seconds)
        return {"median ms": statistics.median(ms), "p95 ms": ms[int(len(ms) * 0.95)], "longest ms": ms[-1]}

    return {
        "judged files": found.days,
        "clean": clean(found),
        "faults": detected(found),
        "seconds, the year": found.seconds,
        "loading": spread(found.loading),
        **{
            f"then {what}": spread([each[part] for each in found.following])
            for part, what in enumerate(("features of its products", "judgement", "features of the others"))
        },
        "then all of it": spread([sum(each) for each in found.following]),
        "database, MB": found.megabytes,
        "letters": len({alert["letter_id"] for alert in found.told if alert["letter_id"]}),
        "untold": sum(alert["letter_id"] is None for alert in found.told),
        "busiest days": Counter(f"{alert['on']}" for alert in found.told).most_common(10),
        "loudest": [
            {key: f"{alert[key]}" for key in ("on", "rule", "severity", "scope", "day", "summary")}
            for alert in found.told
            if alert["severity"] != "info"
        ],
    }


def show(said: Mapping[str, Any]) -> None:
    """Prints it."""
    console = Console(width=None if sys.stdout.isatty() else 200)
    table = Table("alert", "alerts", "a day", "days with one", title=f"{said['judged files']} clean days")
    for kind, its in said["clean"].items():
        table.add_row(kind, f"{its['alerts']:.0f}", f"{its['a day']:.3f}", f"{its['days with one']:.3f}")
    console.print(table)
    if said["faults"]:
        rows = Table("share of days with an alert", *said["faults"], title="faults")
        for name in next(iter(said["faults"].values())):
            values = [its[name] for its in said["faults"].values()]
            rows.add_row(name, *(f"{v:.0f}" if name == "days" else f"{v:.2f}" for v in values))
        console.print(rows)
    rest = {
        key: value for key, value in said.items() if key not in ("clean", "faults", "loudest", "judged files")
    }
    console.print(rest)


def main() -> int:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality_site", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--country", help="quality.country (default: none, as in the settings)")
    parser.add_argument(
        "--every", type=int, default=9, metavar="N", help="inject faults on every Nth day; 0: never"
    )
    parser.add_argument(
        "--whole", action="store_true", help="with the products that a day did not touch: all the cost"
    )
    parser.add_argument("--days", type=int, metavar="N", help="only the first N files")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="where copies of the database go")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args()
    measure.BUILD.mkdir(exist_ok=True)
    with (measure.BUILD / "quality_site.log").open("w") as log:
        logs.configure("error", "json", log.fileno())
        said = figures(run(args.every, args.days, {"country": args.country}, args.scratch, whole=args.whole))
        logs.shutdown()
    if args.json:
        print(json.dumps(said, indent=1))
    else:
        show(said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
