"""What the ledger says of the files of some days, in the few words that the judging of data needs."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from daemon.store import ledger
from daemon.store.bulk import manners_of
from daemon.store.schema import DELIVERIES, is_of
from handlers.feed import Feed


@dataclass(frozen=True, slots=True)
class Filed:
    """What the ledger says of a file with a slot.

    Attributes:
        delivery_id: its number.
        day: the business day of its slot.
        source: who sent it; "" if names do not tell.
        at: when it arrived, UTC.
        name: of the file.
        status: success, partial, failed, duplicate or unloaded.
        counts: whether its rows count now: it is loaded, and not superseded.
        processed: data rows.
        failed: of them, those that were rejected.
    """

    delivery_id: int
    day: date
    source: str
    at: datetime
    name: str
    status: str
    counts: bool
    processed: int
    failed: int

    @property
    def loaded(self) -> bool:
        """Whether it was loaded, also if a correction has taken its place."""
        return self.status in ledger.LOADED


def filed(connection: Connection, feed: str, since: date, until: date) -> list[Filed]:
    """The files whose slots are of some days, both included, in the order of arrival; fixes are left out."""
    # the range is for the index; how colons sort is the database's affair, so each row is looked at
    rows = fetch(
        connection,
        "SELECT id, slot, timestamp, file_name, status, superseded_by, records_processed, records_failed"
        f" FROM data_ingestion_log WHERE slot >= '{feed}:{since}' AND slot < '{feed}:{until + timedelta(1)}'"
        " AND fixes IS NULL ORDER BY id",
    )
    days: dict[str, date] = {}
    found = []
    for delivery_id, slot, at, name, status, superseded_by, processed, failed in rows:
        owner, text, source = slot.split(":", 2)
        if owner != feed:
            continue
        day = days.get(text) or days.setdefault(text, date.fromisoformat(text))
        counts = superseded_by is None and status in ledger.LOADED
        found.append(Filed(delivery_id, day, source, _utc(at), name, status, counts, processed, failed))
    return found


def appended(connection: Connection, feed: str, most: int) -> list[datetime]:
    """When the latest deliveries of a feed without a slot arrived, UTC."""
    rows = fetch(
        connection,
        f"SELECT timestamp FROM data_ingestion_log WHERE file_type = '{feed}' AND slot IS NULL"
        f" AND status IN ('success', 'partial') ORDER BY id DESC LIMIT {most}",
    )
    return [_utc(row[0]) for row in rows]


def refusal(connection: Connection, delivery_id: int) -> str:
    """Why a file was refused; "" if it was not."""
    row = ledger.row_of(connection, delivery_id)
    return str(((row or {}).get("error_details") or {}).get("message", ""))


def latest(connection: Connection, feed: str, day: date) -> int | None:
    """The delivery of a feed and business day that came last of those that count; None if there is none."""
    return max((one.delivery_id for one in filed(connection, feed, day, day) if one.counts), default=None)


def touches(connection: Connection, feed: Feed, delivery_id: int, day: date) -> bool:
    """Whether a delivery is a fix of a feed's rows, or has rows of a business day; one slot's file may have another's."""
    row = ledger.row_of(connection, delivery_id)
    if row is None or row["file_type"] != feed.name:
        return False
    if row["fixes"] is not None:
        return bool(ledger.row_of(connection, row["fixes"]))
    its = f"{is_of(delivery_id)} AND {manners_of(connection).day('date')} = '{day}'"
    return bool(
        connection.exec_driver_sql(f"SELECT EXISTS (SELECT 1 FROM {feed.table} WHERE {its})").scalar()
    )


def arrived_at(connection: Connection, delivery_id: int) -> datetime | None:
    """When a delivery arrived, or was taken out again, UTC; None if the ledger does not know it."""
    c = DELIVERIES.c
    row = connection.execute(select(c.timestamp, c.unloaded_at).where(c.id == delivery_id)).first()
    return None if row is None else max(filter(None, row))


def fetch(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    """Rows as the driver gives them: there may be a hundred thousand."""
    cursor: Any = connection.connection.cursor()
    try:
        cursor.execute(sql)
        return list(cursor.fetchall())
    finally:
        cursor.close()


def _utc(value: Any) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC)
