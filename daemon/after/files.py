"""The files of one feed whose slots are of some days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property

from daemon.after.terms import Terms
from daemon.store import arrivals
from daemon.store.arrivals import Filed
from daemon.store.quality import Transaction
from handlers.quality.calendar import Arrival

DAY = timedelta(days=1)


@dataclass
class Files:
    """What the ledger says of them.

    Attributes:
        terms: how the feed is judged.
        first: the first business day.
        last: the last business day.
        listed: in the order of arrival.
    """

    terms: Terms
    first: date
    last: date
    listed: Sequence[Filed]

    @classmethod
    def read(cls, connection: Transaction, terms: Terms, first: date, last: date) -> "Files":
        """Those of some business days, both included."""
        return cls(terms, first, last, arrivals.filed(connection, terms.feed.name, first, last))

    def sent(self, day: date) -> Sequence[Filed]:
        """Those of a business day, in the order of arrival."""
        return self._by_day.get(day, ())

    def latest(self, day: date) -> int | None:
        """The delivery of a business day that came last of those that count; None if there is none."""
        return max((one.delivery_id for one in self.sent(day) if one.counts), default=None)

    @cached_property
    def _by_day(self) -> dict[date, list[Filed]]:
        found: dict[date, list[Filed]] = {}
        for one in self.listed:
            found.setdefault(one.day, []).append(one)
        return found

    @cached_property
    def here(self) -> dict[str, set[date]]:
        """Per source the business days of which a file counts now."""
        found: dict[str, set[date]] = {}
        for one in self.listed:
            if one.counts:
                found.setdefault(one.source, set()).add(one.day)
        return found

    @cached_property
    def sources(self) -> dict[str, list[Arrival]]:
        """Per source the business days that it sent, oldest first, each with its first arrival."""
        first: dict[str, dict[date, Filed]] = {}
        for one in self.listed:
            if one.loaded:
                days = first.setdefault(one.source, {})
                known = days.get(one.day)
                if known is None or one.at < known.at:
                    days[one.day] = one
        return {
            source: [Arrival(day, days[day].at, days[day].name) for day in sorted(days)]
            for source, days in sorted(first.items())
        }

    @cached_property
    def without(self) -> frozenset[date]:
        """Closed days and public holidays: no file is missed then."""
        days = (self.first + n * DAY for n in range((self.last - self.first).days + 1))
        return frozenset(day for day in days if day in self.terms.closed_days or self.terms.holiday(day))

    def ends(self, day: date) -> datetime:
        """The moment at which a business day is over."""
        return datetime.combine(day + DAY, time(), self.terms.zone)
