"""Rows to rejects: each reason code is reached by what it stands for, and says what a person needs."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
import reference

from handlers import DEMAND, INVENTORY, SALES, feed_named
from handlers.cells import split
from handlers.check import check
from handlers.columns import Context
from handlers.errors import FileError
from handlers.header import read_header
from handlers.reasons import FileReason, RowReason
from handlers.sales import accepting_returns
from handlers.verdict import Tolerance, judge

CONTEXT = Context(datetime(2026, 3, 1, 12, 30), ZoneInfo("UTC"))
GOOD = {
    "sales": {
        "date": "2021-01-02",
        "product_id": "P1",
        "channel": "pos",
        "quantity_sold": "2",
        "revenue": "9.99",
    },
    "inventory": {"date": "2021-01-02", "product_id": "P1", "location": "L1", "stock_level": "10"},
    "demand": {"date": "2021-01-02", "product_id": "P1", "external_demand": "high"},
    "products": {"product_id": "P1"},
}
TOLERANCE = Tolerance(10, 0.1)


def judged(feed, *rows, returns=False):
    """Checks rows given as what differs from a good one."""
    feed = accepting_returns(SALES) if returns else feed_named(feed)
    names = list(dict.fromkeys([*GOOD[feed.name], *(name for row in rows for name in row)]))
    table = [{**dict.fromkeys(names, ""), **GOOD[feed.name], **row} for row in rows]
    lines = [",".join('"' + str(row[name]).replace('"', '""') + '"' for name in names) for row in table]
    header = read_header(",".join(names), feed)
    return check(split("\n".join(lines).encode(), 2, header), feed, CONTEXT)


def reject_of(feed, returns=False, **cells):
    (reject,) = judged(feed, cells, returns=returns).rejects
    return reject


CASES = [
    ("sales", {"product_id": ""}, RowReason.MISSING_VALUE, "product_id is empty"),
    ("sales", {"product_id": " \u00a0\t"}, RowReason.MISSING_VALUE, "product_id is empty"),
    ("sales", {"date": ""}, RowReason.MISSING_VALUE, "date is empty"),
    ("sales", {"revenue": ""}, RowReason.MISSING_VALUE, "revenue is empty"),
    ("inventory", {"location": " "}, RowReason.MISSING_VALUE, "location is empty"),
    ("sales", {"product_id": "P" * 65}, RowReason.TOO_LONG, "65 characters, 64 are allowed"),
    ("sales", {"product_id": "a\0b"}, RowReason.CONTROL_CHARACTER, "(code 0)"),
    ("sales", {"product_id": "a\nb"}, RowReason.CONTROL_CHARACTER, "(code 10)"),
    ("sales", {"location": "a\tb"}, RowReason.CONTROL_CHARACTER, "(code 9)"),
    ("sales", {"promotion_code": "\x1b[31m"}, RowReason.CONTROL_CHARACTER, "(code 27)"),
    ("sales", {"quantity_sold": "1\0"}, RowReason.CONTROL_CHARACTER, "(code 0)"),
    ("inventory", {"supplier_id": "a\x07"}, RowReason.CONTROL_CHARACTER, "(code 7)"),
    ("sales", {"date": "02.01.2021"}, RowReason.BAD_DATE, "YYYY-MM-DDTHH:MM:SS"),
    ("inventory", {"last_reorder_date": "never"}, RowReason.BAD_DATE, "YYYY-MM-DDTHH:MM:SS"),
    ("sales", {"date": "1999-12-31"}, RowReason.DATE_OUT_OF_RANGE, "2000-01-01"),
    ("sales", {"date": "2026-03-03"}, RowReason.DATE_OUT_OF_RANGE, "2026-03-02T12:30:00"),
    ("sales", {"channel": "web"}, RowReason.BAD_ENUM, "online, pos, marketplace, wholesale"),
    ("sales", {"customer_segment": "vip"}, RowReason.BAD_ENUM, "premium, regular, budget"),
    ("sales", {"fulfillment_method": "ship"}, RowReason.BAD_ENUM, "warehouse, store_pickup, dropship"),
    ("demand", {"external_demand": "none"}, RowReason.BAD_ENUM, "high, medium, low"),
    ("demand", {"weather_factor": "snow"}, RowReason.BAD_ENUM, "hot, cold, rainy, normal"),
    ("demand", {"event_impact": "fair"}, RowReason.BAD_ENUM, "promotion, holiday, none"),
    ("sales", {"quantity_sold": "12.0"}, RowReason.BAD_INTEGER, "has decimals"),
    ("sales", {"quantity_sold": "1e5"}, RowReason.BAD_INTEGER, "exponent"),
    ("inventory", {"in_transit": "many"}, RowReason.BAD_INTEGER, "digits only"),
    ("sales", {"revenue": "1,50"}, RowReason.BAD_DECIMAL, "comma"),
    ("sales", {"revenue": "1.23456"}, RowReason.BAD_DECIMAL, "more than 4 decimals"),
    ("demand", {"competitor_price": "NaN"}, RowReason.BAD_DECIMAL, "not a finite number"),
    ("sales", {"quantity_sold": "0"}, RowReason.OUT_OF_RANGE, "between 1 and"),
    ("sales", {"quantity_sold": "-1", "revenue": "-1"}, RowReason.OUT_OF_RANGE, "between 1 and"),
    ("sales", {"revenue": "0.00"}, RowReason.OUT_OF_RANGE, "more than 0"),
    ("inventory", {"stock_level": "-1"}, RowReason.OUT_OF_RANGE, "between 0 and"),
    ("demand", {"market_trend": "1.5"}, RowReason.OUT_OF_RANGE, "at least -1 and at most 1"),
    ("inventory", {"reserved_stock": "11"}, RowReason.RESERVED_OVER_STOCK, "more than stock_level"),
    ("inventory", {"last_reorder_date": "2021-01-02T00:00:01"}, RowReason.REORDER_AFTER_DATE, "after date"),
    ("products", {"min_order_quantity": "9", "max_order_quantity": "8"}, RowReason.MIN_OVER_MAX, "is more than max_order_quantity"),
]  # fmt: skip


@pytest.mark.parametrize(("feed", "cells", "reason", "said"), CASES)
def test_a_reject_names_its_column_its_value_and_what_is_allowed(feed, cells, reason, said):
    reject = reject_of(feed, **cells)
    column, value = next(iter(cells.items()))
    assert (reject.reason, reject.column, reject.line) == (reason, column, 2)
    assert reject.value == value.strip()
    assert reject.column in reject.message
    assert said in reject.message
    if (
        reject.value.isprintable()
        and len(reject.value) < 40
        and "_over_" not in reason
        and "reorder" not in reason
    ):
        assert reject.value in reject.message
    assert reject.message.isprintable(), "no control characters in a message"
    assert len(reject.message) < 300
    assert value in reject.raw
    assert reject.reason.meaning
    assert reject.reason.remedy


def test_every_reason_of_a_row_is_reached():
    # below; of more than one block; of corrected rejects
    elsewhere = {RowReason.COLUMN_COUNT, RowReason.DUPLICATE_KEY, RowReason.NO_SUCH_REJECT}
    assert {reason for _, _, reason, _ in CASES} | elsewhere == set(RowReason)


@pytest.mark.parametrize(("row", "cells"), [("2021-01-02,P1,pos,1", "4 cells"), ("2021-01-02,P1,pos,1,1,", "6 cells"), ("P1", "1 cell,"), ('"a\nb"', "1 cell")])  # fmt: skip
def test_another_number_of_cells(row, cells):
    header = read_header("date,product_id,channel,quantity_sold,revenue", SALES)
    found = check(split(f"2021-01-02,P1,pos,1,1\n{row}\n".encode(), 2, header), SALES, CONTEXT)
    (reject,) = found.rejects
    assert (reject.line, reject.column, reject.reason, reject.raw) == (3, "", RowReason.COLUMN_COUNT, row)
    assert cells in reject.message + ","
    assert found.rows["line"].to_pylist() == [2]


def test_a_row_with_several_faults_is_one_reject_of_the_first_column():
    reject = reject_of("sales", quantity_sold="x", date="x", channel="x", revenue="x")
    assert reject.column == "date"


def test_one_bad_row_does_not_touch_its_neighbours():
    rows = [
        {},
        {"quantity_sold": "x"},
        {"revenue": "2.5", "location": "L"},
        {"date": "x"},
        {"channel": "POS"},
    ]
    found = judged("sales", *rows)
    assert found.rows["line"].to_pylist() == [2, 4, 6]
    assert found.rows["revenue"].to_pylist() == [9.99, 2.5, 9.99]
    assert found.rows["location"].to_pylist() == [None, "L", None]
    assert [reject.line for reject in found.rejects] == [3, 5]


def test_text_is_trimmed_and_an_empty_optional_cell_takes_its_default():
    row = judged("sales", {"product_id": " P1\u00a0", "channel": " Online ", "location": "  ", "customer_segment": "", "promotion_code": "\u3000NULL"}).rows.to_pylist()[0]  # fmt: skip
    assert row == {
        "line": 2, "date": "2021-01-02 00:00:00", "product_id": "P1", "channel": "online", "quantity_sold": 2, "revenue": 9.99,
        "customer_segment": "regular", "promotion_code": "NULL", "fulfillment_method": "warehouse", "location": None, "transaction_id": None,
    }  # fmt: skip


def test_an_absent_column_and_an_empty_cell_are_the_same():
    for feed in GOOD:
        empty = {name.removeprefix("*"): "" for name in reference.FEEDS[feed] if not name.startswith("*")}
        assert judged(feed, {}).rows.to_pylist() == judged(feed, empty).rows.to_pylist()


def test_rules_between_columns_at_their_edges():
    found = judged(
        "inventory",
        {"reserved_stock": "10"},
        {"reserved_stock": "11"},
        {"stock_level": "0"},
        {"last_reorder_date": "2021-01-02"},
        {"date": "2021-01-02T10:00:00", "last_reorder_date": "2021-01-02T10:00:00.5"},
        {"date": "2021-01-02T10:00:00.5", "last_reorder_date": "2021-01-02T10:00:00"},
        {"date": "2021-01-02T10:00:00", "last_reorder_date": "2021-01-02T10:00:00.000000"},
        {"stock_level": "x", "reserved_stock": "99"},
    )
    assert [(r.line, r.reason.value) for r in found.rejects] == [
        (3, "reserved_over_stock"),
        (6, "reorder_after_date"),
        (9, "bad_integer"),
    ]


@pytest.mark.parametrize(
    ("quantity", "revenue", "reason"),
    [("1", "1", None), ("-1", "-1", None), ("-2147483647", "-0.0001", None), ("1", "-1", "out_of_range"), ("-1", "1", "out_of_range"),
     ("0", "0", "out_of_range"), ("0", "1", "out_of_range"), ("-1", "0", "out_of_range"), ("x", "-1", "bad_integer")],
)  # fmt: skip
def test_returns(quantity, revenue, reason):
    rejects = judged("sales", {"quantity_sold": quantity, "revenue": revenue}, returns=True).rejects
    assert [r.reason.value for r in rejects] == ([reason] if reason else [])
    if quantity != "1":
        assert judged("sales", {"quantity_sold": quantity, "revenue": revenue}).rejects, (
            "the default rejects them"
        )


def test_a_long_or_hostile_value_does_not_flood_the_message():
    reject = reject_of("sales", channel="\x85\u202e" + "x" * 100_000)
    assert len(reject.message) < 300
    assert reject.message.isprintable()
    assert len(reject.value) > 100_000


# -- the verdict over a file


@pytest.mark.parametrize(
    ("valid", "rejected", "reason"),
    [
        (1, 0, None), (1, 10, None), (10, 10, None), (9, 11, "too_many_rejects"), (1, 11, "too_many_rejects"), (99, 11, None),
        (98, 11, "too_many_rejects"), (100, 11, None), (900, 100, None), (899, 101, "too_many_rejects"), (0, 1, "no_valid_rows"),
        (0, 100, "no_valid_rows"), (0, 0, "empty"), (9_000_000, 1_000_000, None), (9_000_000, 1_000_001, "too_many_rejects"),
    ],
)  # fmt: skip
def test_the_verdict(valid, rejected, reason):
    assert reference.verdict(valid, rejected) == reason
    reasons = {"bad_date": rejected} if rejected else {}
    if reason is None:
        judge(valid, reasons, TOLERANCE)
        return
    with pytest.raises(FileError) as caught:
        judge(valid, reasons, TOLERANCE)
    assert caught.value.reason == reason
    if rejected:
        assert re.search(rf"\b{rejected} . bad_date", caught.value.message)


def test_the_verdict_is_exact_for_every_number_of_rows():
    """A tenth is not a number a double holds: 10 % of 110 rows are 11 of them, not 10.999…"""
    for read in range(1, 3_000):
        for rejected in {max(10, read // 10) + d for d in (-1, 0, 1)} & set(range(1, read)):
            try:
                judge(read - rejected, {"bad_date": rejected}, TOLERANCE)
                found = None
            except FileError as error:
                found = error.reason.value
            assert found == reference.verdict(read - rejected, rejected), (read, rejected)


@pytest.mark.parametrize("share", [0.0, 0.07, 0.29, 0.57, 1.0])
def test_other_shares_are_exact_too(share):
    for read in range(100, 1_100, 100):
        allowed = round(share * read)
        if allowed < read:
            judge(read - allowed, {"bad_date": allowed} if allowed else {}, Tolerance(0, share))
        if allowed + 1 < read:
            with pytest.raises(FileError):
                judge(read - allowed - 1, {"bad_date": allowed + 1}, Tolerance(0, share))


def test_every_reason_explains_itself():
    for reason in (*FileReason, *RowReason):
        assert reason == reason.value
        assert reason.meaning.strip()
        assert reason.remedy.endswith(".")
    error = FileError(FileReason.EMPTY, "the file has no bytes")
    assert (str(error), error.remedy) == ("the file has no bytes", FileReason.EMPTY.remedy)


def test_the_reason_codes_are_the_contract():
    """Programs rely on them: adding one is fine, changing one is not."""
    assert {"empty", "missing_column", "duplicate_column", "encoding", "unbalanced_quotes", "nul_tail", "gzip_corrupt", "gzip_too_big",
            "no_valid_rows", "too_many_rejects", "unroutable", "unreadable", "shrunk",
            "stale_rejects", "manifest_mismatch", "bad_manifest"} <= set(FileReason)  # fmt: skip
    assert {"missing_value", "bad_date", "date_out_of_range", "bad_integer", "bad_decimal", "out_of_range", "bad_enum", "too_long",
            "control_character", "column_count", "duplicate_key", "no_such_reject", "reserved_over_stock", "reorder_after_date", "min_over_max"} == set(RowReason)  # fmt: skip


def test_feeds_are_found_by_name():
    assert [feed_named(n) for n in ("sales", "inventory", "demand")] == [SALES, INVENTORY, DEMAND]
    with pytest.raises(KeyError, match="no feed is called 'returns'; the feeds are sales, inventory, demand"):
        feed_named("returns")
