"""Claiming a file: one winner, whatever else runs, and nothing forgotten after a crash.

A claim is a folder ``.work/<id>/`` with the file in it under its own name. Whoever holds the lock (flock) on the
folder owns it; the kernel drops the lock when the process dies, so a claim that nobody has locked is an orphan. The
folder is made and locked before the file is renamed into it, so that a file is never there without an owner.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.files import Folders, move, sync_folder
from daemon.outcomes import Arrival

SCRATCH = "stage.db"
_MARK = "claim-"
_ROOM = "file"
NOTHING_KNOWN = Arrival()


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed file.

    Attributes:
        id: the name of its folder; also in the ledger.
        folder: its folder.
        name: the file's name as the sender gave it; "" if the file has been filed away already.
        lock: the descriptor that holds the lock.
        arrival: how the file came to be taken.
    """

    id: str
    folder: Path
    name: str
    lock: int
    arrival: Arrival = NOTHING_KNOWN

    @property
    def room(self) -> Path:
        """The folder in which the file is alone."""
        return self.folder / _ROOM

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self.room / self.name

    @property
    def scratch(self) -> Path:
        """Room for the stage of a large file."""
        return self.folder / SCRATCH


def take(folders: Folders, name: str, arrival: Arrival = NOTHING_KNOWN) -> Claim | None:
    """Claims a file of the inbox; None if it is not there any more."""
    claim = replace(_new(folders, name), arrival=arrival)
    try:
        os.rename(folders.inbox / name, claim.path)  # noqa: PTH104  (names may be no UTF-8)
    except FileNotFoundError:
        drop(claim)
        return None
    except OSError:
        drop(claim)
        raise
    for folder in (claim.room, claim.folder, folders.work, folders.inbox):
        sync_folder(folder)
    return claim


def adopt(folders: Folders, source: Path) -> Claim:
    """Claims a copy of a file that lies elsewhere; the original is left alone."""
    claim = _new(folders, source.name)
    try:
        shutil.copyfile(source, claim.path)
    except BaseException:
        claim.path.unlink(missing_ok=True)
        drop(claim)
        raise
    return claim


def _new(folders: Folders, name: str) -> Claim:
    while True:
        claim_id = secrets.token_hex(8)
        folder = folders.work / f"{_MARK}{claim_id}"
        with contextlib.suppress(FileNotFoundError):  # tidied away while it was half made: try another
            (folder / _ROOM).mkdir(parents=True)
        lock = _lock(folder)
        if lock is not None and folder.exists():
            return Claim(claim_id, folder, name, lock)
        if lock is not None:
            os.close(lock)  # somebody tidied the empty folder away before it was locked


def release(folders: Folders, claim: Claim) -> bool:
    """Puts a file back into the inbox; False if its name is taken there, and then it stays claimed."""
    try:
        move(claim.path, folders.inbox / claim.name)
    except FileExistsError:
        os.close(claim.lock)
        return False
    drop(claim)
    return True


def drop(claim: Claim) -> None:
    """Ends a claim whose file has gone elsewhere."""
    with contextlib.suppress(OSError):  # a file is in it: then it is recovered at the next start
        with contextlib.suppress(FileNotFoundError):  # a death between two steps of making it, or of this
            claim.room.rmdir()
        shutil.rmtree(claim.folder)
    os.close(claim.lock)


def abandon(claim: Claim) -> None:
    """Leaves a claim as it is: it is recovered at the next start."""
    with contextlib.suppress(OSError):
        os.close(claim.lock)


def orphans(folders: Folders) -> Iterator[Claim]:
    """Claims that nobody holds: their owner died. Each is locked when it is yielded."""
    for entry in sorted(folders.work.iterdir()):
        if not entry.name.startswith(_MARK) or not entry.is_dir():
            continue
        lock = _lock(entry)
        if lock is None:
            continue
        room = entry / _ROOM
        names = os.listdir(room) if room.is_dir() else []  # noqa: PTH208
        yield Claim(entry.name.removeprefix(_MARK), entry, names[0] if names else "", lock)


def _lock(folder: Path) -> int | None:
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd
