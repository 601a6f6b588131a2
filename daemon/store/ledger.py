"""The ledger ``data_ingestion_log``: one row per delivery, kept for ever."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, case, func, insert, or_, select, update

from daemon.outcomes import Counts, Delivery, Dialect, Duplicate, Loaded, Outcome, Refused
from daemon.store.schema import DELIVERIES, IS_LOADED, LINE_BITS, REJECTS, rejects_are_of
from handlers import HANDLERS
from handlers.reasons import FileReason

_C = DELIVERIES.c
LOADED = ("success", "partial")
# in `error_details`: since when something of a delivery is no longer kept (`daemon.store.retention`)
REJECTS_REMOVED = "rejects_removed_at"
FILE_REMOVED = "file_removed_at"
ROWS_REMOVED = "rows_removed_at"
# there, too: how many rows came so late that they change nothing (`daemon.store.sealed`)
ROWS_SET_ASIDE = "rows_set_aside"


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows of some bytes.

    Attributes:
        loaded_by: the delivery that loaded them.
        tried_by: the latest delivery that brought them and was refused, or was taken out again.
        forced: whether an operator wants them loaded in spite of that refusal.
        says_new: whether an operator says that their transactions were never counted.
    """

    loaded_by: int | None = None
    tried_by: int | None = None
    forced: bool = False
    says_new: bool = False


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
    row = _values(delivery, status, counts or Counts(), dialect, details, duplicate_of, seconds)
    key = connection.execute(insert(DELIVERIES).values(row)).inserted_primary_key
    if key is None:
        raise AssertionError("the ledger gave no id")
    return int(key[0])


def record_clean(
    connection: Connection, deliveries: Sequence[tuple[Delivery, Dialect, int]], seconds: float
) -> list[dict[str, Any]]:
    """Writes the rows of deliveries of which every row is loaded.

    Args:
        connection: of the transaction.
        deliveries: each with how it was written and the number of its rows.
        seconds: what each took.

    Returns:
        Their rows of the ledger with their ids, in the same order.
    """
    rows = [
        _values(delivery, "success", Counts(count, count), dialect, details_of(dialect), None, seconds)
        for delivery, dialect, count in deliveries
    ]
    statement = insert(DELIVERIES).returning(_C.id, sort_by_parameter_order=True)
    ids = connection.execute(statement, rows).scalars()
    return [{**row, "id": int(key)} for key, row in zip(ids, rows, strict=True)]


_THEIRS = select(_C.sha256).where(
    _C.sha256.in_(bindparam("hashes", expanding=True)), _C.status != "duplicate"
)
_FILLED = select(_C.slot).where(_C.slot.in_(bindparam("slots", expanding=True)), _C.status.in_(LOADED))


def known_among(
    connection: Connection, hashes: Collection[str], slots: Collection[str]
) -> tuple[set[str], set[str]]:
    """Those of some bytes that were delivered before, and those of some slots that are filled."""
    theirs = connection.execute(_THEIRS, {"hashes": list(hashes)}).scalars()
    filled = connection.execute(_FILLED, {"slots": list(slots)}).scalars()
    return set(theirs), set(filled)


def details_of(dialect: Dialect) -> dict[str, Any]:
    """What the ledger keeps of how a file that was loaded was written."""
    details: dict[str, Any] = {"header": list(dialect.header)}
    if dialect.unknown:
        details["unknown_columns"] = list(dialect.unknown)[:100]
    return details


def _values(
    delivery: Delivery,
    status: str,
    counts: Counts,
    dialect: Dialect | None,
    details: Mapping[str, Any] | None,
    duplicate_of: int | None,
    seconds: float,
) -> dict[str, Any]:
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
        "error_details": {**(details or {}), **({"name": delivery.raw_name} if delivery.raw_name else {})},
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
    if delivery.id is not None:
        row["id"] = delivery.id
    return row


def record_duplicate(connection: Connection, delivery: Delivery, of: int, seconds: float = 0.0) -> Duplicate:
    """Writes the row of a delivery whose bytes delivery ``of`` had brought."""
    if of == delivery.fixes:
        message = f"the rejects file of delivery {of} came back as it was: correct its rows first"
    else:
        message = f"the same bytes were loaded by delivery {of}"
    details = {"message": message}
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


