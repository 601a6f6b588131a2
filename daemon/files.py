"""The data folder, and the few file operations that must not lose or overwrite anything."""

import contextlib
import ctypes
import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from daemon.errors import ConfigError

REASON_ENDING = ".reason.txt"  # of what lies in errors/ beside a refused file
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_renameat2 = getattr(_LIBC, "renameat2", None)
_syncfs = getattr(_LIBC, "syncfs", None)
_MANY = 20  # folders: from here on one wait for the whole filesystem is shorter


@dataclass(frozen=True)  # no slots: its paths are made once
class Folders:
    """Where things lie below ``data_dir``. All of them must be on one filesystem: a claim is a rename."""

    data_dir: Path

    @cached_property
    def inbox(self) -> Path:
        """Where files are dropped."""
        return self.data_dir / "live_feeds"

    @cached_property
    def work(self) -> Path:
        """Claimed files: one folder each."""
        return self.data_dir / ".work"

    @cached_property
    def processed(self) -> Path:
        """Loaded files, by year and month."""
        return self.data_dir / "processed"

    @cached_property
    def errors(self) -> Path:
        """Refused files, and the rejects of the others."""
        return self.data_dir / "errors"

    @cached_property
    def reports(self) -> Path:
        """Reports."""
        return self.data_dir / "reports"

    def make(self, inbox_rights: "Rights | None" = None) -> None:
        """Makes the folders that are missing.

        Args:
            inbox_rights: for the inbox, if it is made: those that it had, so that its senders can deliver again.

        Raises:
            ConfigError: they are not on one filesystem.
        """
        folders = (self.inbox, self.work, self.processed, self.errors)
        is_made = not self.inbox.exists()
        for folder in (*folders, self.reports):
            folder.mkdir(parents=True, exist_ok=True)
        if is_made and inbox_rights is not None:
            inbox_rights.give(self.inbox)
        devices = {folder: folder.stat().st_dev for folder in folders}
        away = [str(folder) for folder in folders if devices[folder] != devices[self.inbox]]
        if away:
            raise ConfigError(
                f"{self.inbox} and {', '.join(away)} are on different filesystems: a file is moved between them in"
                " one step (rename), which needs one filesystem; mount it at data_dir instead"
            )


@dataclass(frozen=True, slots=True)
class Rights:
    """Whose a folder is, and who may do what there.

    Attributes:
        mode: its permission bits, with set-group-ID and sticky.
        user: its owner's number.
        group: its group's number.
    """

    mode: int
    user: int
    group: int

    @classmethod
    def of(cls, folder: Path) -> "Rights":
        """A folder's.

        Raises:
            OSError: it is not there.
        """
        status = folder.stat()
        return cls(stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)

    def give(self, folder: Path) -> None:
        """Gives them to a folder of ours, as far as we may: only root gives away, and a member may choose the group."""
        for user, group in ((self.user, -1), (-1, self.group)):
            with contextlib.suppress(PermissionError):
                os.chown(folder, user, group)
        mode = self.mode
        if folder.stat().st_gid != self.group:
            mode &= ~(stat.S_IRWXG | stat.S_ISGID)  # they were meant for another group
        folder.chmod(mode)


def move(source: Path, target: Path) -> None:
    """Renames, and never overwrites; both folders are on disk when it returns.

    Raises:
        FileExistsError: ``target`` is there.
        OSError: anything else.
    """
    rename(source, target)
    sync_folder(target.parent)
    sync_folder(source.parent)


def rename(source: Path, target: Path) -> None:
    """Renames, and never overwrites; not on disk yet.

    Raises:
        FileExistsError: ``target`` is there.
        OSError: anything else.
    """
    _rename(os.fsencode(source), os.fsencode(target))


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


def sync_folders(folders: Sequence[Path]) -> None:
    """Puts the entries of folders of one filesystem on disk, the last one last."""
    if len(folders) < _MANY or _syncfs is None:
        for folder in folders:
            sync_folder(folder)
        return
    fd = os.open(folders[-1], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _syncfs(fd) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folders[-1]))
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
