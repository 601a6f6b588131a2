"""What can be expected of a filesystem, besides what ``daemon.filesystems`` tells."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from daemon.filesystems import Filesystem, filesystem_of
from daemon.filesystems import mount_of as number_of

Nature = Literal["local", "volatile", "layered", "network", "foreign", "unknown"]

_NATURES: dict[Nature, frozenset[str]] = {
    "local": frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "jfs", "nilfs2"}),
    "volatile": frozenset({"tmpfs", "ramfs", "devtmpfs"}),
    "layered": frozenset({"overlay", "aufs", "fuse.fuse-overlayfs"}),
    # no owners, no modes, names without upper and lower case
    "foreign": frozenset({"vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk", "hfsplus"}),
}


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted filesystem.

    Attributes:
        number: of the mount.
        filesystem: its type, and where it is mounted.
        options: of the mount and of the filesystem.
    """

    number: int
    filesystem: Filesystem
    options: frozenset[str] = frozenset()

    @property
    def kind(self) -> str:
        """Its type, such as ``ext4``."""
        return self.filesystem.type

    @property
    def point(self) -> str:
        """Where it is mounted."""
        return self.filesystem.mount_point

    def __str__(self) -> str:
        return f"{self.kind} ({self.filesystem.source} at {self.point})" if self.point else self.kind

    @property
    def nature(self) -> Nature:
        """What can be expected of it."""
        for nature, kinds in _NATURES.items():
            if self.kind in kinds:
                return nature
        return "unknown" if self.filesystem.gives_events else "network"


def mount_of(path: Path, mountinfo: str) -> Mount:
    """The filesystem of a path; of one that is not there yet, that of the folder it would be made in.

    Args:
        path: a file or folder.
        mountinfo: the text of ``/proc/self/mountinfo``.

    Raises:
        OSError: it may not be looked at.
    """
    folder = nearest(path)
    folder = folder if folder.is_dir() else folder.parent
    number = number_of(folder)
    return Mount(number, filesystem_of(folder), options_of(number, mountinfo))


def options_of(number: int, mountinfo: str) -> frozenset[str]:
    """The options of a mount, and of the filesystem in it; see proc(5)."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if left[0] == str(number) and len(left) > 5 and len(right) > 2:  # noqa: PLR2004  (their places)
            return frozenset(f"{left[5]},{right[2]}".split(","))
    return frozenset()


def nearest(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    while not os.path.exists(path) and path != path.parent:  # noqa: PTH110  (false where we may not look)
        path = path.parent
    return path


def is_read_only(path: Path) -> bool:
    """Whether nothing can be written there, whatever the modes say."""
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
