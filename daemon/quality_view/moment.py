"""How late the feeds are at this moment: asked of the engine, so that it is true also where no daemon runs. Nothing is written."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from daemon.after import files_due
from daemon.after.files import DAY, Files
from daemon.after.files_due import FilesDue
from daemon.after.terms import Terms
from daemon.settings import Settings
from daemon.store.quality import Transaction
from daemon.store.quality_view import Facts, Recorded, facts
from handlers.quality.anomaly import HISTORY
from handlers.quality.result import Result


def facts_now(
    connection: Transaction,
    settings: Settings,
    feeds: Sequence[str],
    now: datetime,
    day: date | None = None,
    days: int = 14,
) -> Facts:
    """What is recorded of a day; and of the newest one the timeliness at this moment, behind what is recorded of it.

    Args:
        connection: to the database.
        settings: of the daemon.
        feeds: whose.
        now: aware.
        day: None: the newest.
        days: how many the trend has.
    """
    found = facts(connection, feeds, now, ZoneInfo(settings.timezone), day, days)
    if not found.rows or found.day != found.newest or not settings.quality.enabled:
        return found
    late, missing = list(found.late), list(found.missing)
    for feed in feeds:
        if (terms := Terms.of(settings, feed)) is None or feed not in found.last:
            continue
        today = now.astimezone(terms.zone).date()
        due = FilesDue(Files.read(connection, terms, today - HISTORY * DAY, today + DAY), now)
        for result in files_due.judged(connection, due, due.sources()):
            (late if result.day is None else missing).append(_as_recorded(result, feed, now))
    return replace(found, late=late, missing=missing)


def _as_recorded(result: Result, feed: str, now: datetime) -> Recorded:
    return Recorded(
        id=0,
        at=now,
        feed=feed,
        metric=str(result.metric),
        scope=result.scope,
        day=result.day,
        value=result.value,
        threshold=result.threshold,
        status=str(result.status),
        delivery_id=None,
        details=result.details,
    )
