"""Hostile and unlucky use of the operator's hands: nothing is lost, doubled, mixed up or overwritten."""

import csv
import gzip
import io
import threading

import pytest
import time_machine
from conftest import make_settings, serving
from sqlalchemy import text
from support.faults import release_locks
from support.files import DEMAND, INVENTORY, SALES, csv_bytes, drop
from support.process import environment, run_cli
from test_hands import NAME, PARTIAL, REJECTS, TRANSACTIONS, as_csv, give_back, rejects_of, tables
from test_loads import SALES_ROWS, deliver, ledger

from daemon import archive, hands, ingest, reading, together
from daemon.errors import TransientError
from daemon.store import Store
from daemon.store.unload import CannotUnload

GROWING = {"sales": {"patterns": [r"till_log(?:_\w+)?"]}, "inventory": {"patterns": [r"stock_log(?:_\w+)?"]}}
ON_SQLITE = pytest.mark.parametrize("database_kind", ["sqlite"])  # what happens to files is the same on both


@pytest.fixture
def growing(service):
    """Makes services that know files without a date."""
    return lambda: service(feeds=GROWING)


class Dead(BaseException):
    """The process dies here."""


def live(service, table="live_sales_data"):
    return tables(service)[table]


def unload(service, key):
    made = service()
    return hands.unload(key, "", made.store, made.folders)


def drain(made):
    """Loads what waits; what another process made impossible goes back into the inbox and is tried again."""
    try:
        made.drain()
    except TransientError:
        made.drain()


def meanwhile(monkeypatch, place, name, happens, *, before=False):
    """Lets something happen once, just after (or before) a function."""
    real = getattr(place, name)

    def run(*arguments):
        monkeypatch.setattr(place, name, real)
        if before:
            happens()
            return real(*arguments)
        found = real(*arguments)
        happens()
        return found

    monkeypatch.setattr(place, name, run)


def fixed_rows(service):
    rows = rejects_of(service)
    rows[0]["channel"], rows[1]["quantity_sold"], rows[2]["quantity_sold"] = "pos", "2", "3"
    return rows


# ---- files that grow


def test_a_transaction_that_goes_on_in_the_tail_keeps_its_lines(growing):
    begin = ["2025-06-01,A,pos,1,1.00,,,,,T1"]
    tail = ["2025-06-01,A,pos,2,2.00,,,,,T1", "2025-06-01,A,pos,1,1.00,,,,,T1"]
    deliver(growing, "till_log.csv", csv_bytes(TRANSACTIONS, begin))
    deliver(growing, "till_log.csv", csv_bytes(TRANSACTIONS, begin + tail[:1]))
    deliver(growing, "till_log.csv", csv_bytes(TRANSACTIONS, begin + tail))
    assert [row["quantity_sold"] for row in live(growing)] == [1, 2, 1]
    assert tables(growing)["live_sales_data_shadowed"] == []


def test_a_fix_of_the_beginning_keeps_the_lines_of_the_tail(growing):
    begin = csv_bytes(TRANSACTIONS, ["2025-06-01,A,pos,1,1.00,,,,,T1", "2025-06-01,A,pos,x,2.00,,,,,T1"])
    tail = b"2025-06-01,A,pos,3,3.00,,,,,T1\n2025-06-01,A,pos,4,3.00,,,,,T1\n"
    deliver(growing, "till_log.csv", begin)
    deliver(growing, "till_log.csv", begin + tail)
    left = rejects_of(growing, "till_log.csv.rejects.csv")
    left[0]["quantity_sold"] = "2"
    give_back(growing, as_csv(left), "till_log.csv.rejects.csv")
    assert sorted(row["quantity_sold"] for row in live(growing)) == [1, 2, 3, 4]


def test_two_files_that_are_equally_long_both_grow(growing):
    a, b = (csv_bytes(SALES, [f"2025-06-01,{product},pos,1,1.00,,,,"]) for product in "AB")
    deliver(growing, "till_log_a.csv", a)
    deliver(growing, "till_log_b.csv", b)
    row = deliver(growing, "till_log_a.csv", a + b"2025-06-02,A,pos,7,1.00,,,,\n")
    assert row["extends"] == 1
    assert len(live(growing)) == 3


