"""Small files that are loaded together: everything is as if each had been loaded alone."""

import os
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select
from support.dump import dump
from support.faults import Crash, crash_at, release_locks, statements
from support.files import csv_bytes, drop
from support.loading import is_whole, wipe

from daemon import claims, together
from daemon.service import Service
from daemon.store import Store
from daemon.store.derived import ALERTS, DERIVED, DUE_DAYS, DUE_PRODUCTS, METRICS
from daemon.store.schema import DELIVERIES

SALES = "date,product_id,channel,quantity_sold,revenue"
INVENTORY = "date,product_id,location,stock_level"
DEMAND = "date,product_id,demand_trend,market_sentiment"
SMALL, ALONE = together.SMALL, -1  # bytes: with the latter no file is small


def sales(n: int, rows: int = 3, transaction: str = "") -> bytes:
    header = SALES if not transaction else f"{SALES},transaction_id"
    lines = [f"2025-06-0{1 + k % 3}T1{k % 10}:00:00,P{k % 4},pos,{n + k + 1},{n}.{k}5" for k in range(rows)]
    return csv_bytes(header, [f"{line},{transaction}" if transaction else line for line in lines])


SHAPES: dict[str, Callable[[int], bytes]] = {
    "plain": sales,
    "another header": lambda n: csv_bytes(
        "product_id;date;revenue;quantity_sold;channel", [f"P{n};2025-06-01;4.5;2;online"]
    ),
    "crlf": lambda n: sales(n).replace(b"\n", b"\r\n"),
    "cr": lambda n: sales(n).replace(b"\n", b"\r"),
    "mark": lambda n: b"\xef\xbb\xbf" + sales(n),
    "no newline at the end": lambda n: sales(n).rstrip(b"\n"),
    "blank lines": lambda n: sales(n).replace(b"\n", b"\n\n   \n"),
    "quotes": lambda n: sales(n).replace(b"pos", b'"pos"'),
    "a reject": lambda n: sales(n, 12) + b"2025-06-01,P9,pos,nothing,1.5\n",
    "ragged": lambda n: sales(n, 12) + b"2025-06-01,P9,pos\n",
    "too many rejects": lambda n: csv_bytes(SALES, ["2025-06-01,P9,moon,1,1.5"] * 12),
    "unknown column": lambda n: csv_bytes(f"{SALES},mood", [f"2025-06-02,P{n},pos,1,{n + 1}.5,fine"]),
    "header only": lambda n: csv_bytes(SALES, []),
    "empty": lambda n: b"",
    "same bytes": lambda n: sales(0),
    "latin-1": lambda n: csv_bytes(SALES, [f"2025-06-01,P\xe9{n},pos,1,1.5"]).decode().encode("latin-1"),
    "utf-8": lambda n: csv_bytes(SALES, [f"2025-06-01,Pé語{n},pos,1,1.5"]),
    "utf-16": lambda n: sales(n).decode().encode("utf-16"),
    "nul tail": lambda n: sales(n) + b"\0\0",
    "control character": lambda n: sales(n).replace(b"P1", b"P\x011"),
    "missing column": lambda n: b"date,product_id\n2025-06-01,P\n",
    "transaction": lambda n: sales(n, 5, f"T{n}"),
    "shared transaction": lambda n: sales(n % 2, 5, "T"),
    "stock": lambda n: csv_bytes(INVENTORY, [f"2025-06-0{1 + k},P{n},X,{n + k}" for k in range(3)]),
    "shared stock": lambda n: csv_bytes(INVENTORY, [f"2025-06-01,P,X,{n}", f"2025-06-02,P{n},X,5"]),
    "stock twice": lambda n: csv_bytes(INVENTORY, [f"2025-06-01,Q{n},X,1", f"2025-06-01,Q{n},X,2"]),
    "demand": lambda n: csv_bytes(DEMAND, [f"2025-06-01,P{n},high,0.5"]),
}
FEEDS = {"stock": "inventory", "shared stock": "inventory", "stock twice": "inventory", "demand": "demand"}


def name_of(n: int, shape: str, slot: str) -> str:
    return f"{FEEDS.get(shape, 'sales')}_data_202506{1 + n % 3:02d}_{slot}.csv"


def files_of(drawn: list[tuple[str, str]]) -> list[tuple[str, bytes]]:
    """Names and contents, by feed: between feeds the order is another when they are read together."""
    found = [(name_of(n, shape, slot or f"s{n}"), SHAPES[shape](n)) for n, (shape, slot) in enumerate(drawn)]
    return sorted(dict(found).items(), key=lambda each: each[0].split("_")[0])


