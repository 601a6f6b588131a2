"""One contract for every feed: a new one passes it, or is not one, without a test of its own."""

# ruff: noqa: PT017  (either answer may be right)

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
import reference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers import HANDLERS, SALES
from handlers.cells import split
from handlers.check import check
from handlers.columns import Context, Decimal, Integer, LocalTime, OfFile, Text, Words
from handlers.errors import FileError
from handlers.feed import Additive, Snapshot, names
from handlers.header import read_header
from handlers.reasons import RowReason
from handlers.sales import accepting_returns

CONTEXT = Context(datetime(2026, 3, 1, 12, 30), ZoneInfo("Europe/Berlin"))
FEEDS = [*HANDLERS, accepting_returns(SALES)]
NAME = re.compile(r"[a-z][a-z0-9_]*")
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
quick = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def good_text(column):
    """Texts that a column's kind accepts."""
    match column.kind:
        case Text(longest=longest):
            return st.text(st.sampled_from("aP0é-"), min_size=1, max_size=min(3, longest))
        case Words(words=words):
            return st.sampled_from([*words, words[0].upper()])
        case Integer(low=low, high=high):
            return st.integers(low, min(high, 50)).map(str)
        case Decimal(low=low, high=high):
            return st.integers(int(low * 10) + 1, int(min(high, 50) * 10)).map(lambda n: f"{n / 10:.1f}")
        case LocalTime():
            return st.sampled_from(
                ["2021-01-02", "2021-01-02T03:04:05", "2021-01-02T23:30:00Z", "2021-01-03 00:00:00.5"]
            )
    raise AssertionError(f"no examples of {column.kind}: add them here")


@st.composite
def good_rows(draw, feed, most=8):
    """Rows of all columns, each cell valid on its own."""
    rows = draw(st.integers(1, most))
    return [
        [draw(good_text(c) if c.required else st.one_of(good_text(c), st.just(""))) for c in feed.columns]
        for _ in range(rows)
    ]


def quote(cells):
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)


def dated(feed):
    """The columns that take the day of the file where a cell is empty."""
    return [column.name for column in feed.columns if isinstance(column.default, OfFile)]


def checked(feed, rows, columns=None):
    header = read_header(",".join(columns or names(feed.columns)), feed)
    return check(split("\n".join(map(quote, rows)).encode(), 2, header), feed, CONTEXT)


def as_dict(table, keys):
    return {
        tuple(row[k] for k in keys): {m: v for m, v in row.items() if m not in keys}
        for row in table.to_pylist()
    }


def total(*sums):
    found = {}
    for one in sums:
        for key, measures in one.items():
            there = found.setdefault(key, dict.fromkeys(measures, 0))
            for name, value in measures.items():
                there[name] += value
    return found


