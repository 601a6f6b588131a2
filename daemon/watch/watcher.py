"""A watcher that says where to look, and changes to looking now and then where, or while, it cannot be told.

It is a hint only: what it misses, the periodic scan finds. It takes care that this stays the exception.
"""

import errno
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from daemon.events import Event
from daemon.filesystems import UNKNOWN, filesystem_of
from daemon.flag import Flag
from daemon.logs import emit
from daemon.settings import SettleSettings
from daemon.source import Look
from daemon.watch.canary import Canary
from daemon.watch.kernel import KernelEvents
from daemon.watch.mounts import Mounts

_REMEDY = {
    errno.ENOSPC: "raise fs.inotify.max_user_watches (sysctl)",
    errno.EMFILE: "raise fs.inotify.max_user_instances (sysctl) or the limit of open files (ulimit -n)",
    errno.EACCES: "let the daemon's user read live_feeds/",
}
_FOR_GOOD = "nothing, unless it repeats: then set settle.watch: poll and report it with the host's kernel and filesystem"
_STRIKES, _WITHIN = 3, 600.0  # seconds
_FIRST_WAIT, _LONGEST_WAIT = 60.0, 3600.0  # seconds until events are tried again; doubles each time
_SOON = 0.1  # seconds until a folder that was made again is watched again
_GONE = (FileNotFoundError, NotADirectoryError)


