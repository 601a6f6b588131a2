"""The catalogue's declaration: what its cells may hold, from when a row holds, and that nothing else must know the feed."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from daemon.sample.files import HEADERS
from daemon.settings import Settings
from handlers import HANDLERS
from handlers.cells import split
from handlers.check import check
from handlers.columns import Context
from handlers.header import read_header
from handlers.products import PRODUCTS
from handlers.route import route

NOW = datetime(2026, 3, 1, 0, 30)
NAMED = Context(NOW, ZoneInfo("Europe/Berlin"), date(2026, 2, 27))


def judged(header, *rows, context=NAMED):
    return check(split("\n".join(rows).encode(), 2, read_header(header, PRODUCTS)), PRODUCTS, context)


@pytest.mark.parametrize("named", [date(2026, 2, 27), None])
def test_a_row_without_a_date_is_of_the_day_in_the_name_or_of_arrival(named):
    context = Context(NOW, ZoneInfo("Europe/Berlin"), named)
    day = f"{named or '2026-03-01'} 00:00:00"
    for header, row in (
        ("product_id,unit_cost", "A,1"),
        ("product_id,date", "A, "),
        ("date;product_id", ";A"),
    ):
        found = judged(header, row, context=context)
        assert (found.rows["date"].to_pylist(), found.rejects) == ([day], [])


def test_a_date_in_the_file_goes_before_the_name():
    found = judged("product_id,date", "A,2026-02-01", "B,2026-01-31T23:30:00Z", "C,", "D,soon", "E,\x01")
    assert found.rows["date"].to_pylist() == [
        "2026-02-01 00:00:00",
        "2026-02-01 00:30:00",
        "2026-02-27 00:00:00",
    ]
    assert [(r.line, r.column, r.value, r.reason) for r in found.rejects] == [
        (5, "date", "soon", "bad_date"),
        (6, "date", "\x01", "control_character"),
    ]


def test_a_day_in_the_name_is_judged_as_any_date():
    for day in (date(1999, 12, 31), date(2026, 3, 3)):
        (reject,) = judged("product_id", "A", context=Context(NOW, ZoneInfo("UTC"), day)).rejects
        assert (reject.column, reject.value, reject.reason) == ("date", "", "date_out_of_range")
        assert "a day ahead" in reject.message
    assert not judged("product_id", "A", context=Context(NOW, ZoneInfo("UTC"), date(2026, 3, 2))).rejects


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        ("unit_cost", ["0", "0.0001", "99999999999"], ["-0.01", "1.00001", "100000000000", "free"]),
        ("selling_price", ["0", "2.5"], ["-1"]),
        ("lead_time_days", ["0", "4.51", "36500", "1.4142135623730951"], ["-1", "36501", "NaN"]),
        ("lead_time_std_days", ["0"], ["-0.5"]),
        ("shelf_life_days", ["0", "30"], ["-1", "1.5"]),
        ("min_order_quantity", ["0", "2147483647"], ["-1", "2.0"]),
        ("max_order_quantity", ["0"], ["-1"]),
        ("pack_size", ["1"], ["0"]),
    ],
)
def test_numbers_within_their_bounds(column, good, bad):
    found = judged(f"product_id,{column}", *(f"P,{text}" for text in (*good, *bad)))
    assert found.rows[column].to_pylist() == [float(text) for text in good]
    assert [(r.value, r.column) for r in found.rejects] == [(text, column) for text in bad]


def test_the_smallest_order_is_not_larger_than_the_largest_and_a_price_may_be_below_the_cost():
    names = "product_id,min_order_quantity,max_order_quantity,unit_cost,selling_price"
    found = judged(names, "A,2,2,3,1", "B,3,2,1,3", "C,3,,,", "D,,2,,")
    assert found.rows["product_id"].to_pylist() == ["A", "C", "D"]
    assert [(r.line, r.column, r.reason) for r in found.rejects] == [
        (3, "min_order_quantity", "min_over_max")
    ]


def test_the_patterns_and_the_settings_know_every_feed():
    """The settings are written by hand, so that reading them loads nothing heavy: this holds them to ``HANDLERS``."""
    feeds = dict(Settings().feeds)
    assert list(feeds) == [feed.name for feed in HANDLERS]
    patterns = {name: feed.patterns for name, feed in feeds.items()}
    for feed in HANDLERS:
        stem = "products" if feed is PRODUCTS else f"{feed.name}_data"
        found = route(f"{stem}_20260105_web.csv.gz", patterns)
        assert (found.feed, found.slot, found.day) == (
            feed.name,
            f"{feed.name}:2026-01-05:web",
            date(2026, 1, 5),
        )
    assert route("products_20260105.csv", patterns).slot == "products:2026-01-05:"


def test_the_sample_has_each_column_but_the_date():
    assert HEADERS["products"].split(",") == [column.name for column in PRODUCTS.columns][1:]
