"""Filing away: the move that acknowledges a delivery, done after its outcome is committed.

Every step can be done again: names follow from the ledger, companions are rewritten, a file that has already been
moved is found by its hash.
"""

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import count, islice
from pathlib import Path
from typing import Any

from daemon.claims import Claim
from daemon.files import Folders, move, write_new
from daemon.outcomes import Duplicate, Loaded, Outcome, Refused
from handlers.route import EXTENSIONS

_LONGEST = 180  # bytes of a name, so that ours with an id and a companion's ending stay under 255
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def file_away(
    folders: Folders,
    claim: Claim,
    outcome: Outcome,
    row: Mapping[str, Any],
    rejects: Iterable[Mapping[str, Any]],
) -> str:
    """Moves a delivery's file to where it belongs and writes what lies beside it.

    Args:
        folders: the data folder.
        claim: the file.
        outcome: what became of it.
        row: its row of the ledger.
        rejects: its refused rows, of a partial delivery.

    Returns:
        The file's new path, relative to the data folder.
    """
    folder = _folder(folders, outcome, row["timestamp"])
    folder.mkdir(parents=True, exist_ok=True)
    name = safe_name(claim.name or row["file_name"])
    ending = _companion(outcome)
    if _is_here(claim):
        target = _move_to_free_name(folders, claim, folder, names(name, outcome.delivery_id), ending)
    else:
        # it was moved before a crash or an error: find out under which name
        places = [folder / n for n in islice(names(name, outcome.delivery_id), 20)]
        target = next((p for p in places if p.exists() and _sha256(p) == row["sha256"]), places[0])
    beside = folders.errors / f"{target.name}{ending}"
    match outcome:
        case Refused():
            write_new(beside, [_reason_text(row).encode()])
        case Loaded() if outcome.partial:
            write_new(beside, rejects_csv(row, rejects))
        case Loaded() | Duplicate():
            pass
    return target.relative_to(folders.data_dir).as_posix()


def _move_to_free_name(
    folders: Folders, claim: Claim, folder: Path, candidates: Iterator[str], ending: str
) -> Path:
    """Moves the file under the first name that neither a file nor a companion in ``errors/`` has."""
    for name in candidates:
        if ending and os.path.lexists(folders.errors / f"{name}{ending}"):
            continue
        try:
            move(claim.path, folder / name)
        except FileExistsError:
            continue
        return folder / name
    raise AssertionError("names do not end")


def rejects_path(archive_path: str) -> str:
    """Where the rejects of a file with this ``archive_path`` lie, relative to the data folder."""
    return f"errors/{Path(archive_path).name}.rejects.csv"


def _companion(outcome: Outcome) -> str:
    """The ending of what lies beside a file in ``errors/``."""
    match outcome:
        case Refused():
            return ".reason.txt"
        case Loaded() if outcome.partial:
            return ".rejects.csv"
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


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def rejects_csv(row: Mapping[str, Any], rejects: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """The refused rows, to be corrected and dropped again, in pieces.

    The columns that say why stand first, so that a row with too many cells keeps them all. A cell that a spreadsheet
    would take for a formula is preceded by an apostrophe, unless it is a number.
    """
    header = (row["error_details"] or {}).get("header", [])
    yield _line(["reject_line", "reject_reason", "reject_message", *header])
    for reject in rejects:
        cells = _cells(reject["raw"], row["delimiter"] or ",")
        said = (str(reject["line"]), reject["reason"], reject["message"])
        yield _line([*said, *(_harmless(cell) for cell in cells)])


def _line(cells: list[str]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue().encode()


def _cells(raw: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(raw, newline=""), delimiter=delimiter, strict=True), [])
    except csv.Error:
        return [raw]


def _harmless(cell: str) -> str:
    text = cell.strip()
    if not text.startswith(_FORMULA) and not cell.startswith(_FORMULA):
        return cell
    digits = text.lstrip("+-").replace(".", "", 1)
    return cell if digits.isascii() and digits.isdigit() else f"'{cell}"


def _reason_text(row: Mapping[str, Any]) -> str:
    details = row["error_details"] or {}
    lines = [
        f"file:        {row['file_name']}",
        f"delivery:    {row['id']}, arrived {row['timestamp']:%Y-%m-%d %H:%M:%S} UTC",
        f"reason:      {details.get('reason', '')}",
        f"what:        {details.get('message', '')}",
        f"what to do:  {details.get('remedy', '')}",
    ]
    if details.get("first_rejects"):
        lines += ["", "first rejected rows:"]
        lines += [f"  line {r['line']}: {r['message']} ({r['reason']})" for r in details["first_rejects"]]
    return "\n".join(lines) + "\n"
