"""Many small files at once: how fast the running daemon takes them, and what follows.

    python -m benchmarks.burst [--files 2000] [--rows 100] [--days 1] [--rounds 3]

A daemon (a process of its own, SQLite, defaults but for the quiet period, which is 0) is ready; then all files are renamed
into ``live_feeds/`` one right after the other. Timed from the first rename: to the commit of the last file, until the last file
lies in the archive, and until the features, metrics and alerts of all of them have followed. Each round has a new database.
"""

import argparse
import statistics
import time
from pathlib import Path

from benchmarks import measure, results, running, small_files


def one_round(
    folder: Path, files: int, rows: int, days: int, settings: dict[str, object]
) -> dict[str, float]:
    """A burst into a daemon that has just started; checked."""
    made = small_files.make(folder / "made", files, rows, days=days)
    with running.daemon(folder / "data", {"settle.quiet_seconds": 0, **settings}) as daemon:
        daemon.wait_ready()
        daemon.wait_done(30)
        worked = daemon.cpu_seconds()
        begun = time.perf_counter()
        for file in made.files:
            daemon.drop(file)
        dropped = time.perf_counter()
        loaded = daemon.wait_loaded(files, 1_800)
        filed, followed = daemon.wait_done(1_800)
        cpu = daemon.cpu_seconds() - worked
        found = daemon.ask("SELECT COUNT(*), SUM(quantity_sold) FROM live_sales_data")
        entries = daemon.ask("SELECT COUNT(*) FROM data_ingestion_log WHERE status = 'success'")
        if found != (made.rows, made.units) or entries != (files,):
            raise SystemExit(
                f"the database has {found} in {entries} deliveries, the files {made.rows, made.units}"
            )
        return {
            "dropping": dropped - begun,
            "committed": loaded[files - 1].at - begun,
            "filed": filed - begun,
            "followed": followed - begun,
            "cpu": cpu,
            "peak_mb": daemon.memory_mb("VmHWM"),
        }


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.burst",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--rows", type=int, default=100, help="in each file (default: %(default)s)")
    parser.add_argument(
        "--days", type=int, default=1, help="business days they are of (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the daemon"
    )
    asked = parser.parse_args()
    settings: dict[str, object] = dict(text.split("=", 1) for text in asked.set)

    rounds = []
    with results.progress("burst", asked.rounds) as advance:
        for _ in range(asked.rounds):
            with measure.workspace() as folder:
                rounds.append(one_round(folder, asked.files, asked.rows, asked.days, settings))
            advance()
    table = results.Table(
        f"{asked.files:,} files of {asked.rows} rows at once, {asked.days} day(s)",
        ["", "seconds", "range", "files/s"],
    )
    told = {
        "the last is committed": "committed",
        "the last is filed": "filed",
        "all has followed": "followed",
    }
    for text, key in told.items():
        took = [one[key] for one in rounds]
        table.add(text, *results.spread(took), f"{asked.files / statistics.median(took):,.0f}")
    table.add("processor", *results.spread([one["cpu"] for one in rounds]), "")
    table.add("peak memory, MB", *results.spread([one["peak_mb"] for one in rounds], digits=0), "")
    results.write(
        "burst", {"files": asked.files, "rows": asked.rows, "days": asked.days, "rounds": rounds}, [table]
    )


if __name__ == "__main__":
    main()
