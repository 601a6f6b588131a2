"""What the daemon costs when there is nothing to do: its start, and then a minute of waiting.

    python -m benchmarks.idle [--seconds 60] [--rounds 5]

Processes of their own, inotify, SQLite, defaults. The start is timed from the creation of the process until it says that it is ready, which
is when it tells systemd; its compiled code is there. The share of a processor and the memory are those of a daemon that has just
started, and of one that has loaded a hundred small files and a file of 200 000 rows before.
"""

import argparse
import statistics
import time
from pathlib import Path

from benchmarks import load, measure, results, running, small_files
from benchmarks.running import Daemon


def start_seconds(folder: Path) -> float:
    """From the process to READY."""
    with running.daemon(folder, {}) as daemon:
        return daemon.wait_ready()


def watched(daemon: Daemon, seconds: float) -> dict[str, float]:
    """A while of waiting: the share of one processor in per cent, memory in MB."""
    time.sleep(5)  # what a start, or a load, leaves to be done a little later
    worked, begun = daemon.cpu_seconds(), time.perf_counter()
    time.sleep(seconds)
    share = (daemon.cpu_seconds() - worked) / (time.perf_counter() - begun)
    return {"cpu_percent": 100 * share, "rss_mb": daemon.memory_mb()}


def give_work(daemon: Daemon, folder: Path) -> None:
    """Some small files and one that is not."""
    made = small_files.make(folder / "made", 100)
    for file in made.files:
        daemon.drop(file)
    source, _ = load.sales_file(200_000)
    copy = folder / "sales_data_20250315.csv"
    copy.write_bytes(source.read_bytes())
    daemon.drop(copy)
    daemon.wait_loaded(101, 300)
    daemon.wait_done(300)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.idle",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="of waiting (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="starts (default: %(default)s)")
    asked = parser.parse_args()
    with results.progress("idle", 2 * asked.rounds + 2) as advance, measure.workspace() as folder:
        new = []
        for number in range(asked.rounds):
            advance("start with a new database", 0)
            new.append(start_seconds(folder / str(number)))
            advance()
        again = []
        for _ in range(asked.rounds):
            advance("start with a database", 0)
            again.append(start_seconds(folder / "0"))
            advance()
        with running.daemon(folder / "0", {}) as daemon:
            daemon.wait_ready()
            advance("waiting", 0)
            fresh = watched(daemon, asked.seconds)
            advance("work", 1)
            give_work(daemon, folder)
            used = watched(daemon, asked.seconds)
            advance()
    table = results.Table("A daemon with nothing to do", ["", "median", "range"])
    table.add("start to READY, new database, seconds", *results.spread(new))
    table.add("start to READY, seconds", *results.spread(again))
    for text, one in (("after its start", fresh), ("after some work", used)):
        table.add(
            f"{text}: share of one processor, %", f"{one['cpu_percent']:.2f}", f"over {asked.seconds:g} s"
        )
        table.add(f"{text}: resident memory, MB", f"{one['rss_mb']:.0f}", "")
    found = {"start_new": new, "start": again, "fresh": fresh, "used": used, "seconds": asked.seconds}
    results.write("idle", found, [table])
    print(f"start to READY, median {statistics.median(again):.2f} s")


if __name__ == "__main__":
    main()
