"""Rows of a large file into PostgreSQL by binary COPY.

The server takes longer over a row than we do, so that it decides how long a file takes: what Arrow writes as the server
stores it (https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format") costs it a quarter less than text.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlalchemy import Connection

from daemon.store.schema import MONEY_PLACES
from handlers import columns
from handlers.columns import Column

_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"  # a length of -1
_EPOCH = np.datetime64("2000-01-01", "us").astype(np.int64)
_GROUP = 10_000  # a numeric is written in groups of four digits


def copy_in(connection: Connection, table: str, names: Sequence[str], rows: pa.Buffer) -> None:
    """Encoded rows into a table."""
    driver: Any = connection.connection.driver_connection
    sql = f"COPY {table} ({', '.join(names)}) FROM STDIN (FORMAT binary)"
    with driver.cursor() as cursor, cursor.copy(sql) as copy:
        for part in (_BEGIN, memoryview(rows), _END):
            copy.write(part)


def encoded(
    ids: NDArray[np.int64], rows: pa.RecordBatch, kinds: Iterable[Column]
) -> tuple[list[str], pa.Buffer]:
    """Rows in binary COPY's words, without its head and tail.

    Args:
        ids: of the rows, shape (n,).
        rows: with a column for each of ``kinds``.
        kinds: the columns that go in.

    Returns:
        The names of the columns in the order in which they are written, ``id`` first, and the bytes.
    """
    whole: list[Column] = []  # of one width in every row: they are written at one go
    others: list[Column] = []
    for column in kinds:
        is_text = isinstance(column.kind, columns.Text | columns.Words)
        (others if is_text or rows.column(column.name).null_count else whole).append(column)
    count = np.full(len(rows), 1 + len(whole) + len(others))
    fixed = [("", ">i2", count), *_field("id", ">i8", ids)]
    for column in whole:
        fixed += _fixed(column, rows.column(column.name))
    parts: list[pa.Array | pa.Scalar] = [_records(fixed)]
    for column in others:
        parts += _nullable(column, rows.column(column.name))
    joined = pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.binary()))
    _, offsets, data = joined.buffers()
    end = np.frombuffer(offsets, np.int32)[len(rows)]
    return ["id", *(column.name for column in (*whole, *others))], data[: int(end)]


_Field = tuple[str, str, NDArray[Any]]


def _field(name: str, kind: str, values: NDArray[Any]) -> list[_Field]:
    """A value behind its length."""
    width = np.full(len(values), np.dtype(kind).itemsize)
    return [(f"{name} length", ">i4", width), (name, kind, values)]


def _fixed(column: Column, values: pa.Array) -> list[_Field]:
    """A column without nulls, of a kind that has one width."""
    name = column.name
    match column.kind:
        case columns.Integer():
            return _field(name, ">i4", np.asarray(values))
        case columns.LocalTime():
            micros = np.asarray(pc.cast(values, pa.timestamp("us"))).astype(np.int64)
            return _field(name, ">i8", micros - _EPOCH)
        case columns.Decimal(places=places) if places <= MONEY_PLACES:
            return _money(name, np.asarray(values))
        case columns.Decimal():
            return _field(name, ">f8", np.asarray(values))
        case other:
            raise AssertionError(other)


def _money(name: str, values: NDArray[np.float64]) -> list[_Field]:
    """A numeric of at most twelve digits before the point and four behind it: three groups and one."""
    left = np.abs(np.rint(values * _GROUP)).astype(np.int64)
    groups: list[_Field] = []
    for place in range(3, -1, -1):
        left, group = np.divmod(left, _GROUP)
        groups.insert(0, (f"{name} group {place}", ">i2", group))
    n = len(values)
    return [
        (f"{name} length", ">i4", np.full(n, 8 + 2 * len(groups))),
        (f"{name} groups", ">i2", np.full(n, len(groups))),
        (f"{name} weight", ">i2", np.full(n, 2)),  # of the first group, in powers of 10 000
        (f"{name} sign", ">i2", np.where(values < 0, 0x4000, 0)),
        (f"{name} places", ">i2", np.full(n, MONEY_PLACES)),
        *groups,
    ]


def _nullable(column: Column, values: pa.Array) -> list[pa.Array]:
    """A column of texts, or one with nulls."""
    if isinstance(column.kind, columns.Text | columns.Words):
        lengths = pc.fill_null(pc.binary_length(values), -1)
        return [
            _records([("", ">i4", np.asarray(lengths))]),
            pc.fill_null(pc.cast(values, pa.binary()), b""),
        ]
    something = pa.scalar("2000-01-01" if isinstance(column.kind, columns.LocalTime) else 0, values.type)
    filled = _records(_fixed(column, pc.fill_null(values, something)))
    return [pc.if_else(pc.is_valid(values), filled, pa.scalar(_NULL, pa.binary()))]


def _records(fields: list[_Field]) -> pa.Array:
    """Fields side by side, as an array of binary values of one width."""
    n = len(fields[0][2])
    records = np.empty(n, np.dtype([(name, kind) for name, kind, _ in fields]))
    for name, _, values in fields:
        records[name or "f0"] = values
    offsets = np.arange(n + 1, dtype=np.int32) * records.itemsize
    return pa.Array.from_buffers(pa.binary(), n, [None, pa.py_buffer(offsets), pa.py_buffer(records)])
