"""Wakes the loop when something is mounted or unmounted: a mount over the inbox gives no event of the folder."""

import contextlib
import os
import select
import threading

from daemon.flag import Flag


class Mounts:
    """Watches this process's table of mounts, until ``close``; without ``/proc`` it watches nothing."""

    def __init__(self, wake: Flag) -> None:
        self._wake = wake
        self._open: list[int] = []
        self._thread: threading.Thread | None = None
        with contextlib.suppress(OSError, RuntimeError):  # then a mount is noticed at the loop's next turn
            mounts = self._kept(os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC))
            quit_, ask_to_quit = map(self._kept, os.pipe2(os.O_CLOEXEC))
            self._ask_to_quit = ask_to_quit
            thread = threading.Thread(target=self._run, args=(mounts, quit_), name="mounts", daemon=True)
            thread.start()
            self._thread = thread

    def close(self) -> None:
        """Ends the thread."""
        if self._thread is not None:
            os.write(self._ask_to_quit, b"!")
            self._thread.join()
            self._thread = None
        while self._open:
            os.close(self._open.pop())

    def _kept(self, fd: int) -> int:
        self._open.append(fd)
        return fd

    def _run(self, mounts: int, quit_: int) -> None:
        poll = select.poll()
        poll.register(mounts, select.POLLPRI)
        poll.register(quit_, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if quit_ in ready:
                return
            self._wake.set()
