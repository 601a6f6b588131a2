"""Which files of a feed are due when, who is late, and what did not come."""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta, tzinfo

from daemon.after.files import DAY, Files
from daemon.store import arrivals as ledger
from daemon.store import quality as store
from daemon.store.arrivals import Filed
from daemon.store.quality import Transaction
from handlers.quality import calendar
from handlers.quality.calendar import Arrival, Calendar
from handlers.quality.result import Metric, Result, Status, at_most
from handlers.quality.timeliness import next_due, timeliness

LOOKED_BACK = timedelta(days=28)  # for files that did not come
_BULK = 8  # business days of a source that came on one day: a history was loaded
_LATEST = timedelta(days=14)  # after its business day: what comes later is no example
_GAPS = 100  # arrivals of files without a date
_HOUR = timedelta(hours=1)
_NO_FILE = {"failed": "it came and was refused", "duplicate": "it came with the bytes of an earlier file"}


@dataclass(slots=True)
class FilesDue:
    """The files of a feed as they are known at a moment.

    Attributes:
        files: of the feed.
        as_of: the moment; what arrived later is not known.
    """

    files: Files
    as_of: datetime
    _calendars: dict[tuple[str, date], Calendar | None] = field(default_factory=dict)

    def sources(self) -> list[str]:
        """Who sends, or should."""
        return sorted({*self.files.sources, *self.files.terms.calendars})

    def arrivals(self, source: str) -> list[Arrival]:
        """The business days that a source has sent by the moment."""
        return [one for one in self.files.sources.get(source, ()) if one.at <= self.as_of]

    def of_feed(self) -> list[Arrival]:
        """The business days that any source has sent by the moment, each with its first arrival."""
        first: dict[date, Arrival] = {}
        for source in self.files.sources:
            for one in self.arrivals(source):
                if one.day not in first or one.at < first[one.day].at:
                    first[one.day] = one
        return [first[day] for day in sorted(first)]

    def calendar(self, source: str, until: date) -> Calendar | None:
        """When a source's files are due; None if nobody knows.

        Args:
            source: whose.
            until: only business days before this one teach.
        """
        if source in self.files.terms.calendars:
            return self.files.terms.calendars[source]
        if (source, until) not in self._calendars:
            self._calendars[source, until] = self.learned(self.arrivals(source), until)
        return self._calendars[source, until]

    def learned(self, arrivals: Sequence[Arrival], until: date) -> Calendar | None:
        """The calendar that arrivals show."""
        terms = self.files.terms
        typical = _as_usual(arrivals, terms.zone)
        return calendar.learn(typical, until, terms.zone, grace=terms.grace, closed=self.files.without)

    def deadline(self, day: date, patience: timedelta = timedelta()) -> datetime | None:
        """When the last of the files of a day that are expected and not there is due.

        Args:
            day: the business day.
            patience: how much later it may come; a file that came and was refused is not waited for.

        Returns:
            None if all are there, or nobody knows of one.
        """
        sent = self.files.sent(day)
        here, came = ({one.source for one in sent if one.counts}, {one.source for one in sent})
        dues = []
        for source in self.sources():
            if source not in here:
                known = self.calendar(source, day)
                if known is not None and known.expects(day):
                    due = known.due(day, self.files.terms.zone)
                    dues.append(due if source in came else due + patience)
        return max(dues, key=datetime.timestamp, default=None)

    def given_up(self, day: date) -> datetime | None:
        """When files of a day that are late are no longer waited for: ``delay_pass_hours`` after they were due.

        Until then ``pending`` files say that they are late; what is missing with them is no news of its own.
        """
        return self.deadline(day, timedelta(hours=self.files.terms.thresholds.delay_pass_hours))

    def is_over(self, day: date) -> bool:
        """Whether a day has ended, and its expected files are all here or were due."""
        return self._is_past(day, self.deadline(day))

    def is_settled(self, day: date) -> bool:
        """Whether a day has ended, and its expected files are all here or given up."""
        return self._is_past(day, self.given_up(day))

    def _is_past(self, day: date, deadline: datetime | None) -> bool:
        return self.as_of >= self.files.ends(day) and (deadline is None or self.as_of >= deadline)

    def is_expected(self, day: date) -> bool:
        """Whether any source should send a file of a day."""
        known = (self.calendar(source, day) for source in self.sources())
        return any(each is not None and each.expects(day) for each in known)


