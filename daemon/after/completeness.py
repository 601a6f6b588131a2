"""Whether all came that was to be expected of a day."""

from dataclasses import replace
from datetime import date, datetime

from daemon.after.files import DAY
from daemon.after.files_due import FilesDue
from daemon.after.span import Span
from handlers.quality.anomaly import HISTORY
from handlers.quality.completeness import (
    SAME_WEEKDAYS,
    SILENT_DAYS,
    Expected,
    completeness,
    configured,
    learn,
    silent,
)
from handlers.quality.result import Result, Status

_NAMED = 20


def judged(span: Span, due: FilesDue, day: date) -> Result:
    """The completeness of a day.

    Args:
        span: what is known of the feed.
        due: the files of the feed, and the moment that is asked about.
        day: the business day.
    """
    observed = span.keys(day)
    result = completeness(
        day,
        observed,
        _expected(span, day),
        deadline=_deadline(due, day),
        as_of=due.as_of,
        closed=day in span.terms.closed_days,
        thresholds=span.terms.thresholds,
    )
    quiet = silent(_open_days(span, day, SILENT_DAYS), observed)
    if quiet:
        result = replace(
            result, details={**result.details, "silent": quiet[:_NAMED], "silent_count": len(quiet)}
        )
    holiday = span.terms.holiday(day)
    if holiday and result.status in (Status.WARNING, Status.FAIL):
        result = replace(result, status=Status.SKIPPED, details={**result.details, "why": holiday})
    return result


def _expected(span: Span, day: date) -> Expected | None:
    if span.terms.expected is not None:
        return configured(span.terms.expected)
    return learn(_open_days(span, day, SAME_WEEKDAYS, same_weekday=True))


def _deadline(due: FilesDue, day: date) -> datetime | None:
    """Until when more may come: files that are not given up yet, or what is sold until the day ends."""
    known = due.given_up(day)
    if known is not None:
        return known
    end = due.files.ends(day)
    return end if due.as_of < end else None


def _open_days(span: Span, day: date, most: int, *, same_weekday: bool = False) -> list[frozenset[str]]:
    """The keys of earlier days that were neither closed nor holidays, oldest first.

    Of the same weekday a day without anything counts too: it says that nothing usually comes then, or that it failed.
    """
    begin = span.begin
    if begin is None:
        return []
    found: list[frozenset[str]] = []
    for back in range(7 if same_weekday else 1, HISTORY + 1, 7 if same_weekday else 1):
        earlier = day - back * DAY
        if earlier < begin or len(found) == most:
            break
        if earlier in span.terms.closed_days or span.terms.holiday(earlier):
            continue
        if same_weekday or span.has_data(earlier):
            found.append(span.keys(earlier))
    return found[::-1]
