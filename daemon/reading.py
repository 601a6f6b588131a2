"""Reading a file: bytes to judged rows and rejects on a stage."""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from daemon import source
from daemon.outbox_settings import NO_OUTBOX, OutboxSettings
from daemon.outcomes import Dialect
from daemon.settings import Settings
from daemon.store import fixing
from daemon.store.staging import Stage
from daemon.time_limit import TimeLimit
from handlers import HANDLERS
from handlers.cells import Cells, split
from handlers.check import Checked, Reject, check
from handlers.columns import Context
from handlers.errors import FileError
from handlers.feed import Feed
from handlers.fixes import FIXED_LINE, WHY_COLUMNS, spare_cells, unguarded_cells
from handlers.header import Header, read_header
from handlers.manifest import Tally
from handlers.quality.result import DEFAULTS, Thresholds
from handlers.reasons import FileReason, RowReason
from handlers.sales import SALES, accepting_returns
from handlers.verdict import Tolerance, judge

_In = TypeVar("_In")
_Out = TypeVar("_Out")
_HEADER_LIMIT = 1 << 20  # bytes; 5 000 columns have some 50 000
_UNPACKED = 6  # times the size of a compressed file is a guess that is good enough
_FIRST_REJECTS = 20  # shown with a refusal


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say about files, in the handlers' words."""

    feeds: dict[str, Feed]
    patterns: dict[str, tuple[str, ...]]
    encodings: dict[str, str | None]
    limits: source.Limits
    tolerance: Tolerance
    timezone: ZoneInfo
    thresholds: Thresholds = DEFAULTS
    outbox: OutboxSettings = NO_OUTBOX

    @classmethod
    def of(cls, settings: Settings) -> "Rules":
        """From the configuration."""
        feeds = {feed.name: feed for feed in HANDLERS}
        if settings.feeds.sales.returns == "accept":
            feeds["sales"] = accepting_returns(SALES)
        limits = settings.limits
        return cls(
            feeds=feeds,
            patterns={name: tuple(feed.patterns) for name, feed in dict(settings.feeds).items()},
            encodings={name: feed.encoding for name, feed in dict(settings.feeds).items()},
            limits=source.Limits(
                limits.max_file_bytes,
                limits.max_unpacked_bytes,
                limits.max_ratio,
                TimeLimit(60 * limits.max_processing_time_minutes),
            ),
            tolerance=Tolerance(limits.max_rejects, limits.max_reject_share, limits.min_correction_share),
            timezone=ZoneInfo(settings.timezone),
            thresholds=Thresholds(**settings.quality.thresholds.model_dump()),
            outbox=settings.outbox,
        )

    def begun(self) -> "Rules":
        """The rules for one delivery, whose time counts from now."""
        return replace(self, limits=replace(self.limits, time=self.limits.time.started()))


@dataclass(slots=True)
class Reading:
    """What is known of a file while it is read: kept when it is refused half-way."""

    dialect: Dialect | None = None
    rows: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    first_rejects: list[dict[str, Any]] = field(default_factory=list)
    tally: Tally | None = None

    def details(self) -> dict[str, Any]:
        """For the ledger and the reason file."""
        found: dict[str, Any] = {}
        if self.dialect:
            found["header"] = [name[:200] for name in self.dialect.header[:100]]
        if self.reasons:
            found |= {"reasons": self.reasons, "first_rejects": self.first_rejects}
        return found


@dataclass(frozen=True, slots=True)
class Kin:
    """An earlier delivery that a file belongs to.

    Attributes:
        fixes: its rejects come back corrected in this file.
        extends: this file begins with its bytes.
        known_lines: so many physical lines are of that beginning.
        looked_upto: of a file without a slot, the latest delivery that it was compared with.
        day: of rejects, the day on which the file that they come from arrived.
        alone: it is large, and has nothing to do with any: its slot is new.
    """

    fixes: int | None = None
    extends: int | None = None
    known_lines: int = 0
    looked_upto: int | None = None
    day: date | None = None
    alone: bool = False


