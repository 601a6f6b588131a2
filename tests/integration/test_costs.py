"""What a delivery costs, counted and not timed: statements, commits, bytes, batches, modules.

A count does not depend on the machine. Each limit stands a fifth or so above what is counted today, which is written beside it. Who
goes beyond one has made something dearer: make it cheaper again, or raise the limit in the change that says what it is worth.
"""

import contextlib
import cProfile
import json
import pstats
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from conftest import make_settings, serving
from sqlalchemy import event
from support.faults import statements
from support.files import csv_bytes, drop
from support.process import environment

from daemon.service import Service
from daemon.store import Store
from daemon.store.staging import SCRATCH_ABOVE, Stage

# of a file of 100 rows, once others of its day are there
LOADING, LOADING_COMMITS = 62, 3  # 53 and 3
FOLLOWING, FOLLOWING_COMMITS = 62, 2  # 52 and 2
CALLS = 17_500  # 14 826
STEPS_OF_A_JUDGEMENT = 60  # 42, for each file of the day
# of each of 50 such files that come together
FILES, STATEMENTS_TOGETHER, CALLS_TOGETHER = 50, 2, 3_300  # 1.5 and 2 700
# to the database, its log and the stage, of a row of 40 bytes
BYTES_A_ROW, BYTES_A_ROW_LARGE = 100, 185  # 84 and 155
# of a file, in each batch: a smaller one costs more calls than rows
BATCH_BYTES = 2 << 20  # 4 MiB
# with a database that is there; each takes about a third of a millisecond
MODULES = {"run": 1_080, "drain": 1_000}  # 948 and 879
HEAVY = {
    "alembic",
    "holidays",
    "matplotlib",
    "pandas",
    "scipy",
    "smtplib",
    "sqlalchemy.orm",
    "starlette",
    "uvicorn",
}

_STRIDE = 10  # steps of SQLite's virtual machine between two counts

DAY = date(2025, 3, 14)
HEADER = "date,product_id,channel,quantity_sold,revenue"


def rows(count: int) -> list[str]:
    """Sales of 500 products in two channels, 40 bytes each."""
    return [
        f"{DAY}T{n % 24:02d}:{n % 60:02d}:00,P{n * 7_919 % 500:05d},{('pos', 'online')[n % 2]},{1 + n % 4},{1 + n % 97}.25"
        for n in range(count)
    ]


@pytest.fixture
def site(databases, tmp_path) -> Iterator[Service]:
    url = databases.sqlite(tmp_path)
    store = Store.open(url)
    with serving(make_settings(tmp_path / "data", url), store) as made:
        yield made
    store.close()


def deliver(site: Service, name: str, content: bytes) -> None:
    drop(site.folders.inbox, name, content)
    site.inbox.scan()
    assert site.carrier.deliver(name, patient=False)
    assert site.summary.loaded == site.summary.deliveries


@contextlib.contextmanager
def stepping(site: Service) -> Iterator[Callable[[], int]]:
    """Counts what SQLite does inside, in steps of its virtual machine; what is shorter than ten is not seen."""
    steps = [0]

    def step() -> int:
        steps[0] += _STRIDE
        return 0

    def on_checkout(connection: sqlite3.Connection, *_: object) -> None:
        connection.set_progress_handler(step, _STRIDE)

    event.listen(site.store.engine, "checkout", on_checkout)
    try:
        yield lambda: steps[0]
    finally:
        event.remove(site.store.engine, "checkout", on_checkout)
        with site.store.engine.connect() as connection:
            connection.connection.driver_connection.set_progress_handler(None, _STRIDE)


# ---- of a small file


def test_statements_and_commits(site):
    commits: list[object] = []

    def note(connection: object) -> None:
        commits.append(connection)

    event.listen(site.store.engine, "commit", note)
    for number in range(4):  # the last ones are what most files are: others of the day are there
        with statements(site.store.engine) as loading:
            commits.clear()
            deliver(site, f"sales_data_{DAY:%Y%m%d}_{number}.csv", csv_bytes(HEADER, rows(100)[number:]))
            loading_commits = len(commits)
        with statements(site.store.engine) as following:
            commits.clear()
            site.after.run()
            following_commits = len(commits)
    event.remove(site.store.engine, "commit", note)
    assert len(loading) <= LOADING, "\n".join(loading.said)
    assert len(following) <= FOLLOWING, "\n".join(following.said)
    assert loading_commits <= LOADING_COMMITS
    assert following_commits <= FOLLOWING_COMMITS


