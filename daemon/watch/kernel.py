"""The kernel's events (inotify) for one folder, by watchdog's reader.

Its observers are not used: they hold each event back behind a claim for half a second, to pair the two ends of renames.
Here a thread of watchdog's reads, and calls back for each event; that only collects names, notes what the file is at that
moment, and sets flags: the loop may be busy, and a file's quiet period begins when it came, not when the loop has time. Asked for are a file's appearing, its closing after a write and a change of its attributes. Not asked for are its
opening (which looking at it would cause), each write (the loop looks at a waiting file anyway), and its leaving (which needs
nothing done).
"""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

from watchdog.observers.inotify_c import CallbackId, InotifyConstants, InotifyEvent, InotifyFD, Mask

from daemon.flag import Flag
from daemon.source import Look, stamp
from daemon.watch.canary import Canary

_K = InotifyConstants
_APPEARS = _K.IN_CREATE | _K.IN_MOVED_TO
_LOST = _K.IN_DELETE_SELF | _K.IN_MOVE_SELF | _K.IN_UNMOUNT | _K.IN_IGNORED
_WANTED = Mask(
    _APPEARS | _K.IN_CLOSE_WRITE | _K.IN_ATTRIB | _K.IN_DELETE_SELF | _K.IN_MOVE_SELF | _K.IN_ONLYDIR
)
_MOST_NAMES = 16_384  # a full look is cheaper than more names
_ONLY_ONE = CallbackId(1)


class _Reader(InotifyFD):
    """Watchdog's thread; if it dies, that wakes the loop."""

    def __init__(self, wake: Flag) -> None:
        super().__init__()
        self._wake = wake

    def run(self) -> None:
        """Reads until it is stopped."""
        try:
            super().run()
        finally:
            if self.should_keep_running():
                self._wake.set()


class KernelEvents:
    """What happens in a folder from now on, until ``close``.

    Attributes:
        lost: the folder was removed, renamed or unmounted: nothing more will come.
    """

    def __init__(self, folder: Path, wake: Flag, canary: Canary, clock: Callable[[], float]) -> None:
        """Begins to listen.

        Raises:
            OSError: the folder is not there, may not be read, or a limit of the system is reached.
        """
        self.lost = False
        self._wake = wake
        self._canary = canary
        self._canary_name = os.fsencode(canary.name)
        self._lock = threading.Lock()
        self._folder = folder
        self._clock = clock
        self._names: dict[str, Look | None] = {}
        self._renamed: set[str] = set()
        self._overflowed = False
        self._reader = _Reader(wake)
        try:
            self._reader.start()
        except RuntimeError as error:  # no more threads
            raise OSError(errno.EAGAIN, str(error)) from error
        try:
            self._reader.add_callback(os.fsencode(folder), _WANTED, self, _ONLY_ONE)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Ends the thread."""
        self._reader.stop()
        self._reader.join()

    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._reader.is_alive()

    def take(self) -> tuple[dict[str, Look | None], set[str]]:
        """The names that something happened to since the last call; and of these, the ones that were renamed in.

        With each name goes what its file was after the last event; None if it was gone by then.
        """
        with self._lock:
            names, self._names = self._names, {}
            renamed, self._renamed = self._renamed, set()
        return names, renamed

    def take_overflow(self) -> bool:
        """Whether events were dropped since the last call."""
        with self._lock:
            overflowed, self._overflowed = self._overflowed, False
        return overflowed

    # ---- what watchdog's thread calls

    def on_event(self, event: InotifyEvent) -> None:
        """Something happened in the folder, or to it."""
        if event.mask & _LOST:
            self.lost = True
        elif event.name == self._canary_name:
            if (
                event.mask & _K.IN_CREATE
            ):  # its other events may be read late, when the next one is on its way
                self._canary.hear()
            return
        elif event.name:
            self._note(os.fsdecode(event.name), event.mask)
        self._wake.set()

    def on_watch_deleted(self, wd: int) -> None:  # noqa: ARG002  (the interface is watchdog's)
        """The folder is gone, or the reader is stopped."""
        if self._reader.should_keep_running():
            self.lost = True
            self._wake.set()

    def on_queue_overflow(self) -> None:
        """The kernel dropped events."""
        with self._lock:
            self._overflowed = True
        self._wake.set()

    def _note(self, name: str, mask: int) -> None:
        look = self._look(name)
        with self._lock:
            self._names[name] = look
            if mask & _K.IN_MOVED_TO:
                self._renamed.add(name)
            elif mask & (_K.IN_CREATE | _K.IN_CLOSE_WRITE):
                self._renamed.discard(name)
            if len(self._names) > _MOST_NAMES:
                self._names.clear()
                self._renamed.clear()
                self._overflowed = True

    def _look(self, name: str) -> Look | None:
        try:
            return Look(stamp(os.lstat(self._folder / name)), self._clock())
        except OSError:
            return None