@pytest.mark.parametrize("feed", FEEDS, ids=[*(feed.name for feed in HANDLERS), "sales_with_returns"])
class TestFeedContract:
    # -- what it declares

    def test_names(self, feed):
        found = names(feed.columns)
        assert len(set(found)) == len(found)
        assert all(NAME.fullmatch(name) for name in (*found, feed.name, feed.table))
        assert feed.daily is None or NAME.fullmatch(feed.daily.table)
        assert not {"line", "delivery_id"} & set(found), "kept for where a row came from"

    def test_columns_required_and_defaults_are_those_of_the_rules(self, feed):
        declared = reference.FEEDS[feed.name]
        assert list(names(feed.columns)) == [name.removeprefix("*") for name in declared]
        assert set(feed.required) == {name[1:] for name in declared if name.startswith("*")}
        assert set(feed.required) | set(feed.optional) == set(names(feed.columns))
        assert {c.name: None if isinstance(c.default, OfFile) else c.default for c in feed.columns} == {
            n.removeprefix("*"): reference.default(k) for n, k in declared.items()
        }

    def test_a_row_is_about_a_product_at_a_time(self, feed):
        assert feed.columns[0].name == "date"
        assert isinstance(feed.columns[0].kind, LocalTime)
        assert {"date", "product_id"} <= {*feed.required, *dated(feed)}
        assert feed.column("product_id").kind == Text(longest=64)

    def test_a_required_column_has_no_default(self, feed):
        assert all(column.default is None for column in feed.columns if column.required)

    def test_a_default_is_a_value_of_its_column(self, feed):
        for column in feed.columns:
            if column.default is not None and not isinstance(column.default, OfFile):
                values, problems = column.kind.convert(pa.array([str(column.default)]), CONTEXT)
                assert values.to_pylist() == [column.default]
                assert not any(problem.mask.any() for problem in problems)

    def test_the_key_is_made_of_required_columns(self, feed):
        assert feed.repeats in ("reject", "number")
        key = feed.key[:-1] if feed.repeats == "number" else feed.key
        assert len(set(feed.key)) == len(feed.key)
        assert set(key) <= set(names(feed.columns))
        if feed.repeats == "reject":
            assert set(key) <= {*feed.required, *dated(feed)}, "an empty cell is no key"
        else:
            assert feed.key[-1] not in names(feed.columns), "the number is ours, not the file's"

    def test_rules_name_a_column_and_say_what_is_wrong(self, feed):
        for rule in feed.rules:
            assert rule.column in names(feed.columns)
            assert rule.column in rule.message
            assert isinstance(rule.reason, RowReason)

    # -- what it does with rows

    def test_no_rows(self, feed):
        for block in (b"\n", b" \n\n", b"only one cell\n"):
            header = read_header(",".join(names(feed.columns)), feed)
            found = check(split(block, 2, header), feed, CONTEXT)
            assert found.rows.num_rows == 0
            assert found.rows.schema.names == ["line", *names(feed.columns)]

    @quick
    @given(st.data())
    def test_good_cells_are_rows_unless_a_rule_between_columns_is_broken(self, feed, data):
        rows = data.draw(good_rows(feed))
        found = checked(feed, rows)
        assert found.rows.num_rows + len(found.rejects) == len(rows)
        assert {r.reason for r in found.rejects} <= {rule.reason for rule in feed.rules}
        assert [field.type for field in found.rows.schema][1:] == [
            column.kind.arrow_type for column in feed.columns
        ]
        for column in feed.columns:
            nulls = found.rows[column.name].null_count
            assert nulls == 0 or (not column.required and column.default is None)

    @quick
    @given(st.data())
    def test_the_order_of_columns_does_not_matter(self, feed, data):
        rows = data.draw(good_rows(feed))
        order = data.draw(st.permutations(range(len(feed.columns))))
        there, back = (
            checked(feed, rows),
            checked(feed, [[row[k] for k in order] for row in rows], [feed.columns[k].name for k in order]),
        )
        assert there.rows.equals(back.rows)
        assert [(r.line, r.column, r.reason, r.message) for r in there.rejects] == [
            (r.line, r.column, r.reason, r.message) for r in back.rejects
        ]

    @quick
    @given(st.data())
    def test_a_row_is_judged_by_itself_alone(self, feed, data):
        cell = st.one_of(ANY_TEXT, st.sampled_from(["", "1", "-1", "0.5", "2021-01-02", "high", "pos"]))
        table = data.draw(
            st.lists(
                st.lists(cell, min_size=len(feed.columns), max_size=len(feed.columns)), min_size=1, max_size=5
            )
        )
        table = [row for row in table if quote(row).strip()]
        together = checked(feed, table)
        apart = [checked(feed, [row]) for row in table]
        strip = [{k: v for k, v in row.items() if k != "line"} for row in together.rows.to_pylist()]
        assert strip == [
            {k: v for k, v in row.items() if k != "line"} for one in apart for row in one.rows.to_pylist()
        ]
        assert [(r.column, r.reason, r.message) for r in together.rejects] == [
            (r.column, r.reason, r.message) for one in apart for r in one.rejects
        ]

    @quick
    @given(st.data())
    def test_any_text_in_any_cell_is_a_row_or_a_reject_that_says_why(self, feed, data):
        (row,) = data.draw(good_rows(feed, most=1))
        k = data.draw(st.integers(0, len(row) - 1))
        row[k] = data.draw(ANY_TEXT)
        found = checked(feed, [row])
        assert found.rows.num_rows + len(found.rejects) == 1
        for reject in found.rejects:
            assert reject.column in reject.message
            assert reject.message.isprintable()
            assert feed.column(reject.column)

    @quick
    @given(st.binary(max_size=60))
    def test_any_bytes_are_rows_rejects_or_a_refusal(self, feed, data):
        text = data.decode("latin-1").replace("\r", "\n")
        header = read_header(",".join(names(feed.columns)), feed)
        if not text:
            return
        try:
            cells = split(text.encode(), 2, header)
        except FileError:
            return
        found = check(cells, feed, CONTEXT)
        lines = found.rows["line"].to_pylist() + [r.line for r in found.rejects]
        assert len(set(lines)) == len(lines)
        assert all(2 <= line <= 2 + text.count("\n") for line in lines)

    # -- what it sums

    def test_the_daily_aggregate_speaks_of_the_feeds_columns(self, feed):
        daily = feed.daily
        assert set(feed.day_key) >= {"product_id", "day"}
        if daily is None:
            return
        assert set(daily.keys) - set(names(feed.columns)) == {"day"}
        match daily:
            case Additive():
                assert "rows" in daily.measures
                assert not set(daily.keys) & set(daily.measures)
            case Snapshot():
                measures = [fold.name for fold in daily.folds]
                assert len(set(measures)) == len(measures)
                assert not set(daily.keys) & set(measures)
                assert set(daily.keys) - {"day"} <= set(feed.key), "a key's day holds all of its rows"
                for fold in daily.folds:
                    words = set(re.findall(r"[a-z_]{3,}", re.sub(r"'[^']*'", "", fold.of)))
                    assert words & set(names(feed.columns))
                    assert words <= set(names(feed.columns)), "SQL words are in capitals"

    @quick
    @given(st.data())
    def test_sums_count_every_row_and_add_up(self, feed, data):
        if not isinstance(feed.daily, Additive):
            return
        daily = feed.daily
        one = checked(feed, data.draw(good_rows(feed, most=12))).rows
        other = checked(feed, data.draw(good_rows(feed, most=12))).rows
        both = pa.Table.from_batches([one, other])
        sums = [daily.summarise(rows) for rows in (one, other, both)]
        for table, rows in zip(sums, (one, other, both), strict=True):
            assert table.column_names == [*daily.keys, *daily.measures]
            assert all(pa.types.is_integer(table.schema.field(m).type) for m in daily.measures)
            assert sum(table["rows"].to_pylist()) == rows.num_rows
            assert all(table[key].null_count == 0 for key in daily.keys)
            assert len(as_dict(table, daily.keys)) == table.num_rows, "one row per key"
        first, second, together = (as_dict(table, daily.keys) for table in sums)
        assert total(first, second) == together
        # taking the rows out again leaves nothing behind
        minus = {key: {name: -value for name, value in measures.items()} for key, measures in second.items()}
        left = {key: measures for key, measures in total(together, minus).items() if measures["rows"]}
        assert left == first


