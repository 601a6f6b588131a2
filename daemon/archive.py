"""Filing away: the move that acknowledges a delivery, done after its outcome is committed.

Every step can be done again: names follow from the ledger, companions are rewritten, a file that has already been
moved is found by its hash.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import count, islice
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from daemon import companions, packing
from daemon.claims import Claim
from daemon.difference import Difference
from daemon.files import REASON_ENDING, Folders, move, sha256_of, write_new
from daemon.logs import display_name
from daemon.outcomes import Loaded, Outcome, Refused
from daemon.rejects_file import rejects_csv
from handlers.fixes import rejects_name
from handlers.route import EXTENSIONS

Row = Mapping[str, Any]
_LONGEST = 180  # bytes of a name, so that ours with an id and a companion's ending stay under 255


def file_away(
    folders: Folders,
    claim: Claim,
    outcome: Outcome,
    row: Row,
    rejects: Iterable[Row],
    is_taken: Callable[[str], bool],
    by: Callable[[Path, Path], None] = move,
) -> str:
    """Moves a delivery's file to where it belongs and writes what lies beside it.

    Args:
        folders: the data folder.
        claim: the file.
        outcome: what became of it.
        row: its row of the ledger.
        rejects: its refused rows, of a partial delivery.
        is_taken: whether the name of a rejects file is another delivery's, though the file may be elsewhere.
        by: what moves a file; after ``rename`` the folder is still to be put on disk.

    Returns:
        The file's new path, relative to the data folder.
    """
    folder = _folder(folders, outcome, row["timestamp"])
    folder.mkdir(parents=True, exist_ok=True)
    name = safe_name(claim.name or row["file_name"])
    ending = _companion(outcome, row)
    if _is_here(claim):
        candidates = names(name, outcome.delivery_id)
        if ending == rejects_name(""):
            candidates = (free for free in candidates if not is_taken(rejects_name(free)))
        target = _move_to_free_name(folders, claim.path, folder, candidates, ending, by)
    else:
        # it was moved before a crash or an error: find out under which name
        places = [folder / n for n in islice(names(name, outcome.delivery_id), 20)]
        target = next((p for p in places if p.exists() and sha256_of(p) == row["sha256"]), places[0])
    beside = folders.errors / f"{target.name}{ending}"
    # what is there was written before a crash, and may have been edited since
    if ending and not os.path.lexists(beside):
        refused = isinstance(outcome, Refused)
        write_new(beside, [_reason_text(row).encode()] if refused else rejects_csv(row, rejects))
    return target.relative_to(folders.data_dir).as_posix()


def take_back(folders: Folders, row: Row) -> str | None:
    """Moves the file of a delivery that was taken out from ``processed/`` to ``errors/``, with the reason beside it.

    Safe to call again after a crash.

    Returns:
        Its new path, relative to the data folder; None if the file is nowhere any more.
    """
    was_at = row["error_details"]["unloaded"]["was_at"]
    source = packing.laid_open(folders.data_dir, was_at, row["id"], row["sha256"]) if was_at else None
    candidates = names(safe_name(first_name(row)), row["id"])
    if row["fixes"] is not None:
        next(candidates)  # the name of the rejects file, which is written anew
    # the name may have been given to another file, if somebody moved this one away
    if source is not None:
        target = _move_to_free_name(folders, source, folders.errors, candidates, REASON_ENDING)
        beside = packing.companions_name(folders.data_dir, was_at, row["id"])
        if beside is not None:
            companions.move_along(beside, target)
    else:  # moved before a crash, or removed
        places = (folders.errors / name for name in islice(candidates, 20))
        moved = next((p for p in places if p.exists() and sha256_of(p) == row["sha256"]), None)
        if moved is None:
            return None
        target = moved
    write_new(folders.errors / f"{target.name}{REASON_ENDING}", [_reason_text(row).encode()])
    return target.relative_to(folders.data_dir).as_posix()


def raw_name(name: str) -> str | None:
    """A file's own name, percent-encoded, if the one that it gets in the archive does not tell it."""
    return None if safe_name(name) == name else quote(os.fsencode(name))


