"""How long one delivery may take, from its first byte to its commit (``limits.max_processing_time_minutes``).

It is looked at between the pieces of a file that are read, and by the database within and between statements
(``store/watched.py``). Time that is spent waiting for another process's turn is not the file's, and does not count.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from handlers.errors import FileError
from handlers.reasons import FileReason


@dataclass(slots=True)
class TimeLimit:
    """The time of one delivery. Until ``started`` it never ends.

    Attributes:
        seconds: that a delivery may take.
        until: when it is over, in monotonic seconds.
        doing: what the delivery is at, for the message.
        is_waiting: it waits for another process.
    """

    seconds: float = math.inf
    until: float = math.inf
    doing: str = "it was read"
    is_waiting: bool = False

    def started(self) -> "TimeLimit":
        """A limit that counts from now."""
        return TimeLimit(self.seconds, time.monotonic() + self.seconds)

    @property
    def left(self) -> float:
        """Seconds; below 0: it is over."""
        return self.until - time.monotonic()

    def is_over(self) -> bool:
        """Whether the delivery is to be abandoned."""
        return time.monotonic() >= self.until

    def check(self) -> None:
        """Abandons the delivery when its time is over.

        Raises:
            FileError: ``too_slow``.
        """
        if self.is_over() and not self.is_waiting:
            raise self.error()

    def error(self) -> FileError:
        """What the delivery is refused with."""
        return FileError(
            FileReason.TOO_SLOW,
            f"it was abandoned after {self.seconds / 60:.3g} minutes, while {self.doing};"
            " limits.max_processing_time_minutes allows no more",
        )

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Waits for another process: that does not count."""
        begun = time.monotonic()
        self.is_waiting = True
        try:
            yield
        finally:
            self.is_waiting = False
            self.until += time.monotonic() - begun
