"""Terminal manners: how wide it is, whether colours are wanted, and texts that fit."""

import os
import shutil
import sys
from collections.abc import Container, Iterable, Sequence
from typing import Any, TextIO

from rich.cells import cell_len, set_cell_size

UNLIMITED = 10_000  # a pipe or a file: nothing is cut for it
_NARROWEST = 20
_LEAST_CELL = 14
_WIDEST_TEXT = 100  # longer lines of prose are hard to read


def width(stream: TextIO | None = None) -> int:
    """The columns that a line may have: of the terminal, or of COLUMNS, or as many as it likes."""
    stream = stream or sys.stdout
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given) > 0:
        return max(_NARROWEST, int(given))
    if not is_terminal(stream):
        return UNLIMITED
    return max(_NARROWEST, shutil.get_terminal_size().columns)


def is_terminal(stream: Any) -> bool:
    """Whether a person looks at a stream; a closed one is none."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def may_colour() -> bool:
    """Whether the environment allows colours (https://no-color.org); that it is a terminal is looked at elsewhere."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def printable(text: str) -> str:
    """A text on one line in which each character can be seen: controls, marks that reorder and the like are escaped."""
    from daemon.logs import display_name  # noqa: PLC0415  (structlog, which a usage error does without)

    return display_name(text)


def cropped(text: str, room: int) -> str:
    """A text in so many columns; if need be without its middle: of a file's name the end, with the date, tells most."""
    if cell_len(text) <= room:
        return text
    if room <= 1:
        return "…"[:room]
    left = (room - 1) // 3
    tail = room - 1 - left
    cut = len(text)
    while cell_len(text[cut - 1 :]) <= tail:
        cut -= 1
    return set_cell_size(text, left).rstrip() + "…" + text[cut:]


def beginning(text: str, room: int) -> str:
    """A text in so many columns, its end left out if need be."""
    return text if cell_len(text) <= room else f"{_beginning(text, room - 1)}…"


def slot_name(slot: str | None) -> str:
    """A slot as a person reads it: its key ends in a colon where no source is named."""
    return slot.rstrip(":") if slot else "(none: it appends)"


def padded(text: str, room: int, *, right: bool = False) -> str:
    """A text in exactly so many columns, cropped if it is longer."""
    text = cropped(text, room)
    fill = " " * (room - cell_len(text))
    return fill + text if right else text + fill


def wrapped(text: str, columns: int, first: str = "", rest: str | None = None) -> list[str]:
    """A paragraph's lines, each within ``columns``; words that are longer are broken.

    Args:
        text: the paragraph, printable.
        columns: the width; lines of prose are never longer than 100.
        first: what the first line begins with.
        rest: what the others begin with; as much blank if it is not given.
    """
    rest = " " * cell_len(first) if rest is None else rest
    if columns >= UNLIMITED:
        return [first + text]
    room = min(columns, _WIDEST_TEXT)
    lines, empty = [first], True  # empty: the last line has no word yet
    for word in text.split(" "):
        left = word
        if not empty and cell_len(lines[-1]) + 1 + cell_len(word) > room:
            lines, empty = [*lines, rest], True
        while True:
            begin = lines[-1] if empty else f"{lines[-1]} "
            part = _beginning(left, max(room - cell_len(begin), 2))
            lines[-1], empty, left = begin + part, False, left[len(part) :]
            if not left:
                break
            lines, empty = [*lines, rest], True
    return [line.rstrip() for line in lines]


def _beginning(text: str, room: int) -> str:
    """As much of a text as fits."""
    if cell_len(text) <= room:
        return text
    end = min(len(text), room)
    while cell_len(text[:end]) > room:
        end -= 1
    return text[: max(end, 1)]


def fitted(text: str) -> str:
    """Lines that fit the terminal: what is longer goes on below, indented a little more than it began."""
    columns = width()
    lines = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip(" "))]
        lines += (
            wrapped(line.lstrip(" "), columns, indent, f"{indent}  ") if cell_len(line) > columns else [line]
        )
    return "\n".join(lines)


def flowed(items: Iterable[str], gap: str = "  ") -> str:
    """Short texts side by side, on as many lines as they need; none is broken."""
    columns, lines = width(), [""]
    for item in items:
        longer = f"{lines[-1]}{gap}{item}" if lines[-1] else item
        if lines[-1] and cell_len(longer) > columns:
            lines.append(item)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], shrinks: str, right: Container[str] = ()
) -> str:
    """A table that fits the terminal; where it is too narrow, each row as lines of heading and cell.

    Args:
        headings: of the columns; the first column tells the rows apart.
        rows: their cells, printable.
        shrinks: the heading of the column that is cropped, down to 14, where there is no room.
        right: the headings of columns of numbers.
    """
    columns = width()
    sizes = {
        heading: max(cell_len(heading), *(cell_len(row[place]) for row in rows), 0)
        for place, heading in enumerate(headings)
    }
    over = sum(sizes.values()) + 2 * (len(headings) - 1) - columns
    if over > 0 and sizes[shrinks] - over < _LEAST_CELL:
        broad = max(map(cell_len, headings[1:]))
        lines = []
        for first, *others in rows:
            lines.append(cropped(first, columns))
            for heading, cell in zip(headings[1:], others, strict=True):
                lines.append(f"  {padded(heading, broad)}  {cropped(cell, columns - broad - 4)}")
        return "\n".join(lines)
    sizes[shrinks] -= max(over, 0)

    def line(cells: Sequence[str]) -> str:
        sized = zip(headings, cells, strict=True)
        return "  ".join(padded(cell, sizes[name], right=name in right) for name, cell in sized).rstrip()

    return "\n".join(map(line, (headings, *rows)))
