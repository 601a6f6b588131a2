"""What the report of a day says, as plain JSON: see docs/report.md."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from daemon.quality_view.moment import facts_now
from daemon.quality_view.picture import FEEDS, missing_files, picture
from daemon.report.headline import headline
from daemon.report.unusual import unusual
from daemon.settings import Settings
from daemon.store import alerts_view
from daemon.store import report as store
from daemon.store.features import frontier
from daemon.store.quality import Transaction
from daemon.store.quality_view import Facts
from handlers import HANDLERS
from handlers.reasons import RowReason

VERSION = 1
MOST = 20  # of each list; how many there are is said
SALES_DAYS = 28
DAYS_OF_COVER = 3.0  # that a stock must last where the catalogue has no lead time
_SAME_WEEKDAYS = 8
_LEAST_SAME_WEEKDAYS = 3
_MONEY = 10_000
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


def facts_of(
    connection: Transaction,
    settings: Settings,
    now: datetime,
    day: date | None = None,
    run: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What the report says.

    Args:
        connection: to the database.
        settings: of the daemon.
        now: aware.
        day: the business day; None: the newest of which there are data, or today if there are none.
        run: of the workflow, as its table has it.
    """
    zone = ZoneInfo(settings.timezone)
    newest = frontier(connection)
    chosen = day or newest or now.astimezone(zone).date()
    is_newest = newest is None or chosen >= newest
    when = store.span(connection, _begin(chosen, zone), now if is_newest else _begin(chosen + _DAY, zone))
    judged = facts_now(connection, settings, FEEDS, now, chosen)
    found: dict[str, Any] = {
        "version": VERSION,
        "day": chosen.isoformat(),
        "weekday": f"{chosen:%A}",
        "newest_day": newest.isoformat() if newest else None,
        "timezone": zone.key,
        "created_at": _moment(now, zone),
        "sales": _sales(connection, chosen),
        "files": _files(connection, chosen, when, zone),
        "missing_files": _missing(judged),
        "rejects": _rejects(connection, chosen, when),
        "quality": _quality(judged, now, zone),
        "anomalies": unusual(connection, settings, judged.rows, chosen, MOST),
        "stock": _stock(connection, chosen),
        "alerts": _alerts(connection, now, zone),
        "workflow": _workflow(run, zone),
    }
    found["sales"]["complete"] = _is_complete(found["quality"])
    return {**found, "headline": headline(found)}


_DAY = timedelta(days=1)


def _begin(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)


def _moment(at: datetime | None, zone: ZoneInfo) -> str | None:
    return None if at is None else at.astimezone(zone).isoformat(timespec="seconds")


# ---- sales


def _sales(connection: Transaction, day: date) -> dict[str, Any]:
    """The day's sales, what is usual for its weekday, and the last weeks."""
    since = day - _SAME_WEEKDAYS * 7 * _DAY
    rows = store.daily(connection, "sales", [""], since, day)
    known = {each: (units, money / _MONEY) for _, each, units, _, money in rows}
    same = [known[each] for n in range(1, _SAME_WEEKDAYS + 1) if (each := day - n * 7 * _DAY) in known]
    units, revenue = known.get(day, (None, None))
    usual_units = usual_revenue = None
    if len(same) >= _LEAST_SAME_WEEKDAYS:
        usual_units, usual_revenue = (median(each) for each in zip(*same, strict=True))
    days = [day - n * _DAY for n in range(SALES_DAYS - 1, -1, -1)]
    return {
        "units": units,
        "revenue": revenue,
        "usual_units": usual_units,
        "usual_revenue": usual_revenue,
        "usual_of": len(same),
        "units_change": _change(units, usual_units),
        "revenue_change": _change(revenue, usual_revenue),
        "complete": None,
        "days": [
            {
                "day": each.isoformat(),
                "units": known.get(each, (None, None))[0],
                "revenue": known.get(each, (None, None))[1],
            }
            for each in days
        ],
    }


def _change(value: float | None, usual: float | None) -> float | None:
    return None if value is None or not usual or usual < 0 else value / usual - 1


def _is_complete(quality: Mapping[str, Any]) -> bool | None:
    """Whether all sales are there that usually come; None if nobody knows."""
    statuses = [
        metric["status"]
        for feed in quality["feeds"]
        if feed["feed"] == "sales"
        for metric in feed["metrics"]
        if metric["metric"] == "completeness"
    ]
    return (
        {"pass": True, "warning": False, "fail": False, "pending": False}.get(statuses[0])
        if statuses
        else None
    )


# ---- files


def _files(connection: Transaction, day: date, when: store.Span, zone: ZoneInfo) -> dict[str, Any]:
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
            "since": _moment(when.since, zone),
            "until": _moment(when.until, zone),
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
        "arrived_at": _moment(row["timestamp"], zone),
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


def _missing(judged: Facts) -> dict[str, Any]:
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


def _rejects(connection: Transaction, day: date, when: store.Span) -> dict[str, Any]:
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


# ---- the rest


def _quality(judged: Facts, now: datetime, zone: ZoneInfo) -> dict[str, Any]:
    told = picture(judged, FEEDS, now, zone)
    names = ("metric", "scope", "status", "value", "threshold", "why", "trend")
    return {
        "status": told["overall_status"] if told["feeds"] else None,
        "metrics": told["summary"],
        "feeds": [
            {
                "feed": feed["feed"],
                "status": feed["status"],
                "metrics": [{name: metric[name] for name in names} for metric in feed["metrics"]],
            }
            for feed in told["feeds"]
        ],
    }


def _stock(connection: Transaction, day: date) -> dict[str, Any]:
    found = store.stock(connection, day, DAYS_OF_COVER, MOST)
    return {
        "products": found.products,
        "out": {
            "count": found.out.count,
            "selling": found.sold,
            "items": [_product(row) for row in found.out.rows],
        },
        "low": {"count": found.low.count, "items": [_product(row) for row in found.low.rows]},
    }


def _product(row: Mapping[str, Any]) -> dict[str, Any]:
    lead = row["lead_time_days"]
    return {
        "product": row["product_id"],
        "name": row["name"],
        "on_hand": row["on_hand"],
        "available": row["available"],
        "in_transit": row["in_transit"],
        "units_a_day": row["mean_units_28"],
        "days_of_supply": row["days_of_supply"],
        "lead_time_days": None if lead is None else float(lead),
        "must_last_days": float(row["must_last"]),
        "stockout_days_28": row["stockout_days_28"],
    }


def _alerts(connection: Transaction, now: datetime, zone: ZoneInfo) -> dict[str, Any]:
    rows = alerts_view.alerts(connection, alerts_view.Wanted(), now)
    by = Counter(row["severity"] for row in rows)
    return {
        "count": len(rows),
        **{severity: by[severity] for severity in ("critical", "warning", "info")},
        "items": [
            {
                "id": row["id"],
                "rule": row["rule"],
                "severity": row["severity"],
                "feed": row["feed"] or None,
                "scope": row["scope"],
                "day": row["day"].isoformat() if row["day"] else None,
                "summary": row["summary"],
                "since": _moment(row["first_at"], zone),
                "acknowledged": row["acked_at"] is not None,
                "silenced": row["silenced_by"] is not None,
            }
            for row in rows[:MOST]
        ],
    }


def _workflow(run: Mapping[str, Any] | None, zone: ZoneInfo) -> dict[str, Any] | None:
    if run is None:
        return None
    return {
        "run": run["id"],
        "started_at": _moment(run["started_at"], zone),
        "steps": [
            {name: step[name] for name in ("name", "status", "seconds", "details", "error")}
            for step in run["steps"]
        ],
    }
