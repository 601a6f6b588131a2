"""Claiming a file: one winner, whatever else runs, and nothing forgotten after a crash.

A claim is a folder ``.work/<id>/`` with the file in it under its own name. Whoever holds the lock (flock) on the
folder owns it; the kernel drops the lock when the process dies, so a claim that nobody has locked is an orphan. The
folder is made and locked before the file is renamed into it, so that a file is never there without an owner.

Many small files that are taken at once share a folder and its lock (``Batch``).

A file's companions (markers, manifests) come with it, into a room of their own. Which ones is noted first: then the file
is taken, and its winner takes them. After a death in between, the recovery takes what was noted and still lies in the
inbox, if it is the very one.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from daemon.files import Folders, move, rename, sync_folder, sync_folders
from daemon.outcomes import Arrival
from handlers.manifest import ENDINGS

SCRATCH = "stage.db"
_MARK = "claim-"
_MANY = "-many"
_ROOM = "file"
_COMPANIONS = "with"
_NOTE = "with.txt"  # inode, time of change and name of each companion
NOTHING_KNOWN = Arrival()
_last = [0]  # when the latest claim was made, in units of 2**16 ns


class Batch:
    """A folder in which many files are claimed: making, locking and removing one for each costs more than all else on disk.

    Args:
        folders: the data folder.

    Attributes:
        id: of its folder; "" before the first claim.
        folder: the folder.
        lock: the descriptor that holds its lock.
    """

    def __init__(self, folders: Folders) -> None:
        self.id = ""
        self.folder = folders.work
        self.lock = -1
        self._folders = folders
        self._users = 1  # each claim, and who adds to them
        self._is_kept = False

    def claim(self, name: str, arrival: Arrival) -> "Claim":
        """One more claim; its file is not there yet.

        Raises:
            OSError: the world is at fault.
        """
        if not self.id:
            self.id, self.folder, self.lock = _new_folder(self._folders, _MANY)
        self._users += 1
        return Claim(f"{self.id}-{_digest(name)}", self.folder, name, self.lock, arrival, self)

    @classmethod
    def left(cls, folders: Folders, folder: Path, lock: int) -> "Batch":
        """That of a process that died, locked by us."""
        batch = cls(folders)
        batch.id = folder.name.removeprefix(_MARK).removesuffix(_MANY)
        batch.folder, batch.lock = folder, lock
        return batch

    def keep(self) -> None:
        """The folder stays, though it may be empty: it is recovered at the next start."""
        self._is_kept = True

    def leave(self) -> None:
        """A claim has ended, or no more will be added; whoever is last takes the folder away."""
        self._users -= 1
        if self._users or not self.id:
            return
        if not self._is_kept:
            _remove(self.folder, _ROOM)
        os.close(self.lock)


@dataclass(frozen=True)  # no slots: its paths are made once
class Claim:
    """A claimed file.

    Attributes:
        id: in the ledger; of a file that has a folder of its own, also the name of that.
        folder: its folder.
        name: the file's name as the sender gave it; "" if the file has been filed away already.
        lock: the descriptor that holds the lock.
        arrival: how the file came to be taken.
        batch: with whom it shares its folder, if it does; then it has no companions.
    """

    id: str
    folder: Path
    name: str
    lock: int
    arrival: Arrival = NOTHING_KNOWN
    batch: Batch | None = None

    @cached_property
    def room(self) -> Path:
        """The folder in which the file is, with nothing else but others of its batch."""
        return self.folder / _ROOM

    @cached_property
    def path(self) -> Path:
        """Where the file is."""
        return self.room / self.name

    @cached_property
    def companions(self) -> Path:
        """The folder of its companions; there is none if it has none."""
        return self.folder / _COMPANIONS

    @cached_property
    def scratch(self) -> Path:
        """Room for the stage of a large file."""
        return self.folder / SCRATCH


def take(
    folders: Folders, name: str, arrival: Arrival = NOTHING_KNOWN, *, batch: Batch | None = None
) -> Claim | None:
    """Claims a file of the inbox with its companions; None if it is not there any more.

    Args:
        folders: the data folder.
        name: of the file.
        arrival: how it came to be taken.
        batch: of others that are taken with it; ``sync_all`` is to be called then, before anything is done with them.

    Raises:
        OSError: the world is at fault; the file is back in the inbox, or stays claimed by nobody if that failed, too.
    """
    companions = _companions_of(folders.inbox, name)
    is_one_of_many = batch is not None and not companions
    claim = batch.claim(name, arrival) if batch and is_one_of_many else _new(folders, name, arrival)
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
        if not is_one_of_many:
            beside = [claim.companions] if companions else []
            for folder in (*beside, claim.room, claim.folder, folders.work, folders.inbox):
                sync_folder(folder)
    except OSError:
        _undo(folders, claim)
        raise
    return claim


def sync_all(folders: Folders, some: Iterable[Claim]) -> None:
    """Puts claims on disk: the inbox last, so that no file is on disk in neither place."""
    theirs = dict.fromkeys(folder for claim in some for folder in (claim.room, claim.folder))
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


def _new(folders: Folders, name: str, arrival: Arrival = NOTHING_KNOWN) -> Claim:
    claim_id, folder, lock = _new_folder(folders)
    return Claim(claim_id, folder, name, lock, arrival)


def _new_folder(folders: Folders, ending: str = "") -> tuple[str, Path, int]:
    """The id, path and lock of a folder with an empty room."""
    while True:
        new_id = _new_id()
        folder = folders.work / f"{_MARK}{new_id}{ending}"
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
            return new_id, folder, lock
        if lock is not None:
            os.close(lock)  # somebody tidied the empty folder away before it was locked


def _new_id() -> str:
    """Sixteen digits that rise with time: what a process that dies leaves behind is recovered in the order of arrival."""
    _last[0] = max(_last[0] + 1, time.time_ns() >> 16)
    return f"{(_last[0] << 16) + secrets.randbits(16):016x}"


def _digest(name: str) -> str:
    """What tells a file from the others of its batch."""
    return hashlib.blake2b(os.fsencode(name), digest_size=6).hexdigest()


def id_at(path: str) -> str:
    """The id of a claim by the path of its file below the data folder: ``.work/claim-…/file/NAME``."""
    _work, folder, *inner = path.split("/")
    found = folder.removeprefix(_MARK)
    return f"{found.removesuffix(_MANY)}-{_digest(inner[-1])}" if found.endswith(_MANY) and inner else found


def folders_of_claims(work: Path) -> dict[Path, int]:
    """The folders of claims, and how many files each has; one that is being filed away, or was never put in, counts."""
    found = {}
    for entry in sorted(work.iterdir()):
        if entry.name.startswith(_MARK):
            found[entry] = 1
            if entry.name.endswith(_MANY):
                with contextlib.suppress(OSError):  # it is taken away meanwhile
                    found[entry] = len(os.listdir(entry / _ROOM))  # noqa: PTH208
    return found


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
    if claim.batch is not None:
        return []
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
        abandon(claim)
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
        abandon(claim)
        return False
    drop(claim)
    return True


def drop(claim: Claim) -> None:
    """Ends a claim whose file has gone elsewhere."""
    if claim.batch is not None:
        claim.batch.leave()
        return
    _remove(claim.folder, _ROOM, _COMPANIONS)
    os.close(claim.lock)


def _remove(folder: Path, *rooms: str) -> None:
    """Removes the folder of claims, unless a file is in it: then that is recovered at the next start."""
    with contextlib.suppress(OSError):
        for room in rooms:
            with contextlib.suppress(FileNotFoundError):  # a death between two steps of making it, or of this
                (folder / room).rmdir()
        try:
            folder.rmdir()
        except OSError:  # a note, or a stage
            shutil.rmtree(folder)


def abandon(claim: Claim) -> None:
    """Leaves a claim as it is: it is recovered at the next start."""
    if claim.batch is not None:
        claim.batch.keep()
        claim.batch.leave()
        return
    with contextlib.suppress(OSError):
        os.close(claim.lock)


def orphans(
    folders: Folders, unfiled: Callable[[str], Iterable[str]] = lambda _ids: ()
) -> Generator[Claim, None, None]:
    """Claims that nobody holds: their owner died. Each is locked when it is yielded; to be closed, if not all are taken.

    Args:
        folders: the data folder.
        unfiled: gives the ids that begin so, and of which the database does not know where their file lies.
    """
    for entry in sorted(folders.work.iterdir()):
        if not entry.name.startswith(_MARK) or not entry.is_dir():
            continue
        lock = _lock(entry)
        if lock is None:
            continue
        if entry.name.endswith(_MANY):
            yield from _of_batch(Batch.left(folders, entry, lock), unfiled)
            continue
        names = _names_in(entry / _ROOM)
        claim = Claim(entry.name.removeprefix(_MARK), entry, names[0] if names else "", lock)
        if claim.name:
            _fetch_noted(folders, claim)
        yield claim


def _of_batch(batch: Batch, unfiled: Callable[[str], Iterable[str]]) -> Iterator[Claim]:
    """The claims of a batch, as they were taken, and then those whose file is gone from it."""
    left: deque[Claim] = deque()
    try:
        left.extend(batch.claim(name, NOTHING_KNOWN) for name in _names_in(batch.folder / _ROOM))
        ids = {claim.id for claim in left}
        gone = [claim_id for claim_id in unfiled(f"{batch.id}-") if claim_id not in ids]
        left.extend(replace(batch.claim("", NOTHING_KNOWN), id=claim_id) for claim_id in gone)
        while left:
            yield left.popleft()
    finally:
        for claim in left:  # nobody took them
            abandon(claim)
        batch.leave()


def _names_in(room: Path) -> list[str]:
    """The files in a room, the first taken first."""
    try:
        with os.scandir(room) as entries:
            found = [(entry.stat(follow_symlinks=False), entry.name) for entry in entries]
    except FileNotFoundError:
        return []
    return [
        name
        for _, name in sorted(found, key=lambda each: (each[0].st_ctime_ns, each[0].st_mtime_ns, each[1]))
    ]


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
