"""The catalogue: what a file says holds from the day in its name on. On both databases."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.dump import dump
from support.files import PRODUCTS, SALES, csv_bytes, drop
from support.loading import load, wipe
from support.oracle import Oracle

from daemon.outcomes import Duplicate, Loaded
from daemon.store.attributes import attributes_of
from daemon.store.bulk import manners_of
from daemon.store.schema import METADATA
from handlers.errors import FileError

SHORT = "product_id,unit_cost"
OWN_PATTERNS = {"products": {"patterns": [r"products_(?P<date>\d{8})(?:_(?P<suffix>.+))?", "catalogue"]}}


def costs(store, table="live_products"):
    """Of each row: product, day, cost."""
    return [(r["product_id"], r["date"][:10], r["unit_cost"]) for r in dump(store.engine)[table]]


def due(store):
    with store.engine.connect() as connection:
        products = connection.exec_driver_sql("SELECT product_id, feed, since FROM due_products").all()
        days = connection.exec_driver_sql("SELECT feed, day, delivery_id FROM due_days").all()
    return sorted((p, f, str(s)) for p, f, s in products), sorted((f, str(d), i) for f, d, i in days)


def known_on(store, day, *products):
    """What `attributes_of` says of some products: their costs and suppliers."""
    with store.engine.begin() as connection:
        connection.exec_driver_sql(manners_of(connection).temporary("asked", {"product_id": "TEXT"}))
        connection.exec_driver_sql("DELETE FROM asked")
        for product in products:
            connection.exec_driver_sql(f"INSERT INTO asked VALUES ('{product}')")
        found = attributes_of(connection, "asked", date.fromisoformat(day))
    assert found.column_names == [c.name for c in METADATA.tables["live_products"].columns][3:]
    return {row["product_id"]: (row["unit_cost"], row["supplier_id"]) for row in found.to_pylist()}


def test_rows_hold_from_the_day_in_the_name(store):
    rows = ["A,Äpfel,fruit,1.2345,2.99,4.51,1.4142135623730951,30,4,40,4,S1", "B,,,,,,,,,,,"]
    key = load(store, "products_20250602.csv", csv_bytes(PRODUCTS, rows)).delivery_id
    tables = dump(store.engine)
    first, second = sorted(tables["live_products"], key=lambda row: row["line"])
    assert {k: v for k, v in first.items() if k not in ("id", "delivery_id", "line")} == {
        "date": "2025-06-02 00:00:00",
        "product_id": "A",
        "name": "Äpfel",
        "category": "fruit",
        "unit_cost": "1.2345",
        "selling_price": "2.9900",
        "lead_time_days": 4.51,
        "lead_time_std_days": 1.4142135623730951,
        "shelf_life_days": 30,
        "min_order_quantity": 4,
        "max_order_quantity": 40,
        "pack_size": 4,
        "supplier_id": "S1",
    }
    assert {
        second[name] for name in second if name not in ("id", "delivery_id", "line", "date", "product_id")
    } == {None}
    assert tables["products"] == tables["scope_daily"] == [], "nobody has seen these products"
    assert due(store) == (
        [("A", "products", "2025-06-02"), ("B", "products", "2025-06-02")],
        [("products", "2025-06-02", key)],
    )


def test_the_newest_row_not_later_than_a_day_is_taken_whole(store):
    load(store, "products_20250601.csv", csv_bytes("product_id,unit_cost,supplier_id", ["A,1,S1", "B,5,"]))
    load(store, "products_20250603.csv", csv_bytes(SHORT, ["A,2"]))
    load(store, "products_20250604_x.csv", csv_bytes(f"{SHORT},date", ["A,3,2025-06-04T18:00:00", "A,2.5,"]))
    assert known_on(store, "2025-05-31", "A", "B") == {}
    assert known_on(store, "2025-06-01", "A", "B", "C") == {"A": (1.0, "S1"), "B": (5.0, None)}
    assert known_on(store, "2025-06-02", "A") == {"A": (1.0, "S1")}
    assert known_on(store, "2025-06-03", "A", "B") == {"A": (2.0, None), "B": (5.0, None)}
    assert known_on(store, "2025-06-04", "A") == known_on(store, "2026-01-01", "A") == {"A": (3.0, None)}
    assert known_on(store, "2025-06-04") == {}


def test_attributes_are_looked_up_one_by_one(store):
    """Whatever the planner believes of the tables' sizes, SQLite walks through none of the catalogue."""
    if store.engine.dialect.name != "sqlite":
        pytest.skip("SQLite's plan")
    load(store, "products_20250601.csv", csv_bytes(SHORT, ["A,1"]))
    with store.engine.begin() as connection:
        connection.exec_driver_sql(manners_of(connection).temporary("asked", {"product_id": "TEXT"}))
        said = []
        cursor = connection.connection.cursor()
        driver = connection.connection.driver_connection
        driver.set_trace_callback(said.append)
        attributes_of(connection, "asked", date(2025, 6, 1))
        driver.set_trace_callback(None)
        (statement,) = (each for each in said if each.startswith("SELECT"))
        plan = [row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {statement}")]
    assert [step for step in plan if step.startswith("SCAN")] == ["SCAN w"]


def test_a_correction_replaces_its_day_and_what_was_taken_out_comes_back(store):
    load(store, "products_20250601.csv", csv_bytes(SHORT, ["A,1", "B,1"]))
    empty = dump(store.engine, ledger=False)
    newer = load(store, "products_20250601.csv", csv_bytes(SHORT, ["A,2"]))
    assert costs(store) == [("A", "2025-06-01", "2.0000")]
    other = load(store, "products_20250601_web.csv", csv_bytes(SHORT, ["A,3"]))
    assert costs(store) == [("A", "2025-06-01", "3.0000")]
    store.unload(other.delivery_id, "")
    assert costs(store) == [("A", "2025-06-01", "2.0000")]
    with store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM due_products")
    store.unload(newer.delivery_id, "")
    assert dump(store.engine, ledger=False) == empty
    assert due(store)[0] == [("A", "products", "2025-06-01"), ("B", "products", "2025-06-01")]


def test_the_bytes_of_an_earlier_day_say_something_new(store):
    """Prices go up and down again: the third file is no duplicate of the first."""
    low, high = (csv_bytes(SHORT, [f"A,{cost}"]) for cost in (1, 2))
    for day, content in ((1, low), (2, high), (3, low)):
        assert isinstance(load(store, f"products_2025060{day}.csv", content), Loaded)
    assert known_on(store, "2025-06-02", "A") != known_on(store, "2025-06-03", "A") == {"A": (1.0, None)}
    again = load(store, "products_20250603.csv", low)
    assert isinstance(again, Duplicate)
    assert again.of == 3
    assert isinstance(load(store, "products_20250603_web.csv", high), Loaded)


def test_files_through_the_daemon_repeat_correct_and_come_back_as_bytes_of_another_day(service):
    made = service()
    low, high = (csv_bytes(SHORT, [f"A,{cost}", "B,x"]) for cost in (1, 2))
    for name, content in (
        ("products_20250601.csv", low),
        ("products_20250602.csv", high),
        ("products_20250603.csv", low),
        ("products_20250603.csv", low),
    ):
        drop(made.folders.inbox, name, content)
        made.drain()
    assert [row["status"] for row in dump(made.store.engine)["data_ingestion_log"]].count("partial") == 3
    # the rejects of the first and the third day are the same bytes, corrected alike
    for day in (1, 3):
        path = made.folders.data_dir / "errors" / f"products_2025060{day}.csv.rejects.csv"
        corrected = path.read_bytes().replace(b",x", b",7")
        path.unlink()
        drop(made.folders.inbox, path.name, corrected)
        made.drain()
    assert [row for row in costs(made.store) if row[0] == "B"] == [
        ("B", "2025-06-01", "7.0000"),
        ("B", "2025-06-03", "7.0000"),
    ]
    assert made.summary.refused == 0


def test_a_name_without_a_date_holds_from_its_arrival(service):
    made = service(feeds=OWN_PATTERNS, timezone="Asia/Tokyo")
    drop(made.folders.inbox, "catalogue.csv", csv_bytes(SHORT, ["A,1", "B,x"]))
    made.drain()
    (row,) = dump(made.store.engine)["data_ingestion_log"]
    arrived = (
        datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC)
        if isinstance(row["timestamp"], str)
        else row["timestamp"]
    )
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    day = str(arrived.astimezone(ZoneInfo("Asia/Tokyo")).date())
    assert costs(made.store) == [("A", day, "1.0000")]
    # corrected the day after: it holds from the day on which its file came
    with made.store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE data_ingestion_log SET timestamp = '2025-07-01 20:00:00.000000'")
    path = made.folders.data_dir / "errors" / "catalogue.csv.rejects.csv"
    fixed = path.read_bytes().replace(b",x", b",2")
    path.unlink()
    drop(made.folders.inbox, path.name, fixed)
    made.drain()
    assert sorted(costs(made.store)) == [("A", day, "1.0000"), ("B", "2025-07-02", "2.0000")]


