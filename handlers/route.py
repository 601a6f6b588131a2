"""A file's name to its feed and slot: anchored patterns, one owner per name."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from handlers.errors import FileError
from handlers.reasons import FileReason

EXTENSIONS = (".csv", ".csv.gz", ".csv.zst")


@dataclass(frozen=True, slots=True)
class Route:
    """What a name says.

    Attributes:
        feed: the name of the feed that owns it.
        slot: feed, business date and source; a second delivery for it is a correction. None: it appends.
        compression: "", "gz" or "zst".
    """

    feed: str
    slot: str | None
    compression: str

    @property
    def day(self) -> date | None:
        """The business date of the slot."""
        return None if self.slot is None else date.fromisoformat(self.slot.split(":")[1])


def route(name: str, patterns: Mapping[str, Sequence[str]]) -> Route:
    """The owner of a file name.

    Args:
        name: the file's name, without a folder.
        patterns: feed name to regular expressions for the whole name before its extension; the named groups
            ``date`` (YYYYMMDD) and ``suffix`` make the slot.

    Raises:
        FileError: ``unroutable``: no feed owns the name, or more than one does.
    """
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        raise FileError(FileReason.UNROUTABLE, "the name holds control characters or is not UTF-8")
    extension = next((e for e in reversed(EXTENSIONS) if name.endswith(e)), None)
    if extension is None:
        raise FileError(
            FileReason.UNROUTABLE,
            f"the name does not end in one of {', '.join(EXTENSIONS)}",
        )
    stem = name.removesuffix(extension)
    matches = [
        (feed, match)
        for feed, expressions in patterns.items()
        for expression in expressions
        if (match := re.fullmatch(expression, stem))
    ]
    owners = sorted({feed for feed, _ in matches})
    if len(owners) != 1:
        raise FileError(FileReason.UNROUTABLE, _why(owners, patterns))
    feed, match = matches[0]
    return Route(feed, _slot(feed, match), extension.removeprefix(".csv").removeprefix("."))


def _slot(feed: str, match: re.Match[str]) -> str | None:
    groups = match.groupdict()
    digits = groups.get("date")
    if digits is None:
        return None
    day = _day(digits)
    if day is None:
        raise FileError(
            FileReason.UNROUTABLE, f"{digits} in the name is not a day of the calendar (YYYYMMDD)"
        )
    return f"{feed}:{day.isoformat()}:{groups.get('suffix') or ''}"


def _day(digits: str) -> date | None:
    if not re.fullmatch("[0-9]{8}", digits):  # a pattern's own digits may be of any script
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def _why(owners: list[str], patterns: Mapping[str, Sequence[str]]) -> str:
    known = "; ".join(f"{feed}: {' or '.join(expressions)}" for feed, expressions in patterns.items())
    if owners:
        return f"the feeds {' and '.join(owners)} both own the name; the patterns are {known}"
    return f"no feed owns the name; the patterns (before {', '.join(EXTENSIONS)}) are {known}"
