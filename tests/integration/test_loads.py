"""Loads through the service: rows, rejects, ledger and aggregates; corrections and duplicates. On both databases."""

import json
from collections.abc import Callable

import pytest
from sqlalchemy import select
from support.dump import dump
from support.files import DEMAND, INVENTORY, SALES, SALES_WITH_TRANSACTION, csv_bytes, drop, tree
from support.oracle import Oracle, label

from daemon.service import Service
from daemon.store.schema import DELIVERIES

SALES_ROWS = [
    "2025-06-01T09:00:00,A-1,online,2,19.98,premium,SUMMER,store_pickup,store_01",
    "2025-06-01T09:00:00,A-1,online,2,19.98,premium,SUMMER,store_pickup,store_01",
    "2025-06-01T10:30:00.25,A-1,online,1,9.9999,,,,store_01",
    "2025-06-02,B-2,POS,3,0.0001,,,,",
]
INVENTORY_ROWS = [
    "2025-06-01T08:00:00,A-1,store_01,10,2,5,SUP1,2025-05-20",
    "2025-06-01T20:00:00,A-1,store_01,4,1,0,SUP1,",
    "2025-06-01T20:00:00,A-1,store_02,7,,,,",
]
DEMAND_ROWS = [
    "2025-06-01T08:00:00,A-1,high,0.25,12.5,hot,holiday,-0.5",
    "2025-06-01T18:00:00,A-1,low,-1,,rainy,none,0.333",
    "2025-06-01T00:00:00,B-2,medium,,,,,",
]


def ledger(service: Service) -> list[dict[str, object]]:
    """The ledger, in the order of arrival."""
    with service.store.engine.connect() as connection:
        return [
            dict(row) for row in connection.execute(select(DELIVERIES).order_by(DELIVERIES.c.id)).mappings()
        ]


def deliver(service: Callable[..., Service], name: str, content: bytes) -> dict[str, object]:
    """Drops a file, drains the inbox, and returns the file's row of the ledger."""
    made = service()
    drop(made.folders.inbox, name, content)
    made.drain()
    row = ledger(made)[-1]
    assert row["file_name"] == name
    assert row["records_processed"] == sum(
        int(str(row[f"records_{part}"])) for part in ("successful", "failed", "duplicate")
    )
    assert list(made.folders.inbox.iterdir()) == []
    assert list(made.folders.work.iterdir()) == []
    assert (made.folders.data_dir / str(row["archive_path"])).read_bytes() == content
    return row


@pytest.mark.parametrize(
    ("name", "header", "rows"),
    [
        ("sales_data_20250601.csv", SALES, SALES_ROWS),
        ("inventory_data_20250601.csv", INVENTORY, INVENTORY_ROWS),
        ("demand_data_20250601.csv", DEMAND, DEMAND_ROWS),
    ],
)
def test_a_file_becomes_rows_aggregates_and_a_ledger_row(service, name, header, rows):
    content = csv_bytes(header, rows)
    row = deliver(service, name, content)
    assert (row["status"], row["records_successful"], row["records_failed"]) == ("success", len(rows), 0)
    assert (row["encoding"], row["delimiter"], row["size_bytes"]) == ("utf-8", ",", len(content))
    assert row["file_type"] == name.split("_")[0]
    assert row["slot"] == f"{row['file_type']}:2025-06-01:"
    assert row["error_details"] == {"header": header.split(",")}
    assert row["processing_time_seconds"] > 0
    assert row["attempts"] == 1
    expected = Oracle()
    expected.load(name, content.replace(b"POS", b"pos"))
    found = dump(service().store.engine, by_name=True, ledger=False)
    assert found.pop("rejected_rows") == []
    theirs = json.dumps(expected.tables()).replace(
        label(name, content.replace(b"POS", b"pos")), label(name, content)
    )
    assert found == json.loads(theirs)


def test_money_and_fractions_are_exact(service):
    deliver(service, "sales_data_20250601.csv", csv_bytes(SALES, SALES_ROWS))
    found = dump(service().store.engine)
    assert [row["revenue"] for row in found["live_sales_data"]].count("19.9800") == 2
    totals = {
        row["product_id"]: (row["units"], row["revenue_e4"], row["rows"]) for row in found["sales_daily"]
    }
    assert totals == {"A-1": (5, 499_599, 3), "B-2": (3, 1, 1)}
    assert "2025-06-01 10:30:00.250000" in [row["date"] for row in found["live_sales_data"]]


