"""Which files of the inbox are complete.

The folder's listing is the truth; what a watcher says only tells where to look first. A file is complete when the
evidence that its feed asks for is there (``evidence.py``): usually it is the same at two looks on our own monotonic
clock, no local process has it open for writing, it does not bear a temporary name, and its last line ends. Its own
timestamps are never compared with ours.
"""

import contextlib
import math
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import translate
from pathlib import Path
from types import MappingProxyType

from daemon.events import Event
from daemon.inbox.beside import Beside
from daemon.inbox.evidence import (
    GRACED,
    HELD,
    Expectations,
    Facts,
    Waiting,
    doubt,
    found,
    is_vouched_for,
    lacking,
)
from daemon.inbox.probe import has_lines, has_writer, open_to_look, tail_of
from daemon.inbox.renames import Renames
from daemon.inbox.sftp_log import SftpLog
from daemon.logs import display_name, emit
from daemon.outcomes import Arrival
from daemon.settings import CompleteWhen, Evidence, Settings, SettleSettings
from daemon.source import Look, Stamp, stamp
from handlers.manifest import belongs_to

__all__ = ["Inbox", "has_writer"]

_READABLE = "chmod g+r the file (it is taken by itself then), and let its sender upload with mode 0640: see docs/senders.md"
_RENAMED: frozenset[Evidence] = frozenset({"rename"})
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

    stamp: Stamp
    since: float
    seen_at: datetime
    looks: int = 1
    judged_at: float = -math.inf
    renamed: bool = False
    broken_off: bool = False
    said: dict[Waiting, None] = field(default_factory=dict)
    why: Waiting | None = None
    rule: CompleteWhen | None = None
    usual: bool | None = None
    evidence: tuple[Evidence, ...] = ()


@dataclass(slots=True)
class Inbox:
    """The files that wait in a folder.

    Attributes:
        folder: the inbox.
        settle: when a file counts as complete.
        clock: monotonic seconds.
        expected: what is asked of a file by its name; by default ``settle`` decides for all.
    """

    folder: Path
    settle: SettleSettings
    clock: Callable[[], float] = time.monotonic
    expected: Expectations | None = None
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _ignored: dict[str, int] = field(default_factory=dict)
    _beside: Beside = field(init=False)
    _renames: Renames = field(init=False)
    _expected: Expectations = field(init=False)
    _sftp_log: SftpLog | None = field(init=False)
    _is_temporary: Callable[[str], object] = field(init=False)

    def __post_init__(self) -> None:
        log = self.settle.sftp_log
        self._sftp_log = SftpLog(log, self.folder.name) if log else None
        patterns = map(translate, self.settle.temporary_names)
        self._is_temporary = re.compile("|".join(patterns) or r"(?!)").match
        self._beside = Beside(self.folder, self.settle, self.clock)
        self._renames = Renames(self.folder)
        self._expected = self.expected or Expectations(Settings(settle=self.settle))

    # ---- looking

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
        self._beside.keep(present)
        self._beside.say_alone(self._seen.keys())
        self._renames.forget_old()

    def look(
        self,
        names: Iterable[str],
        renamed: Iterable[str] = (),
        looks: Mapping[str, Look | None] = MappingProxyType({}),
    ) -> None:
        """Looks at some files again.

        Args:
            names: of the files.
            renamed: those that the kernel said came under their name by a rename, and were not written since.
            looks: what files were a moment ago; one that is still the same has been so since then.

        Raises:
            OSError: the folder cannot be looked into.
        """
        for name in names:
            self._look(name, looks.get(name))
        for name in renamed:
            if name not in self._seen:
                self._look(name)
            if name in self._seen:
                self._seen[name].renamed = True

    def is_unchanged(self, name: str) -> bool:
        """Whether a file is still what was found complete; if not, it settles anew.

        Between ``ready`` and its turn other files may have taken minutes.
        """
        seen = self._seen.get(name)
        try:
            self._look(name)
        except OSError:  # the next look at the folder says what is wrong
            return False
        return seen is not None and self._seen.get(name) is seen

    def arrival(self, name: str) -> Arrival:
        """How a file that is complete came to be so."""
        seen = self._seen.get(name)
        return Arrival(seen.seen_at, tuple(seen.said), seen.evidence) if seen else Arrival()

    def forget(self, name: str) -> None:
        """A file was claimed with its companions: others of the same names start anew."""
        self._seen.pop(name, None)
        self._beside.taken_with(name)

    @property
    def waiting(self) -> dict[str, int]:
        """The files that wait to be taken, with their sizes in bytes; without those that are ``held``."""
        return {name: seen.stamp[2] for name, seen in self._seen.items() if not _is_held(seen)}

    def oldest_since(self) -> float | None:
        """Since when (wall clock, seconds) the oldest of the files has been seen, held ones included; None without one."""
        return min((seen.seen_at.timestamp() for seen in self._seen.values()), default=None)

    @property
    def held(self) -> dict[str, Waiting]:
        """The files that wait for something only their sender can do, and what that is."""
        return {name: seen.why for name, seen in self._seen.items() if _is_held(seen) and seen.why}

    @property
    def ignored(self) -> list[str]:
        """What lies there and is left alone: links, pipes, folders."""
        return sorted(self._ignored)

    @property
    def companions(self) -> list[str]:
        """The markers and manifests that lie there."""
        return self._beside.names

    def size_of(self, name: str) -> int:
        """A file's size in bytes when it was last looked at; of one that is not there 0."""
        seen = self._seen.get(name)
        return seen.stamp[2] if seen else 0

    def ready(self) -> Iterator[str]:
        """The complete files, in the order in which they came; each is judged when its turn comes."""
        if self._sftp_log is not None:
            self._note_broken_off(self._sftp_log.broken_off())
        now = self.clock()
        for name in sorted(self._seen, key=lambda name: (self._seen[name].stamp[4], name)):
            seen = self._seen.get(name)
            if seen is not None and self._is_complete(name, seen, now):
                yield name

    def next_look(self) -> float | None:
        """Seconds until a waiting file may have become complete; None if only its sender can change that."""
        due = min((self._due(seen) for seen in self._seen.values()), default=math.inf)
        return None if due == math.inf else max(0.0, due - self.clock())

    def _look(self, name: str, before: Look | None = None) -> None:
        temporary = self._is_temporary(name) is not None
        try:
            status = os.lstat(self.folder / name)
        except FileNotFoundError:
            self._seen.pop(name, None)
            self._beside.gone(name)
            return
        regular = stat.S_ISREG(status.st_mode)
        if temporary:
            if regular:
                self._renames.note(name, status, temporary=True)
        elif not regular:
            self._ignore(name, status)
        elif belongs_to(name) is not None:
            self._beside.look(name, status)
        else:
            self._look_at_file(name, status, before)

    def _ignore(self, name: str, status: os.stat_result) -> None:
        self._seen.pop(name, None)
        self._beside.gone(name)
        if self._ignored.get(name) != status.st_ino:
            self._ignored[name] = status.st_ino
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "device")
            emit(Event.ENTRY_IGNORED, file=display_name(name), kind=kind)

    def _look_at_file(self, name: str, status: os.stat_result, before: Look | None) -> None:
        fresh = stamp(status)
        since = before.at if before is not None and before.stamp == fresh else self.clock()
        seen = self._seen.get(name)
        if seen is not None and seen.stamp == fresh:
            seen.looks += 1
        elif seen is None:
            renamed = self._renames.had_another_name(name, status)
            self._seen[name] = _Seen(fresh, since, datetime.now(UTC), renamed=renamed)
            emit(Event.DELIVERY_SEEN, file=display_name(name), size_bytes=status.st_size)
        else:
            # the removal of another link, or a chmod, changes nothing of how it came
            same = seen.stamp[:4] == fresh[:4]
            renamed = seen.renamed if same else self._renames.had_another_name(name, status)
            broken_off = seen.broken_off and same
            self._seen[name] = _Seen(
                fresh, since, seen.seen_at, renamed=renamed, broken_off=broken_off, said=seen.said
            )
        self._renames.note(name, status)

    def _note_broken_off(self, names: Iterable[str]) -> None:
        """Notes cut files, as they are now: the log's line came after the last byte. A change makes them others."""
        for name in names:
            self._look(name)
            if name in self._seen:
                self._seen[name].broken_off = True

    # ---- judging

    def _due(self, seen: _Seen) -> float:
        if _is_held(seen):
            return math.inf
        due, now = seen.since + self._patience(seen.why), self.clock()
        if due > seen.judged_at or seen.looks < 2:  # noqa: PLR2004
            return due  # perhaps over while others were loaded
        return now + 0.25  # past its time it is held up by a writer: ask again now and then

    def _patience(self, why: Waiting | None) -> float:
        """How long a file may lie as it is before a reason to wait for it counts, or counts no more."""
        # a program that writes may give the right to read at the end: rsync --inplace does
        grace = self.settle.grace_seconds if why in GRACED else 0.0
        return max(grace, self.settle.quiet_seconds)

    def _is_complete(self, name: str, seen: _Seen, now: float) -> bool:
        seen.judged_at = now
        why = seen.why = self._why_not(name, seen, now - seen.since)
        if why is None:
            return True
        early = why in HELD and now - seen.since < self._patience(why)
        if why not in seen.said and why != "still_changing" and not early:
            seen.said[why] = None
            if why == "unreadable":
                self._say_unreadable(name)
            else:
                emit(Event.DELIVERY_WAITING, file=display_name(name), reason=why, size_bytes=seen.stamp[2])
        return False

    def _say_unreadable(self, name: str) -> None:
        closed = self._beside.closed(name) or name
        with contextlib.suppress(FileNotFoundError):
            status = os.lstat(self.folder / closed)
            emit(
                Event.DELIVERY_UNREADABLE,
                file=display_name(name),
                path=display_name(self.folder / closed),
                mode=f"{stat.S_IMODE(status.st_mode):04o}",
                uid=status.st_uid,
                gid=status.st_gid,
                remedy=_READABLE,
            )

    def _why_not(self, name: str, seen: _Seen, age: float) -> Waiting | None:
        """What a file lacks; if nothing, ``seen.evidence`` tells why it is complete."""
        if seen.broken_off:
            return "broken_off"
        rule = seen.rule = seen.rule or self._expected.rule(name)
        aged = age >= self.settle.quiet_seconds
        quiet = aged and seen.looks >= 2  # noqa: PLR2004
        promised = self._beside.promises(name)
        if seen.renamed:
            promised |= _RENAMED
        why = lacking(rule, promised, quiet=quiet)
        if why is not None:
            return why
        try:
            fd = open_to_look(self.folder / name)
        except FileNotFoundError:
            return "still_changing"
        except PermissionError:
            return "unreadable"  # a chmod makes it another stamp, and so it is looked at again at once
        except OSError:
            # nothing more can be learnt here; the delivery will say so
            facts = Facts(promised, quiet, aged, writer=None, tail=None)
            return doubt(rule, facts, patient=True)
        try:
            facts = Facts(promised, quiet, aged, has_writer(fd), tail_of(fd, name))
            patient = age < max(self.settle.grace_seconds, self.settle.quiet_seconds)
            why = doubt(rule, facts, patient=patient)
            if why is None and "manifest" in promised:
                why = self._beside.manifests_lack(name)
            if why is None and patient and not is_vouched_for(rule, promised):
                why = self._unusual(name, seen, fd)
        finally:
            os.close(fd)
        if why is None:
            seen.evidence = found(facts)
        return why

    def _unusual(self, name: str, seen: _Seen, fd: int) -> Waiting | None:
        """Whether a plain file is much shorter than its like; counted once while it stays as it is."""
        if seen.usual is None:
            band = self._expected.usual(name) if name.endswith(".csv") else None
            seen.usual = band is None or has_lines(fd, band.least + 1)  # the header is a line, too
        return None if seen.usual else "fewer_rows_than_usual"


def _is_held(seen: _Seen) -> bool:
    return seen.why in HELD and seen.why in seen.said
