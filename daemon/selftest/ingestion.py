"""Are the files loaded exactly once, each row with each of its cells, and what is wrong with them said?"""

import json
from collections.abc import Mapping
from typing import Any

from daemon.selftest.book import TABLES, count_rows
from daemon.selftest.checks import Checks
from daemon.selftest.spoilt import Delivery
from daemon.selftest.trial import FEEDS, Trial, content_of

_DAILY = {
    "sales": ("product_id, location, channel, day", "units, revenue_e4, promo_units, rows"),
    "inventory": ("product_id, location, day", "close, reserved, in_transit"),
}


def check(trial: Trial, checks: Checks) -> None:
    """Loads everything but the last day, and compares."""
    trial.prepare()
    ledger = trial.ask(
        "SELECT file_name, status, records_processed, records_successful, records_failed, records_duplicate, id,"
        " archive_path, error_details FROM data_ingestion_log ORDER BY id"
    )
    checks.equal("deliveries in the ledger", len(trial.delivered), len(ledger))
    waiting = list(trial.delivered)
    for row in ledger:
        name, status = row[:2]
        file = next((f for f in waiting if (f.name, f.status) == (name, status)), None)
        file = file or next((f for f in waiting if f.name == name), None)
        if file is None:
            checks.equal(f"ledger: {name}", "no such delivery", status)
            continue
        waiting.remove(file)
        _delivery(trial, checks, file, row)
    _rows(trial, checks)


def _delivery(trial: Trial, checks: Checks, file: Delivery, row: tuple[Any, ...]) -> None:
    """The ledger, the rejects and the file itself."""
    checks.equal(f"ledger: {file.name}", _ledger(file), dict(zip(_LEDGER, row[1:6], strict=True)))
    number, path, details = row[6:]
    if file.rejects:
        rejects = trial.ask(
            "SELECT line, column_name, reason FROM rejected_rows WHERE delivery_id = ? ORDER BY line", number
        )
        checks.equal(
            f"rejects: {file.name}", [list(each) for each in file.rejects], [list(each) for each in rejects]
        )
    if file.reason:
        checks.equal(f"refused: {file.name}", file.reason, json.loads(details or "{}").get("reason"))
    archived = trial.settings.data_dir / (path or "")
    as_delivered = archived.is_file() and archived.read_bytes() == content_of(file)
    folder = "errors" if file.status == "failed" else "processed"
    checks.so(
        f"filed: {file.name}",
        f"its bytes under {folder}/",
        path if as_delivered else f"{path}, with other bytes or not there",
        ok=as_delivered and str(path).startswith(folder),
    )


_LEDGER = ("status", "rows", "loaded", "rejected", "known before")


def _ledger(file: Delivery) -> Mapping[str, Any]:
    rows = count_rows(file.text)
    match file.status:
        case "duplicate" | "failed":
            figures = (0, 0, 0, 0)
        case _:
            figures = (rows, rows - len(file.rejects), len(file.rejects), 0)
    return dict(zip(_LEDGER, (file.status, *figures), strict=True))


def _rows(trial: Trial, checks: Checks) -> None:
    """Each row, each daily figure, and each row once though its file came twice."""
    for feed in TABLES:
        checks.same_rows(f"rows of {feed}", trial.book.counted(feed), trial.found(feed), "")
    units, money = trial.ask(
        "SELECT SUM(quantity_sold), SUM(CAST(ROUND(revenue * 10000) AS BIGINT)) FROM live_sales_data"
    )[0]
    sold = list(trial.book.rows("sales"))
    checks.equal("units sold", sum(row["quantity_sold"] for row in sold), units)
    checks.equal("revenue, in 1/10000", sum(int(row["revenue"] * 10_000) for row in sold), money)
    (stock,) = trial.ask("SELECT SUM(stock_level) FROM live_inventory_updates")[0]
    checks.equal(
        "sum of all stock levels", sum(row["stock_level"] for row in trial.book.rows("inventory")), stock
    )
    for feed, (keys, figures) in _DAILY.items():
        width = len(keys.split(", "))
        found = {row[:width]: row[width:] for row in trial.ask(f"SELECT {keys}, {figures} FROM {feed}_daily")}  # noqa: S608
        checks.same_rows(f"daily figures of {feed}", trial.book.daily(feed), found, figures.replace(",", ""))
    for feed in FEEDS:
        expected, found_rows = trial.after_redelivery[feed]
        checks.equal(f"rows of {feed} after a file came twice", expected, found_rows)
    waiting = sorted(path.name for path in (trial.settings.data_dir / "live_feeds").iterdir())
    checks.equal("files left in live_feeds/", [], waiting)
