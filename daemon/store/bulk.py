"""Arrow tables into database tables, and the few expressions in which the two databases differ.

Names in the SQL of this package come from the feeds' declarations, never from a file.
"""

import io
from abc import ABC, abstractmethod
from itertools import chain, islice
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
from sqlalchemy import Connection


class Manners(ABC):
    """What differs between the databases."""

    name: str

    @abstractmethod
    def insert(self, connection: Connection, table: str, rows: pa.Table | pa.RecordBatch) -> None:
        """Appends rows; their columns are named as the table's."""

    @abstractmethod
    def day(self, column: str) -> str:
        """SQL: the day of a local time."""

    @abstractmethod
    def day_after(self, column: str) -> str:
        """SQL: the next day."""

    @abstractmethod
    def begin(self, connection: Connection) -> None:
        """Ends staging and begins the delivery's transaction, as the only one that loads."""

    @abstractmethod
    def begin_direct(self, connection: Connection) -> int:
        """Begins the delivery's transaction before all of its file is read, and gives the number that it will have."""

    @abstractmethod
    def take_turns(self, connection: Connection) -> None:
        """Makes a transaction the only one that does what follows the deliveries."""

    @abstractmethod
    def temporary(self, table: str, columns: dict[str, str]) -> str:
        """SQL: makes a table of this connection's own if it is not there."""


class Sqlite(Manners):
    """SQLite: rows as tuples; times are text."""

    name = "sqlite"

    def insert(self, connection: Connection, table: str, rows: pa.Table | pa.RecordBatch) -> None:
        """By statements of many rows, and ``executemany`` for the rest."""
        if rows.num_rows == 0:
            return
        # a column without a value need not be said
        names = [name for name in rows.schema.names if rows.column(name).null_count < rows.num_rows]
        names = names or rows.schema.names[:1]
        row = f"({', '.join('?' * len(names))})"
        insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES "
        cursor: Any = connection.connection.cursor()
        values = zip(*(rows.column(name).to_pylist() for name in names), strict=True)
        many = insert + ", ".join([row] * _ROWS)
        for _ in range(rows.num_rows // _ROWS):
            cursor.execute(many, tuple(chain.from_iterable(islice(values, _ROWS))))
        cursor.executemany(insert + row, values)
        cursor.close()

    def day(self, column: str) -> str:
        """See ``Manners``."""
        return f"substr({column}, 1, 10)"

    def day_after(self, column: str) -> str:
        """See ``Manners``."""
        return f"date({column}, '+1 day')"

    def begin(self, connection: Connection) -> None:
        """What was staged is committed (nobody else sees it), so that the write lock is taken as late as can be."""
        connection.commit()
        connection.execution_options(begin="IMMEDIATE")
        connection.begin()

    def begin_direct(self, connection: Connection) -> int:
        """Nobody else writes from here on."""
        connection.commit()
        connection.execution_options(begin="DEFERRED")
        connection.begin()
        # to write nothing takes the lock; BEGIN IMMEDIATE would also begin to read the scratch files, which are not whole yet
        connection.exec_driver_sql("DELETE FROM data_ingestion_log WHERE false")
        last = "SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'data_ingestion_log'"
        return int(connection.exec_driver_sql(last).scalar_one()) + 1

    def take_turns(self, connection: Connection) -> None:
        """Nothing: only one connection can write."""

    def temporary(self, table: str, columns: dict[str, str]) -> str:
        """See ``Manners``."""
        kinds = ", ".join(f"{name} {_SQLITE_KINDS.get(kind, kind)}" for name, kind in columns.items())
        return f"CREATE TEMPORARY TABLE IF NOT EXISTS {table} ({kinds})"


class Postgresql(Manners):
    """PostgreSQL: rows by COPY."""

    name = "postgresql"

    def insert(self, connection: Connection, table: str, rows: pa.Table | pa.RecordBatch) -> None:
        r"""By COPY of CSV.

        A line that is only ``\.`` would end the data; here every line begins with a number or is quoted.
        """
        if rows.num_rows == 0:
            return
        names = rows.schema.names
        buffer = io.BytesIO()
        pacsv.write_csv(rows, buffer, pacsv.WriteOptions(include_header=False, quoting_style="all_valid"))
        driver: Any = connection.connection.driver_connection
        with (
            driver.cursor() as cursor,
            cursor.copy(f"COPY {table} ({', '.join(names)}) FROM STDIN (FORMAT csv)") as copy,
        ):
            copy.write(buffer.getbuffer())

    def day(self, column: str) -> str:
        """See ``Manners``."""
        return f"CAST({column} AS DATE)"

    def day_after(self, column: str) -> str:
        """See ``Manners``."""
        return f"({column} + 1)"

    def begin(self, connection: Connection) -> None:
        """The transaction goes on, for its end empties the stage. Two daemons on one database take turns, so that neither sees half of the other's delivery."""
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOADING})")

    def begin_direct(self, connection: Connection) -> int:
        """Others may load meanwhile: whether the file is still new is asked for in ``begin``'s turn."""
        ids = "SELECT nextval(pg_get_serial_sequence('data_ingestion_log', 'id'))"
        return int(connection.exec_driver_sql(ids).scalar_one())

    def take_turns(self, connection: Connection) -> None:
        """See ``Manners``."""
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_FOLLOWING})")

    def temporary(self, table: str, columns: dict[str, str]) -> str:
        """See ``Manners``."""
        kinds = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        return f"CREATE TEMPORARY TABLE IF NOT EXISTS {table} ({kinds}) ON COMMIT DELETE ROWS"


# Rows a statement of SQLite: a quarter faster than one by one, and other threads get on meanwhile, for the driver lets go of the
# interpreter once a statement, not once a row. (A statement may have 32 766 values.)
_ROWS = 200
_LOADING = 7_140_217_002
_FOLLOWING = 7_140_217_003
_SQLITE_KINDS = {"TIMESTAMP": "TEXT", "DATE": "TEXT", "DOUBLE PRECISION": "REAL", "BIGINT": "INTEGER"}


def manners_of(connection: Connection) -> Manners:
    """The manners of a connection's database."""
    return Sqlite() if connection.dialect.name == "sqlite" else Postgresql()
