"""The quality of the data from Python: the daemon's recorded judgements."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypedDict, TypeVar
from zoneinfo import ZoneInfo

from daemon.quality_view.judgements import headline, in_force, lateness, lateness_by_day, trends
from daemon.quality_view.moment import facts_now
from daemon.quality_view.picture import FEEDS, missing_files, point
from daemon.settings import Settings
from daemon.store import quality_view as recorded
from daemon.store.quality_view import Facts, Recorded
from handlers.quality.result import JUDGED, Metric, Status, worst
from stockgrip.pipeline import chosen

_Answer = TypeVar("_Answer")


class QualityResult(TypedDict):
    """What one check says.

    Attributes:
        status: ``pass``, ``warning``, ``fail``, ``pending``, ``insufficient_history``, ``skipped`` or ``error``.
        metric_name: ``completeness``, ``accuracy``, ``timeliness``, ``consistency`` or ``anomaly_score``.
        metric_value: None if there is nothing to say.
        threshold_value: where a value passes.
        details: what the value was made of; and ``data_source``, ``date`` (the business day, ISO), ``scope`` and
            ``judged_at`` (ISO, UTC).
    """

    status: str
    metric_name: str
    metric_value: float | None
    threshold_value: float
    details: dict[str, Any]


class QualityReport(TypedDict):
    """What all checks say.

    Attributes:
        overall_status: the worst.
        checks: by ``FEED_METRIC``, such as ``sales_completeness``.
        summary: ``total``, and how many have each status.
    """

    overall_status: str
    checks: dict[str, QualityResult]
    summary: dict[str, int]


class _Session(Protocol):
    """What is needed of a SQLAlchemy session."""

    def connection(self) -> Any: ...

    def in_transaction(self) -> bool: ...

    def rollback(self) -> None: ...


class DataQualityMonitor:
    """Tells what the daemon has recorded about the quality of the data, and how late it is now; it writes nothing.

    Where no day is named the newest that has metrics is meant.
    """

    def __init__(
        self, session: _Session, config: Path | str | None = None, settings: Settings | None = None
    ) -> None:
        """Reads the configuration: its time zone and limits.

        Args:
            session: a SQLAlchemy session (``get_session``) on the daemon's database. A transaction that a call begins
                ends with it.
            config: the configuration file; without it ``config.yaml`` in the current folder, if there is one.
            settings: settings instead of a file.

        Raises:
            ConfigError: the configuration is wrong.
        """
        self._session = session
        self._settings = chosen(config, settings)
        self._zone = ZoneInfo(self._settings.timezone)

    def check_data_completeness(self, data_type: str, date: date | None = None) -> QualityResult:
        """Whether all came that was to be expected of a business day.

        Args:
            data_type: the feed.
            date: the business day; an aware datetime is taken in the business time zone.

        Raises:
            ValueError: there is no such feed.
        """
        return self._of_day(Metric.COMPLETENESS, _feed(data_type), self._day(date))

    def check_data_timeliness(self, data_type: str, *, now: datetime | None = None) -> QualityResult:
        """How many hours a feed is late; ``details["missing_files"]`` did not come.

        Args:
            data_type: the feed.
            now: aware; the moment that is asked about, else this one. What arrived later is left out.

        Raises:
            ValueError: there is no such feed, or ``now`` has no time zone.
        """
        feed, moment = _feed(data_type), _moment(now)
        return self._late(feed, self._facts((feed,), None, moment))

    def check_data_consistency(self, data_type: str) -> QualityResult:
        """Whether the figures of the newest day agree with each other: the rule that is kept least.

        ``details["rules"]`` has the value and status of each rule.

        Raises:
            ValueError: there is no such feed.
        """
        return self._of_day(Metric.CONSISTENCY, _feed(data_type), None)

    def detect_sales_anomalies(self, lookback_days: int = 30) -> QualityResult:
        """The days of unusual sales; see ``detect_inventory_anomalies``."""
        return self._anomalies("sales", lookback_days)

    def detect_inventory_anomalies(self, lookback_days: int = 30) -> QualityResult:
        """The days of unusual inventory.

        The value is the score farthest from 0 of the feed as a whole; ``details["anomalies"]`` has the days, and places,
        channels and products, that are beyond the threshold, the newest first.

        Args:
            lookback_days: so many days up to the newest with metrics, 1 or more.

        Raises:
            ValueError: ``lookback_days`` is less than 1.
        """
        return self._anomalies("inventory", lookback_days)

    def run_comprehensive_quality_check(self, *, now: datetime | None = None) -> QualityReport:
        """All metrics of all feeds.

        Args:
            now: aware; the moment that is asked about, else this one.

        Raises:
            ValueError: ``now`` has no time zone.
        """
        moment = _moment(now)
        checks = {}
        for feed in FEEDS:
            facts = self._facts((feed,), None, moment)
            for metric in Metric:
                some = [row for row in _held(facts.rows, feed) if row.metric == metric]
                checks[f"{feed}_{metric}"] = (
                    self._late(feed, facts)
                    if metric is Metric.TIMELINESS
                    else self._result(metric, feed, some, facts.day)
                )
        statuses = [check["status"] for check in checks.values()]
        counts = {status.value: statuses.count(status.value) for status in Status}
        return {
            "overall_status": worst(map(Status, statuses)).value,
            "checks": checks,
            "summary": {"total": len(statuses), **counts},
        }

    def get_quality_trends(self, days: int = 7) -> dict[str, Any]:
        """What was judged of each of the last days.

        Args:
            days: so many up to the newest with metrics (of timeliness: up to the newest moment), 1 or more.

        Returns:
            ``days``, ``from``, ``to``, and ``trends``: by feed and metric a list of ``day``, ``value`` and ``status``,
            the oldest first; None where nothing was judged.

        Raises:
            ValueError: ``days`` is less than 1.
        """
        _at_least_one("days", days)
        facts = self._facts(FEEDS, None, datetime.now(UTC), days)
        told: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(dict)
        if facts.day is not None:
            for (feed, metric), points in trends(facts.past, facts.day, days).items():
                told[feed][metric] = [point(day, row) for day, row in points]
        for feed in dict.fromkeys(row.feed for row in facts.late):
            last = max(row.at for row in facts.late if row.feed == feed).astimezone(self._zone).date()
            points = lateness_by_day(facts.late, feed, last, self._zone, days)
            told[feed]["timeliness"] = [point(day, row) for day, row in points]
        begin = None if facts.day is None else facts.day - timedelta(days=days - 1)
        return {
            "days": days,
            "from": None if begin is None else begin.isoformat(),
            "to": None if facts.day is None else facts.day.isoformat(),
            "trends": dict(told),
        }

    # ---- parts

    def _ask(self, question: Callable[[Any], _Answer]) -> _Answer:
        """An answer; a transaction that it begins ends with it, so that the next one sees what came since."""
        before = self._session.in_transaction()
        try:
            return question(self._session.connection())
        finally:
            if not before:
                self._session.rollback()

    def _facts(self, feeds: Sequence[str], day: date | None, now: datetime, days: int = 1) -> Facts:
        return self._ask(lambda connection: facts_now(connection, self._settings, feeds, now, day, days))

    def _day(self, given: date | None) -> date | None:
        if isinstance(given, datetime):
            return (given.astimezone(self._zone) if given.tzinfo else given).date()
        return given

    def _of_day(self, metric: Metric, feed: str, day: date | None) -> QualityResult:
        facts = self._facts((feed,), day, datetime.now(UTC))
        some = [row for row in _held(facts.rows, feed) if row.metric == metric]
        return self._result(metric, feed, some, facts.day)

    def _late(self, feed: str, facts: Facts) -> QualityResult:
        found = self._result(Metric.TIMELINESS, feed, lateness(facts, feed))
        found["details"]["missing_files"] = missing_files(facts, feed)
        return found

    def _result(
        self, metric: Metric, feed: str, rows: Sequence[Recorded], day: date | None = None
    ) -> QualityResult:
        """What speaks for some rows in force; and what there is to say if there are none."""
        row = headline(rows)
        if row is None:
            when = f" on {day.isoformat()}" if day else ""
            return {
                "status": Status.INSUFFICIENT_HISTORY.value,
                "metric_name": metric.value,
                "metric_value": None,
                "threshold_value": self._threshold(metric),
                "details": {
                    "data_source": feed,
                    "date": day.isoformat() if day else None,
                    "message": f"no {metric.value} of {feed} is recorded{when}",
                },
            }
        details = {
            **row.details,
            "data_source": feed,
            "date": row.day.isoformat() if row.day else None,
            "scope": row.scope,
            "judged_at": row.at.isoformat(timespec="seconds"),
        }
        if metric is Metric.CONSISTENCY:
            details["rules"] = {
                each.scope.removeprefix("rule:"): {"value": each.value, "status": each.status}
                for each in rows
            }
        return {
            "status": row.status,
            "metric_name": metric.value,
            "metric_value": row.value,
            "threshold_value": self._threshold(metric) if row.threshold is None else row.threshold,
            "details": details,
        }

    def _threshold(self, metric: Metric) -> float:
        limits = self._settings.quality.thresholds
        return {
            Metric.COMPLETENESS: limits.completeness_pass,
            Metric.ACCURACY: limits.accuracy_pass,
            Metric.TIMELINESS: limits.delay_pass_hours,
            Metric.CONSISTENCY: limits.consistency_pass,
            Metric.ANOMALY_SCORE: limits.anomaly_info,
        }[metric]

    def _anomalies(self, feed: str, lookback_days: int) -> QualityResult:
        _at_least_one("lookback_days", lookback_days)

        def question(connection: Any) -> list[Recorded]:
            last = recorded.last_day(connection, feed)
            if last is None:
                return []
            return recorded.anomalies(connection, feed, last - timedelta(days=lookback_days - 1), last)

        by_day: dict[date | None, list[Recorded]] = defaultdict(list)
        for row in self._ask(question):
            by_day[row.day].append(row)
        held = [row for rows in by_day.values() for row in in_force(rows)]
        found = self._result(Metric.ANOMALY_SCORE, feed, held)
        beyond = [row for row in held if row.status in (Status.WARNING, Status.FAIL)]
        found["details"] |= {
            "lookback_days": lookback_days,
            "days_judged": len({row.day for row in held if row.status in JUDGED}),
            "anomalies": [
                {
                    "date": row.day.isoformat() if row.day else None,
                    "scope": row.scope,
                    "score": row.value,
                    **row.details,
                }
                for row in sorted(beyond, key=lambda row: row.id, reverse=True)
            ],
        }
        return found


def _held(rows: Sequence[Recorded], feed: str) -> list[Recorded]:
    return in_force(row for row in rows if row.feed == feed)


def _feed(data_type: str) -> str:
    """The feed's name.

    Raises:
        ValueError: nothing is measured of it.
    """
    if data_type not in FEEDS:
        raise ValueError(f"data_type is {data_type!r}; measured are {', '.join(FEEDS)}")
    return data_type


def _moment(now: datetime | None) -> datetime:
    if now is None:
        return datetime.now(UTC)
    if now.tzinfo is None:
        raise ValueError(f"now is {now.isoformat()} without a time zone; give one, as in datetime.now(UTC)")
    return now


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} is {value}; it must be 1 or more")
