"""Many small files at once: read and judged as one, committed in one transaction, filed away with few waits for the disk.

A small file by itself costs some forty statements and ten waits for the disk, and hardly anything for its rows. Here that is
paid once for all files of a run. Only files go this way that are plain and new, and of which every row is good; whatever is
doubtful about one, it is left to ``ingest``, where every doubt has its place. So does the whole run when anything fails: what
the ledger knows of a claim is not done twice.
"""

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from daemon import archive, claims, source
from daemon.claims import Claim
from daemon.events import Event
from daemon.faults import world
from daemon.files import Folders, rename, sync_folder
from daemon.inbox import has_writer
from daemon.ingest import say_drift, tell
from daemon.logs import bound, display_name, emit
from daemon.outbox import acknowledge
from daemon.outcomes import Counts, Delivery, Dialect, Loaded
from daemon.reading import Rules
from daemon.store import Store
from daemon.store.together import Clean
from daemon.time_limit import TimeLimit
from daemon.timing import timed, took
from handlers.columns import Context
from handlers.errors import FileError
from handlers.feed import Feed
from handlers.fixes import FIXED_LINE, first_rejects_name
from handlers.route import Route, route
from handlers.together import Page, check_together, page_of

SMALL = 128 << 10  # bytes: some 2 000 rows; a larger one gains nothing
MOST_FILES = 150  # 200 take no less time, and 20 MB more
MOST_BYTES = 4 << 20
_LONGEST = 60.0  # seconds for a transaction of a second: after that each file is tried alone, with all the time it may take


@dataclass(frozen=True, slots=True)
class Item:
    """A claimed file.

    Attributes:
        claim: the file.
        where: where its name says that it belongs; None if it has no owner.
        clean: what is to be loaded; None: it is to be ingested alone.
    """

    claim: Claim
    where: Route | None
    clean: Clean | None = None

    @property
    def feed(self) -> str:
        """The name of its feed; "" if its name has no owner."""
        return self.where.feed if self.where else ""


@dataclass(frozen=True, slots=True)
class Done:
    """A file that is loaded, and is to be filed away.

    Attributes:
        claim: the file.
        outcome: that it is loaded.
        row: its row of the ledger.
    """

    claim: Claim
    outcome: Loaded
    row: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Read:
    delivery: Delivery
    page: Page
    codec: str


def is_small(name: str, size: int) -> bool:
    """Whether a file may be read together with others, as far as its name and size in bytes tell."""
    return name.endswith(".csv") and size <= SMALL


def read_together(some: Sequence[Claim], rules: Rules) -> list[Item]:
    """Reads and judges claimed files.

    Args:
        some: in the order of arrival.
        rules: from the settings.

    Returns:
        An item for each, ordered by feed and then as they came: between feeds the order does not matter.
    """
    arrived = datetime.now(UTC)
    items = [Item(claim, _route_of(claim, rules)) for claim in some]
    read = {n: its for n, item in enumerate(items) if (its := _read(item, rules, arrived)) is not None}
    shapes: dict[tuple[str, bytes], list[int]] = {}
    for n, each in read.items():
        shapes.setdefault((items[n].feed, each.page.head), []).append(n)
    context = Context(arrived.astimezone(rules.timezone).replace(tzinfo=None), rules.timezone, None)
    for (feed, _), alike in shapes.items():
        checked = _checked([read[n].page for n in alike], rules.feeds[feed], context)
        for n, rows in zip(alike, checked, strict=True):
            if rows is not None:
                header = read[n].page.header
                dialect = Dialect(read[n].codec, header.delimiter, header.names, header.unknown)
                items[n] = replace(items[n], clean=Clean(read[n].delivery, dialect, rows))
    return sorted(items, key=lambda item: item.feed)


