"""The story of a delivery. Start reading here: it goes downwards.

claim → fingerprint → route → read and check → one transaction → file away
"""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from daemon import archive, source
from daemon.claims import Claim
from daemon.errors import TransientError
from daemon.events import Event
from daemon.faults import world
from daemon.files import Folders
from daemon.inbox import has_writer
from daemon.logs import bound, display_name, emit
from daemon.outcomes import Delivery, Dialect, Duplicate, Loaded, Outcome, Refused
from daemon.settings import Settings
from daemon.store import Store
from daemon.store.staging import SCRATCH_ABOVE, Stage
from handlers import HANDLERS
from handlers.cells import split
from handlers.check import Checked, Reject, check
from handlers.columns import Context
from handlers.errors import FileError
from handlers.feed import Feed
from handlers.header import Header, read_header
from handlers.reasons import FileReason, RowReason
from handlers.route import route
from handlers.sales import SALES, accepting_returns
from handlers.verdict import Tolerance, judge

_In = TypeVar("_In")
_Out = TypeVar("_Out")
_HEADER_LIMIT = 1 << 20  # bytes; 5 000 columns have some 50 000
_FIRST_REJECTS = 20  # shown with a refusal


class StillWritten(TransientError):  # noqa: N818  (named by what is so)
    """The file changed, or was opened for writing, after it was claimed: it goes back into the inbox."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say about files, in the handlers' words."""

    feeds: dict[str, Feed]
    patterns: dict[str, tuple[str, ...]]
    encodings: dict[str, str | None]
    limits: source.Limits
    tolerance: Tolerance
    timezone: ZoneInfo

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
            limits=source.Limits(limits.max_file_bytes, limits.max_unpacked_bytes, limits.max_ratio),
            tolerance=Tolerance(limits.max_rejects, limits.max_reject_share, limits.min_correction_share),
            timezone=ZoneInfo(settings.timezone),
        )


@dataclass(slots=True)
class Reading:
    """What is known of a file while it is read: kept when it is refused half-way."""

    dialect: Dialect | None = None
    rows: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    first_rejects: list[dict[str, Any]] = field(default_factory=list)

    def details(self) -> dict[str, Any]:
        """For the ledger and the reason file."""
        found: dict[str, Any] = {}
        if self.dialect:
            found["header"] = [name[:200] for name in self.dialect.header[:100]]
        if self.reasons:
            found |= {"reasons": self.reasons, "first_rejects": self.first_rejects}
        return found


def ingest(
    claim: Claim,
    rules: Rules,
    store: Store,
    folders: Folders,
    attempts: int = 1,
    refusal: FileError | None = None,
    told: set[str] | None = None,
) -> Outcome:
    """Takes a claimed file from its bytes to its place in the archive.

    Safe to call again after a crash or an error at any point: what the ledger knows of the claim is not done twice.

    Args:
        claim: the file.
        rules: from the settings.
        store: the database.
        folders: the data folder.
        attempts: how often it has been tried, this time included.
        refusal: refuse the file with this instead of reading it.
        told: claims whose outcome stands in the log already; added to.

    Raises:
        TransientError: the world is at fault; the file stays claimed and may be tried again.
        StillWritten: somebody writes the file; it belongs back into the inbox.
    """
    with bound(delivery=claim.id, file=claim.name), world():
        outcome = store.outcome_of(claim.id)
        if outcome is None:
            outcome = _settle_outcome(claim, rules, store, attempts, refusal)
        if told is None or claim.id not in told:
            _tell(
                outcome, store
            )  # also when it was committed by a process, or over a connection, that is gone
        if told is not None:
            told.add(claim.id)
        row = store.delivery(outcome.delivery_id) or {}
        rejects = store.rejects(outcome.delivery_id)
        path = archive.file_away(folders, claim, outcome, row, rejects)
        store.filed(outcome.delivery_id, path)
        if isinstance(outcome, Loaded) and outcome.partial:
            emit(Event.REJECTS_WRITTEN, path=archive.rejects_path(path), rows=outcome.counts.rejected)
        emit(Event.DELIVERY_FILED, path=path)
        return outcome


def _settle_outcome(
    claim: Claim, rules: Rules, store: Store, attempts: int, refusal: FileError | None
) -> Outcome:
    """Decides what becomes of a file, and commits it."""
    begun = time.monotonic()
    delivery = Delivery(
        claim.id, display_name(claim.name), datetime.now(UTC), attempts=attempts, arrival=claim.arrival
    )
    reading = Reading()
    try:
        with _opened(claim.path, rules.limits) as fd:
            print_ = source.fingerprint(fd)
            delivery = replace(delivery, sha256=print_.sha256, size=print_.size)
            if refusal is not None:
                raise refusal
            where = route(claim.name, rules.patterns)
            delivery = replace(delivery, feed=where.feed, slot=where.slot)
            twin = store.loaded_with(print_.sha256)
            if twin is not None:
                return store.duplicate(delivery, twin, time.monotonic() - begun)
            feed = rules.feeds[where.feed]
            scratch = claim.scratch if print_.size > SCRATCH_ABOVE else None
            with store.stage(feed, scratch) as stage:
                read_into(stage, fd, where.compression, rules, delivery.arrived, reading)
                if has_writer(fd) or source.stamp(os.fstat(fd)) != print_.stamp:
                    raise StillWritten
                dialect = reading.dialect or Dialect("", "")
                if dialect.unknown:
                    emit(Event.SCHEMA_DRIFTED, feed=feed.name, columns=list(dialect.unknown[:50]))
                seconds = time.monotonic() - begun
                return store.commit(delivery, stage, dialect, seconds, rules.tolerance.correction)
    except FileError as error:
        return store.refuse(
            delivery,
            error,
            dialect=reading.dialect,
            read=reading.rows + sum(reading.reasons.values()),
            details=reading.details(),
            seconds=time.monotonic() - begun,
        )


