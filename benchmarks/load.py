"""How long one large sales file takes: ours, beside others and the floors below which nothing goes.

    make bench                                    # 1 000 000 rows, 5 rounds
    make bench ARGS='--rows 10000000 --rounds 1 --only sqlite'
    make bench ARGS='--quick --only drain,import'

Each round runs every way once, each with a new database, one after the other and each time beginning with another one: a slow
minute of the machine hits all alike. What is timed is the whole command as somebody would type it: start, imports and end
are in it; of floors in Python the work alone. Peers load, and check what the table says; ours parses, checks every row, adds up the day and files the delivery
away. Every way must have loaded each row: rows, units and cents are compared.
"""

import argparse
import contextlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks import measure, results, runners, ways
from benchmarks.measure import Finished
from benchmarks.runners import Job
from benchmarks.ways import MEASURE, WAYS, Way

SEED = 1
START_NEW, START, ONE_ROW = "a start, new database", "a start, nothing waiting", "one file of one row"
DATABASES = {"": "Reading alone", "sqlite": "SQLite (WAL, synchronous=FULL)", "postgresql": "PostgreSQL"}
TOTALS = "SELECT COUNT(*), SUM(CAST(quantity_sold AS BIGINT)), SUM(CAST(ROUND(CAST(revenue AS NUMERIC) * 100) AS BIGINT)) FROM {}"
Runs = dict[str, list[Finished]]


def sales_file(rows: int) -> tuple[Path, dict[str, int]]:
    """The benchmark's file of that many rows, made on first use, and its totals."""
    path = measure.BUILD / "load" / f"sales_{rows}.csv"
    totals = path.with_name(path.name + ".json")
    if not totals.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = ["--rows", str(rows), "--seed", str(SEED)]
        measure.must_run(
            [sys.executable, "-m", "benchmarks.sales_file", path, *made], log=path.with_suffix(".log")
        )
    return path, json.loads(totals.read_text())


def check(way: Way, job: Job, totals: dict[str, int]) -> None:
    """End the benchmark unless all rows, units and cents of the file were loaded: a number for less is worth nothing."""
    wanted: tuple[int, ...] = (totals["rows"], totals["units"], totals["revenue_cents"])
    query = TOTALS.format(way.table)
    if not way.database:
        got: tuple[int, ...] = (json.loads(job.log.read_text().splitlines()[-1])["rows"],)
        wanted = wanted[:1]
    elif way.database == "postgresql":
        said = subprocess.run(
            ["psql", "-X", "-At", "-F", " ", "-d", job.plain_url, "-c", query],
            capture_output=True,
            check=True,
        )
        got = tuple(map(int, said.stdout.split()))
    else:
        database = job.folder / "stockgrip.db" if way.kind == "ours" else job.database
        with closing(sqlite3.connect(database)) as connection:
            got = connection.execute(query).fetchone()
    if got != wanted:
        sys.exit(f"{way.label}: {way.table} has (rows, units, cents) {got}, the file has {wanted}")


@contextlib.contextmanager
def postgresql(wanted: bool, url: str | None) -> Iterator[Any]:
    """A server of our own with its defaults for durability and 512 MB of buffers; or that of a URL; or none."""
    if not wanted or url:
        yield url
        return
    sys.path.append(str(Path(__file__).parents[1] / "tests"))  # whose server it is
    from support.postgres import Cluster, NoServerError  # noqa: PLC0415

    try:
        cluster = Cluster.make()
    except NoServerError as error:
        print(error, file=sys.stderr)
        yield None
        return
    try:
        cluster.stop()
        with (cluster.data / "postgresql.conf").open("a") as config:
            config.write("shared_buffers = '512MB'\nmax_wal_size = '4GB'\n")
        cluster.start()
        yield cluster.url("postgres").replace("+psycopg", "")
    finally:
        cluster.remove()


@contextlib.contextmanager
def database(server: str) -> Iterator[str]:
    """A new database on a server: its URL as SQLAlchemy writes it."""
    name = f"bench_{os.getpid()}"

    def say(*statements: str) -> None:
        options = [part for text in statements for part in ("-c", text)]
        subprocess.run(["psql", "-X", "-q", "-d", server, *options], check=True, stdout=subprocess.DEVNULL)

    say(f"CREATE DATABASE {name}", "CHECKPOINT")
    try:
        yield f"{server.rpartition('/')[0]}/{name}".replace("postgresql://", "postgresql+psycopg://")
    finally:
        say(f"DROP DATABASE {name} WITH (FORCE)")


def run_once(way: Way, rows: int, server: str | None) -> Finished:
    """Run a way with a new database, check what it loaded, and throw it away."""
    source, totals = sales_file(rows)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(measure.workspace())
        url = stack.enter_context(database(server)) if way.database == "postgresql" and server else ""
        job = Job(source, folder, url)
        source.read_bytes() if rows <= 1_000_000 else None  # in the page cache for all alike
        os.sync()
        finished = way.run(job)
        check(way, job, totals)
    if way.kind == "floor" and finished.work_seconds is not None:
        return replace(
            finished, seconds=finished.work_seconds
        )  # with the start of Python it would be no floor
    return finished


def fixed_costs() -> dict[str, Finished]:
    """What of the command does not depend on the rows: three runs of ours on one new folder."""
    tiny, _ = sales_file(1)
    with measure.workspace() as folder:
        job = Job(tiny, folder)
        found = {START_NEW: runners.drain(job), START: runners.drain(job)}
        copy = runners.place(job)
        copy.rename(folder / "live_feeds" / copy.name)
        found[ONE_ROW] = runners.drain(job)
    return found


