"""Rows of a table as both databases say the same: plain values in one order, side by side, some at a time.

Integers, text and bytes stand for themselves, flags are 0 or 1, money is a double (which has four decimals of it exactly),
times and days are text. A row begins with its primary key, and rows come in its order, text by its bytes.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

import pyarrow as pa
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Date,
    Float,
    Integer,
    LargeBinary,
    Table,
    Text,
)

from daemon.store.schema import MONEY_PLACES, LocalTime, Money, UtcTime

Value = int | float | str | bytes | None
Row = tuple[Value, ...]
# rows at a time; fewer where texts or bytes may be long, or there are many columns
_SOME, _SOME_LONG, _SOME_BYTES, _SOME_CELLS = 20_000, 5_000, 250, 400_000
_NUMBERS = count()


@dataclass(frozen=True, slots=True)
class Form:
    """How a table is read.

    Attributes:
        table: which.
        columns: its primary key, then the others; not what the database computes itself.
        where: SQL: only some rows; "" for all.
    """

    table: Table
    columns: tuple[str, ...]
    where: str = ""

    @property
    def keys(self) -> int:
        """How many columns the primary key has."""
        return len(self.table.primary_key)

    @property
    def size(self) -> int:
        """Rows that are held at a time."""
        longest = _SOME_CELLS // len(self.columns)
        for column in self.table.columns:
            if isinstance(column.type, Text | JSON):
                longest = min(longest, _SOME_LONG)
            if isinstance(column.type, LargeBinary):
                longest = min(longest, _SOME_BYTES)
        return min(_SOME, longest)

    def select(self, dialect: str) -> str:
        """SQL: the rows in order."""
        columns = [self.table.c[name] for name in self.columns]
        order = ", ".join(_ordered(column, dialect) for column in columns[: self.keys])
        values = ", ".join(_value(column, dialect) for column in columns)
        return f"SELECT {values} FROM {self.table.name}{self._where} ORDER BY {order}"

    def count(self, connection: Connection) -> int:
        """How many rows there are."""
        sql = f"SELECT COUNT(*) FROM {self.table.name}{self._where}"
        return int(connection.exec_driver_sql(sql).scalar_one())

    def as_table(self, rows: Sequence[Row]) -> pa.Table:
        """Rows as a database takes them."""
        columns = [self.table.c[name] for name in self.columns]
        cells = zip(*rows, strict=True)
        return pa.table({c.name: pa.array(v, _arrow_type(c)) for c, v in zip(columns, cells, strict=True)})

    @property
    def _where(self) -> str:
        return f" WHERE {self.where}" if self.where else ""


def form_of(table: Table, columns: Sequence[str] = (), where: str = "") -> Form:
    """How a table is read, whole or some of its columns besides its key."""
    keys = tuple(column.name for column in table.primary_key)
    others = columns or [c.name for c in table.columns if c.computed is None]
    return Form(table, (*keys, *(name for name in others if name not in keys)), where)


def rows_of(connection: Connection, form: Form) -> "Rows":
    """The rows of a table, in order; the transaction that is open goes on."""
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        cursor = driver.cursor()
    else:  # a cursor of the server's: it sends some at a time
        cursor = driver.cursor(name=f"stockgrip_{next(_NUMBERS)}")
    cursor.execute(form.select(connection.dialect.name))
    return Rows(cursor, form)


class Rows:
    """What is still to be read of a table."""

    def __init__(self, cursor: Any, form: Form) -> None:
        self._cursor = cursor
        self._form = form
        self._some: list[Row] = []
        self._ended = False

    def __iter__(self) -> Iterator[list[Row]]:
        while self.fill():
            yield self.take(None)

    def fill(self) -> bool:
        """Reads on; whether there are any."""
        while not self._ended and len(self._some) < self._form.size:
            more = self._cursor.fetchmany(self._form.size)
            self._some += more
            if not more:
                self.close()
        return bool(self._some)

    @property
    def last(self) -> Row | None:
        """The key of the last row that was read, if others may come behind it."""
        return None if self._ended else self._key(self._some[-1])

    def take(self, upto: Row | None) -> list[Row]:
        """The rows up to a key, or all that were read."""
        end = len(self._some) if upto is None else bisect_right(self._some, upto, key=self._key)
        taken, self._some = self._some[:end], self._some[end:]
        return taken

    def close(self) -> None:
        """Reads no further."""
        if not self._ended:
            self._ended = True
            self._cursor.close()

    def _key(self, row: Row) -> Row:
        return row[: self._form.keys]


@dataclass(frozen=True, slots=True)
class Pair:
    """Rows of two tables between the same keys; either may have none."""

    left: list[Row]
    right: list[Row]

    @property
    def equal(self) -> bool:
        """Whether both have the same."""
        return self.left == self.right


def pairs(one: Rows, other: Rows) -> Iterator[Pair]:
    """Goes through a table of two databases at once, some rows at a time."""
    try:
        while True:
            found = one.fill(), other.fill()
            if not any(found):
                return
            upto = _before([rows.last for rows, some in zip((one, other), found, strict=True) if some])
            yield Pair(one.take(upto), other.take(upto))
    finally:
        one.close()
        other.close()


def _before(keys: Sequence[Row | None]) -> Row | None:
    """The first of some keys; None stands for the end of a table."""
    known: list[Any] = [key for key in keys if key is not None]
    return min(known) if known else None


def missing(pair: Pair, side: Literal["left", "right"]) -> list[Row]:
    """The rows of one side that the other has not, or has otherwise."""
    mine, theirs = (pair.left, pair.right) if side == "left" else (pair.right, pair.left)
    if not theirs:
        return mine
    known = set(theirs)
    return [row for row in mine if row not in known]


# ---- columns


def _value(column: Column[Any], dialect: str) -> str:
    """SQL: a column's value, the same in both databases."""
    name = f'"{column.name}"'
    if dialect == "sqlite":
        return f"ROUND({name}, {MONEY_PLACES})" if column.type is Money else name
    day, second = "YYYY-MM-DD", "YYYY-MM-DD HH24:MI:SS"
    found = name
    match column.type:
        case UtcTime():
            found = f"to_char({name}, '{second}.US')"
        case LocalTime():
            found = (
                f"CASE WHEN {name} = date_trunc('second', {name}) THEN to_char({name}, '{second}')"
                f" ELSE to_char({name}, '{second}.US') END"
            )
        case Date():
            found = f"to_char({name}, '{day}')"
        case Float():
            found = f"CAST({name} AS DOUBLE PRECISION)"
        case JSON():
            found = f"CAST({name} AS TEXT)"
        case Boolean():
            found = f"CAST({name} AS INTEGER)"
    return found


def _ordered(column: Column[Any], dialect: str) -> str:
    is_text = not isinstance(column.type, Integer | BigInteger | Date)
    return f'"{column.name}"' + (' COLLATE "C"' if is_text and dialect != "sqlite" else "")


def _arrow_type(column: Column[Any]) -> pa.DataType:
    match column.type:
        case Integer() | BigInteger() | Boolean():
            return pa.int64()
        case Float():
            return pa.float64()
        case LargeBinary():
            return pa.binary()
        case _:
            return pa.string()
