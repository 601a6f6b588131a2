"""The story of a delivery behind ``stockgrip explain``: what the ledger and the folders know, put together.

Nothing is changed. What is found is plain data with stable keys, for ``--json`` and for ``daemon.story.text``.
"""

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher, get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from daemon import claims, packing
from daemon.files import REASON_ENDING, Folders
from daemon.logs import display_name
from daemon.settings import Settings
from daemon.store import Store, history, ledger
from daemon.story.next_steps import Step, next_steps
from daemon.story.waiting import waiting_file
from handlers.fixes import rejects_name
from handlers.reasons import FileReason, RowReason

_EXAMPLES = 3  # of each reason
_NAMES_COMPARED = 20_000  # of the last deliveries, for a name that was never seen


@dataclass(frozen=True, slots=True)
class Asked:
    """What an operator's word stands for.

    Attributes:
        deliveries: ids, newest first.
        waiting: the name of a file in the inbox, as the folder has it.
        nearest: names like it, if nothing is known by it.
    """

    deliveries: tuple[int, ...] = ()
    waiting: str | None = None
    nearest: tuple[str, ...] = ()


def tell(
    word: str,
    settings: Settings,
    store: Store,
    here: Path,
    *,
    every: bool = False,
    config: Path | None = None,
) -> dict[str, Any]:
    """All that is known about a delivery.

    Args:
        word: a delivery's id, a file's name, or the path of a file.
        settings: the configuration.
        store: the database.
        here: the current folder, from which paths are meant and shown.
        every: tell every delivery of the name in full, not only the newest.
        config: the configuration file that was named, so that the commands that are shown name it, too.

    Returns:
        ``query``, ``timezone``, ``waiting`` (a file in the inbox, or None), ``deliveries`` (stories, newest first),
        ``older`` (the others in short) and ``nearest`` (names, if nothing was found).
    """
    folders = Folders(settings.data_dir)
    asked = look_up(word, folders, store, here)
    told = asked.deliveries if every else asked.deliveries[:1]
    waiting = waiting_file(asked.waiting, settings, store, here) if asked.waiting else None
    stories = [found for key in told if (found := _story(key, folders, store, here))]
    for each in (waiting, *stories):
        if each and config is not None:
            each["next"] = [_with_config(step, config) for step in each["next"]]
    older = store.ask(lambda connection: history.briefs(connection, asked.deliveries[len(told) :]))
    return {
        "query": display_name(word),
        "timezone": settings.timezone,
        "waiting": waiting,
        "deliveries": stories,
        "older": [{**brief(row), "reason": _reason_of(row, store)} for row in older],
        "nearest": [display_name(name) for name in asked.nearest],
    }


def _with_config(step: Step, config: Path) -> Step:
    command = step["command"]
    if command is None or not command.startswith("stockgrip "):
        return step
    return {**step, "command": f"stockgrip --config {shlex.quote(str(config))}{command[len('stockgrip') :]}"}


# ---- what is meant


def look_up(word: str, folders: Folders, store: Store, here: Path) -> Asked:
    """Which deliveries, or which waiting file, a word stands for: an id, a file's name, or the path of a file."""
    if word.isascii() and word.isdigit() and len(word) < 19:  # noqa: PLR2004  (a BIGINT)
        return Asked((int(word),)) if store.delivery(int(word)) else _last_ids(store)
    name = Path(word).name if "/" in word else word
    path = _below_data(word, folders, here) if "/" in word else None
    waits = name if path in (None, f"live_feeds/{name}") and _is_in(folders.inbox, name) else None
    found: Sequence[int] = ()
    if path is not None:
        found = _at_path(path, store)
    if not found:
        shown = display_name(name)
        found = store.ask(lambda connection: history.named(connection, shown))
    if not found:
        found = _filed_as(name, store)
    if found or waits:
        return Asked(tuple(found), waits)
    return Asked(nearest=tuple(_nearest(name, folders, store)))


def _last_ids(store: Store) -> Asked:
    last = store.ask(history.last_id)
    return Asked(nearest=(str(last),) if last else ())


def _below_data(word: str, folders: Folders, here: Path) -> str | None:
    """A path relative to the data folder, whether it was given from the current folder, from there, or whole."""
    root = Path(os.path.realpath(folders.data_dir))
    for base in (here, folders.data_dir):
        # the last part is not followed: a link in the inbox is not what it leads to
        path = Path(os.path.realpath((base / word).parent)) / Path(word).name
        if path.is_relative_to(root) and (base == folders.data_dir or os.path.lexists(path)):
            return path.relative_to(root).as_posix()
    path = Path(os.path.normpath(here / word))
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else None


