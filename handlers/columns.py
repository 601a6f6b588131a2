"""Kinds of columns: text to typed values, a column at a time, each refusal with its reason.

A kind is given the *distinct* texts of a column, so its work is small even for a large file, and answers with as
many values and the problems it found. ``check.py`` spreads both over the rows.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Protocol, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from handlers import times
from handlers.reasons import RowReason

EARLIEST = datetime(2000, 1, 1)  # noqa: DTZ001  (business time is naive)
_DOUBLE_DIGITS = 15  # decimals of so many significant digits come back from a double as they went in


@dataclass(frozen=True, slots=True)
class Context:
    """What a check depends on besides the file.

    Attributes:
        now: the time of the delivery, naive, in the business time zone: never the clock, so that a replay gives
            what it gave then.
        timezone: the business time zone.
        named: the day in the file's name, if there is one.
    """

    now: datetime
    timezone: ZoneInfo
    named: date | None = None

    @property
    def day(self) -> date:
        """The day that the file speaks for: that in its name, or that of its arrival."""
        return self.named or self.now.date()


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason that holds for some of the texts.

    Attributes:
        reason: the stable code.
        mask: which texts, shape (n,).
        say: a sentence part for a person about one such text.
    """

    reason: RowReason
    mask: NDArray[np.bool_]
    say: Callable[[str], str]


Converted: TypeAlias = tuple[pa.Array, list[Problem]]


class Kind(Protocol):
    """Converts trimmed, non-empty texts."""

    @property
    def arrow_type(self) -> pa.DataType:
        """The type of the values."""
        ...

    def convert(self, texts: pa.Array, context: Context) -> Converted:
        """Values, shape (n,), null where there is a problem, and the problems."""
        ...


