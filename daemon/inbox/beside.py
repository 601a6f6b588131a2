"""The companions that lie in the inbox: markers and manifests, which wait there for their files."""

import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from daemon.events import Event
from daemon.inbox.probe import open_to_look, read_manifest
from daemon.logs import display_name, emit
from daemon.settings import Evidence, SettleSettings
from daemon.source import Stamp, stamp
from handlers.errors import FileError
from handlers.manifest import ENDINGS, MANIFESTS, MARKERS, belongs_to

ALONE_SECONDS = 600.0  # so long a companion may lie without its file before that is said
_REMEDY = "let the sender drop its file under this name, and companions before their files; else remove it"
_NONE: frozenset[Evidence] = frozenset()


@dataclass(slots=True)
class _Companion:
    """What the last look at it showed, and since when; whether it is known to be whole; since when it is alone."""

    stamp: Stamp
    since: float
    alone_since: float
    whole: bool = False
    said: bool = False


@dataclass(slots=True)
class Beside:
    """The companions of a folder.

    Attributes:
        folder: the inbox.
        settle: how long a broken manifest is waited for.
        clock: monotonic seconds.
    """

    folder: Path
    settle: SettleSettings
    clock: Callable[[], float] = time.monotonic
    _known: dict[str, _Companion] = field(default_factory=dict)

    def look(self, name: str, status: os.stat_result) -> None:
        """Notes what a companion is now."""
        now, fresh = self.clock(), stamp(status)
        known = self._known.get(name)
        if known is None:
            self._known[name] = _Companion(fresh, now, now)
        elif known.stamp != fresh:
            self._known[name] = _Companion(fresh, now, known.alone_since, said=known.said)

    @property
    def names(self) -> list[str]:
        """Of the companions that are known."""
        return sorted(self._known)

    def gone(self, name: str) -> None:
        """It is not there any more."""
        if self._known:
            self._known.pop(name, None)

    def taken_with(self, file: str) -> None:
        """A file was claimed, and its companions with it."""
        if self._known:
            for ending in ENDINGS:
                self._known.pop(f"{file}{ending}", None)

    def keep(self, present: Collection[str]) -> None:
        """Forgets those that are not among the names of the folder."""
        self._known = {name: known for name, known in self._known.items() if name in present}

    def promises(self, file: str) -> frozenset[Evidence]:
        """Which kinds of companion a file has."""
        if not self._known:
            return _NONE
        found: set[Evidence] = set()
        if any(f"{file}{ending}" in self._known for ending in MARKERS):
            found.add("marker")
        if any(f"{file}{ending}" in self._known for ending in MANIFESTS):
            found.add("manifest")
        return frozenset(found)

    def closed(self, file: str) -> str | None:
        """A manifest of a file that we may not read; None if there is none."""
        for name in (f"{file}{ending}" for ending in MANIFESTS):
            if name in self._known:
                try:
                    os.close(open_to_look(self.folder / name))
                except PermissionError:
                    return name
                except OSError:
                    continue  # gone, or no file: the reader will say so
        return None

    def manifests_lack(self, file: str) -> Literal["unreadable", "manifest_unfinished"] | None:
        """What a file's manifests lack: they may not be read, or are not written to their end.

        After the grace period a broken one is what it is.
        """
        if self.closed(file) is not None:
            return "unreadable"
        whole = all(self._is_whole(f"{file}{ending}") for ending in MANIFESTS)
        return None if whole else "manifest_unfinished"

    def _is_whole(self, name: str) -> bool:
        if name not in self._known:
            return True
        try:
            self.look(name, os.lstat(self.folder / name))
            known = self._known[name]
            if not known.whole:
                read_manifest(self.folder / name)  # half of one cannot be read
                known.whole = True
        except FileNotFoundError:
            self.gone(name)
        except (FileError, OSError):
            patience = max(self.settle.grace_seconds, self.settle.quiet_seconds)
            return self.clock() - self._known[name].since >= patience
        return True

    def say_alone(self, files: Collection[str]) -> None:
        """Says of each companion, once, that its file does not come.

        Args:
            files: the files that wait.
        """
        now = self.clock()
        for name, known in self._known.items():
            file = belongs_to(name) or ""
            if file in files:
                known.alone_since = now
            elif now - known.alone_since >= ALONE_SECONDS and not known.said:
                known.said = True
                emit(
                    Event.COMPANION_ALONE,
                    file=display_name(name),
                    belongs_to=display_name(file),
                    waited_seconds=round(now - known.alone_since, 1),
                    remedy=_REMEDY,
                )
