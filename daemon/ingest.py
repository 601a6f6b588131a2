"""The story of a delivery. Start reading here: it goes downwards.

claim → fingerprint → whose is it → read and check → one transaction → file away → tell its sender
"""

import contextlib
import errno
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from daemon import archive, companions, rejects_file, source
from daemon.claims import Claim
from daemon.errors import TransientError
from daemon.events import Event
from daemon.faults import world
from daemon.files import Folders
from daemon.inbox import has_writer
from daemon.kinship import kin_of, whose
from daemon.logs import bound, display_name, emit
from daemon.outbox import acknowledge
from daemon.outcomes import Delivery, Dialect, Duplicate, Loaded, Outcome, Refused
from daemon.reading import Reading, Rules, read_into
from daemon.store import Store
from daemon.store.staging import SCRATCH_ABOVE
from daemon.timing import timed, took
from handlers.errors import FileError
from handlers.feed import Feed
from handlers.fixes import fixing, rejects_name
from handlers.manifest import check_bytes, check_rows, tally_for
from handlers.reasons import FileReason
from handlers.verdict import FORCED


class StillWritten(TransientError):  # noqa: N818  (named by what is so)
    """The file changed, or was opened for writing, after it was claimed: it goes back into the inbox."""


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
            delivery = Delivery(
                claim.id,
                display_name(claim.name),
                datetime.now(UTC),
                attempts=attempts,
                arrival=claim.arrival,
                raw_name=archive.raw_name(claim.name),
            )
            outcome = settle(claim, delivery, rules, store, refusal)
        if told is None or claim.id not in told:
            # also when it was committed by a process, or over a connection, that is gone
            tell(outcome, store.delivery(outcome.delivery_id) or {})
        if told is not None:
            told.add(claim.id)
        with timed("file"):
            _file_away(claim, outcome, store, folders)
        acknowledge(outcome.delivery_id, store, folders, rules.outbox)
        return outcome


def settle(
    claim: Claim, delivery: Delivery, rules: Rules, store: Store, refusal: FileError | None = None
) -> Outcome:
    """Decides what becomes of a file, and commits it; nothing is moved.

    Args:
        claim: the file.
        delivery: its name and arrival; a replay gives those that it had, and its id.
        rules: from the settings.
        store: the database.
        refusal: refuse the file with this instead of reading it.

    Raises:
        TransientError: the world is at fault.
        StillWritten: somebody writes the file.
    """
    begun = time.monotonic()
    rules = rules.begun()
    reading = Reading()
    try:
        with _opened(claim.path, rules.limits) as fd:
            print_ = source.fingerprint(fd)
            delivery = replace(delivery, sha256=print_.sha256, size=print_.size)
            if refusal is not None:
                raise refusal
            where, first = whose(claim.name, rules, store)
            delivery = replace(
                delivery, feed=where.feed, slot=where.slot, fixes=first["id"] if first else None
            )
            manifests = companions.manifests_of(claim)
            check_bytes(manifests, print_.sha256, print_.size)
            feed = rules.feeds[where.feed]
            known = store.known(print_.sha256, where.slot if feed.dated_by_name else None)
            if first is not None and rejects_file.digest(store, first) == print_.sha256:
                known = replace(known, loaded_by=first["id"])
            if known.loaded_by is not None:
                return store.duplicate(delivery, known.loaded_by, time.monotonic() - begun)
            if known.forced:
                rules = replace(rules, tolerance=replace(FORCED, old_transactions=known.says_new))
            kin = kin_of(fd, delivery.name, where, first, rules, store)
            delivery = replace(
                delivery, retry_of=known.tried_by, extends=kin.extends, looked_upto=kin.looked_upto
            )
            reading.tally = tally_for(manifests, feed)
            scratch = claim.scratch if print_.size > SCRATCH_ABOVE else None
            with store.stage(feed if first is None else fixing(feed), scratch, rules.limits.time) as stage:
                read_into(stage, fd, where.compression, rules, delivery.arrived, reading, kin, where.day)
                if has_writer(fd) or source.stamp(os.fstat(fd)) != print_.stamp:
                    raise StillWritten
                check_rows(manifests, reading.tally)
                dialect = reading.dialect or Dialect("", "")
                say_drift(feed, dialect)
                seconds = time.monotonic() - begun
                took("read", begun)
                with timed("commit"):
                    return store.commit(
                        delivery,
                        stage,
                        dialect,
                        seconds,
                        rules.tolerance.correction,
                        rules.thresholds,
                        old_transactions=rules.tolerance.old_transactions,
                    )
    except FileError as error:
        return store.refuse(
            delivery,
            error,
            dialect=reading.dialect,
            read=reading.rows + sum(reading.reasons.values()),
            details={**reading.details(), **error.details},
            seconds=time.monotonic() - begun,
            thresholds=rules.thresholds,
        )


def _file_away(claim: Claim, outcome: Outcome, store: Store, folders: Folders) -> None:
    """Moves the file to where it belongs, and writes what lies beside it."""
    row = store.delivery(outcome.delivery_id) or {}

    def is_taken(rejects: str) -> bool:
        other = store.rejects_at(f"errors/{rejects}")
        return other is not None and other["id"] != outcome.delivery_id and other["sha256"] != row["sha256"]

    path = archive.file_away(folders, claim, outcome, row, store.rejects(outcome.delivery_id), is_taken)
    rejects_path = None
    if isinstance(outcome, Loaded) and outcome.partial and row["fixes"] is None:
        rejects_path = f"errors/{rejects_name(Path(path).name)}"
        emit(Event.REJECTS_WRITTEN, path=rejects_path, rows=outcome.counts.rejected)
    companions.file_away(folders, claim, path)
    store.filed(outcome.delivery_id, path, rejects_path)
    if row["fixes"] is not None and not isinstance(outcome, Refused):
        first = store.delivery(row["fixes"]) or {}
        ours = {row["sha256"], rejects_file.digest(store, first, before=row["id"])}
        tried = store.delivery(row["retry_of"]) if row["retry_of"] is not None else None
        if tried is not None and tried["archive_path"] == first["rejects_path"]:
            ours.discard(row["sha256"])  # what lies there is the file that was refused
        written = rejects_file.renew(folders, store, first, ours, row["id"])
        if written is not None:
            emit(Event.REJECTS_WRITTEN, path=written, rows=first["records_failed"])
    emit(Event.DELIVERY_FILED, path=path)


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


def say_drift(feed: Feed, dialect: Dialect) -> None:
    """Says in the log which columns of a file its feed does not know, if there are any."""
    if dialect.unknown:
        emit(Event.SCHEMA_DRIFTED, feed=feed.name, columns=list(dialect.unknown[:50]))


def tell(outcome: Outcome, row: Mapping[str, Any]) -> None:
    """Says in the log what became of a delivery, by its row of the ledger."""
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
                    **_kinship(row),
                    rows_rejected=counts.rejected,
                    reasons=details.get("reasons"),
                    seconds=seconds,
                )
            else:
                emit(
                    Event.DELIVERY_LOADED,
                    feed=feed,
                    slot=slot,
                    **figures,
                    **_kinship(row),
                    seconds=seconds,
                )
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


def _kinship(row: Mapping[str, Any]) -> dict[str, int]:
    """The earlier delivery that a file fixes or extends, if there is one."""
    return {name: row[name] for name in ("fixes", "extends") if row.get(name) is not None}
