"""A watcher that says where to look: names of files that something happened to.

It is a hint only. Its handler adds names to a set and wakes the loop: it never looks at a file and never raises,
for an exception there would kill the watcher's thread while the process looks healthy.
"""

import errno
import os
import threading
from pathlib import Path

from watchdog.events import (
    EVENT_TYPE_CLOSED_NO_WRITE,
    EVENT_TYPE_OPENED,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from daemon.events import Event
from daemon.flag import Flag
from daemon.logs import emit

_REMEDY = {
    errno.ENOSPC: "raise fs.inotify.max_user_watches (sysctl)",
    errno.EMFILE: "raise fs.inotify.max_user_instances (sysctl) or the limit of open files",
}


# looking at a file opens it: to wake up for that would never end
_OUR_OWN = (EVENT_TYPE_OPENED, EVENT_TYPE_CLOSED_NO_WRITE)


class _Hints(FileSystemEventHandler):
    """Collects the names in a folder that events speak of."""

    def __init__(self, folder: str, wake: Flag) -> None:
        self._prefix = os.path.join(folder, "")  # noqa: PTH118
        self._wake = wake
        self._lock = threading.Lock()
        self._names: set[str] = set()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Notes both ends of whatever happened."""
        if event.event_type in _OUR_OWN:
            return
        for path in (event.src_path, event.dest_path):
            text = os.fsdecode(path)
            name = text.removeprefix(self._prefix)
            if text != name and name and "/" not in name:
                with self._lock:
                    self._names.add(name)
        self._wake.set()

    def take(self) -> set[str]:
        """The names since the last call."""
        with self._lock:
            names, self._names = self._names, set()
        return names


class Watcher:
    """Watches one folder while it is the same folder; rebuilt when it is not."""

    def __init__(self, folder: Path, wake: Flag) -> None:
        self._folder = folder
        self._wake = wake
        self._observer: BaseObserver | None = None
        self._hints = _Hints(str(folder), wake)
        self._root: tuple[int, int] | None = None
        self._failures = 0

    def start(self) -> bool:
        """Begins to watch; False if the system gives no watch: the periodic scan then sees everything."""
        try:
            root = self._folder.stat()
            observer = Observer()
            observer.schedule(self._hints, str(self._folder), recursive=False)
            observer.start()
        except OSError as error:
            self._failures += 1
            remedy = _REMEDY.get(error.errno or 0, "the periodic scan goes on; check the folder")
            emit(Event.WATCHER_FAILED, reason="start", error=str(error), remedy=remedy)
            return False
        self._observer, self._root = observer, (root.st_dev, root.st_ino)
        return True

    def stop(self) -> None:
        """Ends the watcher's threads."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(timeout=2)
            self._observer = None

    def hints(self) -> set[str]:
        """The names something happened to since the last call."""
        return self._hints.take()

    def is_well(self) -> bool:
        """Whether its threads live and the folder is the one it was armed on."""
        if self._observer is None or not self._observer.is_alive():
            return False
        if not all(emitter.is_alive() for emitter in self._observer.emitters):
            return False
        try:
            now = self._folder.stat()
        except OSError:
            return False
        return (now.st_dev, now.st_ino) == self._root

    def rebuild(self) -> bool:
        """Starts anew; the caller scans afterwards."""
        self.stop()
        self._failures += 1
        if not self.start():
            return False
        emit(Event.WATCHER_REBUILT, kind="inotify", failures=self._failures)
        return True
