"""The one transaction of a delivery, from top to bottom."""

import time
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from daemon.errors import TransientError
from daemon.outcomes import Counts, Delivery, Dialect, Loaded, Outcome
from daemon.store import alerts, fixing, ledger, quality, removed_days
from daemon.store.changes import Changes
from daemon.store.difference import difference, shrunk
from daemon.store.staging import Stage
from handlers import feed_named
from handlers.quality.result import DEFAULTS, Thresholds


def load(
    stage: Stage,
    delivery: Delivery,
    dialect: Dialect,
    seconds: float,
    least_share: float,
    thresholds: Thresholds = DEFAULTS,
    *,
    old_transactions: bool = False,
) -> Outcome:
    """Loads a judged delivery; the caller has begun the transaction and will commit it.

    Args:
        stage: its rows and rejects.
        delivery: what arrived.
        dialect: how it was written.
        seconds: what reading and checking took.
        least_share: of the rows it replaces a correction must have, 0 to 1.
        thresholds: of quality.
        old_transactions: let transactions in that may have been counted in rows that are gone.

    Raises:
        FileError: ``shrunk``: it would replace many more rows than it has; ``rows_removed`` or ``old_transactions``: what it
            would replace, or may repeat, is kept no more.
    """
    begun = time.monotonic()
    connection = stage.connection
    if stage.direct is not None:
        delivery = replace(delivery, id=stage.direct)
        _must_be_new(connection, delivery)
    done = ledger.outcome_of(connection, delivery.claim)
    if done is not None:
        return done
    its_slot = delivery.slot if stage.feed.dated_by_name else None
    twin = ledger.known(connection, delivery.sha256, its_slot).loaded_by
    if twin is not None:
        return ledger.record_duplicate(connection, delivery, twin)
    if delivery.fixes is not None:
        return _fix(
            stage, delivery, delivery.fixes, dialect, seconds, thresholds, old_transactions=old_transactions
        )
    previous = _replaced(stage, delivery, least_share)
    if not old_transactions:
        removed_days.must_be_new(stage)

    read = stage.rows + stage.rejects + stage.known
    delivery_id = _record(stage, delivery, dialect)
    changes = Changes(connection, stage.manners, stage.feed, delivery_id)
    if previous is not None:
        ledger.supersede(connection, previous.delivery_id, delivery_id)
        changes.supersede(previous.delivery_id)
    same = changes.load(stage, delivery_id, delivery.extends)
    if changes.set_aside:
        ledger.say_set_aside(connection, delivery_id, changes.set_aside)
    changes.reject(delivery_id)
    changes.settle(delivery_id)
    counts = Counts(read, stage.rows - same, stage.rejects, same + stage.known)
    alerts.on_loaded(connection, delivery_id, delivery.arrived)
    ledger.finish(connection, delivery_id, counts, seconds + time.monotonic() - begun)
    quality.accuracy_of_delivery(connection, delivery_id, delivery.arrived, thresholds)
    return Loaded(delivery_id, counts, previous.delivery_id if previous else None)


def _replaced(stage: Stage, delivery: Delivery, least_share: float) -> ledger.Current | None:
    """The delivery whose place a new one may take.

    Raises:
        FileError: ``shrunk`` or ``rows_removed``.
        TransientError: what its beginning was compared with is not loaded any more.
    """
    if delivery.slot is None:
        _must_be_as_seen(stage.connection, delivery)
    previous = ledger.current_of(stage.connection, delivery.slot)
    if previous is not None:
        removed_days.must_be_there(stage.connection, previous.delivery_id)
        if stage.rows < least_share * previous.loaded:
            raise shrunk(difference(stage, previous.delivery_id))
    return previous


def _must_be_new(connection: Connection, delivery: Delivery) -> None:
    """A delivery whose rows are in the feed's table already is not known, its slot is free, and it is the latest of all.

    Raises:
        TransientError: it is not so any more; to be tried again.
    """
    if (
        ledger.outcome_of(connection, delivery.claim) is not None
        or ledger.known(connection, delivery.sha256).loaded_by is not None
        or ledger.current_of(connection, delivery.slot) is not None
        or ledger.last(connection) > (delivery.id or 0)
    ):
        raise TransientError("another file was loaded meanwhile")


def _must_be_as_seen(connection: Connection, delivery: Delivery) -> None:
    """What the beginning of the file was compared with is still what is loaded.

    Raises:
        TransientError: it is not; to be tried again.
    """
    upto = delivery.looked_upto
    begun = delivery.extends and ledger.row_of(connection, delivery.extends)
    if (upto is not None and ledger.last_appended(connection, delivery.feed or "") > upto) or (
        begun and begun["status"] not in ledger.LOADED
    ):
        raise TransientError("another file of the feed was loaded or taken out meanwhile")


def _fix(
    stage: Stage,
    delivery: Delivery,
    first: int,
    dialect: Dialect,
    seconds: float,
    thresholds: Thresholds,
    *,
    old_transactions: bool,
) -> Outcome:
    """Lets corrected rows join the delivery that they were rejected from."""
    begun = time.monotonic()
    connection = stage.connection
    fixing.must_be_open(connection, first)
    fixing.must_fit(stage, first)
    if not old_transactions:
        removed_days.must_be_new(stage)
    delivery_id = _record(stage, delivery, dialect)
    changes = Changes(connection, stage.manners, feed_named(stage.feed.name), delivery_id)
    same = changes.join(stage, first)
    changes.reject(delivery_id)
    changes.settle(delivery_id)
    fixing.mark_fixed(stage, first, delivery_id)
    ledger.move_counts(connection, first, loaded=stage.rows - same, rejected=-stage.rows, duplicate=same)
    quality.accuracy_of_delivery(connection, first, delivery.arrived, thresholds)
    read = stage.rows + stage.rejects + stage.known
    counts = Counts(read, stage.rows - same, stage.rejects, same + stage.known)
    alerts.on_loaded(connection, delivery_id, delivery.arrived)
    ledger.finish(connection, delivery_id, counts, seconds + time.monotonic() - begun)
    return Loaded(delivery_id, counts)


def _record(stage: Stage, delivery: Delivery, dialect: Dialect) -> int:
    return ledger.record(
        stage.connection,
        delivery,
        status="partial" if stage.rejects else "success",
        counts=Counts(stage.rows + stage.rejects + stage.known, stage.rows, stage.rejects, stage.known),
        dialect=dialect,
        details=_details(stage, dialect),
    )


def _details(stage: Stage, dialect: Dialect) -> dict[str, Any]:
    details = ledger.details_of(dialect)
    if stage.rejects:
        details["reasons"] = stage.reasons()
    return details
