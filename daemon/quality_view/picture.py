"""The picture behind ``stockgrip quality`` and the Python API: what is recorded of a day, its trend, and what changed."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from daemon.quality_view.judgements import (
    TREND_DAYS,
    badness,
    by_metric,
    changes,
    headline,
    in_force,
    lateness,
    newer_day,
    still_missing,
    trend_of,
    trends,
)
from daemon.quality_view.why import why
from daemon.store.quality_view import TIMELINESS, Facts, Recorded
from handlers.quality.completeness import UNITS
from handlers.quality.result import JUDGED, Status, worst

FEEDS = tuple(UNITS)  # those with metrics
_OTHERS = 20  # of the scopes that are not well
UNWELL = (Status.FAIL, Status.ERROR, Status.WARNING)


def picture(
    facts: Facts, feeds: Sequence[str], now: datetime, zone: ZoneInfo, config: Path | None = None
) -> dict[str, Any]:
    """What is recorded of a day, for JSON and for a person.

    Args:
        facts: of these feeds.
        feeds: which to tell about.
        now: aware.
        zone: the business time zone.
        config: the configuration file that was named, so that the commands that are shown name it, too.

    Returns:
        ``day``, ``feed`` (if only one was asked for), ``newest_day``, ``newer_day`` (of which only lateness is known),
        ``nearest_days`` (where the day has no metrics), ``timezone``, ``as_of``, ``overall_status``, ``summary`` (metrics by status) and ``feeds``.
    """
    told = [] if facts.day is None or not facts.rows else [_feed(f, facts, now, zone, config) for f in feeds]
    statuses = [metric["status"] for feed in told for metric in feed["metrics"]]
    return {
        "day": _iso(facts.day),
        "feed": feeds[0] if len(feeds) == 1 else None,
        "newest_day": _iso(facts.newest),
        "newer_day": _iso(newer_day(facts, feeds)),
        "nearest_days": [day.isoformat() for day in facts.nearest],
        "timezone": zone.key,
        "as_of": now.isoformat(timespec="seconds"),
        "overall_status": worst(map(Status, statuses)).value,
        "summary": {status.value: statuses.count(status.value) for status in Status},
        "feeds": told,
    }


def explain_command(metric: str, feed: str, day: date | None, config: Path | None = None) -> str:
    """The command that tells more of a metric."""
    when = f" --day {day.isoformat()}" if day else ""
    return f"{_program(config)} quality explain {metric} --feed {feed}{when}"


def _told_by(came: Mapping[str, Any] | None, config: Path | None) -> str | None:
    return f"{_program(config)} explain {came['delivery']}" if came else None


def _program(config: Path | None) -> str:
    return f"stockgrip --config {shlex.quote(str(config))}" if config else "stockgrip"


def point(day: date, row: Recorded | None) -> dict[str, Any]:
    """A day of a trend."""
    return {
        "day": day.isoformat(),
        "value": row.value if row else None,
        "status": row.status if row else None,
    }


def _feed(feed: str, facts: Facts, now: datetime, zone: ZoneInfo, config: Path | None) -> dict[str, Any]:
    day = facts.day
    if day is None:
        raise AssertionError("there is no day to tell about")
    rows = in_force(row for row in facts.rows if row.feed == feed)
    series = trends((row for row in facts.past if row.feed == feed), day)
    metrics = [
        _metric(metric, some, facts, now, zone, config)
        for metric, some in by_metric([*rows, *lateness(facts, feed)]).items()
    ]
    before = _day_before(series)
    earlier = in_force(row for row in facts.past if row.feed == feed and row.day == before)
    return {
        "feed": feed,
        "status": worst(Status(metric["status"]) for metric in metrics).value,
        "last_day": _iso(facts.last.get(feed)),
        "metrics": metrics,
        "missing_files": missing_files(facts, feed, config),
        "day_before": _iso(before),
        "changes": [asdict(change) for change in changes(earlier, rows)],
    }


def missing_files(facts: Facts, feed: str, config: Path | None = None) -> list[dict[str, Any]]:
    """The files that did not come, the newest first: ``day``, ``source``, ``name``, ``due``, ``status``, ``why``, ``came``.

    ``command`` tells more of what came.
    """
    return [
        {
            "day": _iso(row.day),
            "source": row.details.get("source", ""),
            "name": row.details.get("name", ""),
            "due": row.details.get("due"),
            "status": row.status,
            "why": row.details.get("why"),
            "came": row.details.get("came"),
            "command": _told_by(row.details.get("came"), config),
        }
        for row in still_missing(facts, feed)
    ]


def _metric(
    metric: str,
    rows: Sequence[Recorded],
    facts: Facts,
    now: datetime,
    zone: ZoneInfo,
    config: Path | None,
) -> dict[str, Any]:
    first = headline(rows)
    if first is None:
        raise AssertionError(f"nothing is recorded of {metric}")
    others = [row for row in rows if row is not first and row.status in UNWELL and not _is_file(row)]
    others.sort(key=badness, reverse=True)
    day = facts.asked and facts.day
    return {
        "metric": metric,
        "scope": first.scope,
        "status": first.status,
        "value": first.value,
        "threshold": first.threshold,
        "at": first.at.isoformat(timespec="seconds"),
        "delivery": first.delivery_id,
        "why": why(first, zone, facts.rejected.get(first.feed, ())) if first.status != Status.PASS else "",
        "command": explain_command(metric, first.feed, day, config) if first.status in UNWELL else None,
        "trend": [point(each, row) for each, row in trend_of(first, facts, now, zone)],
        "others": [
            {"scope": row.scope, "status": row.status, "value": row.value} for row in others[:_OTHERS]
        ],
        "others_count": len(others),
        "details": dict(first.details),
    }


def _is_file(row: Recorded) -> bool:
    """Whether it speaks of one file: those are named elsewhere."""
    return row.metric == "accuracy" or (row.metric == TIMELINESS and row.day is not None)


def _day_before(series: dict[tuple[str, str], list[tuple[date, Recorded | None]]]) -> date | None:
    """The last day before the one that is told about of which anything was judged."""
    days = [
        day
        for points in series.values()
        for day, row in points[: TREND_DAYS - 1]
        if row is not None and row.status in JUDGED
    ]
    return max(days, default=None)


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
