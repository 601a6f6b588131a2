"""What filesystem a folder is on, and whether the kernel tells of all that happens there."""

import subprocess
from pathlib import Path

import pytest

from daemon.errors import TransientError
from daemon.filesystems import Filesystem, filesystem_of, mount_of, parse, raise_if_apart

MOUNTINFO = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
36 27 0:40 /feeds /srv/a\040b/live_feeds rw,nosuid,relatime shared:7 master:2 - nfs4 nas:/export/shop\134one rw,vers=4.2
37 36 0:41 / /srv/a\040b/live_feeds rw - fuse.sshfs shop@host:/out rw,user_id=0
38 27 0:42 / /none rw - cifs
not a line of it
"""


def test_reads_the_kernels_table() -> None:
    mounts = parse(MOUNTINFO.splitlines())
    assert mounts == {
        22: Filesystem("proc", "/proc", "proc"),
        27: Filesystem("ext4", "/", "/dev/vda"),
        36: Filesystem("nfs4", "/srv/a b/live_feeds", "nas:/export/shop\\one"),
        37: Filesystem("fuse.sshfs", "/srv/a b/live_feeds", "shop@host:/out"),
    }


@pytest.mark.parametrize(
    "kind",
    ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "vfat", "fuseblk", "ntfs3", "unknown", "fusectl"],
)
def test_gives_events(kind: str) -> None:
    assert Filesystem(kind).gives_events


@pytest.mark.parametrize(
    "kind",
    [
        *(
            "nfs",
            "nfs4",
            "cifs",
            "smb3",
            "9p",
            "vboxsf",
            "virtiofs",
            "ceph",
            "gfs2",
            "ocfs2",
            "lustre",
            "afs",
        ),
        *("fuse", "fuse.sshfs", "fuse.rclone", "fuse.s3fs", "fuse.vmhgfs-fuse", "fuse.bindfs", "fuse.new"),
    ],
)
def test_gives_none(kind: str) -> None:
    """Others write there without this kernel's knowledge."""
    assert not Filesystem(kind).gives_events


@pytest.mark.parametrize("folder", [Path("/proc/self"), Path("/dev"), Path("/"), Path(__file__).parent])
def test_agrees_with_findmnt(folder: Path) -> None:
    found = subprocess.run(
        ["findmnt", "--noheadings", "--output", "FSTYPE,TARGET", "--target", folder],
        capture_output=True,
        text=True,
        check=True,
    )
    filesystem = filesystem_of(folder)
    assert [filesystem.type, filesystem.mount_point] == found.stdout.split()


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/proc")
    assert filesystem_of(tmp_path / "link").type == "proc"


def test_a_missing_folder_and_a_file_are_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        filesystem_of(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        mount_of(tmp_path / "file")


def test_folders_that_no_rename_connects(tmp_path: Path) -> None:
    raise_if_apart(tmp_path, tmp_path.parent)
    raise_if_apart(tmp_path / "missing", tmp_path)
    with pytest.raises(
        TransientError, match=r"/proc is on another filesystem \(proc, .* than .*unmount it, or mount"
    ):
        raise_if_apart(Path("/proc"), tmp_path)
