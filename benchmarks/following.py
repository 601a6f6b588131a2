"""What follows a delivery, against history: features, quality metrics and alerts of one file of 10 000 rows.

    python -m benchmarks.following [--millions 1 10] [--rounds 5] [--json]

The history is made once for each size and kept in build/: 100 days for each million rows, 5 000 products, four channels,
loaded like any other file. A round then loads two files of 10 000 rows that touch 2 000 products: one more of the newest day,
and the first of the next day, after which the day before is closed and every product moves on. What is timed is all that is
done after the commit, in this process, on SQLite with its defaults.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv
from rich.console import Console
from rich.table import Table

from benchmarks import measure
from daemon import logs
from daemon.after import features, quality
from daemon.config import load_settings
from daemon.service import Service
from daemon.store import Store

PRODUCTS = 5_000
TOUCHED = 2_000
ROWS = 10_000
DAYS_PER_MILLION = 100
FIRST = date(2023, 1, 2)
CHANNELS = np.array(["online", "pos", "marketplace", "wholesale"])


@dataclass(frozen=True)
class Took:
    """What followed one file, in milliseconds.

    Attributes:
        features: of the touched products.
        quality: metrics and alerts of the days that the file touched.
        rest: products that it did not touch, when a new day began.
        cpu: of features and quality, what the processor worked: less than what they took, if others work beside them.
    """

    features: float
    quality: float
    rest: float
    cpu: float


def sales(rng: np.random.Generator, day: date, rows: int, products: int) -> pa.Table:
    """Sales of some products of one day."""
    minute = rng.integers(8 * 60, 20 * 60, rows).astype("timedelta64[m]")
    quantity = 1 + rng.poisson(1.5, rows)
    product = rng.permutation(PRODUCTS)[:products][rng.integers(0, products, rows)]
    return pa.table(
        {
            "date": pa.array((np.datetime64(day, "s") + minute).astype("datetime64[s]").astype(str)),
            "product_id": pa.array(np.char.add("PER-", np.char.zfill(product.astype(str), 4))),
            "channel": pa.array(CHANNELS[rng.integers(0, 4, rows)]),
            "quantity_sold": quantity,
            "revenue": np.round(quantity * (1 + product % 50) * 1.05, 2),
        }
    )


@contextmanager
def site(folder: Path) -> Iterator[Service]:
    """A service on a folder; nothing follows its deliveries unless asked."""
    settings = load_settings(None, {}).model_copy(update={"data_dir": folder})
    settings = settings.model_copy(
        update={"settle": settings.settle.model_copy(update={"quiet_seconds": 0.0})}
    )
    store = Store.open(settings.database_url)
    service = Service(settings, store)
    service.folders.make()
    try:
        yield service
    finally:
        service.close()
        store.close()


def load(service: Service, name: str, rows: pa.Table) -> None:
    """Loads a file and nothing more."""
    path = service.folders.inbox / name
    csv.write_csv(rows, path)
    following, service.after = service.after, Nothing(service.store, service.settings)
    service.drain()
    service.after = following
    if path.exists() or service.summary.refused or service.summary.partial:
        sys.exit(f"{name} was not loaded whole")


class Nothing:
    """Stands in for the steps after a delivery while they are not wanted."""

    def __init__(self, *_: object) -> None:
        pass

    def run(self, *_: object) -> None:
        """Does nothing."""


def history(service: Service, millions: int) -> date:
    """Makes the history if it is not there; its newest day."""
    rng = np.random.default_rng(7)
    last = FIRST + timedelta(days=millions * DAYS_PER_MILLION - 1)
    per_day = 1_000_000 // DAYS_PER_MILLION
    for part in range(millions):
        first = FIRST + timedelta(days=part * DAYS_PER_MILLION)
        days = [sales(rng, first + timedelta(days=n), per_day, TOUCHED) for n in range(DAYS_PER_MILLION)]
        load(service, f"sales_data_{first:%Y%m%d}_history.csv", pa.concat_tables(days))
    service.after.run()
    return last


def follow(service: Service) -> Took:
    """Does what is due, and times it."""
    store, settings = service.store, service.settings

    def until_done(step: object) -> float:
        begun = time.perf_counter()
        while step(store, settings):  # type: ignore[operator]
            pass
        return (time.perf_counter() - begun) * 1_000

    worked = time.process_time()
    features_took, quality_took = until_done(features.advance), until_done(quality.judge)
    cpu = (time.process_time() - worked) * 1_000
    return Took(features_took, quality_took, until_done(features.move_on), cpu)


def measured(millions: int, rounds: int) -> dict[str, list[Took]]:
    """The rounds of one size of history."""
    found: dict[str, list[Took]] = {"one more of the day": [], "first of a day": []}
    with measure.workspace() as folder, site(folder) as service:
        day = history(service, millions)
        rng = np.random.default_rng(11)
        for turn in range(rounds):
            for name, took in found.items():
                day += timedelta(days=name == "first of a day")
                load(service, f"sales_data_{day:%Y%m%d}_{turn}.csv", sales(rng, day, ROWS, TOUCHED))
                took.append(follow(service))
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--millions", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    logs.configure("error", "console")
    results = {millions: measured(millions, asked.rounds) for millions in asked.millions}
    logs.shutdown()
    if asked.json:
        plain = {m: {k: [asdict(t) for t in v] for k, v in found.items()} for m, found in results.items()}
        print(json.dumps(plain))
        return
    table = Table(
        "history, million rows",
        "file",
        "features",
        "quality",
        "together",
        "of that, CPU",
        "rest of the day",
        title="milliseconds, median",
    )
    for millions, found in results.items():
        for name, took in found.items():
            figures = [
                [t.features for t in took],
                [t.quality for t in took],
                [t.features + t.quality for t in took],
                [t.cpu for t in took],
                [t.rest for t in took],
            ]
            table.add_row(str(millions), name, *(f"{statistics.median(f):.0f}" for f in figures))
    Console().print(table)


if __name__ == "__main__":
    main()
