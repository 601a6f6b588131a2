"""The loop's heart: what it is at, for whoever looks (``vitals``), and a beat for systemd's watchdog.

The watchdog is fed by the loop alone, after it has seen that its watcher, its courier and the database are as they should
be, so that a loop that hangs is started anew within the watchdog's period. Work in hand (a delivery, the steps after it) has
no natural beat: the watchdog is given the longest time that such work may take, and its period again afterwards.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from daemon.flag import Flag
from daemon.notify import Notifier
from daemon.settings import Settings
from daemon.vitals import LONGEST_STEP, Phase, Vitals

_BEAT = 10.0  # seconds between two beats at the most, unless the watchdog asks for more
_MARGIN = 300.0  # seconds for what no time limit holds: COMMIT, and filing away


def longest_work(settings: Settings) -> float:
    """Seconds that work in hand may take: one try of a delivery, or one step that follows deliveries.

    A delivery may wait as long as it may take, for another process's turn.
    """
    limit = 60 * settings.limits.max_processing_time_minutes
    return max(LONGEST_STEP, 2 * limit + settings.database.busy_timeout_seconds + _MARGIN)


@dataclass(slots=True)
class Heart:
    """Beats in the loop's thread only.

    Attributes:
        vitals: what the last beat found.
        notifier: the line to systemd.
        is_well: looks at what the loop depends on; False keeps the watchdog hungry.
        status: one line on what is being done.
    """

    vitals: Vitals
    notifier: Notifier
    is_well: Callable[[], bool] = lambda: True
    status: Callable[[], str] = lambda: ""
    _beaten: float = field(default=float("-inf"))

    @property
    def period(self) -> float:
        """Seconds between two beats."""
        watchdog = self.notifier.watchdog_seconds
        return _BEAT if watchdog is None else min(_BEAT, watchdog / 3)

    def beat(self, phase: Phase) -> None:
        """The loop goes round."""
        self.vitals.turn(phase)
        now = time.monotonic()
        if now - self._beaten >= self.period:
            self._beaten = now
            if self.is_well():
                self.notifier.alive()
            self.notifier.status(self.status())

    @contextmanager
    def busy(self, phase: Phase) -> Iterator[None]:
        """Work is in hand that has no beat of its own."""
        self.vitals.turn(phase)
        self.notifier.allow(self.vitals.longest_work)
        try:
            yield
        finally:
            self.vitals.turn(Phase.IDLE)

    def again(self) -> None:
        """The work in hand is tried once more, and may take as long again."""
        self.vitals.turn(self.vitals.phase)
        self.notifier.alive()

    def wait(self, flag: Flag, seconds: float, phase: Phase) -> bool:
        """Waits for a flag, beating, with the watchdog's usual period; whether it is up."""
        self.notifier.allow()
        until = time.monotonic() + seconds
        while True:
            self.beat(phase)
            left = until - time.monotonic()
            if flag.wait(max(0.0, min(left, self.period))) or left <= self.period:
                return flag.is_set()