@ON_SQLITE
def test_the_beginning_is_found_behind_many_other_files(growing):
    begin = csv_bytes(SALES, SALES_ROWS)
    deliver(growing, "till_log.csv", begin)
    others = [{"c": f"other-{n}"} for n in range(1_001)]
    columns = "timestamp, file_name, file_type, status, claim, sha256, size_bytes, archive_path"
    with growing().store.engine.begin() as connection:
        connection.execute(
            text(
                f"INSERT INTO data_ingestion_log ({columns})"
                " VALUES ('2025-06-01 00:00:00', 'till_log_x.csv', 'sales', 'success', :c, :c, 5000, 'x')"
            ),
            others,
        )
    assert deliver(growing, "till_log.csv", begin + b"2025-06-03,N,pos,1,1.00,,,,\n")["extends"] == 1


def test_the_beginning_is_taken_out_while_the_rest_is_read(growing, monkeypatch):
    begin = csv_bytes(SALES, SALES_ROWS)
    deliver(growing, "till_log.csv", begin)
    made = growing()
    drop(made.folders.inbox, "till_log.csv", begin + b"2025-06-03,N,pos,1,1.00,,,,\n")
    meanwhile(monkeypatch, ingest, "kin_of", lambda: unload(growing, 1))
    drain(made)
    assert len(live(growing)) == 5


def test_two_lengths_of_one_file_at_once(growing, monkeypatch):
    begin = csv_bytes(SALES, SALES_ROWS)
    deliver(growing, "till_log.csv", begin)
    longer = begin + b"2025-06-03,N,pos,1,1.00,,,,\n"
    made, other = growing(), growing()
    drop(made.folders.inbox, "till_log.csv", longer + b"2025-06-03,O,pos,1,1.00,,,,\n")

    def shorter():
        drop(other.folders.inbox, "till_log.csv", longer)
        other.drain()

    meanwhile(monkeypatch, ingest, "kin_of", shorter)
    drain(made)
    assert sorted(row["product_id"] for row in live(growing)) == ["A-1", "A-1", "A-1", "B-2", "N", "O"]


# shows a defect until it is mended
@ON_SQLITE
def test_a_beginning_that_was_cut_within_a_line_does_not_count_twice(growing):
    """Refusing the whole file is right, too: somebody has to take out the half one."""
    begin = csv_bytes(SALES, [*SALES_ROWS, "2025-06-03,N,pos,1,1.0"])[:-1]
    begin = begin.replace(b"N,pos,1,1.0", b"N,pos,1,1.00,,,,sto")
    deliver(growing, "till_log.csv", begin)
    deliver(growing, "till_log.csv", begin + b"re_01\n")
    assert len(live(growing)) == 5


def test_a_key_that_comes_again_in_the_tail(growing):
    begin = csv_bytes(INVENTORY, ["2025-06-01,A,s1,5,,,,", "2025-06-01,B,s1,5,,,,"])
    deliver(growing, "stock_log.csv", begin)
    before = tables(growing)
    deliver(growing, "stock_log.csv", begin + b"2025-06-01,A,s1,9,,,,\n")
    found = {row["product_id"]: row["stock_level"] for row in live(growing, "live_inventory_updates")}
    assert found == {"A": 9, "B": 5}
    unload(growing, 2)
    assert tables(growing) == before


# ---- which delivery a rejects file belongs to


@ON_SQLITE
@pytest.mark.parametrize("ending", [".csv.rejects (1).csv", ".csv.rejects.csv.gz", "_corrected.csv"])
def test_a_rejects_file_under_another_name_is_no_delivery_of_its_own(service, ending):
    first = "sales_data_20250601_a.csv"
    deliver(service, first, PARTIAL)
    rows = rejects_of(service, f"{first}.rejects.csv")
    rows[0]["channel"], rows[1]["quantity_sold"], rows[2]["quantity_sold"] = "pos", "2", "3"
    content = as_csv(rows)
    sent = gzip.compress(content) if ending.endswith("gz") else content
    deliver(service, f"sales_data_20250601_a{ending}", sent)
    give_back(service, content, f"{first}.rejects.csv")
    assert [row["delivery_id"] for row in live(service)] == [1] * 7