def say_set_aside(connection: Connection, delivery_id: int, rows: int) -> None:
    """Notes how many rows of a delivery came so late that they change nothing."""
    details = (row_of(connection, delivery_id) or {}).get("error_details") or {}
    said = {**details, ROWS_SET_ASIDE: rows}
    connection.execute(update(DELIVERIES).where(_C.id == delivery_id).values(error_details=said))


def known(connection: Connection, sha256: str | None, slot: str | None = None) -> Known:
    """What became of these bytes before; with a slot, what became of them in it."""
    if sha256 is None:
        return Known()
    same = [_C.sha256 == sha256, *([] if slot is None else [_C.slot == slot])]
    columns = (_C.id, _C.status, _C.forced_at, _C.error_details)
    rows = connection.execute(
        select(*columns).where(*same, _C.status != "duplicate").order_by(_C.id.desc())
    ).all()
    loaded = next((row.id for row in rows if row.status in LOADED), None)
    tried = [row for row in rows if row.status not in LOADED]
    if not tried:
        return Known(loaded)
    # what an operator said before it was taken out again does not count any more
    until = next((n for n, row in enumerate(tried, 1) if row.status == "unloaded"), len(tried))
    forced = [(row.error_details or {}).get("reason") for row in tried[:until] if row.forced_at is not None]
    return Known(loaded, tried[0].id, bool(forced), FileReason.OLD_TRANSACTIONS in forced)


def last(connection: Connection) -> int:
    """The latest delivery; none: 0."""
    return int(connection.execute(select(func.coalesce(func.max(_C.id), 0))).scalar_one())


def current_of(connection: Connection, slot: str | None) -> Current | None:
    """The delivery whose rows fill a slot now."""
    if slot is None:
        return None
    row = connection.execute(
        select(_C.id, _C.records_successful, _C.records_duplicate)
        .where(_C.slot == slot, _C.status.in_(LOADED), _C.superseded_by.is_(None), _C.fixes.is_(None))
        .order_by(_C.id.desc())
        .limit(1)
    ).first()
    return None if row is None else Current(row.id, row.records_successful + row.records_duplicate)


def supersede(connection: Connection, old: int, new: int) -> None:
    """Notes that ``new`` replaced ``old``, what had been fixed of it, and what was still to be fixed."""
    its = (_C.id == old) | (_C.fixes == old)
    ids = connection.execute(select(_C.id).where(its, _C.superseded_by.is_(None))).scalars().all()
    connection.execute(update(DELIVERIES).where(_C.id.in_(ids)).values(superseded_by=new))
    _settle_rejects(connection, ids, None, new)


def reinstated(connection: Connection, gone: int, by: int | None) -> list[int]:
    """Notes that what delivery ``gone`` had replaced is replaced by ``by`` now, or by nothing.

    Returns:
        The deliveries whose rows count again, without their fixes.
    """
    theirs = _C.superseded_by == gone
    found = connection.execute(
        select(_C.id, _C.fixes).where(theirs, _C.status.in_(LOADED)).order_by(_C.id)
    ).all()
    connection.execute(update(DELIVERIES).where(theirs).values(superseded_by=by))
    _settle_rejects(connection, [row.id for row in found], gone, by)
    return [row.id for row in found if row.fixes is None] if by is None else []


def _settle_rejects(
    connection: Connection, deliveries: Sequence[int], before: int | None, now: int | None
) -> None:
    """Changes who fixed the rejects of some deliveries."""
    c = REJECTS.c
    for delivery_id in deliveries:
        fixed = c.fixed_by.is_(None) if before is None else c.fixed_by == before
        connection.execute(update(REJECTS).where(rejects_are_of(delivery_id), fixed).values(fixed_by=now))


def move_counts(
    connection: Connection, delivery_id: int, *, loaded: int = 0, rejected: int = 0, duplicate: int = 0
) -> None:
    """Adds to a delivery's counts, which a fix or its taking out changes."""
    left = _C.records_failed + rejected
    connection.execute(
        update(DELIVERIES)
        .where(_C.id == delivery_id)
        .values(
            records_successful=_C.records_successful + loaded,
            records_failed=left,
            records_duplicate=_C.records_duplicate + duplicate,
            status=case((left > 0, "partial"), else_="success"),
        )
    )


def fixes_of(connection: Connection, delivery_id: int) -> list[int]:
    """The deliveries that corrected rejects of one, in their order."""
    loaded = select(_C.id).where(_C.fixes == delivery_id, _C.status.in_(LOADED)).order_by(_C.id)
    return [int(row.id) for row in connection.execute(loaded)]


