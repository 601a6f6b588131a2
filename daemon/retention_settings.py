"""The section `retention` of the configuration: what is compressed or removed, and when."""

from pydantic import Field

from daemon.section import Section


class RetentionSettings(Section):
    """How long what nothing needs any more is kept."""

    data_days: int | None = Field(
        default=90,
        ge=1,
        le=36_600,
        description="Rows of the feeds of days longer ago than this are removed, counted from the newest day with data; what is made of them stays; null: never",
    )
    compress_days: int | None = Field(
        default=30,
        ge=1,
        le=36_600,
        description="Files in processed/ older than this are compressed; null: never",
    )
    files_days: int | None = Field(
        default=None,
        ge=1,
        le=36_600,
        description="Files in processed/ older than this are removed; null: never",
    )
    files_minutes: float = Field(
        default=60.0,
        gt=0,
        le=1440,
        description="The daily workflow compresses and removes files for so long, and goes on the next night",
    )
    metrics_days: int | None = Field(
        default=730,
        ge=400,
        le=36_600,
        description="Quality metrics of days longer ago than this are removed, counted from the newest day with data; null: never",
    )
    rejects_days: int | None = Field(
        default=365,
        ge=1,
        le=36_600,
        description="Rejected rows of deliveries older than this are removed, but those that were corrected; null: never",
    )
    alerts_days: int | None = Field(
        default=365,
        ge=7,
        le=36_600,
        description="Alerts that ended longer ago than this, their letters, and runs of the workflow are removed; null: never",
    )
