"""How long one large sales file takes: ``stockgrip drain`` beside ``sqlite3 .import`` and pandas.

    python -m benchmarks.load [--rows N] [--rounds 3] [--json]

Each round runs all of them once, each with a new database, so that a slow minute of the machine hits all alike. The
peers load text and check nothing; ours parses, checks every row, adds up the day and files the delivery away. Ours is
the time of the whole command: start, settle wait and end are in it, and shown beside it.
"""

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import measure
from benchmarks.measure import Finished

SEED = 1
IMPORT = "sqlite3 .import --csv"
PANDAS = "pandas read_csv, to_sql"
OURS = "stockgrip drain"
START_NEW = "  start, nothing waiting, new database"
START = "  start, nothing waiting"
ONE_ROW = "  start, one file of one row"
SETTINGS = {"STOCKGRIP_SETTLE__QUIET_SECONDS": "0.05"}


def sales_file(rows: int) -> tuple[Path, dict[str, int]]:
    """The benchmark's file of that many rows, made on first use, and its totals."""
    path = measure.BUILD / "load" / f"sales_{rows}.csv"
    totals = path.with_name(path.name + ".json")
    if not totals.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        maker: list[str | Path] = [
            sys.executable,
            "-m",
            "benchmarks.sales_file",
            path,
            "--rows",
            str(rows),
            "--seed",
            str(SEED),
        ]
        measure.must_run(maker, log=path.with_suffix(".log"))
    return path, json.loads(totals.read_text())


def check(database: Path, table: str, totals: dict[str, int]) -> None:
    """End the benchmark unless the table holds the file's rows, units and revenue.

    A number for a load that lost something is worth nothing.
    """
    query = f"SELECT COUNT(*), SUM(quantity_sold), SUM(CAST(ROUND(revenue * 100) AS INTEGER)) FROM {table}"
    with closing(sqlite3.connect(database)) as connection:
        got = connection.execute(query).fetchone()
    wanted = (totals["rows"], totals["units"], totals["revenue_cents"])
    if got != wanted:
        sys.exit(f"{database}: {table} has (rows, units, cents) {got}, the file has {wanted}")


def run_import(source: Path, folder: Path) -> Finished:
    """The SQLite shell's own import: C, all columns as text."""
    return measure.must_run(
        ["sqlite3", folder / "peer.db", "PRAGMA journal_mode=WAL", f'.import --csv "{source}" sales'],
        log=folder / "peer.log",
    )


def run_pandas(source: Path, folder: Path) -> Finished:
    """pandas, as `peer_pandas` says."""
    return measure.must_run(
        [sys.executable, "-m", "benchmarks.peer_pandas", source, folder / "peer.db"], log=folder / "peer.log"
    )


def run_ours(source: Path, folder: Path, day: str, expected_status: int = 0) -> Finished:
    """Drop the file into the inbox, complete at once, and drain it."""
    inbox = folder / "live_feeds"
    inbox.mkdir(exist_ok=True)
    arriving = folder / "arriving.csv"
    shutil.copyfile(source, arriving)
    os.sync()  # writing back the copy is not the daemon's work
    arriving.rename(inbox / f"sales_data_{day}.csv")
    return empty_drain(folder, expected_status)


def empty_drain(folder: Path, expected_status: int = 0) -> Finished:
    """Drain what is waiting in a folder, nothing perhaps."""
    log = folder.with_suffix(".log")
    finished = measure.drain(folder, f"sqlite:///{folder / 'stockgrip.db'}", log=log, env=SETTINGS)
    if finished.status != expected_status:
        measure.stop(f"stockgrip drain ended with status {finished.status}: no row of this file is bad", log)
    return finished


def one_round(source: Path, totals: dict[str, int], tiny: Path) -> dict[str, Finished]:
    """Run each way once, check what it loaded, and throw its database away."""
    results: dict[str, Finished] = {}
    peers: dict[str, Callable[[Path, Path], Finished]] = {IMPORT: run_import, PANDAS: run_pandas}
    for name, way in peers.items():
        with measure.workspace() as folder:
            os.sync()
            results[name] = way(source, folder)
            check(folder / "peer.db", "sales", totals)
    with measure.workspace() as folder:
        results[START_NEW] = empty_drain(folder)
        results[START] = empty_drain(folder)
        results[OURS] = run_ours(source, folder, "20250314")
        check(folder / "stockgrip.db", "live_sales_data", totals)
        results[ONE_ROW] = run_ours(tiny, folder, "20250315")
        folder.with_suffix(".log").unlink()
    return results


def report(rows: int, results: dict[str, list[Finished]]) -> Table:
    """The figures as a table."""
    table = Table(title=f"{rows:,} sales rows")
    for name in ("way", "seconds", "range", "rows/s", "x .import", "peak MB"):
        table.add_column(name, justify="left" if name == "way" else "right")
    base = statistics.median(f.seconds for f in results[IMPORT])
    for name in (IMPORT, PANDAS, OURS, START_NEW, START, ONE_ROW):
        seconds = [f.seconds for f in results[name]]
        median = statistics.median(seconds)
        whole = name in {IMPORT, PANDAS, OURS}
        table.add_row(
            name,
            f"{median:.2f}",
            f"{min(seconds):.2f}-{max(seconds):.2f}",
            f"{rows / median:,.0f}" if whole else "",
            f"{median / base:.2f}" if whole else "",
            f"{max(f.peak_mb for f in results[name]):.0f}",
        )
    return table


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the file (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each way (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print every run as JSON")
    args = parser.parse_args()
    if shutil.which("sqlite3") is None:
        parser.error(
            "the sqlite3 shell is not installed; it is the measure here (Debian: apt install sqlite3)"
        )
    source, totals = sales_file(args.rows)
    tiny, _ = sales_file(1)

    results: dict[str, list[Finished]] = {}
    for number in range(1, args.rounds + 1):
        for name, finished in one_round(source, totals, tiny).items():
            results.setdefault(name, []).append(finished)
        if sys.stderr.isatty():
            print(f"round {number} of {args.rounds} done", file=sys.stderr)
    if args.json:
        runs = {name.strip(): [vars(f) for f in all_runs] for name, all_runs in results.items()}
        print(json.dumps({"rows": args.rows, "bytes": source.stat().st_size, "runs": runs}, indent=1))
    else:
        Console().print(report(args.rows, results))


if __name__ == "__main__":
    main()