@contextlib.contextmanager
def _opened(path: Path, limits: source.Limits) -> Iterator[int]:
    """A claimed file, if it may be read and is not too large."""
    try:
        fd = source.open_regular(path)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EINVAL):  # it was one when it was looked at
            raise FileError(FileReason.NOT_REGULAR, f"not opened: {error.strerror}") from error
        raise
    try:
        size = os.fstat(fd).st_size
        if size > limits.file_bytes:
            raise FileError(
                FileReason.TOO_LARGE,
                f"the file has {size:,} bytes; limits.max_file_bytes allows {limits.file_bytes:,}",
            )
        if has_writer(fd):
            raise StillWritten
        yield fd
    finally:
        os.close(fd)


def read_into(
    stage: Stage,
    fd: int,
    compression: str,
    rules: Rules,
    arrived: datetime,
    reading: Reading,
) -> None:
    """Reads a file, judges every row, and stages rows and rejects.

    Args:
        stage: where they go.
        fd: the open file.
        compression: "", "gz" or "zst".
        rules: from the settings.
        arrived: when the delivery came, UTC: dates are judged by it.
        reading: filled in on the way, so that a refusal can tell how far it came.

    Raises:
        FileError: the file is refused as a whole.
    """
    feed = stage.feed
    codec = source.choose_codec(fd, compression, rules.encodings[feed.name], rules.limits)
    chunks = source.blocks(fd, compression, codec, rules.limits)
    header, rest, line = _header(chunks, feed)
    reading.dialect = Dialect(codec, header.delimiter, header.names, header.unknown)
    context = Context(arrived.astimezone(rules.timezone).replace(tzinfo=None), rules.timezone)

    def checked(numbered: tuple[int, bytes]) -> Checked:
        line, block = numbered
        return check(split(block, line, header), feed, context)

    for block in _ahead(source.records(rest, header.delimiter, line), checked):
        stage.append(block.rows)
        stage.reject(block.rejects)
        _note(stage, reading)
    stage.finish()
    _reject_repeats(stage, fd, compression, codec, rules, header)
    _note(stage, reading, final=True)
    judge(stage.rows, reading.reasons, rules.tolerance)


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


def _reject_repeats(
    stage: Stage, fd: int, compression: str, codec: str, rules: Rules, header: Header
) -> None:
    """Rows whose key comes again further down in the file become rejects."""
    lines = stage.repeated_lines()
    if not lines:
        return
    wanted = set(lines)
    key = ", ".join(stage.feed.key)
    chunks = source.blocks(fd, compression, codec, rules.limits)
    _, rest, first = _header(chunks, stage.feed)
    for line, block in source.records(rest, header.delimiter, first):
        cells = split(block, line, header)
        rejects = [
            Reject(
                line=int(at),
                column=stage.feed.key[0],
                value=cells.columns[stage.feed.key[0]][row].as_py().strip(),
                reason=RowReason.DUPLICATE_KEY,
                message=f"a later row of the file has the same {key}; that one was loaded",
                raw=cells.raw(row),
            )
            for row, at in enumerate(cells.lines.tolist())
            if at in wanted
        ]
        stage.reject(rejects)


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


def _tell(outcome: Outcome, store: Store) -> None:
    """Says in the log what became of a delivery."""
    row = store.delivery(outcome.delivery_id) or {}
    details = row.get("error_details") or {}
    feed, slot, seconds = row.get("file_type"), row.get("slot"), row.get("processing_time_seconds")
    match outcome:
        case Loaded(counts=counts):
            figures = {
                "rows_in": counts.read,
                "rows_loaded": counts.loaded,
                "rows_duplicate": counts.duplicate,
            }
            if outcome.superseded is not None:
                emit(Event.DELIVERY_SUPERSEDED, slot=slot, older_delivery=outcome.superseded)
            if outcome.partial:
                emit(
                    Event.DELIVERY_PARTIAL,
                    feed=feed,
                    slot=slot,
                    **figures,
                    rows_rejected=counts.rejected,
                    reasons=details.get("reasons"),
                    seconds=seconds,
                )
            else:
                emit(Event.DELIVERY_LOADED, feed=feed, slot=slot, **figures, seconds=seconds)
        case Duplicate(of=of):
            emit(Event.DELIVERY_DUPLICATE, feed=feed, first_delivery=of, sha256=row.get("sha256"))
        case Refused(reason=FileReason.SHRUNK):
            emit(Event.DELIVERY_HELD, feed=feed, slot=slot, remedy=details.get("remedy"))
        case Refused():
            emit(
                Event.DELIVERY_REFUSED,
                feed=feed,
                code=outcome.reason.value,
                reason=outcome.message,
                remedy=details.get("remedy"),
                rows_in=outcome.counts.read,
                rows_rejected=outcome.counts.rejected,
            )
