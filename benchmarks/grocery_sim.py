"""Which of a simulated store's labelled defects the quality engine finds, and how often it is wrong.

    python -m benchmarks.grocery_sim [--returns accept] [--days N] [--json]

`grocery-sim` simulates a year of a store, and spoils its papers in ten ways, each noted. It lives in an environment of its own:

    uv venv build/grocery-sim && uv pip install --python build/grocery-sim/bin/python --no-deps grocery-sim
    uv pip install --python build/grocery-sim/bin/python numpy pandas pulp openpyxl

Its tables become our feeds, a file a day: receipts are sales (channel pos, the receipt is the transaction), the stock of each
evening is inventory, and what was ordered and had not come by then is in transit. They are loaded day by day by the daemon's own
steps, with default settings, as in `benchmarks.quality_site`. A defect counts as found

- at once: a rejected row, or a broken rule of consistency, is of its receipt, or of its product on its day (a wrong count of
  stock: or on the next day, when it is right again);
- by the count: the same, for its product, until the store counts its stock at the end of the month and so mends it;
- by its day: an alert of any kind speaks about its day; that is compared with the share of all days that have one.
"""

import argparse
import calendar
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from benchmarks import measure
from benchmarks.quality_daemon import DAY, Site, site
from benchmarks.quality_site import kind_of
from daemon import logs
from handlers.quality.product_days import RULES

PYTHON = measure.BUILD / "grocery-sim" / "bin" / "python"
YEAR = measure.BUILD / "grocery-sim-year"
SIMULATE = """
import sys
from pathlib import Path
from grocery_sim import GroceryStoreSimulation
GroceryStoreSimulation().setup({}).simulate(out_dir=Path(sys.argv[1]))
"""
WARM_UP = 60  # days before the first of which alerts are counted
UNSEEN = {
    "category_typo": "promotions are no feed",
    "weather_outage": "weather is no feed",
    "payment_variant": "sales have no column for the payment",
    "hour_glitch": "a time of 00:00 is a time, and nothing is known of opening hours",
}


# ---- the simulated year, as feeds -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Store:
    """The year's papers, and what is wrong with them; days are ISO dates."""

    sales: dict[str, pd.DataFrame]
    stock: dict[str, pd.DataFrame]
    receipts: pd.DataFrame
    labels: pd.DataFrame


def simulated() -> Path:
    """The folder of the simulated year, made on first use; ends the benchmark if the package is missing."""
    made = YEAR / "hidden" / "imperfections.csv"
    if not made.exists():
        found = PYTHON.exists() and measure.run(
            [PYTHON, "-c", "import grocery_sim"], log=YEAR.with_suffix(".log")
        )
        if not found or found.status:
            print(
                f"skipped: the package grocery-sim is not installed for {PYTHON}; see the top of {Path(__file__).name}"
            )
            sys.exit(0)
        measure.must_run([PYTHON, "-c", SIMULATE, YEAR], log=YEAR.with_suffix(".log"))
    return YEAR


def read(folder: Path) -> Store:
    """The year as feed files, a table per day."""
    papers = folder / "visible"
    receipts = pd.read_csv(papers / "receipts.csv")
    receipts["revenue"] = (receipts["qty"] * receipts["unit_price"]).map("{:.2f}".format)
    sales = pd.DataFrame(
        {
            "date": receipts["date"] + "T" + receipts["hour"].map("{:02}:00:00".format),
            "product_id": receipts["uid"],
            "channel": "pos",
            "quantity_sold": receipts["qty"].astype(str),
            "revenue": receipts["revenue"],
            "promotion_code": receipts["promo"].map({0: "", 1: "PROMO"}),
            "location": "store",
            "transaction_id": receipts["receipt_id"].astype(str),
        }
    )
    levels = pd.read_csv(papers / "inventory_eod.csv")
    stock = pd.DataFrame(
        {
            "date": levels["date"] + "T22:00:00",
            "product_id": levels["uid"],
            "location": "store",
            "stock_level": levels["on_hand"].astype(str),
            "in_transit": _in_transit(levels, pd.read_csv(papers / "procurement.csv")).astype(str),
        }
    )
    return Store(
        {f"{day}": rows for day, rows in sales.groupby(receipts["date"])},
        {f"{day}": rows for day, rows in stock.groupby(levels["date"])},
        receipts,
        pd.read_csv(folder / "hidden" / "imperfections.csv").fillna(""),
    )