class Watcher:
    """Watches one folder by events, or has it polled; the loop calls ``tend`` on each turn.

    Attributes:
        kind: how the folder is watched at the moment.
        reason: why it is polled: `configured`, `filesystem`, `unavailable`, `strikes`; "" while it is watched by events.
        filesystem: the type of the folder's filesystem, such as `ext4`.
    """

    def __init__(
        self, folder: Path, settle: SettleSettings, wake: Flag, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.kind: Literal["inotify", "polling"] = "polling"
        self.reason = ""
        self.filesystem = UNKNOWN.type
        self._folder = folder
        self._settle = settle
        self._wake = wake
        self._clock = clock
        self._canary = Canary(folder, settle.canary_seconds, clock)
        self._events: KernelEvents | None = None
        self._renamed: set[str] = set()
        self._looks: dict[str, Look | None] = {}
        self._mounts: Mounts | None = None
        self._root: tuple[int, int] | None = None
        self._strikes: list[float] = []
        self._watching_since = clock()
        self._wait = _FIRST_WAIT
        self._retry_at = math.inf

    @property
    def latency_seconds(self) -> float | None:
        """How long the last canary's event took; None if none has come, or while polling."""
        return self._canary.latency_seconds if self.kind == "inotify" else None

    @property
    def scan_seconds(self) -> float:
        """The period of the full look at the moment."""
        return self._settle.scan_seconds if self.kind == "inotify" else self._settle.poll_seconds

    def start(self) -> None:
        """Begins, in the way that fits the folder's filesystem."""
        self._canary.sweep()
        if self._settle.watch != "poll":
            self._mounts = Mounts(self._wake)
        self._arm()
        emit(
            Event.WATCHER_STARTED,
            kind=self.kind,
            reason=self.reason,
            filesystem=self.filesystem,
            scan_seconds=self.scan_seconds,
        )

    def stop(self) -> None:
        """Ends the threads."""
        self._let_go()
        if self._mounts is not None:
            self._mounts.close()
            self._mounts = None

    def hints(self) -> set[str]:
        """The names something happened to since the last call."""
        if self._events is None:
            self._looks = {}
            return set()
        self._looks, self._renamed = self._events.take()
        return set(self._looks)

    def renamed(self) -> set[str]:
        """Those of the last hints that came by a rename, whole."""
        return self._renamed

    def looks(self) -> Mapping[str, Look | None]:
        """What the files of the last hints were when the kernel spoke of them; None of one that was gone by then."""
        return self._looks

    def next_turn(self) -> float:
        """Seconds until ``tend`` has something to do, should nothing happen until then."""
        if self._root is None:
            return _SOON
        if self._events is None:
            return max(0.0, self._retry_at - self._clock())
        return self._canary.next_turn()

    def tend(self) -> bool:
        """Sees to it that the watch works.

        Returns:
            Whether the folder must be looked through now: events may have been missed.
        """
        root = self._identity()
        if root is None:  # whoever looks through the folder finds that out, says it and makes it again
            self._let_go()
            self._root = None
            return True
        if root != self._root or (self._events is not None and self._events.lost):
            self._move_in()
            return True
        if self._events is None:
            return self._clock() >= self._retry_at and self._try_again()
        if not self._events.is_alive():
            self._strike("died", "the thread that reads events ended")
            return True
        if not self._canary.turn():
            self._strike("deaf", "no event came for the canary file")
            return True
        return self._notice_overflow(self._events)

    # ---- changes

    def _move_in(self) -> None:
        """The folder is another one: made anew, renamed, mounted over or unmounted; watched as that one needs."""
        before = self.kind
        self._arm()
        if self._root is None:
            return
        if self.kind == "inotify" == before:
            self._say_rebuilt("folder_replaced")
        elif self.kind != before:
            self._say_changed()

    def _strike(self, reason: str, error: str) -> None:
        """It failed: build it anew, and after too many times give it up for a while."""
        now = self._clock()
        self._strikes = [*(strike for strike in self._strikes if now - strike < _WITHIN), now]
        emit(Event.WATCHER_FAILED, reason=reason, error=error, remedy=_FOR_GOOD, failures=len(self._strikes))
        if len(self._strikes) >= _STRIKES:
            self._let_go()
            self._poll("strikes")
            self._say_changed()
            return
        self._arm()
        if self.kind != "inotify":
            self._say_changed()
        elif self._root is not None:
            self._say_rebuilt(reason)

    def _try_again(self) -> bool:
        """After a while of polling: whether events are to be had again."""
        self._arm()
        if self.kind != "inotify":
            return False
        # on probation: the next failure, within the usual time, ends it at once
        self._strikes = [self._clock()] * (_STRIKES - 1)
        self._say_changed()
        return True

    def _notice_overflow(self, events: KernelEvents) -> bool:
        if not events.take_overflow():
            return False
        emit(
            Event.WATCHER_OVERFLOWED,
            remedy="nothing, unless it repeats: then raise fs.inotify.max_queued_events (sysctl)",
        )
        return True

    # ---- what they are made of

    def _let_go(self) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = self._folder.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _arm(self) -> None:
        """Watches the folder as it is now, or polls it; neither if it is not there."""
        self._let_go()
        # before the watch is set: should the folder be replaced in between, the next turn sees the difference
        self._root = self._identity()
        try:
            found = filesystem_of(self._folder)
            self.filesystem = found.type
            if self._settle.watch == "poll":
                self._poll("configured", for_good=True)
            elif self._settle.watch == "auto" and not found.gives_events:
                self._poll("filesystem", for_good=True)
            else:
                self._events = KernelEvents(self._folder, self._wake, self._canary, self._clock)
                if self.kind != "inotify":
                    self._watching_since = self._clock()
                self.kind, self.reason = "inotify", ""
                self._canary.begin()
        except _GONE:
            self._root = None
        except OSError as error:
            remedy = _REMEDY.get(error.errno or 0, "check the folder; settle.watch: poll does without events")
            emit(Event.WATCHER_FAILED, reason="start", error=error.strerror or str(error), remedy=remedy)
            self._poll("unavailable")

    def _poll(self, reason: str, *, for_good: bool = False) -> None:
        now = self._clock()
        if for_good:
            self._retry_at = math.inf
        else:
            held = self.kind == "inotify" and now - self._watching_since >= _WITHIN
            first = held or not math.isfinite(self._retry_at)
            self._wait = _FIRST_WAIT if first else min(2 * self._wait, _LONGEST_WAIT)
            self._retry_at = now + self._wait
        self.kind, self.reason = "polling", reason

    def _say_rebuilt(self, reason: str) -> None:
        emit(
            Event.WATCHER_REBUILT,
            kind=self.kind,
            reason=reason,
            filesystem=self.filesystem,
            failures=len(self._strikes),
        )

    def _say_changed(self) -> None:
        if self.kind == "inotify":
            emit(Event.WATCHER_NATIVE, filesystem=self.filesystem, scan_seconds=self.scan_seconds)
            return
        retry = None if math.isinf(self._retry_at) else round(self._retry_at - self._clock(), 1)
        emit(
            Event.WATCHER_POLLING,
            reason=self.reason,
            filesystem=self.filesystem,
            scan_seconds=self.scan_seconds,
            retry_seconds=retry,
        )
