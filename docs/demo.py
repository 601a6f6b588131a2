#!/usr/bin/env python3
"""``make demo``: sample files through the program, and a look at what became of them.

Everything lies in ./demo, which is made anew each time; also an example of reading the tables from Python.
"""

import csv
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from stockgrip import create_database, get_session, load_settings

DEMO = Path("demo")
CONFIG = DEMO / "config.yaml"
LOG = DEMO / "daemon.log"
MARK = "# Made by `make demo`, which deletes this whole folder and makes it anew.\n"
SETTINGS = """\
data_dir: .
settle:
  quiet_seconds: 0.2   # nobody uploads slowly here; the default of 2 seconds bridges the gaps of those who do
  grace_seconds: 0.5
"""
REFUSED = "sales_data_20241230_too_many_rejects.csv"
PARTIAL = "sales_data_20250106_not_numbers.csv"

console = Console(highlight=False)


def main() -> None:
    """Shows it, step by step."""
    begun = time.monotonic()
    start_afresh()

    heading("Two months of a small retailer, and some fifty files that are broken or odd")
    run("sample", "--days", "60", "--products", "24", "--corrupt")

    heading("Load what waits in live_feeds/")
    drain()

    heading("A sender repeats a file, and corrects another")
    repeat_and_correct()
    drain()

    heading("Where things stand")
    run("status")

    engine = create_database(load_settings(CONFIG).database_url)
    with get_session(engine) as session:
        heading("The ledger: every file that ever came, by outcome")
        show(
            ["outcome", "files", "rows read", "loaded", "rejected", "later corrected"],
            session.execute(
                text(
                    "SELECT status, count(*), sum(records_processed), sum(records_successful), sum(records_failed),"
                    " count(superseded_by) FROM data_ingestion_log GROUP BY status ORDER BY 2 DESC"
                )
            ),
        )
        heading("Most sold, from the table sales_daily (kept up to date with every file)")
        show(
            ["product", "units", "revenue", "days", "% in promotion"],
            session.execute(
                text(
                    "SELECT product_id, sum(units), sum(revenue_e4) / 10000.0, count(DISTINCT day),"
                    " 100.0 * sum(promo_units) / sum(units) FROM sales_daily"
                    " GROUP BY product_id ORDER BY 3 DESC LIMIT 5"
                )
            ),
        )
    engine.dispose()

    heading("A file that was refused: why, and what to do")
    reason = DEMO / "errors" / f"{REFUSED}.reason.txt"
    path(reason)
    quote([*reason.read_text().splitlines()[:10], "  …"])

    heading("A file of which some rows were rejected: correct them and drop that file back")
    correct_rejects(next((DEMO / "errors").glob(f"{PARTIAL.removesuffix('.csv')}*rejects*")))
    drain()
    run("explain", PARTIAL)

    heading("The last day once more, in cents instead of euros: what quality and alerts say")
    send_in_cents("sales_data_20250630.csv")
    drain()
    run("quality", "--feed", "sales", may_fail=True)
    run("alerts", "--feed", "sales", most=8)  # the worst come first, of those the newest

    heading("What is computed of a product")
    run("features", "TOY-0018", most=24)

    heading(f"Done in {time.monotonic() - begun:.0f} seconds. To look at next")
    for command, meaning in (
        (f"less {LOG}", "what the daemon said, one JSON object a line (docs/logs.md)"),
        (f"ls {DEMO}/errors {DEMO}/processed/*/*", "where the files went"),
        (f".venv/bin/stockgrip --config {CONFIG} explain {REFUSED}", "what became of a file, and what to do"),
        (f".venv/bin/stockgrip --config {CONFIG} log --status failed", "every file that was refused"),
        (f".venv/bin/stockgrip --config {CONFIG} alerts", "what is wrong now"),
        (f".venv/bin/stockgrip --config {CONFIG} quality", "how good the newest day is, by feed"),
        (f".venv/bin/stockgrip --config {CONFIG} doctor", "what may be wrong with this host"),
        (f".venv/bin/stockgrip --config {CONFIG} run", f"the daemon: drop files into {DEMO}/live_feeds"),
        ("README.md", "how to install it for real"),
    ):
        console.print(f"  [bold]{command}[/]\n      {meaning}", soft_wrap=True)


