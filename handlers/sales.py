"""Sales: one row per line sold. A row has no key of its own unless the file names its transaction."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from handlers.columns import Column, Decimal, Integer, Kind, LocalTime, Text, Words
from handlers.errors import FileError
from handlers.feed import PRODUCT_ID, Additive, Feed, Rows, Rule, Totals, is_many
from handlers.reasons import FileReason, RowReason

CHANNELS = ("online", "pos", "marketplace", "wholesale")
MOST_REVENUE = 99_999_999_999.0  # eleven digits and four decimals are exact in a double
MONEY_SCALE = 10_000  # sums of money are integers of 1/10 000
MOST_MONEY = 2**58 / MONEY_SCALE  # in a block of rows: sixteen such blocks stay within 63 bits


def summarise(rows: Rows) -> pa.Table:
    """Units, returns, money and rows per product, location, channel and day.

    Raises:
        FileError: ``sum_too_large``: a sum could leave 64 bits.
    """
    quantity = np.asarray(rows["quantity_sold"])
    revenue = np.asarray(rows["revenue"])
    if np.abs(revenue).sum() > MOST_MONEY:
        raise FileError(FileReason.SUM_TOO_LARGE, f"the revenues add up to more than {MOST_MONEY:,.0f}")
    promoted = ~np.asarray(pc.is_null(rows["promotion_code"]))
    table = pa.table(
        {
            "product_id": rows["product_id"],
            "day": pc.utf8_slice_codeunits(rows["date"], 0, 10),
            "location": pc.fill_null(rows["location"], ""),
            "channel": rows["channel"],
            "units": np.maximum(quantity, 0),
            "returned": np.maximum(-quantity, 0),
            "revenue_e4": np.rint(revenue * MONEY_SCALE).astype(np.int64),
            "promo_units": np.where(promoted, np.maximum(quantity, 0), 0),
            "rows": np.ones(len(quantity), np.int64),
        }
    )
    sums = table.group_by(list(DAILY_KEYS), use_threads=is_many(table)).aggregate(
        [(name, "sum") for name in DAILY_MEASURES]
    )
    return sums.rename_columns([*DAILY_KEYS, *DAILY_MEASURES])


def clock(rows: Rows) -> pa.Table:
    """Units and rows per day and hour."""
    sold = np.maximum(np.asarray(rows["quantity_sold"]), 0).astype(np.int64)
    table = pa.table({"at": pc.utf8_slice_codeunits(rows["date"], 0, 13), "units": sold})
    sums = table.group_by("at", use_threads=is_many(table)).aggregate([("units", "sum"), ("units", "count")])
    return pa.table(
        {
            "day": pc.utf8_slice_codeunits(sums["at"], 0, 10),
            "hour": pc.cast(pc.utf8_slice_codeunits(sums["at"], 11, 13), pa.int64()),
            "units": sums["units_sum"],
            "rows": sums["units_count"],
        }
    )


DAILY_KEYS = ("product_id", "day", "location", "channel")
DAILY_MEASURES = ("units", "returned", "revenue_e4", "promo_units", "rows")

SALES = Feed(
    name="sales",
    table="live_sales_data",
    columns=(
        Column("date", LocalTime(), required=True),
        PRODUCT_ID,
        Column("channel", Words(CHANNELS), required=True),
        Column("quantity_sold", Integer(low=1), required=True),
        Column("revenue", Decimal(places=4, low=0, high=MOST_REVENUE, above_low=True), required=True),
        Column("customer_segment", Words(("premium", "regular", "budget")), default="regular"),
        Column("promotion_code", Text(longest=500)),
        Column("fulfillment_method", Words(("warehouse", "store_pickup", "dropship")), default="warehouse"),
        Column("location", Text(longest=200)),
        Column("transaction_id", Text(longest=200)),
    ),
    rules=(),
    key=("transaction_id", "product_id", "transaction_line"),
    repeats="number",
    daily=Additive(
        "sales_daily",
        DAILY_KEYS,
        DAILY_MEASURES,
        summarise,
        clock,
        Totals(by=("location", "channel"), value_e4="revenue_e4", rows="rows"),
    ),
)


def _signs_differ(rows: Rows) -> pa.Array:
    quantity, revenue = rows["quantity_sold"], rows["revenue"]
    sale = pc.and_(pc.greater(quantity, 0), pc.greater(revenue, 0))
    back = pc.and_(pc.less(quantity, 0), pc.less(revenue, 0))
    return pc.invert(pc.or_(sale, back))


def accepting_returns(feed: Feed) -> Feed:
    """The sales feed where a negative quantity with a negative revenue is a return (``returns: accept``)."""
    wider: dict[str, Kind] = {
        "quantity_sold": Integer(low=-(2**31) + 1),
        "revenue": Decimal(places=4, low=-MOST_REVENUE, high=MOST_REVENUE),
    }
    columns = tuple(replace(c, kind=wider[c.name]) if c.name in wider else c for c in feed.columns)
    rule = Rule(
        RowReason.OUT_OF_RANGE,
        "revenue",
        _signs_differ,
        "quantity_sold and revenue must both be more than 0 (a sale) or both less than 0 (a return)",
    )
    return replace(feed, columns=columns, rules=(*feed.rules, rule))
