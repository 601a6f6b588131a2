"""What a correction changes in its slot, against a plain comparison in Python. On both databases."""

import csv
import io
import json
import os
from collections import Counter, defaultdict
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from support.dump import dump
from support.files import DEMAND, INVENTORY, SALES, SALES_WITH_TRANSACTION, csv_bytes
from support.loading import ARRIVED, RULES, load, wipe

from daemon import source
from daemon.difference import Difference
from daemon.reading import Reading, read_into
from daemon.store import difference as compared
from handlers.reasons import FileReason

PROPERTY = settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
HEADERS = {"sales": SALES_WITH_TRANSACTION, "inventory": INVENTORY, "demand": DEMAND}
KEYS = {
    "sales": ("transaction_id", "product_id"),
    "inventory": ("date", "product_id", "location"),
    "demand": ("date", "product_id"),
}
ALIKE = ("date", "product_id", "channel", "location")  # of sales without a transaction
DEFAULTS = {
    "sales": {"customer_segment": "regular", "fulfillment_method": "warehouse"},
    "inventory": {"reserved_stock": "0", "in_transit": "0"},
    "demand": {"weather_factor": "normal", "event_impact": "none"},
}
SUMS = {
    "sales": ("quantity_sold", "revenue"),
    "inventory": ("stock_level", "reserved_stock", "in_transit"),
    "demand": (),
}
NUMBERS = {"revenue", "market_trend", "competitor_price", "social_sentiment"}

times = st.sampled_from(["2025-06-01", "2025-06-01T08:30:00", "2025-06-01T20:00:00.5"])
products = st.sampled_from(["A", "B"])
signals = st.sampled_from(["", "0", "-1", "0.333"])
ROWS = {
    "sales": st.builds(
        "{},{},{},{},{},,{},,{},{}".format,
        times,
        products,
        st.sampled_from(["online", "pos"]),
        st.integers(1, 2),
        st.sampled_from(["0.0001", "2.50", "19.99", "99999999999"]),
        st.sampled_from(["", "PROMO"]),
        st.sampled_from(["", "s1"]),
        st.sampled_from(["", "", "T1", "T2"]),
    ),
    "inventory": st.builds(
        "{},{},{},{},{},{},{},{}".format,
        times,
        products,
        st.sampled_from(["s1", "s2"]),
        st.integers(5, 7),
        st.sampled_from(["", "0", "5"]),
        st.sampled_from(["", "3"]),
        st.sampled_from(["", "SUP1"]),
        st.sampled_from(["", "2025-05-01"]),
    ),
    "demand": st.builds(
        "{},{},{},{},{},hot,,{}".format,
        times,
        products,
        st.sampled_from(["high", "low"]),
        signals,
        st.sampled_from(["", "12.5", "0.1234567"]),
        signals,
    ),
}


@st.composite
def versions(draw: Any) -> tuple[str, bytes, bytes, bytes]:
    """A feed, two versions of a file, and another file with some of the same keys."""
    feed = draw(st.sampled_from(sorted(ROWS)))
    old = draw(st.lists(ROWS[feed], min_size=1, max_size=8))
    kept = draw(st.lists(st.sampled_from(old), max_size=6))
    new = draw(st.permutations([*kept, *draw(st.lists(ROWS[feed], min_size=1, max_size=4))]))
    other = draw(st.lists(ROWS[feed], min_size=1, max_size=4))
    header = HEADERS[feed]
    return feed, csv_bytes(header, old), csv_bytes(header, new), csv_bytes(header, other)


@contextmanager
def staged(store: Any, name: str, content: bytes, tmp_path: Any) -> Any:
    """A stage with the rows of a file."""
    path = tmp_path / name
    path.write_bytes(content)
    fd = source.open_regular(path)
    try:
        with store.stage(RULES.feeds[name.partition("_")[0]]) as stage:
            read_into(stage, fd, "", RULES, ARRIVED, Reading())
            yield stage
    finally:
        os.close(fd)


def difference(store: Any, name: str, content: bytes, delivery: int, tmp_path: Any) -> Difference:
    with staged(store, name, content, tmp_path) as stage:
        return compared.difference(stage, delivery)


# ---- the plain comparison


def parsed(feed: str, content: bytes) -> dict[int, tuple[tuple[str, str | None], ...]]:
    """Rows by line; of those with the same key, where a file may have only one, the last."""
    rows: dict[int, tuple[tuple[str, str | None], ...]] = {}
    by_key: dict[Any, int] = {}
    reader = csv.DictReader(io.StringIO(content.decode()))
    for cells in reader:
        row = {name: canonical(name, text) or DEFAULTS[feed].get(name) for name, text in cells.items()}
        if feed != "sales":
            rows.pop(by_key.get(identity(feed, row), 0), None)
            by_key[identity(feed, row)] = reader.line_num
        rows[reader.line_num] = tuple(row.items())
    return rows


