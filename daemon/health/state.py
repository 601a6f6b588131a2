"""Whether the daemon lives, and whether it can load what comes: judged from its vital signs and from what is known."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from daemon.health.known import Known
from daemon.settings import SettleSettings
from daemon.vitals import Phase, Vitals

TURN_SECONDS = 30.0  # the loop turns every 10 s when it has no work in hand
LEAST_BYTES = 64 << 20  # below, intake is about to pause
_SCAN_MARGIN = 30.0
_BUSY = frozenset({Phase.STARTING, Phase.DELIVERING, Phase.FOLLOWING, Phase.STOPPING})


class Cause(StrEnum):
    """Why the daemon is not ready; each has a meaning for docs/health.md."""

    meaning: str

    def __new__(cls, name: str, meaning: str = "") -> Self:
        """Make the member a string equal to its name."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.meaning = meaning
        return member

    STARTING = "starting", "It has not looked through the inbox yet."
    STOPPING = "stopping", "It was asked to end, and finishes the delivery in hand."
    LOOP = "loop", "The loop stands still: `/healthz` says 503, too."
    THREAD = "thread", "A thread of the daemon has ended: `/healthz` says 503, too; the log says why."
    PAUSED = "paused", "Intake is paused, because of the database or of the host."
    DATABASE = "database", "The database does not answer within 2 s."
    TABLES = "tables", "The database lacks migrations, or a newer release made it."
    SCAN = "scan", "The last full look into the inbox is longer ago than twice its period and 30 s."
    DISK = "disk", "Less than 64 MiB are free for the data folder or the database."


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, in general and in particular."""

    cause: Cause
    said: str


def dead(vitals: Vitals, now: float, *, threads_well: bool) -> Reason | None:
    """Why the daemon does not live any more: it should be started anew. None: it lives.

    A delivery, or a step that follows one, may legitimately take as long as systemd's watchdog is told.

    Args:
        vitals: of the loop.
        now: monotonic seconds.
        threads_well: whether the loop's helpers live.
    """
    age = now - vitals.turned_at
    most = vitals.longest_work if vitals.phase in _BUSY or vitals.delivery else TURN_SECONDS
    if age > most:
        at = f"{vitals.phase}, delivery {vitals.delivery}" if vitals.delivery else str(vitals.phase)
        return Reason(
            Cause.LOOP, f"the loop has not moved for {age:.0f} s (allowed: {most:.0f}; it is at: {at})"
        )
    if not threads_well:
        return Reason(Cause.THREAD, "a thread of the daemon has ended; see the log")
    return None


def not_ready(
    vitals: Vitals, known: Known, settle: SettleSettings, now: float, *, threads_well: bool, active_at: float
) -> list[Reason]:
    """Why the daemon cannot load what comes; [] if it can.

    Args:
        vitals: of the loop.
        known: of the database and the disks.
        settle: how often the inbox is looked through.
        now: monotonic seconds.
        threads_well: whether the loop's helpers live.
        active_at: when it last brought a file to its end, in monotonic seconds.
    """
    return list(_reasons(vitals, known, settle, now, threads_well, active_at))


def _reasons(
    vitals: Vitals, known: Known, settle: SettleSettings, now: float, threads_well: bool, active_at: float
) -> Iterator[Reason]:
    if vitals.phase is Phase.STOPPING:
        yield Reason(Cause.STOPPING, "it was asked to end")
    elif vitals.ready_at is None:
        yield Reason(Cause.STARTING, f"it began {now - vitals.started:.0f} s ago, and is not ready yet")
    if lifeless := dead(vitals, now, threads_well=threads_well):
        yield lifeless
    if vitals.paused:
        since = f" for {now - vitals.paused_at:.0f} s" if vitals.paused_at is not None else ""
        yield Reason(Cause.PAUSED, f"intake is paused{since} ({vitals.paused}): {vitals.paused_why}")
    if known.database.figures is None:
        yield Reason(Cause.TABLES if known.database.other_release else Cause.DATABASE, known.database.error)
    if vitals.ready_at is not None and not vitals.paused and vitals.phase not in _BUSY:
        seen = max(vitals.scanned_at or vitals.ready_at, active_at)
        most = 2 * max(settle.scan_seconds, settle.poll_seconds) + _SCAN_MARGIN
        if now - seen > most:
            said = f"the inbox was last looked through {now - seen:.0f} s ago (allowed: {most:.0f})"
            yield Reason(Cause.SCAN, said)
    for name, disk in known.disks.items():
        if disk.free < LEAST_BYTES:
            yield Reason(Cause.DISK, f"{disk.free >> 20} MiB are free for the {name} folder")
