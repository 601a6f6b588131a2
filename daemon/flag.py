"""A flag that a signal handler may set.

``threading.Event`` may not: its lock is not reentrant, and a handler runs in the very thread that may hold it.
"""

import math
import os
import select


class Flag:
    """Like ``threading.Event``, over a pipe."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._on = False

    def set(self) -> None:
        """Raises the flag and wakes whoever waits for it."""
        self._on = True
        try:
            os.write(self._write, b"!")
        except BlockingIOError:
            pass  # the pipe is full of the same news
        except OSError:
            return  # closed: nobody waits any more

    def is_set(self) -> bool:
        """Whether it is up."""
        return self._on

    def clear(self) -> None:
        """Takes it down."""
        self._on = False
        try:
            while os.read(self._read, 4096):
                pass
        except BlockingIOError:
            pass

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is up, at the most ``timeout`` seconds; whether it is."""
        if not self._on:
            poll = select.poll()
            poll.register(self._read, select.POLLIN)
            poll.poll(None if timeout is None else max(0, math.ceil(timeout * 1000)))
        return self._on

    def close(self) -> None:
        """Gives the pipe back."""
        os.close(self._read)
        os.close(self._write)
