"""What the tables must hold, worked out from the files in plain Python: csv, Decimal and dictionaries.

Nothing of the program is used but its declarations of names, so that a mistake of the program is not repeated here.
"""

import csv
import hashlib
import io
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from support.dump import Dump, Row, in_order

TABLES = {"sales": "live_sales_data", "inventory": "live_inventory_updates", "demand": "live_demand_signals"}
LIVE = {**TABLES, "products": "live_products"}  # the last has no daily aggregate
_DEFAULTS: dict[str, dict[str, Any]] = {
    "sales": {"customer_segment": "regular", "fulfillment_method": "warehouse"},
    "inventory": {"reserved_stock": 0, "in_transit": 0},
    "demand": {"weather_factor": "normal", "event_impact": "none"},
    "products": {},
}
_COLUMNS = {
    "sales": (
        *("date", "product_id", "channel", "quantity_sold", "revenue", "customer_segment", "promotion_code"),
        *("fulfillment_method", "location", "transaction_id"),
    ),
    "inventory": (
        *("date", "product_id", "location", "stock_level", "reserved_stock", "in_transit", "supplier_id"),
        "last_reorder_date",
    ),
    "demand": (
        *("date", "product_id", "external_demand", "market_trend", "competitor_price", "weather_factor"),
        *("event_impact", "social_sentiment"),
    ),
    "products": (
        *("date", "product_id", "name", "category", "unit_cost", "selling_price", "lead_time_days"),
        *("lead_time_std_days", "shelf_life_days", "min_order_quantity", "max_order_quantity", "pack_size"),
        "supplier_id",
    ),
}
_INTEGERS = {
    *("quantity_sold", "stock_level", "reserved_stock", "in_transit"),
    *("shelf_life_days", "min_order_quantity", "max_order_quantity", "pack_size"),
}
_MONEY = {"revenue", "competitor_price", "unit_cost", "selling_price"}
_SIGNALS = {"market_trend", "social_sentiment", "lead_time_days", "lead_time_std_days"}
_WORDS = {
    "channel",
    "customer_segment",
    "fulfillment_method",
    "external_demand",
    "weather_factor",
    "event_impact",
}
_TIMES = {"date", "last_reorder_date"}
_E4, _E6 = Decimal(10_000), Decimal(1_000_000)


def label(name: str, content: bytes) -> str:
    """How a dump names a delivery."""
    return f"{name} {hashlib.sha256(content).hexdigest()[:12]}"


@dataclass
class _Delivery:
    label: str
    feed: str
    slot: str | None
    content: bytes
    rows: list[Row]


@dataclass
class Oracle:
    """Loads files one after the other, and says what the tables hold then."""

    _deliveries: list[_Delivery] = field(default_factory=list)
    _superseded: list[_Delivery] = field(default_factory=list)
    _seen: set[tuple[str | None, bytes]] = field(default_factory=set)

    def load(self, name: str, content: bytes, rejected: Iterable[int] = ()) -> None:
        """Loads a comma-separated UTF-8 file; rows on the `rejected` lines are left out."""
        stem = name.removesuffix(".csv")
        feed = stem.split("_")[0]
        dated = re.search(r"_(\d{8})", stem)
        slot = stem if dated else None
        known = slot if feed == "products" else None, content  # its rows have their day from the name
        if known in self._seen:
            return
        self._seen.add(known)
        replaced = [d for d in self._deliveries if slot is not None and d.slot == slot]
        self._superseded += replaced
        self._deliveries = [d for d in self._deliveries if d not in replaced]
        day = dated[1] if dated and feed == "products" else ""
        rows = _rows(feed, label(name, content), content, set(rejected), day)
        self._deliveries.append(_Delivery(label(name, content), feed, slot, content, rows))

    def tables(self) -> Dump:
        """Rows, rows that stepped back, aggregates and products, as `dump(by_name=True)` gives them."""
        live: dict[str, list[Row]] = {feed: [] for feed in LIVE}
        shadowed: dict[str, list[Row]] = {feed: [] for feed in LIVE}
        latest: dict[tuple[Any, ...], Row] = {}
        for delivery in self._superseded:
            shadowed[delivery.feed] += delivery.rows
        for delivery in self._deliveries:
            for row in delivery.rows:
                key = _key(delivery.feed, row)
                if key is None:
                    live[delivery.feed].append(row)
                    continue
                if key in latest:
                    shadowed[delivery.feed].append(latest[key])
                latest[key] = row
        for key, row in latest.items():
            live[key[0]].append(row)
        found = {LIVE[feed]: in_order(rows) for feed, rows in live.items()}
        found |= {f"{LIVE[feed]}_shadowed": in_order(rows) for feed, rows in shadowed.items()}
        return found | aggregates(found)


def aggregates(live: Dump) -> Dump:
    """The daily tables and `products` that belong to live rows."""
    found = {
        "sales_daily": _sales_daily(live[TABLES["sales"]]),
        "inventory_daily": _inventory_daily(live[TABLES["inventory"]]),
        "demand_daily": _demand_daily(live[TABLES["demand"]]),
    }
    found["scope_daily"] = _scope_daily(found)
    found["hour_daily"] = _hour_daily(live[TABLES["sales"]])
    first: dict[str, str] = {}
    for table in TABLES.values():
        for row in live[table]:
            first[row["product_id"]] = min(row["date"][:10], first.get(row["product_id"], "9999"))
    found["products"] = [{"product_id": product, "first_seen": day} for product, day in first.items()]
    return {name: in_order(rows) for name, rows in found.items()}


