"""Several small deliveries in one transaction: each keeps its own row of the ledger, and all are durable at once.

They are new in every way: bytes, slot and keys that no delivery has had, days whose rows are there, and not a row to refuse. So
nothing steps back, nothing is judged, and what is added up per key and day is added once for all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import takewhile
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlalchemy import Connection

from daemon.outcomes import Delivery, Dialect
from daemon.store import alerts, ledger, quality, removed_days
from daemon.store.bulk import Manners
from daemon.store.changes import Changes
from handlers.feed import Feed
from handlers.quality.result import Thresholds


@dataclass(frozen=True, slots=True)
class Clean:
    """A small file that was read, and has nothing to remark on.

    Attributes:
        delivery: with its hash, feed and slot.
        dialect: how it is written.
        rows: typed, with ``line`` and the number of a repeated key.
    """

    delivery: Delivery
    dialect: Dialect
    rows: pa.RecordBatch


def load_together(
    connection: Connection,
    manners: Manners,
    feed: Feed,
    some: Sequence[Clean],
    seconds: float,
    thresholds: Thresholds,
) -> list[dict[str, Any]]:
    """Loads the first of some deliveries, up to one that is not new; the caller has begun the transaction and will commit it.

    Args:
        connection: of the transaction.
        manners: of its database.
        feed: of all of them.
        some: in the order of arrival.
        seconds: what reading each took.
        thresholds: of quality.

    Returns:
        The rows of the ledger of those that were loaded; none, if already the first is to be loaded alone.
    """
    hashes, slots = ledger.known_among(
        connection,
        {str(each.delivery.sha256) for each in some},
        {str(each.delivery.slot) for each in some},
    )
    new = list(
        takewhile(lambda each: each.delivery.sha256 not in hashes and each.delivery.slot not in slots, some)
    )
    if not new:
        return []
    new = new[: _first_late(connection, feed, new)]
    if not new:
        return []
    changes = Changes(connection, manners, feed)
    if feed.key:
        rows = pa.Table.from_batches([each.rows for each in new])
        taken = changes.rivals(rows, pa.array(_of(new)))
        new = new[: min(taken, default=len(new))]
        if not new:
            return []
    recorded = ledger.record_clean(
        connection, [(each.delivery, each.dialect, each.rows.num_rows) for each in new], seconds
    )
    ids = np.array([row["id"] for row in recorded], np.int64)
    changes.add(pa.Table.from_batches([each.rows for each in new]), ids[_of(new)])
    changes.settle(*ids.tolist())
    at = new[-1].delivery.arrived
    alerts.on_new(connection, recorded, at)
    quality.accuracy_of_clean(connection, recorded, at, thresholds)
    return recorded


def _first_late(connection: Connection, feed: Feed, some: Sequence[Clean]) -> int:
    """Which is the first with a row of a day whose rows were removed (``removed_days``); how many there are, if none has."""
    if not removed_days.are_there(connection, feed.name):
        return len(some)
    for place, each in enumerate(some):
        days = pc.unique(pc.utf8_slice_codeunits(each.rows["date"], 0, 10)).to_pylist()
        if removed_days.any_of(connection, feed.name, [date.fromisoformat(day) for day in days]):
            return place
    return len(some)


def _of(some: Sequence[Clean]) -> NDArray[np.int64]:
    """For each row of some deliveries, which of them has it."""
    return np.repeat(np.arange(len(some)), [each.rows.num_rows for each in some])
