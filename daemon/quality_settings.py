"""The settings of quality: what passes, what is expected of a day, which files come when."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from datetime import time as clock
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from daemon.section import Section

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_UNITS: Final = ("location", "channel", "source")
_FILE_KEYS: Final = ("source", "weekdays", "due", "days_later", "name")
_MOST_DAYS_LATER: Final = 31
_MOST_HOURS: Final = 24


@dataclass(frozen=True, slots=True)
class FileRule:
    """When a source sends the file of a business day.

    Attributes:
        source: what stands after the date in its files' names; "" if nothing does.
        weekdays: of business days that have a file, Monday 0.
        due: local time by which it is there.
        days_later: than its business day; 0 is on that day.
        name: of the file, with ``{date}`` for YYYYMMDD; "" if it is not known.
    """

    source: str = ""
    weekdays: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    due: clock = clock(6)
    days_later: int = 1
    name: str = ""


def _unit(unit: str) -> str:
    parts = [part.partition(":") for part in unit.split("|")]
    if any(name not in _UNITS or not colon for name, colon, _ in parts):
        raise ValueError(
            "must name what comes as in the table scope_daily: location:447|channel:pos, location:447, channel:online;"
            " or source:north"
        )
    return unit


def _calendar(value: object) -> object:
    """``[{source, weekdays, due, days_later, name}, …]``."""
    if not isinstance(value, list | tuple):
        raise ValueError('must be a list such as [{source: north, weekdays: [mon, tue], due: "06:00"}]')  # noqa: TRY004
    rules = tuple(rule if isinstance(rule, FileRule) else _rule(rule) for rule in value)
    sources = [rule.source for rule in rules]
    for source in sources:
        if sources.count(source) > 1:
            raise ValueError(f"the source {source!r} stands in it twice; merge the two")
    return rules


def _rule(value: object) -> FileRule:
    if not isinstance(value, Mapping):
        raise ValueError(f"each entry must have keys: {', '.join(_FILE_KEYS)}")  # noqa: TRY004
    unknown = sorted(str(key) for key in value if key not in _FILE_KEYS)
    if unknown:
        raise ValueError(f"unknown key {', '.join(unknown)}; known are {', '.join(_FILE_KEYS)}")
    usual = FileRule()
    return FileRule(
        source=_source(value.get("source", usual.source)),
        weekdays=_weekdays(value["weekdays"]) if "weekdays" in value else usual.weekdays,
        due=_time(value["due"]) if "due" in value else usual.due,
        days_later=_days(value.get("days_later", usual.days_later)),
        name=_name(value["name"]) if "name" in value else usual.name,
    )


def _source(value: object) -> str:
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise ValueError(  # noqa: TRY004
            'source must be what stands after the date in the names of its files; "" for nothing'
        )
    return str(value)


def _weekdays(value: object) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not value or any(day not in WEEKDAYS for day in value):
        raise ValueError(f"weekdays must be a list of {', '.join(WEEKDAYS)}")
    return tuple(number for number, name in enumerate(WEEKDAYS) if name in value)


def _time(value: object) -> clock:
    """A time of day. YAML reads 16:30 without quotes as a number of minutes, base sixty."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_HOURS * 60:
        return clock(value // 60, value % 60)
    found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", str(value))
    if not found:
        raise ValueError('due must be a local time from "00:00" to "23:59"')
    return clock(int(found[1]), int(found[2]))


def _days(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_DAYS_LATER:
        raise ValueError(f"days_later must be a whole number from 0 to {_MOST_DAYS_LATER}")
    return value


def _name(value: object) -> str:
    if not isinstance(value, str) or "{date}" not in value:
        raise ValueError("name must be a file's name with {date} where YYYYMMDD stands")
    return value


class ThresholdSettings(Section):
    """Where values pass, and where they are only a warning."""

    completeness_pass: float = Field(
        default=0.95, ge=0, le=1, description="Completeness: this share and more passes"
    )
    completeness_warning: float = Field(
        default=0.90, ge=0, le=1, description="This share and more is a warning; less fails, a critical alert"
    )
    completeness_resolved: float = Field(
        default=0.93, ge=0, le=1, description="An alert about completeness ends at this share"
    )
    accuracy_pass: float = Field(default=0.95, ge=0, le=1, description="Accuracy: this share and more passes")
    accuracy_warning: float = Field(
        default=0.90, ge=0, le=1, description="This share and more is a warning; less fails"
    )
    consistency_pass: float = Field(
        default=0.95, ge=0, le=1, description="Consistency: this share and more passes"
    )
    consistency_warning: float = Field(
        default=0.90, ge=0, le=1, description="This share and more is a warning; less fails"
    )
    delay_pass_hours: float = Field(
        default=24.0, ge=0, description="Timeliness: this delay beyond the time due, and less, passes"
    )
    delay_warning_hours: float = Field(
        default=48.0, ge=0, description="This delay and less is a warning; more fails"
    )
    anomaly_info: float = Field(
        default=2.0, gt=0, description="Scores beyond this many standard deviations are told in the digest"
    )
    anomaly_warning: float = Field(
        default=3.0, gt=0, description="Scores beyond this many standard deviations are warned of"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for low, high in (
            ("completeness_warning", "completeness_resolved"),
            ("completeness_warning", "completeness_pass"),
            ("accuracy_warning", "accuracy_pass"),
            ("consistency_warning", "consistency_pass"),
            ("delay_pass_hours", "delay_warning_hours"),
            ("anomaly_info", "anomaly_warning"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(
                    f"{low} ({getattr(self, low):g}) must not be more than {high} ({getattr(self, high):g})"
                )
        return self


class FeedQualitySettings(Section):
    """What is expected of a feed."""

    expected: tuple[Annotated[str, AfterValidator(_unit)], ...] | None = Field(
        default=None,
        description="What must come on each open day, such as `location:447|channel:pos`, `channel:online` or "
        "`source:north`; null learns it from the last 8 same weekdays",
    )
    calendar: Annotated[tuple[FileRule, ...], BeforeValidator(_calendar)] = Field(
        default=(),
        description="When the files of a source are due: entries with `source`, `weekdays`, `due` (local time), "
        "`days_later`, `name` with `{date}`; other sources are learned",
    )


class QualitySettings(Section):
    """How the quality of the data is judged."""

    enabled: bool = Field(
        default=True,
        description="`false` judges no day and notices no silence; the accuracy of each file is kept anyway",
    )
    country: str | None = Field(
        default=None,
        description="Country (ISO code, such as US or DE) whose public holidays are no ordinary days; null knows none",
    )
    subdivision: str | None = Field(default=None, description="Its state or province, such as CA or BY")
    closed_days: tuple[date, ...] = Field(
        default=(), description="Days (YYYY-MM-DD) on which nothing is expected"
    )
    grace_minutes: float = Field(
        default=60.0, ge=0, le=10_080, description="Added to the time at which a file usually comes"
    )
    thresholds: ThresholdSettings = ThresholdSettings()
    sales: FeedQualitySettings = FeedQualitySettings()
    inventory: FeedQualitySettings = FeedQualitySettings()
    demand: FeedQualitySettings = FeedQualitySettings()

    @model_validator(mode="after")
    def _known_place(self) -> Self:
        if self.country is None:
            if self.subdivision is not None:
                raise ValueError(f"subdivision ({self.subdivision}) needs a country")
            return self
        from holidays import list_supported_countries  # noqa: PLC0415  (slow, and seldom needed)

        known = list_supported_countries()
        if self.country not in known:
            raise ValueError(
                f"country {self.country!r} is not known; write two capital letters such as US, DE or GB"
            )
        if self.subdivision is not None and self.subdivision not in known[self.country]:
            some = ", ".join(known[self.country]) or "none"
            raise ValueError(
                f"subdivision {self.subdivision!r} of {self.country} is not known; there are: {some}"
            )
        return self
