"""A site whose clock is the files': what the daemon does with them, at moments that a benchmark gives."""

import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv
from sqlalchemy import text

from daemon.after import features, quality
from daemon.after.steps import AfterSteps
from daemon.alerts.courier import Courier
from daemon.claims import Claim
from daemon.config import load_settings
from daemon.ingest import settle
from daemon.outcomes import Delivery, Outcome
from daemon.reading import Rules
from daemon.settings import Settings
from daemon.store import Store

TICKS = (0, 3.1, 7.01, 9, 15, 21)  # hours of the day at which the watch looks, besides a minute after a file
DAY = timedelta(days=1)
TOLD = """
SELECT n.id, n.kind, a.rule, a.severity, a.feed, a.scope, a.day, a.summary, n.letter_id, n.created_at
FROM notices AS n JOIN alerts AS a ON a.id = n.alert_id WHERE n.kind = 'firing' AND n.id > :after ORDER BY n.id
"""


@dataclass
class Site:
    """A daemon's database, and what the daemon does with a file, at moments that are given.

    Attributes:
        settings: the defaults, but for the zone.
        store: its database.
        loading: seconds of each delivery, to its commit.
        following: seconds of what followed each: features of its products, judgement, features of the other products.
        whole: whether the others are brought up to date.
    """

    settings: Settings
    store: Store
    loading: list[float] = field(default_factory=list)
    following: list[tuple[float, float, float]] = field(default_factory=list)
    whole: bool = False

    def send(self, name: str, rows: pa.Table | bytes, arrived: datetime) -> Outcome:
        """Loads a file that arrived at a moment, and nothing more."""
        with tempfile.TemporaryDirectory() as folder:
            claim = Claim(secrets.token_hex(8), Path(folder), name, lock=-1)
            claim.room.mkdir()
            if isinstance(rows, bytes):
                claim.path.write_bytes(rows)
            else:
                csv.write_csv(rows, claim.path)
            begun = time.perf_counter()
            delivery = Delivery(claim.id, name, arrived.astimezone(UTC))
            outcome = settle(claim, delivery, Rules.of(self.settings), self.store)
            self.loading.append(time.perf_counter() - begun)
        self.store.filed(outcome.delivery_id, f"processed/{name}")
        return outcome

    def follow(self) -> None:
        """What follows the deliveries; ends the benchmark if a step failed."""
        moments = [time.perf_counter()]
        while self._count("due_products"):
            features.advance(self.store, self.settings)
        moments.append(time.perf_counter())
        while quality.judge(self.store, self.settings):
            pass
        moments.append(time.perf_counter())
        if self.whole:
            AfterSteps(self.store, self.settings).run()
        moments.append(time.perf_counter())
        first, second, third = (b - a for a, b in pairwise(moments))
        self.following.append((first, second, third))
        if self._count("due_products") + self._count("due_days"):
            sys.exit("a step after a delivery failed: see the log")

    def _count(self, table: str) -> int:
        with self.store.engine.connect() as connection:
            return int(connection.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one())

    def tick(self, now: datetime) -> None:
        """What time brings about."""
        AfterSteps(self.store, self.settings).tick(now.astimezone(UTC))

    def letters(self, now: datetime) -> None:
        """The courier's round: notices become letters."""
        at = now.astimezone(UTC)
        courier = Courier(self.settings, lambda: self.store, clock=lambda: at)
        courier.round()

    def hours(self, day: date, since: datetime, until: datetime) -> None:
        """The watch and the courier at some hours of a day, after one moment and before another."""
        for hour in TICKS:
            now = datetime.combine(day, clock(), since.tzinfo) + timedelta(hours=hour)
            if since < now < until:
                self.tick(now)
                self.letters(now + timedelta(minutes=2))

    def told(self, after: int = 0) -> list[Mapping[str, Any]]:
        """The alerts that began since a notice and were, or wait to be, told."""
        with self.store.engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(TOLD), {"after": after}).mappings()]

    def last_notice(self) -> int:
        """The number of the newest notice."""
        with self.store.engine.connect() as connection:
            return int(connection.execute(text("SELECT COALESCE(MAX(id), 0) FROM notices")).scalar_one())

    def close(self) -> None:
        """Closes the database."""
        self.store.close()


@contextmanager
def site(folder: Path, settings: Mapping[str, Any]) -> Iterator[Site]:
    """A site on a folder.

    Args:
        folder: holds, or will hold, ``stockgrip.db``.
        settings: those that are not the defaults.
    """
    own = Settings.model_validate({**load_settings(None, {}).model_dump(), **settings, "data_dir": folder})
    own = own.model_copy(update={"data_dir": folder})
    found = Site(own, Store.open(f"sqlite:///{folder / 'stockgrip.db'}"))
    try:
        yield found
    finally:
        found.close()


@contextmanager
def copied(of: Site, scratch: Path) -> Iterator[Site]:
    """A copy of a site's database as it is now, to try something on."""
    with of.store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    with tempfile.TemporaryDirectory(dir=scratch, prefix="copy-") as folder:
        shutil.copyfile(of.settings.data_dir / "stockgrip.db", Path(folder, "stockgrip.db"))
        copy = Site(of.settings, Store.open(f"sqlite:///{folder}/stockgrip.db"))
        try:
            yield copy
        finally:
            copy.close()
