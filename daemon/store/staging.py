"""Where the rows of a delivery wait until their file is judged: temporary tables of one connection.

They hold no lock on anything that others read or write. A small file goes in row by row; a large one on SQLite goes
through Arrow's own driver into a scratch file, which is then attached: no Python object per row.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, CursorResult

from daemon.errors import TransientError
from daemon.store.bulk import Manners
from daemon.store.schema import LINE_BITS
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
_MERGE_ABOVE = 200_000  # rows of partial sums kept before they are merged
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
        direct: the delivery under which rows go straight into the feed's table, to be seen with its commit; None: they are staged.
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
        self._scratch = scratch
        self._columns = {"line": "BIGINT"}
        self._columns |= {column.name: sql_kind(column.kind) for column in feed.columns}
        if feed.repeats == "number":
            self._columns[feed.key[-1]] = "BIGINT"
        self._run(manners.temporary(REJECTS, _REJECT_COLUMNS))
        self._run(f"DELETE FROM {REJECTS}")
        if scratch is None:
            self._run(manners.temporary(self.table, self._columns))
            self._run(f"DELETE FROM {self.table}")
            self._writer: _Scratch | None = None
        else:
            self._run(f"DROP TABLE IF EXISTS temp.{self.table}")
            self._writer = _Scratch(scratch, self.table, manners.temporary(self.table, self._columns))

    def go_direct(self) -> None:
        """Lets rows go straight into the feed's table: PostgreSQL writes each once then, and takes half the time.

        Only for rows without a key, of a slot that nothing fills. SQLite would hold its one write lock while it reads the file.
        """
        if self.manners.name == "postgresql" and self._takes_keyless:
            ids = "SELECT nextval(pg_get_serial_sequence('data_ingestion_log', 'id'))"
            self.direct = int(self._run(ids).scalar_one())

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
        if self._writer is not None:
            self._writer.append(rows)
        elif self.direct is not None:
            ids = np.asarray(rows["line"]) + (self.direct << LINE_BITS)
            self.manners.insert(self.connection, self.feed.table, rows.set_column(0, "id", pa.array(ids)))
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
        self.manners.insert(self.connection, REJECTS, table)

    def finish(self) -> None:
        """Call once all rows are in: from now on SQL can read them."""
        if self._writer is not None:
            self._writer.close()
            # SQLite cannot attach within a transaction
            self.connection.commit()
            cursor = self.connection.connection.cursor()
            cursor.execute("ATTACH DATABASE ? AS scratch", (str(self._scratch),))
            for pragma in ("journal_mode=OFF", "synchronous=OFF"):  # it is thrown away in any case
                cursor.execute(f"PRAGMA scratch.{pragma}")
            self._writer = None

    def discard(self) -> None:
        """Takes the scratch file away."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._scratch is None:
            return
        self.connection.rollback()
        if not self.connection.invalidated:
            cursor = self.connection.connection.cursor()
            if any(row[1] == "scratch" for row in cursor.execute("PRAGMA database_list").fetchall()):
                cursor.execute("DETACH DATABASE scratch")
        self._scratch.unlink(missing_ok=True)

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

    def _merged(self, daily: Additive) -> pa.Table:
        parts = pa.concat_tables(self._sums)
        for name in daily.measures:
            if np.abs(np.asarray(parts[name]).astype(np.float64)).sum() > _MOST_SUM:
                raise FileError(FileReason.SUM_TOO_LARGE, f"{name} adds up to more than {_MOST_SUM:,.0f}")
        return daily.merged(self._sums)

    def _run(self, sql: str) -> CursorResult[*tuple[Any, ...]]:
        return self.connection.exec_driver_sql(sql)


class _Scratch:
    """A SQLite file that only Arrow's driver has open, until it is closed.

    That driver carries its own copy of SQLite. Two copies must never have one file open in a process (closing it in
    one drops the locks of the other), which is why rows go through a file of their own and not straight into the
    database.
    """

    def __init__(self, path: Path, table: str, create: str) -> None:
        from adbc_driver_sqlite import dbapi  # noqa: PLC0415  (only large files need it)

        path.unlink(missing_ok=True)
        self._path = path
        self._table = table
        self._connection = dbapi.connect(str(path), autocommit=True)
        self._cursor = self._connection.cursor()
        for statement in (
            "PRAGMA journal_mode=OFF",
            "PRAGMA synchronous=OFF",
            create.replace("TEMPORARY ", ""),
        ):
            self._cursor.execute(statement)
            self._cursor.fetchall()

    def append(self, rows: pa.RecordBatch) -> None:
        from adbc_driver_manager import dbapi  # noqa: PLC0415

        try:
            self._cursor.adbc_ingest(self._table, rows, mode="append")
        except dbapi.Error as error:  # without a journal the driver's own rollback hides what was wrong
            raise TransientError(
                f"a large file cannot be staged in {self._path.parent}: is the disk full?"
            ) from error

    def close(self) -> None:
        self._cursor.close()
        self._connection.close()


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
        if scratch is not None:
            stage.discard()


__all__ = ["REJECTS", "SCRATCH_ABOVE", "Stage", "staging", "storable"]
