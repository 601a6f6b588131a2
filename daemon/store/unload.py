"""Taking a delivery out again, as if it had never come: rows, rejects, aggregates, presence.

What it had replaced counts again, and what had stepped back for its keys returns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from daemon.store import alerts, ledger, quality, removed_days
from daemon.store.bulk import Manners
from daemon.store.changes import Changes
from handlers import feed_named
from handlers.errors import StockgripError


class CannotUnload(StockgripError):  # noqa: N818  (named by what is so)
    """The delivery cannot be taken out; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was taken out.

    Attributes:
        deliveries: the one that was asked for, and those that had fixed rows of it.
        reinstated: deliveries that count again.
    """

    deliveries: tuple[int, ...]
    reinstated: tuple[int, ...] = ()


def unload(connection: Connection, manners: Manners, delivery_id: int, at: datetime, why: str) -> Done:
    """Takes a delivery out; the caller has begun the transaction and will commit it.

    Args:
        connection: of the transaction.
        manners: of its database.
        delivery_id: what to take out.
        at: when, UTC.
        why: kept in the ledger.

    Raises:
        CannotUnload: nothing of it is loaded, a later delivery builds on it, or rows are gone that it takes to subtract it.
    """
    row = _loaded(connection, delivery_id)
    changes = Changes(connection, manners, feed_named(row["file_type"]))
    done = _unload_fix(changes, row) if row["fixes"] is not None else _unload_whole(changes, row)
    changes.settle(delivery_id)
    ledger.unloaded(connection, done.deliveries, at, why)
    alerts.on_gone(connection, done.deliveries, at)
    if row["fixes"] is not None:
        quality.accuracy_of_delivery(connection, row["fixes"], at)
    return done


def _unload_whole(changes: Changes, row: Mapping[str, Any]) -> Done:
    delivery_id, connection = row["id"], changes.connection
    fixes = ledger.fixes_of(connection, delivery_id)
    back = ledger.reinstated(connection, delivery_id, row["superseded_by"])
    for older in back:
        _must_have_its_rows(
            connection, older, f"delivery {delivery_id} has replaced it, and it would count again"
        )
    for each in (delivery_id, *fixes):
        changes.retract(each)
    for older in back:
        changes.reinstate(older)
    return Done((delivery_id, *fixes), tuple(back))


def _unload_fix(changes: Changes, row: Mapping[str, Any]) -> Done:
    fix, first = row["id"], row["fixes"]
    later = [other for other in ledger.fixes_of(changes.connection, first) if other > fix]
    if later:
        raise CannotUnload(
            f"delivery {later[-1]} fixed rows of delivery {first} after delivery {fix} did: unload {later[-1]} first"
        )
    _must_be_the_end(changes.connection, first)
    changes.retract_fixed(first, fix)
    again_open = ledger.mark_open(changes.connection, first, fix, row["superseded_by"])
    ledger.move_counts(
        changes.connection,
        first,
        loaded=-row["records_successful"],
        rejected=again_open,
        duplicate=row["records_successful"] - again_open,
    )
    return Done((fix,))


def _loaded(connection: Connection, delivery_id: int) -> Mapping[str, Any]:
    row = ledger.row_of(connection, delivery_id)
    if row is None:
        raise CannotUnload(f"there is no delivery {delivery_id}; `stockgrip log` lists them")
    if row["status"] not in ledger.LOADED:
        raise CannotUnload(
            f"nothing of delivery {delivery_id} ({row['file_name']}) is loaded: its status is {row['status']}"
        )
    if row["archive_path"] is None:
        raise CannotUnload(
            f"the file of delivery {delivery_id} ({row['file_name']}) is not filed away yet: wait for the daemon,"
            " or run `stockgrip drain`, then try again"
        )
    _must_be_the_end(connection, delivery_id)
    _must_have_its_rows(
        connection, row["fixes"] or delivery_id, "what they added cannot be taken off any more"
    )
    return row


def _must_have_its_rows(connection: Connection, delivery_id: int, why: str) -> None:
    row = ledger.row_of(connection, delivery_id) or {}
    gone = removed_days.removed_at(row)
    if gone is not None:
        raise CannotUnload(
            f"rows of delivery {delivery_id} ({row['file_name']}) were removed on {gone} (retention.data_days): {why}."
            " A backup from before that day has them; docs/retention.md says what can be done"
        )


def _must_be_the_end(connection: Connection, delivery_id: int) -> None:
    later = ledger.extending(connection, delivery_id)
    if later is not None:
        raise CannotUnload(
            f"delivery {later} extends delivery {delivery_id} and loaded only what it added:"
            f" unload {later} first, and drop its file again afterwards"
        )
