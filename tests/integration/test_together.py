"""Small files that are loaded together: everything is as if each had been loaded alone."""

import os
import re
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from support.dump import dump
from support.files import csv_bytes, drop
from support.loading import wipe

from daemon import together
from daemon.service import Service
from daemon.store.derived import ALERTS, DERIVED, DUE_DAYS, DUE_PRODUCTS, METRICS

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