def test_the_catalogue_makes_no_product_seen_and_takes_none_away(store):
    key = load(store, "products_20250501.csv", csv_bytes(SHORT, ["A,1", "B,1"])).delivery_id
    sold = load(store, "sales_data_20250601.csv", csv_bytes(SALES, ["2025-06-01,A,pos,1,2.5,,,,s1"]))
    assert dump(store.engine)["products"] == [{"product_id": "A", "first_seen": "2025-06-01"}]
    store.unload(key, "")
    assert dump(store.engine)["products"] == [{"product_id": "A", "first_seen": "2025-06-01"}]
    load(store, "products_20250501.csv", csv_bytes(SHORT, ["A,1"]))
    store.unload(sold.delivery_id, "")
    assert dump(store.engine)["products"] == []


@pytest.mark.parametrize("name", ["products_20250801.csv", "products_19991231.csv"])
def test_a_day_far_ahead_or_long_ago_is_refused(store, name):
    with pytest.raises(FileError, match="date_out_of_range"):
        load(store, name, csv_bytes(SHORT, ["A,1"]))


days, products = st.sampled_from(["20250601", "20250602", "20250602_web"]), st.sampled_from("AB")
rows = st.lists(
    st.builds("{},{},{}".format, products, st.sampled_from(["", "1", "2.5"]), st.sampled_from(["", "2025-06-01", "2025-06-02T09:00:00"])),
    min_size=1,
    max_size=4,
    unique_by=lambda row: (row[0], row.split(",")[2]),
)  # fmt: skip


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(files=st.lists(st.tuples(days, rows), min_size=1, max_size=5))
def test_any_files_give_what_plain_python_gives(store, files):
    wipe(store.engine)
    right = Oracle()
    for day, some in files:
        content = csv_bytes(f"{SHORT},date", some)
        lines = content.decode().splitlines()
        # an empty date is that of the name: rows that come again are rejects, earlier ones
        at = [
            (line.split(",")[0], (line.split(",")[2] or f"{day[:4]}-{day[4:6]}-{day[6:8]}"))
            for line in lines[1:]
        ]
        rejected = [n for n, key in enumerate(at, 2) if key in at[n - 1 :]]
        load(store, f"products_{day}.csv", content)
        right.load(f"products_{day}.csv", content, rejected)
    found = dump(store.engine, by_name=True, ledger=False)
    found.pop("rejected_rows")
    assert found == right.tables()
    assert found["products"] == []


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    order=st.permutations(
        [("20250601", "A,1"), ("20250602", "A,2"), ("20250603", "A,1"), ("20250602_b", "B,2")]
    )
)
def test_any_order_gives_the_same_tables(store, order):
    wipe(store.engine)
    for day, row in order:
        load(store, f"products_{day}.csv", csv_bytes(SHORT, [row]))
    assert sorted(costs(store)) == [
        ("A", "2025-06-01", "1.0000"),
        ("A", "2025-06-02", "2.0000"),
        ("A", "2025-06-03", "1.0000"),
        ("B", "2025-06-02", "2.0000"),
    ]
