"""Runs the steps of a day's end, one run at a time across all hosts that share the database.

A step that fails is reported and hides no other. A run that dies is noticed by its heartbeat, which stops, and the next one
takes its place; each step is safe to do again.
"""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from daemon.errors import TransientError
from daemon.events import Event
from daemon.logs import emit
from daemon.settings import Settings
from daemon.store import Store, runs
from daemon.workflow.steps import Outcome, Step

_HEARTBEAT = 30.0  # seconds
_DEAD = timedelta(minutes=5)  # without a heartbeat


class UnderWay(TransientError):  # noqa: N818  (named by what is so)
    """Another run of the workflow has not ended."""


@dataclass(frozen=True, slots=True)
class Workflow:
    """The daily workflow of a site.

    Attributes:
        settings: of the site.
        store: the database.
        steps: in their order.
    """

    settings: Settings
    store: Store
    steps: Sequence[Step]

    def run(self) -> dict[str, Any]:
        """Does each step.

        Returns:
            ``id``, ``day``, ``status`` (``ok``, or ``failed`` if any step did), ``started_at``, ``ended_at``, ``seconds`` and
            ``steps``, each with ``name``, ``status``, ``seconds``, ``details`` and ``error``.

        Raises:
            UnderWay: another run has not ended.
            DatabaseUnavailable: the database does not answer.
        """
        started = datetime.now(UTC)
        day = started.astimezone(ZoneInfo(self.settings.timezone)).date()
        number = self._begin(day, started)
        begun = time.monotonic()
        outcomes: list[Outcome] = []
        emit(Event.WORKFLOW_STARTED, run=number, day=str(day), steps=[step.name for step in self.steps])
        with self._heartbeat(number):
            for step in self.steps:
                outcomes.append(_done(step))
                self.store.change(partial(runs.note, number=number, steps=_plain(outcomes)))
        status = "failed" if any(each.status == "failed" for each in outcomes) else "ok"
        ended = datetime.now(UTC)
        self.store.change(
            partial(runs.finish, number=number, status=status, steps=_plain(outcomes), at=ended)
        )
        seconds = round(time.monotonic() - begun, 3)
        failed = [each.name for each in outcomes if each.status == "failed"]
        emit(
            Event.WORKFLOW_FAILED if failed else Event.WORKFLOW_DONE,
            run=number,
            day=str(day),
            seconds=seconds,
            **({"failed": failed} if failed else {}),
        )
        return {
            "id": number,
            "day": str(day),
            "status": status,
            "started_at": started.isoformat(),
            "ended_at": ended.isoformat(),
            "seconds": seconds,
            "steps": _plain(outcomes),
        }

    def _begin(self, day: Any, started: datetime) -> int:
        host = socket.gethostname()
        number, other = self.store.change(
            partial(runs.begin, day=day, at=started, host=host, dead_before=started - _DEAD)
        )
        if number is None:
            raise UnderWay(
                f"run {other['id']} of the workflow is under way on {other['host']} since {other['started_at']:%Y-%m-%d %H:%M}"
                " UTC; one that died is replaced after five minutes"
            )
        return number

    @contextmanager
    def _heartbeat(self, number: int) -> Iterator[None]:
        """Says every half minute that the run is alive, also while a step takes long."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(_HEARTBEAT):
                try:
                    self.store.change(partial(runs.beat, number=number, at=datetime.now(UTC)))
                except TransientError:
                    continue  # the database is away for a moment; the step will say so itself

        thread = threading.Thread(target=beat, name="workflow heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _done(step: Step) -> Outcome:
    """Does a step; whatever goes wrong is its outcome."""
    if step.skipped:
        return Outcome(step.name, "skipped", 0.0, {"why": step.skipped})
    begun = time.monotonic()
    try:
        details = step.work()
    except Exception as error:  # noqa: BLE001  (a failed step must not hide the others)
        seconds = round(time.monotonic() - begun, 3)
        expected = isinstance(error, TransientError)
        emit(
            Event.WORKFLOW_STEP_FAILED,
            step=step.name,
            error=str(error)[:500],
            seconds=seconds,
            **({} if expected else {"exc_info": error}),
        )
        return Outcome(step.name, "failed", seconds, {}, str(error)[:500] or type(error).__name__)
    return Outcome(step.name, "ok", round(time.monotonic() - begun, 3), details)


def _plain(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    return [{**asdict(each), "details": dict(each.details)} for each in outcomes]
