"""Claiming a file: one winner, whatever else runs, and nothing forgotten after a crash.

A claim is a folder ``.work/<id>/`` with the file in it under its own name. Whoever holds the lock (flock) on the
folder owns it; the kernel drops the lock when the process dies, so a claim that nobody has locked is an orphan. The
folder is made and locked before the file is renamed into it, so that a file is never there without an owner.

A file's companions (markers, manifests) come with it, into a room of their own. Which ones is noted first: then the file
is taken, and its winner takes them. After a death in between, the recovery takes what was noted and still lies in the
inbox, if it is the very one.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.files import Folders, move, rename, sync_folder, sync_folders
from daemon.outcomes import Arrival
from handlers.manifest import ENDINGS

SCRATCH = "stage.db"
_MARK = "claim-"
_ROOM = "file"
_COMPANIONS = "with"
_NOTE = "with.txt"  # inode, time of change and name of each companion
NOTHING_KNOWN = Arrival()
_last = [0]  # when the latest claim was made, in units of 2**16 ns


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
    def companions(self) -> Path:
        """The folder of its companions; there is none if it has none."""
        return self.folder / _COMPANIONS

    @property
    def scratch(self) -> Path:
        """Room for the stage of a large file."""
        return self.folder / SCRATCH


def take(folders: Folders, name: str, arrival: Arrival = NOTHING_KNOWN, *, sync: bool = True) -> Claim | None:
    """Claims a file of the inbox with its companions; None if it is not there any more.

    Args:
        folders: the data folder.
        name: of the file.
        arrival: how it came to be taken.
        sync: put the claim on disk; else ``sync_all`` is to be called.

    Raises:
        OSError: the world is at fault; the file is back in the inbox, or stays claimed by nobody if that failed, too.
    """
    claim = replace(_new(folders, name), arrival=arrival)
    companions = _companions_of(folders.inbox, name)
    try:
        if companions:
            _note(claim, companions)
        os.rename(folders.inbox / name, claim.path)  # noqa: PTH104  (names may be no UTF-8)
    except FileNotFoundError:
        drop(claim)
        return None
    except OSError:
        drop(claim)
        raise
    try:
        for companion in companions:
            _fetch(folders, claim, companion)
        if sync or companions:
            beside = [claim.companions] if companions else []
            for folder in (*beside, claim.room, claim.folder, folders.work, folders.inbox):
                sync_folder(folder)
    except OSError:
        _undo(folders, claim)
        raise
    return claim


def sync_all(folders: Folders, some: Iterable[Claim]) -> None:
    """Puts claims on disk: the inbox last, so that no file is on disk in neither place."""
    theirs = [folder for claim in some for folder in (claim.room, claim.folder)]
    sync_folders([*theirs, folders.work, folders.inbox])


def _undo(folders: Folders, claim: Claim) -> None:
    """Puts back what was just taken, though the disk fails; what cannot be put back stays, and is recovered later."""
    try:
        for companion in companions(claim):
            rename(claim.companions / companion, folders.inbox / companion)
        rename(claim.path, folders.inbox / claim.name)
    except OSError:
        abandon(claim)
    else:
        drop(claim)


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
        claim_id = _new_id()
        folder = folders.work / f"{_MARK}{claim_id}"
        try:
            with contextlib.suppress(FileNotFoundError):  # tidied away while it was half made: try another
                _make(folder)
                (folder / _ROOM).mkdir()
            lock = _lock(folder)
        except OSError:  # each further try would leave one more
            for half_made in (folder / _ROOM, folder):
                with contextlib.suppress(OSError):
                    half_made.rmdir()
            raise
        if lock is not None and folder.exists():
            return Claim(claim_id, folder, name, lock)
        if lock is not None:
            os.close(lock)  # somebody tidied the empty folder away before it was locked


def _new_id() -> str:
    """Sixteen digits that rise with time: what a process that dies leaves behind is recovered in the order of arrival."""
    _last[0] = max(_last[0] + 1, time.time_ns() >> 16)
    return f"{(_last[0] << 16) + secrets.randbits(16):016x}"


def _make(folder: Path) -> None:
    try:
        folder.mkdir()
    except FileNotFoundError:  # somebody removed .work/
        folder.mkdir(parents=True)


def _companions_of(folder: Path, name: str) -> dict[str, str]:
    """The companions of a file that lie in a folder, and what tells each from another; links are left alone."""
    found = {}
    beside = os.path.join(folder, name)  # noqa: PTH118  (a Path for each ending takes longer than the look)
    for ending in ENDINGS:
        with contextlib.suppress(OSError):  # it is not there, or its name would be too long
            status = os.lstat(f"{beside}{ending}")
            if stat.S_ISREG(status.st_mode):
                found[f"{name}{ending}"] = f"{status.st_ino}-{status.st_mtime_ns}"
    return found


def _note(claim: Claim, companions: Mapping[str, str]) -> None:
    """Writes down what is to come with the file, before it is taken."""
    claim.companions.mkdir()
    with (claim.folder / _NOTE).open("wb") as note:
        note.write(b"\0".join(os.fsencode(f"{mark} {name}") for name, mark in companions.items()))
        note.flush()
        os.fsync(note.fileno())


def _fetch(folders: Folders, claim: Claim, companion: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # its sender took it away
        os.rename(folders.inbox / companion, claim.companions / companion)  # noqa: PTH104


def _fetch_noted(folders: Folders, claim: Claim) -> None:
    """Takes those companions whose claim was interrupted; one that is another by now belongs to another file."""
    try:
        noted = os.fsdecode((claim.folder / _NOTE).read_bytes()).split("\0")
    except FileNotFoundError:
        return
    there = _companions_of(folders.inbox, claim.name)
    for mark, _, companion in (entry.partition(" ") for entry in noted):
        if there.get(companion) == mark:
            _fetch(folders, claim, companion)
    for folder in (claim.companions, folders.inbox):
        sync_folder(folder)


def companions(claim: Claim) -> list[str]:
    """The names of the companions that came with a file."""
    try:
        return sorted(os.listdir(claim.companions))  # noqa: PTH208
    except FileNotFoundError:
        return []


def release(folders: Folders, claim: Claim) -> bool:
    """Puts a file and its companions back into the inbox; False if its name is taken there, and then it stays claimed.

    The companions go first: a death in between leaves a claim like one that was interrupted while it was made, and
    the file is never seen without them.
    """
    back = folders.inbox / claim.name
    if os.path.lexists(back):
        os.close(claim.lock)
        return False
    for companion in companions(claim):
        try:
            move(claim.companions / companion, folders.inbox / companion)
        except FileExistsError:
            # the sender has sent another meanwhile, which would have written over this one
            (claim.companions / companion).unlink()
    try:
        move(claim.path, back)
    except FileExistsError:
        _fetch_noted(folders, claim)
        os.close(claim.lock)
        return False
    drop(claim)
    return True


def drop(claim: Claim) -> None:
    """Ends a claim whose file has gone elsewhere."""
    with contextlib.suppress(OSError):  # a file is in it: then it is recovered at the next start
        for room in (claim.room, claim.companions):
            with contextlib.suppress(FileNotFoundError):  # a death between two steps of making it, or of this
                room.rmdir()
        try:
            claim.folder.rmdir()
        except OSError:  # a note, or a stage
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
        claim = Claim(entry.name.removeprefix(_MARK), entry, names[0] if names else "", lock)
        if claim.name:
            _fetch_noted(folders, claim)
        yield claim


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
