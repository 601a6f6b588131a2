"""Who may read what lies in the inbox: judged for the daemon's user, whoever looks."""

import os
import pwd
import stat
from collections.abc import Collection, Iterable
from pathlib import Path


def reader_of(work: Path) -> int:
    """For whom to judge: ourselves, but for root, who may read everything, the user whom ``.work/`` belongs to."""
    if os.geteuid() == 0:
        try:
            return work.stat().st_uid
        except OSError:
            return 0
    return os.geteuid()


def closed(folder: Path, names: Iterable[str], user: int) -> list[str]:
    """The regular files that a user may not read.

    Args:
        folder: the inbox.
        names: of the files; those that are gone are left out.
        user: a user's number. For another user than our own the permission bits decide, without access lists.
    """
    groups = _groups_of(user)
    return sorted(name for name in names if _is_closed(folder / name, user, groups))


def _is_closed(path: Path, user: int, groups: Collection[int]) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    if not stat.S_ISREG(status.st_mode) or user == 0:
        return False
    if user == os.geteuid():
        return not os.access(path, os.R_OK, effective_ids=True)
    if user == status.st_uid:
        return not status.st_mode & stat.S_IRUSR
    return not status.st_mode & (stat.S_IRGRP if status.st_gid in groups else stat.S_IROTH)


def _groups_of(user: int) -> frozenset[int]:
    try:
        known = pwd.getpwuid(user)
    except KeyError:
        return frozenset()
    return frozenset(os.getgrouplist(known.pw_name, known.pw_gid))
