"""Many files that wait: what finding them, and looking at them again, costs.

    python -m benchmarks.waiting [--files 1000 10000 100000] [--load 500]

So many files of one row lie in ``live_feeds/`` when a daemon (a process of its own, SQLite, defaults) starts. First with a quiet period of an
hour, so that all of them wait: the processor's work until it is ready, and that for one more full look (asked for by SIGUSR1).
Then without a quiet period: the wall time until it has loaded the first, and the rate of the next ones up to ``--load``, after which it
is stopped. Cost for a thousand files must not depend on how many wait.
"""

import argparse
import signal
import time
from pathlib import Path

from benchmarks import measure, results, running

HEADER = "date,product_id,channel,quantity_sold,revenue\n"
HOUR = 3_600


def lay(inbox: Path, files: int) -> None:
    """Puts files of one row each into the inbox."""
    inbox.mkdir(parents=True)
    for number in range(files):
        row = f"2025-03-14T10:00:00,P{number % 5_000:05d},pos,1,{1 + number / 100:.2f}\n"
        (inbox / f"sales_data_20250314_w{number:06d}.csv").write_text(HEADER + row)


def finding(folder: Path) -> tuple[float, float, float]:
    """Processor seconds until READY, wall seconds until READY, processor seconds of one more full look."""
    with running.daemon(folder, {"settle.quiet_seconds": HOUR, "settle.scan_seconds": HOUR}) as daemon:
        ready = daemon.wait_ready(600)
        started = daemon.cpu_seconds()
        before = _rest(daemon)
        daemon.process.send_signal(signal.SIGUSR1)
        time.sleep(0.2)
        return started, ready, _rest(daemon) - before


def _rest(daemon: running.Daemon) -> float:
    """Waits until it does nothing, and gives the processor seconds so far."""
    before = -1.0
    while (now := daemon.cpu_seconds()) - before > 0.02:
        before = now
        time.sleep(0.5)
    return now


def loading(folder: Path, files: int) -> tuple[float, float]:
    """Seconds from the start to the first commit; seconds for each of the next ones."""
    with running.daemon(folder, {"settle.quiet_seconds": 0}) as daemon:
        said = daemon.wait_loaded(files, 900)
        return said[0].at - daemon.started, (said[files - 1].at - said[0].at) / (files - 1)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.waiting",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--files", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument(
        "--load", type=int, default=500, help="files that are loaded of them (default: %(default)s)"
    )
    asked = parser.parse_args()
    start, look = "until READY, less an empty start", "one more full look"
    costs: dict[str, dict[int, list[float]]] = {start: {}, look: {}}
    table = results.Table(
        "Files of one row that wait at the start",
        [
            "files",
            "READY, s",
            "processor until READY, s",
            "a full look, s",
            "first commit, s",
            "each of the next, ms",
        ],
    )
    rows = {}
    with results.progress("waiting", 2 * len(asked.files) + 1) as advance, measure.workspace() as folder:
        (folder / "0" / "live_feeds").mkdir(parents=True)
        empty, _, _ = finding(folder / "0")
        advance()
        for files in asked.files:
            advance(f"{files:,} files", 0)
            lay(folder / str(files) / "live_feeds", files)
            cpu, ready, again = finding(folder / str(files))
            advance(f"{files:,} files, loading", 1)
            to_first, per_file = loading(folder / str(files), min(asked.load, files))
            advance()
            if files >= 10_000:  # of fewer it is less than two starts differ by
                costs[start][files] = [1e6 * (cpu - empty) / files]
            costs[look][files] = [1e6 * again / files]
            rows[files] = {"ready": ready, "cpu": cpu, "look": again, "first": to_first, "each": per_file}
            table.add(
                f"{files:,}",
                f"{ready:.2f}",
                f"{cpu:.2f}",
                f"{again:.2f}",
                f"{to_first:.2f}",
                f"{1_000 * per_file:.1f}",
            )
    found = {"files": asked.files, "empty_cpu": empty, "runs": rows, "milliseconds_a_thousand": costs}
    results.write("waiting", found, [table], note=f"An empty start works {empty:.2f} s.", plot="waiting")


if __name__ == "__main__":
    main()
