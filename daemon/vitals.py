"""The daemon's vital signs: written by the loop, read by the watchdog and the health endpoint.

Each field is one plain attribute that only the loop's thread writes, so that a reader in another thread needs no lock and
never holds the loop up; two fields may be a moment apart.
"""

import time
from dataclasses import dataclass, field
from enum import StrEnum

LONGEST_STEP = 3900.0  # seconds that one of the steps that follow deliveries may take


class Phase(StrEnum):
    """What the loop is at."""

    STARTING = "starting"
    IDLE = "idle"
    DELIVERING = "delivering"
    FOLLOWING = "following"  # features and quality after deliveries
    PAUSED = "paused"  # the world is not well: ``paused`` says what
    STOPPING = "stopping"


@dataclass(slots=True)
class Vitals:
    """Times are ``time.monotonic()`` seconds, unless they are said to be of the wall clock."""

    started: float = field(default_factory=time.monotonic)
    ready_at: float | None = None
    phase: Phase = Phase.STARTING
    turned_at: float = field(default_factory=time.monotonic)  # the loop, or work in its hands, last moved on
    paused: str = ""  # "database" or "host" while intake is paused
    paused_why: str = ""
    paused_at: float | None = None
    waiting: int = 0  # files in the inbox that are not complete yet, or not taken yet
    held: int = 0  # of these, those that wait for something only their sender can do
    oldest_waiting: float | None = None  # wall clock: since when the oldest of them has been seen
    scanned_at: float | None = None  # the last full look at the inbox
    scan_seconds: float | None = None  # how long it took
    canary_seconds: float | None = (
        None  # from making a file to being told of it; None: not tried, or no inotify
    )
    database_at: float | None = None  # the database last answered
    delivery: str = ""  # the one in hand
    longest_work: float = LONGEST_STEP  # seconds that work in hand may take without a sign of life

    def turn(self, phase: Phase) -> None:
        """The loop is alive, and at this."""
        self.phase = phase
        self.turned_at = time.monotonic()
