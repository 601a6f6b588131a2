"""Whether the cost grows: of a file with the history before it, of a row with the size of its file. Both should be flat.

    python -m benchmarks.growth [--millions 0 1 10] [--sizes 1000 10000 100000 1000000] [--rounds 5]
    python -m benchmarks.growth --millions 0 1 10 50 --sizes 1000 10000 100000 1000000 10000000

In this process, on SQLite with its defaults. History is loaded like any other file, 100 days for each million rows; after each size a
few files come that are one more of the newest day: of 10 000 rows and 2 000 products, and of 100 rows. Timed is their delivery,
from the claim until they are filed, and apart from it what follows: features, metrics and alerts. For the size of files each
file gets a new database, and only its delivery counts.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from benchmarks import following, measure, results
from benchmarks.load import sales_file
from daemon import logs
from daemon.service import Service

SMALL = 100
CPU, WRITTEN = "processor", "MB written"
LOADING, FOLLOWING, LITTLE = "loading it", "what follows it", f"loading one of {SMALL} rows"
TIMED, PARTS = (LOADING, FOLLOWING, LITTLE), (LOADING, CPU, WRITTEN, FOLLOWING, LITTLE)


def deliver(service: Service, name: str) -> float:
    """Takes a file that lies in the inbox to its end; milliseconds."""
    service.inbox.scan()
    begun = time.perf_counter()
    taken = service.carrier.deliver(name, patient=False)
    took = (time.perf_counter() - begun) * 1_000
    if not taken or service.summary.loaded != service.summary.deliveries:
        raise SystemExit(f"{name} was not loaded whole")
    return took


def written_mb() -> float:
    """What this process has given to write(2) so far, MB of 10^6 bytes."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar")) / 1e6


def put(service: Service, name: str, rows: pa.Table) -> str:
    """Writes a file into the inbox."""
    csv.write_csv(rows, service.folders.inbox / name)
    return name


