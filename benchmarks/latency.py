"""How long a small file takes from its arrival to its commit, in a running daemon.

    python -m benchmarks.latency [--files 300] [--rows 100]

A daemon (a process of its own, inotify, SQLite, defaults) is ready. A file is renamed into ``live_feeds/``, and the clock runs until
the daemon's log says that it is loaded, which it says after the commit. Three times:

- at rest: the next file comes when all that follows the last one is done; no quiet period;
- a stream: files come at random moments, some ten a second, whatever the daemon is at; no quiet period;
- a stream with the default quiet period, which is taken off: a file must have lain still so long.

The processor's work is that of the whole daemon, with what follows a file: others on the machine change it little.
"""

import argparse
import random
import statistics
import time
from pathlib import Path

from benchmarks import measure, results, running, small_files
from benchmarks.running import Daemon

WARM = 5
"""Files before the first that counts: what is needed only once is loaded then."""
QUIET = 2.0
"""The default of ``settle.quiet_seconds``."""


def at_rest(daemon: Daemon, files: list[Path], advance: object) -> list[float]:
    """Seconds for each file, one after the other."""
    took = []
    for number, file in enumerate(files):
        at = daemon.drop(file)
        took.append(daemon.wait_loaded(number + 1, 60)[number].at - at)
        daemon.wait_done(60, every=0.002)
        advance()  # type: ignore[operator]
    return took


def stream(daemon: Daemon, files: list[Path], advance: object) -> list[float]:
    """Seconds for each file, which come at random moments."""
    rng = random.Random(3)
    dropped: dict[str, float] = {}
    due = time.perf_counter()
    for file in files:
        due += rng.expovariate(10.0)
        time.sleep(max(0.0, due - time.perf_counter()))
        dropped[file.name] = daemon.drop(file)
        advance()  # type: ignore[operator]
    return [said.at - dropped[said.line["file"]] for said in daemon.wait_loaded(len(files), 120)]


WAYS = {
    "at rest": (at_rest, 0.0),
    "a stream": (stream, 0.0),
    f"a stream, quiet period of {QUIET:g} s taken off": (stream, QUIET),
}


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.latency",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--rows", type=int, default=100, help="in each file (default: %(default)s)")
    asked = parser.parse_args()
    found: dict[str, list[float]] = {}
    cpu: dict[str, float] = {}
    table = results.Table(
        f"Rename to commit of {asked.files} files of {asked.rows} rows, milliseconds",
        ["", "median", "90 %", "99 %", "longest", "processor, a file"],
    )
    with results.progress("latency", len(WAYS) * (asked.files + WARM)) as advance:
        for name, (way, quiet) in WAYS.items():
            with measure.workspace() as folder:
                made = small_files.make(folder / "made", asked.files + WARM, asked.rows)
                with running.daemon(folder / "data", {"settle.quiet_seconds": quiet}) as daemon:
                    daemon.wait_ready()
                    daemon.wait_done(30)
                    worked = daemon.cpu_seconds()
                    took = [1_000 * (seconds - quiet) for seconds in way(daemon, made.files, advance)]
                    cpu[name] = 1_000 * (daemon.cpu_seconds() - worked) / len(made.files)
                    rows = daemon.ask("SELECT COUNT(*) FROM live_sales_data")
                    if rows != (made.rows,):
                        raise SystemExit(f"the database has {rows} rows, the files {made.rows}")
            found[name] = took[WARM:]
            figures = [
                statistics.median(found[name]),
                *(results.percentile(found[name], p) for p in (0.9, 0.99)),
            ]
            table.add(name, *(f"{figure:.1f}" for figure in (*figures, max(found[name]), cpu[name])))
    results.write(
        "latency",
        {"files": asked.files, "rows": asked.rows, "milliseconds": found, "cpu_milliseconds": cpu},
        [table],
        plot="latency",
    )


if __name__ == "__main__":
    main()
