"""``stockgrip check``: the same reading and judging as a delivery's, into a database in memory."""

import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from daemon import source
from daemon.ingest import Reading, Rules, read_into
from daemon.logs import display_name
from daemon.outcomes import Dialect
from daemon.store import Store, open_engine
from handlers.errors import FileError
from handlers.reasons import FileReason
from handlers.route import route


@dataclass(slots=True)
class Verdict:
    """What would become of a file."""

    file: str
    status: str = "failed"
    feed: str | None = None
    slot: str | None = None
    dialect: Dialect | None = None
    rows: int = 0
    rejected: int = 0
    reason: FileReason | None = None
    message: str = ""
    rejects: list[dict[str, Any]] = field(default_factory=list)

    @property
    def all_well(self) -> bool:
        """Whether every row would be loaded."""
        return self.status == "success"

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        found = asdict(self)
        found["reason"] = self.reason.value if self.reason else None
        found["remedy"] = self.reason.remedy if self.reason else None
        return found


def dry_run(path: Path, rules: Rules, most: int) -> Verdict:
    """Judges a file; writes nothing.

    Args:
        path: the file; its name decides the feed.
        rules: from the settings.
        most: how many rejects to list; 0 for all.
    """
    verdict = Verdict(display_name(path.name))
    reading = Reading()
    try:
        where = route(path.name, rules.patterns)
        verdict.feed, verdict.slot = where.feed, where.slot
        fd = _open(path)
        try:
            _judge(fd, where.compression, rules, verdict, reading, most)
        finally:
            os.close(fd)
    except FileError as error:
        verdict.reason, verdict.message = error.reason, error.message
    verdict.dialect = reading.dialect
    return verdict


def _open(path: Path) -> int:
    try:
        return source.open_regular(path)
    except OSError as error:
        raise FileError(FileReason.UNREADABLE, f"{error.strerror}: {path}") from error


def _judge(fd: int, compression: str, rules: Rules, verdict: Verdict, reading: Reading, most: int) -> None:
    feed = rules.feeds[verdict.feed or ""]
    with Store(open_engine("sqlite://")).stage(feed) as stage:
        try:
            read_into(stage, fd, compression, rules, datetime.now(UTC), reading)
            verdict.status = "partial" if stage.rejects else "success"
        finally:
            verdict.rows, verdict.rejected = stage.rows, stage.rejects
            names = ("line", "column", "value", "reason", "message")
            verdict.rejects = [
                dict(zip(names, row, strict=True)) for row in stage.first_rejects(most or stage.rejects)
            ]
