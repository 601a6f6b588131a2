"""The data folder, and the few file operations that must not lose or overwrite anything."""

import ctypes
import errno
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from daemon.errors import ConfigError

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


@dataclass(frozen=True, slots=True)
class Folders:
    """Where things lie below ``data_dir``. All of them must be on one filesystem: a claim is a rename."""

    data_dir: Path

    @property
    def inbox(self) -> Path:
        """Where files are dropped."""
        return self.data_dir / "live_feeds"

    @property
    def work(self) -> Path:
        """Claimed files: one folder each."""
        return self.data_dir / ".work"

    @property
    def processed(self) -> Path:
        """Loaded files, by year and month."""
        return self.data_dir / "processed"

    @property
    def errors(self) -> Path:
        """Refused files, and the rejects of the others."""
        return self.data_dir / "errors"

    @property
    def reports(self) -> Path:
        """Reports."""
        return self.data_dir / "reports"

    def make(self) -> None:
        """Makes the folders that are missing.

        Raises:
            ConfigError: they are not on one filesystem.
        """
        folders = (self.inbox, self.work, self.processed, self.errors)
        for folder in (*folders, self.reports):
            folder.mkdir(parents=True, exist_ok=True)
        devices = {folder: folder.stat().st_dev for folder in folders}
        away = [str(folder) for folder in folders if devices[folder] != devices[self.inbox]]
        if away:
            raise ConfigError(
                f"{self.inbox} and {', '.join(away)} are on different filesystems: a file is moved between them in"
                " one step (rename), which needs one filesystem; mount it at data_dir instead"
            )


def move(source: Path, target: Path) -> None:
    """Renames, and never overwrites; both folders are on disk when it returns.

    Raises:
        FileExistsError: ``target`` is there.
        OSError: anything else.
    """
    _rename(os.fsencode(source), os.fsencode(target))
    sync_folder(target.parent)
    sync_folder(source.parent)


def _rename(source: bytes, target: bytes) -> None:
    if _renameat2 is not None:
        if _renameat2(_AT_FDCWD, source, _AT_FDCWD, target, _RENAME_NOREPLACE) == 0:
            return
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise OSError(code, os.strerror(code), os.fsdecode(source), None, os.fsdecode(target))
    # a filesystem without it: a link fails if the name is taken
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        if not Path(os.fsdecode(source)).samefile(os.fsdecode(target)):
            raise
    os.unlink(source)  # noqa: PTH108


def sync_folder(folder: Path) -> None:
    """Puts a folder's entries on disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sha256_of(path: Path) -> str | None:
    """Of a file's bytes; None if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def write_new(target: Path, content: Iterable[bytes]) -> None:
    """Writes a whole file, or none, in the place of one that may be there from an earlier try."""
    temporary = target.with_name(f".{target.name[:200]}.tmp")
    with temporary.open("wb") as file:
        file.writelines(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(target)
    sync_folder(target.parent)
