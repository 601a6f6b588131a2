"""The ways in which `benchmarks.load` brings one file into a database: ours, others', and floors below which nothing goes."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from benchmarks import measure, results, running
from benchmarks.measure import Finished

PEERS = results.PLOTTER.parent
COLUMNS = {
    "date": "timestamp",
    "product_id": "text",
    "channel": "text",
    "quantity_sold": "integer",
    "revenue": "numeric(14, 4)",
    "customer_segment": "text",
    "promotion_code": "text",
    "fulfillment_method": "text",
}
DAY = "20250314"

Kind = Literal["ours", "peer", "floor"]
Database = Literal["sqlite", "postgresql", ""]


@dataclass(frozen=True)
class Job:
    """One run of one way.

    Attributes:
        source: the file.
        folder: an empty folder for this run.
        url: of an empty PostgreSQL database, for the ways that want one.
    """

    source: Path
    folder: Path
    url: str = ""

    @property
    def database(self) -> Path:
        """The SQLite file of a peer."""
        return self.folder / "peer.db"

    @property
    def log(self) -> Path:
        """What the program prints."""
        return self.folder / "peer.log"

    @property
    def plain_url(self) -> str:
        """The URL as psql wants it."""
        return self.url.replace("+psycopg", "")


@dataclass(frozen=True)
class Way:
    """A way to load a file.

    Attributes:
        key: its name on the command line.
        label: its name in the table.
        kind: whose it is.
        database: what it writes to; "" is nothing.
        checks: what it checks of each row.
        run: does it.
        program: what must be there: a program, or a module of the peers' environment.
        most: it is so slow that it gets no more rows than this; None: all.
        table: where the rows are afterwards.
    """

    key: str
    label: str
    kind: Kind
    database: Database
    checks: str
    run: Callable[[Job], Finished]
    program: str
    most: int | None = None
    table: str = "sales"

    def missing(self) -> str | None:
        """How to get what it needs, if that is not there."""
        if self.program in APT:
            return None if shutil.which(self.program) else f"apt-get install {APT[self.program]}"
        return None if (PEERS / self.program).exists() else "make bench-tools"


APT = {"sqlite3": "sqlite3", "psql": "postgresql-client", "pgloader": "pgloader"}


# ---- the peers, each in a process of its own


def _script(name: str, *more: str) -> Callable[[Job], Finished]:
    """A script of `benchmarks/peers`, with the file and the SQLite file as arguments."""

    def run(job: Job) -> Finished:
        given = [text.format(url=job.url, database=job.database, folder=job.folder) for text in more]
        command = [PEERS / "python", "-m", f"benchmarks.peers.{name}", job.source, *given]
        return _with_work(measure.must_run(command, log=job.log), job.log)

    return run


def _program(*command: str) -> Callable[[Job], Finished]:
    def run(job: Job) -> Finished:
        given = [text.format(source=job.source, database=job.database, url=job.plain_url) for text in command]
        if (PEERS / given[0]).exists():
            given[0] = str(PEERS / given[0])
        return measure.must_run(given, log=job.log)

    return run


def _with_work(finished: Finished, log: Path) -> Finished:
    """With what the script says about itself."""
    last = json.loads(log.read_text().splitlines()[-1])
    return replace(finished, work_seconds=last["work_seconds"])


def _psql(job: Job, *said: str) -> list[str]:
    return ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", job.plain_url, *(x for text in said for x in ("-c", text))]


def _create(job: Job, *, typed: bool) -> None:
    columns = ", ".join(f"{name} {kind if typed else 'text'}" for name, kind in COLUMNS.items())
    measure.must_run(_psql(job, f"CREATE TABLE sales ({columns})", "CHECKPOINT"), log=job.log)


def _copy(job: Job) -> Finished:
    """The client reads the file, the server parses it and checks the types."""
    _create(job, typed=True)
    return measure.must_run(_psql(job, f"\\copy sales FROM '{job.source}' (FORMAT csv, HEADER)"), log=job.log)


def _bare_copy(job: Job) -> Finished:
    """The server reads the file itself, all columns are text."""
    _create(job, typed=False)
    return measure.must_run(_psql(job, f"COPY sales FROM '{job.source}' (FORMAT csv, HEADER)"), log=job.log)


def _pgloader(job: Job) -> Finished:
    _create(job, typed=True)
    names = ", ".join(COLUMNS)
    script = job.folder / "sales.load"
    script.write_text(
        f"LOAD CSV FROM '{job.source}' ({names})\n  INTO {job.plain_url}\n  TARGET TABLE sales ({names})\n"
        "  WITH skip header = 1, fields optionally enclosed by '\"', fields terminated by ',';\n"
    )
    return measure.must_run(["pgloader", "--root-dir", job.folder, script], log=job.log)


# ---- ours


def place(job: Job) -> Path:
    """A copy of the file beside the inbox, on the disk already: writing it back is not the daemon's work."""
    (job.folder / "live_feeds").mkdir(exist_ok=True)
    copy = job.folder / f"sales_data_{DAY}.csv"
    shutil.copyfile(job.source, copy)
    os.sync()
    return copy


