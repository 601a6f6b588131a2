"""Which files of the inbox are complete.

The folder's listing is the truth; what a watcher says only tells where to look first. A file is complete when it is
the same at two looks on our own monotonic clock, no local process has it open for writing, it does not bear a
temporary name, and its last line ends. Its own timestamps are never compared with ours.
"""

import fcntl
import os
import signal
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from daemon.events import Event
from daemon.logs import display_name, emit
from daemon.settings import SettleSettings
from daemon.source import stamp

Waiting = Literal["still_changing", "open_for_writing", "no_final_newline", "nul_tail"]
_KINDS = {
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


@dataclass(slots=True)
class _Seen:
    """What the last look at a file showed, and since when it has been so."""

    stamp: tuple[int, int, int, int, int]
    since: float
    looks: int = 1
    said: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Inbox:
    """The files that wait in a folder.

    Attributes:
        folder: the inbox.
        settle: when a file counts as complete.
        clock: monotonic seconds.
    """

    folder: Path
    settle: SettleSettings
    clock: Callable[[], float] = time.monotonic
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _ignored: dict[str, int] = field(default_factory=dict)

    def scan(self) -> None:
        """Looks at everything that lies in the folder.

        Raises:
            OSError: the folder cannot be listed.
        """
        present = set()
        with os.scandir(self.folder) as entries:
            for entry in entries:
                present.add(entry.name)
                self._look(entry.name)
        for name in self._seen.keys() - present:
            del self._seen[name]
        for name in self._ignored.keys() - present:
            del self._ignored[name]

    def look(self, names: Iterable[str]) -> None:
        """Looks at some files again."""
        for name in names:
            self._look(name)

    def is_unchanged(self, name: str) -> bool:
        """Whether a file is still what was found complete; if not, it settles anew.

        Between ``ready`` and its turn other files may have taken minutes.
        """
        seen = self._seen.get(name)
        self._look(name)
        return seen is not None and self._seen.get(name) is seen

    def forget(self, name: str) -> None:
        """A file was claimed: another of the same name starts anew."""
        self._seen.pop(name, None)

    @property
    def waiting(self) -> dict[str, int]:
        """The files that wait, with their sizes in bytes."""
        return {name: seen.stamp[2] for name, seen in self._seen.items()}

    @property
    def ignored(self) -> list[str]:
        """What lies there and is left alone: links, pipes, folders."""
        return sorted(self._ignored)

    def ready(self) -> list[str]:
        """The complete files, in the order in which they came."""
        now = self.clock()
        complete = [name for name, seen in self._seen.items() if self._is_complete(name, seen, now)]
        return sorted(complete, key=lambda name: (self._seen[name].stamp[4], name))

    def next_look(self) -> float | None:
        """Seconds until a waiting file may have become complete; None if none waits."""
        if not self._seen:
            return None
        now = self.clock()
        return max(0.005, min(self._due(seen) for seen in self._seen.values()) - now)

    def _look(self, name: str) -> None:
        if any(fnmatchcase(name, pattern) for pattern in self.settle.temporary_names):
            return
        try:
            status = os.lstat(self.folder / name)
        except FileNotFoundError:
            self._seen.pop(name, None)
            return
        if not stat.S_ISREG(status.st_mode):
            self._seen.pop(name, None)
            if self._ignored.get(name) != status.st_ino:
                self._ignored[name] = status.st_ino
                kind = _KINDS.get(stat.S_IFMT(status.st_mode), "device")
                emit(Event.ENTRY_IGNORED, file=display_name(name), kind=kind)
            return
        now, fresh = self.clock(), stamp(status)
        seen = self._seen.get(name)
        if seen is None:
            self._seen[name] = _Seen(fresh, now)
            emit(Event.DELIVERY_SEEN, file=display_name(name), size_bytes=status.st_size)
        elif seen.stamp != fresh:
            self._seen[name] = _Seen(fresh, now, said=seen.said)
        else:
            seen.looks += 1

    def _due(self, seen: _Seen) -> float:
        patience = self.settle.quiet_seconds
        if seen.said & {"no_final_newline", "nul_tail"}:
            patience = max(patience, self.settle.grace_seconds)
        due, now = seen.since + patience, self.clock()
        if due > now or seen.looks < 2:  # noqa: PLR2004
            return due
        return now + 0.25  # past its time it is held up by a writer: ask again now and then

    def _is_complete(self, name: str, seen: _Seen, now: float) -> bool:
        age = now - seen.since
        if self.settle.ready_on == "quiet" and (age < self.settle.quiet_seconds or seen.looks < 2):  # noqa: PLR2004
            return False
        why = self._why_not(name, age)
        if why is None:
            return True
        if why not in seen.said:
            seen.said.add(why)
            if why != "still_changing":
                emit(Event.DELIVERY_WAITING, file=display_name(name), reason=why, size_bytes=seen.stamp[2])
        return False

    def _why_not(self, name: str, age: float) -> Waiting | None:
        """What tells that a file is still being written."""
        try:
            fd = os.open(self.folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return "still_changing"
        except OSError:
            # unreadable: nothing more can be learnt here; the delivery will say so
            return None if age >= self.settle.quiet_seconds else "still_changing"
        try:
            writer = has_writer(fd)
            if writer:
                return "open_for_writing"
            tail = _tail(fd, name)
            if tail is not None and age < max(self.settle.grace_seconds, self.settle.quiet_seconds):
                return tail
            if writer is None and age < self.settle.quiet_seconds:
                return "still_changing"  # no lease to be had: only quiet tells
        finally:
            os.close(fd)
        return None


def has_writer(fd: int) -> bool | None:
    """Whether a process of this host has the file open for writing; None if that cannot be told.

    A read lease is refused while there is a writer. It is given back at once; should a writer come in between, the
    kernel sends a signal, which is made one that is ignored by default.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _tail(fd: int, name: str) -> Waiting | None:
    """What the end of a plain file lacks; a compressed one tells by itself whether it is whole."""
    if not name.endswith(".csv"):
        return None
    size = os.fstat(fd).st_size
    end = os.pread(fd, 2, max(0, size - 2))
    if end.endswith((b"\n", b"\r")) or end in (b"\n\0", b"\r\0"):  # the latter two: UTF-16
        return None
    return "nul_tail" if end.endswith(b"\0") else "no_final_newline"