def _as_usual(arrivals: Sequence[Arrival], zone: tzinfo) -> list[Arrival]:
    """The arrivals, with a usual delay for those that tell none: files of a history that was loaded at once.

    Returns:
        Nothing while fewer than ``LEAST_DAYS`` tell one.
    """
    local = [one.at.astimezone(zone).replace(tzinfo=None) for one in arrivals]
    at_once = Counter(moment.date() for moment in local)
    delays = [moment - datetime.combine(one.day, time()) for one, moment in zip(arrivals, local, strict=True)]
    tells = [
        delay <= _LATEST and at_once[moment.date()] < _BULK
        for delay, moment in zip(delays, local, strict=True)
    ]
    if all(tells):
        return list(arrivals)
    usual = [delay for delay, told in zip(delays, tells, strict=True) if told]
    if len(usual) < calendar.LEAST_DAYS:
        return []
    typical = statistics.median_low(usual)
    return [
        one if told else replace(one, at=(datetime.combine(one.day, time()) + typical).replace(tzinfo=zone))
        for one, told in zip(arrivals, tells, strict=True)
    ]


# ---- results


def judged(connection: Transaction, due: FilesDue, sources: Sequence[str]) -> list[Result]:
    """How late the feed and some of its sources are, and which of their files did not come.

    Args:
        connection: of the transaction.
        due: the files of the feed, and the moment.
        sources: whose.
    """
    found = _of_feed(connection, due)
    for source in sources:
        if source:  # of files that do not name their source the feed tells enough
            arrivals = due.arrivals(source)
            found.append(_late(due, _scope(source), arrivals, due.calendar(source, _today(due))))
    today = _today(due)
    feed = due.files.terms.feed.name
    earlier = store.newest(connection, feed, Metric.TIMELINESS, today - LOOKED_BACK - DAY, today)
    return found + _missing_files(connection, due, sources, earlier)


def _of_feed(connection: Transaction, due: FilesDue) -> list[Result]:
    """How late the feed is as a whole; nothing of one that nobody sends."""
    files, terms = due.files, due.files.terms
    arrivals, own = due.of_feed(), tuple(terms.calendars.values())
    if arrivals or own:
        known = _together(own) if own else due.learned(arrivals, _today(due))
        return [_late(due, "", arrivals, known, _covered(connection, files, due.as_of))]
    at = [one for one in ledger.appended(connection, terms.feed.name, _GAPS) if one <= due.as_of]
    if not at:
        return []
    return [
        timeliness(
            due.as_of,
            covered=_covered(connection, files, due.as_of),
            arrived=max(at),
            due=next_due(at, terms.zone, terms.grace),
            thresholds=terms.thresholds,
        )
    ]


def _late(
    due: FilesDue,
    scope: str,
    arrivals: Sequence[Arrival],
    known: Calendar | None,
    covered: datetime | None = None,
) -> Result:
    files = due.files
    newest = max((one.day for one in arrivals), default=None)
    if covered is None and newest is not None:
        covered = min(files.ends(newest), due.as_of, key=datetime.timestamp)
    after = newest or _since(due) - DAY
    return timeliness(
        due.as_of,
        covered=covered,
        arrived=max((one.at for one in arrivals), default=None),
        due=None if known is None else known.next_due(after, files.terms.zone),
        scope=scope,
        thresholds=files.terms.thresholds,
    )


