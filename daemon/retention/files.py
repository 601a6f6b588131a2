"""Files in ``processed/``: compressed when they are old, removed when they are very old.

The order of every change: the new file is whole and on disk, then the ledger names it, then the old one goes. A kill leaves one
file too many at the worst, and the next pass takes it away.
"""

import contextlib
import math
import os
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from daemon import packing
from daemon.files import Folders, sha256_of, sync_folder
from daemon.store import Store, history
from daemon.store import retention as store_retention
from handlers.manifest import ENDINGS

Row = Mapping[str, Any]
_COMPRESSED = (".gz", ".zst")  # by their senders
_NAMED = 20  # files that are left alone and named


@dataclass(slots=True)
class Filed:
    """What became of files.

    Attributes:
        compressed: how many.
        removed: how many.
        bytes_freed: by both; of a dry run, how many bytes those files have.
        left: paths of files that have other bytes than were delivered, or no free name: nothing was done to them; some.
        later: how many are left to the next pass, because the time was over.
    """

    compressed: int = 0
    removed: int = 0
    bytes_freed: int = 0
    left: list[str] = field(default_factory=list)
    later: int = 0


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a site.

    Attributes:
        folders: the data folder.
        store: the database.
        done: is counted up.
        dry: only count.
        until: in monotonic seconds; what is not done then is only counted, for the next pass.
    """

    folders: Folders
    store: Store
    done: Filed
    dry: bool
    until: float = math.inf

    # ---- removing

    def remove(self, before: datetime) -> None:
        """Removes the files that were filed before a moment; the ledger says when."""
        for row in self._filed(before):
            path = packing.place_of(self.folders.data_dir, row["archive_path"], row["id"])
            file = self.folders.data_dir / path
            size = _size(file)
            if size is None or self._is_for_later(file):
                continue
            if packing.delivered_sha256(file) != row["sha256"]:
                self._leave(path)
                continue
            if not self.dry:
                goes = partial(store_retention.file_goes, delivery_id=row["id"], path=row["archive_path"])
                if not self.store.change(goes):
                    continue
                self._remove_companions(row)
                file.unlink(missing_ok=True)
                sync_folder(file.parent)
            self.done.removed += 1
            self.done.bytes_freed += size

    def _remove_companions(self, row: Row) -> None:
        beside = packing.companions_name(self.folders.data_dir, row["archive_path"], row["id"])
        if beside is None:
            return
        for ending in ENDINGS:
            beside.with_name(f"{beside.name}{ending}").unlink(missing_ok=True)

    # ---- compressing

    def compress(self, before: datetime, but_before: datetime | None) -> None:
        """Compresses the files that were filed before a moment.

        Args:
            before: that moment, aware.
            but_before: those filed before this are left out: they are removed.
        """
        for row in self._filed(before):
            if but_before is not None and row["filed_at"] < but_before:
                continue
            if row["archive_path"].endswith(packing.ENDING):
                self._tidy(row)
            elif row["file_name"].lower().endswith(_COMPRESSED):
                continue
            elif not self._is_for_later(self.folders.data_dir / row["archive_path"]):
                self._compress(row)

    def _compress(self, row: Row) -> None:
        path: str = row["archive_path"]
        source = self.folders.data_dir / path
        size = _size(source)
        if self.dry:
            if size is not None:
                self.done.compressed += 1
                self.done.bytes_freed += size
            return
        stamp = _stamp(source)
        try:
            target = self._packed(row, source if size is not None else None)
        except FileNotFoundError:  # it was taken out meanwhile
            return
        except packing.Damaged:
            if size is None or _stamp(source) == stamp:
                raise
            target = None  # somebody writes it
        if target is None:
            if size is not None:
                self._leave(path)
            return
        now = target.relative_to(self.folders.data_dir).as_posix()
        noted = self.store.change(partial(store_retention.refiled, was=path, now=now, sha256=row["sha256"]))
        if not noted:  # it was taken out meanwhile
            target.unlink(missing_ok=True)
        elif size is not None and _stamp(source) == stamp:
            source.unlink(missing_ok=True)
            self.done.compressed += 1
            self.done.bytes_freed += size - target.stat().st_size
        sync_folder(target.parent)

    def _packed(self, row: Row, source: Path | None) -> Path | None:
        """The compressed file, made now or by a pass that was killed; None if there can be none."""
        for name in packing.packed_names(row["archive_path"], row["id"]):
            target = self.folders.data_dir / name
            if os.path.lexists(target):
                if self._owners(name):
                    continue
                says = packing.packed_sha256(target) == row["sha256"]
                if says and packing.delivered_sha256(target) == row["sha256"]:
                    return target
                continue
            if source is not None:
                with contextlib.suppress(FileExistsError):
                    return target if packing.pack(source, target, row["sha256"]) else None
        return None

    def _tidy(self, row: Row) -> None:
        """Takes away what a kill has left of a file that is compressed."""
        plain = packing.plain_name(row["archive_path"], row["id"])
        left, packed = self.folders.data_dir / plain, self.folders.data_dir / row["archive_path"]
        if self.dry or _size(left) is None or packing.packed_sha256(packed) != row["sha256"]:
            return
        if self._owners(plain) or sha256_of(left) != row["sha256"]:
            return
        if packing.delivered_sha256(packed) == row["sha256"]:
            left.unlink(missing_ok=True)

    # ---- both

    def _is_for_later(self, file: Path) -> bool:
        """Counts a file that is left to the next pass, if the time is over."""
        over = not self.dry and time.monotonic() >= self.until
        if over and _size(file) is not None:
            self.done.later += 1
        return over

    def _filed(self, before: datetime) -> Iterator[Row]:
        after = 0
        while True:
            some = self.store.ask(partial(store_retention.filed_before, moment=before, after=after))
            if not some:
                return
            yield from some
            after = some[-1]["id"]

    def _owners(self, path: str) -> set[int]:
        return set(self.store.ask(partial(history.filed_at, path=path)))

    def _leave(self, path: str) -> None:
        if path not in self.done.left and len(self.done.left) < _NAMED:
            self.done.left.append(path)


def _size(file: Path) -> int | None:
    """Of a regular file; None if there is none."""
    try:
        status = file.lstat()
    except FileNotFoundError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _stamp(file: Path) -> tuple[int, ...] | None:
    try:
        status = file.lstat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