def runs(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Neighbours that may be loaded in one transaction: of one feed, each with bytes and a slot of its own, or one alone."""
    run: list[Item] = []
    taken: set[str | None] = set()
    for item in items:
        its = {item.clean.delivery.sha256, item.clean.delivery.slot} if item.clean else set()
        if run and (not its or run[-1].clean is None or item.feed != run[-1].feed or its & taken):
            yield run
            run, taken = [], set()
        run.append(item)
        taken |= its
    if run:
        yield run


def load_run(run: Sequence[Item], rules: Rules, store: Store, seconds: float) -> list[Done]:
    """Commits the first files of a run, as many as are new, in one transaction.

    Args:
        run: of one feed, all of them clean.
        rules: from the settings.
        store: the database.
        seconds: what reading each took.

    Raises:
        TransientError: the world is at fault.
        FileError: they are too much at once.
    """
    feed, some = rules.feeds[run[0].feed], [item.clean for item in run if item.clean is not None]
    for item, clean in zip(run, some, strict=True):
        if clean.dialect.unknown:
            with bound(delivery=item.claim.id, file=item.claim.name):
                say_drift(feed, clean.dialect)
    begun = time.monotonic()
    with world():
        limit = TimeLimit(min(_LONGEST, rules.limits.time.seconds)).started()
        rows = store.commit_together(feed, some, seconds, rules.thresholds, limit)
    if rows:
        took("read", begun - seconds * len(rows), begun)
        took("commit", begun)
    return [
        Done(item.claim, Loaded(row["id"], Counts(row["records_processed"], row["records_processed"])), row)
        for item, row in zip(run, rows, strict=False)
    ]


def say_loaded(done: Sequence[Done]) -> None:
    """Says that files are loaded."""
    for each in done:
        with bound(delivery=each.claim.id, file=each.claim.name):
            tell(each.outcome, each.row)


def place(done: Sequence[Done], folders: Folders) -> dict[int, str]:
    """Moves loaded files to their places in the archive, and gives these by the deliveries' ids.

    Raises:
        TransientError: the world is at fault; each of the files may be ingested again, which goes on from here.
    """
    with world(), timed("file"):
        paths = {}
        for each in done:
            nobody = lambda _name: False  # noqa: E731  (no rejects are written)
            paths[each.outcome.delivery_id] = archive.file_away(
                folders, each.claim, each.outcome, each.row, (), nobody, rename
            )
        for folder in {(folders.data_dir / path).parent for path in paths.values()}:
            sync_folder(folder)
        return paths


def say_filed(
    done: Sequence[Done], paths: Mapping[int, str], rules: Rules, store: Store, folders: Folders
) -> None:
    """Says where files lie, once the database knows; the claims may be dropped then."""
    for each in done:
        with bound(delivery=each.claim.id, file=each.claim.name):
            emit(Event.DELIVERY_FILED, path=paths[each.outcome.delivery_id])
        acknowledge(each.outcome.delivery_id, store, folders, rules.outbox)


def _route_of(claim: Claim, rules: Rules) -> Route | None:
    try:
        return route(claim.name, rules.patterns)
    except FileError:
        return None


def _read(item: Item, rules: Rules, arrived: datetime) -> _Read | None:
    """A file that is plain as far as can be seen without judging its rows."""
    claim, where = item.claim, item.where
    if where is None or first_rejects_name(claim.name) is not None or claims.companions(claim):
        return None
    feed = rules.feeds[where.feed]
    if where.slot is None or where.compression or feed.dated_by_name or feed.daily is None:
        return None
    data = _bytes_of(claim)
    plain = None if data is None else source.plain_text(data)
    if data is None or plain is None or len(data) > rules.limits.file_bytes:
        return None
    text, codec = plain
    try:
        page = page_of(text, feed)
    except FileError:
        return None
    if page is None or FIXED_LINE in map(str.lower, page.header.unknown):
        return None
    delivery = Delivery(
        claim.id,
        display_name(claim.name),
        arrived,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        feed=feed.name,
        slot=where.slot,
        arrival=claim.arrival,
        raw_name=archive.raw_name(claim.name),
    )
    return _Read(delivery, page, codec)


def _bytes_of(claim: Claim) -> bytes | None:
    """A small file's bytes, if nobody writes it and nothing is odd about it."""
    try:
        fd = source.open_regular(claim.path)
    except (OSError, FileError):
        return None
    try:
        before = source.stamp(os.fstat(fd))
        data = os.pread(fd, SMALL + 1, 0)
        is_still = not has_writer(fd) and source.stamp(os.fstat(fd)) == before
    except OSError:
        return None
    finally:
        os.close(fd)
    return data if is_still and len(data) == before[2] <= SMALL else None


def _checked(pages: Sequence[Page], feed: Feed, context: Context) -> list[pa.RecordBatch | None]:
    try:
        return check_together(pages, feed, context)
    except FileError:
        return [None] * len(pages)
