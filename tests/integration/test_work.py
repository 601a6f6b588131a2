"""Work per delivery is proportional to the delivery, not to the history."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from conftest import make_settings, serving
from sqlalchemy import event
from support.faults import statements
from support.files import DEMAND, INVENTORY, SALES_WITH_TRANSACTION, csv_bytes, drop

from daemon.store import Store, ledger
from daemon.store.schema import METADATA

HEADERS = {"sales": SALES_WITH_TRANSACTION, "inventory": INVENTORY, "demand": DEMAND}


def rows_of(feed: str, day: date, number: int) -> list[str]:
    """Three rows; one key (or transaction) is that of every other file of the feed."""
    match feed:
        case "sales":
            return [f"{day},{p},pos,1,2.5,,,,s1,{t}" for p, t in (("A", ""), ("B", f"T{number}"), ("C", "T"))]
        case "inventory":
            return [f"{day},{p},s1,{number},,,," for p in "AB"] + [f"2025-01-01,C,s1,{number},,,,"]
        case _:
            return [f"{day},{p},high,0.5,{number},,," for p in "AB"] + [f"2025-01-01,C,low,,{number},,,"]


def test_a_delivery_takes_as_many_statements_after_a_long_history_as_after_a_short_one(service):
    made = service()
    loading: dict[str, list[int]] = {feed: [] for feed in HEADERS}
    following: list[int] = []
    for number in range(25):
        day = date(2025, 1, 2) + timedelta(days=number)
        for feed, header in HEADERS.items():
            name = f"{feed}_data_{day:%Y%m%d}.csv"
            drop(made.folders.inbox, name, csv_bytes(header, rows_of(feed, day, number)))
            made.inbox.scan()
            with statements(made.store.engine) as said:
                assert made.carrier.deliver(name, patient=False)
            loading[feed].append(len(said))
        with statements(made.store.engine) as said:
            made.after.run()
        following.append(len(said))
    for feed, numbers in loading.items():
        assert numbers[2] == numbers[-1], (feed, numbers)
        assert max(numbers) < 80, (feed, numbers)
    assert max(following[-5:]) <= 1.5 * max(following[2:7]), following


@pytest.mark.parametrize("feed", HEADERS)
def test_no_statement_of_a_delivery_walks_through_a_table_that_grows(databases, tmp_path, feed):
    url = databases.sqlite(tmp_path)
    store = Store.open(url)
    day = date(2025, 1, 2)
    walked: list[str] = []
    explained: list[str] = []

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if not re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE)", statement):
            return
        explained.append(statement)
        once = parameters[0] if isinstance(parameters, list) else parameters
        plan = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", once).fetchall()
        walked.extend(f"{detail}: {statement}" for *_, detail in plan if grows(statement, detail))

    with serving(make_settings(tmp_path / "data", url), store) as made:

        def deliver(number: int, content: bytes) -> None:
            drop(made.folders.inbox, f"{feed}_data_20250102_{number}.csv", content)
            made.drain()

        for number in range(3):
            deliver(number, csv_bytes(HEADERS[feed], rows_of(feed, day, number)))
        event.listen(store.engine, "before_cursor_execute", explain)
        # a correction, with rows that step back, rows that come again and rejects; again; a duplicate; a refusal
        rows = [*rows_of(feed, day, 9)[1:], *rows_of(feed, day + timedelta(days=1), 10)[:1], "never,A,,,,,,"]
        deliver(1, csv_bytes(HEADERS[feed], rows))
        deliver(2, csv_bytes(HEADERS[feed], rows).replace(b"C", b"D"))
        deliver(2, csv_bytes(HEADERS[feed], rows))
        deliver(2, csv_bytes(HEADERS[feed], rows[-1:]))
        event.remove(store.engine, "before_cursor_execute", explain)
    assert (made.summary.loaded, made.summary.partial) == (3, 2)
    assert (made.summary.duplicate, made.summary.refused) == (1, 1)
    store.close()
    assert len(explained) > 60
    assert sorted(set(walked)) == [], "\n".join(sorted(set(walked)))


def test_the_figures_of_each_feed_walk_through_no_rows(databases, tmp_path):
    store = Store.open(databases.sqlite(tmp_path))
    plans: list[str] = []

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        plan = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
        plans.extend(detail for *_, detail in plan if "data_ingestion_log" in detail)

    event.listen(store.engine, "before_cursor_execute", explain)
    day = datetime(2025, 1, 1, tzinfo=UTC)
    store.ask(lambda connection: ledger.by_feed(connection, day, counted=False))
    assert len(plans) > 3
    assert [plan for plan in plans if plan.startswith("SCAN")] == []
    store.ask(lambda connection: ledger.by_feed(connection, day))
    scans = {plan for plan in plans if plan.startswith("SCAN")}
    assert scans == {"SCAN data_ingestion_log USING COVERING INDEX ix_data_ingestion_log_feed"}
    store.close()


def grows(statement: str, detail: str) -> bool:
    """Whether a step of a query plan reads the whole of a table that grows with the history."""
    found = re.match(r"SCAN (\w+)", detail)
    if found is None or detail.endswith("USING INDEX ix_data_ingestion_log_unfiled"):  # only what is in work
        return False
    names = {
        alias: table for table, alias in re.findall(r"(?:FROM|JOIN)\s+(\w+)\s+(?:AS\s+)?(\w+)", statement)
    }
    table = names.get(found[1], found[1])
    if table not in METADATA.tables:
        return False
    # asks for any row, and stops at the first; or for the newest few, by their number
    few = rf"EXISTS \(SELECT 1 FROM {table}\)|FROM {table} ORDER BY {table}\.id DESC\s+LIMIT"
    return not re.search(few, statement)


def test_the_reading_of_plans_itself():
    assert grows("SELECT * FROM live_sales_data l WHERE l.date = 1", "SCAN l")
    assert grows("SELECT MAX(id) FROM products", "SCAN products USING COVERING INDEX x")
    assert not grows("SELECT * FROM stage_sales s CROSS JOIN live_sales_data l", "SCAN s")
    assert not grows("SELECT * FROM live_sales_data l", "SEARCH l USING INDEX x")
