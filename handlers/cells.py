r"""A block of CSV bytes to columns of text, with the physical line of every row.

A block is UTF-8 with ``\n`` line ends, whole records only. Three ways, fastest first, all with the same result:

* no quote in the block: every line is a record, pyarrow splits it;
* regular quotes (each opens at the start of a cell and closes at its end): pyarrow splits it too;
* anything else: Python's csv module in strict mode, which takes a quote inside a bare cell literally and refuses
  text after a closing quote.
"""

import codecs
import csv
import io
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from handlers.errors import FileError
from handlers.header import Header
from handlers.reasons import FileReason

_QUOTE, _NEWLINE = ord('"'), ord("\n")
csv.field_size_limit(2**31 - 1)  # a cell of any length is read; columns have limits of their own
# in the main thread pyarrow takes SIGTERM and SIGINT away from the program and ends the reading with an error
pa.enable_signal_handlers(False)


@dataclass(frozen=True, slots=True)
class Ragged:
    """A row with more or fewer cells than the header."""

    line: int
    cells: int
    raw: str


@dataclass(frozen=True, slots=True)
class Cells:
    """The rows of a block.

    Attributes:
        columns: the text of each column of the feed that the file has.
        lines: the physical line on which each row begins, shape (n,), int64.
        ragged: rows of another width, in none of the columns.
        block: the bytes.
        starts: where in the block each row begins, shape (n,), and the end of the last record.
        controls: whether a control character may be among the cells.
    """

    columns: dict[str, pa.Array]
    lines: NDArray[np.int64]
    ragged: list[Ragged]
    block: bytes
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    controls: bool

    def raw(self, row: int) -> str:
        """The text of a row as it stands in the file."""
        return self.block[self.starts[row] : self.ends[row]].decode("utf-8", "backslashreplace").rstrip("\n")


def split(block: bytes, first_line: int, header: Header) -> Cells:
    r"""The rows of a block.

    Args:
        block: whole records, UTF-8, ``\n`` line ends.
        first_line: the physical line on which the block begins.
        header: the file's header.

    Raises:
        FileError: ``unbalanced_quotes``.
    """
    data = np.frombuffer(block, np.uint8)
    newlines = np.flatnonzero(data == _NEWLINE)
    regular = True
    if b'"' in block:
        quotes = np.flatnonzero(data == _QUOTE)
        regular = len(quotes) % 2 == 0 and _regular(data, quotes, ord(header.delimiter))
        if regular:
            # a newline is inside a cell when an odd number of quotes stands before it
            newlines_outside = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
        else:
            newlines_outside = _record_ends_by_csv(block, newlines, first_line, header.delimiter)
    else:
        newlines_outside = newlines
    starts = np.concatenate(([0], newlines_outside + 1)).astype(np.int64)
    if starts[-1] == len(block):
        starts = starts[:-1]
    ends = np.append(starts[1:], len(block))
    lines = first_line + (
        np.arange(len(starts)) if newlines_outside is newlines else np.searchsorted(newlines, starts)
    )
    if regular:
        columns, ragged_rows = _by_pyarrow(block, ends - starts, header)
    else:
        columns, ragged_rows = _by_csv(block, len(starts), header)
    blank = _blank(block, starts, ends)
    ragged = [
        Ragged(int(lines[k]), n, block[starts[k] : ends[k]].decode("utf-8", "backslashreplace").rstrip("\n"))
        for k, n in ragged_rows
        if not blank[k]
    ]
    kept = np.ones(len(starts), np.bool_)
    kept[[k for k, _ in ragged_rows]] = False
    table_rows = kept.nonzero()[0]  # the records that are in the columns
    whole = ~blank[table_rows]
    if not whole.all():
        columns = {name: column.filter(pa.array(whole)) for name, column in columns.items()}
        table_rows = table_rows[whole]
    return Cells(
        columns=columns,
        lines=lines[table_rows].astype(np.int64),
        ragged=ragged,
        block=block,
        starts=starts[table_rows],
        ends=ends[table_rows],
        controls=bool(np.count_nonzero(data < 32) > len(newlines_outside)),  # noqa: PLR2004
    )


def _regular(data: NDArray[np.uint8], quotes: NDArray[np.int64], delimiter: int) -> bool:
    """Whether every quote opens at the start of a cell or closes at its end (a doubled one does both).

    An opening quote at the end whose closing one is not there yet is regular, too.
    """
    opening, closing = quotes[::2], quotes[1::2]
    before = np.where(opening == 0, _NEWLINE, data[np.maximum(opening - 1, 0)])
    opens = (before == delimiter) | (before == _NEWLINE) | (before == _QUOTE)
    last = len(data) - 1
    after = np.where(closing == last, _NEWLINE, data[np.minimum(closing + 1, last)])
    closes = (after == delimiter) | (after == _NEWLINE) | (after == _QUOTE)
    return bool(opens.all() and closes.all())


