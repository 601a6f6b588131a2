"""Days whose rows were removed because they were old: what cannot be known, subtracted or replaced any more.

The aggregates of such days stay. What comes late is added to them; what would need the rows that are gone is refused.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy import Connection, bindparam, select

from daemon.store import ledger
from daemon.store.bulk import manners_of
from daemon.store.derived import REMOVED_DAYS
from daemon.store.staging import Stage
from handlers.errors import FileError
from handlers.feed import Additive
from handlers.reasons import FileReason

_D = REMOVED_DAYS.c
_ANY = select(_D.day).where(_D.feed == bindparam("name")).limit(1)


def are_there(connection: Connection, feed: str) -> bool:
    """Whether rows of any day of a feed were removed."""
    return connection.execute(_ANY, {"name": feed}).first() is not None


def any_of(connection: Connection, feed: str, days: list[date]) -> bool:
    """Whether rows of one of some days were removed."""
    return (
        connection.execute(select(_D.day).where(_D.feed == feed, _D.day.in_(days)).limit(1)).first()
        is not None
    )


def removed_at(row: Mapping[str, Any]) -> str | None:
    """The day on which rows of a delivery were removed; None: all are there.

    Args:
        row: its row of the ledger.
    """
    said = (row.get("error_details") or {}).get(ledger.ROWS_REMOVED)
    return None if said is None else str(said)[:10]


def must_be_there(connection: Connection, delivery_id: int) -> None:
    """All rows of a delivery are there, so that another one may take its place.

    Raises:
        FileError: ``rows_removed``.
    """
    row = ledger.row_of(connection, delivery_id) or {}
    gone = removed_at(row)
    if gone is not None:
        raise FileError(
            FileReason.ROWS_REMOVED,
            f"the file would replace delivery {delivery_id} ({row['file_name']}), whose rows were removed on {gone}"
            " (retention.data_days): what they added to the daily figures cannot be taken off any more",
        )


def must_be_new(stage: Stage) -> None:
    """No staged row names a transaction that may have been counted in rows that are gone.

    That is so if its product has figures of that day, and rows of the day were removed. Where it has none it was never
    counted; and a row without a transaction is new in any case.

    Raises:
        FileError: ``old_transactions``.
    """
    feed, daily = stage.feed, stage.feed.daily
    if not isinstance(daily, Additive) or not are_there(stage.connection, feed.name):
        return
    day = manners_of(stage.connection).day("s.date")
    named, first, last = stage.connection.exec_driver_sql(
        f"SELECT COUNT(*), MIN(t.day), MAX(t.day) FROM (SELECT s.product_id, {day} AS day FROM {stage.table} s"
        f" WHERE s.{feed.key[0]} IS NOT NULL) t"
        f" WHERE t.day IN (SELECT r.day FROM removed_days r WHERE r.feed = '{feed.name}')"
        f" AND EXISTS (SELECT 1 FROM {daily.table} d WHERE d.product_id = t.product_id AND d.day = t.day)"
    ).one()
    if named:
        days = str(first) if first == last else f"{first} to {last}"
        raise FileError(
            FileReason.OLD_TRANSACTIONS,
            f"{named:,} of its {stage.rows:,} rows name a {feed.key[0]}, are of {days}, and their products have figures"
            " of that day; the rows behind those were removed (retention.data_days), so that nobody can tell whether these"
            " are among them: they might count twice",
        )
