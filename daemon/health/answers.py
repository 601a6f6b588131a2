"""All that is known at one moment, put together for who asks; and what was counted since the start."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from daemon.events import Event
from daemon.health.app import app_of
from daemon.health.gauges import Gauges, Picture
from daemon.health.known import Asked
from daemon.health.metrics import Counters
from daemon.health.state import Reason, dead, not_ready
from daemon.settings import SQLITE, Settings
from daemon.vitals import Vitals

Heard: TypeAlias = "deque[tuple[float, Event, Mapping[str, Any]]]"


@dataclass(slots=True)
class Answers:
    """What the pages tell.

    Attributes:
        vitals: of the loop.
        threads_well: whether the loop's helpers live.
        heard: events that are not counted yet, each with its monotonic second.
    """

    vitals: Vitals
    threads_well: Callable[[], bool]
    heard: Heard
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    _gauges: Gauges = field(default_factory=Gauges)
    _counters: Counters | None = None
    _active_at: float = 0.0

    def count(self) -> None:
        """Counts what was heard."""
        with suppress(IndexError):  # all of it is counted
            while self._counters is not None:
                self._active_at, event, fields = self.heard.popleft()
                self._counters.count(event, fields)

    def app(self, settings: Callable[[], Settings]) -> Starlette:
        """The pages, for the settings in force."""
        if self._counters is None:
            kind = "sqlite" if settings().database_url.startswith(SQLITE) else "postgresql"
            build = {"version": version("stockgrip-live"), "database": kind}
            self._counters = Counters(self.registry, build)
            self.registry.register(self._gauges)
        asked = Asked(settings)

        async def look() -> Picture:
            known = await asked.known()
            self.count()
            lacking = not_ready(
                self.vitals,
                known,
                settings().settle,
                time.monotonic(),
                threads_well=self.threads_well(),
                active_at=self._active_at,
            )
            return Picture(self.vitals, known, self._lifeless(), lacking)

        return app_of(self._lifeless, look, self.registry, self._gauges)

    def _lifeless(self) -> Reason | None:
        return dead(self.vitals, time.monotonic(), threads_well=self.threads_well())
