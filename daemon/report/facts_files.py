"""What the report says of files: what came, what did not, and which rows were rejected."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from daemon.quality_view.picture import FEEDS, missing_files
from daemon.store import report as store
from daemon.store.quality import Transaction
from daemon.store.quality_view import Facts
from handlers import HANDLERS
from handlers.reasons import RowReason

MOST = 20  # of each list; how many there are is said
_LONGEST = 200  # of a value or message from a file
_MEANINGS = {reason.value: reason.meaning for reason in RowReason}
_COUNTS = ("files", "loaded_files", "partial_files", "refused_files", "duplicate_files", "unloaded_files")
_ROWS = ("rows_read", "rows_loaded", "rows_rejected", "rows_duplicate")
_FILES_BY = {
    "success": "loaded_files",
    "partial": "partial_files",
    "failed": "refused_files",
    "duplicate": "duplicate_files",
    "unloaded": "unloaded_files",
}


def moment(at: datetime | None, zone: ZoneInfo) -> str | None:
    """In the business time zone."""
    return None if at is None else at.astimezone(zone).isoformat(timespec="seconds")


def files(connection: Transaction, day: date, when: store.Span, zone: ZoneInfo) -> dict[str, Any]:
    """What came: sums by feed, the files of the day, those of other days that came meanwhile, and the refused ones."""
    by_feed: dict[str | None, Counter[str]] = {feed.name: Counter() for feed in HANDLERS}
    for row in store.totals(connection, day, when):
        some = by_feed.setdefault(row["feed"], Counter())
        some["files"] += row["files"]
        some[_FILES_BY.get(row["status"], "unloaded_files")] += row["files"]
        for name in _ROWS:
            some[name] += row[name.removeprefix("rows_")]
    feeds = [
        {"feed": feed, **{name: some[name] for name in (*_COUNTS, *_ROWS)}} for feed, some in by_feed.items()
    ]
    refused = store.refused(connection, day, when, MOST)
    return {
        "feeds": feeds,
        "totals": {name: sum(feed[name] for feed in feeds) for name in (*_COUNTS, *_ROWS)},
        "of_day": _listed(store.files(connection, day, when, MOST), zone),
        "of_other_days": {
            "since": moment(when.since, zone),
            "until": moment(when.until, zone),
            **_listed(store.others(connection, day, when, MOST), zone),
        },
        "refused": {
            "open": int(refused.rows[0]["open"]) if refused.rows else 0,
            **_listed(refused, zone, why=True),
        },
    }


def _listed(some: store.Some, zone: ZoneInfo, *, why: bool = False) -> dict[str, Any]:
    return {"count": some.count, "items": [_file(row, zone, why=why) for row in some.rows]}


def _file(row: Mapping[str, Any], zone: ZoneInfo, *, why: bool) -> dict[str, Any]:
    slot_day, sender = _slot(row["slot"])
    told = {
        "delivery": row["id"],
        "name": row["file_name"],
        "feed": row["file_type"],
        "sender": sender,
        "day": slot_day,
        "outcome": row["status"],
        "replaced_by": row["superseded_by"],
        "rows_read": row["records_processed"],
        "rows_loaded": row["records_successful"],
        "rows_rejected": row["records_failed"],
        "rows_duplicate": row["records_duplicate"],
        "arrived_at": moment(row["timestamp"], zone),
    }
    if why:
        details = row["error_details"] or {}
        told |= {name: details.get(name) for name in ("reason", "message", "remedy")}
        told["mended"] = bool(row["mended"])
    return told


def _slot(slot: str | None) -> tuple[str | None, str]:
    """The business day and the sender that a slot names."""
    _, day, sender = (slot or "::").split(":", 2)
    return day or None, sender


def missing(judged: Facts) -> dict[str, Any]:
    """Files that were due, those of the day first: ``late`` ones are still waited for, the others ``missing``."""
    day = judged.day.isoformat() if judged.day else ""
    found = [
        {
            "feed": feed,
            "sender": each["source"],
            "name": each["name"],
            "day": each["day"],
            "due_at": each["due"],
            "state": "late" if each["status"] == "pending" else "missing",
            "why": each["why"],
        }
        for feed in FEEDS
        for each in missing_files(judged, feed)
        # one of the day that came and was refused stands among those
        if not (str(each["day"]) >= day and (each["came"] or {}).get("status") == "failed")
    ]
    found.sort(key=lambda each: (str(each["day"]) < day, each["state"] == "late"))
    of_day = Counter(each["state"] for each in found if str(each["day"]) >= day)
    return {
        "count": len(found),
        "missing": of_day["missing"],
        "late": of_day["late"],
        "of_earlier_days": len(found) - of_day.total(),
        "items": found[:MOST],
    }


# ---- rejects


def rejects(connection: Transaction, day: date, when: store.Span) -> dict[str, Any]:
    """Rows of the files that were loaded, and are not: by reason and by sender, each with an example."""
    found = store.rejects(connection, day, when)
    reasons = _grouped(found, lambda one: (one.reason,))
    senders = _grouped(found, lambda one: (one.feed, _slot(one.slot)[1]))
    shown = {one.first for groups in (reasons, senders) for group in groups[:MOST] for one in group[:1]}
    known = store.examples(connection, shown)

    def told(group: list[store.Rejected]) -> dict[str, Any]:
        return {
            "rows": sum(one.rows for one in group),
            "files": len({one.delivery for one in group}),
            "example": _example(known.get(group[0].first)),
        }

    return {
        "rows": sum(one.rows for one in found),
        "files": len({one.delivery for one in found}),
        "by_reason": {
            "count": len(reasons),
            "items": [
                {"reason": group[0].reason, "meaning": _MEANINGS.get(group[0].reason, ""), **told(group)}
                for group in reasons[:MOST]
            ],
        },
        "by_sender": {
            "count": len(senders),
            "items": [
                {"feed": group[0].feed, "sender": _slot(group[0].slot)[1], **told(group)}
                for group in senders[:MOST]
            ],
        },
    }


def _grouped(found: Iterable[store.Rejected], key: Any) -> list[list[store.Rejected]]:
    """Groups, that with most rows first; in each what has most rows first."""
    groups: dict[Any, list[store.Rejected]] = defaultdict(list)
    for one in found:
        groups[key(one)].append(one)
    for group in groups.values():
        group.sort(key=lambda one: (-one.rows, one.first))
    return sorted(groups.values(), key=lambda group: (-sum(one.rows for one in group), key(group[0])))


def _example(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "file": row["file_name"],
        "line": row["line"],
        "column": row["column_name"],
        "value": row["value"][:_LONGEST],
        "message": row["message"][:_LONGEST],
    }