def drain(job: Job, **settings: str) -> Finished:
    """`stockgrip drain`, the whole command."""
    log = job.folder.with_suffix(".log")
    url = job.url or f"sqlite:///{job.folder / 'stockgrip.db'}"
    finished = measure.drain(job.folder, url, log=log, env={"STOCKGRIP_SETTLE__QUIET_SECONDS": "0", **settings})
    if finished.status != 0:
        measure.stop(f"stockgrip drain ended with status {finished.status}: no row of this file is bad", log)
    log.unlink()
    return finished


def _drained(job: Job) -> Finished:
    copy = place(job)
    copy.rename(job.folder / "live_feeds" / copy.name)
    return drain(job)


def _dropped(job: Job) -> Finished:
    """Into a running daemon: from the rename until the log says that it is loaded, which is after the commit."""
    settings: dict[str, object] = {"settle.quiet_seconds": 0}
    if job.url:
        settings["database.url"] = job.url
    with running.daemon(job.folder, settings) as daemon:
        daemon.wait_ready()
        copy = place(job)
        worked = daemon.cpu_seconds()
        begun = daemon.drop(copy)
        committed = daemon.wait_loaded(1, 3_600)[0].at - begun
        worked = daemon.cpu_seconds() - worked
        peak = daemon.memory_mb("VmHWM")
        after = {}
        if not job.url:
            filed, followed = daemon.wait_done(3_600)
            after = {"filed": filed - begun, "followed": followed - begun}
        return Finished(committed, peak, 0, worked, committed, after)


OURS = "stockgrip"
WAYS = (
    Way("arrow-parse", "floor: pyarrow parses, nothing else", "floor", "", "", _script("arrow_parse"), "python"),
    Way("adbc-sqlite", "floor: ADBC, from memory", "floor", "sqlite", "", _script("adbc_sqlite", "{database}"), "python"),
    Way(
        "import",
        "sqlite3 .import --csv",
        "peer",
        "sqlite",
        "",
        _program("sqlite3", "{database}", "PRAGMA journal_mode=WAL", '.import --csv "{source}" sales'),
        "sqlite3",
    ),
    Way("pandas", "pandas to_sql, sqlite3", "peer", "sqlite", "types", _script("pandas_sqlite", "{database}"), "python"),
    Way(
        "pandas-sqlalchemy",
        "pandas to_sql, SQLAlchemy",
        "peer",
        "sqlite",
        "types",
        _script("pandas_sqlite", "sqlite:///{database}"),
        "python",
    ),
    Way("pandera", "pandera, then pandas to_sql", "peer", "sqlite", "rules", _script("pandera_sqlite", "{database}"), "python"),
    Way(
        "csvs-to-sqlite",
        "csvs-to-sqlite",
        "peer",
        "sqlite",
        "types",
        _program("csvs-to-sqlite", "{source}", "{database}", "-t", "sales"),
        "csvs-to-sqlite",
    ),
    Way(
        "sqlite-utils",
        "sqlite-utils insert --csv",
        "peer",
        "sqlite",
        "types",
        _program("sqlite-utils", "insert", "{database}", "sales", "{source}", "--csv"),
        "sqlite-utils",
        most=100_000,
    ),
    Way("dlt", "dlt", "peer", "sqlite", "types", _script("dlt_load", "{database}", "{folder}"), "dlt", most=100_000),
    Way(
        "iterrows",
        "iterrows, session.add of an ORM",
        "peer",
        "sqlite",
        "types",
        _script("iterrows_orm", "{database}"),
        "python",
        most=10_000,
    ),
    Way("drain", "stockgrip drain, start and end in it", "ours", "sqlite", "rules", _drained, "python", table="live_sales_data"),
    Way("run", "stockgrip run, to the commit", "ours", "sqlite", "rules", _dropped, "python", table="live_sales_data"),
    Way("bare-copy", "floor: COPY, the server's own file, text", "floor", "postgresql", "", _bare_copy, "psql"),
    Way("copy", "psql \\copy", "peer", "postgresql", "types", _copy, "psql"),
    Way("pgloader", "pgloader", "peer", "postgresql", "types", _pgloader, "pgloader"),
    Way(
        "pandas-postgresql",
        "pandas to_sql, psycopg",
        "peer",
        "postgresql",
        "types",
        _script("pandas_sqlite", "{url}"),
        "python",
        most=100_000,
    ),
    Way("drain-postgresql", "stockgrip drain, start and end in it", "ours", "postgresql", "rules", _drained, "python", table="live_sales_data"),
    Way("run-postgresql", "stockgrip run, to the commit", "ours", "postgresql", "rules", _dropped, "python", table="live_sales_data"),
)
MEASURE = {"sqlite": "import", "postgresql": "copy"}
"""What the others are compared with."""


def versions() -> Mapping[str, str]:
    """Of the programs and packages that are there."""
    found = {}
    for program, option in {"sqlite3": "--version", "psql": "--version", "pgloader": "--version"}.items():
        if shutil.which(program):
            said = subprocess.run([program, option], capture_output=True, text=True, check=False).stdout
            number = re.search(r"\d+\.[\d.]+", said)
            found[program] = number[0] if number else said.strip()
    names = "pandas pandera csvs-to-sqlite sqlite-utils dlt sqlalchemy pyarrow adbc-driver-sqlite psycopg".split()
    code = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {names}}}))"
    if (PEERS / "python").exists():
        found |= json.loads(subprocess.run([PEERS / "python", "-c", code], capture_output=True, check=True).stdout)
    found["stockgrip's python"] = ".".join(map(str, sys.version_info[:3]))
    return found