def extending(connection: Connection, delivery_id: int) -> int | None:
    """A delivery that is loaded and of which this one is the beginning."""
    found = select(_C.id).where(_C.extends == delivery_id, _C.status.in_(LOADED)).order_by(_C.id.desc())
    return connection.execute(found.limit(1)).scalar()


def unloaded(connection: Connection, deliveries: Sequence[int], at: datetime, why: str) -> None:
    """Notes that deliveries were taken out; their files are to be filed anew."""
    for row in connection.execute(select(DELIVERIES).where(_C.id.in_(deliveries))).all():
        details = {**(row.error_details or {}), "unloaded": {"why": why, "was_at": row.archive_path}}
        connection.execute(
            update(DELIVERIES)
            .where(_C.id == row.id)
            .values(status="unloaded", unloaded_at=at, error_details=details, archive_path=None)
        )


def unloaded_unfiled(connection: Connection) -> list[Mapping[str, Any]]:
    """Deliveries that were taken out and whose files are not in ``errors/`` yet."""
    found = select(DELIVERIES).where(_C.archive_path.is_(None), _C.status == "unloaded").order_by(_C.id)
    return [dict(row) for row in connection.execute(found).mappings()]


def refused(connection: Connection) -> list[Mapping[str, Any]]:
    """Deliveries that were refused, in the order of arrival."""
    found = select(DELIVERIES).where(_C.status == "failed").order_by(_C.id)
    return [dict(row) for row in connection.execute(found).mappings()]


def last_filed_at(connection: Connection, archive_path: str) -> int | None:
    """The latest delivery whose file was filed at a place."""
    return connection.execute(select(func.max(_C.id)).where(_C.archive_path == archive_path)).scalar()


def force(connection: Connection, delivery_id: int, at: datetime | None) -> None:
    """Notes that an operator wants a refused file loaded when its bytes come again, or (None) that not."""
    connection.execute(update(DELIVERIES).where(_C.id == delivery_id).values(forced_at=at))


def rejects_at(connection: Connection, rejects_path: str) -> Mapping[str, Any] | None:
    """The latest delivery whose rejects were written to a place."""
    found = select(DELIVERIES).where(_C.rejects_path == rejects_path, _C.fixes.is_(None))
    row = connection.execute(found.order_by(_C.id.desc()).limit(1)).mappings().first()
    return None if row is None else dict(row)


def appended(
    connection: Connection, feed: str, name: str, below: int, most: int
) -> list[tuple[int, int, str]]:
    """Id, bytes and SHA-256 of the latest deliveries of a feed without a slot, and of those with a file name.

    Args:
        connection: to the database.
        feed: whose.
        name: of files that are looked for further back.
        below: only those with fewer bytes than this.
        most: at most so many of each.
    """
    appends = (_C.file_type == feed, _C.slot.is_(None), IS_LOADED, _C.fixes.is_(None))
    columns = select(_C.id, _C.size_bytes, _C.sha256).order_by(_C.id.desc()).limit(most)
    found = {}
    for more in ((), (_C.file_name == name,)):
        for row in connection.execute(columns.where(*appends, *more)):
            if 0 < row.size_bytes < below:
                found[row.id] = (row.id, row.size_bytes, row.sha256)
    return sorted(found.values(), reverse=True)


def last_appended(connection: Connection, feed: str) -> int:
    """The latest delivery of a feed without a slot that is loaded; none: 0."""
    appends = (_C.file_type == feed, _C.slot.is_(None), IS_LOADED)
    found = connection.execute(select(_C.id).where(*appends).order_by(_C.id.desc()).limit(1)).scalar()
    return 0 if found is None else int(found)


def outcome_of(connection: Connection, claim: str) -> Outcome | None:
    """What became of a claim whose transaction may or may not have been committed."""
    row = connection.execute(select(DELIVERIES).where(_C.claim == claim)).first()
    return None if row is None else _outcome(row)


def unfiled(connection: Connection, claims: str) -> list[str]:
    """The claims that begin so, and of which it is not known where their file lies, in the order in which they were loaded."""
    is_one = _C.claim.startswith(claims, autoescape=True) & _C.archive_path.is_(None)
    return list(connection.execute(select(_C.claim).where(is_one).order_by(_C.id)).scalars())


