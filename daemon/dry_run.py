"""``stockgrip check``: the same reading and judging as a delivery's, beside what the database holds. Nothing is written.

Rows are staged in temporary tables: of the configured database, so that they can be compared with those of a slot,
or of one in memory, if that database is not there or not up to date.
"""

import contextlib
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from daemon import rejects_file, source
from daemon.difference import Difference
from daemon.errors import DatabaseUnavailable
from daemon.kinship import kin_of, whose
from daemon.logs import display_name
from daemon.outcomes import Dialect
from daemon.reading import ALONE, Kin, Reading, Rules, read_into
from daemon.settings import Settings, safe_url
from daemon.store import Store, ledger, removed_days
from daemon.store.difference import difference, shrunk, stepping_back
from daemon.store.fixing import must_be_open
from daemon.store.looking import looking, nothing
from daemon.store.staging import Stage
from handlers.errors import FileError, StockgripError
from handlers.feed import Additive
from handlers.fixes import first_rejects_name, fixing
from handlers.reasons import FileReason
from handlers.route import Route, route
from handlers.verdict import FORCED, Tolerance


@dataclass(slots=True)
class Verdict:
    """What would become of a file.

    Attributes:
        file: its name, printable.
        status: ``success``, ``partial``, ``failed``, ``held`` (a correction that would shrink its slot too much) or
            ``duplicate``.
        feed: the owner of its name.
        slot: what it speaks for; None if it appends.
        dialect: how it is written.
        rows: that would be loaded.
        rejected: rows that would be rejected.
        reason: why it would be refused or held.
        message: the same in a sentence.
        rejects: some of them.
        known: rows that an earlier delivery has loaded.
        fixes: the delivery whose rejects it corrects.
        extends: the delivery whose bytes it begins with.
        duplicate_of: the delivery that has loaded these bytes.
        duplicate_name: its file's name.
        steps_back: rows of other deliveries with a key of this file's; None if there was nothing to compare with.
        difference: what it changes in its slot, or its rows beside those of ``beside``; None if there is nothing yet.
        beside: the delivery that it was to be compared with, whatever its slot.
        not_compared: why there was nothing to compare with.
    """

    file: str
    status: str = "failed"
    feed: str | None = None
    slot: str | None = None
    dialect: Dialect | None = None
    rows: int = 0
    rejected: int = 0
    reason: FileReason | None = None
    message: str = ""
    rejects: list[dict[str, Any]] = field(default_factory=list)
    known: int = 0
    fixes: int | None = None
    extends: int | None = None
    duplicate_of: int | None = None
    duplicate_name: str | None = None
    steps_back: int | None = None
    difference: Difference | None = None
    beside: int | None = None
    not_compared: str | None = None

    @property
    def all_well(self) -> bool:
        """Whether nothing would be refused, rejected or held."""
        return self.status in ("success", "duplicate")

    @property
    def remedy(self) -> str | None:
        """What to do about ``reason``, by one who has just looked at the difference."""
        if self.reason is FileReason.SHRUNK:
            force = f"stockgrip retry --force {shlex.quote(self.file)}"
            return f"If the smaller file is right, let it in once it is held in errors/: {force}"
        return self.reason.remedy if self.reason else None

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        found = asdict(self)
        found["reason"] = self.reason.value if self.reason else None
        found["remedy"] = self.remedy
        found["difference"] = self.difference.as_dict() if self.difference else None
        return found


class CannotCompare(StockgripError):  # noqa: N818  (named by what is so)
    """There is nothing to compare with; the message says why."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What files are compared with.

    Attributes:
        store: a database that is only looked at.
        why_not: why there is none.
        delivery: its row of the ledger; compare with its rows, not with those of the file's slot.
    """

    store: Store | None = None
    why_not: str | None = None
    delivery: Mapping[str, Any] | None = None

    def and_with(self, delivery_id: int) -> "Beside":
        """The same, and the delivery to compare with.

        Raises:
            CannotCompare: it is unknown, or has no rows of its own.
        """
        if self.store is None:
            raise CannotCompare(self.why_not or "there is no database")
        row = self.store.delivery(delivery_id)
        if row is None:
            raise CannotCompare(f"there is no delivery {delivery_id}; `stockgrip log` lists them")
        named = f"delivery {delivery_id} ({row['file_name']})"
        if row["status"] not in ledger.LOADED:
            raise CannotCompare(f"{named} has no rows to compare with: its status is {row['status']}")
        if row["fixes"] is not None:
            raise CannotCompare(f"the rows of {named} joined delivery {row['fixes']}: compare with that")
        if removed_days.removed_at(row) is not None:
            raise CannotCompare(
                f"rows of {named} were removed on {removed_days.removed_at(row)} (retention.data_days): compare with its file"
            )
        return replace(self, delivery=row)


NOTHING_BESIDE = Beside()


@contextlib.contextmanager
def beside_database(settings: Settings) -> Iterator[Beside]:
    """The configured database, if it can be compared with: it is never made, migrated or written to."""
    with contextlib.ExitStack() as stack:
        try:
            found = Beside(stack.enter_context(looking(settings.database_url)))
        except DatabaseUnavailable as error:
            found = Beside(why_not=safe_url(str(error)))
        yield found


def dry_run(path: Path, rules: Rules, most: int, beside: Beside = NOTHING_BESIDE) -> Verdict:
    """Judges a file; writes nothing.

    Args:
        path: the file; its name decides the feed.
        rules: from the settings.
        most: how many rejects to list; 0 for all.
        beside: what it is compared with.

    Raises:
        CannotCompare: with the delivery that was named.
    """
    verdict = Verdict(display_name(path.name), not_compared=beside.why_not)
    try:
        if beside.store is not None:
            try:
                _judge_beside(path, rules, verdict, most, beside.store, beside.delivery)
            except DatabaseUnavailable as error:
                verdict.not_compared = safe_url(str(error))
        if beside.store is None or verdict.not_compared is not None:
            _judge_alone(path, rules, verdict, most)
    except FileError as error:
        verdict.reason, verdict.message = error.reason, error.message
    return verdict