def table_of(name: str, chosen: list[Way], runs: Runs, rows_of: dict[str, int]) -> results.Table:
    """The figures of one database, the fastest last."""
    measured = [way for way in chosen if way.database == name]
    base = MEASURE.get(name, "")
    against = f"x {base}" if base == "import" else f"x \\{base}" if base else "x"
    head = ["way", "rows", "seconds", "range", "work alone", "rows/s", against, "CPU s", "peak MB", "checks"]
    table = results.Table(DATABASES[name], head)

    def pace(key: str) -> float:
        return statistics.median(one.seconds for one in runs[key]) / rows_of[key]

    for way in sorted(measured, key=lambda way: pace(way.key) if way.key in runs else 1.0, reverse=True):
        hint = way.missing()
        if way.key not in runs:
            table.add(way.label, "", f"missing: {hint or 'a PostgreSQL server'}", *[""] * 7)
            continue
        took = runs[way.key]
        work = [one.work_seconds for one in took if one.work_seconds is not None]
        table.add(
            way.label,
            f"{rows_of[way.key]:,}",
            *results.spread([one.seconds for one in took]),
            f"{statistics.median(work):.2f}" if work else "",
            f"{1 / pace(way.key):,.0f}",
            f"{pace(way.key) / pace(base):.2f}" if base in runs else "",
            f"{statistics.median(one.cpu_seconds for one in took):.2f}",
            f"{max(one.peak_mb for one in took):.0f}",
            way.checks or "nothing",
        )
    return table


def fixed_table(runs: Runs) -> results.Table:
    """What of `stockgrip drain` is fixed, and what comes after the commit in the daemon."""
    table = results.Table("Of that, whatever the rows", ["", "seconds", "range", "CPU s", "peak MB"])
    for name in (START_NEW, START, ONE_ROW):
        if took := runs.get(name):
            cpu = statistics.median(one.cpu_seconds for one in took)
            peak = max(one.peak_mb for one in took)
            table.add(
                f"stockgrip drain: {name}",
                *results.spread([one.seconds for one in took]),
                f"{cpu:.2f}",
                f"{peak:.0f}",
            )
    for name, text in (
        ("filed", "until the file is filed"),
        ("followed", "until features and metrics have followed"),
    ):
        if took := [one.after[name] - one.seconds for one in runs.get("run", []) if name in one.after]:
            table.add(f"stockgrip run: after the commit, {text}", *results.spread(took), "", "")
    return table


def chosen_ways(only: str) -> list[Way]:
    """Those whose name, kind or database is one of the words; all without any. What they are compared with is among them."""
    words = {word.strip() for word in only.split(",") if word.strip()}
    known = {word for way in WAYS for word in (way.key, way.kind, way.database)}
    if unknown := words - known:
        sys.exit(
            f"--only does not know {', '.join(sorted(unknown))}; it knows {', '.join(sorted(known - {''}))}"
        )
    return [way for way in WAYS if not words or words & {way.key, way.kind, way.database}]


def parsed() -> argparse.Namespace:
    """What was asked."""
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the file (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each way (default: %(default)s)")
    parser.add_argument(
        "--only", default="", metavar="WORD,…", help="ways, kinds (ours, peer, floor) or databases"
    )
    parser.add_argument(
        "--quick", action="store_true", help="100 000 rows, one round, slow ways with a tenth of theirs"
    )
    parser.add_argument(
        "--postgres", metavar="URL", help="a server to use (default: one of its own, made for this)"
    )
    parser.add_argument("--name", default="load", help="of the files in build/bench (default: %(default)s)")
    asked = parser.parse_args()
    if asked.quick:
        asked.rows, asked.rounds = min(asked.rows, 100_000), 1
    return asked


def main() -> None:
    """Run the benchmark from the command line."""
    asked = parsed()
    chosen = chosen_ways(asked.only)
    slower = 10 if asked.quick else 1
    rows_of = {way.key: min(asked.rows, (way.most or asked.rows * slower) // slower) for way in chosen}
    there = [way for way in chosen if way.missing() is None]
    runs: Runs = {}
    with postgresql(any(way.database == "postgresql" for way in there), asked.postgres) as server:
        there = [way for way in there if way.database != "postgresql" or server]
        for rows in {1, *rows_of.values()}:
            sales_file(rows)
        with results.progress("load", asked.rounds * len(there)) as advance:
            for number in range(asked.rounds):
                turn = number * 5 % len(there) if there else 0
                for way in (*there[turn:], *there[:turn]):
                    advance(way.label, 0)
                    runs.setdefault(way.key, []).append(run_once(way, rows_of[way.key], server))
                    advance(way.label)
                if any(way.key == "drain" for way in there):
                    for name, finished in fixed_costs().items():
                        runs.setdefault(name, []).append(finished)
    found = {
        "rows": asked.rows,
        "versions": ways.versions(),
        "ways": {way.key: {**_told(way), "rows": rows_of[way.key]} for way in chosen},
        "runs": {key: [asdict(one) for one in took] for key, took in runs.items()},
    }
    tables = [
        table_of(name, chosen, runs, rows_of) for name in DATABASES if any(w.database == name for w in chosen)
    ]
    used = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    note = f"A file of {asked.rows:,} rows, {asked.rounds} round(s). {used}."
    results.write(asked.name, found, [*tables, fixed_table(runs)], note=note, plot="load")


def _told(way: Way) -> dict[str, Any]:
    return {name: getattr(way, name) for name in ("label", "kind", "database", "checks")}


if __name__ == "__main__":
    main()
