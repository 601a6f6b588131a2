"""What the settings say of quality, in the words of ``handlers.quality``."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from daemon.quality_settings import FeedQualitySettings
from daemon.settings import Settings
from handlers import feed_named
from handlers.feed import Feed, Totals
from handlers.quality import calendar
from handlers.quality.calendar import Calendar
from handlers.quality.result import Thresholds


@dataclass(frozen=True, slots=True)
class Terms:
    """How the data of one feed are judged.

    Attributes:
        feed: which.
        totals: what is added up of it.
        zone: the business time zone.
        thresholds: the limits.
        grace: added to the time at which a file usually comes.
        expected: keys that must come on each open day; None: learned.
        calendars: per source, those that are configured.
        closed_days: days on which nothing is expected.
        country: whose public holidays are known; None: none.
        subdivision: of the country.
    """

    feed: Feed
    totals: Totals
    zone: ZoneInfo
    thresholds: Thresholds
    grace: timedelta
    expected: tuple[str, ...] | None
    calendars: Mapping[str, Calendar]
    closed_days: frozenset[date]
    country: str | None
    subdivision: str | None

    @classmethod
    def of(cls, settings: Settings, feed: str) -> "Terms | None":
        """Those of a feed; None if its quality is not judged."""
        quality = settings.quality
        own, declared = getattr(quality, feed, None), feed_named(feed)
        if not isinstance(own, FeedQualitySettings) or declared.daily is None:
            return None
        closed = frozenset(quality.closed_days)
        return cls(
            feed=declared,
            totals=declared.daily.totals,
            zone=ZoneInfo(settings.timezone),
            thresholds=Thresholds(**quality.thresholds.model_dump()),
            grace=timedelta(minutes=quality.grace_minutes),
            expected=own.expected,
            calendars={
                rule.source: calendar.configured(rule.weekdays, rule.due, rule.days_later, rule.name, closed)
                for rule in own.calendar
            },
            closed_days=closed,
            country=quality.country,
            subdivision=quality.subdivision,
        )

    def holiday(self, day: date) -> str:
        """The name of the public holiday; "" on any other day."""
        if self.country is None:
            return ""
        return _holidays(self.country, self.subdivision, day.year).get(day, "")

    def same_holidays(self, day: date, years: int) -> list[date]:
        """The days of the years before on which the same holiday was."""
        name, country = self.holiday(day), self.country
        if not name or country is None:
            return []
        earlier = range(day.year - years, day.year)
        return [
            each
            for year in earlier
            for each, its_name in _holidays(country, self.subdivision, year).items()
            if its_name == name
        ]


@lru_cache(maxsize=32)
def _holidays(country: str, subdivision: str | None, year: int) -> dict[date, str]:
    from holidays import country_holidays  # noqa: PLC0415  (slow, and most sites name no country)

    return dict(sorted(country_holidays(country, subdiv=subdivision, years=year).items()))