def canonical(name: str, text: str) -> str:
    if text and name in ("date", "last_reorder_date"):
        return datetime.fromisoformat(text).isoformat(" ").removesuffix(" 00:00:00")
    if not text or name not in NUMBERS:
        return text
    return str(Decimal(text).normalize())


def identity(feed: str, row: dict[str, str | None]) -> tuple[Any, ...]:
    by = ALIKE if row[KEYS[feed][0]] is None else KEYS[feed]
    return (by, *(row[name] for name in by))


def plainly(feed: str, old: bytes, new: bytes) -> dict[str, int]:
    before, after = Counter(parsed(feed, old).values()), Counter(parsed(feed, new).values())
    groups: dict[Any, list[int]] = defaultdict(lambda: [0, 0])
    for side, left in enumerate((before - after, after - before)):
        for row, count in left.items():
            groups[identity(feed, dict(row))][side] += count
    changed = sum(min(counts) for counts in groups.values())
    return {
        "old_rows": before.total(),
        "new_rows": after.total(),
        "same": (before & after).total(),
        "changed": changed,
        "removed": sum(gone for gone, _ in groups.values()) - changed,
        "added": sum(came for _, came in groups.values()) - changed,
    }


def sums(feed: str, content: bytes) -> dict[str, Decimal]:
    rows = [dict(row) for row in parsed(feed, content).values()]
    return {name: sum((Decimal(row[name]) for row in rows), Decimal(0)) for name in SUMS[feed]}


@PROPERTY
@given(files=versions(), other_is_later=st.booleans())
def test_the_difference_is_that_of_a_plain_comparison(store, tmp_path, files, other_is_later):
    feed, old, new, other = files
    assume(other != old)  # it would be a duplicate
    wipe(store.engine)
    name = f"{feed}_data_20250601.csv"
    if not other_is_later:
        load(store, f"{feed}_data_20250601_other.csv", other)
    delivery = load(store, name, old).delivery_id
    if other_is_later:
        load(store, f"{feed}_data_20250601_other.csv", other)  # rows of the first one step back
    before = dump(store.engine)
    with staged(store, name, new, tmp_path) as stage:
        found = compared.difference(stage, delivery)
        again = compared.difference(stage, delivery)
    assert found == again  # nothing is left over from the first time
    assert dump(store.engine) == before
    assert {
        field: getattr(found, field)
        for field in ("old_rows", "new_rows", "same", "changed", "removed", "added")
    } == plainly(feed, old, new)
    assert {total.column: total.old for total in found.totals} == sums(feed, old)
    assert {total.column: total.new for total in found.totals} == sums(feed, new)
    examples_are_true(feed, found, parsed(feed, old), parsed(feed, new))
    assert Difference.from_dict(json.loads(json.dumps(found.as_dict()))) == found


def examples_are_true(feed: str, found: Difference, old: dict[int, Any], new: dict[int, Any]) -> None:
    kinds = Counter(example.kind for example in found.examples)
    for kind in ("added", "removed", "changed"):
        assert bool(kinds[kind]) == bool(getattr(found, kind))
        assert kinds[kind] <= min(getattr(found, kind), compared.EXAMPLES)
    for example in found.examples:
        before, after = old.get(example.old_line), new.get(example.new_line)
        match example.kind:
            case "added":
                assert example.old_line is None
                assert Counter(new.values())[after] > Counter(old.values())[after]
            case "removed":
                assert example.new_line is None
                assert Counter(old.values())[before] > Counter(new.values())[before]
            case "changed":
                one, other = dict(before), dict(after)
                assert identity(feed, one) == identity(feed, other)
                assert example.changed.keys() == {name for name in one if one[name] != other[name]}
                for name, (was, is_now) in example.changed.items():
                    assert canonical(name, was or "") == (one[name] or "")
                    assert canonical(name, is_now or "") == (other[name] or "")