ALONE = Kin()


def read_into(
    stage: Stage,
    fd: int,
    compression: str,
    rules: Rules,
    arrived: datetime,
    reading: Reading,
    kin: Kin = ALONE,
    day: date | None = None,
) -> None:
    """Reads a file, judges every row, and stages rows and rejects.

    Args:
        stage: where they go.
        fd: the open file.
        compression: "", "gz" or "zst".
        rules: from the settings.
        arrived: when the delivery came, UTC: dates are judged by it.
        reading: filled in on the way, so that a refusal can tell how far it came.
        kin: what it has to do with an earlier delivery.
        day: the day in its name.

    Raises:
        FileError: the file is refused as a whole.
    """
    feed = stage.feed
    codec = source.choose_codec(fd, compression, rules.encodings[feed.name], rules.limits)
    chunks = source.blocks(fd, compression, codec, rules.limits)
    header, rest, line = _header(chunks, feed)
    if kin.fixes is None and FIXED_LINE in map(str.lower, header.unknown):
        raise FileError(
            FileReason.STALE_REJECTS,
            f"the file has the column {FIXED_LINE}, as the rows that were rejected from another file have, but not the"
            " name of a rejects file",
        )
    unknown = header.unknown if kin.fixes is None else tuple(set(header.unknown) - set(WHY_COLUMNS))
    reading.dialect = Dialect(codec, header.delimiter, header.names, unknown)
    if kin.alone and feed.key and feed.key[0] not in header.positions:
        blocks = os.fstat(fd).st_size * (_UNPACKED if compression else 1) // source.CHUNK
        absent = {c.name for c in feed.columns if c.name not in header.positions and c.default is None}
        stage.go_direct(blocks, absent | {feed.key[-1]})
    now = arrived.astimezone(rules.timezone).replace(tzinfo=None)
    context = Context(now, rules.timezone, day or kin.day)

    def checked(numbered: tuple[int, bytes]) -> Checked:
        line, block = numbered
        cells = split(block, line, header)
        if reading.tally is not None:
            reading.tally.add(cells)
        if kin.fixes is None:
            return check(cells, feed, context)
        return _without_spare(check(unguarded_cells(cells), feed, context), cells, header)

    for block in _ahead(source.records(rest, header.delimiter, line), checked):
        fresh = _after(block, kin.known_lines)
        stage.known += len(block.rows) + len(block.rejects) - len(fresh.rows) - len(fresh.rejects)
        stage.append(fresh.rows)
        stage.reject(fresh.rejects)
        _note(stage, reading)
    stage.finish()
    again = _Again(fd, compression, codec, rules, header, feed)
    _reject_repeats(stage, again)
    if kin.fixes is not None:
        fixing.leave_out_known(stage, kin.fixes)
        again.reject(stage, fixing.misfits(stage, kin.fixes))
    _note(stage, reading, final=True)
    # what comes back corrected is not judged as a whole: each of its rows is taken or stays open
    if kin.fixes is None or not (stage.rows or stage.rejects):
        judge(stage.rows, reading.reasons, rules.tolerance, stage.known)


def _without_spare(block: Checked, cells: Cells, header: Header) -> Checked:
    """Of corrected rows: one with a cell under no name becomes a reject; spreadsheets leave such columns nameless."""
    spare = spare_cells(cells, header)
    if not spare:
        return block
    message = "the row has more cells than the header has names"
    told = {reject.line for reject in block.rejects}
    rejects = [
        Reject(line=line, column="", value=cell, reason=RowReason.COLUMN_COUNT, message=message, raw=raw)
        for line, (cell, raw) in spare.items()
        if line not in told
    ]
    kept = pc.invert(pc.is_in(block.rows["line"], pa.array(list(spare), pa.int64())))
    return Checked(
        block.rows.filter(kept), sorted([*block.rejects, *rejects], key=lambda reject: reject.line)
    )