def test_rejects_keep_line_column_value_reason_and_text(service):
    bad = [
        "2025-06-01,A-1,shop,1,1.00,,,,",
        "2025-06-01,A-1,online,1.5,1.00,,,,",
        "yesterday,A-1,online,1,1.00,,,,",
        "2025-06-01,A-1,online,1,1.00",
    ]
    row = deliver(service, "sales_data_20250601.csv", csv_bytes(SALES, [*SALES_ROWS, *bad]))
    assert (row["status"], row["records_successful"], row["records_failed"]) == ("partial", 4, 4)
    assert row["error_details"]["reasons"] == {
        "bad_date": 1,
        "bad_enum": 1,
        "bad_integer": 1,
        "column_count": 1,
    }
    rejects = sorted(dump(service().store.engine)["rejected_rows"], key=lambda r: r["line"])
    told = [(r["line"], r["column_name"], r["value"], r["reason"], r["raw"]) for r in rejects]
    assert told[:3] == [
        (6, "channel", "shop", "bad_enum", bad[0]),
        (7, "quantity_sold", "1.5", "bad_integer", bad[1]),
        (8, "date", "yesterday", "bad_date", bad[2]),
    ]
    assert (told[3][0], told[3][3], told[3][4]) == (9, "column_count", bad[3])
    assert {r["delivery_id"] for r in rejects} == {row["id"]}
    beside = service().folders.errors / "sales_data_20250601.csv.rejects.csv"
    assert beside.read_text().splitlines()[1].startswith("6,bad_enum,")


def test_a_correction_replaces_its_slot_and_nothing_else(service):
    other = csv_bytes(SALES, SALES_ROWS[:1])
    deliver(service, "sales_data_20250601_web.csv", other)
    first = deliver(service, "sales_data_20250601.csv", csv_bytes(SALES, SALES_ROWS))
    corrected = csv_bytes(SALES, [*SALES_ROWS[:2], "2025-06-01,C-3,online,9,90,,,,store_03"])
    second = deliver(service, "sales_data_20250601.csv", corrected)
    assert [row["superseded_by"] for row in ledger(service())] == [None, second["id"], None]
    assert first["records_successful"] == 4  # what it brought then stays on record
    expected = Oracle()
    expected.load("sales_data_20250601_web.csv", other)
    expected.load("sales_data_20250601.csv", csv_bytes(SALES, SALES_ROWS))
    expected.load("sales_data_20250601.csv", corrected)
    found = dump(service().store.engine, by_name=True, ledger=False)
    assert found == {**expected.tables(), "rejected_rows": []}
    assert {row["product_id"] for row in found["products"]} == {"A-1", "C-3"}  # nobody has seen B-2 any more


def test_a_correction_takes_the_old_rejects_with_it(service):
    name = "sales_data_20250601.csv"
    deliver(service, name, csv_bytes(SALES, [*SALES_ROWS, "2025-06-01,A-1,shop,1,1.00,,,,"]))
    deliver(service, name, csv_bytes(SALES, [*SALES_ROWS, "2025-06-01,A-1,pos,1,1.00,,,,"]))
    correction = ledger(service())[-1]["id"]
    assert [row["fixed_by"] for row in dump(service().store.engine)["rejected_rows"]] == [correction]


def test_a_correction_that_would_more_than_halve_its_slot_is_held(service):
    name = "sales_data_20250601.csv"
    deliver(service, name, csv_bytes(SALES, SALES_ROWS))
    before = dump(service().store.engine, ledger=False)
    row = deliver(service, name, csv_bytes(SALES, SALES_ROWS[:1]))
    assert (row["status"], row["error_details"]["reason"]) == ("failed", "shrunk")
    assert str(row["archive_path"]).startswith("errors/")
    assert dump(service().store.engine, ledger=False) == before
    # exactly half is no loss worth asking about
    assert deliver(service, name, csv_bytes(SALES, SALES_ROWS[:2]))["status"] == "success"


@pytest.mark.parametrize("again", ["sales_data_20250601.csv", "sales_data_20250601_again.csv"])
def test_the_same_bytes_are_loaded_once_whatever_their_name(service, again):
    content = csv_bytes(SALES, SALES_ROWS)
    first = deliver(service, "sales_data_20250601.csv", content)
    before = dump(service().store.engine, ledger=False)
    row = deliver(service, again, content)
    assert (row["status"], row["duplicate_of"], row["records_processed"]) == ("duplicate", first["id"], 0)
    assert dump(service().store.engine, ledger=False) == before


