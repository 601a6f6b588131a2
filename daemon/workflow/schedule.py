"""When the daily workflow runs: at a local time of the business time zone, also on days that have 23 or 25 hours."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from daemon.settings import Settings


def next_run(settings: Settings, after: datetime | None = None) -> datetime | None:
    """When it runs next, in the business time zone; None: never by itself.

    Args:
        settings: of the site.
        after: aware; None: now.
    """
    if settings.workflow.at is None:
        return None
    zone = ZoneInfo(settings.timezone)
    now = (after or datetime.now(UTC)).astimezone(zone)
    at = time.fromisoformat(settings.workflow.at)
    today = _at(now.date(), at, zone)
    return today if today > now else _at(now.date() + timedelta(days=1), at, zone)


def _at(day: date, at: time, zone: ZoneInfo) -> datetime:
    """A local time of a day; one that the clocks skip is the same moment by the clock before the change."""
    return datetime.combine(day, at, zone).astimezone(UTC).astimezone(zone)
