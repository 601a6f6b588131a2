"""Which share of a day's rows is good."""

from datetime import date

from daemon.after.files import Files
from handlers.quality.accuracy import accuracy
from handlers.quality.result import Result


def judged(files: Files, day: date) -> list[Result]:
    """The accuracy of the files of a day that count, added up; nothing if there are none.

    Args:
        files: of the feed.
        day: the business day of their slots.
    """
    some = [one for one in files.sent(day) if one.counts]
    if not some:
        return []
    rows = sum(one.processed for one in some)
    good = rows - sum(one.failed for one in some)
    return [accuracy(good, rows, day=day, thresholds=files.terms.thresholds)]
