"""Small files of one shape, judged as one: what is done once for all of them costs more than their rows.

Only files without anything to remark on come out of this. All others are to be read alone, where every doubt has its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from handlers.cells import split
from handlers.check import check
from handlers.columns import Context
from handlers.feed import Feed
from handlers.header import Header, read_header

_LINE = "line"


@dataclass(frozen=True, slots=True)
class Page:
    r"""A small file, split below its header.

    Attributes:
        header: what the first line says.
        head: the first line, as it stands in the file.
        body: the rest: UTF-8, without quotes, ``\n`` line ends.
    """

    header: Header
    head: bytes
    body: bytes


def page_of(text: bytes, feed: Feed) -> Page | None:
    r"""A small file as a page, if it is simple enough.

    Args:
        text: the whole file: UTF-8, ``\n`` line ends.
        feed: whose.

    Returns:
        None: it has quotes, NUL bytes, or no rows, and is to be read alone.

    Raises:
        FileError: the header is wrong.
    """
    head, _, body = text.partition(b"\n")
    if b'"' in text or b"\0" in text or not body:
        return None
    return Page(read_header(head.decode(), feed), head, body)


def check_together(pages: Sequence[Page], feed: Feed, context: Context) -> list[pa.RecordBatch | None]:
    """Judges the rows of files that have the same first line.

    Args:
        pages: in the order of arrival, at least one; all with the same ``head``.
        feed: whose.
        context: what rows are judged by.

    Returns:
        For each page its rows as ``check`` gives them, with the lines of their own file; a feed that numbers repeated keys gets
        the numbers, too. None: it is to be read alone, for a row is refused, there is none, or a key comes twice, in it or in an
        earlier page.
    """
    bodies = [page.body if page.body.endswith(b"\n") else page.body + b"\n" for page in pages]
    lines = np.cumsum([0, *(body.count(b"\n") for body in bodies)])
    checked = check(split(b"".join(bodies), 0, pages[0].header), feed, context)
    of = np.searchsorted(lines, np.asarray(checked.rows[_LINE]), "right") - 1
    alone = {int(np.searchsorted(lines, reject.line, "right")) - 1 for reject in checked.rejects}
    own = np.asarray(checked.rows[_LINE]) - lines[of] + pages[0].header.lines + 1
    rows = checked.rows.set_column(0, _LINE, pa.array(own, pa.int64()))
    if feed.key:
        rows, repeated = _keys(rows, of, feed)
        alone |= repeated
    ends = np.searchsorted(of, np.arange(len(pages) + 1))
    return [
        None if page in alone or begin == end else rows.slice(begin, end - begin)
        for page, (begin, end) in enumerate(pairwise(ends.tolist()))
    ]


def _keys(rows: pa.RecordBatch, of: NDArray[np.int64], feed: Feed) -> tuple[pa.RecordBatch, set[int]]:
    """The rows with the numbers of repeated keys, and the pages whose keys come twice in a way that only one can have."""
    numbered = feed.repeats == "number"
    names = feed.key[:-1] if numbered else feed.key
    numbers: list[int | None] = [None] * rows.num_rows
    alone: set[int] = set()
    if rows[names[0]].null_count < rows.num_rows:
        seen: dict[
            tuple[object, ...], list[int]
        ] = {}  # the first page with a key, and how often it comes there
        keys = zip(*(rows[name].to_pylist() for name in names), strict=True)
        for row, (key, page) in enumerate(zip(keys, of.tolist(), strict=True)):
            if key[0] is None:
                continue
            first = seen.setdefault(key, [page, 0])
            if first[0] != page or (first[1] and not numbered):
                alone.add(page)
            first[1] += 1
            numbers[row] = first[1]
    if numbered:
        rows = rows.append_column(feed.key[-1], pa.array(numbers, pa.int64()))
    return rows, alone
