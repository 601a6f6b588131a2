"""The ledger ``data_ingestion_log``: one row per delivery, kept for ever."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from daemon.outcomes import Counts, Delivery, Dialect, Duplicate, Loaded, Outcome, Refused
from daemon.store.schema import DELIVERIES, IS_LOADED, LINE_BITS, REJECTS
from handlers.reasons import FileReason

_C = DELIVERIES.c
LOADED = ("success", "partial")


@dataclass(frozen=True, slots=True)
class Current:
    """The delivery that a slot's rows come from."""

    delivery_id: int
    loaded: int


def record(
    connection: Connection,
    delivery: Delivery,
    *,
    status: str,
    counts: Counts | None = None,
    dialect: Dialect | None = None,
    details: Mapping[str, Any] | None = None,
    duplicate_of: int | None = None,
    seconds: float = 0.0,
) -> int:
    """Writes a delivery's row and returns its id."""
    counts = counts or Counts()
    row = {
        "timestamp": delivery.arrived,
        "file_name": delivery.name,
        "file_type": delivery.feed,
        "records_processed": counts.read,
        "records_successful": counts.loaded,
        "records_failed": counts.rejected,
        "records_duplicate": counts.duplicate,
        "processing_time_seconds": round(seconds, 6),
        "status": status,
        "error_details": dict(details or {}),
        "claim": delivery.claim,
        "sha256": delivery.sha256,
        "size_bytes": delivery.size,
        "slot": delivery.slot,
        "duplicate_of": duplicate_of,
        "attempts": delivery.attempts,
        "encoding": dialect.encoding if dialect else None,
        "delimiter": dialect.delimiter if dialect else None,
        "seen_at": delivery.arrival.seen_at,
        "waited": ", ".join(delivery.arrival.waited) or None,
        "evidence": ", ".join(delivery.arrival.evidence) or None,
        "fixes": delivery.fixes,
        "extends": delivery.extends,
        "retry_of": delivery.retry_of,
    }
    key = connection.execute(insert(DELIVERIES).values(row)).inserted_primary_key
    if key is None:
        raise AssertionError("the ledger gave no id")
    return int(key[0])


def record_duplicate(connection: Connection, delivery: Delivery, of: int, seconds: float = 0.0) -> Duplicate:
    """Writes the row of a delivery whose bytes delivery ``of`` had brought."""
    details = {"message": f"the same bytes were loaded by delivery {of}"}
    key = record(connection, delivery, status="duplicate", details=details, duplicate_of=of, seconds=seconds)
    return Duplicate(key, of)


def finish(connection: Connection, delivery_id: int, counts: Counts, seconds: float) -> None:
    """The final figures of a delivery that was loaded."""
    connection.execute(
        update(DELIVERIES)
        .where(_C.id == delivery_id)
        .values(
            records_successful=counts.loaded,
            records_duplicate=counts.duplicate,
            processing_time_seconds=round(seconds, 6),
        )
    )


def loaded_with(connection: Connection, sha256: str | None) -> int | None:
    """The delivery that brought these bytes, if one did."""
    if sha256 is None:
        return None
    found = connection.execute(select(_C.id).where(_C.sha256 == sha256, IS_LOADED).limit(1)).scalar()
    return None if found is None else int(found)


def current_of(connection: Connection, slot: str | None) -> Current | None:
    """The delivery whose rows fill a slot now."""
    if slot is None:
        return None
    row = connection.execute(
        select(_C.id, _C.records_successful, _C.records_duplicate)
        .where(_C.slot == slot, _C.status.in_(LOADED), _C.superseded_by.is_(None))
        .order_by(_C.id.desc())
        .limit(1)
    ).first()
    return None if row is None else Current(row.id, row.records_successful + row.records_duplicate)


def supersede(connection: Connection, old: int, new: int) -> None:
    """Notes that ``new`` replaced ``old``."""
    connection.execute(update(DELIVERIES).where(_C.id == old).values(superseded_by=new))


def outcome_of(connection: Connection, claim: str) -> Outcome | None:
    """What became of a claim whose transaction may or may not have been committed."""
    row = connection.execute(select(DELIVERIES).where(_C.claim == claim)).first()
    return None if row is None else _outcome(row)


def _outcome(row: Row[*tuple[Any, ...]]) -> Outcome:
    if row.status == "duplicate":
        return Duplicate(row.id, row.duplicate_of)
    counts = Counts(row.records_processed, row.records_successful, row.records_failed, row.records_duplicate)
    if row.status == "failed":
        details = row.error_details or {}
        return Refused(row.id, FileReason(details["reason"]), details["message"], counts)
    return Loaded(row.id, counts)


def filed(connection: Connection, delivery_id: int, archive_path: str) -> None:
    """Notes where the file lies now."""
    connection.execute(update(DELIVERIES).where(_C.id == delivery_id).values(archive_path=archive_path))


def row_of(connection: Connection, delivery_id: int) -> Mapping[str, Any] | None:
    """A delivery's whole row."""
    row = connection.execute(select(DELIVERIES).where(_C.id == delivery_id)).mappings().first()
    return None if row is None else dict(row)


def rejects_of(connection: Connection, delivery_id: int, after_line: int, most: int) -> list[dict[str, Any]]:
    """A delivery's rejects in the file's order, some at a time."""
    first, c = delivery_id << LINE_BITS, REJECTS.c
    rows = connection.execute(
        select(c.line, c.column_name, c.value, c.reason, c.message, c.raw)
        .where(c.id > first + after_line, c.id < first + 2**LINE_BITS)
        .order_by(c.id)
        .limit(most)
    )
    return [dict(row) for row in rows.mappings()]


def by_feed(connection: Connection, since: datetime) -> list[dict[str, Any]]:
    """Per feed (None: no feed's): deliveries by status, and the last one; rows loaded since a moment."""
    today = func.sum(_C.records_successful).filter(
        _C.timestamp >= since.astimezone(UTC), _C.status.in_(LOADED), _C.superseded_by.is_(None)
    )
    summary = connection.execute(
        select(
            _C.file_type,
            func.count().label("deliveries"),
            func.count().filter(_C.status == "failed").label("refused"),
            func.coalesce(today, 0).label("rows_today"),
            func.max(_C.id).label("last_id"),
        ).group_by(_C.file_type)
    ).all()
    found = []
    for row in summary:
        last = row_of(connection, row.last_id) or {}
        found.append(
            {
                "feed": row.file_type,
                "deliveries": row.deliveries,
                "refused": row.refused,
                "rows_today": int(row.rows_today),
                "last": {
                    "delivery": last["id"],
                    "file": last["file_name"],
                    "status": last["status"],
                    "at": last["timestamp"].isoformat(),
                    "rows": last["records_successful"],
                    "rejects": last["records_failed"],
                },
            }
        )
    return found
