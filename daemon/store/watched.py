"""The time limit of a delivery, held by the database: an endless statement ends, too, and nothing ends a COMMIT.

SQLite asks us every few thousand steps of a statement whether to go on; PostgreSQL has ``statement_timeout``. Both leave a
transaction that can only be rolled back.
"""

import math
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError

from daemon.time_limit import TimeLimit

_STEPS = 100_000  # of SQLite's machine between two questions: about a millisecond
_SLACK = (
    0.02  # of the limit: by so much PostgreSQL's own may lag behind, so that it is not set for each statement
)
_NEARLY = 1.0  # seconds: PostgreSQL's clock is another one
_SHORT = 60.0  # seconds
_CANCELLED = "57014"
_OPTION = "watched"


class Watched:
    """A connection on which a delivery's time limit is in force until ``lift``."""

    def __init__(self, connection: Connection, limit: TimeLimit) -> None:
        self.limit = limit
        self._connection = connection
        pooled: Any = connection.connection
        self._driver = pooled.driver_connection
        self._told = math.inf  # seconds that PostgreSQL was told last
        self._is_sqlite = connection.dialect.name == "sqlite"
        self._is_on = limit.until != math.inf
        if not self._is_on:
            return
        if self._is_sqlite:
            self._driver.set_progress_handler(limit.is_over, _STEPS)
        else:
            self._tell(limit.left)  # for COPY, too, which does not come by the event
        event.listen(connection, "before_cursor_execute", self._before)

    def _before(self, *_about_the_statement: object) -> None:
        limit = self.limit
        limit.check()
        if not self._is_sqlite:
            left = limit.seconds if limit.is_waiting else limit.left
            if abs(self._told - left) > _SLACK * limit.seconds:
                self._tell(left)

    def _tell(self, seconds: float) -> None:
        milliseconds = max(1, math.ceil(seconds * 1000)) if seconds else 0
        self._driver.execute(f"SET LOCAL statement_timeout = {milliseconds}")
        self._told = seconds

    def lift(self) -> None:
        """From here on nothing ends a statement. To be called before COMMIT.

        PostgreSQL puts its own limit off before it commits (its deferred triggers included), and is spared a word unless
        the time is so short that it could be over while COMMIT is still read.

        Raises:
            FileError: ``too_slow``: the time is over already.
        """
        self.limit.check()
        if self._is_on and not self._is_sqlite and self._told < _SHORT:
            self._tell(0)
        self.off()

    def off(self) -> None:
        """Lets go of the connection."""
        if not self._is_on:
            return
        self._is_on = False
        event.remove(self._connection, "before_cursor_execute", self._before)
        if self._is_sqlite:
            self._driver.set_progress_handler(None, 0)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Says that the time was over, where the database says that a statement was ended.

        Raises:
            FileError: ``too_slow``.
        """
        try:
            yield
        except Exception as error:
            limit = self.limit
            if _was_ended(error) and limit.left <= _NEARLY and not limit.is_waiting:
                raise limit.error() from error
            raise


@contextmanager
def watched(connection: Connection, limit: TimeLimit) -> Iterator[Watched]:
    """Holds a connection to a delivery's time limit; ``watched_of`` finds it again."""
    found = Watched(connection, limit)
    connection.execution_options(**{_OPTION: found})
    try:
        with found.told():
            yield found
    finally:
        found.off()


def watched_of(connection: Connection) -> Watched:
    """What holds a connection to its limit."""
    found: Watched = connection.get_execution_options()[_OPTION]
    return found


def _was_ended(error: BaseException) -> bool:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return (
        getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT
        or getattr(cause, "sqlstate", None) == _CANCELLED
    )
