"""Quality metrics of the days that deliveries touched, and of what time brings about.

A day is judged as of the arrival of the delivery that touched it, so that a replay says what was said then. The wall clock
only tells how long one step has taken; the timer gives its own moment.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from daemon.after import accuracy, anomalies, completeness, files_due, rules
from daemon.after.files import DAY, Files
from daemon.after.files_due import FilesDue
from daemon.after.span import Span
from daemon.after.terms import Terms
from daemon.events import Event
from daemon.logs import emit
from daemon.settings import Settings
from daemon.store import Store, arrivals
from daemon.store import quality as store
from daemon.store.quality import Transaction
from daemon.timing import timed
from handlers import HANDLERS
from handlers.quality.anomaly import HISTORY
from handlers.quality.result import JUDGED, Metric, Result, Status

_MOST_DAYS = 16  # judged in one transaction
_SECONDS = 0.5  # or so many as take this long
_TOGETHER = 31 * DAY  # of days that are judged in one transaction
_CALENDAR = 84 * DAY  # of files that tell when the next are due
_SILENT = 7 * DAY  # how long the timer asks for a day of which nothing came
_UNSETTLED = 14 * DAY  # how long a day that was not settled is asked about
_HOLES = 28 * DAY  # how far before a day it is asked whether one is missing


def judge(database: Store, settings: Settings, gives_way: Callable[[], bool] | None = None) -> bool:
    """Judges some of the oldest days that are due, in one transaction; whether there is more to do.

    Raises:
        GaveWay: ``gives_way`` said so.
    """
    if not settings.quality.enabled or not database.ask(lambda connection: store.due(connection, 1, DAY)):
        return False
    with timed("quality"):
        return database.change(lambda connection: _judge(connection, settings), gives_way)


def watch(database: Store, settings: Settings, now: datetime) -> bool:
    """Judges what changes without a delivery: silence, deadlines that passed; whether there is more to do.

    Args:
        database: that is watched.
        settings: of the daemon.
        now: UTC.
    """
    feeds = [Terms.of(settings, feed.name) for feed in HANDLERS] if settings.quality.enabled else []
    for terms in filter(None, feeds):
        if database.ask(_Watch(terms, now).has_news):  # nearly always not: nobody has to wait for it
            database.change(_Watch(terms, now).record)
    return False


# ---- after a delivery


def _judge(connection: Transaction, settings: Settings) -> bool:
    some = store.due(connection, _MOST_DAYS, _TOGETHER, take=True)
    if some is None:
        return False
    feed, days = some
    terms = Terms.of(settings, feed)
    if terms is not None:
        days = _judge_days(connection, terms, days)
    for day, delivery_id in days:
        store.done(connection, feed, day, delivery_id)
    return store.due(connection, 1, DAY) is not None


def _judge_days(
    connection: Transaction, terms: Terms, days: list[tuple[date, int]]
) -> list[tuple[date, int]]:
    """Judges days in their order, as many as there is time for, and those before that are over now; which they were."""
    begun, due = time.monotonic(), dict(days)
    first, last = days[0][0], days[-1][0]
    waiting = set(store.not_kept(connection, terms.feed.name, first - HISTORY * DAY, last))
    waiting -= {*terms.closed_days, *due}
    span = Span.read(connection, terms, sorted({*due, *waiting}))
    as_of = {each: _arrived(connection, span.files, each, day) for day, each in days}
    latest = max(due.values(), key=lambda each: (as_of[each], each))
    done: list[tuple[date, int]] = []
    for day, delivery_id in days:
        if done and time.monotonic() - begun > _SECONDS:
            break
        known = FilesDue(span.files, as_of[delivery_id])
        for earlier in sorted(each for each in waiting if each < day):
            if known.is_over(earlier):
                _judge_day(connection, span, known, earlier, span.files.latest(earlier))
                if known.is_settled(earlier):
                    waiting.discard(earlier)
        _judge_holes(connection, span, known, day)
        _judge_day(connection, span, known, day, _that_touched(connection, span.files, day, delivery_id))
        if not known.is_settled(day):
            waiting.add(day)
        done.append((day, delivery_id))
    _judge_moment(connection, span.files, as_of[latest], latest, set(due.values()))
    return done


def _judge_day(
    connection: Transaction, span: Span, due: FilesDue, day: date, delivery_id: int | None
) -> None:
    """Judges a day as of a moment."""
    checks: dict[Metric, Callable[[], list[Result]]] = {
        Metric.ACCURACY: lambda: (
            accuracy.judged(span.files, day) or accuracy.withdrawn(connection, span.files, day)
        ),
        Metric.COMPLETENESS: lambda: [completeness.judged(span, due, day)],
        Metric.ANOMALY_SCORE: lambda: anomalies.judged(connection, span, due, day),
    }
    for metric, check in checks.items():
        results = _made(span.terms, metric, day, check)
        if metric is Metric.COMPLETENESS:
            span.statuses[day] = results[0].status
        _record(connection, span.terms, results, due.as_of, delivery_id)
    for feed, rate in rules.results(connection, day, span.terms.thresholds):
        its = delivery_id if feed == span.terms.feed.name else arrivals.latest(connection, feed, day)
        store.record(connection, [rate], feed, due.as_of, its, span.terms.thresholds)


def _judge_holes(connection: Transaction, span: Span, due: FilesDue, day: date) -> None:
    """Judges the completeness of earlier days of which nothing came, where something was to be expected.

    Of a history that is loaded at once nobody knows when a file was due, so that none is missed by name.
    """
    first = max(span.begin or day, day - _HOLES)
    for earlier in (first + n * DAY for n in range((day - first).days)):
        if span.has_data(earlier) or span.statuses.get(earlier, Status.PENDING) is not Status.PENDING:
            continue
        results = _complete(span, due, earlier)
        if results[0].status in JUDGED:
            span.statuses[earlier] = results[0].status
            _record(connection, span.terms, results, due.as_of, None)


def _complete(span: Span, due: FilesDue, day: date) -> list[Result]:
    return _made(span.terms, Metric.COMPLETENESS, day, lambda: [completeness.judged(span, due, day)])


def _that_touched(connection: Transaction, files: Files, day: date, delivery_id: int) -> int | None:
    """The delivery that a judgement of a day names: the one it is due by, if that brought, or took, rows of that day.

    A day is also due because a rule needs another look at it, or all days were after an upgrade.
    """
    if delivery_id in {one.delivery_id for one in files.sent(day)}:
        return delivery_id
    if arrivals.touches(connection, files.terms.feed, delivery_id, day):
        return delivery_id
    return files.latest(day)


def _judge_moment(
    connection: Transaction, files: Files, as_of: datetime, delivery_id: int, of: set[int]
) -> None:
    """Judges how late the feed is, and the sources of some deliveries; unless that was said of a later moment."""
    terms = files.terms
    last = store.newest_of_moment(connection, terms.feed.name, Metric.TIMELINESS, "")
    if last is not None and last.at > as_of:
        return
    sources = {one.source for one in files.listed if one.delivery_id in of}
    due = FilesDue(_recent(connection, terms, as_of, files), as_of)
    results = _made(
        terms, Metric.TIMELINESS, None, lambda: files_due.judged(connection, due, sorted(sources))
    )
    _record(connection, terms, results, as_of, delivery_id)


def _recent(connection: Transaction, terms: Terms, as_of: datetime, known: Files | None = None) -> Files:
    """The files of the last months before a moment."""
    today = as_of.astimezone(terms.zone).date()
    first, last = today - _CALENDAR, today + DAY
    if known is not None and known.first <= first and today <= known.last:
        return known
    return Files.read(connection, terms, first, last)


def _made(terms: Terms, metric: Metric, day: date | None, check: Callable[[], list[Result]]) -> list[Result]:
    """The results of a check; one that says that it failed, if it did."""
    found = store.attempted(check)
    if isinstance(found, list):
        return found
    said = f"{type(found).__name__}: {found}"[:500]
    emit(
        Event.QUALITY_CHECK_FAILED,
        feed=terms.feed.name,
        metric=str(metric),
        day=None if day is None else day.isoformat(),
        error=said,
        exc_info=found,
    )
    return [Result(metric, "", day, None, 0.0, Status.ERROR, {"error": said})]


def _record(
    connection: Transaction, terms: Terms, results: list[Result], at: datetime, delivery_id: int | None
) -> None:
    store.record(connection, results, terms.feed.name, at, delivery_id, terms.thresholds)


def _arrived(connection: Transaction, files: Files, delivery_id: int, day: date) -> datetime:
    """The moment as of which a day is judged; its end if the ledger does not know the delivery."""
    return arrivals.arrived_at(connection, delivery_id) or files.ends(day).astimezone(UTC)


# ---- on the timer


@dataclass(frozen=True, slots=True)
class _Watch:
    """What the passing of time brings about for one feed.

    Attributes:
        terms: how it is judged.
        now: UTC.
    """

    terms: Terms
    now: datetime

    def has_news(self, connection: Transaction) -> bool:
        """Whether anything would be recorded; nothing is written."""
        due, late = self._late(connection)
        return bool(store.changes(connection, late, self.terms.feed.name) or self._days(connection, due))

    def record(self, connection: Transaction) -> None:
        """Records it."""
        due, late = self._late(connection)
        days = self._days(connection, due)
        if days:
            span = Span.read(connection, self.terms, days)
            for day in days:
                _judge_day(connection, span, FilesDue(span.files, self.now), day, None)
        _record(connection, self.terms, late, self.now, None)

    def _late(self, connection: Transaction) -> tuple[FilesDue, list[Result]]:
        due = FilesDue(_recent(connection, self.terms, self.now), self.now)
        late = _made(
            self.terms, Metric.TIMELINESS, None, lambda: files_due.judged(connection, due, due.sources())
        )
        return due, late

    def _days(self, connection: Transaction, due: FilesDue) -> list[date]:
        """Days that are over or settled and were not judged as such, and those whose files did not come in time."""
        feed, today = self.terms.feed.name, self.now.astimezone(self.terms.zone).date()
        since = today - _UNSETTLED
        waiting = [
            day
            for day in store.not_kept(connection, feed, since, today + DAY)
            if day not in self.terms.closed_days and due.is_over(day)
        ]
        found = {day for day in waiting if due.is_settled(day)}
        if len(waiting) > len(found):
            scored = store.scored_days(connection, feed, since, today)
            found |= {day for day in waiting if day not in scored}
        said = store.statuses(connection, feed, Metric.COMPLETENESS, since, today)
        quiet = (today - back * DAY for back in range(_SILENT.days + 1))
        found |= {day for day in quiet if day not in said and due.is_expected(day) and due.is_over(day)}
        found |= {day for day, status in said.items() if status is Status.PENDING and due.is_settled(day)}
        return sorted(found)
