"""A file that is made in the folder and removed at once: if no event speaks of it, the watcher is deaf."""

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

from daemon.events import Event
from daemon.logs import emit

_PREFIX = ".stockgrip-canary-"
_SUFFIX = ".tmp"
_PATIENCE = 3.0  # seconds; an event takes less than a millisecond
_LAST_CHANCE = 1.0  # seconds more for our own thread, which may have been held up together with the loop


class Canary:
    """Says now and then whether events arrive, and how fast.

    Attributes:
        name: the file's name; hidden and temporary, so that nobody takes it for a delivery.
        latency_seconds: how long its last event took; None before the first.
    """

    def __init__(self, folder: Path, every: float, clock: Callable[[], float]) -> None:
        self.name = f"{_PREFIX}{os.getpid()}{_SUFFIX}"
        self.latency_seconds: float | None = None
        self._folder = folder
        self._every = every
        self._clock = clock
        self._due = clock()
        self._sent: float | None = None
        self._heard = threading.Event()
        self._said = False

    def sweep(self) -> None:
        """Removes what a process left that died between making and removing it; a living one does not miss it."""
        with contextlib.suppress(OSError):
            for name in os.listdir(self._folder):  # noqa: PTH208  (names may be no UTF-8)
                if name.startswith(_PREFIX) and name.endswith(_SUFFIX):
                    os.unlink(self._folder / name)  # noqa: PTH108

    def begin(self) -> None:
        """A new watch: to be tried at once."""
        self._sent, self._due = None, self._clock()

    def hear(self) -> None:
        """Its event came. Called by the watcher's thread."""
        sent = self._sent
        if sent is not None and not self._heard.is_set():
            self.latency_seconds = self._clock() - sent
            self._heard.set()

    def next_turn(self) -> float:
        """Seconds until ``turn`` has something to do."""
        if not self._every:
            return float("inf")
        now, due = self._clock(), self._due
        if self._sent is not None:
            last = self._sent + _PATIENCE
            due = min(due, last) if now < due else last
        return max(0.0, due - now)

    def turn(self) -> bool:
        """Sends it when it is time; False if it was not heard of: the watcher is deaf."""
        now = self._clock()
        if self._sent is not None:
            if not self._heard.is_set():
                if now - self._sent < _PATIENCE:
                    return True
                if not self._heard.wait(_LAST_CHANCE):
                    self._sent = None
                    return False
            self._sent = None
            emit(Event.CANARY_SEEN, latency_ms=round(1000 * (self.latency_seconds or 0), 3))
        if self._every and now >= self._due:
            self._due = now + self._every
            self._send()
        return True

    def _send(self) -> None:
        path = self._folder / self.name
        self._heard.clear()
        self._sent = self._clock()
        try:
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            finally:
                path.unlink(missing_ok=True)
        except OSError as error:
            self._sent = None  # nothing was made, so nothing can be heard: no fault of the watcher
            if not self._said:
                self._said = True
                emit(
                    Event.CANARY_FAILED,
                    error=error.strerror or str(error),
                    remedy="let the daemon write in live_feeds/ (owner, rights, room on the disk);"
                    " until then a deaf watcher is not noticed, and the periodic scan finds its files",
                )
        else:
            self._said = False