def _judge_beside(
    path: Path, rules: Rules, verdict: Verdict, most: int, store: Store, other: Mapping[str, Any] | None
) -> None:
    """What would become of a file in the configured database."""
    where, first = whose(path.name, rules, store)
    verdict.feed, verdict.slot = where.feed, where.slot
    verdict.fixes = None if first is None else first["id"]
    with _opened(path) as fd:
        sha256 = source.fingerprint(fd).sha256
        its_slot = where.slot if rules.feeds[where.feed].dated_by_name else None
        known = store.known(sha256, its_slot)
        verdict.duplicate_of = known.loaded_by
        if first is not None and rejects_file.digest(store, first) == sha256:
            verdict.duplicate_of = first["id"]
        if verdict.duplicate_of is not None:
            verdict.duplicate_name = (store.delivery(verdict.duplicate_of) or {}).get("file_name")
        if other is not None:
            _compare_with(other, fd, where, rules, verdict, most, store)
        if verdict.duplicate_of is not None:
            verdict.status = "duplicate"
        if verdict.duplicate_of is not None or other is not None:
            return
        forced = replace(FORCED, old_transactions=known.says_new)
        waived = replace(rules, tolerance=forced) if known.forced else rules
        # its rows are staged, whatever they are: none goes into the feed's table
        kin = replace(kin_of(fd, display_name(path.name), where, first, rules, store), alone=False)
        verdict.extends = kin.extends
        with _read(store, fd, where, waived, verdict, most, kin) as stage:
            if kin.fixes is not None:
                must_be_open(stage.connection, kin.fixes)
            elif kin.extends is None:
                _compare(stage, waived.tolerance, verdict)
            if verdict.reason is None and not waived.tolerance.old_transactions:
                removed_days.must_be_new(stage)


def _compare_with(
    other: Mapping[str, Any], fd: int, where: Route, rules: Rules, verdict: Verdict, most: int, store: Store
) -> None:
    """The file's rows, all of them, beside those of a delivery of the same feed."""
    if verdict.fixes is not None:
        raise CannotCompare(
            f"{verdict.file} holds rejects of delivery {verdict.fixes}: compare the whole file"
        )
    if where.feed != other["file_type"]:
        raise CannotCompare(
            f"delivery {other['id']} is of feed {other['file_type']}, {verdict.file} of {where.feed}"
        )
    verdict.beside = other["id"]
    with _read(store, fd, where, rules, verdict, most, ALONE) as stage:
        verdict.difference = difference(stage, other["id"])


def _judge_alone(path: Path, rules: Rules, verdict: Verdict, most: int) -> None:
    """What would become of a file in an empty database."""
    if first_rejects_name(path.name) is not None:
        raise FileError(
            FileReason.STALE_REJECTS,
            f"its delivery cannot be looked up: {verdict.not_compared or 'there is no database'}",
        )
    where = route(path.name, rules.patterns)
    verdict.feed, verdict.slot = where.feed, where.slot
    with _opened(path) as fd, nothing() as store, _read(store, fd, where, rules, verdict, most, ALONE):
        pass


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = _open(path)
    try:
        yield fd
    finally:
        os.close(fd)


def _open(path: Path) -> int:
    try:
        return source.open_regular(path)
    except OSError as error:
        raise FileError(FileReason.UNREADABLE, f"{error.strerror}: {path}") from error


@contextlib.contextmanager
def _read(
    store: Store, fd: int, where: Route, rules: Rules, verdict: Verdict, most: int, kin: Kin
) -> Iterator[Stage]:
    """Stages a file in a store, and says what would become of it there."""
    reading = Reading()
    feed = rules.feeds[where.feed]
    with store.stage(feed if kin.fixes is None else fixing(feed)) as stage:
        try:
            read_into(stage, fd, where.compression, rules, datetime.now(UTC), reading, kin, where.day)
            if stage.rows and isinstance(stage.feed.daily, Additive):
                stage.sums()  # refused, if they are too large
        except FileError:
            _note(stage, reading, verdict, most)
            raise
        _note(stage, reading, verdict, most)
        yield stage
    if verdict.reason is None:
        verdict.status = "partial" if verdict.rejected else "success"


def _note(stage: Stage, reading: Reading, verdict: Verdict, most: int) -> None:
    verdict.dialect = reading.dialect
    verdict.rows, verdict.rejected, verdict.known = stage.rows, stage.rejects, stage.known
    names = ("line", "column", "value", "reason", "message")
    verdict.rejects = [
        dict(zip(names, row, strict=True)) for row in stage.first_rejects(most or stage.rejects)
    ]


def _compare(stage: Stage, tolerance: Tolerance, verdict: Verdict) -> None:
    """What the file does to rows that are there: of its slot, and of others with the same keys."""
    current = ledger.current_of(stage.connection, verdict.slot)
    if current is not None:
        removed_days.must_be_there(stage.connection, current.delivery_id)
    steps_back = stepping_back(stage, current.delivery_id if current else None)
    found = difference(stage, current.delivery_id) if current else None
    verdict.steps_back, verdict.difference = steps_back, found
    if found is not None and current is not None and stage.rows < tolerance.correction * current.loaded:
        error = shrunk(found)
        verdict.status, verdict.reason, verdict.message = "held", error.reason, error.message
