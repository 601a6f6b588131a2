"""Times as operators write them: a day, a time, how long ago."""

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from handlers.errors import StockgripError

FORMS = "2026-11-23, 2026-11-23T10:00, 15m, 2h, 3d, today, yesterday"
_AGO = re.compile(r"([0-9]{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class NotAMoment(StockgripError):  # noqa: N818  (named by what is so)
    """The text is no time that is understood."""


def moment(text: str, zone: ZoneInfo, now: datetime) -> datetime:
    """The moment that a text means.

    Args:
        text: one of the ``FORMS``; a time may end in Z or in an offset.
        zone: the business time zone, of days and of times without an offset.
        now: aware.

    Returns:
        Aware, in the zone or with the offset that was given.

    Raises:
        NotAMoment: the text is none of them.
    """
    given = text.strip()
    word = given.lower()
    if word in ("today", "yesterday"):
        today = now.astimezone(zone).date()
        return _midnight(today - timedelta(days=word == "yesterday"), zone)
    try:
        if match := _AGO.fullmatch(word):
            return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", given):
            return _midnight(date.fromisoformat(given), zone)
        if re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}", given):
            found = datetime.fromisoformat(given)
            return _anywhere(found if found.tzinfo else found.replace(tzinfo=zone), zone)
    except (ValueError, OverflowError) as error:
        raise NotAMoment(f"{given!r} is no time: {error}; write it as {FORMS}") from None
    raise NotAMoment(f"{given!r} is no time; write it as {FORMS}")


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return _anywhere(datetime.combine(day, time(), zone), zone)


def _anywhere(found: datetime, zone: ZoneInfo) -> datetime:
    """The same; one that lies beyond the calendar in the business time zone or in UTC raises ``OverflowError``."""
    found.astimezone(UTC), found.astimezone(zone)
    return found