def _after(block: Checked, line: int) -> Checked:
    """What stands behind a line."""
    if line == 0:
        return block
    rows = block.rows.filter(pc.greater(block.rows["line"], pa.scalar(line, pa.int64())))
    return Checked(rows, [reject for reject in block.rejects if reject.line > line])


def _note(stage: Stage, reading: Reading, *, final: bool = False) -> None:
    reading.rows = stage.rows
    if final and stage.rejects:
        reading.reasons = stage.reasons()
        names = ("line", "column", "value", "reason", "message")
        reading.first_rejects = [
            dict(zip(names, (line, column, value[:200], reason, message[:500]), strict=True))
            for line, column, value, reason, message in stage.first_rejects(_FIRST_REJECTS)
        ]


def _header(chunks: Iterator[bytes], feed: Feed) -> tuple[Header, Iterator[bytes], int]:
    """The header, the chunks after it, and the physical line on which they begin."""
    data = b""
    for chunk in chunks:
        data += chunk
        if len(data) > _HEADER_LIMIT:
            break
    if not data.strip() and not any(chunk.strip() for chunk in chunks):
        raise FileError(FileReason.EMPTY, "the file has no text")
    if b"\n" not in data and len(data) > _HEADER_LIMIT:
        if not data.strip(b"\0"):
            raise FileError(FileReason.NUL_TAIL, "the file begins with NUL bytes only")
        raise FileError(FileReason.MISSING_COLUMN, f"the first line does not end within {len(data):,} bytes")
    # a character cut in two at the limit can only stand behind the header
    header = read_header(data[:_HEADER_LIMIT].decode("utf-8", "ignore"), feed)
    end = 0
    for _ in range(header.lines):
        end = data.find(b"\n", end) + 1 or len(data)

    def after() -> Iterator[bytes]:
        if data[end:]:
            yield data[end:]
        yield from chunks

    return header, after(), 1 + header.lines


@dataclass(frozen=True, slots=True)
class _Again:
    """A second way through the file, to find the text of rows that looked good the first time."""

    fd: int
    compression: str
    codec: str
    rules: Rules
    header: Header
    feed: Feed

    def reject(self, stage: Stage, lines: Mapping[int, tuple[str, RowReason, str]]) -> None:
        """Stages rejects for some lines, each with its column, reason and message."""
        if not lines:
            return
        chunks = source.blocks(self.fd, self.compression, self.codec, self.rules.limits)
        _, rest, first = _header(chunks, self.feed)
        for line, block in source.records(rest, self.header.delimiter, first):
            cells = split(block, line, self.header)
            numbered = enumerate(cells.lines.tolist())
            stage.reject([_reject(cells, row, at, *lines[at]) for row, at in numbered if at in lines])


def _reject(cells: Cells, row: int, line: int, column: str, reason: RowReason, message: str) -> Reject:
    value = cells.columns[column][row].as_py().strip()
    return Reject(line=line, column=column, value=value, reason=reason, message=message, raw=cells.raw(row))


def _reject_repeats(stage: Stage, again: _Again) -> None:
    """Rows whose key comes again further down in the file become rejects."""
    key = stage.feed.key
    message = f"a later row of the file has the same {', '.join(key)}; that one was loaded"
    again.reject(stage, dict.fromkeys(stage.repeated_lines(), (key[0], RowReason.DUPLICATE_KEY, message)))


def _ahead(items: Iterator[_In], work: Callable[[_In], _Out]) -> Iterator[_Out]:
    """Works on the next item in a thread while the caller has the last one: parsing releases the interpreter."""
    first = next(items, None)
    if first is None:
        return
    second = next(items, None)
    if second is None:
        yield work(first)  # most files are one block: no thread for them
        return
    with ThreadPoolExecutor(1, thread_name_prefix="parse") as pool:
        following = pool.submit(work, first)
        upcoming: _In | None = second
        while upcoming is not None:
            done, following = following.result(), pool.submit(work, upcoming)
            yield done
            upcoming = next(items, None)
        yield following.result()