def start_afresh() -> None:
    """Deletes what an earlier demonstration left, and nothing else."""
    if DEMO.exists():
        if not (CONFIG.is_file() and CONFIG.read_text().startswith(MARK)):
            give_up(f"{DEMO}/ is there and was not made by `make demo`; rename it, then try again")
        shutil.rmtree(DEMO)
    DEMO.mkdir()
    CONFIG.write_text(MARK + SETTINGS)


def repeat_and_correct() -> None:
    """Drops a loaded file again as it was, and another with one row less."""
    first, second = sorted(DEMO.glob("processed/*/*/sales_data_*_*.csv"))[:2]
    inbox = DEMO / "live_feeds"
    shutil.copy(first, inbox / first.name)
    (inbox / second.name).write_bytes(b"".join(second.read_bytes().splitlines(keepends=True)[:-1]))
    path(inbox / first.name, " (the same bytes)")
    path(inbox / second.name, " (one row less)")


def send_in_cents(name: str) -> None:
    """Drops a file that is loaded once more, with revenues a hundred times as high."""
    with next(DEMO.glob(f"processed/*/*/{name}")).open(newline="") as file:
        rows = list(csv.DictReader(file))
    again = DEMO / "live_feeds" / name
    with again.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(row | {"revenue": f"{100 * float(row['revenue']):.2f}"} for row in rows)
    path(again)


def correct_rejects(rejects: Path) -> None:
    """Shows a rejects file, puts its revenues right, and moves it into the inbox."""
    path(rejects)
    with rejects.open(newline="") as file:
        rows = list(csv.DictReader(file))
    quote([f"line {row['reject_line']}: {row['reject_message']}" for row in rows])
    corrected = DEMO / "live_feeds" / rejects.name
    with corrected.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(row | {"revenue": "12.50"} for row in rows)
    rejects.unlink()
    path(corrected, " (revenue is 12.50 in all of them)")


def stockgrip(*arguments: str) -> list[str]:
    """The command with the demonstration's configuration."""
    return [sys.executable, "-m", "daemon", "--config", str(CONFIG), *arguments]


def run(*arguments: str, most: int | None = None, may_fail: bool = False) -> None:
    """Runs a command, shows it and what it prints.

    Args:
        arguments: of the command.
        most: lines of a long answer that are shown.
        may_fail: it may end with 1, as `quality` does when a metric fails.
    """
    console.print(f"$ stockgrip {' '.join(arguments)}", style="bold", markup=False)
    columns = {"COLUMNS": str(max(console.width, 100) - (2 if most else 0))}  # quotes are indented
    out = subprocess.PIPE if most else None
    done = subprocess.run(
        stockgrip(*arguments), check=False, env={**os.environ, **columns}, stdout=out, text=True
    )
    if most:
        quote([*done.stdout.splitlines()[:most], "…"])
    if done.returncode > may_fail:
        give_up(f"stockgrip {arguments[0]} ended with status {done.returncode}")


def drain() -> None:
    """Loads what waits; the log goes to a file."""
    console.print("$ stockgrip drain", style="bold")
    with LOG.open("a") as log:
        done = subprocess.run(stockgrip("drain"), check=False, stderr=log)
    if done.returncode > 1:  # 1: something was refused or rejected, as it should be
        give_up(f"stockgrip drain ended with status {done.returncode}; see {LOG}")


def heading(words: str) -> None:
    """Begins a section."""
    console.print()
    console.rule(f"[bold cyan]{words}", align="left")


def path(file: Path, more: str = "") -> None:
    """Names a file."""
    console.print(f"{file}{more}", style="bold", markup=False, soft_wrap=True)


def quote(lines: list[str]) -> None:
    """Shows lines of a file."""
    for line in lines:
        console.print(f"  {line}", style="yellow", markup=False, soft_wrap=True)


def show(names: list[str], rows: object) -> None:
    """Shows a table; numbers stand at the right."""
    table = Table(box=None, pad_edge=False)
    for place, name in enumerate(names):
        table.add_column(name, justify="right" if place else "left")
    for first, *others in rows:  # type: ignore[attr-defined]
        table.add_row(str(first), *(f"{n:,.2f}" if isinstance(n, float) else f"{n:,}" for n in others))
    console.print(table)


def give_up(why: str) -> NoReturn:
    """Says why, and ends."""
    sys.exit(f"make demo: {why}")


if __name__ == "__main__":
    main()
