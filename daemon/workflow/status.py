"""What the workflow did last, and when it does it again."""

from datetime import datetime
from typing import Any

from daemon.settings import Settings
from daemon.store import Store, runs


def status_of(settings: Settings, store: Store, upcoming: datetime | None) -> dict[str, Any]:
    """For JSON and for a person.

    Args:
        settings: of the site.
        store: the database.
        upcoming: when it runs next by itself.

    Returns:
        ``last_run`` (as ``Workflow.run`` returns it, or None), ``under_way``, ``scheduled_at`` (local time, or None) and
        ``next_run``.
    """
    found = store.ask(runs.newest)
    last = _told(found[0]) if found else None
    return {
        "last_run": last,
        "under_way": last is not None and last["status"] == "running",
        "scheduled_at": settings.workflow.at,
        "next_run": upcoming.isoformat() if upcoming else None,
    }


def _told(run: dict[str, Any]) -> dict[str, Any]:
    ended = run["ended_at"] or run["beat_at"]
    return {
        "id": run["id"],
        "day": run["day"].isoformat(),
        "status": run["status"],
        "host": run["host"],
        "started_at": run["started_at"].isoformat(),
        "ended_at": run["ended_at"].isoformat() if run["ended_at"] else None,
        "seconds": round((ended - run["started_at"]).total_seconds(), 3),
        "steps": run["steps"],
    }
