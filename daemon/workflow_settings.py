"""The section `workflow` of the configuration: what a day's end does."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from daemon.section import Section

_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


def clock_time(value: str) -> str:
    """A time of day such as 02:00.

    Raises:
        ValueError: it is none.
    """
    if not _CLOCK.fullmatch(value):
        raise ValueError(f'must be a time of day such as "02:00" (with quotes), received {value!r}')
    return value


class WorkflowSettings(Section):
    """The daily workflow."""

    at: Annotated[str, AfterValidator(clock_time)] | None = Field(
        default="02:00", description="Local time of the daily run in the daemon; null: never"
    )
    feature_engineering_enabled: bool = Field(
        default=True, description="Close the day: bring the features of all products up to it"
    )
    quality_check_enabled: bool = Field(default=True, description="Check the quality of all feeds")
    retention_enabled: bool = Field(
        default=True, description="Compress and remove what is old, as `retention` says"
    )
    backup_enabled: bool = Field(default=True, description="Copy the database")
    report_enabled: bool = Field(default=True, description="Write the report of the day")
    notification_enabled: bool = Field(
        default=True, description="Tell the channels of `alerts` when a step failed, and send what waits"
    )
    drain_minutes: float = Field(
        default=10.0, ge=0, le=1440, description="Longest wait for files that are still arriving"
    )
