"""Rejects that come back corrected: the columns of a rejects file, and how its name and cells are written and read.

A rejects file ``<name>.rejects.csv`` has three columns that say why, then the columns of the file it comes from. Dropped
back, its rows join the delivery they were rejected from, each on its own line.
"""

import csv
import io
import re
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from handlers.cells import Cells
from handlers.columns import Column, Integer
from handlers.feed import Feed
from handlers.header import Header

FIXED_LINE = "reject_line"  # the row's line in the file that it was rejected from
WHY_COLUMNS = (FIXED_LINE, "reject_reason", "reject_message")
NUL = r"\x00"  # how a NUL stands in a rejects file, and in both databases
_NAME = re.compile(r"(?P<base>.+)\.rejects(?:\.[0-9]+(?:-[0-9]+)?)?\.csv", re.DOTALL)
_FORMULA = re.compile(r"\s*'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]*(?:[0-9]+\.?[0-9]*|\.[0-9]+)")


def rejects_name(name: str) -> str:
    """How the rejects file of a filed file is called."""
    return f"{name}.rejects.csv"


def first_rejects_name(name: str) -> str | None:
    """The name under which a rejects file was first written; None if the name is none of a rejects file.

    A rejects file that could not have its name, because another lay there, has a number: ``x.csv.rejects.7.csv``.
    """
    match = _NAME.fullmatch(name)
    return rejects_name(match["base"]) if match else None


def fixing(feed: Feed) -> Feed:
    """The feed, with the column that tells which reject a row corrects."""
    line = Column(FIXED_LINE, Integer(low=1), required=True)
    return replace(feed, columns=(*feed.columns, line))


def guarded(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: an apostrophe stands before it, unless it is a number."""
    text = cell.strip()
    if not (_FORMULA.match(cell) or _FORMULA.match(text)) or _NUMBER.fullmatch(text):
        return cell
    return f"'{cell}"


def unguarded(cell: str) -> str:
    """What ``guarded`` was given."""
    return cell[1:] if cell.startswith("'") and guarded(cell[1:]) == cell else cell


def spare_cells(cells: Cells, header: Header) -> dict[int, tuple[str, str]]:
    """Rows with a cell in a column without a name, by line: that cell, and the row's text."""
    nameless = [place for place, name in enumerate(header.names) if not name]
    if not nameless:
        return {}
    found = {}
    for row, line in enumerate(cells.lines.tolist()):
        raw = cells.raw(row)
        texts = next(csv.reader(io.StringIO(raw, newline=""), delimiter=header.delimiter), [])
        cell = next((texts[place] for place in nameless if place < len(texts) and texts[place].strip()), None)
        if cell is not None:
            found[line] = (cell.strip(), raw)
    return found


def unguarded_cells(cells: Cells) -> Cells:
    """A block of a rejects file, its cells without the apostrophes that guard them."""
    columns = {name: _unguarded(column) for name, column in cells.columns.items()}
    return replace(cells, columns=columns, controls=True)


def _unguarded(column: pa.Array) -> pa.Array:
    if pc.any(pc.match_substring(column, NUL)).as_py():
        column = pc.replace_substring(column, NUL, "\0")
    if not pc.any(pc.starts_with(column, "'")).as_py():
        return column
    return pa.array([unguarded(cell) for cell in column.to_pylist()], column.type)
