"""What a letter tells: alerts with the delivery, the place of its file and its first rejects. Plain JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from daemon.store import ledger, letters
from handlers.alerts.choice import Draft, Notice

VERSION = 1
_REJECTS = 5
_MOST = 50  # alerts with all that is known of them; a letter with more of them is read by nobody
_LONGEST_VALUE = 200


@dataclass(frozen=True, slots=True)
class Origin:
    """Where letters come from.

    Attributes:
        host: the name of this host.
        data_dir: the data folder.
        timezone: the business time zone.
    """

    host: str
    data_dir: Path
    timezone: str


def facts_of(connection: Connection, draft: Draft, origin: Origin, now: datetime) -> dict[str, Any]:
    """What a letter tells.

    Args:
        connection: to read from.
        draft: the letter.
        origin: where it comes from.
        now: UTC.
    """
    zone = ZoneInfo(origin.timezone)
    shown = draft.notices[:_MOST]
    return {
        "version": VERSION,
        "letter": letters.letter_id(draft.notices),
        "kind": draft.kind,
        "severity": draft.severity.value,
        "feed": draft.feed,
        "created_at": _moment(now, zone),
        "host": origin.host,
        "data_dir": str(origin.data_dir),
        "timezone": origin.timezone,
        "replies_to": letters.parents(connection, draft),
        "count": len(draft.notices),
        "alerts": [_alert(connection, notice, origin, zone) for notice in shown],
    }


def _alert(connection: Connection, notice: Notice, origin: Origin, zone: ZoneInfo) -> dict[str, Any]:
    row = notice.alert
    delivery = None if row["delivery_id"] is None else ledger.row_of(connection, row["delivery_id"])
    plain = {name: row[name] for name in ("id", "rule", "severity", "feed", "scope", "summary", "times")}
    return {
        **plain,
        "key": row["dedup_key"],
        "state": notice.kind,
        "day": row["day"].isoformat() if isinstance(row["day"], date) else None,
        "details": row["details"],
        "first_at": _moment(row["first_at"], zone),
        "last_at": _moment(row["last_at"], zone),
        "resolved_at": _moment(row["resolved_at"], zone) if notice.kind == "resolved" else None,
        "delivery": None if delivery is None else _delivery(delivery, origin, zone),
        "rejects": [] if delivery is None else _rejects(connection, delivery),
    }


def _delivery(row: Mapping[str, Any], origin: Origin, zone: ZoneInfo) -> dict[str, Any]:
    details = row["error_details"] or {}

    def below(path: str | None) -> str | None:
        return None if path is None else str(origin.data_dir / path)

    return {
        "id": row["id"],
        "file": row["file_name"],
        "status": row["status"],
        "arrived": _moment(row["timestamp"], zone),
        "rows": row["records_processed"],
        "loaded": row["records_successful"],
        "rejected": row["records_failed"],
        "duplicate": row["records_duplicate"],
        "reason": details.get("reason"),
        "message": details.get("message"),
        "remedy": details.get("remedy"),
        "place": below(row["archive_path"]),
        "rejects_place": below(row["rejects_path"]),
    }


def _rejects(connection: Connection, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The first rejects of a delivery: from the table, or of a refused one from the ledger."""
    found = ledger.rejects_of(connection, row["id"], 0, _REJECTS)
    names = {
        "line": "line",
        "column": "column_name",
        "value": "value",
        "reason": "reason",
        "message": "message",
    }
    if found:
        listed = [{name: reject[column] for name, column in names.items()} for reject in found]
    else:
        first = (row["error_details"] or {}).get("first_rejects") or []
        listed = [{name: reject.get(name) for name in names} for reject in first[:_REJECTS]]
    return [{**reject, "value": str(reject["value"] or "")[:_LONGEST_VALUE]} for reject in listed]


def _moment(at: datetime | None, zone: ZoneInfo) -> str | None:
    return None if at is None else at.astimezone(zone).isoformat(timespec="seconds")