def test_what_is_told_of_each_kind(store, tmp_path):
    row = "2025-06-01T09:00:00,{},online,{},{},,{},,s1".format
    old = csv_bytes(
        SALES, [row("A", 1, "5.00", ""), row("B", 2, "0.1", ""), row("C", 1, "7", ""), row("A", 1, "5", "")]
    )
    new = csv_bytes(SALES, [row("B", 3, "0.3001", "SUMMER"), row("A", 1, "5", ""), row("D", 4, "8", "")])
    delivery = load(store, "sales_data_20250601.csv", old).delivery_id
    found = difference(store, "sales_data_20250601.csv", new, delivery, tmp_path)
    assert found.sentence() == (
        "1 added, 2 removed, 1 changed, 1 as before; quantity_sold 5 → 8 (+3); revenue 17.10 → 13.3001 (-3.7999)"
    )
    by_kind = {
        kind: [e for e in found.examples if e.kind == kind] for kind in ("added", "removed", "changed")
    }
    (added,) = by_kind["added"]
    assert (added.old_line, added.new_line) == (None, 4)
    assert added.row == {
        "date": "2025-06-01 09:00:00",
        "product_id": "D",
        "channel": "online",
        "quantity_sold": "4",
        "revenue": "8.00",
    }
    assert added.more == {"location": "s1"}
    assert [(e.old_line, e.row["product_id"]) for e in by_kind["removed"]] == [(4, "C"), (5, "A")]
    (changed,) = by_kind["changed"]
    assert (changed.old_line, changed.new_line, changed.more) == (3, 2, {})
    assert changed.row.keys() == {"date", "product_id", "channel", "location"}
    assert changed.changed == {
        "quantity_sold": ("2", "3"),
        "revenue": ("0.10", "0.3001"),
        "promotion_code": (None, "SUMMER"),
    }


def test_rows_of_a_transaction_are_recognised_by_it(store, tmp_path):
    row = "{},P,online,1,{},,,,s1,{}".format
    old = csv_bytes(SALES_WITH_TRANSACTION, [row("2025-06-01", 1, "T1"), row("2025-06-01", 2, "T1")])
    new = csv_bytes(
        SALES_WITH_TRANSACTION,
        [row("2025-06-01", 3, "T1"), row("2025-06-02", 1, "T1"), row("2025-06-01", 2, "T1")],
    )
    delivery = load(store, "sales_data_20250601.csv", old).delivery_id
    found = difference(store, "sales_data_20250601.csv", new, delivery, tmp_path)
    assert (found.added, found.removed, found.changed, found.same) == (1, 0, 1, 1)
    (changed,) = (e for e in found.examples if e.kind == "changed")
    assert changed.row == {"product_id": "P", "transaction_id": "T1"}


def test_too_many_rows_are_only_added_up(store, tmp_path, monkeypatch):
    monkeypatch.setattr(compared, "MOST_COMPARED", 2)
    row = "2025-06-01,{},online,1,5,,,,s1".format
    delivery = load(store, "sales_data_20250601.csv", csv_bytes(SALES, [row("A"), row("B")])).delivery_id
    found = difference(store, "sales_data_20250601.csv", csv_bytes(SALES, [row("C")]), delivery, tmp_path)
    assert (found.old_rows, found.new_rows, found.added, found.examples) == (2, 1, None, ())
    assert found.sentence() == (
        "2 → 1 rows, too many to compare one by one; quantity_sold 2 → 1 (-1); revenue 10.00 → 5.00 (-5.00)"
    )
    assert Difference.from_dict(found.as_dict()) == found


def test_what_is_held_carries_the_difference(store, tmp_path):
    row = "2025-06-01,{},online,1,5,,,,s1".format
    delivery = load(store, "sales_data_20250601.csv", csv_bytes(SALES, map(row, "ABCDE"))).delivery_id
    found = difference(store, "sales_data_20250601.csv", csv_bytes(SALES, [row("A")]), delivery, tmp_path)
    error = compared.shrunk(found)
    assert error.reason is FileReason.SHRUNK
    assert f"the 5 rows of delivery {delivery}" in error.message
    assert error.details["difference"]["removed"] == 4


def test_long_cells_are_cut_in_examples(store, tmp_path):
    row = "2025-06-01,A,online,1,5,,{},,s1".format
    delivery = load(store, "sales_data_20250601.csv", csv_bytes(SALES, [row("X" * 400)])).delivery_id
    found = difference(
        store, "sales_data_20250601.csv", csv_bytes(SALES, [row("Y" * 500)]), delivery, tmp_path
    )
    ((before, after),) = found.examples[0].changed.values()
    assert before == "X" * 59 + "…"
    assert after == "Y" * 59 + "…"


@pytest.mark.parametrize("feed", ["inventory", "demand", "sales"])
def test_rows_of_others_with_the_same_keys_are_counted(store, tmp_path, feed):
    rows = {
        "inventory": "2025-06-01,{},s1,{},,,,".format,
        "demand": "2025-06-01,{},high,,{},,,".format,
        "sales": "2025-06-01,{},pos,{},5,,,,s1,T1".format,
    }[feed]
    name, header = f"{feed}_data_20250601.csv", HEADERS[feed]
    load(store, f"{feed}_data_20250601_first.csv", csv_bytes(header, [rows("A", 1), rows("B", 1)]))
    delivery = load(store, name, csv_bytes(header, [rows("C", 1), rows("D", 1)])).delivery_id
    with staged(
        store, name, csv_bytes(header, [rows("A", 2), rows("C", 2), rows("E", 2)]), tmp_path
    ) as stage:
        assert compared.stepping_back(stage, delivery) == 1
        assert compared.stepping_back(stage, None) == 2
