"""Old rows of the feeds: looked for, decided on, and taken out, each day in short transactions."""

import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import partial

from daemon.store import Store, ledger, raw_rows
from daemon.store.raw_rows import Day, Old
from handlers.feed import Feed

_LONGEST_REST = 1.0  # seconds that others have the database for themselves after a step


def count(store: Store, before: date, now: datetime, rows: dict[str, int]) -> None:
    """Counts what would go, by table.

    Args:
        store: the database.
        before: the first day that stays.
        now: aware.
        rows: is counted up.
    """
    for day in _days(store, before, now, store.ask(ledger.last)):
        _add(rows, day.rows)


def remove(store: Store, before: date, now: datetime, rows: dict[str, int]) -> None:
    """Takes out what may go. The arguments are those of ``count``."""
    for day in _days(store, before, now, store.change(raw_rows.last_delivery)):
        left = list(day.decided)
        if day.undecided:
            decided: bool = store.change(partial(raw_rows.decide, day=day))
            left += day.undecided if decided else []
        while left:
            begun = time.monotonic()
            gone, left = store.change(partial(raw_rows.take_out, day=day, deliveries=left))
            _add(rows, gone)
            time.sleep(min(time.monotonic() - begun, _LONGEST_REST))


def _days(store: Store, before: date, now: datetime, upto: int) -> Iterator[Day]:
    old = Old(before, upto, now - raw_rows.LATE_STAYS)
    for feed in raw_rows.FEEDS:
        yield from _days_of(store, feed, old)


def _days_of(store: Store, feed: Feed, old: Old) -> Iterator[Day]:
    first = date.min + timedelta(days=1)
    while True:
        some = store.ask(partial(raw_rows.look, feed=feed, old=old, first=first))
        if some is None:
            return
        yield from some.days
        first = some.until


def _add(rows: dict[str, int], more: dict[str, int]) -> None:
    for table, number in more.items():
        rows[table] += number