def extend(service: Service, million: int) -> date:
    """Loads one more million rows of history, 10 000 for each of 100 days; the newest of them."""
    rng = np.random.default_rng(1_000 + million)
    first = following.FIRST + timedelta(days=million * following.DAYS_PER_MILLION)
    days = [first + timedelta(days=n) for n in range(following.DAYS_PER_MILLION)]
    rows = [following.sales(rng, day, 1_000_000 // len(days), following.TOUCHED) for day in days]
    deliver(service, put(service, f"sales_data_{first:%Y%m%d}_history.csv", pa.concat_tables(rows)))
    service.after.run()
    return days[-1]


def against_history(
    millions: list[int], rounds: int, advance: Callable[..., None]
) -> tuple[dict[str, dict[int, list[float]]], dict[int, float]]:
    """Milliseconds of each part, for each size of history in rows; and megabytes of its database."""
    megabytes: dict[int, float] = {}
    found: dict[str, dict[int, list[float]]] = {name: {} for name in PARTS}
    rng = np.random.default_rng(11)
    with measure.workspace() as folder, following.site(folder) as service:
        newest, loaded = following.FIRST - timedelta(days=1), 0
        for upto in sorted(millions):
            for loaded in range(loaded, upto):  # noqa: B020  (it goes on where it was)
                advance(f"{upto:,} million rows of history", 0)
                newest = extend(service, loaded)
            loaded = upto
            megabytes[upto * 1_000_000] = (folder / "stockgrip.db").stat().st_size / 1e6
            for turn in range(-1, rounds):  # the first one warms up: after a history other pages are cached
                took = measured(service, rng, newest, turn + 1)
                for name, milliseconds in took.items():
                    if turn >= 0:
                        found[name].setdefault(upto * 1_000_000, []).append(milliseconds)
                advance(f"{upto:,} million rows of history", turn >= 0)
    return found, megabytes


def measured(service: Service, rng: np.random.Generator, day: date, turn: int) -> dict[str, float]:
    """One file of 10 000 rows and one of 100, both of a day that has data."""
    rows = following.sales(rng, day, following.ROWS, following.TOUCHED)
    name = put(service, f"sales_data_{day:%Y%m%d}_large{turn}.csv", rows)
    worked, wrote = time.process_time(), written_mb()
    took = {LOADING: deliver(service, name)}
    took |= {CPU: (time.process_time() - worked) * 1_000, WRITTEN: written_mb() - wrote}
    begun = time.perf_counter()
    service.after.run()
    took[FOLLOWING] = (time.perf_counter() - begun) * 1_000
    rows = following.sales(rng, day, SMALL, SMALL)
    took[LITTLE] = deliver(service, put(service, f"sales_data_{day:%Y%m%d}_small{turn}.csv", rows))
    service.after.run()
    return took


def against_size(
    sizes: list[int], rounds: int, advance: Callable[..., None]
) -> tuple[dict[int, list[float]], list[float]]:
    """Microseconds for a row of a file of each size; milliseconds of a file of one row, which is what each file costs."""
    found: dict[int, list[float]] = {}
    fixed = []
    rng = np.random.default_rng(5)
    for _ in range(rounds):
        for size in sizes:
            if size >= 10_000_000 and size in found:
                continue  # once is enough: it takes half a minute
            advance(f"a file of {size:,} rows", 0)
            with measure.workspace() as folder, following.site(folder) as service:
                source, _ = sales_file(size)
                warm = following.sales(rng, date(2025, 3, 13), SMALL, SMALL)
                deliver(service, put(service, "sales_data_20250313.csv", warm))
                one = following.sales(rng, date(2025, 3, 13), 1, 1)
                fixed.append(deliver(service, put(service, "sales_data_20250313_one.csv", one)))
                copy = folder / "sales_data_20250314.csv"
                copy.write_bytes(source.read_bytes())
                copy.rename(service.folders.inbox / copy.name)
                found.setdefault(size, []).append(1_000 * deliver(service, copy.name) / size)
            advance(f"a file of {size:,} rows")
    return found, fixed


def tables(
    history: dict[str, dict[int, list[float]]],
    size: dict[int, list[float]],
    fixed: list[float],
    megabytes: dict[int, float],
) -> list[results.Table]:
    """Medians and ranges."""
    first = results.Table(
        f"A file of {following.ROWS:,} rows against history, milliseconds; processor and MB written are those of loading it",
        [
            "rows in history",
            *(cell for name in history for cell in ((name, "range") if name in TIMED else (name,))),
            "database, MB",
        ],
    )
    for rows in next(iter(history.values())):
        cells = [(name, results.spread(took[rows], 1)) for name, took in history.items()]
        shown = (text for name, both in cells for text in (both if name in TIMED else both[:1]))
        first.add(f"{rows:,}", *shown, f"{megabytes[rows]:,.0f}")
    each = statistics.median(fixed) if fixed else 0.0
    second = results.Table(
        f"A row against the size of its file; a file of one row takes {each:.1f} ms",
        ["rows in the file", "microseconds a row", "range", "without what each file costs"],
    )
    for rows, took in size.items():
        second.add(f"{rows:,}", *results.spread(took), f"{statistics.median(took) - 1_000 * each / rows:.2f}")
    return [first, second]


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--millions", type=int, nargs="*", default=[0, 1, 10], help="of rows in the history")
    parser.add_argument(
        "--sizes", type=int, nargs="*", default=[10**n for n in range(3, 7)], help="rows of a file"
    )
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    logs.configure("error", "console")
    steps = asked.rounds * (len(asked.millions) + len(asked.sizes))
    with results.progress("growth", steps) as advance:
        size, fixed = against_size(asked.sizes, asked.rounds, advance)
        history, megabytes = against_history(asked.millions, asked.rounds, advance)
    logs.shutdown()
    found = {
        "history": {
            "rows": [n * 1_000_000 for n in sorted(asked.millions)],
            "file_rows": following.ROWS,
            "milliseconds": {name: history[name] for name in TIMED},
            "processor_milliseconds": history[CPU],
            "written_mb": history[WRITTEN],
            "database_mb": megabytes,
        },
        "size": {"rows": asked.sizes, "microseconds_a_row": size, "file_milliseconds": fixed},
    }
    results.write("growth", found, tables(history, size, fixed, megabytes), plot="growth")
    worst = {
        name: max(map(statistics.median, took.values())) / min(map(statistics.median, took.values()))
        for name, took in history.items()
        if took
    }
    print("dearest / cheapest history: " + ", ".join(f"{name} {ratio:.2f}" for name, ratio in worst.items()))


if __name__ == "__main__":
    main()
