"""Inventory: what lay where at a moment. The latest word on a product, place and moment wins."""

import pyarrow.compute as pc

from handlers.columns import Column, Integer, LocalTime, Text
from handlers.feed import PRODUCT_ID, Feed, Fold, Rule, Snapshot, Totals
from handlers.reasons import RowReason

INVENTORY = Feed(
    name="inventory",
    table="live_inventory_updates",
    columns=(
        Column("date", LocalTime(), required=True),
        PRODUCT_ID,
        Column("location", Text(longest=200), required=True),
        Column("stock_level", Integer(low=0), required=True),
        Column("reserved_stock", Integer(low=0), default=0),
        Column("in_transit", Integer(low=0), default=0),
        Column("supplier_id", Text(longest=200)),
        Column("last_reorder_date", LocalTime()),
    ),
    rules=(
        Rule(
            RowReason.RESERVED_OVER_STOCK,
            "reserved_stock",
            lambda rows: pc.greater(rows["reserved_stock"], rows["stock_level"]),
            "reserved_stock is more than stock_level",
        ),
        Rule(
            RowReason.REORDER_AFTER_DATE,
            "last_reorder_date",
            lambda rows: pc.greater(rows["last_reorder_date"], rows["date"]),
            "last_reorder_date is after date",
        ),
    ),
    key=("product_id", "location", "date"),
    repeats="reject",
    daily=Snapshot(
        "inventory_daily",
        keys=("product_id", "day", "location"),
        folds=(
            Fold("close", "last", "stock_level"),
            Fold("reserved", "last", "reserved_stock"),
            Fold("in_transit", "last", "in_transit"),
            Fold("low", "min", "stock_level"),
        ),
        totals=Totals(by=("location",), units="close", in_transit="in_transit", is_level=True),
    ),
)
