"""Patience with the world: what it is to blame for is tried again for a while, and then intake pauses until it is well."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import RetryCallState, RetryError, Retrying, retry_if_exception, stop_any
from tenacity import stop_after_attempt as after_attempts
from tenacity import wait_exponential_jitter as exponential
from tenacity.stop import stop_base

from daemon.alerts.pause import PauseWatch
from daemon.errors import DatabaseUnavailable, TransientError
from daemon.events import Event
from daemon.faults import world
from daemon.flag import Flag
from daemon.heart import Heart
from daemon.ingest import StillWritten
from daemon.logs import emit
from daemon.settings import RetrySettings
from daemon.vitals import Phase

_T = TypeVar("_T")
_REMEDY = {
    "database": "`stockgrip doctor` says what is wrong (whether the database answers, is locked, has room); work resumes by itself",
    "host": "`stockgrip doctor` says what is wrong (disk space, permissions, mounts of the data folder); work resumes by itself",
}


class _WhenAsked(stop_base):
    """Ends the retries when the daemon is to stop."""

    def __init__(self, flag: Flag) -> None:
        self._flag = flag

    def __call__(self, retry_state: RetryCallState) -> bool:  # noqa: ARG002
        return self._flag.is_set()


@dataclass(slots=True)
class Patience:
    """How work meets a failing database or disk.

    Attributes:
        retry: how often, and after which waits.
        stop: ends every wait.
        heart: beats while we wait.
        alarm: told when intake pauses and goes on.
    """

    retry: RetrySettings
    stop: Flag
    heart: Heart
    alarm: PauseWatch

    def with_retries(self, work: Callable[[int], _T]) -> _T:
        """Does some work, given the number of the attempt; ``StillWritten`` is nobody's fault and leaves at once.

        Raises:
            TransientError: the world was at fault each time.
        """
        retrying = Retrying(
            retry=retry_if_exception(
                lambda e: isinstance(e, TransientError) and not isinstance(e, StillWritten)
            ),
            stop=stop_any(after_attempts(self.retry.attempts), _WhenAsked(self.stop)),
            wait=exponential(multiplier=self.retry.initial_seconds, max=self.retry.max_seconds),
            sleep=self._sleep,
            before_sleep=_say_retried,
            reraise=True,
        )
        try:
            for attempt in retrying:
                with attempt:
                    return work(attempt.retry_state.attempt_number)
        except RetryError as error:
            raise TransientError(str(error)) from error
        raise TransientError("not tried")  # not reached: the loop returns or raises

    def _sleep(self, seconds: float) -> None:
        self.stop.wait(seconds)

    def when_well(self, work: Callable[[], _T], error: TransientError | None = None) -> _T | None:
        """Does some work as soon as the world lets it, pausing intake meanwhile.

        Args:
            work: safe to do again.
            error: what it has failed with already.

        Returns:
            What the work gives; None if the daemon was asked to stop first.
        """
        begun = time.monotonic()
        paused = ""
        wait = self.retry.initial_seconds
        while True:
            if error is None:
                try:
                    with world(), self.heart.busy(Phase.PAUSED if paused else self.heart.vitals.phase):
                        result = work()
                except StillWritten:
                    self._say_resumed(paused, begun)
                    raise
                except TransientError as raised:
                    error = raised
                else:
                    self._say_resumed(paused, begun)
                    return result
            if not paused:
                paused = "database" if isinstance(error, DatabaseUnavailable) else "host"
                self._say_paused(paused, error, begun)
            error = None
            if self.heart.wait(self.stop, wait, Phase.PAUSED):
                return None
            wait = min(wait * 2, self.retry.max_seconds)

    def _say_paused(self, reason: str, error: TransientError, begun: float) -> None:
        vitals = self.heart.vitals
        vitals.paused, vitals.paused_why, vitals.paused_at = reason, str(error), begun
        emit(Event.INTAKE_PAUSED, reason=reason, error=str(error), remedy=_REMEDY[reason])
        self.alarm.begin(reason, str(error))

    def _say_resumed(self, reason: str, begun: float) -> None:
        if not reason:
            return
        vitals = self.heart.vitals
        vitals.paused, vitals.paused_why, vitals.paused_at = "", "", None
        self.alarm.end()
        emit(Event.INTAKE_RESUMED, reason=reason, paused_seconds=round(time.monotonic() - begun, 3))


def _say_retried(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    emit(
        Event.STEP_RETRIED,
        step="ingest",
        attempt=state.attempt_number,
        wait_seconds=round(state.upcoming_sleep, 3),
        error=str(error),
    )
