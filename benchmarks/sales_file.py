"""Write one business day of made-up sales, as large as wanted: the same seed gives the same bytes.

    python -m benchmarks.sales_file PATH [--rows N] [--seed S]

Eight columns, 5 000 products, four channels, about 61 bytes a row. Beside the file stands PATH.json with its totals.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

CHUNK = 500_000
"""Rows made at a time: bounds the memory, whatever the size of the file."""

PRODUCTS = 5_000
DAY = np.datetime64("2025-03-14", "s")
CHANNELS = ["online", "pos", "marketplace", "wholesale"]
SEGMENTS = ["regular", "premium", "budget"]
PROMOTIONS = ["", "WINTER20", "SPRING10"]
FULFILMENTS = ["warehouse", "store_pickup", "dropship"]


def sales(rng: np.random.Generator, rows: int) -> tuple[pa.Table, int, int]:
    """Make some rows of sales.

    Args:
        rng: where chance comes from.
        rows: how many.

    Returns:
        The rows as they stand in the file, their units, and their revenue in cents.
    """

    def pick(words: list[str], shares: list[float]) -> np.ndarray:
        return np.array(words)[rng.choice(len(words), size=rows, p=shares)]

    product = rng.zipf(1.3, size=rows) % PRODUCTS  # few products sell much, most sell a little
    quantity = 1 + rng.poisson(1.5, size=rows)
    cents = quantity * (99 + 37 * product % 2_900)
    moments = DAY + rng.integers(0, 86_400, size=rows)
    columns: dict[str, Any] = {
        "date": pc.strftime(pa.array(moments, pa.timestamp("s")), format="%Y-%m-%dT%H:%M:%S"),
        "product_id": np.array([f"P{n:05d}" for n in range(PRODUCTS)])[product],
        "channel": pick(CHANNELS, [0.3, 0.55, 0.1, 0.05]),
        "quantity_sold": quantity,
        # a text without a detour over float: 12345 cents are "123.45"
        "revenue": [f"{n // 100}.{n % 100:02d}" for n in cents.tolist()],
        "customer_segment": pick(SEGMENTS, [0.6, 0.25, 0.15]),
        "promotion_code": pick(PROMOTIONS, [0.8, 0.12, 0.08]),
        "fulfillment_method": pick(FULFILMENTS, [0.6, 0.3, 0.1]),
    }
    return pa.table(columns), int(quantity.sum()), int(cents.sum())


def write(path: Path, rows: int, seed: int) -> None:
    """Write the file and, last, its totals (``rows``, ``units``, ``revenue_cents``) as PATH.json."""
    rng = np.random.default_rng(seed)
    totals = {"rows": rows, "units": 0, "revenue_cents": 0}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        for start in range(0, rows, CHUNK):
            table, units, cents = sales(rng, min(CHUNK, rows - start))
            if start == 0:
                out.write((",".join(table.column_names) + "\n").encode())
            csv.write_csv(table, out, csv.WriteOptions(include_header=False, quoting_style="none"))
            totals["units"] += units
            totals["revenue_cents"] += cents
    path.with_name(path.name + ".json").write_text(json.dumps(totals))


def main() -> None:
    """Write the file from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sales_file")
    parser.add_argument("path", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    write(args.path, args.rows, args.seed)


if __name__ == "__main__":
    main()
