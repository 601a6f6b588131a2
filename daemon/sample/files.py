"""Days of the sample market as CSV files: what a careful sender would deliver."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal

from daemon.sample.market import EVENTS, FULFILMENTS, LEVELS, SEGMENTS, MarketDay
from daemon.sample.seasons import CHANNELS
from daemon.sample.stockroom import MEAN_LATE_DAYS, STD_LATE_DAYS

Feed = Literal["sales", "inventory", "demand", "products"]
FEEDS: tuple[Feed, ...] = ("sales", "inventory", "demand")  # those with a file every day

HEADERS: dict[Feed, str] = {
    "sales": "date,product_id,channel,quantity_sold,revenue,customer_segment,promotion_code,fulfillment_method,location",
    "inventory": "date,product_id,location,stock_level,reserved_stock,in_transit,supplier_id,last_reorder_date",
    "demand": "date,product_id,external_demand,market_trend,competitor_price,weather_factor,event_impact,"
    "social_sentiment",
    "products": "product_id,name,category,unit_cost,selling_price,lead_time_days,lead_time_std_days,shelf_life_days,"
    "min_order_quantity,max_order_quantity,pack_size,supplier_id",
}


@dataclass(frozen=True, slots=True)
class SampleFile:
    """One file to deliver, and what a correct loader makes of it.

    Attributes:
        name: file name in the folder of incoming feeds.
        content: its bytes.
        rows: data rows in it; 0 for a file that is refused as a whole.
        kind: `good`, or what is odd or broken about it.
        status: what the ledger must say.
        reasons: for `failed`, the codes of which the reason is one; for `partial`, the codes of the rejected rows,
            each of which occurs; else empty.
        reject_lines: physical line of each rejected row, ascending; empty unless `partial`.
    """

    name: str
    content: bytes
    rows: int
    kind: str = "good"
    status: Literal["success", "partial", "failed"] = "success"
    reasons: tuple[str, ...] = ()
    reject_lines: tuple[int, ...] = ()

    @property
    def rejects(self) -> int:
        """Number of rows that must be rejected; 0 for a file that is refused as a whole."""
        return len(self.reject_lines)


def file_name(feed: Feed, day: date, suffix: str = "", extension: str = "csv") -> str:
    """Name a sender gives to the file of `day`: `sales_data_20250630.csv`."""
    kind = feed if feed == "products" else f"{feed}_data"
    return f"{kind}_{day:%Y%m%d}{suffix}.{extension}"


def render(feed: Feed, day: MarketDay) -> list[str]:
    """Rows of one feed on one day, without the header and without line ends."""
    match feed:
        case "sales":
            return _sales_rows(day)
        case "inventory":
            return _inventory_rows(day)
        case "demand":
            return _demand_rows(day)
        case "products":
            return _product_rows(day)


def sample_files(day: MarketDay, *, first: bool = False) -> Iterable[SampleFile]:
    """Files of all feeds for one day; a day without any sale, as tiny markets have, has no sales file.

    The catalogue, which does not change, comes on the first day.
    """
    for feed in ("products", *FEEDS) if first else FEEDS:
        rows = render(feed, day)
        if rows:
            yield SampleFile(file_name(feed, day.day), to_csv(feed, rows), len(rows))


def to_csv(feed: Feed, rows: list[str]) -> bytes:
    """Header and rows as bytes, each line with its end."""
    return ("\n".join([HEADERS[feed], *rows]) + "\n").encode("ascii")


def deliver(directory: Path, file: SampleFile) -> Path:
    """Write `file` into `directory` the way every sender should: under a temporary name, synced, then renamed.

    Raises:
        OSError: the folder is missing, full or not writable; no file is left under the final name.
    """
    target, temporary = directory / file.name, directory / f".{file.name}.tmp"
    with temporary.open("wb") as stream:
        stream.write(file.content)
        stream.flush()
        os.fsync(stream.fileno())
    return temporary.rename(target)


def _sales_rows(day: MarketDay) -> list[str]:
    lines, ids, places, codes = day.sales, day.catalogue.ids, day.catalogue.locations, day.promotion_codes
    today, clock = day.day.isoformat(), _clock()
    return [
        f"{today}{clock[second]},{ids[product]},{CHANNELS[channel]},{quantity},{_money(revenue)},"
        f"{SEGMENTS[segment]},{codes[product] if promoted else ''},{FULFILMENTS[fulfilment]},{places[location]}"
        for second, product, channel, quantity, revenue, segment, promoted, fulfilment, location in zip(
            lines.second.tolist(),
            lines.product.tolist(),
            lines.channel.tolist(),
            lines.quantity.tolist(),
            lines.revenue_e4.tolist(),
            lines.segment.tolist(),
            lines.promoted.tolist(),
            lines.fulfilment.tolist(),
            lines.location.tolist(),
            strict=True,
        )
    ]


def _inventory_rows(day: MarketDay) -> list[str]:
    stamp, places = f"{day.day.isoformat()}T00:00:00", day.catalogue.locations
    return [
        f"{stamp},{product},{place},{stock},{reserved},{in_transit},{supplier},{_day(reordered)}"
        for product, supplier, *states in zip(
            day.catalogue.ids,
            day.catalogue.suppliers,
            day.stock.tolist(),
            day.reserved.tolist(),
            day.in_transit.tolist(),
            day.last_reorder.tolist(),
            strict=True,
        )
        for place, stock, reserved, in_transit, reordered in zip(places, *states, strict=True)
    ]


def _demand_rows(day: MarketDay) -> list[str]:
    stamp, signals = f"{day.day.isoformat()}T00:00:00", day.signals
    return [
        f"{stamp},{product},{LEVELS[level]},{_hundredths(trend)},{_hundredths(rival) if rival else ''},"
        f"{signals.weather},{EVENTS[event]},{_hundredths(sentiment)}"
        for product, level, trend, rival, event, sentiment in zip(
            day.catalogue.ids,
            signals.level.tolist(),
            signals.trend_percent.tolist(),
            signals.competitor_cents.tolist(),
            signals.event.tolist(),
            signals.sentiment_percent.tolist(),
            strict=True,
        )
    ]


def _product_rows(day: MarketDay) -> list[str]:
    goods = day.catalogue
    return [
        f"{product},{category.name} {number:04d},{category.name.lower()},{_hundredths(cost)},{_hundredths(price)},"
        f"{lead + MEAN_LATE_DAYS:.2f},{STD_LATE_DAYS:.2f},{category.shelf_life_days or ''},{pack},,{pack},{supplier}"
        for number, (product, category, cost, price, lead, pack, supplier) in enumerate(
            zip(
                goods.ids,
                goods.categories,
                goods.cost_cents.tolist(),
                goods.list_cents.tolist(),
                goods.lead_days.tolist(),
                goods.pack.tolist(),
                goods.suppliers,
                strict=True,
            ),
            1,
        )
    ]


@cache
def _clock() -> tuple[str, ...]:
    """Text of each second of a day, `T00:00:00` and on."""
    return tuple(f"T{h:02d}:{m:02d}:{s:02d}" for h in range(24) for m in range(60) for s in range(60))


@cache
def _day(ordinal: int) -> str:
    """Midnight of a day given as its proleptic ordinal; 0 is no day."""
    return f"{date.fromordinal(ordinal).isoformat()}T00:00:00" if ordinal else ""


def _hundredths(value: int) -> str:
    """A whole number of hundredths as a decimal: -7 is -0.07."""
    return f"{'-' if value < 0 else ''}{abs(value) // 100}.{abs(value) % 100:02d}"


def _money(value_e4: int) -> str:
    """Money in 1/10 000 as a decimal, with two decimals where they suffice."""
    units, rest = divmod(value_e4, 10_000)
    return f"{units}.{rest:04d}" if rest % 100 else f"{units}.{rest // 100:02d}"
