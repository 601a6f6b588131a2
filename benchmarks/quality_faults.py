"""A day's real file with one fault at a time, as it arrives."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from benchmarks.quality_year import Lines, Year


@dataclass(frozen=True)
class Fault:
    """What arrives of a day, and the same lines for the plain formulas.

    Attributes:
        files: suffix after the date, and rows.
        lines: all that would be loaded.
    """

    files: dict[str, pa.Table]
    lines: Lines


def faults(year: Year, n: int, rows: pa.Table) -> Iterator[tuple[str, Fault]]:
    """One day with each fault; ``rows`` is its file as text."""
    chance, lines, when = np.random.default_rng(n), year.lines[n], year.dates[n]
    count = len(lines.product)

    def some(kept: np.ndarray) -> Fault:
        return Fault({"": rows.filter(pa.array(kept))}, lines.where(kept))

    def dearer(factor: np.ndarray) -> Fault:
        cents = pc.multiply(pc.cast(rows["revenue"], pa.float64()), pa.array(factor.astype(float)))
        written = pa.array([f"{value:.2f}" for value in cents.to_pylist()])
        changed = rows.set_column(rows.schema.get_field_index("revenue"), "revenue", written)
        return Fault({"": changed}, Lines(lines.product, lines.place, lines.units, lines.revenue * factor))

    yield "nothing wrong", Fault({"": rows}, lines)
    yield "a fifth of the lines lost", some(chance.random(count) >= 0.2)
    busy = np.argsort(-year.busy(n))[:20]
    gone = int(chance.choice(busy))
    yield "a busy store missing", some(lines.place != gone)
    yield "prices x100", dearer(np.full(count, 100))
    yield "prices x100, 1 product in 20", dearer(np.where(lines.product % 20 == n % 20, 100, 1))
    both = np.r_[np.arange(count), np.arange(count)]
    twice = {"": rows, "_again": rows.take(pa.array(np.arange(count)[::-1]))}
    yield "delivered twice, two sources", Fault(twice, lines.where(both))
    yield "all lines twice in one file", Fault({"": rows.take(pa.array(both))}, lines.where(both))
    if when.day != when.month:
        dates = rows["date"].to_pylist()
        swapped = pa.array([f"{each[:4]}-{each[8:10]}-{each[5:7]}{each[10:]}" for each in dates])
        kind = "DD/MM, lands elsewhere" if when.day <= 12 else "DD/MM, no such date"
        flipped = {"": rows.set_column(rows.schema.get_field_index("date"), "date", swapped)}
        yield kind, Fault(flipped, lines.where(np.zeros(count, bool)))


def read_text(path: Path) -> pa.Table:
    """A file's cells as they are written."""
    names = path.open().readline().strip().split(",")
    return csv.read_csv(
        path, convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    )
