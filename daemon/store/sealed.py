"""Aggregates of old days, whose rows are gone: they are made anew no more.

A snapshot aggregate is made from all rows of its key and day. Where some were removed that would make it wrong, so
that it is sealed: a late row is stored beside, among the shadowed ones, and changes nothing. A key and day of which
nothing was known is made from the late rows, and anew with each of them, until those are removed in their turn.
"""

from dataclasses import dataclass

from sqlalchemy import Connection

from daemon.store import removed_days
from daemon.store.aggregates import without_day
from daemon.store.bulk import Manners
from daemon.store.schema import LINE_BITS
from handlers.feed import Feed, Snapshot


@dataclass(frozen=True, slots=True)
class Seals:
    """What is sealed among the keys and days that a transaction comes by.

    Attributes:
        connection: of the transaction.
        manners: of its database.
        feed: whose aggregate.
        keys: of the aggregate, without the day; none if nothing can be sealed.
        touched: the table of keys and days that the transaction makes anew.
        now: the number of the delivery that comes; removals that came after it are not looked at.
    """

    connection: Connection
    manners: Manners
    feed: Feed
    keys: tuple[str, ...]
    touched: str
    now: int

    @classmethod
    def of(cls, connection: Connection, manners: Manners, feed: Feed, touched: str, now: int) -> "Seals":
        """Those of a transaction that has noted nothing yet; sums are never sealed."""
        may_be = isinstance(feed.daily, Snapshot) and removed_days.are_there(connection, feed.name)
        keys = without_day(feed.day_key) if may_be else ()
        found = cls(connection, manners, feed, keys, touched, now)
        if may_be:
            kinds = {**dict.fromkeys(keys, "TEXT"), "day": "DATE"}
            connection.exec_driver_sql(manners.temporary(found._table, kinds))
            connection.exec_driver_sql(f"DELETE FROM {found._table}")
        return found

    def note(self, source: str) -> None:
        """Notes those of some rows that are sealed.

        Args:
            source: SQL: the rows, after FROM, as s; with a condition.
        """
        if not self.keys or self.feed.daily is None:
            return
        own, its = ", ".join(self.keys), f"r.feed = '{self.feed.name}'"
        same = " AND ".join(f"{{0}}.{key} = t.{key}" for key in self.keys)
        every = f"SELECT {', '.join(f's.{key}' for key in self.keys)}, {self.manners.day('s.date')} AS day FROM {source}"
        removed = f"SELECT r.day FROM removed_days r WHERE {its}"
        rows = f"SELECT DISTINCT {own}, day FROM ({every}) e WHERE e.day IN ({removed})"
        since = (
            f"SELECT MAX(r.since) FROM removed_days r WHERE {its} AND r.day = k.day AND r.since <= {self.now}"
        )
        late = (
            f"SELECT 1 FROM {self.feed.table} l WHERE {same.format('l')} AND l.date >= t.day"
            f" AND l.date < {self.manners.day_after('t.day')} AND l.id >= (t.since << {LINE_BITS})"
        )
        self.connection.exec_driver_sql(
            f"INSERT INTO {self._table} ({own}, day)"
            f" SELECT {own}, day FROM (SELECT k.*, ({since}) AS since FROM ({rows}) k) t WHERE t.since IS NOT NULL"
            f" AND EXISTS (SELECT 1 FROM {self.feed.daily.table} a WHERE {same.format('a')} AND a.day = t.day)"
            f" AND NOT EXISTS ({late}) AND ({own}, day) NOT IN (SELECT {own}, day FROM {self.touched})"
        )

    def without(self, condition: str) -> str:
        """SQL: a condition on rows s, and that what they belong to is not sealed."""
        if not self.keys:
            return condition
        its = ", ".join((*(f"s.{key}" for key in self.keys), self.manners.day("s.date")))
        return f"{condition} AND ({its}) NOT IN (SELECT {', '.join(self.keys)}, day FROM {self._table})"

    def rows(self, condition: str) -> str | None:
        """SQL: the ids of the feed's rows l that belong to what is sealed; None: nothing is.

        Args:
            condition: on l.
        """
        if not self.keys:
            return None
        join = " AND ".join(f"l.{key} = z.{key}" for key in self.keys)
        return (
            f"SELECT l.id FROM {self._table} z CROSS JOIN {self.feed.table} l WHERE {join} AND l.date >= z.day"
            f" AND l.date < {self.manners.day_after('z.day')} AND {condition}"
        )

    def leave(self) -> None:
        """Lets the transaction not make anew what is sealed."""
        if self.keys:
            own = ", ".join((*self.keys, "day"))
            self.connection.exec_driver_sql(
                f"DELETE FROM {self.touched} WHERE ({own}) IN (SELECT {own} FROM {self._table})"
            )

    @property
    def _table(self) -> str:
        return f"sealed_{self.feed.name}"
