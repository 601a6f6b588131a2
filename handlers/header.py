"""The first line of a file: its delimiter, its names, and which of the feed's columns they are."""

import csv
import io
from collections import Counter
from dataclasses import dataclass

from handlers.errors import FileError
from handlers.feed import Feed
from handlers.reasons import FileReason

DELIMITERS = (",", ";", "\t", "|")
_SHOWN = 5  # names quoted in a message


@dataclass(frozen=True, slots=True)
class Header:
    """What the first line says.

    Attributes:
        delimiter: between cells.
        names: as they stand in the file, trimmed.
        positions: where each column of the feed that the file has stands, from 0.
        unknown: names that are none of the feed's columns; their cells are not loaded.
        lines: how many physical lines it takes.
    """

    delimiter: str
    names: tuple[str, ...]
    positions: dict[str, int]
    unknown: tuple[str, ...]
    lines: int = 1


def read_header(text: str, feed: Feed) -> Header:
    """The header of a file of ``feed`` from the beginning of its text.

    The delimiter is the one that yields most of the feed's names, so that a delimiter inside a quoted name does
    not mislead.

    Raises:
        FileError: ``missing_column``, ``duplicate_column``, or ``unbalanced_quotes``.
    """
    known = {column.name for column in feed.columns}
    split = {delimiter: _split(text, delimiter) for delimiter in DELIMITERS}

    def score(delimiter: str) -> tuple[int, int]:
        names = split[delimiter][0]
        if names is None:
            return -1, 0
        return len(known & {n.lower() for n in names}), len(names)

    delimiter = max(DELIMITERS, key=score)
    names, lines = split[delimiter]
    if names is None:
        raise FileError(
            FileReason.UNBALANCED_QUOTES, "the header has a quoted name that never ends, or text after one"
        )
    lower = [name.lower() for name in names]
    _refuse_missing(feed, names, lower)
    twice = [name for name, n in Counter(lower).items() if n > 1 and name]
    if twice:
        raise FileError(
            FileReason.DUPLICATE_COLUMN,
            f"the header names {_list(twice)} more than once (upper and lower case are equal)",
        )
    return Header(
        delimiter=delimiter,
        names=tuple(names),
        positions={name: lower.index(name) for name in lower if name in known},
        unknown=tuple(name for name in names if name.lower() not in known),
        lines=lines,
    )


def _refuse_missing(feed: Feed, names: list[str], lower: list[str]) -> None:
    missing = [name for name in feed.required if name not in lower]
    if not missing:
        return
    if not set(lower) & {column.name for column in feed.columns}:
        found = f"the first line is no header of the {feed.name} feed; it begins {_list(names)}"
    else:
        found = f"the header lacks {_list(missing)}; it has {_list(names)}"
    raise FileError(FileReason.MISSING_COLUMN, f"{found}; required are {', '.join(feed.required)}")


def _split(text: str, delimiter: str) -> tuple[list[str] | None, int]:
    """The names of the first record (None if its quotes are broken) and how many physical lines it takes."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = next(reader, [])
    except csv.Error:
        return None, 0
    return [name.strip() for name in names], reader.line_num


def _list(names: list[str]) -> str:
    shown = ", ".join(repr(name[:64]) for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
