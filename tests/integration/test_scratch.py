"""A large file takes another way into the tables on SQLite, through a scratch file, and arrives just the same."""

import random

import pytest
from conftest import make_settings, serving
from sqlalchemy import delete, func, select
from support.files import INVENTORY, SALES, csv_bytes, drop
from support.loading import wipe

from daemon import ingest, kinship, reading, source
from daemon.store import scratch, staging
from daemon.store.bulk import Sqlite
from daemon.store.schema import DAILY, DELIVERIES, LIVE, METADATA, PRODUCTS, REJECTS

SMALL = 8  # files
ROWS = 29_000  # long ones: what is compared is the way of the bytes, and each row costs
LONG = "A PROMOTION " * 14


def sales_rows():
    draw = random.Random(1)
    return [
        f"2025-06-{draw.randint(1, 30):02d}T{draw.randint(0, 23):02d}:{draw.randint(0, 59):02d}:00,"
        f"P-{draw.randint(1, 300):05d},{draw.choice(('online', 'pos'))},{draw.randint(1, 9)},"
        f"{draw.randint(1, 10**7) / 10**4:.4f},premium,{draw.choice(('A PROMOTION', LONG.strip()))},warehouse,store_01"
        for _ in range(ROWS)
    ]


def inventory_rows():
    return [
        f"2025-06-{1 + n // 5000:02d}T00:00:00,P-{n % 1250:05d},store_{n % 5000 // 1250:02d} of the north{' and the east' * 6},{n},{n % 7},"
        f"{n % 5},SUPPLIER-{n % 11:03d},2025-05-{1 + n % 28:02d}T12:00:00"
        for n in range(7, ROWS + 7)
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
    for at in (11, ROWS // 2, ROWS - 1):
        rows[at] = rows[at].replace(
            "2025-06", "2025-66", 1
        )  # a reject in the first, a middle and the last block
    large = csv_bytes(header, rows)
    assert len(large) > staging.SCRATCH_ABOVE
    scratches = []

    class Watched(staging.Scratch):
        def __init__(self, connection, path, *rest):
            super().__init__(connection, path, *rest)
            scratches.extend(self._files)

    monkeypatch.setattr(staging, "Scratch", Watched)
    drop(made.folders.inbox, f"{feed}_data_20250601.csv", large)
    made.drain()
    assert bool(scratches) == (made.store.engine.dialect.name == "sqlite")
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


@pytest.fixture
def sqlite_service(service, database_url):
    """Only SQLite has scratch files."""
    if not database_url.startswith("sqlite"):
        pytest.skip("PostgreSQL has no scratch files")
    return service


@pytest.fixture
def many_blocks(monkeypatch):
    """Large files are small, and are read in some thirty blocks."""
    unpack = source._unpack
    monkeypatch.setattr(source, "_unpack", lambda *args, **more: unpack(*args, **{"chunk": 1 << 14, **more}))
    monkeypatch.setattr(source, "CHUNK", 1 << 14)
    monkeypatch.setattr(reading, "_HEADER_LIMIT", 1 << 12)
    for module in (ingest, kinship):
        monkeypatch.setattr(module, "SCRATCH_ABOVE", 1 << 16)


@pytest.fixture
def inserted(monkeypatch):
    """The tables from which rows went into the feed's table before the delivery was judged."""
    found = []
    take = staging.Stage._take

    def noted(stage, table):
        take(stage, table)
        found.append(table)

    monkeypatch.setattr(staging.Stage, "_take", noted)
    return found


def test_rows_go_into_the_table_while_others_are_read(sqlite_service, many_blocks, inserted):
    made = sqlite_service()
    rows = sales_rows()[:7_000]
    rows[3_500] = rows[3_500].replace("2025-06", "2025-66", 1)
    drop(made.folders.inbox, "sales_data_20250601.csv", csv_bytes(SALES, rows))
    made.drain()
    assert inserted == [f"scratch{part}.stage_sales" for part in range(scratch._MOST)]
    whole = contents(made.store, "sales")
    assert (len(whole[0]), len(whole[2])) == (6_999, 1)
    with made.store.engine.connect() as connection:
        found = connection.execute(select(LIVE["sales"].c.line, LIVE["sales"].c.delivery_id)).all()
        assert connection.execute(select(DELIVERIES.c.id)).scalars().all() == [1]
    assert sorted(found) == [(line, 1) for line in range(2, 7_002) if line != 3_502]
    wipe(made.store.engine)
    for number in range(SMALL):
        drop(made.folders.inbox, f"sales_data_20250601_{number}.csv", csv_bytes(SALES, rows[number::SMALL]))
    made.drain()
    assert contents(made.store, "sales") == whole


def test_a_number_that_was_given_is_not_given_to_rows_that_go_ahead(sqlite_service, many_blocks, inserted):
    """Also when the deliveries before are gone from the ledger."""
    made = sqlite_service()
    for number in range(3):
        drop(
            made.folders.inbox,
            f"sales_data_2025060{number + 1}.csv",
            csv_bytes(SALES, sales_rows()[number : number + 2]),
        )
    made.drain()
    with made.store.engine.begin() as connection:
        for table in (*LIVE.values(), DELIVERIES):
            connection.execute(delete(table))
    drop(made.folders.inbox, "sales_data_20250609.csv", csv_bytes(SALES, sales_rows()[:7_000]))
    made.drain()
    assert inserted
    with made.store.engine.connect() as connection:
        assert connection.execute(select(DELIVERIES.c.id)).scalars().all() == [4]


def test_what_went_ahead_is_taken_back_when_the_file_is_refused(sqlite_service, many_blocks, inserted):
    made = sqlite_service()
    rows = sales_rows()[:7_000]
    drop(made.folders.inbox, "sales_data_20250601.csv", csv_bytes(SALES, [*rows[:-1], '"never closed']))
    assert made.drain().refused == 1
    assert inserted
    with made.store.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(LIVE["sales"])).scalar() == 0
        assert connection.exec_driver_sql("PRAGMA database_list").all()[1:] in ([], [(1, "temp", "")])
        assert connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar() == 8000
    assert list(made.folders.work.iterdir()) == []
    drop(made.folders.inbox, "sales_data_20250601.csv", csv_bytes(SALES, rows))
    assert made.drain().loaded == 1


def test_scratch_files_that_cannot_be_opened_leave_the_connection_as_it_was(
    sqlite_service, many_blocks, inserted, monkeypatch
):
    made = sqlite_service(retry={"attempts": 2})
    names = iter([None, "file:/dev/null/b?nolock=1"])
    right = scratch._without_locks
    monkeypatch.setattr(scratch, "_without_locks", lambda file: next(names, None) or right(file))
    drop(made.folders.inbox, "sales_data_20250601.csv", csv_bytes(SALES, sales_rows()[:7_000]))
    assert made.drain().loaded == 1
    assert len(contents(made.store, "sales")[0]) == 7_000


def test_another_file_of_the_same_day_may_come_in_between(
    sqlite_service, many_blocks, inserted, monkeypatch, database_url, tmp_path
):
    """The slot was free when the file was looked at, and is not when its rows are about to go in."""
    made = sqlite_service(retry={"attempts": 2})
    rows = sales_rows()[:7_000]
    begin = Sqlite.begin_direct
    came = []

    def late(manners, connection):
        if not came:
            came.append(1)
            with serving(make_settings(tmp_path / "other", database_url), made.store) as other:
                drop(other.folders.inbox, "sales_data_20250601.csv", csv_bytes(SALES, rows[:10]))
                other.drain()
        return begin(manners, connection)

    monkeypatch.setattr(Sqlite, "begin_direct", late)
    drop(made.folders.inbox, "sales_data_20250601.csv", csv_bytes(SALES, rows))
    made.drain()
    assert len(contents(made.store, "sales")[0]) == 7_000
    with made.store.engine.connect() as connection:
        found = connection.execute(select(DELIVERIES.c.status, DELIVERIES.c.superseded_by)).all()
    assert found == [("success", 2), ("success", None)]


def test_a_refusal_while_rows_go_into_the_table_waits_for_them(sqlite_service, many_blocks, monkeypatch):
    """The thread that copies asks whether the time is over, and whoever lifts the limit must not wait for it meanwhile."""
    made = sqlite_service()
    rows = sales_rows()[:7_000]
    take = staging.Stage._take
    copying = []

    def long(stage, table):
        copying.append(table)
        numbers = "WITH RECURSIVE n (k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < 1000000)"
        stage.connection.exec_driver_sql(f"{numbers} SELECT MAX(k) FROM n").scalar()
        take(stage, table)

    monkeypatch.setattr(staging.Stage, "_take", long)
    drop(made.folders.inbox, "sales_data_20250601.csv", csv_bytes(SALES, [*rows[:-1], '"never closed']))
    assert made.drain().refused == 1
    assert copying
    with made.store.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(LIVE["sales"])).scalar() == 0
