"""Scratch files, through which the rows of a large file come into SQLite: no Python object per row.

Arrow's driver writes them, in a thread; SQL reads them. That driver carries a copy of SQLite of its own. Two copies in one
process must not have a file open that either of them locks, for closing it in one drops the locks of the other: which is why
rows go through files of their own, not straight into the database, and why these are opened without locks. Only we know
them, and no file is read before it is whole.
"""

import math
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from daemon.errors import TransientError

AUTOCHECKPOINT = 8000  # pages of the log after which a commit copies it into the database
MOST = 8  # SQLite can attach ten
_WAITING = 1  # batches that wait to be written
_FAST = ("journal_mode=OFF", "synchronous=OFF")  # they are thrown away in any case


class Scratch:
    """Scratch files of one delivery, filled one after the other.

    Args:
        connection: that reads them; a transaction of it ends here, for SQLite cannot attach within one.
        path: of the first file; the names of the others begin with it.
        table: of the rows, in each of them.
        create: SQL that makes it, with ``{}`` for its name.
        parts: how many files.
        batches: that come into each but the last.
    """

    def __init__(
        self,
        connection: Connection,
        path: Path,
        table: str,
        create: str,
        parts: int = 1,
        batches: float = math.inf,
    ) -> None:
        self._connection = connection
        self._files = [path.with_name(f"{path.name}.{part}") for part in range(parts)]
        self._table = table
        self._batches = batches
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="scratch")
        self._writing: deque[Future[None]] = deque()
        self._taken = 0
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
            for pragma in (*_FAST, "cache_size=-256"):
                cursor.execute(f"PRAGMA scratch{part}.{pragma}")
            cursor.execute(create.format(f"scratch{part}.{self._table}"))

    def append(self, rows: pa.RecordBatch) -> None:
        """Hands rows over to be written.

        Raises:
            TransientError: others could not be.
        """
        self._wait(_WAITING)
        self._writing.append(self._pool.submit(self._write, rows))

    def whole(self, most: int) -> list[str]:
        """So many of the tables that SQL can read and were not told yet."""
        begin, self._taken = self._taken, min(self._whole, self._taken + most)
        return [f"scratch{part}.{self._table}" for part in range(begin, self._taken)]

    @property
    def is_well_ahead(self) -> bool:
        """Whether so many are whole that who begins to read now will hardly wait for the rest."""
        return self._whole >= len(self._files) // 4

    def finish(self) -> None:
        """Waits until all are whole.

        Raises:
            TransientError: some rows could not be written.
        """
        self._wait(0)
        self._pool.submit(self._end_part).result()
        self._whole = len(self._files)

    def close(self) -> None:
        """Takes the files away. The connection is in no transaction."""
        self._pool.shutdown(cancel_futures=True)
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

    def _wait(self, most: int) -> None:
        while len(self._writing) > most:
            self._writing.popleft().result()

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
        if self._written >= self._batches and self._whole < len(self._files) - 1:
            self._end_part()

    def _end_part(self) -> None:
        if self._driver is not None:
            self._driver.close()
            self._driver, self._written = None, 0
            self._whole += 1


def _without_locks(file: Path) -> str:
    return f"{file.absolute().as_uri()}?nolock=1"


def _run(driver: Any, *statements: str) -> None:
    with driver.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
            cursor.fetchall()