def test_calls_of_a_small_file(site):
    """Calls of functions, Python's and C's, as a profiler counts them: nearly the same each time, on every machine."""
    calls = []
    for number in range(8):
        profile = cProfile.Profile()
        with profile:
            deliver(site, f"sales_data_{DAY:%Y%m%d}_{number}.csv", csv_bytes(HEADER, rows(100)[number:]))
        calls.append(pstats.Stats(profile).total_calls)
    assert min(calls) <= CALLS, calls


def test_many_files_of_a_day_cost_no_more_than_few(site):
    loading, following = [], []
    for number in range(80):
        with stepping(site) as count:
            row = f"{DAY}T10:00:00,P00001,pos,{1 + number},9.25"
            deliver(site, f"sales_data_{DAY:%Y%m%d}_{number:02d}.csv", csv_bytes(HEADER, [row]))
        loading.append(count())
        if number in {9, 10, 78, 79}:  # the second of each two follows one file only
            with stepping(site) as count:
                site.after.run()
            following.append(count())
    assert sum(loading[-20:]) <= 1.15 * sum(loading[10:30]), loading
    # the judgement of a day looks at the metrics of its files in an index: a microsecond or two each
    assert following[3] - following[1] <= 69 * STEPS_OF_A_JUDGEMENT, following


# ---- of many small files


def test_files_that_come_together(site):
    def deliver_all(turn: int) -> None:
        for number in range(FILES):
            name = f"sales_data_{DAY:%Y%m%d}_{turn}_{number:02d}.csv"
            drop(site.folders.inbox, name, csv_bytes(HEADER, rows(100 + number)[turn:]))
        site.inbox.scan()
        list(site.carrier.deliver_all(site.inbox.ready(), patient=False, enough=lambda: False))

    for turn in range(2):
        with statements(site.store.engine) as said, cProfile.Profile() as profile:
            deliver_all(turn)
    assert site.summary.loaded == 2 * FILES
    assert len(said) / FILES <= STATEMENTS_TOGETHER
    assert pstats.Stats(profile).total_calls / FILES <= CALLS_TOGETHER


# ---- of a large file


def written() -> int:
    """Bytes that this process has given to write(2) so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


@pytest.mark.parametrize(("count", "most"), [(20_000, BYTES_A_ROW), (105_000, BYTES_A_ROW_LARGE)])
def test_bytes_written_and_batches(site, monkeypatch, count, most):
    content = csv_bytes(HEADER, rows(count))
    assert (len(content) > SCRATCH_ABOVE) == (count > 50_000)  # both ways of staging are tried
    batches: list[int] = []
    append = Stage.append

    def counting(self, batch):
        batches.append(batch.num_rows)
        append(self, batch)

    monkeypatch.setattr(Stage, "append", counting)
    name = f"sales_data_{DAY:%Y%m%d}.csv"
    drop(site.folders.inbox, name, content)
    site.inbox.scan()
    before = written()
    assert site.carrier.deliver(name, patient=False)
    wrote = (written() - before) / count
    assert wrote <= most
    assert sum(batches) == count
    assert len(batches) <= 1 + len(content) // BATCH_BYTES, batches


# ---- of a start

_STARTING = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.__stdout__))
sys.argv = ["stockgrip", sys.argv[1]]
from daemon.cli import main
main()
"""


@pytest.mark.parametrize("command", ["run", "drain"])
def test_modules_of_a_start(databases, tmp_path, command):
    env = environment(tmp_path / "data", databases.sqlite(tmp_path))
    (tmp_path / "data").mkdir()
    started = subprocess.Popen(
        [sys.executable, "-c", _STARTING, command],
        env=env,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    if command == "run":
        assert started.stderr is not None
        for line in started.stderr:
            if b"daemon_ready" in line:
                started.terminate()
                break
    out, err = started.communicate(timeout=60)
    assert started.returncode == 0, err
    modules = set(json.loads(out.splitlines()[-1]))
    assert modules & HEAVY == set()
    assert len(modules) <= MODULES[command]