class OfFile(Enum):
    """What an empty cell may stand for that the file as a whole says."""

    DAY = "the day in the file's name; if it has none, the day of arrival"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a feed: its name in the header and the table, its kind, and what an empty cell means.

    Attributes:
        name: as in the header (compared in lower case).
        kind: how texts become values.
        required: the header must have it and no cell may be empty.
        default: what an empty cell or an absent column stands for.
    """

    name: str
    kind: Kind
    required: bool = False
    default: str | int | float | OfFile | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """Any text of at most ``longest`` characters; NULL, NA and the like are ordinary text."""

    longest: int
    arrow_type: pa.DataType = field(default_factory=pa.string)

    def convert(self, texts: pa.Array, context: Context) -> Converted:  # noqa: ARG002
        """The texts themselves."""
        long = _bools(pc.greater(pc.utf8_length(texts), self.longest))
        return _without(texts, long), [
            Problem(
                RowReason.TOO_LONG,
                long,
                lambda text: f"has {len(text)} characters, {self.longest} are allowed",
            )
        ]


@dataclass(frozen=True, slots=True)
class Words:
    """One of a few words, in upper or lower case; stored in lower case."""

    words: tuple[str, ...]
    arrow_type: pa.DataType = field(default_factory=pa.string)

    def convert(self, texts: pa.Array, context: Context) -> Converted:  # noqa: ARG002
        """The words in lower case."""
        lower = pc.utf8_lower(texts)
        wrong = _bools(pc.invert(pc.is_in(lower, value_set=pa.array(self.words, pa.string()))))
        allowed = ", ".join(self.words)
        return _without(lower, wrong), [
            Problem(RowReason.BAD_ENUM, wrong, lambda _text: f"is none of: {allowed}")
        ]


@dataclass(frozen=True, slots=True)
class Integer:
    """A plain integer between two bounds, both allowed."""

    low: int
    high: int = 2**31 - 1
    arrow_type: pa.DataType = field(default_factory=pa.int64)

    def convert(self, texts: pa.Array, context: Context) -> Converted:  # noqa: ARG002
        """Whole numbers."""
        wrong = ~_bools(pc.match_substring_regex(texts, r"^-?[0-9]+$"))
        huge = ~wrong & _bools(pc.greater(pc.binary_length(texts), 18))
        values = pc.cast(_without(texts, wrong | huge), pa.int64())
        outside = huge | _bools(pc.or_(pc.less(values, self.low), pc.greater(values, self.high)))
        return _without(values, outside), [
            Problem(RowReason.BAD_INTEGER, wrong, lambda text: _why_no_number(text, integer=True)),
            Problem(
                RowReason.OUT_OF_RANGE,
                outside,
                lambda _text: f"is not between {self.low} and {self.high}",
            ),
        ]


@dataclass(frozen=True, slots=True)
class Decimal:
    """A plain decimal between two bounds, with at most ``places`` decimals.

    Kept as a double: with the bounds and places used here a value has at most 15 significant digits, so that it
    is exactly recoverable, and sums are made over integers (see ``daily.py``).
    """

    places: int
    low: float
    high: float
    above_low: bool = False
    arrow_type: pa.DataType = field(default_factory=pa.float64)

    def convert(self, texts: pa.Array, context: Context) -> Converted:  # noqa: ARG002
        """Doubles."""
        pattern = rf"^-?[0-9]+(?:\.[0-9]{{1,{self.places}}})?$"
        wrong = ~_bools(pc.match_substring_regex(texts, pattern))
        values = pc.cast(_without(texts, wrong), pa.float64())
        below = (pc.less_equal if self.above_low else pc.less)(values, self.low)
        outside = _bools(pc.or_(below, pc.greater(values, self.high)))
        bound = "more than" if self.above_low else "at least"
        return _without(values, outside), [
            Problem(
                RowReason.BAD_DECIMAL,
                wrong,
                lambda text: _why_no_number(text, integer=False, places=self.places),
            ),
            Problem(
                RowReason.OUT_OF_RANGE,
                outside,
                lambda _text: f"must be {bound} {self.low:,.0f} and at most {self.high:,.0f}",
            ),
        ]


@dataclass(frozen=True, slots=True)
class LocalTime:
    """An ISO 8601 date or time, in the business time zone."""

    arrow_type: pa.DataType = field(default_factory=pa.string)

    def convert(self, texts: pa.Array, context: Context) -> Converted:
        """Canonical local times as text (see ``times.py``)."""
        read = times.parse(texts, context.timezone)
        latest = context.now + timedelta(days=1)
        early = read.micros < times.to_micros(EARLIEST)
        outside = read.ok & (early | (read.micros > times.to_micros(latest)))
        return _without(read.text, ~read.ok | outside), [
            Problem(
                RowReason.BAD_DATE,
                ~read.ok,
                lambda _text: f"is not a date; allowed are {times.DATE_FORMS}",
            ),
            Problem(
                RowReason.DATE_OUT_OF_RANGE,
                outside,
                lambda _text: (
                    f"is not between 2000-01-01 and {latest:%Y-%m-%dT%H:%M:%S}, a day ahead of the delivery"
                ),
            ),
        ]


def _bools(mask: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(mask, False))


def _without(values: pa.Array, mask: NDArray[np.bool_]) -> pa.Array:
    """The values with null where the mask is set."""
    if not mask.any():
        return values
    return pc.if_else(pa.array(mask), pa.scalar(None, values.type), values)


def _why_no_number(text: str, *, integer: bool, places: int = 0) -> str:
    """What keeps a text from being a plain number, in words."""
    wanted = "an integer is written with digits only" if integer else "a decimal is written 1234.56"
    bare = text.strip().lower().lstrip("+-")
    if bare in ("nan", "inf", "infinity"):
        found = "is not a finite number"
    elif text.startswith("+"):
        found = "has a plus sign"
    elif "," in text:
        found = "has a comma (a decimal comma or thousands separator)"
    elif any(c in "$€£¥₹%" for c in text):
        found = "has a currency or percent sign"
    elif "e" in bare and bare.replace("e", "", 1).translate(_NO_SIGNS).isdigit():
        found = "is written with an exponent"
    elif "." in bare and bare.replace(".", "", 1).isdigit() and bare.isascii():
        if integer:
            found = "has decimals"
        elif bare.startswith(".") or bare.endswith("."):
            found = "lacks digits beside the full stop"
        else:
            found = f"has more than {places} decimals"
    elif any(c.isspace() or c in "_'\u2019" for c in text):
        found = "has a thousands separator"
    else:
        found = "is not a number"
    return f"{found}; {wanted}"


_NO_SIGNS = str.maketrans("", "", "+-.")
