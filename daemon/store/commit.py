"""The one transaction of a delivery, from top to bottom."""

import time
from typing import Any

from daemon.outcomes import Counts, Delivery, Dialect, Loaded, Outcome
from daemon.store import ledger
from daemon.store.changes import Changes
from daemon.store.staging import Stage
from handlers.errors import FileError
from handlers.reasons import FileReason


def load(stage: Stage, delivery: Delivery, dialect: Dialect, seconds: float, least_share: float) -> Outcome:
    """Loads a judged delivery; the caller has begun the transaction and will commit it.

    Args:
        stage: its rows and rejects.
        delivery: what arrived.
        dialect: how it was written.
        seconds: what reading and checking took.
        least_share: of the rows it replaces a correction must have, 0 to 1.

    Raises:
        FileError: ``shrunk``: it would replace many more rows than it has.
    """
    begun = time.monotonic()
    connection = stage.connection
    known = ledger.outcome_of(connection, delivery.claim)
    if known is not None:
        return known
    twin = ledger.loaded_with(connection, delivery.sha256)
    if twin is not None:
        return ledger.record_duplicate(connection, delivery, twin)
    previous = ledger.current_of(connection, delivery.slot)
    if previous is not None and stage.rows < least_share * previous.loaded:
        raise FileError(
            FileReason.SHRUNK,
            f"the file has {stage.rows} valid rows and would replace the {previous.loaded} rows of delivery"
            f" {previous.delivery_id}",
        )

    read = stage.rows + stage.rejects
    delivery_id = ledger.record(
        connection,
        delivery,
        status="partial" if stage.rejects else "success",
        counts=Counts(read, stage.rows, stage.rejects),
        dialect=dialect,
        details=_details(stage, dialect),
    )
    changes = Changes(connection, stage.manners, stage.feed)
    if previous is not None:
        changes.retract(previous.delivery_id)
        ledger.supersede(connection, previous.delivery_id, delivery_id)
    same = changes.load(stage, delivery_id)
    changes.settle()
    counts = Counts(read, stage.rows - same, stage.rejects, same)
    ledger.finish(connection, delivery_id, counts, seconds + time.monotonic() - begun)
    return Loaded(delivery_id, counts, previous.delivery_id if previous else None)


def _details(stage: Stage, dialect: Dialect) -> dict[str, Any]:
    details: dict[str, Any] = {"header": list(dialect.header)}
    if dialect.unknown:
        details["unknown_columns"] = list(dialect.unknown)[:100]
    if stage.rejects:
        details["reasons"] = stage.reasons()
    return details
