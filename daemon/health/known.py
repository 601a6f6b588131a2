"""What the database and the disks say: asked at most every few seconds, in a thread of its own, and never waited for long.

A database that hangs, or a disk that does, holds up that one thread; whoever asks meanwhile is told that there is no answer.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from datetime import time as midnight
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from daemon.errors import ConfigError, TransientError
from daemon.settings import SQLITE, Settings
from daemon.store.figures import Figures, OtherRelease, Scope, glance

PATIENCE = 2.0  # seconds that who asks waits
FRESH_SECONDS = 3.0  # for so long an answer is given again,
_SHARE = 0.05  # and for longer if it took long: no more than this share of the time goes into asking
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class DatabaseSays:
    """What the database said.

    Attributes:
        figures: None: it did not answer as it should.
        error: why not; "" if it did.
        other_release: it answered, but its tables are not those of this release.
        seconds: that it took.
    """

    figures: Figures | None
    error: str = ""
    other_release: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes of a filesystem: free for the daemon, and in all."""

    free: int
    size: int


@dataclass(frozen=True, slots=True)
class Known:
    """What is known now of the database, and of the disks by their names: ``data``, ``database`` (SQLite's)."""

    database: DatabaseSays
    disks: dict[str, Disk]


SILENT = DatabaseSays(None, f"no answer within {PATIENCE:g} s")


def scope_of(settings: Settings) -> Scope:
    """What is told of the database of some settings; today began at midnight of the business time zone."""
    zone = ZoneInfo(settings.timezone)
    today = datetime.combine(datetime.now(zone), midnight(), zone)
    return Scope(today, settings.quality.enabled, tuple(settings.alerts.channels))


def ask_database(settings: Settings, seconds: float = PATIENCE) -> DatabaseSays:
    """Asks the database; no error leaves it."""
    begun = time.monotonic()
    try:
        figures = glance(settings.database_url, scope_of(settings), seconds)
    except OtherRelease as error:
        return DatabaseSays(None, str(error), other_release=True, seconds=time.monotonic() - begun)
    except (TransientError, ConfigError) as error:
        return DatabaseSays(None, str(error), seconds=time.monotonic() - begun)
    except Exception as error:  # noqa: BLE001  (rights that are missing, say: whatever it is, it is the answer)
        said = (str(error).strip() or "no reason given").splitlines()[0]
        return DatabaseSays(None, f"{type(error).__name__}: {said}", seconds=time.monotonic() - begun)
    return DatabaseSays(figures, seconds=time.monotonic() - begun)


def ask_disks(settings: Settings) -> dict[str, Disk]:
    """Asks the filesystems of the data folder and of SQLite's file; what cannot be asked is left out."""
    places = {"data": settings.data_dir}
    if settings.database_url.startswith(SQLITE):
        places["database"] = Path(unquote(settings.database_url.removeprefix(SQLITE))).parent
    found = {}
    for name, place in places.items():
        try:
            stats = os.statvfs(place)
        except OSError:
            continue
        found[name] = Disk(stats.f_bavail * stats.f_frsize, stats.f_blocks * stats.f_frsize)
    return found


@dataclass(slots=True)
class Fresh(Generic[_Answer]):
    """An answer that is asked for anew when it is old, in a thread, by one at a time.

    Attributes:
        ask: gives the answer; may take its time, and does not raise.
        silence: given when there is none in time.
        fresh_for: seconds for which an answer is given again.
    """

    ask: Callable[[], _Answer]
    silence: _Answer
    fresh_for: Callable[[_Answer], float] = lambda _answer: FRESH_SECONDS
    _answer: _Answer | None = None
    _until: float = 0.0
    _pending: "asyncio.Future[None] | None" = None
    _begun: float = 0.0

    async def answer(self) -> _Answer:
        """The answer, at most a few seconds old, after ``PATIENCE`` at the latest."""
        if time.monotonic() >= self._until or self._answer is None:
            if self._pending is None:
                self._begin()
            pending = self._pending
            left = self._begun + PATIENCE - time.monotonic()
            if pending is not None and left > 0:
                await asyncio.wait({pending}, timeout=left)
            if self._pending is not None or self._answer is None:
                return self.silence
        return self._answer

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._pending, self._begun = loop.create_future(), time.monotonic()

        def work() -> None:
            answer = self.ask()
            with contextlib.suppress(RuntimeError):  # nobody waits any more: the loop is closed
                loop.call_soon_threadsafe(self._take, answer)

        threading.Thread(target=work, name="health-asks", daemon=True).start()

    def _take(self, answer: _Answer) -> None:
        self._answer, self._until = answer, time.monotonic() + self.fresh_for(answer)
        if self._pending is not None:
            self._pending.set_result(None)
            self._pending = None


def _kept(said: DatabaseSays) -> float:
    """What went wrong is asked again soon."""
    return FRESH_SECONDS if said.figures is None else max(FRESH_SECONDS, said.seconds / _SHARE)


@dataclass(slots=True)
class Asked:
    """The database and the disks of the settings in force."""

    settings: Callable[[], Settings]
    _database: Fresh[DatabaseSays] = field(init=False)
    _disks: Fresh[dict[str, Disk]] = field(init=False)

    def __post_init__(self) -> None:
        self._database = Fresh(lambda: ask_database(self.settings()), SILENT, _kept)
        self._disks = Fresh(lambda: ask_disks(self.settings()), {})

    async def known(self) -> Known:
        """What they say."""
        database, disks = await asyncio.gather(self._database.answer(), self._disks.answer())
        return Known(database, disks)


def age(moment: datetime) -> float:
    """Seconds since a moment, by the wall clock."""
    return max(0.0, (datetime.now(UTC) - moment).total_seconds())