@ON_SQLITE
def test_rejects_that_were_taken_away_never_join_a_later_file_of_the_same_name(growing):
    name = "till_log.csv"
    with time_machine.travel("2025-06-30 12:00Z", tick=True):
        deliver(growing, name, csv_bytes(SALES, ["2025-06-01,A,shop,1,1.00,,,,", *SALES_ROWS]))
    rows = rejects_of(growing, f"{name}.rejects.csv")
    (growing().folders.errors / f"{name}.rejects.csv").unlink()  # it lies on somebody's desk
    with time_machine.travel("2025-07-01 12:00Z", tick=True):
        deliver(growing, name, csv_bytes(SALES, ["2025-07-01,B,shop,5,5.00,,,,", *SALES_ROWS]))
        rows[0]["channel"] = "pos"
        assert deliver(growing, f"{name}.rejects.csv", as_csv(rows))["fixes"] == 1
    assert [(row["status"], row["records_failed"]) for row in ledger(growing())[:2]] == [
        ("success", 0),
        ("partial", 1),
    ]


@ON_SQLITE
def test_rejects_of_a_replaced_delivery_never_join_its_correction(service):
    with time_machine.travel("2025-06-30 12:00Z", tick=True):
        deliver(service, NAME, PARTIAL)
    rows = rejects_of(service)
    (service().folders.errors / REJECTS).unlink()
    with time_machine.travel("2025-07-01 12:00Z", tick=True):
        deliver(service, NAME, csv_bytes(SALES, [*SALES_ROWS, "2025-06-01,Z,shop,9,9.00,,,,"]))
        rows[0]["channel"] = "pos"
        fix = give_back(service, as_csv(rows[:1]))
    assert (fix["status"], fix["error_details"]["reason"]) == ("failed", "stale_rejects")


# ---- fixes


DIALECTS = {
    "excel": {"delimiter": ";", "lineterminator": "\r\n", "encoding": "utf-8-sig"},
    "unicode text": {"delimiter": "\t", "lineterminator": "\r\n", "encoding": "utf-16"},
    "all quoted": {"quoting": csv.QUOTE_ALL, "lineterminator": "\r", "encoding": "utf-8"},
}


@pytest.mark.parametrize("how", DIALECTS)
@ON_SQLITE
def test_rejects_saved_by_a_spreadsheet(service, how):
    """Columns turned round and in capitals, some dropped, some added; one row is still wrong and comes back whole."""
    deliver(service, NAME, PARTIAL.replace(b"=A", b'"=A,b\n""c"'))
    rows = rejects_of(service)
    rows[0]["channel"], rows[1]["quantity_sold"] = "pos", "2"
    rows[2]["product_id"] = rows[2]["product_id"].replace("\n", " ")
    dialect = dict(DIALECTS[how])
    encoding = dialect.pop("encoding")
    heads = [head for head in reversed(rows[0]) if head not in ("reject_reason", "reject_message")]
    out = io.StringIO(newline="")
    grid = [[head.upper() for head in heads], *([row[head] for head in heads] for row in rows)]
    csv.writer(out, **dialect).writerows([*cells, "", ""] for cells in grid)
    fix = give_back(service, out.getvalue().encode(encoding))
    assert (fix["records_successful"], fix["records_failed"]) == (2, 1)
    (left,) = rejects_of(service)
    assert (left["reject_line"], left["product_id"], left["quantity_sold"]) == ("8", "'=A,b \"c", "x")


def test_cells_that_are_guarded_come_back_as_they_were(service):
    products = ["=a", "'=q", "''x", "'-x", "- 5", "@x", "ä\u2028ß", 'a"b', "+49 30", "-1"]
    quoted = ['"' + product.replace('"', '""') + '"' for product in products]
    wrong = [f"2025-06-01,{product},shop,1,1.00,,,," for product in quoted]
    deliver(service, NAME, csv_bytes(SALES, [*SALES_ROWS, *wrong]))
    rows = rejects_of(service)
    give_back(service, as_csv([row | {"channel": "pos"} for row in rows]))
    assert [row["product_id"] for row in sorted(live(service), key=lambda r: r["line"])[4:]] == products