def test_a_sum_of_sales_is_what_a_person_would_add_up():
    feed = accepting_returns(SALES)
    found = checked(
        feed,
        [
            ["2021-01-02T23:59:59", "P1", "pos", "3", "29.97", "", "SALE", "", "L1", ""],
            ["2021-01-02", "P1", "POS", "2", "0.0001", "", "", "", "L1", ""],
            ["2021-01-02", "P1", "pos", "-1", "-9.99", "", "SALE", "", "L1", ""],
            ["2021-01-03", "P1", "pos", "1", "99999999999", "", "", "", "L1", ""],
            ["2021-01-02", "P1", "pos", "1", "1", "", "", "", "", ""],
        ],
    )
    assert not found.rejects
    assert as_dict(SALES.daily.summarise(found.rows), ("product_id", "location", "channel", "day")) == {
        ("P1", "L1", "pos", "2021-01-02"): {
            "units": 5,
            "returned": 1,
            "revenue_e4": 199_801,
            "promo_units": 3,
            "rows": 3,
        },
        ("P1", "L1", "pos", "2021-01-03"): {
            "units": 1,
            "returned": 0,
            "revenue_e4": 999_999_999_990_000,
            "promo_units": 0,
            "rows": 1,
        },
        ("P1", "", "pos", "2021-01-02"): {
            "units": 1,
            "returned": 0,
            "revenue_e4": 10_000,
            "promo_units": 0,
            "rows": 1,
        },
    }


@quick
@given(st.lists(st.integers(1, 10**8), min_size=1, max_size=200))
def test_sums_of_money_are_exact(ten_thousandths):
    """0.57 is not a number a double holds: it must count as 5 700, not as 5 699."""
    ten_thousandths = [5_700, 11_000, 2_900, 10_001, *ten_thousandths]
    rest = ["", "", "", "", ""]
    rows = [
        ["2021-01-02", f"P{k % 7}", "pos", "1", f"{n // 10_000}.{n % 10_000:04}", *rest]
        for k, n in enumerate(ten_thousandths)
    ]
    found = SALES.daily.summarise(checked(SALES, rows).rows).to_pylist()
    assert {row["product_id"]: row["revenue_e4"] for row in found} == {
        f"P{k}": sum(ten_thousandths[k::7]) for k in range(min(7, len(rows)))
    }


@pytest.mark.parametrize("count", [1, 100, 5_000, 9_300, 60_000])
def test_a_sum_of_the_largest_revenues_is_right_or_refused(count):
    """What passes the bound of a row must not wrap around as a sum: 2**63 ten-thousandths are 9 223 such rows."""
    row = ["2021-01-02", "P1", "pos", "2147483647", "99999999999", *[""] * 5]
    rows = checked(SALES, [row] * count).rows
    try:
        (found,) = SALES.daily.summarise(rows).to_pylist()
    except FileError as error:
        assert count > 200, error
        return
    assert found["units"] == count * (2**31 - 1)
    assert found["revenue_e4"] == count * 999_999_999_990_000
