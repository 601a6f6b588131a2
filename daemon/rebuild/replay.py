"""Delivering filed files once more, into a database to throw away, by the very steps of a delivery."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from daemon import packing, source
from daemon.claims import Claim
from daemon.files import Folders
from daemon.ingest import settle
from daemon.logs import display_name
from daemon.outcomes import Delivery, Duplicate, Loaded, Outcome, Refused
from daemon.reading import Rules
from daemon.store import Store
from daemon.store.compare import Snapshot
from daemon.store.ledger import FILE_REMOVED
from daemon.store.removed_days import removed_at
from daemon.store.replaying import take_over, take_over_removed_days
from daemon.time_limit import TimeLimit
from handlers.errors import FileError
from handlers.verdict import FORCED

Row = Mapping[str, Any]
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Remark:
    """What is to be said of one delivery.

    Attributes:
        delivery: its id.
        file: its name.
        why: a sentence without a full stop.
    """

    delivery: int
    file: str
    why: str


class _CannotReplay(Exception):  # noqa: N818  (named by what is so)
    """The file is not there as it was; the message says why."""


@dataclass(slots=True)
class Replay:
    """Deliveries in the order in which they came.

    Attributes:
        ledger: the real database, as it was when the replay began.
        now: the same as it is now: a file may have been moved since.
        scratch: the database that is thrown away.
        folders: the data folder.
        rules: from the settings; what was let in once is let in again.
        room: a folder for files.
        replayed: how many were delivered again from their files.
        not_replayed: those whose rows were taken from the database instead.
        otherwise: those that would not be loaded today.
        lost: those of which neither the file nor all rows are there: no figures of theirs can be compared.
        lost_feeds: whose they are.
        split_may_differ: those whose counts of loaded and of duplicate rows are known only together.
    """

    ledger: Snapshot
    now: Store
    scratch: Store
    folders: Folders
    rules: Rules
    room: Path
    replayed: int = 0
    not_replayed: list[Remark] = field(default_factory=list)
    otherwise: list[Remark] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    lost_feeds: set[str] = field(default_factory=set)
    split_may_differ: set[int] = field(default_factory=set)
    _unloaded: list[Row] = field(init=False)

    def __post_init__(self) -> None:
        # what was loaded once is loaded again, however long it takes today
        limits = replace(self.rules.limits, time=TimeLimit())
        self.rules = replace(self.rules, tolerance=FORCED, limits=limits)
        self._unloaded = self.ledger.unloaded()
        take_over_removed_days(self.scratch, self.ledger)

    def deliver(self, row: Row) -> None:
        """Loads a delivery that is loaded in the real database."""
        if any(gone["file_type"] == row["file_type"] for gone in self._gone_since(row)):
            # rows that are known by their transaction: whether they were new then nobody can tell any more
            self.split_may_differ |= {row["id"], row["fixes"] or row["id"]}
        try:
            outcome = self._again(row)
            self.replayed += 1
        except _CannotReplay as error:
            gone = self._rows_removed(row)
            self.not_replayed.append(
                Remark(
                    row["id"],
                    row["file_name"],
                    f"{error}, and its rows were removed on {gone}" if gone else str(error),
                )
            )
            outcome = self._from_the_database(row)
        match outcome:
            case Loaded():
                pass
            case Duplicate(of=of):
                self._note(row, f"the replay takes it for a duplicate of delivery {of}")
            case Refused(reason=reason, message=message):
                self._note(row, f"the replay refuses it: {reason.value}: {message}")
        self.scratch.filed(row["id"], row["archive_path"] or "", row["rejects_path"])

    def _rows_removed(self, row: Row) -> str | None:
        """The day on which rows of a delivery without a file were removed, or those of the one it fixes."""
        first = row if row["fixes"] is None else self.now.delivery(row["fixes"]) or {}
        gone = removed_at(first)
        if gone is not None:
            self.lost += [row["id"], first["id"]]
            self.lost_feeds.add(row["file_type"])
        return gone

    def _note(self, row: Row, why: str) -> None:
        self.otherwise.append(Remark(row["id"], row["file_name"], why))

    def _gone_since(self, row: Row) -> list[Row]:
        """Deliveries that were loaded when this one came, and have been taken out since."""
        return [g for g in self._unloaded if g["id"] < row["id"] and g["unloaded_at"] >= row["timestamp"]]

    def _again(self, row: Row) -> Outcome:
        claim = Claim(row["claim"], self.room / "claim", row["file_name"], lock=-1)
        try:
            claim.room.mkdir(parents=True)
            self._fetch(row, claim.path)
            return settle(claim, _delivery(row), self.rules, self.scratch)
        finally:
            shutil.rmtree(claim.folder, ignore_errors=True)

    def _from_the_database(self, row: Row) -> Outcome:
        known = ("sha256", "slot", "fixes", "extends")
        delivery = replace(
            _delivery(row), **{k: row[k] for k in known}, feed=row["file_type"], size=row["size_bytes"]
        )
        try:
            return take_over(self.ledger, row, delivery, self.rules.feeds[row["file_type"]], self.scratch)
        except FileError as error:
            return self.scratch.refuse(delivery, error)

    def _fetch(self, row: Row, target: Path) -> None:
        """Copies the file; these very bytes are looked at, whatever becomes of it meanwhile."""
        path = row["archive_path"]
        found = self._copy(path, row["id"], target) if path else None
        if found is None:  # it was filed, compressed or unloaded since
            path = (self.now.delivery(row["id"]) or {}).get("archive_path")
            found = self._copy(path, row["id"], target) if path else None
        if path is None:
            raise _CannotReplay("its file is not filed yet; the daemon does that, or its next start")
        removed = (row["error_details"] or {}).get(FILE_REMOVED)
        if found is None and removed:
            raise _CannotReplay(f"its file was removed on {removed[:10]} (retention.files_days)")
        if found is None:
            raise _CannotReplay(f"{display_name(path)} is missing")
        if found != row["sha256"]:
            raise _CannotReplay(
                f"{display_name(path)} has other bytes than it had: SHA-256 {found[:12]}… instead of"
                f" {str(row['sha256'])[:12]}…"
            )

    def _copy(self, path: str, delivery_id: int, target: Path) -> str | None:
        """Copies a file of the data folder as it was delivered; its SHA-256, or None if it is not there."""
        digest = hashlib.sha256()
        path = packing.place_of(self.folders.data_dir, path, delivery_id)
        if packing.packed_sha256(self.folders.data_dir / path) is not None:
            return self._unpack(path, target)
        try:
            fd = source.open_regular(self.folders.data_dir / path)
        except FileNotFoundError:
            return None
        except (FileError, OSError) as error:
            raise _unreadable(path, error) from error
        try:
            with target.open("wb") as copy:
                while chunk := _read(fd, path):
                    digest.update(chunk)
                    copy.write(chunk)
        finally:
            os.close(fd)
        return digest.hexdigest()

    def _unpack(self, path: str, target: Path) -> str | None:
        digest = hashlib.sha256()
        try:
            with target.open("wb") as copy:
                for chunk in packing.unpacked(self.folders.data_dir / path):
                    digest.update(chunk)
                    copy.write(chunk)
        except packing.Damaged as error:
            raise _CannotReplay(display_name(str(error))) from error
        except FileNotFoundError:
            return None
        return digest.hexdigest()


def _read(fd: int, path: str) -> bytes:
    try:
        return os.read(fd, _CHUNK)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: FileError | OSError) -> _CannotReplay:
    why = error.strerror if isinstance(error, OSError) else error
    return _CannotReplay(f"{display_name(path)} cannot be read: {why}")


def _delivery(row: Row) -> Delivery:
    """As it arrived: dates are judged by that time, and its id is part of its rows' keys."""
    return Delivery(row["claim"], row["file_name"], row["timestamp"], attempts=row["attempts"], id=row["id"])
