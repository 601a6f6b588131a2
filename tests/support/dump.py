"""The contents of a database in a form that can be compared: between databases, and between orders of arrival."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine, select

from daemon.store.schema import LINE_BITS, METADATA

Row = dict[str, Any]
Dump = dict[str, list[Row]]

LEDGER = "data_ingestion_log"
DATA_TABLES = tuple(name for name in METADATA.tables if name != LEDGER)
# What two runs over the same files may differ in.
_VOLATILE = (
    *("id", "timestamp", "processing_time_seconds", "claim", "archive_path", "rejects_path", "attempts"),
    *("seen_at", "waited", "evidence", "filed_at", "forced_at", "unloaded_at"),
)
_MONEY = {"revenue", "competitor_price", "unit_cost", "selling_price"}  # decimals or doubles
_POINTERS = ("superseded_by", "duplicate_of", "fixes", "extends", "retry_of")


def dump(engine: Engine, *, by_name: bool = False, ledger: bool = True) -> Dump:
    """Every table as a sorted list of rows.

    Times are ISO text, money is text with four decimals, so that both databases say the same.

    Args:
        engine: of the database.
        by_name: name deliveries by their files instead of their ids, and leave out of the ledger what two runs
            over the same files may differ in.
        ledger: whether the ledger is part of it.
    """
    with engine.connect() as connection:
        deliveries = [dict(row) for row in connection.execute(select(METADATA.tables[LEDGER])).mappings()]
        labels = {row["id"]: f"{row['file_name']} {str(row['sha256'])[:12]}" for row in deliveries}
        found: Dump = {}
        for name in DATA_TABLES:
            table = METADATA.tables[name]
            rows = [_canonical(row) for row in connection.execute(select(table)).mappings()]
            found[name] = in_order([_labelled(row, labels) for row in rows] if by_name else rows)
    if ledger:
        if by_name:
            deliveries = [_without_run(row, labels) for row in deliveries]
        found[LEDGER] = in_order([_canonical(row) for row in deliveries])
    return found


def _canonical(row: Any) -> Row:
    return {name: _plain(name, value) for name, value in row.items()}


def _plain(name: str, value: Any) -> Any:
    if value is not None and name in _MONEY:
        return str(Decimal(repr(value) if isinstance(value, float) else value).quantize(Decimal("0.0001")))
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    return value


def _labelled(row: Row, labels: dict[int, str]) -> Row:
    if "delivery_id" not in row:
        return row
    rest = {name: value for name, value in row.items() if name not in ("id", "delivery_id")}
    if row["id"] != (row["delivery_id"] << LINE_BITS) + row["line"]:
        raise AssertionError(f"the id of {row} is not made of its delivery and line")
    if "fixed_by" in rest:
        rest["fixed_by"] = labels.get(rest["fixed_by"])
    return {"delivery": labels[row["delivery_id"]], **rest}


def _without_run(row: Row, labels: dict[int, str]) -> Row:
    kept = {name: value for name, value in row.items() if name not in _VOLATILE}
    for name in _POINTERS:
        kept[name] = labels.get(row[name])
    return kept


def in_order(rows: list[Row]) -> list[Row]:
    """Rows in an order that depends on nothing but them."""
    return sorted(rows, key=lambda row: repr(sorted(row.items())))