def test_a_nul_does_not_become_text_by_coming_back(service):
    deliver(service, NAME, PARTIAL.replace(b"A-1,shop", b"A\0B,shop"))
    rows = rejects_of(service)
    rows[0]["channel"] = "pos"
    fix = give_back(service, as_csv(rows))
    assert fix["error_details"]["reasons"]["control_character"] == 1
    assert sorted({row["product_id"] for row in live(service)}) == ["A-1", "B-2"]


@ON_SQLITE
def test_a_cell_too_many_is_not_dropped_under_a_column_without_a_name(service):
    deliver(service, NAME, csv_bytes(SALES, [*SALES_ROWS, "2025-06-01,A-1,pos,1,1.00,,,,shop 1, north"]))
    content = (service().folders.errors / REJECTS).read_text()
    cells = list(csv.reader(io.StringIO(content, newline="")))
    width = max(map(len, cells))
    out = io.StringIO(newline="")  # a spreadsheet gives every row as many cells as the widest has
    csv.writer(out, delimiter=";").writerows(row + [""] * (width - len(row)) for row in cells)
    give_back(service, out.getvalue().encode())
    assert [row["location"] for row in live(service) if row["line"] == 6] == []


def test_a_fix_that_displaces_an_older_day_moves_the_first_sight_of_a_product(service):
    deliver(service, "sales_data_20250501.csv", csv_bytes(TRANSACTIONS, ["2025-05-01,A,pos,1,1.00,,,,,T1"]))
    wrong = ["2025-06-01,A,pos,x,1.00,,,,,T1", "2025-06-01,B,pos,1,1.00,,,,,T2"]
    deliver(service, NAME, csv_bytes(TRANSACTIONS, wrong))
    rows = rejects_of(service)
    rows[0]["quantity_sold"] = "2"
    give_back(service, as_csv(rows))
    assert {row["day"] for row in tables(service)["sales_daily"]} == {"2025-06-01"}
    assert {row["first_seen"] for row in tables(service)["products"]} == {"2025-06-01"}


def test_a_fix_that_has_the_transaction_of_a_later_delivery(service):
    rows = ["2025-06-01,A,pos,1,1.00,,,,,T1", "2025-06-01,A,pos,x,2.00,,,,,T1"]
    deliver(service, "sales_data_20250601_a.csv", csv_bytes(TRANSACTIONS, rows))
    before = tables(service)
    again = [row.replace(",x,", ",2,") for row in rows]
    deliver(service, "sales_data_20250601_b.csv", csv_bytes(TRANSACTIONS, again))
    name = "sales_data_20250601_a.csv.rejects.csv"
    left = rejects_of(service, name)
    left[0]["quantity_sold"] = "2"
    give_back(service, as_csv(left), name)
    assert {row["delivery_id"] for row in live(service)} == {2}
    unload(service, 2)
    assert [row["delivery_id"] for row in live(service)] == [1, 1]
    unload(service, 3)
    assert tables(service) == before


def test_three_processes_fix_the_same_rows_at_once(service, database_url, tmp_path):
    deliver(service, NAME, PARTIAL)
    content = as_csv(fixed_rows(service))
    (service().folders.errors / REJECTS).unlink()
    begin = threading.Barrier(3)

    def work(number):
        store = Store.open(database_url)
        with serving(make_settings(tmp_path / "data", database_url), store) as made:
            begin.wait()
            drop(made.folders.inbox, f"{NAME}.rejects.{number}.csv", content + b"\n" * number)
            drain(made)
        store.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    drain(service())
    first, *fixes = ledger(service())
    assert len(live(service)) == 7
    assert [first[f"records_{part}"] for part in ("successful", "failed", "duplicate")] == [7, 0, 0]
    assert sorted(row["records_successful"] for row in fixes) == [0, 0, 3]
    assert list(service().folders.errors.iterdir()) == []


