"""Scratch files, through which the rows of a large file come into SQLite: no Python object per row.

Arrow's driver writes them, in a thread; SQL reads them. That driver carries a copy of SQLite of its own. Two copies in one
process must not have a file open that either of them locks, for closing it in one drops the locks of the other: which is why
rows go through files of their own, not straight into the database, and why these are opened without locks. Only we know
them, and no file is read before it is whole.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection

from daemon.errors import TransientError
from daemon.store.errands import Errands

AUTOCHECKPOINT = 8000  # pages of the log after which a commit copies it into the database
_MOST = 8  # SQLite can attach ten
_DWINDLES = 0.9  # reading a file takes .6 to 1.1 of the time that writing it does
_WAITING = 0  # batches that wait to be written, besides the one that is handed over
_FAST = ("journal_mode=OFF", "synchronous=OFF")  # they are thrown away in any case


class Scratch:
    """Scratch files of one delivery, filled one after the other.

    Args:
        connection: that reads them; a transaction of it ends here, for SQLite cannot attach within one.
        path: of the first file; the names of the others begin with it.
        table: of the rows, in each of them.
        create: SQL that makes it, with ``{}`` for its name.
        sizes: how many batches come into each of the files; the last takes all that are left.
    """

    def __init__(
        self,
        connection: Connection,
        path: Path,
        table: str,
        create: str,
        sizes: Sequence[float] = (math.inf,),
    ) -> None:
        self._connection = connection
        self._files = [path.with_name(f"{path.name}.{part}") for part in range(len(sizes))]
        self._table = table
        self._sizes = sizes
        self._errands = Errands("scratch", _WAITING)
        self._told = 0
        self._whole = 0  # like the two below, set by the thread
        self._written = 0
        self._driver: Any = None
        connection.commit()
        try:
            self._attach(create)
        except BaseException:
            self.close()
            raise

    def _attach(self, create: str) -> None:
        cursor = self._connection.connection.cursor()
        # who waits for the commit need not wait until the log is copied into the database: the next commit, of the filing, does it
        cursor.execute("PRAGMA wal_autocheckpoint=0")
        for part, file in enumerate(self._files):
            file.unlink(missing_ok=True)
            cursor.execute(f"ATTACH DATABASE ? AS scratch{part}", (_without_locks(file),))
            for pragma in (*_FAST, "page_size=65536", "cache_size=-512"):
                cursor.execute(f"PRAGMA scratch{part}.{pragma}")
            cursor.execute(create.format(f"scratch{part}.{self._table}"))

    def append(self, rows: pa.RecordBatch) -> None:
        """Hands rows over to be written.

        Raises:
            TransientError: others could not be.
        """
        self._errands.hand_over(lambda: self._write(rows))

    def whole(self) -> list[str]:
        """The tables that SQL can read and that were not told yet."""
        begin, self._told = self._told, self._whole
        return [f"scratch{part}.{self._table}" for part in range(begin, self._told)]

    def finish(self) -> None:
        """Waits until all are whole.

        Raises:
            TransientError: some rows could not be written.
        """
        self._errands.hand_over(self._end_part)
        self._errands.finish()
        self._whole = len(self._files)

    def close(self) -> None:
        """Takes the files away. The connection is in no transaction."""
        self._errands.close()
        try:
            if self._driver is not None:
                self._driver.close()
        finally:
            self._detach()
            for file in self._files:
                file.unlink(missing_ok=True)

    def _detach(self) -> None:
        if self._connection.invalidated:
            return
        cursor = self._connection.connection.cursor()
        for name in [row[1] for row in cursor.execute("PRAGMA database_list").fetchall()]:
            if name.startswith("scratch"):
                cursor.execute(f"DETACH DATABASE {name}")
        cursor.execute(f"PRAGMA wal_autocheckpoint={AUTOCHECKPOINT}")

    def _write(self, rows: pa.RecordBatch) -> None:
        from adbc_driver_manager import dbapi as manager  # noqa: PLC0415  (only large files need it)
        from adbc_driver_sqlite import dbapi  # noqa: PLC0415

        try:
            if self._driver is None:
                self._driver = dbapi.connect(_without_locks(self._files[self._whole]), autocommit=True)
                _run(self._driver, *(f"PRAGMA {pragma}" for pragma in _FAST))
            with self._driver.cursor() as cursor:
                cursor.adbc_ingest(self._table, rows, mode="append")
        except manager.Error as error:  # without a journal the driver's own rollback hides what was wrong
            raise TransientError(
                f"a large file cannot be staged in {self._files[0].parent}: is the disk full?"
            ) from error
        self._written += 1
        if self._written >= self._sizes[self._whole] and self._whole < len(self._files) - 1:
            self._end_part()

    def _end_part(self) -> None:
        if self._driver is not None:
            self._driver.close()
            self._driver, self._written = None, 0
            self._whole += 1


def dwindling(batches: int) -> list[int]:
    """Sizes of as many files as can be, each smaller than the one before.

    A file is read while the next one is written, which takes the longer time: so whoever reads never waits long, and has
    little left to read when the last one is whole.
    """
    shares = np.cumsum(_DWINDLES ** np.arange(_MOST))
    ends = np.rint(shares / shares[-1] * batches).astype(int)
    return [max(1, int(size)) for size in np.diff(ends, prepend=0)]


def _without_locks(file: Path) -> str:
    return f"{file.absolute().as_uri()}?nolock=1"


def _run(driver: Any, *statements: str) -> None:
    with driver.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
            cursor.fetchall()
