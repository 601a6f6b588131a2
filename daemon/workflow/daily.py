"""The steps of a site's day's end."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from daemon.after.quality import watch
from daemon.after.steps import AfterSteps
from daemon.alerts.courier import courier_of
from daemon.backup import make_backup
from daemon.errors import TransientError
from daemon.quality_view.moment import facts_now
from daemon.quality_view.picture import FEEDS, picture
from daemon.report import make_report
from daemon.retention import retain
from daemon.service import Service
from daemon.settings import Settings
from daemon.store import Store, alerts, runs
from daemon.store.feature_view import count_behind
from daemon.workflow.orchestrator import Workflow
from daemon.workflow.steps import Details, Step
from handlers.alerts.signals import workflow_done

_FLUSH_SECONDS = 60.0


def daily(settings: Settings, store: Store, drain: Callable[[], Details] | None = None) -> Workflow:
    """The daily workflow of a site.

    Args:
        settings: of the site.
        store: the database.
        drain: loads what waits; by default a drain of our own, which is safe while a daemon runs.
    """
    wanted = settings.workflow

    def off(name: str) -> str:
        return "" if getattr(wanted, f"{name}_enabled") else f"workflow.{name}_enabled is false"

    steps = (
        Step("drain", drain or (lambda: drained(settings, store))),
        Step("day_close", lambda: day_closed(settings, store), off("feature_engineering")),
        Step("quality_check", lambda: quality_checked(settings, store), off("quality_check")),
        Step("retention", lambda: retained(settings, store), off("retention")),
        Step("backup", lambda: backed_up(settings), off("backup")),
        Step("report", lambda: reported(settings, store), off("report")),
        Step("notification", lambda: notified(settings, store), off("notification")),
    )
    return Workflow(settings, store, steps)


def drained(settings: Settings, store: Store) -> Details:
    """Loads what waits in the inbox and is complete."""
    service = Service(settings, store)
    try:
        done = service.drain()
    finally:
        service.close()
    return {
        "loaded": done.loaded,
        "partial": done.partial,
        "duplicate": done.duplicate,
        "refused": done.refused,
        "rows_loaded": done.rows_loaded,
        "rows_rejected": done.rows_rejected,
    }


def day_closed(settings: Settings, store: Store) -> Details:
    """Brings the features of every product, and the metrics of every day, up to what is loaded."""
    after = AfterSteps(store, settings)
    after.run()
    behind = store.ask(count_behind)
    if behind:
        raise TransientError(
            f"the features of {behind:,} products could not be brought up to date; see the log"
        )
    return {"products_behind": 0}


def quality_checked(settings: Settings, store: Store) -> Details:
    """Notices what did not come, and says how each feed is."""
    now = datetime.now(UTC)
    watch(store, settings, now)
    facts = store.ask(lambda connection: facts_now(connection, settings, FEEDS, now))
    found: dict[str, Any] = picture(facts, FEEDS, now, ZoneInfo(settings.timezone))
    return {
        "day": found["day"],
        "overall_status": found["overall_status"],
        "metrics": found["summary"],
    }


def retained(settings: Settings, store: Store) -> Details:
    """Compresses and removes what is old; files for a while only, so that the steps after it come tonight."""
    return retain(settings, store, files_minutes=settings.retention.files_minutes).as_dict()


def backed_up(settings: Settings) -> Details:
    """Copies the database."""
    made = make_backup(settings)
    return {"file": made.file, "size_bytes": made.size, "deliveries": made.rows.get("data_ingestion_log", 0)}


def reported(settings: Settings, store: Store) -> Details:
    """Writes the report of the newest day with data; what the steps before it did is told there."""
    run = next(iter(store.ask(runs.newest)), None)
    made = make_report(settings, store, run=run)
    return {
        "day": made.day.isoformat(),
        "file": str(made.html_path),
        "headline": made.facts["headline"]["text"],
    }


def notified(settings: Settings, store: Store) -> Details:
    """Begins or ends the alert that steps of this run failed, and sends the letters that wait."""
    run = next(iter(store.ask(runs.newest)), None)
    steps = run["steps"] if run else []
    failed = {step["name"]: step["error"] for step in steps if step["status"] == "failed"}
    store.change(lambda connection: alerts.apply(connection, [workflow_done(failed)], datetime.now(UTC)))
    channels = settings.alerts.channels
    courier_of(settings).flush(_FLUSH_SECONDS)
    return {"channels": list(channels)}
