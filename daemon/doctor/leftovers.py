"""Files that lie about: waiting too long, passed over, claimed by nobody, refused and not looked at."""

import os
import stat
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from daemon.claims import folders_of_claims
from daemon.doctor.finding import Check, NotLooked, Remark, ok, warn
from daemon.doctor.site import Site
from daemon.doctor.words import listed, quoted, span
from daemon.files import REASON_ENDING
from daemon.inbox import Inbox

AREA = "files"
_MARGIN = 30.0  # seconds beyond which a file waits too long
_A_DAY = 86_400.0
_SHOWN = 5


def _waiting(site: Site) -> Iterator[Remark]:
    inbox = _look(site)
    settle = site.settings.settle
    patience = max(settle.quiet_seconds, settle.grace_seconds) + settle.scan_seconds + _MARGIN
    ages = {name: age for name in inbox.waiting if (age := _age(site, inbox.folder / name)) is not None}
    late = sorted((name for name, age in ages.items() if age > patience), key=lambda name: -ages[name])
    if late:
        yield warn(
            f"{len(late):,} in live_feeds for longer than they should be, the oldest for {span(ages[late[0]])}: {listed(late)}",
            "No daemon runs here, it is paused (intake_paused in the log), or a sender still has the file open"
            " (delivery_waiting in the log).",
            "journalctl -u stockgrip -n 50 -o cat",
        )
    else:
        yield ok(f"{len(ages):,} in live_feeds, none for long" if ages else "none in live_feeds")


def _temporary(site: Site) -> Iterator[Remark]:
    folder, globs = site.present(site.folders.inbox), site.settings.settle.temporary_names
    with os.scandir(folder) as entries:
        files = sorted(e.name for e in entries if e.is_file(follow_symlinks=False))
    names = [name for name in files if any(fnmatchcase(name, glob) for glob in globs)]
    old = [name for name in names if (_age(site, folder / name) or 0.0) > _A_DAY]
    if old:
        yield warn(
            f"{len(old):,} with a temporary name lie in live_feeds for more than a day: {listed(old)}",
            "Uploads that were broken off, or a sender that does not rename. Ask the sender, then remove them.",
        )
    else:
        yield ok(f"{len(names):,}, none for long" if names else "none in live_feeds")


def _ignored(site: Site) -> Iterator[Remark]:
    ignored = _look(site).ignored
    if ignored:
        yield warn(
            f"{len(ignored):,} in live_feeds are no regular files and never taken: {listed(ignored)}",
            "Deliver files, not links, and not in folders; remove these.",
        )
    else:
        yield ok("nothing else in live_feeds")


def _claims(site: Site) -> Iterator[Remark]:
    work = site.present(site.folders.work)
    files = folders_of_claims(work)
    locked = site.processes.locked
    if locked is None:
        raise NotLooked("the kernel does not show who holds locks")
    held = [claim for claim in files if _inode(claim) in locked]
    # a claim is made before it is locked, and a process in another container cannot be seen
    orphans = [c for c in files if c not in held and (_age(site, c) or 0.0) > _MARGIN]
    if orphans:
        names = [entry.name for claim in orphans for entry in claim.glob("file/*")]
        oldest = max(_age(site, claim) or 0.0 for claim in orphans)
        named = f": {listed(names)}" if names else ""
        yield warn(
            f"{sum(max(1, files[claim]) for claim in orphans):,} of a process that died, the oldest for {span(oldest)}{named}",
            "Nothing is lost: the next start takes them up, or:",
            site.command("drain"),
        )
    else:
        in_hand = sum(files[claim] for claim in held)
        yield ok(f"{in_hand:,} in hand" if in_hand else "none is left over")


def _refused(site: Site) -> Iterator[Remark]:
    errors = site.present(site.folders.errors)
    with os.scandir(errors) as entries:
        names = [e.name for e in entries if e.is_file(follow_symlinks=False) and not e.name.startswith(".")]
    rejects = [name for name in names if name.endswith(".rejects.csv")]
    refused = [name for name in names if name not in rejects and not name.endswith(REASON_ENDING)]
    waiting = refused + rejects
    orphans = sorted(
        name
        for name in names
        if name.endswith(REASON_ENDING) and name.removesuffix(REASON_ENDING) not in refused
    )
    if orphans:
        yield warn(
            f"{len(orphans):,} left over in errors, whose files were moved away by hand: {listed(orphans)}",
            "They say why files were refused that are not there any more. Remove them:",
            f"rm {quoted(*(errors / name for name in orphans[:_SHOWN]))}",
        )
    if not waiting:
        if not orphans:
            yield ok("errors is empty")
        return
    oldest = max((_age(site, errors / name) or 0.0, name) for name in waiting)
    yield warn(
        f"{len(refused):,} refused files and {len(rejects):,} files of rejects wait in errors, the oldest for"
        f" {span(oldest[0])}: {listed([oldest[1]])}",
        "Read what stands beside each (<name>.reason.txt); correct it and `stockgrip retry` it, or remove both.",
        f"ls -lt {quoted(errors)}",
    )


def _look(site: Site) -> Inbox:
    inbox = Inbox(site.present(site.folders.inbox), site.settings.settle)
    inbox.scan()
    return inbox


def _age(site: Site, path: Path) -> float | None:
    """Seconds since a file came or was last changed in any way; a sender may set mtime, but not ctime."""
    try:
        return site.clock() - path.lstat().st_ctime
    except OSError:
        return None


def _inode(path: Path) -> int | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_ino if stat.S_ISDIR(status.st_mode) else None


CHECKS = (
    Check(
        AREA,
        "waiting",
        "Files in `live_feeds` for longer than quiet or grace, a full look and 30 s",
        "Start the daemon; look for `intake_paused` and `delivery_waiting` in the log",
        _waiting,
    ),
    Check(
        AREA,
        "temporary",
        "Files with a temporary name in `live_feeds` for more than a day",
        "Ask the sender, then remove them",
        _temporary,
    ),
    Check(
        AREA,
        "ignored",
        "Links, folders, pipes in `live_feeds`",
        "Remove them; deliver regular files",
        _ignored,
    ),
    Check(
        AREA,
        "claims",
        "Claims in `.work` that no process holds (by the kernel's table of locks)",
        "The next start takes them up; `stockgrip drain`",
        _claims,
    ),
    Check(
        AREA,
        "refused",
        "Files in `errors` that wait for a person: how many, and the oldest; reason files without their file",
        "Read the reason beside each; correct it and `stockgrip retry` it, or remove both",
        _refused,
    ),
)
