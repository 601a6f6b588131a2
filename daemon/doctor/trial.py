"""A trial in the data folder itself: what the daemon does with files there, done with an empty file of our own.

It happens in a folder of its own below ``.work/``, which the daemon passes over, and leaves nothing behind.
"""

import contextlib
import ctypes
import fcntl
import os
import secrets
import select
import shutil
import signal
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from daemon.files import Folders, move, sync_folder

_IN_CREATE = 0x100
_PATIENCE = 1.0  # seconds in which an event must come
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it. An error is None where the step went well.

    Attributes:
        moves: for each folder that files are moved to, the error of moving one there and back.
        lock: the error of locking a folder, as a claim is.
        sync: the error of putting a folder on disk.
        lease: the error of taking a lease on our own file.
        event: the error of hearing of a new file by inotify.
        event_seconds: after how long it was heard of.
        ahead_seconds: how far the filesystem's clock is ahead of ours.
    """

    moves: dict[str, str | None] = field(default_factory=dict)
    lock: str | None = None
    sync: str | None = None
    lease: str | None = None
    event: str | None = None
    event_seconds: float | None = None
    ahead_seconds: float = 0.0


def trial(folders: Folders, temporary_names: tuple[str, ...]) -> Trial:
    """Tries what the daemon does.

    Raises:
        OSError: a file cannot even be made there.
    """
    with _room(folders.work) as room:
        before = time.time()
        file = room / "file"
        file.touch()
        ahead = _ahead(file.stat().st_mtime, before, time.time())
        event, seconds = _event(room)
        return Trial(
            moves=dict(_moves(file, folders, temporary_names)),
            lock=_error(lambda: _lock(room)),
            sync=_error(lambda: sync_folder(room)),
            lease=_error(lambda: take_lease(file)),
            event=event,
            event_seconds=seconds,
            ahead_seconds=ahead,
        )


@contextlib.contextmanager
def _room(work: Path) -> Iterator[Path]:
    room = work / f"doctor-{secrets.token_hex(4)}"
    room.mkdir()
    try:
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _error(step: Callable[[], object]) -> str | None:
    try:
        step()
    except OSError as error:
        return error.strerror or str(error)
    return None


def _moves(
    file: Path, folders: Folders, temporary_names: tuple[str, ...]
) -> Iterator[tuple[str, str | None]]:
    name = f".{file.parent.name}.tmp"
    for folder in (folders.inbox, folders.processed, folders.errors):
        # a name that is not passed over in the inbox would be taken for a delivery
        covered = folder != folders.inbox or any(fnmatchcase(name, glob) for glob in temporary_names)
        if not folder.is_dir() or not covered:
            continue
        yield folder.name, _error(lambda there=folder / name: _there_and_back(file, there))  # type: ignore[misc]


def _there_and_back(file: Path, there: Path) -> None:
    move(file, there)
    move(there, file)


def _lock(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(fd)


def take_lease(file: Path) -> None:
    """Takes a read lease, as the inbox does to learn of writers, and gives it back at once.

    Raises:
        BlockingIOError: somebody has the file open for writing.
        OSError: no lease is to be had.
    """
    fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    finally:
        os.close(fd)


def _event(room: Path) -> tuple[str | None, float | None]:
    """The error of hearing of a new file, or after how many seconds it was heard of."""
    fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        return os.strerror(ctypes.get_errno()), None
    try:
        if _libc.inotify_add_watch(fd, os.fsencode(room), _IN_CREATE) < 0:
            return os.strerror(ctypes.get_errno()), None
        begun = time.monotonic()
        (room / "event").touch()
        if not select.select([fd], [], [], _PATIENCE)[0]:
            return f"no event within {_PATIENCE:g} s", None
        mask = struct.unpack_from("iIII", os.read(fd, 4096))[1]
        return (
            None if mask & _IN_CREATE else f"an event of another kind ({mask:#x})"
        ), time.monotonic() - begun
    finally:
        os.close(fd)


def _ahead(stamp: float, before: float, after: float) -> float:
    """How far a file's time lies outside of the span in which it was written; negative: behind."""
    if stamp > after:
        return stamp - after
    return min(0.0, stamp - before)
