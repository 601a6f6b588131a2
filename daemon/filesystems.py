"""What kind of filesystem a folder is on, and whether the kernel tells of everything that happens there.

The kernel gives events for what goes through itself. On a share, another host's writes do not, and even a file that
this host writes as a test gives an event: only the type tells. So it is looked up, by the folder's mount, not guessed.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from daemon.errors import TransientError

_MOUNTS: Final = Path("/proc/self/mountinfo")

# Others can change these behind this kernel's back: hosts of a share, a virtual machine's host, nodes of a cluster.
_SILENT: Final = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "ceph", "9p", "virtiofs", "davfs"),
        *("vboxsf", "vmhgfs", "prl_fs", "drvfs", "fakeowner", "grpcfuse", "osxfs"),
        *("lustre", "beegfs", "gpfs", "orangefs", "pvfs2", "gfs2", "ocfs2", "glusterfs", "panfs", "acfs"),
    }
)
_FUSE: Final = "fuse"  # sshfs, rclone, s3fs, vmhgfs-fuse …: what lies behind it is not seen from here
_FUSE_ON_A_DISK: Final = frozenset({"fuseblk", "fuse.lxcfs"})  # ntfs-3g, exfat: a disk of this host


@dataclass(frozen=True, slots=True)
class Filesystem:
    """The mount a folder is on.

    Attributes:
        type: its type as the kernel names it, such as `ext4` or `fuse.sshfs`; `unknown` without /proc.
        mount_point: where it is mounted; "" if unknown.
        source: what is mounted there: a device, `server:/export`; "" if unknown.
    """

    type: str
    mount_point: str = ""
    source: str = ""

    @property
    def gives_events(self) -> bool:
        """Whether the kernel learns of every change; an unknown type is trusted, and the canary watches over it."""
        if self.type in _FUSE_ON_A_DISK:
            return True
        return self.type not in _SILENT and self.type != _FUSE and not self.type.startswith(f"{_FUSE}.")


UNKNOWN: Final = Filesystem("unknown")


def filesystem_of(folder: Path) -> Filesystem:
    """The filesystem that a folder is on, whatever is mounted over it or linked to it.

    Raises:
        OSError: the folder is not there or may not be read.
    """
    number = mount_of(folder)
    try:
        lines = _MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return UNKNOWN
    return parse(lines).get(number, UNKNOWN)


def mount_of(folder: Path) -> int:
    """The number of the mount that a folder is on (0 if /proc does not tell): a rename works within one only.

    Device numbers do not tell as much: two bind mounts of one disk have the same.

    Raises:
        OSError: the folder is not there or may not be read.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        about = Path(f"/proc/self/fdinfo/{fd}").read_text()
    except FileNotFoundError:
        return 0
    finally:
        os.close(fd)
    found = re.search(r"^mnt_id:\s*(\d+)", about, re.MULTILINE)
    return int(found[1]) if found else 0


def raise_if_apart(inbox: Path, work: Path) -> None:
    """Sees to it that files can be renamed from one folder to the other; one that is missing is no matter here.

    Raises:
        TransientError: they are on different mounts.
    """
    try:
        if mount_of(inbox) == mount_of(work):
            return
        found = filesystem_of(inbox)
    except OSError:
        return
    raise TransientError(
        f"{inbox} is on another filesystem ({found.type}, {found.source} at {found.mount_point}) than {work}: a file is"
        " taken by one step (rename), which needs one filesystem; unmount it, or mount it at data_dir instead"
    )


def parse(lines: list[str]) -> dict[int, Filesystem]:
    """The mounts in lines of /proc/self/mountinfo (see proc(5)), by their number; other lines are left out."""
    mounts = {}
    for line in lines:
        before, dash, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if dash and left[0].isdigit() and len(left) > 4 and len(right) > 1:  # noqa: PLR2004
            mounts[int(left[0])] = Filesystem(right[0], _plain(left[4]), _plain(right[1]))
    return mounts


def _plain(text: str) -> str:
    r"""Undoes the kernel's way to write a space, tab, newline or backslash: `\040`."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
