"""Acknowledgements: what became of a file, written into ``outbox/`` for the one who sent it.

``<name>.ack.json`` speaks of the latest delivery of a name, ``<name>.nack.csv`` lists its rejected rows. Both follow from
the ledger, so they can be written again at any time, and are after a death: that comes before the claim is dropped. A
failure never fails a delivery: it is noted as an empty file in ``.work/`` and tried again.

Senders may be able to write in ``outbox/``. So everything there is done from a descriptor of the folder, no link is followed,
and what is in the way is replaced, never opened for writing.
"""

import contextlib
import csv
import io
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from daemon.archive import safe_name
from daemon.events import Event
from daemon.files import Folders
from daemon.logs import display_name, emit
from daemon.outbox_settings import OutboxSettings
from daemon.store import Store
from handlers.errors import StockgripError
from handlers.fixes import guarded
from handlers.reasons import FileReason

Row = Mapping[str, Any]

ACK, NACK = ".ack.json", ".nack.csv"
COLUMNS: Final = ("line", "column", "reason", "message")
_OUTCOMES: Final = {"success": "loaded", "partial": "partial", "failed": "refused", "duplicate": "duplicate"}
_DUE: Final = "ack-"  # and the delivery's id: the name of a note in .work/
_TIDIED: Final = "acks-tidied"  # a note there, too: when old ones were last removed
_TEMPORARY: Final = ".stockgrip-"
_MODE: Final = 0o640
_LONGEST: Final = 64 << 10  # bytes of an acknowledgement
_AT_ONCE: Final = 200  # of those that are due
_A_DAY: Final = 86_400.0
_REMEDY: Final = "see to it that the daemon may write into outbox/ and that there is room; they are written by themselves then"
_FAILURES: Final = (OSError, StockgripError, ValueError)
_OPEN: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def outbox_of(folders: Folders) -> Path:
    """Where acknowledgements lie."""
    return folders.data_dir / "outbox"


def acknowledge(delivery_id: int, store: Store, folders: Folders, settings: OutboxSettings) -> None:
    """Says what became of a delivery that has been filed; if that fails it is noted, and tried again by ``tend``."""
    if not settings.enabled:
        return
    try:
        with _opened(folders) as outbox:
            _write(outbox, delivery_id, store)
    except _FAILURES as error:
        _note(folders, delivery_id, str(error))
    else:
        tend(store, folders, settings)


def tend(store: Store, folders: Folders, settings: OutboxSettings) -> None:
    """Writes what could not be written, and once a day removes what is old. To be called now and then; never raises."""
    if not settings.enabled:
        return
    try:
        waiting = due(folders)[:_AT_ONCE]
        with _opened(folders) as outbox:
            written = sum(_write_due(outbox, delivery_id, store, folders) for delivery_id in waiting)
            if _is_day_over(folders):
                _remove_old(outbox, time.time() - settings.days * _A_DAY)
    except _FAILURES:
        return  # it was said when it was noted
    if written:
        emit(Event.ACKNOWLEDGEMENTS_WRITTEN, written=written)


def due(folders: Folders) -> list[int]:
    """The deliveries whose acknowledgement could not be written yet.

    Raises:
        OSError: ``.work/`` cannot be listed.
    """
    notes = (name.removeprefix(_DUE) for name in os.listdir(folders.work) if name.startswith(_DUE))  # noqa: PTH208
    return sorted(int(note) for note in notes if note.isdecimal())


def _write_due(outbox: int, delivery_id: int, store: Store, folders: Folders) -> bool:
    try:
        _write(outbox, delivery_id, store)
    except OSError:
        return False  # something is in the way of this one
    (folders.work / f"{_DUE}{delivery_id}").unlink(missing_ok=True)
    return True


def _note(folders: Folders, delivery_id: int, error: str) -> None:
    """Keeps in mind that an acknowledgement is due. The first is said: the others have the same cause."""
    kept, others = False, False
    with contextlib.suppress(OSError):  # said below all the same
        others = bool(due(folders))
        (folders.work / f"{_DUE}{delivery_id}").touch()
        kept = True
    if not (kept and others):
        emit(Event.ACKNOWLEDGEMENT_FAILED, number=delivery_id, error=error[:500], kept=kept, remedy=_REMEDY)


# ---- what is said


def acknowledgement(row: Row, first: Row | None = None) -> dict[str, Any]:
    """What a sender is told of a delivery.

    Args:
        row: its row of the ledger.
        first: of a duplicate, that of the delivery which brought the same bytes.
    """
    details = row["error_details"] or {}
    code = details.get("reason")
    message = details.get("message")
    if code == FileReason.INTERNAL_ERROR:  # a traceback's words are not for others
        message = FileReason.INTERNAL_ERROR.meaning
    said: dict[str, Any] = {
        "file": row["file_name"],
        "delivery": row["id"],
        "feed": row["file_type"],
        "outcome": _OUTCOMES.get(row["status"], row["status"]),
        "sha256": row["sha256"],
        "size": row["size_bytes"],
        "rows": {
            "read": row["records_processed"],
            "loaded": row["records_successful"],
            "rejected": row["records_failed"],
            "duplicate": row["records_duplicate"],
        },
        "reasons": details.get("reasons") or {},
        "reason": code,
        "message": message,
        "duplicate_of": row["duplicate_of"],
        "seen_at": _moment(row["seen_at"]),
        "arrived_at": _moment(row["timestamp"]),
        "filed_at": _moment(row["filed_at"]),
    }
    if first is not None:
        its = acknowledgement(first)
        said["first"] = {key: its[key] for key in ("file", "outcome", "rows", "reasons", "arrived_at")}
    return said