def _rows(feed: str, owner: str, content: bytes, rejected: set[int], day: str) -> list[Row]:
    reader = csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True)
    reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
    rows: list[Row] = []
    last: dict[tuple[Any, ...], int] = {}
    numbers: dict[tuple[Any, ...], int] = defaultdict(int)
    for cells in reader:
        if reader.line_num in rejected:
            continue
        row: Row = {"delivery": owner, "line": reader.line_num}
        for column in _COLUMNS[feed]:
            row[column] = _value(feed, column, (cells.get(column) or "").strip())
        row["date"] = row["date"] or _parsed("date", day)
        if feed == "sales":
            shared = (row["transaction_id"], row["product_id"])
            numbers[shared] += 1
            row["transaction_line"] = numbers[shared] if row["transaction_id"] is not None else None
        rows.append(row)
    for at, row in enumerate(rows):
        key = _key(feed, row)
        if key is not None:
            last[key] = at
    return [row for at, row in enumerate(rows) if (key := _key(feed, row)) is None or last[key] == at]


def _value(feed: str, column: str, text: str) -> Any:
    if not text:
        return _DEFAULTS[feed].get(column)
    return _parsed(column, text)


def _parsed(column: str, text: str) -> Any:
    if column in _INTEGERS:
        return int(text)
    if column in _MONEY:
        return str(Decimal(text).quantize(Decimal("0.0001")))
    if column in _SIGNALS:
        return float(text)
    if column in _WORDS:
        return text.lower()
    if column in _TIMES:
        return datetime.fromisoformat(text).isoformat(" ")
    return text


def _key(feed: str, row: Row) -> tuple[Any, ...] | None:
    match feed:
        case "sales":
            if row["transaction_id"] is None:
                return None
            return ("sales", row["transaction_id"], row["product_id"], row["transaction_line"])
        case "inventory":
            return ("inventory", row["product_id"], row["location"], row["date"])
        case _:
            return (feed, row["product_id"], row["date"])


def _sales_daily(rows: list[Row]) -> list[Row]:
    sums: dict[tuple[str, ...], Row] = {}
    for row in rows:
        key = (row["product_id"], row["location"] or "", row["channel"], row["date"][:10])
        zero = dict.fromkeys(("units", "returned", "revenue_e4", "promo_units", "rows"), 0)
        total = sums.setdefault(
            key, dict(zip(("product_id", "location", "channel", "day"), key, strict=True)) | zero
        )
        units = max(row["quantity_sold"], 0)
        total["units"] += units
        total["returned"] += max(-row["quantity_sold"], 0)
        total["revenue_e4"] += int(Decimal(row["revenue"]) * _E4)
        total["promo_units"] += units if row["promotion_code"] is not None else 0
        total["rows"] += 1
    return list(sums.values())


def _inventory_daily(rows: list[Row]) -> list[Row]:
    days: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        days[row["product_id"], row["location"], row["date"][:10]].append(row)
    found = []
    for (product, location, day), group in days.items():
        close = max(group, key=lambda row: row["date"])
        found.append(
            {
                "product_id": product,
                "location": location,
                "day": day,
                "close": close["stock_level"],
                "reserved": close["reserved_stock"],
                "in_transit": close["in_transit"],
                "low": min(row["stock_level"] for row in group),
            }
        )
    return found


def _demand_daily(rows: list[Row]) -> list[Row]:
    days: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        days[row["product_id"], row["date"][:10]].append(row)
    found = []
    for (product, day), group in days.items():
        priced = [
            row for row in sorted(group, key=lambda row: row["date"]) if row["competitor_price"] is not None
        ]
        total: Row = {
            "product_id": product,
            "day": day,
            "signals": len(group),
            "level_sum": sum({"high": 1, "low": -1}.get(row["external_demand"], 0) for row in group),
            "competitor_price": priced[-1]["competitor_price"] if priced else None,
        }
        for name, column in (("trend", "market_trend"), ("sentiment", "social_sentiment")):
            values = [Decimal(repr(row[column])) for row in group if row[column] is not None]
            total[f"{name}_count"] = len(values)
            total[f"{name}_sum_e6"] = sum(_rounded(value * _E6) for value in values)
            total[f"{name}_square_e6"] = sum(_rounded(value * value * _E6) for value in values)
        found.append(total)
    return found


def _scope_daily(daily: Dump) -> list[Row]:
    sums: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0, 0])

    def add(feed: str, row: Row, of: list[str], units: int, money: int, rows: int) -> None:
        parts = [f"{name}:{row[name].replace('%', '%25').replace('|', '%7C')}" for name in of if row[name]]
        scopes = {"", *parts, "|".join(parts) if len(parts) == len(of) else ""}
        for scope in scopes:
            for at, value in enumerate((units, money, rows)):
                sums[feed, row["day"], scope][at] += value

    for row in daily["sales_daily"]:
        add("sales", row, ["location", "channel"], row["units"], row["revenue_e4"], row["rows"])
    for row in daily["inventory_daily"]:
        add("inventory", row, ["location"], row["close"], row["in_transit"], 1)
    for row in daily["demand_daily"]:
        add("demand", row, [], row["signals"], 0, 1)
    names = ("feed", "day", "scope", "units", "value_e4", "rows")
    return [dict(zip(names, (*key, *figures), strict=True)) for key, figures in sums.items()]


def _hour_daily(rows: list[Row]) -> list[Row]:
    sums: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        hour = sums[row["date"][:10], int(row["date"][11:13])]
        hour[0] += max(row["quantity_sold"], 0)
        hour[1] += 1
    return [
        {"feed": "sales", "day": day, "hour": hour, "units": units, "rows": count}
        for (day, hour), (units, count) in sums.items()
    ]


def _rounded(value: Decimal) -> int:
    return int(value.quantize(Decimal(1), rounding=ROUND_HALF_UP))
