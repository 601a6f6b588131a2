"""Which files are due when: a calendar per feed and source, learned from what came or configured.

A source sends one file per business day, on some weekdays. The state is one entry per feed, source and business day: when
its first delivery arrived, and its name.
"""

import re
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from datetime import time as clock

SAME_WEEKDAYS = 8
LEAST_DAYS = 4
_EXPECTED = 0.5
GRACE = timedelta(hours=1)
FARTHEST = 400  # days that a calendar looks ahead or back at most
_DATES = ("%Y%m%d", "%Y-%m-%d", "%Y_%m_%d", "%d%m%Y", "%d-%m-%Y", "%y%m%d")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A business day that a source has sent.

    Attributes:
        day: the business day of the slot.
        at: when its first delivery arrived, with a time zone.
        name: the file's name.
    """

    day: date
    at: datetime
    name: str = ""


@dataclass(frozen=True, slots=True)
class Calendar:
    """When files of one feed and source are due.

    Attributes:
        due_after: weekday of a business day (Monday 0) to the time from its local midnight until its file is due; a
            weekday without an entry has no file.
        template: the name of a file, with ``{date}`` where its date stands; "" if names tell none.
        date_format: how that date is written.
        closed: business days without a file.
        learned: or configured.
    """

    due_after: Mapping[int, timedelta]
    template: str = ""
    date_format: str = "%Y%m%d"
    closed: frozenset[date] = field(default=frozenset())
    learned: bool = False

    def expects(self, day: date) -> bool:
        """Whether a business day has a file."""
        return day.weekday() in self.due_after and day not in self.closed

    def due(self, day: date, zone: tzinfo) -> datetime:
        """When the file of a business day is due; the local clock decides, also when summer time begins.

        Raises:
            KeyError: the calendar expects none on such a weekday.
        """
        local = datetime.combine(day, clock()) + self.due_after[day.weekday()]
        return local.replace(tzinfo=zone)

    def name(self, day: date) -> str:
        """The name of the file of a business day; "" if names tell none."""
        return self.template.replace("{date}", day.strftime(self.date_format))

    def next_due(self, last: date, zone: tzinfo) -> datetime | None:
        """When the file after that of the business day ``last`` is due; None if no day has one."""
        for ahead in range(1, FARTHEST):
            day = last + timedelta(days=ahead)
            if self.expects(day):
                return self.due(day, zone)
        return None


@dataclass(frozen=True, slots=True)
class Missing:
    """A file that did not come: its business day, its name if that is known, and when it was due."""

    day: date
    name: str
    due: datetime


def configured(
    weekdays: Collection[int], at: clock, days_later: int = 1, name: str = "", closed: Collection[date] = ()
) -> Calendar:
    """A calendar from settings: for business days on ``weekdays`` the file is due ``days_later`` at a local time.

    Args:
        weekdays: Monday 0.
        at: local time of day.
        days_later: 0 is on the business day itself.
        name: of a file, with ``{date}`` for YYYYMMDD.
        closed: business days without a file.
    """
    after = timedelta(days=days_later, hours=at.hour, minutes=at.minute, seconds=at.second)
    return Calendar(dict.fromkeys(sorted(weekdays), after), name, closed=frozenset(closed))


def learn(
    arrivals: Sequence[Arrival],
    until: date,
    zone: tzinfo,
    *,
    grace: timedelta = GRACE,
    closed: Collection[date] = (),
) -> Calendar | None:
    """The calendar that a source keeps to.

    A weekday has a file if (hits + 0.5)/(n + 1) is 0.5 or more over its last 8 (n at least 4); it is due at the median
    of their delays, and ``grace`` later.

    Args:
        arrivals: of one feed and source, one per business day.
        until: business days before this one count.
        zone: the business time zone.
        grace: added to the usual delay.
        closed: business days without a file; they teach nothing.

    Returns:
        None if no weekday is known well enough.
    """
    first = {}
    for arrival in sorted(arrivals, key=lambda one: one.at, reverse=True):
        if arrival.day < until and arrival.day not in closed:
            first[arrival.day] = arrival
    if not first:
        return None
    due_after = {}
    begin = min(first)
    for weekday in range(7):
        back = timedelta(days=(until.weekday() - weekday - 1) % 7 + 1)
        days = [until - back - timedelta(weeks=n) for n in range(FARTHEST // 7)]
        days = [day for day in days if day >= begin and day not in closed][:SAME_WEEKDAYS]
        came = [first[day] for day in days if day in first]
        if len(days) >= LEAST_DAYS and (len(came) + 0.5) / (len(days) + 1) >= _EXPECTED:
            delays = [_delay(arrival, zone) for arrival in came]
            due_after[weekday] = timedelta(seconds=statistics.median(delays)) + grace
    if not due_after:
        return None
    newest = first[max(first)]
    template, date_format = _template(newest.name, newest.day)
    return Calendar(due_after, template, date_format, frozenset(closed), learned=True)


def missing(
    calendar: Calendar, received: Collection[date], since: date, as_of: datetime, zone: tzinfo
) -> list[Missing]:
    """The files that are due and did not come, oldest first.

    Args:
        calendar: of the feed and source.
        received: business days that came.
        since: the first business day to ask about; at most ``FARTHEST`` days back are looked at.
        as_of: the moment that is asked about, with a time zone.
        zone: the business time zone.
    """
    today = as_of.astimezone(zone).date()
    found = []
    day = max(since, today - timedelta(days=FARTHEST))
    while day <= today:
        if day not in received and calendar.expects(day) and calendar.due(day, zone).astimezone(UTC) < as_of:
            found.append(Missing(day, calendar.name(day), calendar.due(day, zone)))
        day += timedelta(days=1)
    return found


def _delay(arrival: Arrival, zone: tzinfo) -> float:
    """Seconds on the local clock from the midnight that begins a business day until its file came."""
    local = arrival.at.astimezone(zone).replace(tzinfo=None)
    return (local - datetime.combine(arrival.day, clock())).total_seconds()


def _template(name: str, day: date) -> tuple[str, str]:
    """A file name with ``{date}`` in place of the day, and how the day is written; "" if it does not stand there."""
    for date_format in _DATES:
        text = day.strftime(date_format)
        found = re.search(rf"(?<!\d){re.escape(text)}(?!\d)", name)
        if found:
            return f"{name[: found.start()]}{{date}}{name[found.end() :]}", date_format
    return "", _DATES[0]
