"""The kernel's events (inotify) for one folder, gathered by a thread of its own.

The thread only collects names and sets flags: it never looks at a file. Asked for are a file's appearing, its closing
after a write and a change of its attributes. Not asked for are its opening (which looking at it would cause), each
write (the loop looks at a waiting file anyway), and its leaving (which needs nothing done).
"""

import contextlib
import ctypes
import errno
import os
import select
import struct
import threading
from pathlib import Path

from daemon.flag import Flag
from daemon.watch.canary import Canary

ATTRIB, CLOSE_WRITE, MOVED_TO, CREATE = 0x4, 0x8, 0x80, 0x100
_DELETE_SELF, _MOVE_SELF, _UNMOUNT, _OVERFLOW, _IGNORED = 0x400, 0x800, 0x2000, 0x4000, 0x8000
_ONLY_A_FOLDER = 0x0100_0000
_LOST = _DELETE_SELF | _MOVE_SELF | _UNMOUNT | _IGNORED
_WANTED = ATTRIB | CLOSE_WRITE | MOVED_TO | CREATE | _DELETE_SELF | _MOVE_SELF | _ONLY_A_FOLDER
_HEAD = struct.Struct("iIII")  # watch, mask, cookie, length of the name that follows
_MOST_BYTES = 1 << 16
_MOST_NAMES = 16_384  # a full look is cheaper than more names

_libc = ctypes.CDLL(None, use_errno=True)


class KernelEvents:
    """What happens in a folder from now on, until ``close``.

    Attributes:
        lost: the folder was removed, renamed or unmounted: nothing more will come.
    """

    def __init__(self, folder: Path, wake: Flag, canary: Canary) -> None:
        """Begins to listen.

        Raises:
            OSError: the folder is not there, may not be read, or a limit of the system is reached.
        """
        self.lost = False
        self._wake = wake
        self._canary = canary
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._overflowed = False
        self._mounts: int | None = None
        self._open: list[int] = []
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        try:
            self._fd = self._kept(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
            _checked(_libc.inotify_add_watch(self._fd, os.fsencode(folder), _WANTED))
            self._quit, self._ask_to_quit = map(self._kept, os.pipe2(os.O_CLOEXEC))
            with contextlib.suppress(FileNotFoundError):  # no /proc: then a mount is noticed at the next turn
                self._mounts = self._kept(os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC))
            self._thread.start()
        except RuntimeError as error:  # no more threads
            self._close_files()
            raise OSError(errno.EAGAIN, str(error)) from error
        except OSError:
            self._close_files()
            raise

    def close(self) -> None:
        """Ends the thread."""
        os.write(self._ask_to_quit, b"!")
        self._thread.join()
        self._close_files()

    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def take(self) -> set[str]:
        """The names that something happened to since the last call."""
        with self._lock:
            names, self._names = self._names, set()
        return names

    def take_overflow(self) -> bool:
        """Whether events were dropped since the last call."""
        with self._lock:
            overflowed, self._overflowed = self._overflowed, False
        return overflowed

    def _kept(self, fd: int) -> int:
        self._open.append(_checked(fd))
        return fd

    def _close_files(self) -> None:
        while self._open:
            os.close(self._open.pop())

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        poll.register(self._quit, select.POLLIN)
        if self._mounts is not None:
            poll.register(self._mounts, select.POLLPRI)
        try:
            while True:
                ready = {fd for fd, _ in poll.poll()}
                if self._quit in ready:
                    return
                # something was mounted or unmounted somewhere: the loop sees whether the folder is another one now
                if self._mounts in ready or self._read():
                    self._wake.set()
        finally:
            self._wake.set()  # if it died: the loop notices at once

    def _read(self) -> bool:
        """Takes what the kernel has; whether there is anything for the loop."""
        try:
            data = os.read(self._fd, _MOST_BYTES)
        except BlockingIOError:
            return False
        names: set[str] = set()
        at, overflowed = 0, False
        while at < len(data):
            _, mask, _, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size + length
            name = os.fsdecode(data[at - length : at].rstrip(b"\0"))
            if mask & _OVERFLOW:
                overflowed = True
            elif mask & _LOST:
                self.lost = True
            elif name == self._canary.name:
                self._canary.hear()
            elif name:
                names.add(name)
        with self._lock:
            self._names |= names
            if len(self._names) > _MOST_NAMES:
                self._names.clear()
                overflowed = True
            self._overflowed |= overflowed
        return bool(names) or overflowed or self.lost


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
