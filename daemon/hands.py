"""What an operator does to deliveries: drop a refused one again, take a loaded one out.

Both are safe while the daemon runs, and safe to do again after a crash: the database says first what is to be so, then
the file is moved.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daemon import archive, companions, rejects_file
from daemon.files import Folders, move, sha256_of
from daemon.store import Store
from handlers.errors import StockgripError
from handlers.reasons import FileReason

Row = Mapping[str, Any]
# what a person may decide against
FORCEABLE = (
    FileReason.SHRUNK,
    FileReason.TOO_MANY_REJECTS,
    FileReason.MANIFEST_MISMATCH,
    FileReason.OLD_TRANSACTIONS,
)


class CannotRetry(StockgripError):  # noqa: N818  (named by what is so)
    """The file cannot be dropped again; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Retried:
    """A refused file that is in the inbox again.

    Attributes:
        delivery_id: the delivery that was refused.
        file: its name in the inbox.
        reason: why it was refused.
        forced: whether that reason will not hold it back again.
    """

    delivery_id: int
    file: str
    reason: str
    forced: bool


@dataclass(frozen=True, slots=True)
class Unloaded:
    """A delivery that was taken out.

    Attributes:
        delivery_id: which.
        file: its name.
        rows: how many of its rows were loaded.
        path: where its file lies now, relative to the data folder; None if it was nowhere.
        back: deliveries that count again.
    """

    delivery_id: int
    file: str
    rows: int
    path: str | None
    back: tuple[int, ...] = ()


def can_be_retried(row: Row, store: Store, folders: Folders) -> bool:
    """Whether a delivery was refused, or taken out, and its file still lies in ``errors/``, perhaps corrected."""
    path = row["archive_path"]
    return (
        row["status"] in ("failed", "unloaded")
        and bool(path)
        and str(path).startswith("errors/")
        and (folders.data_dir / path).is_file()
        and store.last_filed_at(path) == row["id"]  # another refused file may have got the name since
    )


def retry(row: Row, store: Store, folders: Folders, *, force: bool) -> Retried:
    """Puts a refused file back into the inbox under its first name.

    Args:
        row: its row of the ledger.
        store: the database.
        folders: the data folder.
        force: let it in however much it shrinks its slot, however many of its rows are bad, and whatever its
            manifest says.

    Raises:
        CannotRetry: it was not refused, is not there any more, or another file waits under its name.
    """
    file = row["file_name"]
    if row["status"] not in ("failed", "unloaded"):
        raise CannotRetry(f"delivery {row['id']} ({file}) was not refused: its status is {row['status']}")
    if not can_be_retried(row, store, folders):
        raise CannotRetry(f"the file of delivery {row['id']} ({file}) is not in errors/ any more")
    details = row["error_details"] or {}
    reason = str(details.get("reason", row["status"]))
    forced = force and (reason in FORCEABLE or row["status"] == "unloaded")
    path = folders.data_dir / row["archive_path"]
    if forced and sha256_of(path) != row["sha256"]:
        raise CannotRetry(
            f"{path} was changed since it was refused: retry it without --force, so that it is judged as it is now"
        )
    if forced:
        store.force(row["id"])
    name = archive.first_name(row)
    target = folders.inbox / name
    # a manifest comes along; a file that is forced has been looked at by a person, and would be refused again
    along = [] if forced else companions.move_along(path, target)
    try:
        move(path, target)
    except OSError as error:
        if along:
            companions.move_along(target, path)
        if forced and row["forced_at"] is None:
            store.force(row["id"], forced=False)
        if isinstance(error, FileExistsError):
            raise CannotRetry(f"{target} is there already; wait until it is loaded") from error
        if isinstance(error, FileNotFoundError):
            raise CannotRetry(f"{path} or {folders.inbox} is not there any more") from error
        raise
    archive.reason_file(path).unlink(missing_ok=True)
    return Retried(row["id"], file, reason, forced)


def unload(delivery_id: int, why: str, store: Store, folders: Folders) -> list[Unloaded]:
    """Takes a delivery out of the database, and its file from ``processed/`` to ``errors/``.

    Args:
        delivery_id: which.
        why: kept in the ledger and written beside the file.
        store: the database.
        folders: the data folder.

    Returns:
        What was taken out: this delivery first, then those that had fixed rows of it.

    Raises:
        CannotUnload: nothing of it is loaded, or a later delivery builds on it.
    """
    row = store.delivery(delivery_id) or {}
    first = store.delivery(row["fixes"]) if row.get("fixes") is not None else row
    ours = rejects_file.digest(store, first) if first else ""
    done = store.unload(delivery_id, why)
    finish_unloads(store, folders)
    if first and row.get("fixes") is not None:
        rejects_file.renew(folders, store, store.delivery(first["id"]) or {}, {ours}, delivery_id)
    elif first and first["rejects_path"]:
        rejects_file.remove(folders, first["rejects_path"], ours)
    found = []
    for key in done.deliveries:
        gone = store.delivery(key) or {}
        at = gone["archive_path"]
        path = at if at and (folders.data_dir / at).is_file() else None
        back = done.reinstated if key == delivery_id else ()
        found.append(Unloaded(key, gone["file_name"], gone["records_successful"], path, back))
    return found


def finish_unloads(store: Store, folders: Folders) -> None:
    """Files what was taken out of the database, but whose file was not moved yet."""
    for row in store.unloaded_unfiled():
        was_at = row["error_details"]["unloaded"]["was_at"]
        path = archive.take_back(folders, row)
        store.filed(row["id"], path or was_at or "")
