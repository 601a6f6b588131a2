"""Which share of a day's rows is good."""

from dataclasses import replace
from datetime import date

from daemon.after.files import Files
from daemon.store import quality as store
from daemon.store.arrivals import Filed
from daemon.store.quality import Transaction
from handlers.alerts.signals import delivery_scope
from handlers.quality.accuracy import accuracy
from handlers.quality.result import TOLD_BY, Metric, Result, Status


def judged(files: Files, day: date) -> list[Result]:
    """The accuracy of the files of a day that count, added up; nothing if there are none.

    Where one of them is bad enough for an alert, that tells it.

    Args:
        files: of the feed.
        day: the business day of their slots.
    """
    some = [one for one in files.sent(day) if one.counts]
    if not some:
        return []
    bad = next((one for one in some if _of(files, day, [one]).status is Status.FAIL), None)
    result = _of(files, day, some)
    more = {TOLD_BY: delivery_scope(bad.delivery_id)} if bad is not None else {}
    if len(some) == 1:
        more["file"] = some[0].name
    return [replace(result, details={**result.details, **more})]


def withdrawn(connection: Transaction, files: Files, day: date) -> list[Result]:
    """What holds of a day of which no file counts any more: nothing; nothing is said if nothing was."""
    said = store.statuses(connection, files.terms.feed.name, Metric.ACCURACY, day, day)
    return [_of(files, day, [])] if day in said else []


def _of(files: Files, day: date, some: list[Filed]) -> Result:
    rows = sum(one.processed for one in some)
    good = rows - sum(one.failed for one in some)
    return accuracy(good, rows, day=day, thresholds=files.terms.thresholds)
