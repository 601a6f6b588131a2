"""How each way of `benchmarks.ways` runs: a program in a process of its own, with a new database."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

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


# ---- the peers, each in a process of its own


def script(name: str, *more: str) -> Callable[[Job], Finished]:
    """A script of `benchmarks/peers`, with the file and the SQLite file as arguments."""

    def run(job: Job) -> Finished:
        given = [text.format(url=job.url, database=job.database, folder=job.folder) for text in more]
        command = [PEERS / "python", "-m", f"benchmarks.peers.{name}", job.source, *given]
        return _with_work(measure.must_run(command, log=job.log), job.log)

    return run


def program(*command: str) -> Callable[[Job], Finished]:
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
    return [
        "psql",
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-d",
        job.plain_url,
        *(x for text in said for x in ("-c", text)),
    ]


def _create(job: Job, *, typed: bool) -> None:
    columns = ", ".join(f"{name} {kind if typed else 'text'}" for name, kind in COLUMNS.items())
    measure.must_run(_psql(job, f"CREATE TABLE sales ({columns})", "CHECKPOINT"), log=job.log)


def psql_copy(job: Job) -> Finished:
    """The client reads the file, the server parses it and checks the types."""
    _create(job, typed=True)
    return measure.must_run(_psql(job, f"\\copy sales FROM '{job.source}' (FORMAT csv, HEADER)"), log=job.log)


def bare_copy(job: Job) -> Finished:
    """The server reads the file itself, all columns are text."""
    _create(job, typed=False)
    return measure.must_run(_psql(job, f"COPY sales FROM '{job.source}' (FORMAT csv, HEADER)"), log=job.log)


def pgloader(job: Job) -> Finished:
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
    finished = measure.drain(
        job.folder, url, log=log, env={"STOCKGRIP_SETTLE__QUIET_SECONDS": "0", **settings}
    )
    if finished.status != 0:
        measure.stop(f"stockgrip drain ended with status {finished.status}: no row of this file is bad", log)
    log.unlink()
    return finished


def drained(job: Job) -> Finished:
    copy = place(job)
    copy.rename(job.folder / "live_feeds" / copy.name)
    return drain(job)


def dropped(job: Job) -> Finished:
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
