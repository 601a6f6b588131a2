"""SQLite's own part of the database: where the file lies, who may write it, its journal, locks and soundness."""

import os
from collections.abc import Iterator
from pathlib import Path

from daemon.doctor.database import unlock
from daemon.doctor.filesystem import room
from daemon.doctor.finding import Check, NotLooked, Remark, fail, ok, warn
from daemon.doctor.mounts import is_read_only
from daemon.doctor.site import Site
from daemon.doctor.words import quoted, us, user_name
from daemon.store.examine import sqlite_file
from daemon.store.facts import SqliteFacts

AREA = "database"


def _file(site: Site) -> Path:
    file = sqlite_file(site.settings.database_url)
    if file is None:
        raise NotLooked  # it does not concern this site
    return file


def _place(site: Site) -> Iterator[Remark]:
    file, folders = _file(site), site.folders
    real = Path(os.path.realpath(file))
    for folder in (folders.inbox, folders.work, folders.processed, folders.errors):
        if real.is_relative_to(os.path.realpath(folder)):
            inbox = folder == folders.inbox
            yield (fail if inbox else warn)(
                f"{file} lies in {folder.name}"
                + (", where it is taken for a delivery and moved" if inbox else ""),
                "Stop the daemon, move the file with its -wal and -shm beside the folders, and set database.url.",
            )
            return
    mount = site.mount_of(file)
    if mount.nature == "network":
        yield fail(
            f"{file} is on {mount.kind}: SQLite's journal (WAL) needs memory shared on one host, and may lose data there",
            "Set database.url to a file on a local disk, or use PostgreSQL.",
        )
    elif mount.nature == "volatile":
        yield fail(
            f"{file} is on {mount.kind}, in memory: it is gone after a restart",
            "Set database.url to a file on a disk.",
        )
    else:
        yield ok(f"{file.parent} ({mount.kind})")


def _rights(site: Site) -> Iterator[Remark]:
    file = _file(site)
    if not os.path.exists(file.parent):  # noqa: PTH110  (false where we may not look)
        raise NotLooked(f"{file.parent} is not there yet")
    beside = [Path(f"{file}{ending}") for ending in ("", "-wal", "-shm")]
    closed = [path for path in beside if os.path.lexists(path) and not os.access(path, os.R_OK | os.W_OK)]
    if not os.access(file.parent, os.W_OK | os.X_OK):
        closed.insert(0, file.parent)
    if closed and is_read_only(file.parent):
        raise NotLooked("the filesystem is read-only")
    if not closed:
        yield ok(f"{us()} may write the file and its journal")
        return
    owner = closed[0].stat().st_uid
    names = ", ".join(str(path) for path in closed)
    if owner == os.geteuid():
        yield fail(
            f"{us()} may not write {names}, in spite of owning it",
            "Give the right back:",
            f"chmod u+w {quoted(*closed)}",
        )
    else:
        yield fail(
            f"{us()} may not write {names}, of {user_name(owner)}",
            f"If the daemon runs as {us()}, give them to that user (chown). If not, look as its user:",
            site.as_user(owner),
        )


def _journal(site: Site) -> Iterator[Remark]:
    own = _sqlite(site)
    if own.journal_mode != "wal":
        yield warn(
            f"journal_mode is {own.journal_mode}, not wal: readers block the daemon",
            "The daemon switches it on when it opens the database; if it stays so, the filesystem cannot do it.",
        )
    elif own.synchronous is not None and own.synchronous < 2:  # noqa: PLR2004  (2 is FULL)
        yield fail(
            f"synchronous is {own.synchronous}, not FULL: after a power failure committed rows may be gone",
            "This is a defect of the program or its SQLite.",
        )
    else:
        yield ok("WAL" + (", each commit is on disk (synchronous=FULL)" if own.synchronous else ""))


def _lock(site: Site) -> Iterator[Remark]:
    own = _sqlite(site)
    if own.locked is not None:
        yield fail(f"nothing can be written: {own.locked}", *unlock(site, own.file))
    elif own.writable:
        yield ok("tried: nobody holds it locked")
    else:
        raise NotLooked("not tried: we may not write to it")


def _free(site: Site) -> Iterator[Remark]:
    yield from room(_file(site).parent)


def _integrity(site: Site) -> Iterator[Remark]:
    own = _sqlite(site)
    if own.integrity is None:
        raise NotLooked("the whole database is read with --deep only")
    if own.integrity == ("ok",):
        yield ok("read as a whole, and sound")
    else:
        yield fail(
            f"damaged: {'; '.join(own.integrity)}",
            "Stop the daemon, keep a copy of the file, and restore a backup; docs of SQLite: howtocorrupt.",
        )


def _sqlite(site: Site) -> SqliteFacts:
    own = site.database.own
    if not isinstance(own, SqliteFacts):
        raise NotLooked  # it does not concern this site
    return own


CHECKS = (
    Check(
        AREA,
        "place",
        "SQLite: not in a folder of deliveries, not on a network share or in memory",
        "Set `database.url` to a file on a local disk",
        _place,
    ),
    Check(
        AREA,
        "rights",
        "SQLite: whether we may write the file, `-wal` and `-shm`, and their folder",
        "`chown` them to the user that the daemon runs as",
        _rights,
    ),
    Check(
        AREA,
        "journal",
        "SQLite: `journal_mode` WAL, and `synchronous` FULL on our connections",
        "The daemon sets both when it opens the database; use a local disk",
        _journal,
    ),
    Check(
        AREA,
        "lock",
        "SQLite: tried, whether a transaction can begin to write",
        "End the program that `fuser -v` names",
        _lock,
    ),
    Check(
        AREA,
        "space",
        "SQLite: free bytes and inodes where it lies, as for the data folder",
        "Make room, or enlarge the filesystem",
        _free,
    ),
    Check(
        AREA,
        "integrity",
        "SQLite, with `--deep`: `PRAGMA quick_check`, which reads everything",
        "Restore a backup; keep the damaged file",
        _integrity,
    ),
)
