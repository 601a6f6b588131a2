"""How a value came about: its figures, its first and final value, the limits, and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from daemon.quality_view.judgements import badness, in_force, is_part, trend_of
from daemon.quality_view.meanings import MEANINGS
from daemon.quality_view.next_steps import steps
from daemon.quality_view.picture import explain_command, missing_files, point
from daemon.quality_view.why import why
from daemon.store.quality_view import TIMELINESS, Facts, Recorded
from handlers.quality.result import Metric, Status, Thresholds, worst

_PARTS_NAMED = 10


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be explained.

    Attributes:
        metric: which.
        feeds: of which.
        scopes: only these; None: the feed as a whole, each rule and measure.
        config: the configuration file that was named.
    """

    metric: Metric
    feeds: Sequence[str]
    scopes: Sequence[str] | None = None
    config: Path | None = None


def rows_of(question: Question, facts: Facts) -> list[Recorded]:
    """All rows of the metric on the day (of timeliness: of the last days), the oldest first."""
    rows = [*facts.late, *facts.missing] if question.metric == TIMELINESS else facts.rows
    return [row for row in rows if row.metric == question.metric and row.feed in question.feeds]


def scopes_of(question: Question, facts: Facts) -> list[str]:
    """The scopes that there are."""
    return sorted({row.scope for row in rows_of(question, facts)})


def explanation(
    question: Question,
    facts: Facts,
    files: Mapping[int, str],
    thresholds: Thresholds,
    now: datetime,
    zone: ZoneInfo,
) -> dict[str, Any]:
    """All there is to say, for JSON and for a person.

    Args:
        question: what is asked.
        facts: of its feeds.
        files: names of the deliveries in them.
        thresholds: in force.
        now: aware.
        zone: the business time zone.

    Returns:
        ``metric``, ``meaning``, ``day``, ``feed``, ``newest_day``, ``nearest_days``, ``timezone``, ``as_of``, ``overall_status``,
        ``limits`` (settings and their values), ``settings`` (others that decide), ``results`` (of each feed the worst first), ``parts`` (places, channels and
        products that are recorded, the worst first, if no scope was asked for), ``missing_files`` (of timeliness) and ``scopes``.
    """
    meaning = MEANINGS[question.metric]
    rows = rows_of(question, facts)
    held = sorted(in_force(row for row in rows if not _is_file(row)), key=_rank, reverse=True)
    held.sort(key=lambda row: question.feeds.index(row.feed))
    whole = [row for row in held if _is_meant(row, question.scopes, held)]
    parts = [row for row in held if row not in whole] if question.scopes is None else []
    return {
        "metric": question.metric.value,
        "meaning": {
            key: text for key, text in asdict(meaning).items() if key in ("sentence", "formula", "reading")
        },
        "day": facts.day.isoformat() if facts.day else None,
        "feed": question.feeds[0] if len(question.feeds) == 1 else None,
        "newest_day": facts.newest.isoformat() if facts.newest else None,
        "nearest_days": [day.isoformat() for day in facts.nearest],
        "timezone": zone.key,
        "as_of": now.isoformat(timespec="seconds"),
        "overall_status": worst(Status(row.status) for row in whole).value,
        "limits": {
            f"quality.thresholds.{key}": getattr(thresholds, key) for key in (meaning.passes, meaning.warns)
        },
        "settings": [f"quality.{key}" for key in meaning.more],
        "results": [_result(row, rows, facts, files, question, zone, now) for row in whole],
        "parts": [
            {"feed": row.feed, "scope": row.scope, "status": row.status, "value": row.value}
            for row in sorted(parts, key=_rank, reverse=True)[:_PARTS_NAMED]
        ],
        "parts_count": len(parts),
        "missing_files": [
            {"feed": feed, **each}
            for feed in question.feeds
            if question.metric == TIMELINESS
            for each in missing_files(facts, feed, question.config)
            if question.scopes is None or f"source:{each['source']}" in question.scopes
        ],
        "scopes": scopes_of(question, facts),
    }


def _is_file(row: Recorded) -> bool:
    """Whether it speaks of a file that did not come."""
    return row.metric == TIMELINESS and row.day is not None


def _is_meant(row: Recorded, scopes: Sequence[str] | None, held: Sequence[Recorded]) -> bool:
    if scopes is not None:
        return row.scope in scopes
    return not is_part(row.scope) or all(is_part(other.scope) for other in held if other.feed == row.feed)


def _rank(row: Recorded) -> tuple[int, float]:
    order = {Status.FAIL: 4, Status.ERROR: 3, Status.WARNING: 2, Status.PASS: 1}
    return (order.get(Status(row.status), 0), badness(row))


def _result(
    row: Recorded,
    rows: Sequence[Recorded],
    facts: Facts,
    files: Mapping[int, str],
    question: Question,
    zone: ZoneInfo,
    now: datetime,
) -> dict[str, Any]:
    own = [each for each in rows if (each.feed, each.scope, each.day) == (row.feed, row.scope, row.day)]
    rejected = facts.rejected.get(row.feed, ())
    return {
        "feed": row.feed,
        "scope": row.scope,
        "status": row.status,
        "value": row.value,
        "threshold": row.threshold,
        "at": row.at.isoformat(timespec="seconds"),
        "delivery": row.delivery_id,
        "file": files.get(row.delivery_id or 0),
        "why": why(row, zone, rejected),
        "details": dict(row.details),
        "rejected": [
            {"delivery": key, "file": file, "rows": count, "reason": reason}
            for key, file, count, reason in (rejected if row.metric == Metric.ACCURACY else ())
        ],
        "history": [_moment(each, files) for each in own],
        "trend": [point(day, found) for day, found in trend_of(row, facts, now, zone)],
        "next": steps(row, rejected, facts.day, question.config),
        "command": explain_command(row.metric, row.feed, facts.day, question.config),
    }


def _moment(row: Recorded, files: Mapping[int, str]) -> dict[str, Any]:
    return {
        "at": row.at.isoformat(timespec="seconds"),
        "value": row.value,
        "status": row.status,
        "delivery": row.delivery_id,
        "file": files.get(row.delivery_id or 0),
    }
