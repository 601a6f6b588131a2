"""The numbers behind ``/metrics``: counters of what was emitted since the start, and gauges of what is so now.

Every metric is declared here, once; docs/health.md is held to this list by a test. Labels have few values, all known
beforehand: feeds, reasons, steps, events. A file's name or a product is never a label.
"""

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from daemon.events import Event
from daemon.timing import STEPS
from handlers import HANDLERS
from handlers.reasons import FileReason, RowReason

NO_FEED: Final = "none"  # files whose name belongs to no feed
FEEDS: Final = (*(feed.name for feed in HANDLERS), NO_FEED)
_OUTCOMES: Final[dict[Event, str]] = {
    Event.DELIVERY_LOADED: "loaded",
    Event.DELIVERY_PARTIAL: "partial",
    Event.DELIVERY_DUPLICATE: "duplicate",
    Event.DELIVERY_REFUSED: "refused",
    Event.DELIVERY_HELD: "held",
}
_LOUD: Final = tuple(event for event in Event if event.level in ("warning", "error"))
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric.

    Attributes:
        name: as it is scraped; of a histogram without ``_bucket``, ``_sum`` and ``_count``.
        kind: of Prometheus.
        labels: their names.
        meaning: one sentence.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram", "info"]
    labels: tuple[str, ...]
    meaning: str

    @property
    def family(self) -> str:
        """Its name as prometheus_client wants it, which adds the suffixes itself."""
        return self.name.removesuffix("_total").removesuffix("_info")


def _of(
    kind: Literal["counter", "gauge", "histogram", "info"], name: str, meaning: str, *labels: str
) -> Metric:
    return Metric(f"stockgrip_{name}", kind, labels, meaning)


DELIVERIES: Final = _of("counter", "deliveries_total", "Files brought to their end since the start of the daemon, by outcome (loaded, partial, duplicate, refused, held); feed none: no feed owns the name.", "feed", "outcome")  # fmt: skip
ROWS: Final = _of("counter", "rows_total", "Rows loaded since the start of the daemon.", "feed")
REJECTS: Final = _of("counter", "rejects_total", "Rows rejected since the start of the daemon, from files of which the others were loaded, by reason.", "feed", "reason")  # fmt: skip
REFUSALS: Final = _of("counter", "refusals_total", "Files refused as a whole since the start of the daemon, by reason.", "feed", "reason")  # fmt: skip
STEP_SECONDS: Final = _of("histogram", "step_seconds", "How long a step took: read, commit and file of a delivery; features, quality and new day of what follows.", "step")  # fmt: skip
LOG_EVENTS: Final = _of("counter", "log_events_total", "Warnings and errors in the log since the start of the daemon, by event.", "event", "level")  # fmt: skip
BUILD: Final = _of("info", "build_info", "Always 1: the version, Python's, and the kind of database.", "version", "python", "database")  # fmt: skip

COUNTERS: Final = (DELIVERIES, ROWS, REJECTS, REFUSALS, STEP_SECONDS, LOG_EVENTS, BUILD)


class Counters:
    """What is counted from events, since the start."""

    def __init__(self, registry: CollectorRegistry, build: Mapping[str, str]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the process has its own start time, and that of each series is noise
        self._deliveries = _counter(DELIVERIES, registry)
        self._rows = _counter(ROWS, registry)
        self._rejects = _counter(REJECTS, registry)
        self._refusals = _counter(REFUSALS, registry)
        self._loud = _counter(LOG_EVENTS, registry)
        self._seconds = Histogram(
            STEP_SECONDS.family,
            STEP_SECONDS.meaning,
            STEP_SECONDS.labels,
            registry=registry,
            buckets=_BUCKETS,
        )
        Info(BUILD.family, BUILD.meaning, registry=registry).info(
            {**build, "python": platform.python_version()}
        )
        ProcessCollector(registry=registry)
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """A counter that first appears at 1 has not increased, to Prometheus: all of them are there from the start."""
        for feed in FEEDS:
            self._rows.labels(feed)
            for outcome in _OUTCOMES.values():
                self._deliveries.labels(feed, outcome)
            for reason in RowReason:
                self._rejects.labels(feed, reason.value)
            for refusal in FileReason:
                self._refusals.labels(feed, refusal.value)
        for step in STEPS:
            self._seconds.labels(step)
        for event in _LOUD:
            self._loud.labels(event, event.level)

    def count(self, event: Event, fields: Mapping[str, Any]) -> None:
        """Counts an event, if it is one that is counted; what its fields lack is left out."""
        if event in _OUTCOMES:
            feed = _one_of(FEEDS, fields.get("feed"), NO_FEED)
            self._deliveries.labels(feed, _OUTCOMES[event]).inc()
            self._rows.labels(feed).inc(fields.get("rows_loaded") or 0)
            self._count_reasons(feed, event, fields)
        elif event is Event.STEP_TIMED and fields.get("step") in STEPS:
            self._seconds.labels(fields["step"]).observe(fields["seconds"])
        if event in _LOUD:
            self._loud.labels(event, event.level).inc()

    def _count_reasons(self, feed: str, event: Event, fields: Mapping[str, Any]) -> None:
        if event is Event.DELIVERY_PARTIAL:
            for reason, rows in (fields.get("reasons") or {}).items():
                self._rejects.labels(feed, _one_of(RowReason, reason, "other")).inc(rows)
        elif event is Event.DELIVERY_REFUSED:
            self._refusals.labels(feed, _one_of(FileReason, fields.get("code"), "other")).inc()
        elif event is Event.DELIVERY_HELD:
            self._refusals.labels(feed, FileReason.SHRUNK.value).inc()


def _counter(metric: Metric, registry: CollectorRegistry) -> Counter:
    return Counter(metric.family, metric.meaning, metric.labels, registry=registry)


def _one_of(known: Iterable[str], value: object, otherwise: str) -> str:
    """A label's value, or what stands for all others: labels are never what somebody made up."""
    return next((str(one) for one in known if one == value), otherwise)
