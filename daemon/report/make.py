"""Writes the report of a day into ``reports/``."""

import json
import math
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from daemon.files import Folders, sync_folder
from daemon.report.facts import facts_of
from daemon.report.page import page
from daemon.settings import Settings
from daemon.store import Store

_MODE = 0o640  # figures of the business: for the group, and nobody else


@dataclass(frozen=True, slots=True)
class Report:
    """The report of a day.

    Attributes:
        day: the business day.
        json_path: for programs.
        html_path: for people: one file that refers to nothing else.
        facts: what the first one says (docs/report.md).
    """

    day: date
    json_path: Path
    html_path: Path
    facts: dict[str, Any]


def make_report(
    settings: Settings,
    store: Store,
    day: date | None = None,
    *,
    run: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> Report:
    """Writes ``daily_summary_YYYYMMDD.json`` and ``.html``, each whole or not at all, in the place of earlier ones.

    Args:
        settings: of the daemon.
        store: the database, which is only read, in one transaction.
        day: the business day; None: the newest of which there are data, or today if there are none.
        run: of the workflow, as its table has it: what its steps did is told, too.
        now: aware; None: this moment.

    Raises:
        DatabaseUnavailable: the database does not answer.
        OSError: a file cannot be written.
    """
    moment = now or datetime.now(UTC)
    facts = _finite(store.ask(lambda connection: facts_of(connection, settings, moment, day, run)))
    chosen = date.fromisoformat(facts["day"])
    folder = Folders(settings.data_dir).reports
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"daily_summary_{chosen:%Y%m%d}"
    texts = {"json": f"{json.dumps(facts, indent=1, allow_nan=False)}\n", "html": page(facts)}
    paths = {ending: folder / f"{stem}.{ending}" for ending in texts}
    for ending, path in paths.items():
        _write(path, texts[ending].encode())
    return Report(chosen, paths["json"], paths["html"], facts)


def _finite(value: Any) -> Any:
    """The same; what is no number, or has no bounds, is unknown: JSON has no word for it."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write(path: Path, content: bytes) -> None:
    """Writes a whole file, or none; two at once do not mix."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_native_id()}.tmp")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
        with open(fd, "wb") as file:  # noqa: PTH123  (of a descriptor)
            os.fchmod(file.fileno(), _MODE)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