def _missing_files(
    connection: Transaction,
    due: FilesDue,
    sources: Sequence[str],
    earlier: dict[tuple[date, str], store.Said],
) -> list[Result]:
    """The files that are due and did not come, by name; and what became of those that were missed before."""
    files, terms, found = due.files, due.files.terms, []
    named: set[tuple[date, str]] = set()
    for source in sources:
        known = due.calendar(source, _today(due))
        if known is None:
            continue
        # a file is here when its rows count, whenever it came
        here = files.here.get(source, set())
        arrivals = due.arrivals(source)
        since = max(_since(due), arrivals[0].day) if arrivals else _since(due)
        for one in calendar.missing(known, here, since, due.as_of, terms.zone):
            delay = (due.as_of - one.due) / _HOUR
            status = at_most(delay, terms.thresholds.delay_pass_hours, terms.thresholds.delay_warning_hours)
            if status is Status.PASS:
                status = Status.PENDING  # it did not come, and that is no cause for alarm yet
            said = {
                "name": one.name,
                "source": source,
                "due": one.due.isoformat(),
                **_tried(connection, files.sent(one.day), source),
            }
            found.append(_missing(files, source, one.day, delay, status, said))
            named.add((one.day, _scope(source)))
    for (day, scope), last in earlier.items():
        source = scope.removeprefix("source:")
        if (
            source in sources
            and (day, scope) not in named
            and last.status not in (Status.PASS, Status.SKIPPED)
        ):
            found.append(_no_more_missing(files, source, day, last))
    return found


def _no_more_missing(files: Files, source: str, day: date, last: store.Said) -> Result:
    said = {key: value for key, value in last.details.items() if key not in ("came", "why")}
    first = next((one for one in files.sent(day) if one.source == source and one.counts), None)
    if first is None:
        return _missing(
            files, source, day, None, Status.SKIPPED, {**said, "why": "it is not expected any more"}
        )
    due = said.get("due")
    delay = (first.at - datetime.fromisoformat(due)) / _HOUR if isinstance(due, str) else 0.0
    said |= {"name": first.name, "arrived": first.at.isoformat(), "delivery": first.delivery_id}
    return _missing(files, source, day, max(0.0, delay), Status.PASS, said)


def _missing(
    files: Files, source: str, day: date, delay: float | None, status: Status, said: dict[str, object]
) -> Result:
    passes = files.terms.thresholds.delay_pass_hours
    return Result(Metric.TIMELINESS, _scope(source), day, delay, passes, status, said)


def _tried(connection: Transaction, files: Sequence[Filed], source: str) -> dict[str, object]:
    """A file that came and was not loaded is no silence."""
    last = next((one for one in reversed(files) if one.source == source and not one.loaded), None)
    if last is None:
        return {}
    why = _NO_FILE.get(last.status, "it was taken out again")
    message = ledger.refusal(connection, last.delivery_id) if last.status == "failed" else ""
    return {
        "came": {"delivery": last.delivery_id, "file": last.name, "status": last.status, "message": message},
        "why": why,
    }


def _scope(source: str) -> str:
    return f"source:{source}" if source else ""


def _today(due: FilesDue) -> date:
    return due.as_of.astimezone(due.files.terms.zone).date()


def _since(due: FilesDue) -> date:
    """The first day whose files may be missed: of a feed that has nothing yet, the day before."""
    today = _today(due)
    begin = min((days[0].day for days in due.files.sources.values()), default=today - DAY)
    return max(today - LOOKED_BACK, begin)


def _together(calendars: Sequence[Calendar]) -> Calendar:
    """When the first of several sources has to send something."""
    after: dict[int, timedelta] = {}
    for one in calendars:
        for weekday, delay in one.due_after.items():
            after[weekday] = min(delay, after.get(weekday, delay))
    return Calendar(after, closed=calendars[0].closed)


def _covered(connection: Transaction, files: Files, as_of: datetime) -> datetime | None:
    """The end of what the latest row speaks of, as far as the totals tell: a day, or an hour of it."""
    newest = store.newest_day(connection, files.terms.feed.name)
    if newest is None:
        return None
    end = files.ends(newest)
    hours = [hour for _, hour, _, _ in store.hours(connection, files.terms.feed.name, newest, newest)]
    if hours and max(hours) > 0:
        end = datetime.combine(newest, time(), files.terms.zone) + timedelta(hours=max(hours) + 1)
    return min(end, as_of, key=datetime.timestamp)