def outcome(made: Service, files: list[tuple[str, bytes]], small: int, monkeypatch: Any) -> dict[str, Any]:
    """Every table after some files."""
    monkeypatch.setattr(together, "SMALL", small)
    wipe(made.store.engine)
    for at, (name, content) in enumerate(files):
        path = drop(made.folders.inbox, name, content)
        os.utime(path, (at, at))
    made.drain()
    found: dict[str, Any] = {
        name: [re.sub(r"delivery \d+", "delivery", str(row)) for row in rows]
        for name, rows in dump(made.store.engine, by_name=True).items()
    }
    with made.store.engine.begin() as connection:
        for table, columns in (
            (METRICS, "data_source metric_name metric_value status details scope day threshold_value"),
            (DUE_PRODUCTS, "product_id feed since"),
            (DUE_DAYS, "feed day"),
            (ALERTS, "rule severity feed day state summary"),
        ):
            rows = connection.execute(select(*(table.c[name] for name in columns.split()))).all()
            found[table.name] = sorted(re.sub(r"delivery:\d+", "delivery", str(row)) for row in rows)
        for table in reversed(DERIVED.sorted_tables):
            connection.execute(table.delete())
    return found


@given(
    drawn=st.lists(
        st.tuples(st.sampled_from(sorted(SHAPES)), st.sampled_from(["", "", "", "a", "b"])), max_size=12
    )
)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_as_if_each_had_come_alone(service, drawn, monkeypatch):
    made = service()
    files = files_of(drawn)
    assert outcome(made, files, SMALL, monkeypatch) == outcome(made, files, ALONE, monkeypatch)


def plain(made: Service, many: int) -> list[str]:
    """Drops files that go together."""
    names = [f"sales_data_20250601_s{n:02d}.csv" for n in range(many)]
    for n, name in enumerate(names):
        drop(made.folders.inbox, name, sales(n))
    return names


def test_a_burst_takes_few_statements_and_commits(service):
    made = service()
    names = plain(made, 60)
    commits: list[object] = []

    def note(connection: object) -> None:
        commits.append(connection)

    event.listen(made.store.engine, "commit", note)
    made.inbox.scan()
    with statements(made.store.engine) as said:
        assert (
            list(made.carrier.deliver_all(made.inbox.ready(), patient=False, enough=lambda: False)) == names
        )
    event.remove(made.store.engine, "commit", note)
    is_whole(made, names, 3)
    assert len(commits) <= 2, "one that loads, one that notes where the files lie"
    assert len(said) < 100, "it was 26 and one for each usual number of rows, which is asked for by name"


@pytest.mark.parametrize("step", ["commit_together", "filed_all"])
def test_what_fails_together_is_done_alone(service, monkeypatch, step):
    """At whichever statement the database fails."""
    made = service()
    work = getattr(Store, step)
    for fail_at in range(1, 32, 3):

        def failing(store: Store, *arguments: Any, at: int = fail_at, **named: Any) -> Any:
            with statements(store.engine, at):
                return work(store, *arguments, **named)

        monkeypatch.setattr(Store, step, failing)
        wipe(made.store.engine)
        names = plain(made, 3)
        made.drain()
        is_whole(made, names, 3)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_death_at_any_step_loses_nothing_and_doubles_nothing(service, when):
    made = service()
    step = 0
    done = ["more"]
    while len(done) >= step:
        step += 1
        wipe(made.store.engine)
        names = plain(made, 3)
        try:
            with crash_at(step, when) as done:
                made.drain()
        except Crash:
            release_locks(made.folders.work)
        again = service()
        again.drain()
        is_whole(again, names, 3)


def test_what_a_death_left_is_recovered_in_the_order_of_arrival(service):
    """Of the same bytes under two names the first counts."""
    made = service()
    names = [f"sales_data_20250601_s{n}.csv" for n in (3, 1, 2)]
    for name in names:
        drop(made.folders.inbox, name, sales(0))
        claim = claims.take(made.folders, name)
        assert claim is not None
        claims.abandon(claim)
    made.drain()
    with made.store.engine.connect() as connection:
        rows = connection.execute(
            select(DELIVERIES.c.file_name, DELIVERIES.c.status).order_by(DELIVERIES.c.id)
        ).all()
    assert [tuple(row) for row in rows] == [
        (name, "duplicate" if n else "success") for n, name in enumerate(names)
    ]