def nack_lines(rejects: Iterable[Row]) -> Iterator[bytes]:
    """The rejected rows: where and why; what stands in them the sender has. Nothing if there are none."""
    header = True
    for reject in rejects:
        if header:
            yield _line(COLUMNS)
            header = False
        column = reject.get("column_name") or reject.get("column") or ""
        yield _line((str(reject["line"]), *map(guarded, (column, reject["reason"], reject["message"]))))


def _line(cells: Iterable[str]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue().encode("utf-8", "backslashreplace")


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds")


# ---- the folder


@contextlib.contextmanager
def _opened(folders: Folders) -> Iterator[int]:
    """A descriptor of the outbox, which is made if it is missing: for the group of the inbox to read."""
    place = outbox_of(folders)
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o750)
        # not of that group, or set-group-ID is not for us (systemd's RestrictSUIDSGID): the installer makes the folder
        with contextlib.suppress(PermissionError):
            os.chown(place, -1, folders.inbox.stat().st_gid)
            place.chmod(0o2750)
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | _OPEN)
    try:
        yield fd
    finally:
        os.close(fd)


def _write(outbox: int, delivery_id: int, store: Store) -> None:
    """Writes both files of a delivery, the one that names the other last; unless a later one of the name has."""
    row = store.delivery(delivery_id)
    if row is None or row["filed_at"] is None:
        return
    first = store.delivery(row["duplicate_of"]) if row["duplicate_of"] is not None else None
    name, said = safe_name(row["file_name"]), acknowledgement(row, first)
    if _is_later(_read(outbox, f"{name}{ACK}"), said):
        return
    about = first or row
    rejects = (about["error_details"] or {}).get("first_rejects") if about["status"] == "failed" else None
    lines = nack_lines(store.rejects(about["id"]) if rejects is None else rejects)
    has_rejects = _put(outbox, f"{name}{NACK}", lines, delivery_id)
    said["rejects"] = f"{name}{NACK}" if has_rejects else None
    content = json.dumps(said, ensure_ascii=False, indent=1).encode("utf-8", "backslashreplace")
    _put(outbox, f"{name}{ACK}", [content, b"\n"], delivery_id)
    if not has_rejects:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{name}{NACK}", dir_fd=outbox)
    os.fsync(outbox)
    emit(Event.ACKNOWLEDGEMENT_WRITTEN, number=delivery_id, path=f"outbox/{display_name(name)}{ACK}")


def _put(outbox: int, name: str, content: Iterable[bytes], delivery_id: int) -> bool:
    """Puts a whole file in the place of whatever has its name; False, and no file, if there is no content."""
    pieces = iter(content)
    begin = next(pieces, None)
    if begin is None:
        return False
    temporary = f"{_TEMPORARY}{delivery_id}{Path(name).suffix}.tmp"
    with contextlib.suppress(FileNotFoundError):  # of a process that died; or somebody's link
        os.unlink(temporary, dir_fd=outbox)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, _MODE, dir_fd=outbox)
    try:
        with open(fd, "wb") as file:  # noqa: PTH123  (a descriptor)
            file.write(begin)
            file.writelines(pieces)
            os.fchmod(fd, _MODE)
            file.flush()
            os.fsync(fd)
        os.rename(temporary, name, src_dir_fd=outbox, dst_dir_fd=outbox)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=outbox)
        raise
    return True


def _read(outbox: int, name: str) -> dict[str, Any]:
    """An acknowledgement that is there; {} if there is none, or something else."""
    try:
        fd = os.open(name, os.O_RDONLY | _OPEN, dir_fd=outbox)
    except OSError:
        return {}
    try:
        regular = stat.S_ISREG(os.fstat(fd).st_mode)
        found = json.loads(os.pread(fd, _LONGEST, 0)) if regular else {}
    except (OSError, ValueError, RecursionError):
        return {}
    finally:
        os.close(fd)
    return found if isinstance(found, dict) else {}


def _is_later(there: Mapping[str, Any], said: Mapping[str, Any]) -> bool:
    """Whether what is there speaks of a later delivery: by number and time, for a new database begins at 1 again."""
    number, at = there.get("delivery"), there.get("arrived_at")
    if not isinstance(number, int) or not isinstance(at, str):
        return False
    return number > int(said["delivery"]) and at >= str(said["arrived_at"])


def _is_day_over(folders: Folders) -> bool:
    """Whether the folder was last tidied a day ago; if so, the new day begins."""
    stamp = folders.work / _TIDIED
    with contextlib.suppress(FileNotFoundError):
        if 0 <= time.time() - stamp.stat().st_mtime < _A_DAY:
            return False
    stamp.touch()
    return True


def _remove_old(outbox: int, before: float) -> None:
    """Removes our files that were written before a moment (seconds since 1970); other things are left alone."""
    with os.scandir(outbox) as entries:
        for entry in entries:
            ours = entry.name.endswith((ACK, NACK)) or entry.name.startswith(_TEMPORARY)
            if not ours or not entry.is_file(follow_symlinks=False):
                continue
            limit = before if entry.name.endswith((ACK, NACK)) else time.time() - _A_DAY
            if entry.stat(follow_symlinks=False).st_mtime < limit:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(entry.name, dir_fd=outbox)
