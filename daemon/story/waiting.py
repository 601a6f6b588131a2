"""A file that still waits in the inbox: what can be told from one look at it."""

import os
import stat
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from daemon.files import Folders, sha256_of
from daemon.inbox.access import closed, reader_of
from daemon.inbox.evidence import Expectations, lacking
from daemon.inbox.probe import has_writer, tail_of
from daemon.logs import display_name
from daemon.reading import Rules
from daemon.settings import Evidence, Settings
from daemon.store import Store, history
from daemon.story.next_steps import Step, place, step
from handlers.errors import FileError
from handlers.fixes import first_rejects_name
from handlers.manifest import MANIFESTS, MARKERS, belongs_to
from handlers.reasons import FileReason
from handlers.route import route

_LOAD = step("If it waits for long, the daemon may not run; this loads what waits:", "stockgrip drain")
_BROKEN_OFF = step(
    "The upload probably broke off. Ask the sender to send the file again: it may overwrite this one."
)
_NO_SUCH_REJECTS = "it is named like a rejects file, and no delivery has written one of this name"
_COMPANION = "it goes with the file that it speaks of."
_HASHED = 256 << 20  # bytes that are read to tell whether they are known; more takes seconds


def waiting_file(name: str, settings: Settings, store: Store, here: Path) -> dict[str, Any]:
    """What is known of a file in the inbox.

    Args:
        name: as the folder has it.
        settings: the configuration.
        store: the database.
        here: the current folder.

    Returns:
        ``file``, ``size_bytes``, ``changed`` (UTC), ``why`` (reasons to wait, as codes, from one look), ``feed``,
        ``slot``, ``unroutable`` (why no feed has the name), ``companion_of`` (the file that it speaks of), ``fixes``,
        ``would_supersede`` and ``same_bytes_as`` (deliveries), ``next`` (steps).
    """
    folders = Folders(settings.data_dir)
    path = folders.inbox / name
    found: dict[str, Any] = {
        "file": display_name(name),
        "size_bytes": None,
        "changed": None,
        "why": [],
        "feed": None,
        "slot": None,
        "unroutable": None,
        "companion_of": None,
        "fixes": None,
        "would_supersede": None,
        "same_bytes_as": None,
        "next": [
            step("See what would become of it:", f"stockgrip check {place(path, here)}"),
            _LOAD,
        ],
        **_meant(name, settings, store),
    }
    try:
        status = os.lstat(path)
    except OSError:
        return found  # it has just been taken
    changed = max(status.st_mtime, status.st_ctime)
    found |= {
        "size_bytes": status.st_size,
        "changed": datetime.fromtimestamp(changed, UTC).isoformat(timespec="seconds"),
        "why": _why(path, name, status, settings),
    }
    if stat.S_ISREG(status.st_mode) and status.st_size <= _HASHED:
        digest = sha256_of(path)
        found["same_bytes_as"] = store.known(digest).loaded_by if digest else None
    if closed(folders.inbox, [name], reader_of(folders.work)):  # for the daemon; root could read it
        found["why"] = [*(why for why in found["why"] if why == "temporary_name"), "unreadable"]
        found["next"] = [
            step("Let the group read it; it is taken by itself then:", f"chmod g+r {place(path, here)}")
        ]
    elif {"no_final_newline", "nul_tail"} & set(found["why"]) and not found["unroutable"]:
        found["next"] = _cut_off(found, settings.settle.grace_seconds)
    return found


def _cut_off(found: dict[str, Any], grace: float) -> list[Step]:
    """What to do about a file that ends as if more should come; `drain` would load it as it is."""
    as_it_is = step(
        f"If it is whole as it is: nothing. It is taken when it has lain unchanged for {grace:g} s."
    )
    return [as_it_is] if found["fixes"] else [_BROKEN_OFF, as_it_is]


def _meant(name: str, settings: Settings, store: Store) -> dict[str, Any]:
    """What its name says."""
    spoken_of = belongs_to(name)
    if spoken_of is not None:
        return {"companion_of": display_name(spoken_of), "next": [step(f"Nothing: {_COMPANION}")]}
    first = first_rejects_name(name)
    if first is not None:
        row = store.rejects_at(f"errors/{first}")
        if row is None:
            return {"unroutable": _NO_SUCH_REJECTS, "next": [step(FileReason.STALE_REJECTS.remedy)]}
        return {"fixes": row["id"], "feed": row["file_type"], "next": [_LOAD]}
    try:
        where = route(name, Rules.of(settings).patterns)
    except FileError as error:
        return {"unroutable": error.message}
    filling = store.ask(lambda connection: history.filling(connection, where.slot))
    return {"feed": where.feed, "slot": where.slot, "would_supersede": filling}


def _promised(path: Path) -> set[Evidence]:
    """What its sender did to say that it is whole; whether it was renamed in cannot be seen afterwards."""
    found: set[Evidence] = {"rename"}
    kinds: tuple[tuple[Evidence, tuple[str, ...]], ...] = (("marker", MARKERS), ("manifest", MANIFESTS))
    for kind, endings in kinds:
        if any(path.with_name(f"{path.name}{ending}").is_file() for ending in endings):
            found.add(kind)
    return found


def _why(path: Path, name: str, status: os.stat_result, settings: Settings) -> list[str]:
    """What one look tells; the daemon looks twice at least."""
    if any(fnmatchcase(name, pattern) for pattern in settings.settle.temporary_names):
        return ["temporary_name"]
    if not stat.S_ISREG(status.st_mode):
        return ["no_regular_file"]
    if belongs_to(name) is not None:
        return []
    lacks = lacking(Expectations(settings).rule(name), _promised(path), quiet=True)
    why: list[str] = [lacks] if lacks else []
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return [*why, "unreadable"]
    try:
        if has_writer(fd):
            why.append("open_for_writing")
        tail = tail_of(fd, name)
        return [*why, tail] if tail else why
    finally:
        os.close(fd)
