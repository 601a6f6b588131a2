"""What operators do: corrected rejects come back, deliveries are taken out, refused files are tried again."""

import csv
import io

import pytest
from support.dump import dump
from support.files import DEMAND, INVENTORY, SALES, csv_bytes, drop
from test_loads import SALES_ROWS, deliver, ledger

from daemon import hands
from daemon.store.unload import CannotUnload

NAME = "sales_data_20250601.csv"
REJECTS = f"{NAME}.rejects.csv"
TRANSACTIONS = f"{SALES},transaction_id"


def rejects_of(service, name=REJECTS):
    """The rejects file in errors/ as dictionaries."""
    path = service().folders.errors / name
    return list(csv.DictReader(io.StringIO(path.read_text(), newline="")))


def as_csv(rows):
    """Dictionaries as a file."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def give_back(service, content, name=REJECTS, *, moved=True):
    """Drops a rejects file; the operator moves it, and so it is not in errors/ any more."""
    if moved:
        (service().folders.errors / name).unlink(missing_ok=True)
    return deliver(service, name, content)


def tables(service):
    return dump(service().store.engine, ledger=False)


PARTIAL = csv_bytes(
    SALES,
    [
        *SALES_ROWS,
        "2025-06-01,A-1,shop,1,1.00,,,,",  # line 6
        "2025-06-01,A-1,online,1.5,1.00,,,,",  # line 7
        "2025-06-01,=A,online,x,1.00,,,,",  # line 8
    ],
)


def test_corrected_rejects_join_their_delivery(service):
    first = deliver(service, NAME, PARTIAL)
    rows = rejects_of(service)
    assert [row["reject_line"] for row in rows] == ["6", "7", "8"]
    assert rows[2]["product_id"] == "'=A"
    rows[0]["channel"], rows[1]["quantity_sold"], rows[2]["quantity_sold"] = "pos", "2", "3"
    fix = give_back(service, as_csv(rows))
    assert (fix["status"], fix["fixes"], fix["slot"]) == ("success", first["id"], first["slot"])
    assert (fix["records_processed"], fix["records_successful"]) == (3, 3)
    now = ledger(service())[0]
    assert (now["status"], now["records_successful"], now["records_failed"]) == ("success", 7, 0)
    found = tables(service)
    mine = [row for row in found["live_sales_data"] if row["delivery_id"] == first["id"]]
    assert sorted(row["line"] for row in mine) == [2, 3, 4, 5, 6, 7, 8]
    assert "=A" in {row["product_id"] for row in mine}
    assert {row["fixed_by"] for row in found["rejected_rows"]} == {fix["id"]}
    assert sum(row["rows"] for row in found["sales_daily"]) == 7
    assert list(service().folders.errors.iterdir()) == []


def test_a_file_that_was_right_at_once_gives_the_same_tables(service, databases, tmp_path):
    deliver(service, NAME, PARTIAL)
    rows = rejects_of(service)
    rows[0]["channel"], rows[1]["quantity_sold"], rows[2]["quantity_sold"] = "pos", "2", "3"
    give_back(service, as_csv(rows))
    mended = tables(service)
    mended.pop("rejected_rows")
    whole = PARTIAL.replace(b"A-1,shop", b"A-1,pos").replace(b",1.5,", b",2,").replace(b",x,", b",3,")
    hands.unload(1, "", service().store, service().folders)
    again = deliver(service, NAME, whole)
    fresh = tables(service)
    fresh.pop("rejected_rows")

    def without_ids(found):
        return {
            name: [{k: v for k, v in row.items() if k not in ("id", "delivery_id")} for row in rows]
            for name, rows in found.items()
        }

    assert again["status"] == "success"
    assert without_ids(mended) == without_ids(fresh)


def test_a_row_that_is_still_wrong_comes_back_as_it_was_corrected(service):
    first = deliver(service, NAME, PARTIAL)
    rows = rejects_of(service)
    rows[0]["channel"], rows[1]["quantity_sold"] = "pos", "two"
    fix = give_back(service, as_csv(rows[:2]))
    assert (fix["status"], fix["records_successful"], fix["records_failed"]) == ("partial", 1, 1)
    now = ledger(service())[0]
    assert (now["status"], now["records_successful"], now["records_failed"]) == ("partial", 5, 2)
    left = rejects_of(service)
    assert [(row["reject_line"], row["quantity_sold"], row["product_id"]) for row in left] == [
        ("7", "two", "A-1"),
        ("8", "x", "'=A"),
    ]
    left[0]["quantity_sold"] = left[1]["quantity_sold"] = "2"
    assert give_back(service, as_csv(left))["status"] == "success"
    now = ledger(service())[0]
    assert (now["status"], now["records_successful"], now["records_failed"]) == ("success", 7, 0)
    assert list(service().folders.errors.iterdir()) == []
    assert first["id"] == 1


def test_an_unchanged_rejects_file_is_a_duplicate_and_comes_back(service):
    deliver(service, NAME, PARTIAL)
    before = tables(service)
    content = (service().folders.errors / REJECTS).read_bytes()
    for _ in range(2):
        row = give_back(service, content)
        assert (row["status"], row["duplicate_of"]) == ("duplicate", 1)
        assert (service().folders.errors / REJECTS).read_bytes() == content
    assert tables(service) == before


def test_the_same_fix_twice_changes_nothing(service):
    deliver(service, NAME, PARTIAL)
    rows = rejects_of(service)
    rows[0]["channel"] = "pos"
    fix = as_csv(rows[:1])
    give_back(service, fix)
    after = tables(service)
    assert give_back(service, fix)["status"] == "duplicate"
    assert tables(service) == after
    # other bytes, the same row: it is known
    again = give_back(service, fix.replace(b"\n", b"\r\n"))
    assert (again["status"], again["records_duplicate"], again["records_successful"]) == ("success", 1, 0)
    assert tables(service) == after


def test_a_copy_that_is_dropped_renews_the_file_that_stayed(service):
    deliver(service, NAME, PARTIAL)
    rows = rejects_of(service)
    rows[0]["channel"] = "pos"
    give_back(service, as_csv(rows[:1]), moved=False)
    assert [row["reject_line"] for row in rejects_of(service)] == ["7", "8"]


def test_a_rejects_file_that_somebody_edits_is_not_overwritten(service):
    deliver(service, NAME, PARTIAL)
    rows = rejects_of(service)
    edited = service().folders.errors / REJECTS
    edited.write_bytes(edited.read_bytes() + b"half a thought")
    rows[0]["channel"] = "pos"
    fix = give_back(service, as_csv(rows[:1]), moved=False)
    assert edited.read_bytes().endswith(b"half a thought")
    numbered = f"{NAME}.rejects.{fix['id']}.csv"
    left = rejects_of(service, numbered)
    assert [row["reject_line"] for row in left] == ["7", "8"]
    # and that one can be dropped, too
    left[0]["quantity_sold"] = "2"
    edited.unlink()
    assert give_back(service, as_csv(left[:1]), numbered)["fixes"] == 1


def test_rows_that_correct_nothing_are_rejected_and_come_back(service):
    deliver(service, NAME, PARTIAL)
    rows = rejects_of(service)
    rows[0]["channel"] = "pos"
    stray = {**rows[0], "reject_line": "3"}
    nameless = {**rows[0], "reject_line": ""}
    twice = {**rows[0], "quantity_sold": "9"}
    fix = give_back(service, as_csv([rows[0], stray, nameless, twice]))
    assert (fix["records_successful"], fix["records_failed"]) == (1, 3)
    found = {
        row["line"]: row["reason"]
        for row in tables(service)["rejected_rows"]
        if row["delivery_id"] == fix["id"]
    }
    assert found == {2: "no_such_reject", 3: "no_such_reject", 4: "missing_value"}
    kept = next(row for row in tables(service)["live_sales_data"] if row["line"] == 6)
    assert kept["quantity_sold"] == 9
    left = rejects_of(service)
    assert [row["reject_line"] for row in left] == ["7", "8", "6", "3", ""]


def test_rejects_of_a_delivery_that_is_unknown_or_replaced_are_refused(service):
    unknown = deliver(service, "sales_data_20250102.csv.rejects.csv", PARTIAL)
    assert unknown["error_details"]["reason"] == "stale_rejects"
    deliver(service, NAME, PARTIAL)
    rows = rejects_of(service)
    deliver(service, NAME, csv_bytes(SALES, [*SALES_ROWS, SALES_ROWS[0]]))
    rows[0]["channel"] = "pos"
    row = give_back(service, as_csv(rows))
    assert (row["status"], row["error_details"]["reason"]) == ("failed", "stale_rejects")
    assert "replaced by delivery 3" in row["error_details"]["message"]


def test_a_fixed_line_of_a_transaction_gets_the_next_number(service):
    rows = [
        "2025-06-01,A,pos,1,1.00,,,,,T1",
        "2025-06-01,A,pos,x,2.00,,,,,T1",
        "2025-06-01,A,pos,3,3.00,,,,,T1",
    ]
    deliver(service, NAME, csv_bytes(TRANSACTIONS, rows))
    left = rejects_of(service)
    left[0]["quantity_sold"] = "2"
    give_back(service, as_csv(left))
    found = [
        (r["line"], r["quantity_sold"], r["transaction_line"]) for r in tables(service)["live_sales_data"]
    ]
    assert sorted(found) == [(2, 1, 1), (3, 2, 3), (4, 3, 2)]
    assert tables(service)["live_sales_data_shadowed"] == []


def test_a_fixed_row_does_not_displace_a_later_delivery(service):
    deliver(
        service,
        "inventory_data_20250601_a.csv",
        csv_bytes(INVENTORY, ["2025-06-01,A,s1,x,,,,", "2025-06-01,B,s1,5,,,,"]),
    )
    deliver(service, "inventory_data_20250601_b.csv", csv_bytes(INVENTORY, ["2025-06-01,A,s1,7,,,,"]))
    left = rejects_of(service, "inventory_data_20250601_a.csv.rejects.csv")
    left[0]["stock_level"] = "3"
    row = give_back(service, as_csv(left), "inventory_data_20250601_a.csv.rejects.csv")
    assert row["status"] == "success"
    found = tables(service)
    assert {r["product_id"]: r["stock_level"] for r in found["live_inventory_updates"]} == {"A": 7, "B": 5}
    assert [r["stock_level"] for r in found["live_inventory_updates_shadowed"]] == [3]
    hands.unload(2, "", service().store, service().folders)
    found = tables(service)
    assert {r["product_id"]: r["stock_level"] for r in found["live_inventory_updates"]} == {"A": 3, "B": 5}


def test_a_fixed_row_whose_key_its_file_has_already_is_a_reject(service):
    name = "demand_data_20250601.csv"
    deliver(service, name, csv_bytes(DEMAND, ["2025-06-01,A,high,0.5,1,,,", "2025-06-01,B,wild,0.5,1,,,"]))
    left = rejects_of(service, f"{name}.rejects.csv")
    left[0] |= {"product_id": "A", "external_demand": "low"}
    row = give_back(service, as_csv(left), f"{name}.rejects.csv")
    assert (row["records_failed"], row["error_details"]["reasons"]) == (1, {"duplicate_key": 1})
    assert [r["external_demand"] for r in tables(service)["live_demand_signals"]] == ["high"]


# ---- taking out


def test_unloading_a_correction_brings_back_what_it_replaced(service):
    deliver(service, NAME, PARTIAL)
    before = tables(service)
    second = deliver(service, NAME, csv_bytes(SALES, [*SALES_ROWS[:3], "2025-06-01,C-3,online,9,90,,,,"]))
    (done,) = hands.unload(second["id"], "sent by mistake", service().store, service().folders)
    assert tables(service) == before
    assert (done.rows, done.back, done.path) == (4, (1,), f"errors/{NAME}")
    reason = (service().folders.errors / f"{NAME}.reason.txt").read_text()
    assert "sent by mistake" in reason
    rows = ledger(service())
    assert [(row["status"], row["superseded_by"]) for row in rows] == [("partial", None), ("unloaded", None)]
    # its file can be dropped again
    hands.retry(rows[1], service().store, service().folders, force=False)
    service().drain()
    assert ledger(service())[-1]["retry_of"] == second["id"]
    assert ledger(service())[-1]["status"] == "success"


def test_unloading_in_the_middle_of_corrections(service):
    for n in range(3):
        deliver(service, NAME, csv_bytes(SALES, [*SALES_ROWS, f"2025-06-01,N-{n},pos,1,1.00,,,,"]))
    latest = tables(service)
    hands.unload(2, "", service().store, service().folders)
    assert [row["superseded_by"] for row in ledger(service())] == [3, 3, None]
    assert tables(service)["live_sales_data"] == latest["live_sales_data"]
    hands.unload(3, "", service().store, service().folders)
    assert {row["delivery_id"] for row in tables(service)["live_sales_data"]} == {1}
    hands.unload(1, "", service().store, service().folders)
    assert all(rows == [] for rows in tables(service).values())


def test_unloading_a_fix_opens_its_rejects_again(service):
    deliver(service, NAME, PARTIAL)
    before, rejects = tables(service), (service().folders.errors / REJECTS).read_bytes()
    rows = rejects_of(service)
    rows[0]["channel"], rows[1]["quantity_sold"] = "pos", "two"
    fix = give_back(service, as_csv(rows))
    hands.unload(fix["id"], "", service().store, service().folders)
    assert tables(service) == before
    assert (service().folders.errors / REJECTS).read_bytes() == rejects
    first = ledger(service())[0]
    assert (first["status"], first["records_successful"], first["records_failed"]) == ("partial", 4, 3)


def test_unloading_a_delivery_takes_its_fixes_along(service):
    deliver(service, NAME, PARTIAL)
    rows = rejects_of(service)
    rows[0]["channel"] = "pos"
    give_back(service, as_csv(rows))
    done = hands.unload(1, "", service().store, service().folders)
    assert [each.delivery_id for each in done] == [1, 2]
    assert all(found == [] for found in tables(service).values())
    assert not (service().folders.errors / REJECTS).with_suffix("").with_suffix(".rejects.csv").exists()


@pytest.mark.parametrize("status", ["failed", "duplicate", "unloaded", "unknown"])
def test_what_is_not_loaded_cannot_be_unloaded(service, status):
    deliver(service, NAME, PARTIAL)
    match status:
        case "failed":
            key = deliver(service, NAME, b"nothing\n")["id"]
        case "duplicate":
            key = deliver(service, NAME, PARTIAL)["id"]
        case "unloaded":
            key = 1
            hands.unload(1, "", service().store, service().folders)
        case _:
            key = 99
    before = tables(service)
    with pytest.raises(CannotUnload, match=status if status != "unknown" else "no delivery 99"):
        hands.unload(key, "", service().store, service().folders)
    assert tables(service) == before


def test_a_move_that_a_crash_prevented_is_made_at_the_next_start(service):
    deliver(service, NAME, PARTIAL)
    made = service()
    made.store.unload(1, "crashed")  # and not a step further
    assert ledger(made)[0]["archive_path"] is None
    service().drain()
    assert ledger(made)[0]["archive_path"] == f"errors/{NAME}"
    assert (made.folders.errors / NAME).read_bytes() == PARTIAL


# ---- trying again


def test_a_held_correction_is_let_in_by_force(service):
    deliver(service, NAME, csv_bytes(SALES, SALES_ROWS))
    held = deliver(service, NAME, csv_bytes(SALES, SALES_ROWS[:1]))
    assert held["error_details"]["reason"] == "shrunk"
    hands.retry(held, service().store, service().folders, force=False)
    service().drain()
    again = ledger(service())[-1]
    assert (again["status"], again["retry_of"]) == ("failed", held["id"])
    back = hands.retry(again, service().store, service().folders, force=True)
    assert (back.file, back.forced) == (NAME, True)
    service().drain()
    rows = ledger(service())
    assert (rows[-1]["status"], rows[-1]["records_successful"], rows[-1]["retry_of"]) == (
        "success",
        1,
        again["id"],
    )
    assert rows[0]["superseded_by"] == rows[-1]["id"]
    assert list(service().folders.errors.iterdir()) == []


def test_a_file_with_too_many_rejects_is_let_in_by_force(service):
    bad = csv_bytes(SALES, [SALES_ROWS[0], *["2025-06-01,A-1,shop,1,1.00,,,,"] * 11])
    refused = deliver(service, NAME, bad)
    assert refused["error_details"]["reason"] == "too_many_rejects"
    hands.retry(refused, service().store, service().folders, force=True)
    service().drain()
    row = ledger(service())[-1]
    assert (row["status"], row["records_successful"], row["records_failed"]) == ("partial", 1, 11)


def test_a_name_that_waits_is_not_overwritten(service):
    refused = deliver(service, NAME, b"nothing\n")
    drop(service().folders.inbox, NAME, b"newer")
    with pytest.raises(hands.CannotRetry, match="is there already"):
        hands.retry(refused, service().store, service().folders, force=False)
    assert (service().folders.inbox / NAME).read_bytes() == b"newer"
    assert (service().folders.errors / NAME).read_bytes() == b"nothing\n"


def test_a_refused_file_that_was_corrected_where_it_lies_is_retried_but_not_forced(service):
    refused = deliver(
        service, NAME, csv_bytes(SALES, [SALES_ROWS[0], *["2025-06-01,A-1,shop,1,1.00,,,,"] * 11])
    )
    made = service()
    path = made.folders.data_dir / refused["archive_path"]
    path.write_bytes(path.read_bytes().replace(b"shop", b"pos"))
    with pytest.raises(hands.CannotRetry, match="was changed since"):
        hands.retry(refused, made.store, made.folders, force=True)
    hands.retry(refused, made.store, made.folders, force=False)
    made.drain()
    assert ledger(made)[-1]["status"] == "success"
    assert list(made.folders.errors.iterdir()) == []
