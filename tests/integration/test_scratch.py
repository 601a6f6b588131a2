"""A large file takes another way into the tables on SQLite, through a scratch file, and arrives just the same."""

import random

import pytest
from sqlalchemy import select
from support.files import INVENTORY, SALES, csv_bytes, drop
from support.loading import wipe

from daemon.store import staging
from daemon.store.schema import DAILY, DELIVERIES, LIVE, METADATA, PRODUCTS, REJECTS

SMALL = 8  # files


def sales_rows():
    draw = random.Random(1)
    return [
        f"2025-06-{draw.randint(1, 30):02d}T{draw.randint(0, 23):02d}:{draw.randint(0, 59):02d}:00,"
        f"P-{draw.randint(1, 300):05d},{draw.choice(('online', 'pos'))},{draw.randint(1, 9)},"
        f"{draw.randint(1, 10**7) / 10**4:.4f},premium,{draw.choice(('', 'A PROMOTION'))},warehouse,store_01"
        for _ in range(58_000)
    ]


def inventory_rows():
    return [
        f"2025-06-{1 + n // 5000:02d}T00:00:00,P-{n % 1250:05d},store_{n % 5000 // 1250:02d} of the north,{n},{n % 7},"
        f"{n % 5},SUPPLIER-{n % 11:03d},2025-05-{1 + n % 28:02d}T12:00:00"
        for n in range(7, 58_007)
    ]


def contents(store, feed):
    """The rows without their lineage, and what is derived from them."""
    table = LIVE[feed]
    values = [column for column in table.c if column.name not in ("id", "delivery_id", "line")]
    with store.engine.connect() as connection:
        rows = sorted(map(repr, connection.execute(select(*values))))
        rest = [sorted(map(repr, connection.execute(select(t)))) for t in (DAILY[feed], PRODUCTS)]
        rejects = sorted(
            map(repr, connection.execute(select(REJECTS.c.value, REJECTS.c.reason, REJECTS.c.raw)))
        )
    return rows, rest, rejects


@pytest.mark.parametrize(
    ("feed", "header", "rows"), [("sales", SALES, sales_rows()), ("inventory", INVENTORY, inventory_rows())]
)
def test_a_large_file_and_small_ones_with_the_same_rows_load_alike(service, monkeypatch, feed, header, rows):
    made = service()
    for at in (11, 30_000, 57_999):
        rows[at] = rows[at].replace(
            "2025-06", "2025-66", 1
        )  # a reject in the first, a middle and the last block
    large = csv_bytes(header, rows)
    assert len(large) > staging.SCRATCH_ABOVE
    scratches = []

    class Watched(staging._Scratch):
        def __init__(self, path, *rest):
            super().__init__(path, *rest)
            scratches.append(path)

    monkeypatch.setattr(staging, "_Scratch", Watched)
    drop(made.folders.inbox, f"{feed}_data_20250601.csv", large)
    made.drain()
    assert len(scratches) == (made.store.engine.dialect.name == "sqlite")
    assert not any(path.exists() for path in scratches)
    assert list(made.folders.work.iterdir()) == []
    whole = contents(made.store, feed)
    assert len(whole[0]) == len(rows) - 3
    assert len(whole[2]) == 3
    with made.store.engine.connect() as connection:
        status = connection.execute(select(DELIVERIES.c.status, DELIVERIES.c.records_failed)).one()
    assert tuple(status) == ("partial", 3)

    wipe(made.store.engine)
    scratches.clear()
    for number in range(SMALL):
        drop(made.folders.inbox, f"{feed}_data_20250601_{number}.csv", csv_bytes(header, rows[number::SMALL]))
    made.drain()
    assert scratches == []
    in_parts = contents(made.store, feed)
    assert in_parts[0] == whole[0]
    assert in_parts[1:] == whole[1:]


def test_a_refused_large_file_leaves_no_scratch_file(service):
    made = service()
    rows = sales_rows()
    rows[-1] = '"never closed'
    drop(made.folders.inbox, "sales_data_20250601.csv", csv_bytes(SALES, rows))
    assert made.drain().refused == 1
    assert list(made.folders.work.iterdir()) == []
    with made.store.engine.connect() as connection:
        counts = {
            name: len(connection.execute(select(table)).all()) for name, table in METADATA.tables.items()
        }
    assert counts.pop("data_ingestion_log") == 1
    assert set(counts.values()) == {0}
    # the connection is as good as new
    drop(made.folders.inbox, "sales_data_20250601.csv", csv_bytes(SALES, rows[:3]))
    assert made.drain().loaded == 1