def first_name(row: Row) -> str:
    """The name that a delivery's file had in the inbox."""
    raw = (row["error_details"] or {}).get("name")
    return str(row["file_name"]) if raw is None else os.fsdecode(unquote_to_bytes(raw))


def reason_file(path: Path) -> Path:
    """What lies beside a refused file and says why."""
    return path.with_name(f"{path.name}{REASON_ENDING}")


def _move_to_free_name(
    folders: Folders,
    source: Path,
    folder: Path,
    candidates: Iterator[str],
    ending: str,
    by: Callable[[Path, Path], None] = move,
) -> Path:
    """Moves a file under the first name that neither a file nor a companion in ``errors/`` has."""
    for name in candidates:
        if ending and os.path.lexists(folders.errors / f"{name}{ending}"):
            continue
        try:
            by(source, folder / name)
        except FileExistsError:
            continue
        return folder / name
    raise AssertionError("names do not end")


def _companion(outcome: Outcome, row: Row) -> str:
    """The ending of what lies beside a file in ``errors/``."""
    match outcome:
        case Refused():
            return REASON_ENDING
        case Loaded() if outcome.partial and row["fixes"] is None:
            return rejects_name("")
        case _:
            return ""


def names(name: str, delivery_id: int) -> Iterator[str]:
    """A file's own name, then ones with the delivery's id, without end."""
    stem, extension = _split(name)
    yield name
    yield f"{stem}.{delivery_id}{extension}"
    for n in count(1):
        yield f"{stem}.{delivery_id}-{n}{extension}"


def _folder(folders: Folders, outcome: Outcome, arrived: datetime) -> Path:
    if isinstance(outcome, Refused):
        return folders.errors
    return folders.processed / f"{arrived:%Y}" / f"{arrived:%m}"


def _is_here(claim: Claim) -> bool:
    return bool(claim.name) and os.path.lexists(claim.path)


def safe_name(name: str) -> str:
    """A name that is UTF-8, has no control characters, no leading dot or dash, and leaves room for endings."""
    clean = "".join(c if c.isprintable() and not 0xD800 <= ord(c) <= 0xDFFF else "_" for c in name)  # noqa: PLR2004
    stem, extension = _split(clean if clean[:1] not in ("-", ".") else f"_{clean[1:]}")
    while len((stem + extension).encode()) > _LONGEST and stem:
        stem = stem[:-1]
    return (stem + extension)[:_LONGEST]


def _split(name: str) -> tuple[str, str]:
    extension = next((e for e in reversed(EXTENSIONS) if name.endswith(e)), "")
    return name.removesuffix(extension), extension


def _reason_text(row: Row) -> str:
    details = row["error_details"] or {}
    lines = [
        f"file:        {row['file_name']}",
        f"delivery:    {row['id']}, arrived {row['timestamp']:%Y-%m-%d %H:%M:%S} UTC",
    ]
    if "unloaded" in details:
        why = details["unloaded"]["why"]
        lines += [
            f"reason:      unloaded at {row['unloaded_at']:%Y-%m-%d %H:%M:%S} UTC",
            f"what:        an operator took it out of the database{': ' if why else ''}{why}",
            "what to do:  nothing, or correct the file and drop it again",
        ]
        return "\n".join(lines) + "\n"
    lines += [
        f"reason:      {details.get('reason', '')}",
        f"what:        {details.get('message', '')}",
        f"what to do:  {details.get('remedy', '')}",
    ]
    if "difference" in details:
        found = Difference.from_dict(details["difference"])
        lines += ["", f"rows of delivery {found.delivery_id} beside those of this file: {found.rows}"]
        lines += [f"  {display_name(line)}" for line in found.lines()]
    if details.get("first_rejects"):
        lines += ["", "first rejected rows:"]
        lines += [f"  line {r['line']}: {r['message']} ({r['reason']})" for r in details["first_rejects"]]
    return "\n".join(lines) + "\n"
