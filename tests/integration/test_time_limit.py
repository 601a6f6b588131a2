"""A delivery that takes too long is abandoned cleanly, and nothing else is: on both databases."""

import threading
import time
from contextlib import closing

from conftest import make_settings
from sqlalchemy import event, text
from support.dump import dump
from support.files import INVENTORY, csv_bytes, drop, tree

from daemon.heart import longest_work
from daemon.reading import Rules
from daemon.store import Store
from daemon.store.bulk import manners_of

SECONDS = 1.0
LIMITS = {"max_processing_time_minutes": SECONDS / 60}
NAME, OTHER = "inventory_data_20250601_slow.csv", "inventory_data_20250601_well.csv"
_ENDLESS = {
    "sqlite": (
        "CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) c FROM n",
        (
            "CREATE TRIGGER slow AFTER INSERT ON live_inventory_updates WHEN NEW.product_id = 'SLOW'"
            " BEGIN SELECT c FROM endless; END"
        ),
    ),
    "postgresql": (
        (
            "CREATE FUNCTION endless() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_sleep(600); RETURN NULL; END $$"
        ),
        (
            "CREATE TRIGGER slow AFTER INSERT ON live_inventory_updates FOR EACH ROW WHEN (NEW.product_id = 'SLOW')"
            " EXECUTE FUNCTION endless()"
        ),
    ),
}


def deliver(service, name, product):
    drop(service.folders.inbox, name, csv_bytes(INVENTORY, [f"2025-06-01,{product},s1,10,,,,"]))


def run(store, *statements):
    with store.engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_an_endless_statement_ends_and_the_file_is_held_and_the_others_go_on(service, database_kind):
    made = service(limits=LIMITS)
    deliver(made, "inventory_data_20250531.csv", "A")
    made.drain()
    before = dump(made.store.engine, ledger=False)
    run(made.store, *_ENDLESS[database_kind])
    deliver(made, NAME, "SLOW")
    deliver(made, OTHER, "B")
    begun = time.monotonic()
    summary = made.drain()
    assert (summary.loaded, summary.refused) == (2, 1)
    assert SECONDS <= time.monotonic() - begun < 20 * SECONDS
    row = next(row for row in dump(made.store.engine)["data_ingestion_log"] if row["file_name"] == NAME)
    assert (row["status"], row["error_details"]["reason"]) == ("failed", "too_slow")
    assert "while its rows were loaded" in row["error_details"]["message"]
    held = tree(made.folders.errors)
    assert NAME in held
    assert b"raise the limit" in held[f"{NAME}.reason.txt"]
    with made.store.engine.connect() as connection:
        assert (
            "too_slow"
            in connection.execute(text("SELECT summary FROM alerts WHERE state = 'firing'")).scalar()
        )
        products = connection.execute(text("SELECT product_id FROM live_inventory_updates")).scalars().all()
    assert sorted(products) == ["A", "B"]
    assert before["live_inventory_updates"] == [
        row for row in dump(made.store.engine)["live_inventory_updates"] if row["product_id"] == "A"
    ]
    # it may come again, as it is
    run(made.store, f"DROP TRIGGER slow{'' if database_kind == 'sqlite' else ' ON live_inventory_updates'}")
    (made.folders.errors / NAME).rename(made.folders.inbox / NAME)
    assert made.drain().loaded == 3
    with made.store.engine.connect() as connection:
        assert connection.execute(text("SELECT COUNT(*) FROM alerts WHERE state = 'firing'")).scalar() == 0


def test_nothing_ends_a_commit(service, database_kind):
    made = service(limits=LIMITS)
    store = made.store
    if database_kind == "postgresql":  # as long as the server itself needs for it
        run(
            store,
            f"CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep({1.5 * SECONDS});"
            " RETURN NULL; END $$",
            "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON live_inventory_updates DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION slow()",
        )
    else:

        def slow(connection):
            if connection.in_transaction() and not slept:
                driver = connection.connection.driver_connection
                if driver.execute("SELECT COUNT(*) FROM live_inventory_updates").fetchone()[0]:
                    slept.append(time.sleep(1.2 * SECONDS))
                    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000)"
                    driver.execute(f"{many} SELECT COUNT(*) FROM n").fetchone()

        slept = []
        event.listen(store.engine, "commit", slow)
    deliver(made, NAME, "A")
    begun = time.monotonic()
    assert made.drain().loaded == 1
    assert time.monotonic() - begun > SECONDS
    assert len(dump(store.engine)["live_inventory_updates"]) == 1


def test_the_wait_for_another_process_is_not_the_files(service, database_url):
    """Longer than a file may take: it is tried again, and never blamed."""
    made = service(limits=LIMITS, retry={"attempts": 20})
    deliver(made, NAME, "A")
    with closing(Store.open(database_url)) as other, other.engine.connect() as connection:
        connection.execution_options(begin="DEFERRED")
        manners_of(connection).begin(connection)
        timer = threading.Timer(1.5 * SECONDS, connection.rollback)
        timer.start()
        summary = made.drain()
        timer.join()
    assert (summary.loaded, summary.refused) == (1, 0)
    assert dump(made.store.engine)["data_ingestion_log"][0]["processing_time_seconds"] is not None


def test_a_connection_goes_back_without_its_limit(service):
    made = service(limits=LIMITS)
    for number in range(3):
        deliver(made, f"inventory_data_2025060{number + 1}.csv", f"P{number}")
    assert made.drain().loaded == 3
    with made.store.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "0"
        else:
            driver = connection.connection.driver_connection
            many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000)"
            time.sleep(SECONDS)
            assert driver.execute(f"{many} SELECT COUNT(*) FROM n").fetchone() == (300_000,)


def test_the_watchdog_waits_longer_than_a_delivery_may_take(tmp_path):
    for minutes in (0.1, 60, 600):
        settings = make_settings(tmp_path, "sqlite:///x.db", limits={"max_processing_time_minutes": minutes})
        rules = Rules.of(settings)
        assert rules.limits.time.left == float("inf")
        left = rules.begun().limits.time.left
        assert 60 * minutes - 5 < left <= 60 * minutes
        # its turn may be as long in coming
        assert longest_work(settings) > 2 * 60 * minutes
