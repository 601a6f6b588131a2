"""Rejects files: what is still wrong with a delivery, to be corrected and dropped back.

After each fix the file is renewed: it holds the rows that are still open, each as it was last seen.
"""

import csv
import hashlib
import io
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from daemon.files import Folders, sha256_of, write_new
from daemon.store import Store
from handlers.fixes import FIXED_LINE, WHY_COLUMNS, guarded, unguarded

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Again:
    """A row that came back and was refused again.

    Attributes:
        is_last: whether the last fix brought it.
        line: its ``reject_line``, as it was written.
        reject: why it was refused.
        cells: in the order of the first file's header.
    """

    is_last: bool
    line: str
    reject: Row
    cells: list[str]


def rejects_csv(
    row: Row, rejects: Iterable[Row], again: Mapping[str, _Again] | None = None
) -> Iterator[bytes]:
    """The refused rows of a delivery, to be corrected and dropped again, in pieces.

    The columns that say why stand first, so that a row with too many cells keeps them all. A cell that a spreadsheet
    would take for a formula is preceded by an apostrophe.

    Args:
        row: the delivery's row of the ledger.
        rejects: its open rejects.
        again: what came back of them and was refused again, by line; rows of the last fix that are no reject of the
            delivery stand at the end.
    """
    left = dict(again or {})
    yield _line([*WHY_COLUMNS, *map(guarded, _header(row))])
    for reject in rejects:
        back = left.pop(str(reject["line"]), None)
        cells = back.cells if back else _cells(reject["raw"], row["delimiter"] or ",")
        why = back.reject if back else reject
        yield _line([str(reject["line"]), why["reason"], why["message"], *map(guarded, cells)])
    for back in left.values():
        if back.is_last:
            why = back.reject
            yield _line([back.line, why["reason"], why["message"], *map(guarded, back.cells)])


def renew(folders: Folders, store: Store, first: Row, ours: Container[str | None], number: int) -> str | None:
    """Writes the rejects of delivery ``first`` that are open; takes their file away if none is.

    Args:
        folders: the data folder.
        store: the database.
        first: the delivery's row of the ledger.
        ours: SHA-256 of what the file may be replaced for; one that somebody has edited meanwhile is left alone.
        number: stands in the name then.

    Returns:
        Where it was written, relative to the data folder; None if nothing is open any more.
    """
    rejects_path: str | None = first["rejects_path"]
    if rejects_path is None:
        return None
    path = folders.data_dir / rejects_path
    there = sha256_of(path)
    content = list(_content(store, first))
    if len(content) == 1:  # nothing but the header
        if there in ours:
            path.unlink()
        return None
    if there is not None and there not in ours and there != _digest(content):
        stem = path.name.removesuffix(".csv")
        numbered = chain([f"{number}"], (f"{number}-{n}" for n in count(2)))
        others = (path.with_name(f"{stem}.{more}.csv") for more in numbered)
        path = next(other for other in others if sha256_of(other) in (None, _digest(content)))
    write_new(path, content)
    return path.relative_to(folders.data_dir).as_posix()


def remove(folders: Folders, path: str, content_sha256: str) -> bool:
    """Takes a rejects file away if nobody has changed it; whether it is gone."""
    file = folders.data_dir / path
    there = sha256_of(file)
    if there is not None and there == content_sha256:
        file.unlink()
        return True
    return there is None


def digest(store: Store, row: Row, before: int | None = None) -> str:
    """The SHA-256 of a delivery's rejects file as it is written now, or was before a fix."""
    return _digest(_content(store, row, before))


def _content(store: Store, row: Row, before: int | None = None) -> Iterator[bytes]:
    """The file after all fixes, or as it was before one of them."""
    again = _came_again(store, row, before)
    return rejects_csv(row, store.rejects(row["id"], also_fixed_by=before), again)


def _came_again(store: Store, row: Row, before: int | None) -> dict[str, _Again]:
    """What fixes brought and was refused again, the latest of each line."""
    found: dict[str, _Again] = {}
    wanted = [name.lower() for name in _header(row)]
    fixes = [fix for fix in store.fixes_of(row["id"]) if before is None or fix < before]
    for fix_id in fixes:
        fix = store.delivery(fix_id) or {}
        header = [unguarded(name).lower() for name in _header(fix)]
        for reject in store.rejects(fix_id):
            cells = _cells(reject["raw"], fix["delimiter"] or ",")
            named = dict(zip(header, cells, strict=False))
            line = named.get(FIXED_LINE, "").strip()
            key = line if line.isascii() and line.isdigit() else f"{fix_id}:{reject['line']}"
            kept = [*(named.get(name, "") for name in wanted), *cells[len(header) :]]
            found[key] = _Again(fix_id == fixes[-1], line, reject, [unguarded(cell) for cell in kept])
    return found


def _header(row: Row) -> list[str]:
    return list((row["error_details"] or {}).get("header", []))


def _line(cells: list[str]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue().encode()


def _cells(raw: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(raw, newline=""), delimiter=delimiter, strict=True), [])
    except csv.Error:
        return [raw]


def _digest(content: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in content:
        digest.update(piece)
    return digest.hexdigest()