def test_the_old_bytes_after_a_correction_are_a_duplicate_and_do_not_undo_it(service):
    name = "sales_data_20250601.csv"
    old, new = csv_bytes(SALES, SALES_ROWS), csv_bytes(SALES, SALES_ROWS[1:])
    first = deliver(service, name, old)
    deliver(service, name, new)
    before = dump(service().store.engine, ledger=False)
    row = deliver(service, name, old)
    assert (row["status"], row["duplicate_of"]) == ("duplicate", first["id"])
    assert dump(service().store.engine, ledger=False) == before


def test_a_refused_file_does_not_occupy_its_slot_nor_its_bytes(service):
    name = "sales_data_20250601.csv"
    bad = csv_bytes("date,product_id\n", [])
    for _ in range(2):
        row = deliver(service, name, bad)
        assert (row["status"], row["error_details"]["reason"]) == ("failed", "missing_column")
    good = deliver(service, name, csv_bytes(SALES, SALES_ROWS))
    assert good["status"] == "success"
    assert [row["superseded_by"] for row in ledger(service())] == [None, None, None]


def test_an_unroutable_file_leaves_a_trace(service):
    row = deliver(service, "sales.xlsx", b"PK")
    assert (row["status"], row["file_type"], row["slot"]) == ("failed", None, None)
    assert row["error_details"]["reason"] == "unroutable"
    assert "errors/sales.xlsx.reason.txt" in tree(service().folders.data_dir)


def test_resent_transactions_are_counted_and_not_doubled(service):
    rows = [f"2025-06-01T09:00:00,{p},pos,1,{n}.50,,,,s1,T{n}" for n in (1, 2, 3) for p in ("A", "B")]
    deliver(service, "sales_data_20250601_noon.csv", csv_bytes(SALES_WITH_TRANSACTION, rows[:4]))
    evening = csv_bytes(SALES_WITH_TRANSACTION, rows)
    row = deliver(service, "sales_data_20250601_evening.csv", evening)
    assert (row["records_processed"], row["records_successful"], row["records_duplicate"]) == (6, 2, 4)
    found = dump(service().store.engine)
    assert len(found["live_sales_data"]) == 6
    assert {row["product_id"]: row["units"] for row in found["sales_daily"]} == {"A": 3, "B": 3}
    # with another value a row is no repetition: it replaces the older one
    changed = csv_bytes(SALES_WITH_TRANSACTION, [rows[0].replace("1.50", "1.75")])
    row = deliver(service, "sales_data_20250601_night.csv", changed)
    assert (row["records_successful"], row["records_duplicate"]) == (1, 0)
    found = dump(service().store.engine)
    assert {row["product_id"]: row["revenue_e4"] for row in found["sales_daily"]} == {
        "A": 77_500,
        "B": 75_000,
    }


def test_several_lines_of_a_product_in_a_transaction_are_all_kept(service):
    line = "2025-06-01T09:00:00,A,pos,1,2.50,,,,s1,T1"
    row = deliver(service, "sales_data_20250601.csv", csv_bytes(SALES_WITH_TRANSACTION, [line] * 3))
    assert row["records_successful"] == 3
    found = dump(service().store.engine)
    assert sorted(row["transaction_line"] for row in found["live_sales_data"]) == [1, 2, 3]
    assert [(row["units"], row["rows"]) for row in found["sales_daily"]] == [(3, 3)]


@pytest.mark.parametrize(
    ("name", "header", "old", "new"),
    [
        ("inventory_data_20250601", INVENTORY, "2025-06-01,A,s1,10,,,,", "2025-06-01,A,s1,3,,,,"),
        ("demand_data_20250601", DEMAND, "2025-06-01,A,high,,,,,", "2025-06-01,A,low,,,,,"),
    ],
)
def test_the_last_row_of_a_key_in_a_file_wins_and_the_others_are_rejects(service, name, header, old, new):
    row = deliver(service, f"{name}.csv", csv_bytes(header, [old, new]))
    assert (row["status"], row["records_successful"], row["records_failed"]) == ("partial", 1, 1)
    found = dump(service().store.engine)
    assert [(r["line"], r["reason"], r["raw"]) for r in found["rejected_rows"]] == [(2, "duplicate_key", old)]
    live = found["live_inventory_updates"] + found["live_demand_signals"]
    assert [r["line"] for r in live] == [3]
