"""What follows the deliveries, done when no file waits: in small steps, each one transaction, restartable.

What is due is marked in the transaction of a delivery (``daemon.store.due``) and taken out in the transaction that does
it, so that a crash at any moment repeats a step and skips none.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from daemon.after import features, quality
from daemon.errors import GaveWay, TransientError
from daemon.events import Event
from daemon.logs import emit
from daemon.settings import Settings
from daemon.store import Store

_PASSING = 5.0  # seconds that a step is left alone if the world was at fault
_PAUSE = 60.0  # seconds that it is left alone after any other failure
_PATIENCE = 1.0  # seconds that a step gives way to files; then it is done, though they come and come


@dataclass(slots=True)
class AfterSteps:
    """The steps of one database.

    Attributes:
        store: the database.
        settings: of the daemon.
    """

    store: Store
    settings: Settings
    _failed: dict[str, float] = field(default_factory=dict)  # when each is tried again
    _gave_way: dict[str, float] = field(default_factory=dict)  # since when it has done nothing else
    _enough: Callable[[], bool] = field(default=lambda: False)

    def run(self, enough: Callable[[], bool] = lambda: False) -> None:
        """Does what is due, until nothing is, or ``enough`` says that files wait or the end has come.

        Each turn does what is most urgent: the products that deliveries touched, then the days, whose alerts somebody
        waits for, and only then the products that a new day moves on. A step that is begun gives way, too: a file
        waits for some milliseconds, not for the end of a step.

        No error leaves it: what fails stays due, is told in the log, and is tried again later.
        """
        self._enough = enough
        steps = {"features": self._features, "quality": self._quality, "new day": self._new_day}
        while any(not enough() and self._attempt(name, step) for name, step in steps.items()):
            pass
        if not enough():
            self._attempt("log", self._settle)

    def next_try(self) -> float:
        """Seconds until ``run`` is worth another call because a step failed; infinite if none did, or if it is now."""
        now = time.monotonic()
        return min((at - now for at in self._failed.values() if at > now), default=math.inf)

    def tick(self, now: datetime) -> None:
        """What no delivery brings about: silence is noticed, deadlines pass, days close.

        Args:
            now: UTC.
        """
        self._attempt("watch", lambda: quality.watch(self.store, self.settings, now))

    def _features(self) -> bool:
        gives_way = self._way("features")
        return features.advance(self.store, self.settings, gives_way, soon_done=gives_way is None)

    def _quality(self) -> bool:
        return quality.judge(self.store, self.settings, self._way("quality"))

    def _new_day(self) -> bool:
        return features.move_on(self.store, self.settings, self._way("new day"))

    def _settle(self) -> bool:
        self.store.settle()
        return False

    def _way(self, name: str) -> Callable[[], bool] | None:
        now = time.monotonic()
        return self._enough if now - self._gave_way.get(name, now) < _PATIENCE else None

    def _attempt(self, name: str, step: Callable[[], bool]) -> bool:
        """Whether there is more of this step to do now."""
        if time.monotonic() < self._failed.get(name, 0.0):
            return False
        try:
            more = step()
        except GaveWay:
            self._gave_way.setdefault(name, time.monotonic())
            return True
        except TransientError as error:
            if name not in self._failed:  # it is said once, until the step works again
                emit(Event.AFTER_STEP_FAILED, step=name, error=str(error), retry_seconds=_PASSING)
            pause = _PASSING
        except Exception as error:  # noqa: BLE001  (a defect here must not stop the loading of files)
            emit(
                Event.AFTER_STEP_FAILED,
                step=name,
                error=str(error)[:500],
                retry_seconds=_PAUSE,
                exc_info=error,
            )
            pause = _PAUSE
        else:
            self._failed.pop(name, None)
            self._gave_way.pop(name, None)
            return more
        self._failed[name] = time.monotonic() + pause
        return False