def test_two_fixes_that_bring_the_same_key_at_once(service, monkeypatch):
    name = "demand_data_20250601.csv"
    rows = ["2025-06-01,B,wild,0.5,1,,,", "2025-06-01,C,wild,0.5,1,,,", "2025-06-01,D,high,0.5,1,,,"]
    deliver(service, name, csv_bytes(DEMAND, rows))
    left = rejects_of(service, f"{name}.rejects.csv")
    made, other = service(), service()
    one, two = (
        as_csv([row | {"product_id": "A", "external_demand": word}])
        for row, word in zip(left, ("low", "high"), strict=True)
    )
    (made.folders.errors / f"{name}.rejects.csv").unlink()
    drop(made.folders.inbox, f"{name}.rejects.csv", one)

    def second():
        drop(other.folders.inbox, f"{name}.rejects.7.csv", two)
        other.drain()

    meanwhile(monkeypatch, reading.fixing, "misfits", second)
    drain(made)
    first = ledger(service())[0]
    assert tables(service)["live_demand_signals_shadowed"] == []
    assert (first["records_successful"], first["records_failed"]) == (2, 1)


@ON_SQLITE
def test_rejects_that_were_corrected_before_a_restart_are_not_written_over(service, monkeypatch):
    made = service()
    drop(made.folders.inbox, NAME, PARTIAL)

    def die(*_arguments):
        raise Dead

    with monkeypatch.context() as patch:
        patch.setattr(Store, "filed", die)
        with pytest.raises(Dead):
            made.drain()
    release_locks(made.folders.work)
    rejects = made.folders.errors / REJECTS
    edited = rejects.read_bytes().replace(b"A-1,shop", b"A-1,pos")
    rejects.write_bytes(edited)
    service().drain()
    assert ledger(service())[0]["archive_path"]
    assert rejects.read_bytes() == edited


# shows a defect until it is mended
@ON_SQLITE
def test_a_refused_fix_is_not_written_over_when_its_bytes_are_taken_later(service):
    deliver(service, NAME, PARTIAL)
    rows = rejects_of(service)
    rows[0] |= {"channel": "pos", "product_id": "käse"}
    content = as_csv(rows[:1]).decode().encode("cp1252")
    refused = give_back(service, content)
    assert refused["status"] == "failed"
    made = service(feeds={"sales": {"encoding": "cp1252"}})
    drop(made.folders.inbox, REJECTS, content)
    made.drain()
    assert ledger(made)[-1]["status"] == "success"
    assert (made.folders.data_dir / refused["archive_path"]).read_bytes() == content


# ---- taking out


def test_taking_out_a_fix_of_a_replaced_delivery_leaves_its_rejects_closed(service):
    deliver(service, NAME, PARTIAL)
    rows = rejects_of(service)
    rows[0]["channel"] = "pos"
    give_back(service, as_csv(rows[:1]))
    deliver(service, NAME, csv_bytes(SALES, [*SALES_ROWS, SALES_ROWS[0]]))
    unload(service, 2)
    assert {row["fixed_by"] for row in tables(service)["rejected_rows"]} == {3}
    unload(service, 3)
    assert {row["fixed_by"] for row in tables(service)["rejected_rows"]} == {None}


def test_taking_out_the_first_of_two_fixes_leaves_no_gap_in_a_transaction(service):
    rows = [f"2025-06-01,A,pos,{quantity},1.00,,,,,T1" for quantity in ("1", "x", "y")]
    deliver(service, NAME, csv_bytes(TRANSACTIONS, rows))
    left = rejects_of(service)
    for row in left:
        row["quantity_sold"] = "2"
    give_back(service, as_csv(left[:1]))
    give_back(service, as_csv(left[1:]))
    try:
        unload(service, 2)
    except CannotUnload:  # refused is right, too
        unload(service, 3)
    assert sorted(row["transaction_line"] for row in live(service)) == [1, 2]


@ON_SQLITE
def test_taking_out_a_fix_never_writes_over_its_file(service):
    deliver(service, NAME, PARTIAL)
    rows = rejects_of(service)
    rows[0]["channel"] = "pos"
    content = as_csv(rows[:1])
    fix = give_back(service, content, moved=False)
    edited = service().folders.errors / REJECTS
    edited.write_bytes(edited.read_bytes() + b"half a thought")
    unload(service, fix["id"])
    path = service().folders.data_dir / ledger(service())[-1]["archive_path"]
    assert path.read_bytes() == content
    assert edited.read_bytes().endswith(b"half a thought")


