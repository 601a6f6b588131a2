"""The section `backup` of the configuration."""

from pathlib import Path
from typing import Self

from pydantic import Field

from daemon.section import Section


class BackupSettings(Section):
    """Copies of the database."""

    folder: Path | None = Field(
        default=None, description="Where copies go; default `backups/` in `data_dir`; better another disk"
    )
    keep: int = Field(default=7, ge=1, le=10_000, description="Copies that are kept; older ones are removed")
    before_migration: bool = Field(
        default=True, description="Copy the database before a new release changes its tables"
    )

    def anchored(self, folder: Path) -> Self:
        """The same with a relative path made absolute, from a folder."""
        return self if self.folder is None else self.model_copy(update={"folder": folder / self.folder})