def _in_transit(levels: pd.DataFrame, bought: pd.DataFrame) -> pd.Series:
    """Units of each product that were ordered by a day and came later; an invoice posted twice was ordered once."""
    orders = bought.drop_duplicates(["uid", "qty", "unit_cost", "order_date", "delivery_date"])
    changes = pd.concat(
        [
            orders[["uid", "order_date", "qty"]].set_axis(["uid", "date", "change"], axis=1),
            orders[["uid", "delivery_date", "qty"]]
            .set_axis(["uid", "date", "change"], axis=1)
            .assign(change=-orders["qty"].to_numpy()),
        ]
    )
    each = changes.groupby(["uid", "date"])["change"].sum()
    daily = each.reindex(pd.MultiIndex.from_frame(levels[["uid", "date"]]), fill_value=0).reset_index()
    daily["row"] = levels.index
    daily = daily.sort_values(["uid", "date"])
    daily["open"] = daily.groupby("uid")["change"].cumsum()
    return daily.set_index("row")["open"].reindex(levels.index).clip(lower=0)


# ---- the run --------------------------------------------------------------------------------------------------------


@dataclass
class Found:
    """What the engine said.

    Attributes:
        days: of the year, each with the alerts that spoke of it.
        told: the alerts, each with the day on which it was told.
        rejects: (feed, ISO day, product, transaction) of each rejected row.
        broken: (ISO day, product) to the rules that were broken.
        judged: product-days per rule.
        files: by status.
        following: seconds per delivery.
    """

    days: list[str] = field(default_factory=list)
    told: list[Mapping[str, Any]] = field(default_factory=list)
    rejects: set[tuple[str, str, str, str]] = field(default_factory=set)
    broken: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    judged: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    following: list[float] = field(default_factory=list)


def run(store: Store, returns: str, most: int | None) -> Found:
    """Loads the year day by day, and reads what was said."""
    found = Found(days=sorted(store.stock)[:most])
    # days are read at the end: nothing of them may be pruned before
    terms = {"feeds": {"sales": {"returns": returns}}, "features": {"keep_days": 400}}
    before = 0
    with measure.workspace() as home, site(home, terms) as own:
        own.whole = True
        for text_day in found.days:
            day = date.fromisoformat(text_day)
            came = datetime.combine(day + DAY, clock(2), UTC)
            own.hours(day + DAY, came - timedelta(hours=12), came)
            for minutes, (feed, days) in enumerate((("sales", store.sales), ("inventory", store.stock))):
                if text_day in days:
                    rows = pa.Table.from_pandas(days[text_day], preserve_index=False)
                    own.send(f"{feed}_data_{day:%Y%m%d}.csv", rows, came + timedelta(minutes=10 * minutes))
                    own.follow()
            own.hours(day + DAY, came + timedelta(minutes=10), came + DAY)
            found.told += [{**alert, "on": text_day} for alert in own.told(before)]
            before = own.last_notice()
        found.following = [sum(each) for each in own.following]
        _read_out(own, store, found)
    return found


def _read_out(own: Site, store: Store, found: Found) -> None:
    papers = {"sales": store.sales, "inventory": store.stock}
    with own.store.engine.connect() as connection:
        ask = "SELECT file_type, status, slot, id FROM data_ingestion_log"
        slots = {}
        for feed, status, slot, which in connection.execute(text(ask)):
            slots[which] = (feed, slot.split(":")[1])
            found.files[f"{feed} {status}"] = found.files.get(f"{feed} {status}", 0) + 1
        for which, line in connection.execute(text("SELECT delivery_id, line FROM rejected_rows")):
            feed, day = slots[which]
            row = papers[feed][day].iloc[line - 2]
            found.rejects.add((feed, day, row["product_id"], row.get("transaction_id", "")))
        for day, product, evaluated, violating in connection.execute(
            text("SELECT CAST(day AS TEXT), product_id, evaluated, violating FROM rule_days")
        ):
            names = [str(rule) for at, (rule, _) in enumerate(RULES) if violating >> at & 1]
            for at, (rule, _) in enumerate(RULES):
                found.judged[rule] = found.judged.get(rule, 0) + (evaluated >> at & 1)
            if names:
                found.broken[day, product] = names


# ---- what was found -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Label:
    """A defect: its kind, receipt and products, and the days on which it shows at once, and later."""

    kind: str
    day: str
    receipt: str
    products: frozenset[str]
    at_once: frozenset[str]
    later: frozenset[str]


def labels(store: Store, days: Sequence[str]) -> list[Label]:
    """The defects of some days."""
    products = store.receipts.groupby("receipt_id")["uid"].agg(frozenset)
    found = []
    for row in store.labels.itertuples():
        if row.date not in days:
            continue
        day = date.fromisoformat(row.date)
        last = day.replace(day=calendar.monthrange(day.year, day.month)[1])
        month = [f"{day + n * DAY}" for n in range((last - day).days + 1)]
        receipt = row.key if row.table == "receipts" else ""
        at_once = {row.date, f"{day + DAY}"} if row.kind == "snapshot_typo" else {row.date}
        its = products[int(receipt)] if receipt else frozenset({row.key})
        found.append(Label(row.kind, row.date, receipt, its, frozenset(at_once), frozenset(month)))
    return found


