"""The usual number of rows of a feed, source and weekday: asked of the ledger, and remembered for an hour."""

import time
from collections.abc import Callable
from datetime import date, timedelta

from sqlalchemy import Connection, bindparam, select

from daemon.errors import TransientError
from daemon.store.ledger import LOADED
from daemon.store.schema import DELIVERIES
from daemon.store.store import Store
from handlers.band import REMEMBERED, Band, learn

_WEEKS = 26  # how far back: a season
_REMEMBERED_SECONDS = 3600.0
_AFTER_ERROR_SECONDS = 60.0
_MOST_KEYS = 50_000  # a shop, a feed and a weekday each
_C = DELIVERIES.c
_USUAL = (
    select(_C.records_processed)
    .where(_C.slot.in_(bindparam("slots", expanding=True)), _C.status.in_(LOADED), _C.superseded_by.is_(None))
    .order_by(_C.slot.desc(), _C.id.desc())
    .limit(REMEMBERED)
)


class Bands:
    """Answers from memory where it can; a database that is away means that nothing is usual."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[tuple[str, str, int], tuple[float, Band | None]] = {}

    def of(self, slot: str) -> Band | None:
        """What is usual for a slot's feed, source and weekday.

        Args:
            slot: ``feed:YYYY-MM-DD:source``.
        """
        feed, day_text, source = slot.split(":", 2)
        day = date.fromisoformat(day_text)
        key, now = (feed, source, day.weekday()), self._clock()
        until, band = self._known.get(key, (now, None))
        if until > now:
            return band
        if len(self._known) >= _MOST_KEYS:
            self._known.clear()
        try:
            band = learn(self._store.ask(lambda connection: usual_rows(connection, feed, day, source)))
        except TransientError:
            self._known[key] = (now + _AFTER_ERROR_SECONDS, None)
            return None
        self._known[key] = (now + _REMEMBERED_SECONDS, band)
        return band


def usual_rows(connection: Connection, feed: str, day: date, source: str) -> list[int]:
    """Data rows of the last loaded deliveries of a feed and source on a weekday, the latest date first.

    The slots of half a year are named one by one: then the index on ``slot`` answers, however long the history is.
    """
    days = (day - timedelta(weeks=week) for week in range(_WEEKS + 1))
    slots = [f"{feed}:{each.isoformat()}:{source}" for each in days]
    found = connection.execute(_USUAL, {"slots": slots})
    return [int(rows) for rows in found.scalars()]
