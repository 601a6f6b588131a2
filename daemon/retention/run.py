"""One pass over what is old."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from daemon.events import Event
from daemon.files import Folders
from daemon.logs import emit
from daemon.retention import rows
from daemon.retention.files import Filed, Files
from daemon.settings import Settings
from daemon.store import Store, raw_rows
from daemon.store import retention as store_retention
from daemon.store.retention import Horizons, count_old, newest_day, removals


@dataclass(slots=True)
class Retained:
    """What was done, or would be.

    Attributes:
        dry: nothing was done.
        files: of ``processed/``.
        rows: that were removed, by table.
    """

    dry: bool
    files: Filed = field(default_factory=Filed)
    rows: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``, and for the workflow."""
        files = {f"files_{name}": value for name, value in asdict(self.files).items()}
        return {"dry_run": self.dry, **files, "rows": dict(self.rows)}


def retain(
    settings: Settings,
    store: Store,
    *,
    dry: bool = False,
    files_minutes: float = math.inf,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Retained:
    """Compresses and removes what is old. Safe to do again, to kill, and while the daemon runs.

    Args:
        settings: of the site.
        store: the database.
        dry: only say what would be done.
        files_minutes: files that are not done by then are left to the next pass.
        now: aware.

    Raises:
        DatabaseUnavailable: the database does not answer.
        OSError: a file cannot be read or written, such as no room; what was done so far stays done.
    """
    wanted, moment = settings.retention, now()
    found = Retained(dry, rows=dict.fromkeys((*raw_rows.NAMES, *store_retention.NAMES), 0))
    files = Files(Folders(settings.data_dir), store, found.files, dry, time.monotonic() + 60 * files_minutes)
    if wanted.files_days is not None:
        files.remove(moment - timedelta(wanted.files_days))
    if wanted.compress_days is not None:
        removed_before = None if wanted.files_days is None else moment - timedelta(wanted.files_days)
        files.compress(moment - timedelta(wanted.compress_days), but_before=removed_before)
    newest = store.ask(newest_day)
    horizons = _horizons(settings, newest, moment)
    if wanted.data_days is not None and newest is not None:
        (rows.count if dry else rows.remove)(store, newest - timedelta(wanted.data_days), moment, found.rows)
    if dry:
        found.rows |= store.ask(lambda connection: count_old(connection, horizons))
        return found
    for table, some in removals(horizons):
        _remove(store, table, some, found.rows)
    if found.files.compressed or found.files.removed or found.files.later or any(found.rows.values()):
        emit(
            Event.OLD_REMOVED,
            files_compressed=found.files.compressed,
            files_removed=found.files.removed,
            files_later=found.files.later,
            bytes_freed=found.files.bytes_freed,
            rows={table: rows for table, rows in found.rows.items() if rows},
        )
    return found


def _remove(store: Store, table: str, some: Any, removed: dict[str, int]) -> None:
    """Takes some out at a time, and leaves the database to others for as long in between."""
    while True:
        begun = time.monotonic()
        gone, more = store.change(some)
        removed[table] += gone
        removed["notices"] += more
        if not gone:
            return
        time.sleep(min(time.monotonic() - begun, 1.0))


def _horizons(settings: Settings, newest: date | None, now: datetime) -> Horizons:
    wanted = settings.retention

    def ago(days: int | None) -> datetime | None:
        return None if days is None else now - timedelta(days)

    first = None
    if wanted.metrics_days is not None and newest is not None:
        first = newest - timedelta(wanted.metrics_days)
    return Horizons(first, ago(wanted.rejects_days), ago(wanted.alerts_days))
