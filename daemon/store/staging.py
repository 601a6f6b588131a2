"""Where the rows of a delivery wait until their file is judged: temporary tables of one connection.

They hold no lock on anything that others read or write. A small file goes in row by row; a large one on SQLite through
scratch files (see ``scratch.py``). The rows of a large file that has nothing to do with any other need not wait: they go
straight into the feed's table, in the delivery's transaction.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, CursorResult

from daemon.store.binary_copy import copy_in, encoded
from daemon.store.bulk import Manners
from daemon.store.errands import Errands
from daemon.store.schema import LINE_BITS
from daemon.store.scratch import Scratch, dwindling
from daemon.store.watched import watched_of
from handlers import columns
from handlers.check import Reject
from handlers.errors import FileError
from handlers.feed import Additive, Feed, names
from handlers.fixes import FIXED_LINE
from handlers.reasons import FileReason

REJECTS = "stage_rejects"
_REJECT_COLUMNS = {
    "line": "BIGINT",
    "column_name": "TEXT",
    "value": "TEXT",
    "reason": "TEXT",
    "message": "TEXT",
    "raw": "TEXT",
}
_MOST_SUM = 2**62
_WAITING = 2  # batches that wait to be copied
_MERGE_ABOVE = 100_000  # rows of partial sums kept before they are merged
SCRATCH_ABOVE = 4 << 20  # bytes of a file from which the scratch file pays (measured: about 50 000 rows)


def sql_kind(kind: columns.Kind) -> str:
    """The type of a staged column, in words both databases know."""
    match kind:
        case columns.Integer():
            return "BIGINT"
        case columns.Decimal():
            return "DOUBLE PRECISION"
        case columns.LocalTime():
            return "TIMESTAMP"
        case _:
            return "TEXT"


class Stage:
    """The rows and rejects of one delivery.

    Attributes:
        feed: whose rows.
        table: the table of its rows: ``line`` and the feed's columns.
        rows: how many rows are staged.
        rejects: how many rejects are.
        known: how many rows of the file were left out, because an earlier delivery has them.
        direct: the delivery under which rows are in the feed's table already, to be seen with its commit; None: all are staged.
    """

    def __init__(self, connection: Connection, manners: Manners, feed: Feed, scratch: Path | None) -> None:
        self.connection = connection
        self.manners = manners
        self.feed = feed
        self.table = (
            f"stage_{feed.name}" if FIXED_LINE not in names(feed.columns) else f"stage_{feed.name}_fix"
        )
        self.rows = 0
        self.rejects = 0
        self.known = 0
        self.direct: int | None = None
        self._sums: list[pa.Table] = []
        self._hours: list[pa.Table] = []
        self._path = scratch
        self._scratch: Scratch | None = None
        self._errands: Errands | None = None  # while rows go direct; the connection is theirs alone
        self._columns = {"line": "BIGINT"}
        self._columns |= {column.name: sql_kind(column.kind) for column in feed.columns}
        if feed.repeats == "number":
            self._columns[feed.key[-1]] = "BIGINT"
        self._run(manners.temporary(REJECTS, _REJECT_COLUMNS))
        self._run(f"DELETE FROM {REJECTS}")
        if scratch is None:
            self._make_table()
        else:
            self._run(f"DROP TABLE IF EXISTS temp.{self.table}")

    def go_direct(self, blocks: int, absent: Collection[str] = ()) -> None:
        """Lets rows go straight into the feed's table: each is written once then (on SQLite, while others are still read).

        Only for rows without a key, of a slot that nothing fills.

        Args:
            blocks: how many batches will come, more or less.
            absent: columns in which no row has a value: the database need not be told of each cell.
        """
        if not self._takes_keyless:
            return
        if self.manners.name == "postgresql":
            self.direct = self.manners.begin_direct(self.connection)
            self._errands = Errands("rows", _WAITING)
        elif self._path is not None:
            self._make_table()  # empty
            self._columns = {name: kind for name, kind in self._columns.items() if name not in absent}
            self._scratch = self._make_scratch(self._path, dwindling(blocks))
            self._errands = Errands("rows", math.inf)

    def begin(self) -> None:
        """Begins the delivery's transaction, as the only one that loads."""
        if self.manners.name == "postgresql" or self.direct is None:
            self.manners.begin(self.connection)

    @property
    def _takes_keyless(self) -> bool:
        return self.feed.repeats == "number" and FIXED_LINE not in names(self.feed.columns)

    def append(self, rows: pa.RecordBatch) -> None:
        """Stages valid rows."""
        if rows.num_rows == 0:
            return
        self.rows += rows.num_rows
        if isinstance(self.feed.daily, Additive):
            self._sums.append(self.feed.daily.summarise(rows))
            self._hours.append(self.feed.daily.clock(rows))
            if sum(t.num_rows for t in self._sums) > _MERGE_ABOVE and len(self._sums) > 1:
                self._sums = [self._merged(self.feed.daily)]
        if self._path is not None:
            if self._scratch is None:
                self._scratch = self._make_scratch(self._path)
            self._scratch.append(rows.select([name for name in self._columns if name in rows.schema.names]))
            self._take_whole(self._scratch)
        elif self._errands is not None and self.direct is not None:
            ids = np.asarray(rows["line"]) + (self.direct << LINE_BITS)
            names, values = encoded(ids, rows, self.feed.columns)
            self._errands.hand_over(lambda: copy_in(self.connection, self.feed.table, names, values))
        else:
            self.manners.insert(self.connection, self.table, rows)

    def reject(self, rejects: Sequence[Reject]) -> None:
        """Stages refused rows."""
        if not rejects:
            return
        self.rejects += len(rejects)
        table = pa.table(
            {
                "line": pa.array([r.line for r in rejects], pa.int64()),
                "column_name": [r.column for r in rejects],
                "value": [storable(r.value) for r in rejects],
                "reason": [str(r.reason) for r in rejects],
                "message": [storable(r.message) for r in rejects],
                "raw": [storable(r.raw) for r in rejects],
            }
        )
        if self._errands is not None:
            self._errands.hand_over(lambda: self.manners.insert(self.connection, REJECTS, table))
        else:
            self.manners.insert(self.connection, REJECTS, table)

    def finish(self) -> None:
        """Call once all rows are in: from now on SQL can read them."""
        if self._path is not None:
            if self._scratch is None:
                self._scratch = self._make_scratch(self._path)
            self._scratch.finish()
            self._take_whole(self._scratch)
        if self._errands is not None:
            self._errands.finish()

    def halt(self) -> None:
        """Ends the thread that puts rows into the feed's table: the connection is its owner's again."""
        if self._errands is not None:
            self._errands.close()

    def discard(self) -> None:
        """Ends the threads, and takes the scratch files away."""
        self.halt()
        if self._scratch is not None:
            self.connection.rollback()
            self._scratch.close()
            self._scratch = None

    def repeated_lines(self) -> list[int]:
        """The lines of rows whose key comes again further down; they are taken out."""
        if self.feed.repeats != "reject":
            return []
        key = ", ".join(self.feed.key)
        lines = [
            row[0]
            for row in self._run(
                f"SELECT line FROM (SELECT line, ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY line DESC) AS n"
                f" FROM {self.table}) ranked WHERE n > 1 ORDER BY line"
            )
        ]
        self.take_out(lines)
        return lines

    def take_out(self, lines: Sequence[int]) -> None:
        """Unstages the rows on some lines."""
        for begin in range(0, len(lines), 500):
            some = ", ".join(str(line) for line in lines[begin : begin + 500])
            self._run(f"DELETE FROM {self.table} WHERE line IN ({some})")
        self.rows -= len(lines)

    def number_repeats(self, after: str = "0") -> None:
        """Numbers the rows that share the rest of a key, in the order of the file (see ``Feed.repeats``).

        Args:
            after: SQL over a staged row ``s``: the number after which to begin.
        """
        if self.feed.repeats != "number":
            return
        *shared, number = self.feed.key
        first = shared[0]
        if not self._run(f"SELECT EXISTS (SELECT 1 FROM {self.table} WHERE {first} IS NOT NULL)").scalar():
            return
        self._run(
            f"UPDATE {self.table} SET {number} = ranked.n FROM (SELECT s.line, {after} + ROW_NUMBER() OVER"
            f" (PARTITION BY {', '.join(f's.{name}' for name in shared)} ORDER BY s.line) AS n FROM {self.table} s"
            f" WHERE s.{first} IS NOT NULL) AS ranked WHERE ranked.line = {self.table}.line"
        )

    def sums(self) -> pa.Table:
        """What the rows add to the feed's additive aggregate: one row per key.

        Shape (keys, columns of the aggregate).
        """
        if not isinstance(self.feed.daily, Additive) or not self._sums:
            raise AssertionError("no sums here")
        return self._merged(self.feed.daily)

    def hours(self) -> list[pa.Table]:
        """Parts of what the rows add to the totals per hour (see ``Additive.clock``)."""
        return self._hours

    def reasons(self) -> dict[str, int]:
        """How many rejects each reason has, most frequent first."""
        found = self._run(f"SELECT reason, COUNT(*) FROM {REJECTS} GROUP BY reason ORDER BY 2 DESC, 1")
        return {row[0]: row[1] for row in found}

    def first_rejects(self, most: int) -> list[tuple[int, str, str, str, str]]:
        """Line, column, value, reason and message of the first rejects."""
        found = self._run(
            f"SELECT line, column_name, value, reason, message FROM {REJECTS} ORDER BY line LIMIT {most}"
        )
        return [(row[0], row[1], row[2], row[3], row[4]) for row in found]

    def _take_whole(self, scratch: Scratch) -> None:
        """Has rows of scratch files put into the feed's table, in the delivery's transaction."""
        if self._errands is not None and self.rows:
            for table in scratch.whole():
                self._errands.hand_over(partial(self._take, table))

    def _take(self, table: str) -> None:
        if self.direct is None:
            with watched_of(self.connection).limit.waiting():
                self.direct = self.manners.begin_direct(self.connection)
        columns = ", ".join(name for name in self._columns if name != "line")
        self._run(
            f"INSERT INTO {self.feed.table} (id, {columns})"
            f" SELECT {self.direct << LINE_BITS} + line, {columns} FROM {table}"
        )

    def _make_table(self) -> None:
        self._run(self.manners.temporary(self.table, self._columns))
        self._run(f"DELETE FROM {self.table}")

    def _make_scratch(self, path: Path, sizes: Sequence[float] = (math.inf,)) -> Scratch:
        create = self.manners.temporary("{}", self._columns).replace("TEMPORARY ", "")
        return Scratch(self.connection, path, self.table, create, sizes)

    def _merged(self, daily: Additive) -> pa.Table:
        parts = pa.concat_tables(self._sums)
        for name in daily.measures:
            if np.abs(np.asarray(parts[name]).astype(np.float64)).sum() > _MOST_SUM:
                raise FileError(FileReason.SUM_TOO_LARGE, f"{name} adds up to more than {_MOST_SUM:,.0f}")
        return daily.merged(self._sums)

    def _run(self, sql: str) -> CursorResult[*tuple[Any, ...]]:
        return self.connection.exec_driver_sql(sql)


def storable(text: str) -> str:
    r"""Text that both databases take: PostgreSQL has no NUL, which is shown as ``\x00``."""
    return text.replace("\0", "\\x00")


@contextmanager
def staging(connection: Connection, manners: Manners, feed: Feed, scratch: Path | None) -> Iterator[Stage]:
    """A stage that leaves nothing behind.

    Args:
        connection: whose temporary tables; rolled back, if need be, by its owner.
        manners: of its database.
        feed: whose rows.
        scratch: a path for the scratch file of a large delivery on SQLite, or None.
    """
    if manners.name != "sqlite":
        scratch = None
    stage = Stage(connection, manners, feed, scratch)
    try:
        yield stage
    finally:
        stage.discard()


__all__ = ["REJECTS", "SCRATCH_ABOVE", "Stage", "staging", "storable"]
