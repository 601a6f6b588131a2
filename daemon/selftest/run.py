"""The parts of the check, one after the other, and what came of them."""

import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from daemon.selftest import features, ingestion, quality, workflow
from daemon.selftest.checks import Check, Checks
from daemon.selftest.scratch import database, scratch, settings_in
from daemon.selftest.trial import FILES, Trial
from daemon.settings import Settings
from daemon.store import Store
from daemon.store.backups import is_sqlite

PARTS = MappingProxyType(
    {
        "csv_ingestion": ingestion.check,
        "data_quality_monitoring": quality.check,
        "feature_engineering": features.check,
        "daily_workflow": workflow.check,
    }
)


@dataclass(frozen=True, slots=True)
class Part:
    """One part.

    Attributes:
        name: of ``PARTS``.
        checks: what was compared.
        seconds: how long it took.
    """

    name: str
    checks: tuple[Check, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether something was compared, and all agreed."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """For JSON and for the API."""
        failed = [check.name for check in self.checks if not check.ok]
        return {
            "name": self.name,
            "status": "pass" if self.passed else "fail",
            "seconds": self.seconds,
            "checks": [asdict(check) for check in self.checks],
            "failed": failed,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What came of all parts.

    Attributes:
        parts: in their order.
        seconds: how long it took.
        kept: the folder that was kept.
        database: what it was tried on, ``sqlite`` or ``postgresql``.
        remark: on the database, for a person; "": none.
    """

    parts: tuple[Part, ...]
    seconds: float
    kept: Path | None
    database: str = "sqlite"
    remark: str = ""

    @property
    def passed(self) -> bool:
        """Whether all agreed."""
        return bool(self.parts) and all(part.passed for part in self.parts)

    def as_dict(self) -> dict[str, Any]:
        """For JSON and for the API."""
        parts = [part.as_dict() for part in self.parts]
        return {
            "status": "pass" if self.passed else "fail",
            "seconds": self.seconds,
            "checked": sum(len(part.checks) for part in self.parts),
            "failed": sum(len(part["failed"]) for part in parts),
            "parts": parts,
            "kept": None if self.kept is None else str(self.kept),
            "database": self.database,
            "remark": self.remark,
        }


def selftest(
    settings: Settings,
    parts: Collection[str] = tuple(PARTS),
    *,
    keep: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    begun: Callable[[Path], None] = lambda _folder: None,
) -> Report:
    """Checks the program from end to end on a scratch site.

    Args:
        settings: of the site: its business time zone, and where its filesystem and its database server are; nothing of it
            is changed.
        parts: which of ``PARTS``.
        keep: leave the scratch folder.
        progress: called with how many files are loaded, of how many.
        begun: called with the scratch folder, before anything is done in it.

    Raises:
        OSError: there is no room for a scratch folder.
    """
    start = time.monotonic()
    with (
        scratch(settings, keep=keep) as folder,
        database(settings, folder, keep=keep) as (url, remark),
    ):
        begun(folder)
        own = settings_in(folder, settings.timezone, url)
        store = Store.open(own.database_url)
        try:
            trial = Trial(own, store, progress)
            done = tuple(_done(name, trial) for name in PARTS if name in parts)
        finally:
            store.close()
    progress(FILES, FILES)
    kind = "sqlite" if is_sqlite(url) else "postgresql"
    return Report(done, round(time.monotonic() - start, 3), folder if keep else None, kind, remark)


def _done(name: str, trial: Trial) -> Part:
    """A part; what breaks it is one of its checks."""
    start = time.monotonic()
    checks = Checks()
    try:
        PARTS[name](trial, checks)
    except Exception as error:  # noqa: BLE001  (a broken program breaks in ways that nobody knows)
        checks.so("the part itself", "done to its end", f"{type(error).__name__}: {error}"[:500], ok=False)
    return Part(name, tuple(checks.made), round(time.monotonic() - start, 3))
