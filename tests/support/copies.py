"""What `rebuild --into` made: its contents, and copies that are killed on their way."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, Table, delete, func, select, text

from daemon.service import Service
from daemon.store import Store
from daemon.store.schema import LINE_BITS, LIVE, REJECTS
from support.dump import Dump, dump
from support.files import SALES, csv_bytes, drop
from support.process import command, environment, run_cli

_ROW = "2025-06-01T09:00:00,A-1,online,2,5.00,premium,SUMMER,,store_01"


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """A database, let go of in the end."""
    store = Store.open(url)
    try:
        yield store.engine
    finally:
        store.close()


def contents(url: str) -> Dump:
    """Every table."""
    with opened(url) as engine:
        return dump(engine)


def count(engine: Engine, table: Table) -> int:
    """The rows of a table."""
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def one_delivery(service: Service, sales: int, rejects: int) -> None:
    """Fills an empty site with a delivery of so many rows of sales, and rejects."""
    drop(service.folders.inbox, "sales_data_20250601.csv", csv_bytes(SALES, [_ROW]))
    service.drain()
    first = (1 << LINE_BITS) + 2
    with service.store.engine.begin() as connection:
        connection.execute(delete(LIVE["sales"]))
        for name, many, columns, values in (
            (
                LIVE["sales"].name,
                sales,
                "id, date, product_id, channel, quantity_sold, revenue, customer_segment, fulfillment_method",
                f"{first} + i, '2025-06-01 00:00:00', 'P', 'pos', 1, i + 0.25, 'regular', 'warehouse'",
            ),
            (
                REJECTS.name,
                rejects,
                "id, column_name, value, reason, message, raw",
                f"{first} + i, 'channel', 'x', 'bad_enum', 'no', 'raw'",
            ),
        ):
            cast = values.replace("'2025-06-01 00:00:00'", "CAST('2025-06-01 00:00:00' AS TIMESTAMP)")
            chosen = cast if connection.dialect.name == "postgresql" else values
            numbers = f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {many - 1})"
            connection.execute(text(f"INSERT INTO {name} ({columns}) {numbers} SELECT {chosen} FROM n"))


def killed_and_resumed(service: Service, target: str, folder: Path, *tables: Table) -> None:
    """Kills the command as soon as each of these tables is begun, lets it end then, and looks at the copy.

    Args:
        service: of a site with more rows in these tables than are copied at a time.
        target: an empty database.
        folder: where the command runs.
        tables: of rejects and of sales, in the order in which they are copied.
    """
    env = environment(service.settings.data_dir, service.settings.database_url)
    arguments = ("rebuild", "--into", target, "--json")
    with opened(target) as engine:
        for table in tables:
            _kill_when(lambda table=table: count(engine, table) > 0, arguments, env, folder)
            assert 0 < count(engine, table) < count(service.store.engine, table), "killed too late"
        there = count(engine, LIVE["sales"]) + count(engine, REJECTS)
    done = run_cli(*arguments, env=env, cwd=folder, timeout=240)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["exact"]
    copied = {each["table"]: each["copied"] for each in found["tables"]}
    many = count(service.store.engine, LIVE["sales"]) + count(service.store.engine, REJECTS)
    assert copied[LIVE["sales"].name] + copied[REJECTS.name] == many - there
    assert contents(target) == dump(service.store.engine)


def _kill_when(
    is_time: Callable[[], bool], arguments: tuple[str, ...], env: dict[str, str], folder: Path
) -> None:
    process = subprocess.Popen(
        command(*arguments), env=env, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not is_time() and process.poll() is None and time.monotonic() < deadline:
        pass
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
