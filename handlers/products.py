"""Products: what is known of a product from a day on. The latest word on a product and day wins."""

import pyarrow.compute as pc

from handlers.columns import Column, Decimal, Integer, LocalTime, OfFile, Text
from handlers.feed import PRODUCT_ID, Feed, Rule
from handlers.reasons import RowReason

_ANY = 40  # decimals: what a program writes for a double; the nearest one is kept
_MONEY = Decimal(places=4, low=0, high=99_999_999_999.0)
_DAYS = Decimal(places=_ANY, low=0, high=36_500)  # a hundred years

PRODUCTS = Feed(
    name="products",
    table="live_products",
    columns=(
        Column("date", LocalTime(), default=OfFile.DAY),
        PRODUCT_ID,
        Column("name", Text(longest=500)),
        Column("category", Text(longest=200)),
        Column("unit_cost", _MONEY),
        Column("selling_price", _MONEY),
        Column("lead_time_days", _DAYS),
        Column("lead_time_std_days", _DAYS),
        Column("shelf_life_days", Integer(low=0)),
        Column("min_order_quantity", Integer(low=0)),
        Column("max_order_quantity", Integer(low=0)),
        Column("pack_size", Integer(low=1)),
        Column("supplier_id", Text(longest=200)),
    ),
    rules=(
        Rule(
            RowReason.MIN_OVER_MAX,
            "min_order_quantity",
            lambda rows: pc.greater(rows["min_order_quantity"], rows["max_order_quantity"]),
            "min_order_quantity is more than max_order_quantity",
        ),
    ),
    key=("product_id", "date"),
    repeats="reject",
    daily=None,
)
