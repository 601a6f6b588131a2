"""Following the ledger: what came, and what changed, since the last look."""

from collections.abc import Iterable, Mapping
from typing import Any

from daemon.store import Store, history

WATCHED = 1_000  # of the last deliveries; an older one is noticed when it is replaced or fixed


class Follower:
    """Asks the ledger again and again; each look costs about the same, however long the history is."""

    def __init__(
        self, store: Store, wanted: history.Wanted, shown: Iterable[Mapping[str, Any]], last: int
    ) -> None:
        """Begins after what was shown.

        Args:
            store: the database.
            wanted: which deliveries.
            shown: rows that were printed already.
            last: the newest delivery when they were read.
        """
        self._store, self._wanted, self._last = store, wanted, last
        self._states = store.ask(lambda connection: history.states(connection, last - WATCHED, last))
        # what changed while they were printed
        self._states |= {row["id"]: history.state_of(row) for row in shown if row["id"] in self._states}

    def news(self) -> list[dict[str, Any]]:
        """The rows that came or changed, oldest first.

        Raises:
            DatabaseUnavailable: to be asked again; nothing is lost.
        """
        last = self._last
        newest = max(last, self._store.ask(history.last_id))
        states = self._store.ask(lambda connection: history.states(connection, newest - WATCHED, newest))
        touched = (
            self._store.ask(lambda connection: history.touched_by(connection, last))
            if newest > last
            else set()
        )
        changed = {
            key for key, state in states.items() if key > last or self._states.get(key, state) != state
        }
        # those older than what is watched: whether something changed is not known, so they are told
        changed |= {key for key in touched if key not in self._states}
        skipped = newest - WATCHED - last
        wanted = self._wanted
        rows = self._store.ask(lambda connection: history.chosen(connection, changed, wanted))
        if skipped > 0:  # more came at once than is watched
            missed = self._store.ask(lambda c: history.page(c, wanted, 0, last, newest - WATCHED))
            rows = sorted({row["id"]: row for row in (*missed, *rows)}.values(), key=lambda row: row["id"])
        self._last, self._states = newest, states
        return rows