@ON_SQLITE
def test_unload_never_moves_the_file_of_another_delivery(service):
    first = deliver(service, NAME, csv_bytes(SALES, SALES_ROWS))
    archived = service().folders.data_dir / first["archive_path"]
    archived.unlink()  # moved to tape
    second = deliver(service, NAME, csv_bytes(SALES, [*SALES_ROWS, SALES_ROWS[0]]))
    assert first["archive_path"] == second["archive_path"]
    unload(service, 1)
    assert archived.exists()


@ON_SQLITE
def test_unload_between_commit_and_filing(service, monkeypatch):
    made = service()
    drop(made.folders.inbox, NAME, PARTIAL)
    refused = []

    def take_out():
        try:
            hands.unload(1, "", made.store, made.folders)
        except CannotUnload as error:
            refused.append(str(error))

    meanwhile(monkeypatch, archive, "file_away", take_out, before=True)
    made.drain()
    row = ledger(service())[0]
    if refused:
        assert (row["status"], row["archive_path"][:9]) == ("partial", "processed")
    else:
        assert (row["status"], row["archive_path"]) == ("unloaded", f"errors/{NAME}")
        assert not (made.folders.errors / REJECTS).exists()


def test_unload_by_two_at_once(service, database_url, tmp_path):
    deliver(service, NAME, csv_bytes(SALES, SALES_ROWS))
    deliver(service, NAME, PARTIAL)
    begin, found = threading.Barrier(2), []

    def work():
        store = Store.open(database_url)
        with serving(make_settings(tmp_path / "data", database_url), store) as made:
            begin.wait()
            try:
                found.append(hands.unload(2, "", store, made.folders)[0].delivery_id)
            except CannotUnload:
                found.append(None)
        store.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found, key=str) == [2, None]
    assert len(live(service)) == 4
    assert ledger(service())[1]["archive_path"] == f"errors/{NAME}"


@ON_SQLITE
def test_an_unload_that_is_typed_again_takes_nothing_more_out(service, database_url, tmp_path):
    deliver(service, NAME, csv_bytes(SALES, SALES_ROWS))
    deliver(service, NAME, csv_bytes(SALES, [*SALES_ROWS, SALES_ROWS[0]]))
    env = environment(tmp_path / "data", database_url)
    done = [run_cli("unload", NAME, "--yes", env=env, cwd=tmp_path).returncode for _ in range(2)]
    assert done[0] == 0 != done[1]
    assert len(live(service)) == 4


def test_rows_of_much_money_can_be_displaced_and_taken_out(service):
    def content(prefixes, money):
        rows = [f"2025-06-01,A,pos,1,{money},,,,,{p}{n}" for p in prefixes for n in range(250)]
        return csv_bytes(TRANSACTIONS, rows)

    deliver(service, "sales_data_20250601_a.csv", content("a", "99999999999"))
    deliver(service, "sales_data_20250601_b.csv", content("b", "99999999999"))
    before = tables(service)
    assert deliver(service, "sales_data_20250601_c.csv", content("ab", "1"))["status"] == "success"
    unload(service, 3)
    assert tables(service) == before


# shows a defect until it is mended
@ON_SQLITE
def test_what_was_taken_out_with_its_fix_can_come_back_with_its_fix(service):
    deliver(service, NAME, PARTIAL)
    rows = rejects_of(service)
    rows[0]["channel"] = "pos"
    give_back(service, as_csv(rows[:1]))
    before = sorted((row["line"], row["product_id"], row["channel"]) for row in live(service))
    unload(service, 1)
    made = service()
    for row in ledger(made)[:2]:
        hands.retry(row, made.store, made.folders, force=False)
        service().drain()
    assert sorted((row["line"], row["product_id"], row["channel"]) for row in live(service)) == before


# ---- trying again