def _at_path(path: str, store: Store) -> Sequence[int]:
    """The newest delivery of a path; earlier ones of the same path are of the same file, retried."""
    if path.startswith(".work/claim-"):
        outcome = store.outcome_of(claims.id_at(path))
        return () if outcome is None else (outcome.delivery_id,)
    for candidate in _without_endings(path):
        found = store.ask(partial(history.filed_at, path=display_name(candidate)))
        if found:
            return found
    return ()


def _filed_as(name: str, store: Store) -> Sequence[int]:
    for candidate in _without_endings(name):
        found = store.ask(partial(history.filed_as, name=display_name(candidate)))
        if found:
            return found
    return ()


def _without_endings(path: str) -> Iterator[str]:
    """A path, then that of the file beside which it lies."""
    yield path
    yield f"{path}{packing.ENDING}"  # it was compressed since
    for ending in (REASON_ENDING, rejects_name(""), packing.ENDING):
        if path.endswith(ending):
            yield path.removesuffix(ending)


def _nearest(name: str, folders: Folders, store: Store) -> list[str]:
    known = store.ask(lambda connection: history.names(connection, _NAMES_COMPARED))
    shown = list(dict.fromkeys([*_entries(folders.inbox), *known]))
    # a difference of two characters in twenty is a slip; the shortlist keeps difflib from taking minutes
    close = [other for other in shown if abs(len(other) - len(name)) <= max(4, len(name) // 3)]
    meant = display_name(name)
    best = get_close_matches(meant, close, n=3, cutoff=0.75)
    likeness = [SequenceMatcher(None, meant, other).ratio() for other in best]
    return [other for other, like in zip(best, likeness, strict=True) if like > max(likeness) - 0.1]


# ---- what is told


def _story(key: int, folders: Folders, store: Store, here: Path) -> dict[str, Any] | None:
    facts = store.ask(lambda connection: history.facts(connection, key, _EXAMPLES))
    if facts is None:
        return None
    row = facts["row"]
    details = row["error_details"] or {}
    unloaded = details.get("unloaded") or {}
    relatives = {name: [brief(each) for each in rows] for name, rows in facts["relatives"].items()}
    for fix in relatives["fixed_by"]:
        fix["rejects_fixed"] = facts["fixed"].get(fix["delivery"], 0)
    groups = [_group(**group) for group in facts["rejects"]] or _noted(details)
    found: dict[str, Any] = {
        "delivery": row["id"],
        "file": row["file_name"],
        "status": row["status"],
        "seen": when(row["seen_at"]),
        "waited": _words(row["waited"]),
        "evidence": _words(row["evidence"]),
        "claimed": when(row["timestamp"]),
        "claim": row["claim"],
        "attempts": row["attempts"],
        "seconds": row["processing_time_seconds"],
        "size_bytes": row["size_bytes"],
        "sha256": row["sha256"],
        "feed": row["file_type"],
        "slot": row["slot"],
        "encoding": row["encoding"],
        "delimiter": row["delimiter"],
        "header": details.get("header", []),
        "unknown_columns": details.get("unknown_columns", []),
        "rows": {
            "read": row["records_processed"],
            "loaded": row["records_successful"],
            "rejected": row["records_failed"],
            "duplicate": row["records_duplicate"],
        },
        "reason": details.get("reason"),
        "message": details.get("message"),
        "remedy": details.get("remedy") or _remedy(details.get("reason")),
        "rejects": groups,
        "rows_set_aside": details.get(ledger.ROWS_SET_ASIDE, 0),
        "rows_removed": details.get(ledger.ROWS_REMOVED),
        "rejects_removed": details.get(ledger.REJECTS_REMOVED),
        "file_removed": details.get(ledger.FILE_REMOVED),
        "rejects_open": sum(group["open"] for group in groups) if facts["rejects"] else 0,
        "rejects_fixed_there": facts["fixed_there"],
        **relatives,
        "loaded_later": [brief(each) for each in _loaded_later(row, store)],
        "forced": when(row["forced_at"]),
        "unloaded": when(row["unloaded_at"]),
        "unloaded_why": unloaded.get("why"),
        "difference": details.get("difference"),
        "filed": when(row["filed_at"]),
        "places": _places(row, folders),
    }
    found["next"] = next_steps(found, folders, here)
    return found


def _loaded_later(row: Mapping[str, Any], store: Store) -> Sequence[Mapping[str, Any]]:
    """The first delivery of the same name, else the one of the same slot, that was loaded after one that is not."""
    if row["status"] not in ("failed", "unloaded"):
        return []
    named = store.ask(lambda connection: history.named(connection, row["file_name"]))
    filling = store.ask(lambda connection: history.filling(connection, row["slot"]))
    ids = [*sorted(named), *([filling] if filling else [])]
    later = store.ask(lambda connection: history.briefs(connection, [i for i in ids if i > row["id"]]))
    return [each for each in later if each["status"] in ("success", "partial")][:1]


def _reason_of(row: Mapping[str, Any], store: Store) -> str | None:
    """Why a delivery was refused."""
    if row["status"] != "failed":
        return None
    whole = store.delivery(row["id"]) or {}
    return (whole.get("error_details") or {}).get("reason")


def brief(row: Mapping[str, Any]) -> dict[str, Any]:
    """A delivery in short."""
    return {
        "delivery": row["id"],
        "file": row["file_name"],
        "claimed": when(row["timestamp"]),
        "status": row["status"],
        "rows_loaded": row["records_successful"],
        "rows_rejected": row["records_failed"],
        "superseded_by": row["superseded_by"],
    }


def when(moment: datetime | None) -> str | None:
    """A time as ISO 8601, in UTC."""
    return None if moment is None else moment.isoformat()


def _words(listed: str | None) -> list[str]:
    return [word.strip() for word in (listed or "").split(",") if word.strip()]


def _remedy(reason: str | None) -> str | None:
    return FileReason(reason).remedy if reason in list(FileReason) else None


def _group(reason: str, count: int, **more: Any) -> dict[str, Any]:
    known = RowReason(reason) if reason in list(RowReason) else None
    return {
        "reason": reason,
        "count": count,
        "open": more["open"],
        "meaning": known.meaning if known else None,
        "remedy": known.remedy if known else None,
        "examples": more["examples"],
    }


def _noted(details: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rejects of a file that was refused as a whole: none is open, for the file itself is to be corrected."""
    first = details.get("first_rejects") or []
    return [
        _group(
            reason,
            count,
            open=0,
            examples=[
                {**reject, "raw": None, "fixed_by": None}
                for reject in first
                if reject.get("reason") == reason
            ][:_EXAMPLES],
        )
        for reason, count in sorted((details.get("reasons") or {}).items(), key=lambda pair: -pair[1])
    ]


def _places(row: Mapping[str, Any], folders: Folders) -> dict[str, Any]:
    """Where the file, and what lies beside it, is on the disk now; paths relative to the data folder."""
    archived, name = row["archive_path"], row["file_name"]
    beside = Path(packing.plain_name(archived, row["id"])).name if archived else None
    if archived:
        archived = packing.place_of(folders.data_dir, archived, row["id"])
    rejects = row["rejects_path"]
    if rejects is None and beside and row["status"] == "partial" and row["fixes"] is None:
        rejects = f"errors/{rejects_name(beside)}"  # filed by a release that did not note it
    reason = f"errors/{beside}{REASON_ENDING}" if archived and archived.startswith("errors/") else None
    return {
        "file": archived,
        "file_is_there": _is_there(folders, archived),
        "in_inbox": f"live_feeds/{name}" if _is_in(folders.inbox, name) else None,
        "in_work": _in_work(folders, name),
        "rejects_file": rejects,
        "rejects_file_is_there": _is_there(folders, rejects),
        "rejects_file_in_inbox": bool(rejects) and _is_in(folders.inbox, Path(rejects).name),
        "reason_file": reason,
        "reason_file_is_there": _is_there(folders, reason),
    }


def _is_there(folders: Folders, path: str | None) -> bool:
    return bool(path) and os.path.lexists(folders.data_dir / str(path))


def _is_in(folder: Path, name: str) -> bool:
    """Whether a file lies in a folder, under its name or under one that is shown so."""
    if name in ("", ".", "..") or "\0" in name:
        return False
    return os.path.lexists(folder / name) or ("\\" in name and name in _entries(folder))


def _in_work(folders: Folders, name: str) -> str | None:
    for claim in _raw_entries(folders.work):
        for held in _raw_entries(folders.work / claim / "file"):
            if display_name(held) == display_name(name):
                return f".work/{claim}/file/{display_name(held)}"
    return None


def _entries(folder: Path) -> list[str]:
    return [display_name(name) for name in _raw_entries(folder)]


def _raw_entries(folder: Path) -> Iterable[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208  (names may be no UTF-8)
    except OSError:
        return ()
