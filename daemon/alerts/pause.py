"""The one alert that cannot wait in the database, because that may be what is away: intake has paused."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from daemon.alerts.channels import facts_from_memory, seconds_of, send
from daemon.alerts.sending import Deadline
from daemon.errors import TransientError
from daemon.events import Event
from daemon.logs import emit
from daemon.settings import Settings

PATIENCE = 60.0  # seconds that intake may pause before somebody is told
_RETRY = 60.0
_KIND = "intake_paused"


@dataclass(slots=True)
class PauseWatch:
    """Tells of a pause that lasts, and of its end, from memory: what is unsent when the process ends is lost.

    The main loop says when a pause begins and ends, the courier's thread tells. A single assignment each way, so no lock.

    Attributes:
        settings: of the daemon.
        patience: seconds until a pause is told.
        send: sends what is told by a channel.
    """

    settings: Settings
    patience: float = PATIENCE
    send: Callable[[Settings, str, Mapping[str, Any], Deadline], object] = send
    _now: tuple[datetime, float, str] | None = None
    _told: tuple[datetime, str] | None = None
    _firing: Mapping[str, Any] | None = None
    _queue: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    _rests: dict[str, float] = field(default_factory=dict)
    _causes: dict[str, str] = field(default_factory=dict)

    def begin(self, reason: str, error: str) -> None:
        """Intake pauses."""
        self._now = (datetime.now(UTC), time.monotonic(), f"intake has paused ({reason}): {error}")

    def end(self) -> None:
        """Intake goes on."""
        self._now = None

    def tend(self) -> None:
        """Tells what is to be told now."""
        now = self._now
        if now is not None and self._told is None and time.monotonic() - now[1] >= self.patience:
            self._tell(now[0], now[2])
        elif now is None and self._told is not None:
            self._take_back(*self._told)
        for item in list(self._queue):
            self._try(*item)

    def _tell(self, begun: datetime, said: str) -> None:
        self._told = (begun, said)
        self._firing = facts_from_memory(self.settings, _KIND, begun, said, severity="critical")
        self._queue += [(channel, self._firing) for channel in self.settings.alerts.channels]

    def _take_back(self, begun: datetime, said: str) -> None:
        firing = self._firing or {}
        over = facts_from_memory(
            self.settings,
            _KIND,
            begun,
            said,
            severity="critical",
            ended=datetime.now(UTC),
            replies_to=[firing["letter"]] if firing else [],
        )
        untold = [channel for channel, facts in self._queue if facts is firing]
        self._queue = [item for item in self._queue if item[1] is not firing]
        # who never heard that it began need not hear that it ended
        self._queue += [(channel, over) for channel in self.settings.alerts.channels if channel not in untold]
        self._told = self._firing = None

    def _try(self, channel: str, facts: Mapping[str, Any]) -> None:
        if time.monotonic() < self._rests.get(channel, 0.0):
            return
        try:
            with Deadline(seconds_of(self.settings, channel)) as deadline:
                self.send(self.settings, channel, facts, deadline)
        except TransientError as error:
            self._rests[channel] = time.monotonic() + _RETRY
            if self._causes.get(channel) != str(error):
                self._causes[channel] = str(error)
                what = {"letter": facts["letter"], "channel": channel, "error": str(error)}
                emit(Event.LETTER_FAILED, retry_seconds=_RETRY, **what)
            return
        self._queue.remove((channel, facts))
        self._causes.pop(channel, None)
        if channel != "log":
            about = {"kind": facts["kind"], "severity": facts["severity"], "alerts": facts["count"]}
            emit(Event.LETTER_SENT, letter=facts["letter"], channel=channel, **about)
