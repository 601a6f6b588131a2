"""What the report of a day says, as plain JSON: see docs/report.md."""

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from daemon.quality_view.moment import facts_now
from daemon.quality_view.picture import FEEDS, picture
from daemon.report.facts_files import MOST, files, missing, moment, rejects
from daemon.report.headline import headline
from daemon.report.unusual import unusual
from daemon.settings import Settings
from daemon.store import alerts_view
from daemon.store import report as store
from daemon.store.features import frontier
from daemon.store.quality import Transaction
from daemon.store.quality_view import Facts

VERSION = 1
SALES_DAYS = 28
DAYS_OF_COVER = 3.0  # that a stock must last where the catalogue has no lead time
_SAME_WEEKDAYS = 8
_LEAST_SAME_WEEKDAYS = 3
_MONEY = 10_000
_DAY = timedelta(days=1)


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
        "created_at": moment(now, zone),
        "sales": _sales(connection, chosen),
        "files": files(connection, chosen, when, zone),
        "missing_files": missing(judged),
        "rejects": rejects(connection, chosen, when),
        "quality": _quality(judged, now, zone),
        "anomalies": unusual(connection, settings, judged.rows, chosen, MOST),
        "stock": _stock(connection, chosen),
        "alerts": _alerts(connection, now, zone),
        "workflow": _workflow(run, zone),
    }
    found["sales"]["complete"] = _is_complete(found["quality"])
    return {**found, "headline": headline(found)}


def _begin(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)


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
                "since": moment(row["first_at"], zone),
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
        "started_at": moment(run["started_at"], zone),
        "steps": [
            {name: step[name] for name in ("name", "status", "seconds", "details", "error")}
            for step in run["steps"]
        ],
    }
