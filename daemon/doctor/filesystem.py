"""Filesystem: one for all folders, of a kind that keeps files and tells of new ones, with room."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from daemon.doctor.finding import Check, NotLooked, Remark, fail, ok, warn
from daemon.doctor.mounts import Mount, nearest
from daemon.doctor.site import Site
from daemon.doctor.trial import Trial
from daemon.doctor.words import quoted, size
from daemon.settings import SettleSettings

AREA = "filesystem"
_LEAST_BYTES, _FEW_BYTES = 64 * 2**20, 2**30
_LEAST_INODES, _FEW_SHARE = 1_000, 0.05
_NO_BARRIER = frozenset({"nobarrier", "barrier=0"})


def _one(site: Site) -> Iterator[Remark]:
    folders = site.folders
    present = [f for f in site.there if f != folders.reports]
    if not present:
        raise NotLooked("there are no folders to look at")
    # two mounts of one filesystem have the same device, and still no file moves between them
    points: dict[tuple[int, int, str], list[str]] = {}
    for folder in present:
        mount = site.mount_of(folder)
        points.setdefault((folder.stat().st_dev, mount.number, mount.point), []).append(folder.name)
    if len(points) == 1:
        yield ok(f"one, mounted at {next(iter(points))[2]}")
        return
    which = "; ".join(f"{', '.join(names)} at {point}" for (_, _, point), names in points.items())
    yield fail(
        f"the folders are on {len(points)} mounts ({which})",
        "Files are moved by rename, which needs one: mount a filesystem at data_dir, not below it.",
        f"findmnt -T {quoted(folders.inbox)}",
    )


def _kind(site: Site) -> Iterator[Remark]:
    yield of_kind(site.mount_of(site.settings.data_dir))


def of_kind(mount: Mount) -> Remark:
    """What is to say of a filesystem for feeds."""
    match mount.nature:
        case "local":
            return ok(str(mount))
        case "volatile":
            return fail(
                f"{mount} is in memory: every file is gone after a restart",
                "Put data_dir on a disk.",
            )
        case "layered":
            return warn(
                f"{mount} is a container's own layer: it goes when the container goes",
                "Mount a volume or a folder of the host at data_dir.",
            )
        case "network":
            return warn(
                f"{mount} is shared over a network: one daemon only, and writers on other hosts cannot be seen",
                "Let senders upload under a temporary name and rename, or raise settle.quiet_seconds to 30.",
            )
        case "foreign":
            return warn(
                f"{mount} has no owners and modes",
                "Use ext4, xfs or btrfs: senders cannot be kept apart there.",
            )
        case "unknown":
            return warn(f"{mount} is of a kind that is not known here", "Use ext4, xfs or btrfs if you can.")


def _events(site: Site) -> Iterator[Remark]:
    settle = site.settings.settle
    yield heard(_inbox_mount(site), settle, lambda: site.tried)


def heard(mount: Mount, settle: SettleSettings, tried: Callable[[], Trial]) -> Remark:
    """Whether new files are heard of. On a share even the trial hears of its own file: only the type tells."""
    if settle.watch == "poll":
        return ok(f"not used (settle.watch: poll): a look every {settle.poll_seconds:g} s")
    if mount.nature == "network" and settle.watch == "inotify":
        return warn(
            f"{mount.kind} tells nothing of what other hosts write, and settle.watch is inotify: their files are found"
            f" by the look every {settle.scan_seconds:g} s",
            "Set settle.watch: auto, and settle.poll_seconds to the delay that you accept.",
        )
    if mount.nature == "network":
        return ok(f"{mount.kind} gives none of other hosts: a look every {settle.poll_seconds:g} s")
    if (error := tried().event) is not None:
        return warn(
            f"a new file was not heard of: {error}; files are found by a look every {settle.scan_seconds:g} s",
            "If `inotify` below is well, this filesystem gives no events: set settle.watch: poll.",
        )
    return ok(f"tried: a new file was heard of after {1000 * (tried().event_seconds or 0):.1f} ms")


def _options(site: Site) -> Iterator[Remark]:
    yield of_options(_inbox_mount(site))


def of_options(mount: Mount) -> Remark:
    """What is to say of how a filesystem is mounted."""
    place = quoted(Path(mount.point))
    if "ro" in mount.options:
        return fail(
            f"{mount.point} is mounted read-only",
            "Look for disk errors in the kernel's log (a filesystem with errors turns read-only), then:",
            f"sudo dmesg | tail -n 50; sudo mount -o remount,rw {place}",
        )
    if weak := sorted(_NO_BARRIER & mount.options):
        return warn(
            f"{mount.point} is mounted with {', '.join(weak)}: after a power failure committed work may be gone",
            "Take the option out of /etc/fstab, then:",
            f"sudo mount -o remount,barrier=1 {place}",
        )
    if mount.nature == "network" and "soft" in mount.options:
        return warn(
            f"{mount.point} is mounted with soft: a slow server gives errors in the middle of a file",
            "Mount it with hard.",
        )
    return ok(f"{mount.point} is mounted for writing")


def _inbox_mount(site: Site) -> Mount:
    return site.mount_of(site.folders.inbox)


def _space(site: Site) -> Iterator[Remark]:
    yield from room(site.settings.data_dir)


def room(path: Path) -> Iterator[Remark]:
    """Free bytes and inodes where a path lies, for ordinary users."""
    there = nearest(path)
    stats = os.statvfs(there)
    free, total = stats.f_bavail * stats.f_frsize, stats.f_blocks * stats.f_frsize
    inodes = f", {stats.f_favail:,} files" if stats.f_files else ""
    said = f"{size(free)} of {size(total)} free{inodes}"
    command = f"df -h {quoted(there)}; df -i {quoted(there)}"
    remedy = "Remove or move old files, of processed/ for example, or enlarge the filesystem."
    if free < _LEAST_BYTES or (stats.f_files and stats.f_favail < _LEAST_INODES):
        yield fail(f"{said}: intake pauses when there is no room", remedy, command)
    elif free < min(_FEW_BYTES, _FEW_SHARE * total) or (
        stats.f_files and stats.f_favail < _FEW_SHARE * stats.f_files
    ):
        yield warn(said, remedy, command)
    else:
        yield ok(said)


CHECKS = (
    Check(
        AREA,
        "one mount",
        "Whether `live_feeds`, `.work`, `processed` and `errors` are on one mount",
        "Mount a filesystem at `data_dir`, not below it",
        _one,
    ),
    Check(
        AREA,
        "kind",
        "Its type: on disk, in memory (tmpfs), a container's layer (overlay), a network's (NFS, SMB, sshfs), without owners (FAT)",
        "Put `data_dir` on a local disk with ext4, xfs or btrfs",
        _kind,
    ),
    Check(
        AREA,
        "events",
        "Whether it tells of new files: tried by inotify; from its type on network shares",
        "Leave `settle.watch` at `auto` there, and set `settle.poll_seconds` to the delay that you accept",
        _events,
    ),
    Check(
        AREA,
        "mount options",
        "`ro`; `nobarrier`; `soft` on network shares (`noexec`, `nosuid`, `nodev` are fine)",
        "Remount without them; a filesystem that turned read-only by itself has errors",
        _options,
    ),
    Check(
        AREA,
        "space",
        "Free bytes (warns below 1 GiB or 5 %, fails below 64 MiB) and inodes (below 5 %, 1 000)",
        "Make room, or enlarge the filesystem",
        _space,
    ),
)
