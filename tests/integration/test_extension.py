"""Files that grow: what an earlier delivery of an append feed has loaded is not loaded again. On both databases."""

import gzip

import pytest
from support.dump import dump
from support.files import SALES, csv_bytes
from test_loads import SALES_ROWS, deliver, ledger

from daemon import hands
from daemon.store.unload import CannotUnload

GROWING = {"sales": {"patterns": [r"till_log(?:_\w+)?", r"sales_data_(?P<date>\d{8})"]}}
MORE = ["2025-06-03,N-1,pos,1,1.00,,,,", '2025-06-03,N-2,pos,2,2.00,,"one, two",,']


@pytest.fixture
def growing(service):
    """Makes services that know a file without a date."""
    return lambda: service(feeds=GROWING)


def live(service):
    return dump(service().store.engine, ledger=False)["live_sales_data"]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_only_what_was_added_is_loaded(growing, ends):
    whole = csv_bytes(SALES, [*SALES_ROWS, *MORE]).replace(b"\n", ends.encode())
    begin = csv_bytes(SALES, SALES_ROWS).replace(b"\n", ends.encode())
    first = deliver(growing, "till_log.csv", begin)
    second = deliver(growing, "till_log.csv", whole)
    assert (second["extends"], second["status"]) == (first["id"], "success")
    figures = [second[f"records_{part}"] for part in ("processed", "successful", "duplicate")]
    assert figures == [6, 2, 4]
    assert [(row["delivery_id"], row["line"]) for row in sorted(live(growing), key=lambda r: r["id"])] == [
        *[(1, line) for line in (2, 3, 4, 5)],
        (2, 6),
        (2, 7),
    ]
    third = deliver(growing, "till_log_copy.csv", whole + b"2025-06-04,N-3,pos,1,1.00,,,,")
    assert (third["extends"], third["records_successful"]) == (2, 1)


def test_a_last_line_without_end_that_went_on_is_no_extension(growing):
    begin = csv_bytes(SALES, [*SALES_ROWS, "2025-06-03,N-1,pos,1,1.0"])[:-1]
    deliver(growing, "till_log.csv", begin)
    went_on = deliver(growing, "till_log.csv", begin + b"5,,,,\n")
    assert went_on["error_details"]["reason"] == "cut_before"
    ended = deliver(growing, "till_log.csv", begin + b"\n2025-06-03,N-2,pos,1,1.00,,,,\n")
    assert (ended["extends"], ended["records_successful"]) == (1, 1)


def test_an_extension_by_nothing_but_blank_lines_or_rejects(growing):
    begin = csv_bytes(SALES, SALES_ROWS)
    deliver(growing, "till_log.csv", begin)
    blank = deliver(growing, "till_log.csv", begin + b"\n\n")
    assert (blank["status"], blank["extends"], blank["records_duplicate"]) == ("success", 1, 4)
    bad = deliver(growing, "till_log.csv", begin + b"\n\n,,,,,,,,\nX\n")
    assert (bad["status"], bad["extends"], bad["records_successful"]) == ("partial", 2, 0)


def test_rejects_of_the_beginning_are_not_told_again(growing):
    bad = '2025-06-03,N-1,pos,1,1.00,,"two\nlines",,'
    deliver(growing, "till_log.csv", csv_bytes(SALES, [*SALES_ROWS, bad]))
    row = deliver(growing, "till_log.csv", csv_bytes(SALES, [*SALES_ROWS, bad, bad, MORE[0]]))
    assert (row["status"], row["records_failed"], row["records_duplicate"]) == ("partial", 1, 5)
    lines = [(r["delivery_id"], r["line"]) for r in dump(growing().store.engine)["rejected_rows"]]
    assert sorted(lines) == [(1, 6), (2, 8)]


def test_a_dated_or_packed_file_is_taken_whole(growing):
    deliver(growing, "till_log.csv", csv_bytes(SALES, SALES_ROWS))
    whole = csv_bytes(SALES, [*SALES_ROWS, *MORE])
    assert deliver(growing, "sales_data_20250601.csv", whole)["extends"] is None
    packed = deliver(growing, "till_log.csv.gz", gzip.compress(whole))
    assert (packed["extends"], packed["records_successful"]) == (None, 6)


def test_what_is_extended_cannot_be_taken_out_first(growing):
    deliver(growing, "till_log.csv", csv_bytes(SALES, SALES_ROWS))
    before = live(growing)
    deliver(growing, "till_log.csv", csv_bytes(SALES, [*SALES_ROWS, *MORE]))
    made = growing()
    with pytest.raises(CannotUnload, match="unload 2 first"):
        hands.unload(1, "", made.store, made.folders)
    hands.unload(2, "", made.store, made.folders)
    assert live(growing) == before
    # and the file that was taken out still loads only its end
    hands.retry(ledger(made)[-1], made.store, made.folders, force=False)
    growing().drain()
    assert ledger(made)[-1]["records_successful"] == 2
