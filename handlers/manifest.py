"""What a sender says about a file in a companion beside it, and whether the file is so.

A marker (``x.csv.done``) says only that the file is whole. A manifest says what must be in it: ``x.csv.sha256`` as
``sha256sum`` writes it, or ``x.csv.manifest.json`` with any of ``rows``, ``sha256``, ``size`` and ``totals``. The figures
are those of the file as it was sent: every data row counts, also one that is rejected here.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from handlers import columns
from handlers.cells import Cells
from handlers.errors import FileError
from handlers.feed import Feed
from handlers.reasons import FileReason
from handlers.route import EXTENSIONS

MARKERS = (".done", ".ok")
SUMS = ".sha256"
FIGURES = ".manifest.json"
MANIFESTS = (SUMS, FIGURES)
ENDINGS = (*MARKERS, *MANIFESTS)
LONGEST = 1 << 20  # bytes of a manifest
KEYS = ("rows", "sha256", "size", "totals")

_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_GNU_LINE = re.compile(r"\\?([0-9A-Fa-f]{64})(?: [ *](.+))?")
_BSD_LINE = re.compile(r"\\?SHA256 \((.+)\) = ([0-9A-Fa-f]{64})")
# so many digits, and no more, are added exactly below
_NUMBER = r"^[+-]?[0-9]{1,40}(\.[0-9]{1,20})?$"
_WIDE = pa.decimal256(76, 20)
_EXACT = Context(prec=100)
_SHOWN = 80  # characters of a value in a message


def belongs_to(name: str) -> str | None:
    """The file that a companion of this name is about; None if the name is no companion's."""
    for ending in ENDINGS:
        if name.endswith(ending):
            file = name.removesuffix(ending)
            return file if file.endswith(EXTENSIONS) else None
    return None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file must be; None where nothing is said.

    Attributes:
        name: its own file name, for messages.
        sha256: of the file's bytes, in lower case.
        size: of the file in bytes, as it lies on disk.
        rows: data rows; the header is none.
        totals: column (in lower case) to the sum of its cells.
    """

    name: str
    sha256: str | None = None
    size: int | None = None
    rows: int | None = None
    totals: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def needs_rows(self) -> bool:
        """Whether the rows must be read to judge by it."""
        return self.rows is not None or bool(self.totals)


# ---- reading


def parse(name: str, content: bytes) -> Manifest:
    """Reads a manifest.

    Args:
        name: its file name; tells the format and the file it is about.
        content: its bytes.

    Raises:
        FileError: ``bad_manifest``, with what was found and what is allowed.
    """
    if len(content) > LONGEST:
        raise _bad(name, f"it has more than {LONGEST:,} bytes")
    if not content.strip(b" \t\r\n\0"):
        raise _bad(name, "it is empty")
    return _parse_figures(name, content) if name.endswith(FIGURES) else _parse_sums(name, content)


def _bad(name: str, what: str) -> FileError:
    return FileError(FileReason.BAD_MANIFEST, f"{_shown(name)} cannot be read: {what}")


def _text(name: str, content: bytes, errors: str) -> str:
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))  # as PowerShell writes
    try:
        return content.decode("utf-16" if marked else "utf-8-sig", errors)
    except UnicodeDecodeError as error:
        raise _bad(name, f"it is no UTF-8 at byte {error.start}") from error


def _parse_sums(name: str, content: bytes) -> Manifest:
    file = belongs_to(name) or ""
    lines = [line.rstrip() for line in _text(name, content, "surrogateescape").splitlines() if line.strip()]
    named: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        gnu, bsd = _GNU_LINE.fullmatch(line), _BSD_LINE.fullmatch(line)
        if gnu and gnu[2] is None and len(lines) == 1:
            return Manifest(name, sha256=gnu[1].lower())
        if gnu and gnu[2] is not None:
            named[_base(gnu[2])] = gnu[1].lower()
        elif bsd:
            named[_base(bsd[1])] = bsd[2].lower()
        else:
            raise _bad(
                name,
                f"line {number} is {_shown(line)}; allowed are `<64 hex digits>  {_plain(file)}` as sha256sum"
                f" writes it, `SHA256 ({_plain(file)}) = <64 hex digits>`, or the 64 digits alone",
            )
    if file not in named:
        found = ", ".join(_shown(other) for other in list(named)[:5])
        raise _bad(name, f"it tells the SHA-256 of {found}, none of {_shown(file)}")
    return Manifest(name, sha256=named[file])


def _base(path: str) -> str:
    """The last part of a path, of whichever system."""
    return re.split(r"[/\\]", path)[-1]


def _parse_figures(name: str, content: bytes) -> Manifest:
    try:
        found = json.loads(
            _text(name, content, "strict"),
            object_pairs_hook=_once,
            parse_float=_as_written,
            parse_constant=_as_written,
        )
    except (ValueError, RecursionError) as error:
        raise _bad(name, f"it is no valid JSON: {error}") from error
    if not isinstance(found, dict) or not found:
        raise _bad(name, f"it must be a JSON object with one or more of {', '.join(KEYS)}")
    unknown = [key for key in found if key not in KEYS]
    if unknown:
        raise _bad(name, f"unknown key {_shown(unknown[0])}; known are {', '.join(KEYS)}")
    sha256 = found.get("sha256")
    if sha256 is not None and not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        raise _bad(name, f"sha256 is {_shown(sha256)}; it must be 64 hex digits")
    totals = found.get("totals", {})
    if not isinstance(totals, dict):
        raise _bad(name, f'totals is {_shown(totals)}; it must be like {{"revenue": "1234.50"}}')
    twice = [column for column, n in Counter(column.strip().lower() for column in totals).items() if n > 1]
    if twice:
        raise _bad(name, f"totals names {_shown(twice[0])} more than once (upper and lower case are equal)")
    return Manifest(
        name,
        sha256=sha256.lower() if sha256 else None,
        size=_whole(name, "size", found.get("size")),
        rows=_whole(name, "rows", found.get("rows")),
        totals={column.strip().lower(): _number(name, column, value) for column, value in totals.items()},
    )


@dataclass(frozen=True, slots=True)
class _Written:
    """A JSON number with a fraction or an exponent, as its text: a double would not keep it."""

    text: str

    def __repr__(self) -> str:
        return self.text


def _as_written(text: str) -> _Written:
    return _Written(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _whole(name: str, key: str, value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise _bad(name, f"{key} is {_shown(value)}; it must be a whole number, 0 or more, without quotes")


def _number(name: str, column: str, value: object) -> Decimal:
    text = value.text if isinstance(value, _Written) else "" if isinstance(value, bool) else value
    if isinstance(text, int | str) and re.match(_NUMBER, str(text)):
        return Decimal(str(text))
    raise _bad(name, f'the total of {_shown(column)} is {_shown(value)}; it must be like "1234.50" or 812')


# ---- judging


class Tally:
    """Rows and sums of a file as it was sent, gathered while it is read.

    Attributes:
        rows: data rows, whatever becomes of them.
        ragged: those of them with too few or too many cells: they are in no sum.
    """

    def __init__(self, wanted: Iterable[str]) -> None:
        self.rows = 0
        self.ragged = 0
        self._sums = dict.fromkeys(wanted, Decimal(0))
        self._odd: dict[str, tuple[int, int]] = {}
        self._found: set[str] = set()

    def add(self, cells: Cells) -> None:
        """Counts the rows of a block."""
        self.rows += len(cells.lines) + len(cells.ragged)
        self.ragged += len(cells.ragged)
        for name in self._sums.keys() & cells.columns.keys():
            self._found.add(name)
            texts = pc.utf8_trim_whitespace(cells.columns[name])
            good = pc.match_substring_regex(texts, _NUMBER)
            total = pc.sum(pc.cast(texts.filter(good), _WIDE)).as_py()
            if total is not None:
                self._sums[name] = _EXACT.add(self._sums[name], total)
            odd = pc.invert(pc.or_(good, pc.equal(texts, "")))
            first = pc.index(odd, pa.scalar(True)).as_py()
            if first >= 0:
                count, line = self._odd.get(name, (0, int(cells.lines[first])))
                self._odd[name] = (count + pc.sum(odd).as_py(), line)

    def total(self, column: str) -> Decimal | None:
        """The sum of a column; None if the file does not have it."""
        return self._sums[column] if column in self._found or not self.rows else None

    def left_out(self, column: str) -> str:
        """What could not be added, in words; "" if all was."""
        said = []
        if column in self._odd:
            count, line = self._odd[column]
            said.append(f"{count} of its cells {_are(count)} no number (the first on line {line})")
        if self.ragged:
            said.append(
                f"{self.ragged} {'row has' if self.ragged == 1 else 'rows have'} another number of cells"
            )
        return f" ({'; '.join(said)}: not added)" if said else ""


def tally_for(manifests: Iterable[Manifest], feed: Feed) -> Tally | None:
    """What to count while a file is read; None if no manifest asks for it.

    Raises:
        FileError: ``bad_manifest``: a total of a column that has no numbers.
    """
    asking = [manifest for manifest in manifests if manifest.needs_rows]
    if not asking:
        return None
    numbers = [c.name for c in feed.columns if isinstance(c.kind, columns.Integer | columns.Decimal)]
    for manifest in asking:
        for column in manifest.totals:
            if column not in numbers:
                known = ", ".join(numbers)
                raise _bad(
                    manifest.name, f"it has a total of {_shown(column)}; the {feed.name} feed can add {known}"
                )
    return Tally(column for manifest in asking for column in manifest.totals)


def check_bytes(manifests: Iterable[Manifest], sha256: str, size: int) -> None:
    """Holds the bytes of a file against its manifests.

    Raises:
        FileError: ``manifest_mismatch``, with both values.
    """
    wrong = []
    for manifest in manifests:
        if manifest.size is not None and manifest.size != size:
            wrong.append(f"{_shown(manifest.name)} says {manifest.size:,} bytes, the file has {size:,}")
        if manifest.sha256 is not None and manifest.sha256 != sha256:
            wrong.append(f"{_shown(manifest.name)} says SHA-256 {manifest.sha256}, the file's is {sha256}")
    _refuse_if(wrong)


def check_rows(manifests: Iterable[Manifest], tally: Tally | None) -> None:
    """Holds what was read of a file against its manifests.

    Args:
        manifests: of the file.
        tally: from ``tally_for``, after the whole file.

    Raises:
        FileError: ``manifest_mismatch``, with both values.
    """
    if tally is None:
        return
    wrong = []
    for manifest in manifests:
        name = _shown(manifest.name)
        if manifest.rows is not None and manifest.rows != tally.rows:
            wrong.append(
                f"{name} says {manifest.rows:,} rows, the file has {tally.rows:,} (the header is none)"
            )
        for column, wanted in manifest.totals.items():
            found = tally.total(column)
            if found is None:
                wrong.append(f"{name} says {column} adds up to {wanted:,f}, the file has no such column")
            elif found != wanted:
                wrong.append(
                    f"{name} says {column} adds up to {wanted:,f}, in the file it is {_short(found)}"
                    f"{tally.left_out(column)}"
                )
    _refuse_if(wrong)


def _refuse_if(wrong: list[str]) -> None:
    if wrong:
        raise FileError(FileReason.MANIFEST_MISMATCH, "; ".join(wrong))


def _short(number: Decimal) -> str:
    """A number without the zeros that only its type has."""
    text = f"{number:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _plain(text: str) -> str:
    return text if text.isprintable() else ascii(text)[1:-1]


def _shown(value: object) -> str:
    text = _plain(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
