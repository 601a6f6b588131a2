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
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from benchmarks import measure, real_year
from benchmarks.quality_daemon import DAY, Site, copied, site
from benchmarks.quality_faults import faults, read_text
from benchmarks.quality_year import Plain, Year
from daemon import logs

ZONE = "America/New_York"
WARM_UP = 85  # files before the first that is judged
PROGRESS = measure.BUILD / "quality_site.json"


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