def score(store: Store, found: Found) -> dict[str, Any]:
    """Per kind, what was found; and what was said of things with which nothing was wrong."""
    known = labels(store, found.days)
    receipts = {receipt for feed, _, _, receipt in found.rejects if feed == "sales"}
    named = set(found.broken) | {
        (day, product) for feed, day, product, _ in found.rejects if feed == "inventory"
    }
    alarmed = {f"{alert['day']}" for alert in found.told if alert["day"] is not None}
    urgent = {f"{a['day']}" for a in found.told if a["day"] is not None and a["severity"] != "info"}
    kinds: dict[str, dict[str, Any]] = {}
    for label in sorted(known, key=lambda label: label.kind):
        its = kinds.setdefault(
            label.kind, {"total": 0, "at once": 0, "by the count": 0, "its day": 0, "its day, warning": 0}
        )
        at_once = label.receipt in receipts and label.kind not in UNSEEN
        goods = label.kind not in UNSEEN and label.kind != "void_pair"  # nothing of it moved any goods
        at_once |= goods and any(
            (day, product) in named for day in label.at_once for product in label.products
        )
        later = goods and any((day, product) in named for day in label.later for product in label.products)
        its["total"] += 1
        its["at once"] += at_once
        its["by the count"] += at_once or later
        its["its day"] += label.day in alarmed
        its["its day, warning"] += label.day in urgent
    for kind, why in UNSEEN.items():
        kinds.get(kind, {})["why"] = why
    return {"kinds": kinds, **_wrongly(store, found, known, named, alarmed, urgent)}


def _wrongly(
    store: Store,
    found: Found,
    known: Sequence[Label],
    named: set[tuple[str, str]],
    alarmed: set[str],
    urgent: set[str],
) -> dict[str, Any]:
    touched = {
        (day, product) for label in known for day in label.at_once | label.later for product in label.products
    }
    rules: dict[str, dict[str, float]] = {}
    for rule, count in found.judged.items():
        broken = [key for key, names in found.broken.items() if rule in names]
        alone = sum(key not in touched for key in broken)
        rules[str(rule)] = {
            "judged": count,
            "broken": len(broken),
            "broken, no defect since the last count": alone,
        }
    spoilt = {label.receipt for label in known if label.kind == "void_pair"}
    later = set(found.days[WARM_UP:])
    told = [alert for alert in found.told if alert["on"] in later]
    kinds: dict[str, int] = {}
    for alert in told:
        kind = f"{alert['feed']}: {kind_of(alert)}"
        kinds[kind] = kinds.get(kind, 0) + 1
    return {
        "days": len(found.days),
        "product-days": sum(len(store.stock[day]) for day in found.days),
        "product-days with a defect since the last count": len(touched),
        "product-days named": len(named),
        "product-days named, no defect since the last count": len(named - touched),
        "rules": rules,
        "rejected receipts' rows": len([1 for feed, *_ in found.rejects if feed == "sales"]),
        "of them no void": len([1 for feed, _, _, r in found.rejects if feed == "sales" and r not in spoilt]),
        "rejected stock rows": len([1 for feed, *_ in found.rejects if feed == "inventory"]),
        "share of days with an alert": len(alarmed & set(found.days)) / len(found.days),
        "share of days with a warning or worse": len(urgent & set(found.days)) / len(found.days),
        "alerts told, after the warm-up": kinds,
        "a day": len(told) / max(1, len(later)),
        "warnings and worse a day": sum(a["severity"] != "info" for a in told) / max(1, len(later)),
        "files": found.files,
        "median ms after a file": 1_000 * sorted(found.following)[len(found.following) // 2],
        "loudest": [
            f"{a['on']} {a['rule']} {a['severity']} {a['feed']} {a['scope']} {a['day']}: {a['summary']}"
            for a in told
            if a["severity"] != "info"
        ],
    }


def show(said: Mapping[str, Any]) -> None:
    """Prints it."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    table = Table("defect", "labelled", "at once", "by the count", "its day", "its day, warning", "why not")
    for kind, its in said["kinds"].items():
        numbers = (
            f"{its[name]}" for name in ("total", "at once", "by the count", "its day", "its day, warning")
        )
        table.add_row(kind, *numbers, its.get("why", ""))
    console.print(table)
    console.print({key: value for key, value in said.items() if key != "kinds"})


def main() -> int:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.grocery_sim", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--returns",
        choices=("accept", "reject"),
        default="reject",
        help="feeds.sales.returns (default: %(default)s)",
    )
    parser.add_argument("--days", type=int, metavar="N", help="only the first N days")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args()
    measure.BUILD.mkdir(exist_ok=True)
    store = read(simulated())
    with (measure.BUILD / "grocery_sim.log").open("w") as log:
        logs.configure("error", "json", log.fileno())
        said = score(store, run(store, args.returns, args.days))
        logs.shutdown()
    if args.json:
        print(json.dumps(said, indent=1))
    else:
        show(said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
