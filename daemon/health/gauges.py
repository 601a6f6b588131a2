"""What is so at the moment of a scrape: from the loop's vital signs, the database and the disks."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from daemon.health.known import Known, age
from daemon.health.metrics import FEEDS, NO_FEED, Metric
from daemon.health.state import Cause, Reason
from daemon.store.figures import Figures
from daemon.vitals import Phase, Vitals
from handlers.alerts.rules import Severity

_PAUSES = ("database", "host")
_Values = Mapping[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Picture:
    """All that gauges tell, at one moment.

    Attributes:
        vitals: of the loop.
        known: of the database and the disks.
        lifeless: why the daemon does not live, or None.
        lacking: why it is not ready.
    """

    vitals: Vitals
    known: Known
    lifeless: Reason | None
    lacking: list[Reason]


def _of(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(f"stockgrip_{name}", "gauge", labels, meaning)


HEALTHY: Final = _of("healthy", "1 if the daemon lives, as /healthz says.")
READY: Final = _of("ready", "1 if it can load what comes, as /readyz says.")
NOT_READY: Final = _of("not_ready", "1 for each reason why it is not ready (see Reasons).", "reason")
PHASE: Final = _of("loop_phase", "1 for what the loop is at (starting, idle, delivering, following, paused, stopping), 0 for the others.", "phase")  # fmt: skip
TURN: Final = _of("loop_age_seconds", "Seconds since the loop, or the work in its hands, last moved on; idle it turns every 10 s.")  # fmt: skip
PAUSED: Final = _of("paused", "1 while intake is paused, by what is at fault (database, host).", "reason")
WAITING: Final = _of("waiting_files", "Files in the inbox that are not complete, or not taken yet; those that their sender must finish are among them.")  # fmt: skip
OLDEST: Final = _of(
    "oldest_waiting_seconds", "For how long the oldest of them has been there; 0 if none waits."
)
SCAN: Final = _of("scan_seconds", "How long the last full look into the inbox took.")
SCAN_AGE: Final = _of("scan_age_seconds", "Seconds since the last full look into the inbox.")
CANARY: Final = _of("canary_seconds", "From making a file to being told of it, at the last canary; absent if there are no events.")  # fmt: skip
DATABASE: Final = _of("database_up", "1 if the database answered as it should within 2 s.")
DATABASE_SECONDS: Final = _of("database_answer_seconds", "How long it took to read these figures from it, connecting included.")  # fmt: skip
LAST: Final = _of("last_delivery_timestamp_seconds", "When the last file of a feed arrived, whatever became of it, as Unix time; absent if none did.", "feed")  # fmt: skip
ROWS_TODAY: Final = _of("rows_today", "Rows of today's files that are loaded now; today by the business time zone.", "feed")  # fmt: skip
DUE_FEATURES: Final = _of("due_features", "Products whose features are not up to date yet.")
DUE_QUALITY: Final = _of("due_quality", "Days of a feed whose quality is not judged yet.")
FIRING: Final = _of("alerts_firing", "Alerts that fire, by severity (critical, warning, info).", "severity")
NOTICES: Final = _of(
    "notices_waiting",
    "News of alerts that no letter tells yet; some wait for the daily digest, or are silenced.",
)
LETTERS: Final = _of("letters_waiting", "Letters that are not sent yet, by channel.", "channel")
UNSENT: Final = _of(
    "oldest_letter_seconds", "For how long the oldest of those letters waits; 0 if none does."
)
FREE: Final = _of("disk_free_bytes", "Bytes free for the daemon: data (the data folder), database (SQLite's folder).", "folder")  # fmt: skip
SIZE: Final = _of("disk_size_bytes", "Size of that filesystem.", "folder")
CHANNELS: Final = ("log", "mail", "webhook")


class Gauges(Collector):
    """Collects from the picture that was taken for this scrape."""

    def __init__(self) -> None:
        self.picture: Picture | None = None

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing: names are checked by a test, and there is no picture yet."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges; those of a database that does not answer are absent."""
        if self.picture is None:
            return
        for metric, values in gauges(self.picture):
            family = GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)
            for labels, value in values.items():
                family.add_metric(labels, value)
            yield family


def gauges(picture: Picture) -> Iterator[tuple[Metric, _Values]]:
    """Each gauge with its values by the values of its labels."""
    causes = {reason.cause for reason in picture.lacking}
    yield HEALTHY, {(): float(picture.lifeless is None)}
    yield READY, {(): float(not causes)}
    yield NOT_READY, {(cause.value,): float(cause in causes) for cause in Cause}
    yield from _of_loop(picture.vitals)
    database = picture.known.database
    yield DATABASE, {(): float(database.figures is not None)}
    if database.figures is not None:
        yield DATABASE_SECONDS, {(): database.seconds}
        yield from _of_database(database.figures)
    yield FREE, {(name,): disk.free for name, disk in picture.known.disks.items()}
    yield SIZE, {(name,): disk.size for name, disk in picture.known.disks.items()}


def _of_loop(vitals: Vitals) -> Iterator[tuple[Metric, _Values]]:
    now = time.monotonic()
    yield PHASE, {(phase.value,): float(vitals.phase is phase) for phase in Phase}
    yield TURN, {(): now - vitals.turned_at}
    yield PAUSED, {(reason,): float(vitals.paused == reason) for reason in _PAUSES}
    yield WAITING, {(): vitals.waiting}
    yield OLDEST, {(): waited(vitals)}
    if vitals.scan_seconds is not None and vitals.scanned_at is not None:
        yield SCAN, {(): vitals.scan_seconds}
        yield SCAN_AGE, {(): now - vitals.scanned_at}
    if vitals.canary_seconds is not None:
        yield CANARY, {(): vitals.canary_seconds}


def waited(vitals: Vitals) -> float:
    """For how many seconds the oldest file has been there; 0 if none waits."""
    oldest = vitals.oldest_waiting
    return 0.0 if oldest is None or not vitals.waiting else max(0.0, time.time() - oldest)


def _of_database(figures: Figures) -> Iterator[tuple[Metric, _Values]]:
    at: dict[tuple[str, ...], float] = {}
    today: dict[tuple[str, ...], float] = {}
    for row in figures.feeds:
        feed = row["feed"] or NO_FEED
        if feed in FEEDS:
            at[feed,] = datetime.fromisoformat(row["last"]["at"]).timestamp()
            today[feed,] = row["rows_today"]
    yield LAST, at
    yield ROWS_TODAY, today
    yield DUE_FEATURES, {(): figures.due.products}
    yield DUE_QUALITY, {(): figures.due.days}
    yield FIRING, {(severity.value,): figures.firing.get(severity, 0) for severity in Severity}
    yield NOTICES, {(): figures.notices}
    yield LETTERS, {(channel,): figures.letters.get(channel, 0) for channel in CHANNELS}
    yield UNSENT, {(): 0.0 if figures.oldest_letter is None else age(figures.oldest_letter)}


GAUGES: Final = tuple(one for one in globals().values() if isinstance(one, Metric) and one.kind == "gauge")
