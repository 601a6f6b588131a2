"""Folders: whether we may do there what we must."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from daemon.doctor.finding import Check, NotLooked, Remark, fail, ok, warn
from daemon.doctor.mounts import is_read_only, nearest
from daemon.doctor.site import Site
from daemon.doctor.words import group_name, quoted, us, user_name

AREA = "folders"


def _exist(site: Site) -> Iterator[Remark]:
    folders = site.all_folders
    if not _may_look(site.folders.data_dir):
        yield from _closed(site)
        return
    wrong = [folder for folder in folders if os.path.lexists(folder) and folder not in site.there]
    away = [folder for folder in folders if not os.path.lexists(folder)]
    for folder in wrong:
        yield fail(f"{folder} is no folder", "Move it away:", f"mv {quoted(folder)} {quoted(folder)}.away")
    if len(away) == len(folders):
        yield from _fresh(site)
    elif site.folders.inbox in away:
        yield fail(
            f"{site.folders.inbox} is gone: senders cannot deliver",
            "A daemon that runs makes it again, with its own rights only; for senders in its group:",
            f"sudo install -d {_owner_of(site.folders.data_dir)} -m 2770 {quoted(site.folders.inbox)}",
        )
    elif away:
        names = ", ".join(folder.name for folder in away)
        yield warn(f"not there: {names}", "The daemon makes them at its next start.", site.command("drain"))
    if not (away or wrong):
        yield ok(f"{', '.join(folder.name for folder in folders)} below {site.folders.data_dir}")


def _may_look(data_dir: Path) -> bool:
    """Whether what is below the data folder can be seen, should it be there."""
    return os.access(nearest(data_dir), os.X_OK)


def _closed(site: Site) -> Iterator[Remark]:
    above = nearest(site.folders.data_dir)
    status = above.stat()
    yield fail(
        f"{us()} may not look into {above}, which belongs to {user_name(status.st_uid)}"
        f" ({stat.filemode(status.st_mode)})",
        "Look as the user that the daemon runs as:",
        site.as_user(status.st_uid),
    )


def _fresh(site: Site) -> Iterator[Remark]:
    data_dir = site.folders.data_dir
    above = nearest(data_dir)
    if os.access(above, os.W_OK):
        yield warn(
            f"nothing is there yet: {data_dir}",
            "The first start makes the folders. If files should be there, data_dir is another one.",
        )
    else:
        yield fail(
            f"nothing is there yet ({data_dir}), and {us()} may not write to {above}",
            f"Make it for the user that the daemon runs as ({us()}, if that is you):",
            f"sudo install -d -o {us()} -m 0750 {quoted(data_dir)}",
        )


def _owner(site: Site) -> Iterator[Remark]:
    strangers = {folder: folder.stat().st_uid for folder in _present(site)}
    owners = sorted({user_name(uid) for uid in strangers.values()})
    if len(owners) > 1:
        which = ", ".join(f"{folder.name}: {user_name(uid)}" for folder, uid in strangers.items())
        owner = user_name(strangers.get(site.folders.work, os.geteuid()))
        yield warn(
            f"the folders belong to several users ({which})",
            "Give all to the user that the daemon runs as:",
            f"sudo chown {owner} {quoted(*strangers)}",
        )
    elif os.geteuid() in strangers.values():
        yield ok(f"they belong to {owners[0]}, as whom this looks")
    else:
        yield warn(
            f"they belong to {owners[0]}; this looks as {us()}, so that rights shown here are not the daemon's",
            "Look as the user that the daemon runs as:",
            site.as_user(next(iter(strangers.values()))),
        )


def _ours(site: Site) -> Iterator[Remark]:
    """By the modes; what forbids it otherwise (read-only, full, another filesystem) is shown by the trial."""
    closed = [folder for folder in _present(site) if not os.access(folder, os.R_OK | os.W_OK | os.X_OK)]
    if closed and is_read_only(closed[0]):
        raise NotLooked("the filesystem is read-only")
    if not closed:
        yield ok(f"{us()} may read and write all of them")
        return
    names, owner = ", ".join(folder.name for folder in closed), closed[0].stat().st_uid
    if owner == os.geteuid():
        yield fail(
            f"{us()}, to whom they belong, may not read and write {names}",
            "Give the rights back:",
            f"chmod u+rwx {quoted(*closed)}",
        )
    elif site.folders.work in site.there and site.folders.work.stat().st_uid == os.geteuid():
        yield fail(
            f"{us()} may not read and write {names}, of {user_name(owner)}",
            f"Give it back to {us()}, who works here:",
            f"sudo chown -R {us()} {quoted(*closed)}",
        )
    else:
        yield fail(
            f"{us()} may not read and write {names}, of {user_name(owner)}",
            f"If the daemon runs as {us()}, give them to that user (chown -R). If not, look as its user:",
            site.as_user(owner),
        )


def _moves(site: Site) -> Iterator[Remark]:
    trial, work = site.trial, site.folders.work
    if isinstance(trial, OSError):
        yield fail(
            f"no file can be made in {work}: {trial.strerror}",
            "Check the rights of the folder, and that the filesystem is neither full nor read-only:",
            f"findmnt -T {quoted(work)}; df -h {quoted(work)}",
        )
        return
    for name, error in trial.moves.items():
        if error is not None:
            yield fail(
                f"a file cannot be moved from .work to {name}: {error}",
                "Check the rights of both folders, and that they are one mount: files are moved by rename.",
                f"findmnt -T {quoted(work)}; findmnt -T {quoted(site.folders.data_dir / name)}",
            )
    if trial.sync is not None:
        yield fail(
            f"a folder cannot be put on disk (fsync): {trial.sync}",
            "Use a filesystem of this host for data_dir.",
        )
    if not any(trial.moves.values()) and trial.sync is None:
        yield ok(f"tried: .work to {', '.join(trial.moves)} and back")


def _locks(site: Site) -> Iterator[Remark]:
    error = site.tried.lock
    if error is None:
        yield ok("tried: a folder can be locked")
    else:
        yield fail(
            f"a folder cannot be locked (flock): {error}",
            "Claims are locked folders: use a filesystem of this host, or start the share's lock service.",
        )


def _present(site: Site) -> tuple[Path, ...]:
    if not site.there:
        raise NotLooked("there are no folders to look at")
    return site.there


def _owner_of(folder: Path) -> str:
    status = folder.stat()
    return f"-o {user_name(status.st_uid)} -g {group_name(status.st_gid)}"


CHECKS = (
    Check(
        AREA,
        "exist",
        "`live_feeds`, `.work`, `processed`, `errors` and `reports` below `data_dir`",
        "The daemon makes what is missing at its start; make `live_feeds` with mode 2770 if senders have accounts",
        _exist,
    ),
    Check(
        AREA,
        "owner",
        "Whether all folders belong to one user, and whether that is the one who looks",
        "`chown` them to the user that the daemon runs as; run `stockgrip doctor` as that user",
        _owner,
    ),
    Check(
        AREA,
        "rights",
        "Whether we may list, read and write each folder",
        "`chown` them to the user that the daemon runs as",
        _ours,
    ),
    Check(
        AREA,
        "moves",
        "Tried with an empty file: from `.work` to each other folder and back, and onto disk",
        "Mount one filesystem at `data_dir`; check rights, free space and mount options",
        _moves,
    ),
    Check(
        AREA,
        "locks",
        "Tried: locking a folder (`flock`), as claims are",
        "Use a filesystem of this host",
        _locks,
    ),
)
