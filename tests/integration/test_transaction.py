"""One transaction per delivery, and the world's faults: nothing half done, no file lost or blamed. On both databases."""

import sqlite3
from contextlib import ExitStack, closing

import psycopg
import pytest
from conftest import make_settings, serving
from sqlalchemy import event
from support.dump import dump
from support.faults import Injected, statements
from support.files import DEMAND, INVENTORY, SALES_WITH_TRANSACTION, csv_bytes, drop, tree
from support.loading import commit, load
from support.oracle import Oracle

from daemon.errors import DatabaseUnavailable, TransientError
from daemon.patience import Patience
from daemon.settings import RetrySettings
from daemon.store import Store

# Each: what was loaded before, and a correction that retracts, brings back, replaces and rejects.
HISTORIES = {
    "sales": (
        SALES_WITH_TRANSACTION,
        ["2025-06-01,A,pos,1,2.5,,,,s1,T1", "2025-06-01,B,pos,1,2.5,,,,s1,T2"],
        ["2025-06-01,A,pos,1,2.5,,,,s1,T1", "2025-06-01,C,pos,1,2.5,,,,s1,"],
        ["2025-06-01,B,pos,2,5,,,,s1,T2", "2025-06-02,D,pos,1,1,,,,,", "2025-06-02,D,shop,1,1,,,,,"],
    ),
    "inventory": (
        INVENTORY,
        ["2025-06-01,A,s1,10,,,,", "2025-06-01,B,s1,20,,,,"],
        ["2025-06-01,A,s1,4,,,,", "2025-06-01,C,s1,30,,,,"],
        ["2025-06-01,B,s1,21,,,,", "2025-06-02,D,s1,1,,,,", "2025-06-02,D,s1,2,,,,"],
    ),
    "demand": (
        DEMAND,
        ["2025-06-01,A,high,0.5,1,,,", "2025-06-01,B,low,,2,,,"],
        ["2025-06-01,A,low,-0.5,3,,,", "2025-06-01,C,low,,,,,"],
        ["2025-06-01,B,high,1,5,,,", "2025-06-02,D,medium,,,,,", "2025-06-02,D,huge,,,,,"],
    ),
}


@pytest.mark.parametrize("feed", HISTORIES)
def test_a_fault_at_any_statement_changes_nothing_and_a_retry_is_right(store, feed):
    header, *contents = HISTORIES[feed]
    files = [
        (f"{feed}_data_20250601_{source}.csv", csv_bytes(header, rows))
        for source, rows in zip("aba", contents[:2] + contents[1:2], strict=True)
    ]
    files = [files[0], files[1], (files[1][0], csv_bytes(header, contents[2]))]
    expected = Oracle()
    for name, content in files[:2]:
        load(store, name, content)
        expected.load(name, content)
    before = dump(store.engine)
    name, content = files[2]
    for fail_at in range(1, 200):
        try:
            with statements(store.engine, fail_at):
                commit(store, name, content)
        except Injected:
            assert dump(store.engine) == before, fail_at
        else:
            break
    assert fail_at > 20  # the fault was met at that many places
    expected.load(name, content, rejected=[3] if feed == "inventory" else [4])
    found = dump(store.engine, by_name=True, ledger=False)
    assert len(found.pop("rejected_rows")) == 1
    assert found == expected.tables()


