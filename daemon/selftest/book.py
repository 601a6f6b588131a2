"""What the tables must hold, worked out from the text of the files: the csv module, Decimal and dictionaries.

Nothing of the program is used here, so that a mistake of the program is not repeated.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]

E4 = Decimal(10_000)
_WORDS = ("customer_segment", "fulfillment_method", "external_demand", "weather_factor", "event_impact")
_WHOLE = (
    *("quantity_sold", "stock_level", "reserved_stock", "in_transit"),
    *("shelf_life_days", "min_order_quantity", "max_order_quantity", "pack_size"),
)
_MONEY = ("revenue", "competitor_price", "unit_cost", "selling_price")
_SHARES = ("market_trend", "social_sentiment", "lead_time_days", "lead_time_std_days")
_TIMES = ("date", "last_reorder_date")
COLUMNS = {
    "sales": (
        *("date", "product_id", "channel", "quantity_sold", "revenue", "customer_segment", "promotion_code"),
        *("fulfillment_method", "location"),
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
TABLES = {
    "sales": "live_sales_data",
    "inventory": "live_inventory_updates",
    "demand": "live_demand_signals",
    "products": "live_products",
}


@dataclass(frozen=True, slots=True)
class Page:
    """A file as it counts.

    Attributes:
        feed: whose.
        day: in its name.
        rows: without those on its rejected lines.
    """

    feed: str
    day: str
    rows: tuple[Row, ...]


@dataclass(slots=True)
class Book:
    """The files that count, by what they speak for: a later file of a name takes the place of the earlier one."""

    pages: dict[str, Page] = field(default_factory=dict)

    def enter(self, name: str, text: str, rejected: Iterable[int] = ()) -> None:
        """Notes a file.

        Args:
            name: as delivered, its day in it.
            text: its content, unpacked.
            rejected: physical lines whose rows must not count.
        """
        stem = name.partition(".")[0]
        dated = re.search(r"_(\d{4})(\d\d)(\d\d)", stem)
        day = "-".join(dated.groups()) if dated else ""
        feed = stem.partition("_")[0]
        self.pages[stem] = Page(feed, day, tuple(_rows(feed, text, day, frozenset(rejected))))

    def rows(self, feed: str) -> Iterator[Row]:
        """The rows of a feed, in no order, with the values that the tables must have."""
        for page in self.pages.values():
            if page.feed == feed:
                yield from page.rows

    def counted(self, feed: str) -> Counter[tuple[Any, ...]]:
        """How often each row occurs."""
        return Counter(tuple(row[name] for name in COLUMNS[feed]) for row in self.rows(feed))

    def daily(self, feed: str) -> dict[tuple[str, ...], tuple[int, ...]]:
        """The figures of the daily table of a feed by its key."""
        found: dict[tuple[str, ...], tuple[int, ...]] = {}
        for row in self.rows(feed):
            day = row["date"][:10]
            key: tuple[str, ...]
            if feed == "sales":
                key = (row["product_id"], row["location"] or "", row["channel"], day)
                units, money = row["quantity_sold"], int(row["revenue"] * E4)
                added = (units, money, units if row["promotion_code"] else 0, 1)
                found[key] = tuple(a + b for a, b in zip(found.get(key, (0, 0, 0, 0)), added, strict=True))
            else:  # of inventory: one count a day and place
                key = (row["product_id"], row["location"], day)
                found[key] = (row["stock_level"], row["reserved_stock"], row["in_transit"])
        return found


def count_rows(text: str) -> int:
    """Data rows of a file as they were sent."""
    return sum(1 for _ in csv.reader(io.StringIO(text, newline=""))) - 1


def value(column: str, cell: Any) -> Any:
    """A cell of a file, or of SQLite, as it is compared: money to four places, times with a blank, nothing as None."""
    if cell is None or cell == "":
        return _DEFAULTS.get(column)
    if column in _MONEY:
        return Decimal(str(cell)).quantize(Decimal("0.0001"))
    if column in _WHOLE:
        return int(cell)
    if column in _SHARES:
        return float(cell)
    if column in _TIMES:
        text = str(cell).replace("T", " ")
        return text if " " in text else f"{text} 00:00:00"
    return str(cell).lower() if column in _WORDS else str(cell)


_DEFAULTS: dict[str, Any] = {
    "customer_segment": "regular",
    "fulfillment_method": "warehouse",
    "reserved_stock": 0,
    "in_transit": 0,
    "weather_factor": "normal",
    "event_impact": "none",
}


def _rows(feed: str, text: str, day: str, rejected: frozenset[int]) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    for cells in reader:
        if reader.line_num not in rejected:
            cells.setdefault("date", day)
            yield {name: value(name, (cells.get(name) or "").strip()) for name in COLUMNS[feed]}