def _blank(block: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which records are empty or white space only: they are no rows."""
    blank = np.zeros(len(starts), np.bool_)
    first = np.frombuffer(block, np.uint8)[starts]
    # only a record whose first character is white space can be blank; beyond ASCII it may be one of several bytes
    for k in np.flatnonzero((first <= 32) | (first >= 0xC2)):  # noqa: PLR2004
        blank[k] = not block[starts[k] : ends[k]].decode().strip()
    return blank


def _by_pyarrow(
    block: bytes, lengths: NDArray[np.int64], header: Header
) -> tuple[dict[str, pa.Array], list[tuple[int, int]]]:
    """Columns, and (record, number of cells) of the rows of another width."""
    ragged: list[tuple[int, int]] = []

    def note(row: pacsv.InvalidRow) -> str:
        # a number is given only when one thread reads
        ragged.append((-1 if row.number is None else row.number - 1, row.actual_columns))
        return "skip"

    records, half = len(lengths), max(1 << 20, len(block) // 2)
    # two threads, a half each; a record must not reach over more than one border
    threads = len(block) > half and b'"' not in block and int(lengths.max()) < half
    table = _read(block, header, note, half if threads else None)
    if ragged:
        ragged.clear()
        table = _read(block, header, note, None)
    if table.num_rows + len(ragged) != records:
        raise AssertionError(f"{records} records became {table.num_rows} rows and {len(ragged)} ragged ones")
    return {name: table.column(name).combine_chunks() for name in header.positions}, ragged


def _read(block: bytes, header: Header, note: object, part: int | None) -> pa.Table:
    quoted = b'"' in block
    names = [f"#{k}" for k in range(len(header.names))]
    for name, position in header.positions.items():
        names[position] = name
    # pyarrow takes a mark off whatever it reads first; the file's own is gone already
    mark = codecs.BOM_UTF8 if block.startswith(codecs.BOM_UTF8) else b""
    return pacsv.read_csv(
        pa.BufferReader(mark + block if mark else block),
        read_options=pacsv.ReadOptions(
            use_threads=part is not None,
            column_names=names,
            block_size=part or len(block) + 4,
        ),
        parse_options=pacsv.ParseOptions(
            delimiter=header.delimiter,
            quote_char='"' if quoted else False,
            double_quote=quoted,
            newlines_in_values=quoted,
            ignore_empty_lines=False,
            invalid_row_handler=note,
        ),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(header.positions, pa.string()),
            include_columns=list(header.positions),
            strings_can_be_null=False,
            check_utf8=False,  # the reader has checked it
        ),
    )


def _by_csv(block: bytes, records: int, header: Header) -> tuple[dict[str, pa.Array], list[tuple[int, int]]]:
    """The same by the csv module: slower, and strict about quotes."""
    reader = csv.reader(io.StringIO(block.decode(), newline=""), delimiter=header.delimiter, strict=True)
    ragged: list[tuple[int, int]] = []
    rows: list[list[str]] = []
    for k, row in enumerate(reader):
        if len(row) == len(header.names):
            rows.append(row)
        else:
            ragged.append((k, len(row)))
    if len(rows) + len(ragged) != records:
        raise AssertionError(f"{records} records became {len(rows)} rows and {len(ragged)} ragged ones")
    columns = {
        name: pa.array([row[position] for row in rows], pa.string())
        for name, position in header.positions.items()
    }
    return columns, ragged


def boundary(data: bytes, delimiter: str, first_line: int) -> int:
    r"""Where the last whole record of ``data`` ends: 0 if there is none.

    Args:
        data: begins at a record, ends anywhere; ``\n`` line ends.
        delimiter: between cells.
        first_line: the physical line on which ``data`` begins, for the message.

    Raises:
        FileError: ``unbalanced_quotes``: text follows the closing quote of a cell.
    """
    if b'"' not in data:
        return data.rfind(b"\n") + 1
    array = np.frombuffer(data, np.uint8)
    newlines = np.flatnonzero(array == _NEWLINE)
    quotes = np.flatnonzero(array == _QUOTE)
    outside = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
    if _regular(array, quotes, ord(delimiter)):
        return int(outside[-1]) + 1 if len(outside) else 0
    ends = _record_ends_by_csv(data, newlines, first_line, delimiter, whole=False)
    return int(ends[-1]) + 1 if len(ends) else 0


def _record_ends_by_csv(
    block: bytes, newlines: NDArray[np.int64], first_line: int, delimiter: str, *, whole: bool = True
) -> NDArray[np.int64]:
    """The newlines that end a record, where quotes are irregular.

    With ``whole`` a cell that does not end is an error, without it the last record is one that goes on.
    """
    text = block.decode("utf-8", "ignore")  # a character cut in two can only be in the record that goes on
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    last_lines: list[int] = []
    try:
        last_lines.extend(reader.line_num for _ in reader)
    except csv.Error as error:
        cut_off = "unexpected end" in str(error)
        if whole or not cut_off:
            begin = first_line + (last_lines[-1] if last_lines else 0)
            what = "a quoted cell that never ends" if cut_off else "text after the closing quote of a cell"
            raise FileError(
                FileReason.UNBALANCED_QUOTES, f"the row that begins on line {begin} has {what}"
            ) from error
    ends = np.array(last_lines, np.int64) - 1  # the index of the newline that ends each record
    return newlines[ends[ends < len(newlines)]]