# shows a defect until it is mended: the connection goes back to the pool within its transaction
def test_a_commit_that_fails_changes_nothing_and_a_retry_is_right(store, monkeypatch):
    header, first, _, correction = HISTORIES["inventory"]
    name = "inventory_data_20250601.csv"
    load(store, name, csv_bytes(header, first))
    before = dump(store.engine)
    dialect = store.engine.dialect

    def fail(_connection):  # as a disk does that has no room for the commit: the transaction stays open
        raise driver_error(dialect)("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(dialect, "do_commit", fail)
        with pytest.raises(DatabaseUnavailable):
            commit(store, name, csv_bytes(header, correction))
    assert dump(store.engine) == before
    load(store, name, csv_bytes(header, correction))
    assert len(dump(store.engine)["live_inventory_updates"]) == 2


def driver_error(dialect):
    """The error that a database's driver raises for what passes."""
    return psycopg.OperationalError if dialect.name == "postgresql" else sqlite3.OperationalError


@pytest.fixture
def service_on(tmp_path):
    """Makes services with stores of their own."""
    with ExitStack() as stack:

        def make(url, busy_timeout_seconds=10.0, **changes):
            store = Store.open(url, busy_timeout_seconds=busy_timeout_seconds)
            stack.callback(store.close)
            return stack.enter_context(serving(make_settings(tmp_path / "data", url, **changes), store))

        yield make


def waiting(service):
    """What lies in the inbox, and what in errors/."""
    return sorted(tree(service.folders.inbox)), sorted(tree(service.folders.errors))


def test_a_commit_whose_answer_was_lost_is_not_done_twice(service, monkeypatch):
    made = service(retry={"attempts": 3})
    dialect = made.store.engine.dialect
    lost = []
    commit = type(dialect).do_commit

    def commit_and_lose(connection):
        commit(dialect, connection)
        with_rows = dump_count(made.store)
        if with_rows and not lost:
            lost.append(with_rows)
            raise driver_error(dialect)("the connection went away after COMMIT")

    monkeypatch.setattr(dialect, "do_commit", commit_and_lose)
    drop(made.folders.inbox, "inventory_data_20250601.csv", csv_bytes(INVENTORY, ["2025-06-01,A,s1,10,,,,"]))
    summary = made.drain()
    assert lost == [1]
    assert summary.loaded == 1
    found = dump(made.store.engine)
    assert len(found["data_ingestion_log"]) == len(found["live_inventory_updates"]) == 1
    assert found["data_ingestion_log"][0]["archive_path"] is not None
    assert waiting(made) == ([], [])


def dump_count(store):
    """How many deliveries the ledger has, seen from a connection of its own."""
    url = store.engine.url.render_as_string(hide_password=False)
    if store.engine.dialect.name == "sqlite":
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return connection.execute("SELECT COUNT(*) FROM data_ingestion_log").fetchone()[0]
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        return connection.execute("SELECT COUNT(*) FROM data_ingestion_log").fetchone()[0]


@pytest.mark.postgres
def test_connections_cut_during_a_delivery_are_made_again(postgres, databases, service_on):
    url = databases.postgresql()
    service = service_on(url, retry={"attempts": 3})
    store = service.store
    cut = []

    def cut_once(_connection):
        if not cut:
            cut.append(True)
            postgres.cut_connections(store.engine.url.database)

    event.listen(store.engine, "commit", cut_once)
    content = csv_bytes(INVENTORY, ["2025-06-01,A,s1,10,,,,"])
    drop(service.folders.inbox, "inventory_data_20250601.csv", content)
    assert service.drain().loaded == 1
    assert cut
    assert len(dump(store.engine)["live_inventory_updates"]) == 1
    assert waiting(service) == ([], [])


def test_three_tries_by_default(service):
    made, tried = service(), []
    waits = RetrySettings(initial_seconds=0.001, max_seconds=0.002)
    patience = Patience(waits, made.stop, made.heart, made.courier.pause)

    def work(number):
        tried.append(number)
        raise TransientError

    with pytest.raises(TransientError):
        patience.with_retries(work)
    assert tried == [1, 2, 3]


def test_a_locked_sqlite_keeps_the_file_and_the_next_drain_loads_it(databases, tmp_path, service_on):
    url = databases.sqlite(tmp_path)
    service = service_on(url, busy_timeout_seconds=0.05)
    store = service.store
    name, content = "inventory_data_20250601.csv", csv_bytes(INVENTORY, ["2025-06-01,A,s1,10,,,,"])
    drop(service.folders.inbox, name, content)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailable, match="locked"):
            service.drain()
        other.execute("ROLLBACK")
    assert waiting(service) == ([name], [])
    assert dump(store.engine)["data_ingestion_log"] == []
    assert service.drain().loaded == 1
    assert waiting(service) == ([], [])
    assert len(dump(store.engine)["live_inventory_updates"]) == 1


def test_a_full_disk_keeps_the_file_and_the_next_drain_loads_it(databases, tmp_path, service_on):
    url = databases.sqlite(tmp_path)
    service = service_on(url)
    store = service.store
    name = "inventory_data_20250601.csv"
    rows = [
        f"2025-06-01,P{n},a place with a long name,10,,,a supplier with a long name,2025-05-01"
        for n in range(3000)
    ]
    drop(service.folders.inbox, name, csv_bytes(INVENTORY, rows))

    def full(connection, _record):
        connection.execute("PRAGMA max_page_count=1")  # SQLite makes that the present size: no page more

    store.engine.dispose()
    event.listen(store.engine, "connect", full)
    with pytest.raises(TransientError, match="full"):
        service.drain()
    assert waiting(service) == ([name], [])
    event.remove(store.engine, "connect", full)
    store.engine.dispose()
    assert dump(store.engine)["data_ingestion_log"] == []
    assert service.drain().loaded == 1
    assert len(dump(store.engine)["live_inventory_updates"]) == 3000
