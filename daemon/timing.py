"""How long the steps of the work take: told as an event, for whoever counts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from daemon.events import Event
from daemon.logs import emit

STEPS: Final = ("read", "commit", "file", "features", "quality", "new day")


@contextmanager
def timed(step: str) -> Iterator[None]:
    """Times what is done inside, one of ``STEPS``, if it comes to its end."""
    begun = time.monotonic()
    yield
    took(step, begun)


def took(step: str, begun: float, ended: float | None = None) -> None:
    """A step that began at this monotonic second is done, now or at another."""
    emit(Event.STEP_TIMED, step=step, seconds=round((ended or time.monotonic()) - begun, 6))