@ON_SQLITE
def test_retry_of_an_old_delivery_never_takes_the_file_of_another(service):
    made = service()
    old = deliver(service, NAME, b"nothing\n")
    hands.retry(old, made.store, made.folders, force=False)
    (made.folders.inbox / NAME).unlink()
    new = deliver(service, NAME, b"something else\n")
    assert old["archive_path"] == new["archive_path"]
    with pytest.raises(hands.CannotRetry):
        hands.retry(old, made.store, made.folders, force=False)


@ON_SQLITE
def test_what_was_tried_again_in_vain_is_forced_by_its_newest_delivery(service):
    """`retry --all-refused --force` after a plain retry."""
    deliver(service, NAME, csv_bytes(SALES, SALES_ROWS))
    held = deliver(service, NAME, csv_bytes(SALES, SALES_ROWS[:1]))
    made = service()
    hands.retry(held, made.store, made.folders, force=False)
    made.drain()
    for row in made.store.refused():
        if hands.can_be_retried(row, made.store, made.folders):
            hands.retry(row, made.store, made.folders, force=True)
    service().drain()
    assert ledger(made)[-1]["status"] == "success"


@ON_SQLITE
@pytest.mark.parametrize("source", ["caf\u00a0e", "x" * 190])
def test_retry_keeps_the_slot_whatever_the_name(service, source):
    name = f"sales_data_20250601_{source}.csv"
    for rows in (SALES_ROWS, SALES_ROWS[:1]):
        made = service()
        drop(made.folders.inbox, name, csv_bytes(SALES, rows))
        made.drain()
    held = ledger(made)[-1]
    try:
        hands.retry(held, made.store, made.folders, force=True)
    except hands.CannotRetry:  # refused is better than another slot
        return
    service().drain()
    assert len(live(service)) == 1


@ON_SQLITE
def test_force_that_could_not_be_done_is_not_remembered(service):
    deliver(service, NAME, csv_bytes(SALES, SALES_ROWS))
    held = deliver(service, NAME, csv_bytes(SALES, SALES_ROWS[:1]))
    made = service()
    drop(made.folders.inbox, NAME, b"newer\n")
    with pytest.raises(hands.CannotRetry):
        hands.retry(held, made.store, made.folders, force=True)
    assert ledger(made)[1]["forced_at"] is None


def test_what_was_forced_and_taken_out_is_held_again(service):
    deliver(service, NAME, csv_bytes(SALES, SALES_ROWS))
    small = csv_bytes(SALES, SALES_ROWS[:1])
    made = service()
    hands.retry(deliver(service, NAME, small), made.store, made.folders, force=True)
    service().drain()
    unload(service, 3)
    assert len(live(service)) == 4
    assert deliver(service, NAME, small)["status"] == "failed"


# ---- what a sender says


@ON_SQLITE
def test_a_manifest_that_names_a_total_twice_is_bad(service):
    made = service()
    drop(
        made.folders.inbox, f"{NAME}.manifest.json", b'{"totals": {"Quantity_Sold": 99, "quantity_sold": 8}}'
    )
    drop(made.folders.inbox, NAME, csv_bytes(SALES, SALES_ROWS))
    made.drain()
    row = ledger(made)[-1]
    assert (row["status"], row["error_details"].get("reason")) == ("failed", "bad_manifest")


# ---- a database that somebody else has set up


# shows a defect until it is mended
@pytest.mark.postgres
@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_two_daemons_on_a_database_that_reads_repeatably(service, database_url, tmp_path, monkeypatch):
    with service().store.engine.begin() as connection:
        name = connection.execute(text("SELECT current_database()")).scalar()
        connection.execute(
            text(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
        )
    stores = [Store.open(database_url) for _ in range(2)]
    settings = make_settings(tmp_path / "data", database_url)
    with serving(settings, stores[0]) as made, serving(settings, stores[1]) as other:
        drop(made.folders.inbox, NAME, csv_bytes(SALES, ["2025-06-01,Z,pos,1,1.00,,,,"]))

        def first():
            drop(other.folders.inbox, NAME, csv_bytes(SALES, SALES_ROWS[:1]))
            other.drain()

        meanwhile(monkeypatch, together, "load_run", first)
        drain(made)
    for store in stores:
        store.close()
    assert [row["superseded_by"] for row in ledger(service())] == [2, None]
    assert len(live(service)) == 1