def filed_among(connection: Connection, claims: str) -> list[int]:
    """The deliveries whose claims begin so, and of which it is known where their file lies, in the order in which they were loaded."""
    is_one = _C.claim.startswith(claims, autoescape=True) & _C.archive_path.is_not(None)
    return list(connection.execute(select(_C.id).where(is_one).order_by(_C.id)).scalars())


def _outcome(row: Row[*tuple[Any, ...]]) -> Outcome:
    if row.status == "duplicate":
        return Duplicate(row.id, row.duplicate_of)
    counts = Counts(row.records_processed, row.records_successful, row.records_failed, row.records_duplicate)
    if row.status == "failed":
        details = row.error_details or {}
        return Refused(row.id, FileReason(details["reason"]), details["message"], counts)
    return Loaded(row.id, counts)


def filed(
    connection: Connection, delivery_id: int, archive_path: str, at: datetime, rejects_path: str | None
) -> None:
    """Notes where the file lies now, and where its rejects."""
    values: dict[str, Any] = {"archive_path": archive_path, "filed_at": at}
    if rejects_path is not None:
        values["rejects_path"] = rejects_path
    connection.execute(update(DELIVERIES).where(_C.id == delivery_id).values(values))


def filed_all(connection: Connection, paths: Mapping[int, str], at: datetime) -> None:
    """Notes where the files of some deliveries lie now."""
    values = {"archive_path": bindparam("path"), "filed_at": at}
    some = [{"which": delivery_id, "path": path} for delivery_id, path in paths.items()]
    connection.execute(update(DELIVERIES).where(_C.id == bindparam("which")).values(values), some)


def row_of(connection: Connection, delivery_id: int) -> Mapping[str, Any] | None:
    """A delivery's whole row."""
    row = connection.execute(select(DELIVERIES).where(_C.id == delivery_id)).mappings().first()
    return None if row is None else dict(row)


def rejects_of(
    connection: Connection, delivery_id: int, after_line: int, most: int, also_fixed_by: int | None = None
) -> list[dict[str, Any]]:
    """A delivery's rejects that nobody, or only one fix, has corrected: in the file's order, some at a time."""
    first, c = delivery_id << LINE_BITS, REJECTS.c
    is_open = or_(c.fixed_by.is_(None), c.fixed_by == also_fixed_by)
    rows = connection.execute(
        select(c.line, c.column_name, c.value, c.reason, c.message, c.raw)
        .where(c.id > first + after_line, c.id < first + 2**LINE_BITS, is_open)
        .order_by(c.id)
        .limit(most)
    )
    return [dict(row) for row in rows.mappings()]


def mark_open(connection: Connection, delivery_id: int, fix: int, now: int | None) -> int:
    """Takes back that ``fix`` corrected rejects of a delivery, which ``now`` corrects instead; how many they are."""
    its, c = rejects_are_of(delivery_id), REJECTS.c
    return connection.execute(update(REJECTS).where(its, c.fixed_by == fix).values(fixed_by=now)).rowcount


def by_feed(connection: Connection, since: datetime, *, counted: bool = True) -> list[dict[str, Any]]:
    """Per feed (None: no feed's) that had a delivery: the last one, and rows loaded since a moment.

    Args:
        connection: of a reading transaction.
        since: the moment.
        counted: also how many deliveries there ever were, and were refused (else None): that walks through an index.
    """
    feed_of = func.coalesce(
        _C.file_type, ""
    )  # not the column: SQLite would walk along its index, for the groups
    today = (
        select(feed_of, func.sum(_C.records_successful))
        .where(
            _C.timestamp >= since.astimezone(UTC),
            _C.status.in_(LOADED),
            _C.superseded_by.is_(None),
            _C.fixes.is_(None),  # counted with the delivery that they fix
        )
        .group_by(feed_of)
    )
    rows_today = {feed: int(rows) for feed, rows in connection.execute(today)}
    refused = func.count().filter(_C.status == "failed")
    counts = select(_C.file_type, func.count(), refused).group_by(_C.file_type)
    ever = {row[0]: (row[1], row[2]) for row in connection.execute(counts)} if counted else {}
    found = []
    for feed in (*(handler.name for handler in HANDLERS), None):
        number = connection.execute(select(func.max(_C.id)).where(_C.file_type == feed))
        last = row_of(connection, number.scalar() or 0)
        if last is None:
            continue
        deliveries, failed = ever.get(feed, (None, None))
        found.append(
            {
                "feed": feed,
                "deliveries": deliveries,
                "refused": failed,
                "rows_today": rows_today.get(feed, 0),
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
