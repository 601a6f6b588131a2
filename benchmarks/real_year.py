"""Run a retailer's real year through the daemon, and compare the database with the source to the cent.

    python -m benchmarks.real_year [--database URL] [--timezone ZONE] [--transaction-ids] [--days N]
                                   [--keep DIR] [--json]

Makes the feed files with `benchmarks.completejourney` (kept in build/ for the next time), moves them into
``live_feeds/``, runs ``stockgrip drain``, and compares, day by day: rows, units and revenue in ``live_sales_data``; rows,
units, revenue, promotion units and keys in ``sales_daily``; rejects by column and reason; and the ledger. Exit status 1
on any difference.
"""

import argparse
import json
import os
import shutil
import sys
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import facts, measure


def feeds(zone: str, *, transaction_ids: bool) -> tuple[Path, dict[str, dict[str, Any]]]:
    """The folder of the year's feed files, made on first use, and the expected figures of each day."""
    home = measure.BUILD / "completejourney" / (zone.replace("/", "_") + "-ids" * transaction_ids)
    expected = home / "expected.json"
    converter = Path(__file__).with_name("completejourney.py")
    if not expected.exists() or expected.stat().st_mtime < converter.stat().st_mtime:
        with suppress(FileNotFoundError):
            shutil.rmtree(home)
        home.mkdir(parents=True)
        # a child, so that its memory does not count as the daemon's (see measure)
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "benchmarks.completejourney",
            home / "feeds",
            "--timezone",
            zone,
        ]
        command += ["--transaction-ids"] * transaction_ids
        measure.must_run(command, log=home / "convert.log")
    return home / "feeds", json.loads(expected.read_text())["days"]


def drop(source: Path, days: dict[str, dict[str, Any]], data_dir: Path) -> None:
    """Put copies of the days' files into ``live_feeds/``, each by a rename, as a careful sender does."""
    inbox = data_dir / "live_feeds"
    inbox.mkdir(parents=True)
    arriving = data_dir / "arriving.csv"
    for figures in days.values():
        shutil.copyfile(source / figures["file"], arriving)
        arriving.rename(inbox / figures["file"])
    os.sync()  # writing back the copies is not the daemon's work


def differences(wanted: facts.Facts, found: facts.Facts) -> list[str]:
    """Every fact that is not as it should be, in words."""
    return [
        f"{day} {measure_}: should be {wanted.get((day, measure_), 'absent')}, is {found.get((day, measure_), 'absent')}"
        for day, measure_ in sorted(wanted.keys() | found.keys())
        if wanted.get((day, measure_)) != found.get((day, measure_))
    ]


def total(found: facts.Facts, measure_: str) -> int:
    """One measure over all days."""
    return sum(int(value) for (_, name), value in found.items() if name.startswith(measure_))


def summary(
    days: dict[str, dict[str, Any]], found: facts.Facts, finished: measure.Finished, wrong: list[str]
) -> dict[str, Any]:
    """The run in figures; money as text, in dollars."""
    rows = sum(figures["rows"] for figures in days.values())
    return {
        "files": len(days),
        "rows": rows,
        "loaded": total(found, "rows"),
        "rejected": {
            "quantity_sold": total(found, "rejected quantity_sold"),
            "revenue": total(found, "rejected revenue"),
        },
        "units": total(found, "units"),
        "revenue": str(Decimal(total(found, "revenue")).scaleb(-4)),
        "revenue_of_source": str(sum(Decimal(figures["loaded_revenue"]) for figures in days.values())),
        "seconds": round(finished.seconds, 2),
        "rows_per_second": round(rows / finished.seconds),
        "files_per_second": round(len(days) / finished.seconds, 1),
        "peak_mb": round(finished.peak_mb),
        "totals_equal": not wrong,
        "differences": wrong,
    }


def show(figures: dict[str, Any]) -> None:
    """Print the run as a table, and the first differences."""
    table = Table(title="A real year", show_header=False)
    for name, value in figures.items():
        if name in {"totals_equal", "differences"}:
            continue
        shown = ", ".join(f"{k}: {v:,}" for k, v in value.items()) if isinstance(value, dict) else value
        table.add_row(name.replace("_", " "), f"{shown:,}" if isinstance(shown, int) else str(shown))
    table.add_row("totals equal", "yes" if figures["totals_equal"] else "NO")
    Console().print(table)
    for line in figures["differences"][:20]:
        print(line)
    if len(figures["differences"]) > 20:
        print(f"… and {len(figures['differences']) - 20} more")


def main() -> int:
    """Run the year from the command line.

    Returns:
        0 if everything is equal, else 1.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.real_year", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--database", metavar="URL", help="an empty database (default: a new SQLite file)")
    parser.add_argument("--timezone", default="UTC", help="business time zone (default: %(default)s)")
    parser.add_argument("--transaction-ids", action="store_true", help="with the basket id as transaction_id")
    parser.add_argument("--days", type=int, metavar="N", help="only the first N days")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="a new folder for data and database, which stays"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args()
    if args.keep is not None and args.keep.exists():
        parser.error(f"{args.keep} is there already: name a new folder")
    if args.database and (known := facts.deliveries(args.database)):
        parser.error(
            f"the database already knows {known} deliveries: name an empty one, or the totals mean nothing"
        )

    source, all_days = feeds(args.timezone, transaction_ids=args.transaction_ids)
    days = dict(list(all_days.items())[: args.days])
    with measure.workspace(args.keep) as folder:
        data_dir = folder / "data"
        database = args.database or f"sqlite:///{data_dir / 'stockgrip.db'}"
        drop(source, days, data_dir)
        finished = measure.drain(
            data_dir, database, log=folder / "drain.log", env={"STOCKGRIP_TIMEZONE": args.timezone}
        )
        found = facts.found(database)
        wrong = differences(facts.wanted(days), found)
        wrong += [
            f"live_feeds/ still holds {path.name}" for path in sorted((data_dir / "live_feeds").iterdir())
        ]
    figures = summary(days, found, finished, wrong)
    if args.json:
        print(json.dumps(figures, indent=1))
    else:
        show(figures)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
