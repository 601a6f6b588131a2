"""The daemon's timetable: runs the daily workflow when it is due, in a thread of its own.

A run that the end of the daemon cuts off has died, and is replaced by the next one: every step is safe to do again.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from daemon.events import Event
from daemon.logs import emit
from daemon.service import Service
from daemon.settings import Settings
from daemon.store import Store
from daemon.workflow.daily import daily
from daemon.workflow.orchestrator import UnderWay
from daemon.workflow.schedule import next_run
from daemon.workflow.steps import Details
from handlers.errors import StockgripError

_LATE = 3600  # seconds that a run may begin late, because the host slept
_LOOK = 0.5  # seconds between two looks at the inbox


class _Daily(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """When ``next_run`` says: APScheduler's own cron trigger leaves out times that the clocks skip."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def get_next_fire_time(self, _previous: datetime | None, now: datetime) -> datetime | None:
        return next_run(self._settings, now)


@contextmanager
def timetable(service: Service) -> Iterator[None]:
    """The daily workflow runs by itself while the daemon does.

    Args:
        service: the daemon; its settings decide, also after a reload.
    """
    scheduler = BackgroundScheduler(daemon=True)
    stop = threading.Event()

    def run() -> None:
        # not in the scheduler's pool, whose threads an ending process waits for
        threading.Thread(target=_run, args=(service, stop), name="workflow", daemon=True).start()

    def plan(settings: Settings) -> None:
        if scheduler.get_job("daily"):
            scheduler.remove_job("daily")
        if settings.workflow.at is not None:
            trigger = _Daily(settings)
            scheduler.add_job(
                run, trigger, id="daily", misfire_grace_time=_LATE, coalesce=True, max_instances=1
            )

    plan(service.settings)
    service.on_reload = plan
    scheduler.start()
    try:
        yield
    finally:
        stop.set()
        scheduler.shutdown(wait=False)


def _run(service: Service, stop: threading.Event) -> None:
    settings = service.settings
    try:
        store = Store.open(settings.database_url, busy_timeout_seconds=settings.database.busy_timeout_seconds)
        try:
            daily(settings, store, lambda: _drained(service, stop)).run()
        finally:
            store.close()
    except UnderWay as error:  # on another host, or by hand
        emit(Event.WORKFLOW_SKIPPED, error=str(error))
    except StockgripError as error:
        emit(Event.WORKFLOW_STEP_FAILED, step="begin", error=str(error), seconds=0)


def _drained(service: Service, stop: threading.Event) -> Details:
    """The daemon loads what waits: this only waits until nothing does, or for so long as the settings allow."""
    waited, most = 0.0, service.settings.workflow.drain_minutes * 60

    def arriving() -> int:
        return service.vitals.waiting - service.vitals.held

    while arriving() and waited < most and not stop.wait(_LOOK):
        waited += _LOOK
    left: dict[str, Any] = {"still_arriving": arriving()} if arriving() else {}
    return {"waited_seconds": waited, **left}
