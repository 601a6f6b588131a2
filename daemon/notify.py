"""What systemd is told: ready, alive, busy, reloading, stopping. Nothing, when nobody started us who wants to know.

The messages go by systemd-python (the extra `systemd`); without it they are not sent, and `lacking` says so.
See sd_notify(3).
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field


def _sender() -> Callable[[str], object] | None:
    try:
        from systemd.daemon import notify  # noqa: PLC0415
    except ImportError:
        return None
    send: Callable[[str], object] = notify
    return send


def _watchdog_seconds() -> float | None:
    """The watchdog's period, if we are the process that it watches."""
    micros, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not micros.isdigit() or int(micros) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(micros) / 1e6


@dataclass(slots=True)
class Notifier:
    """The line to systemd.

    Attributes:
        wanted: whether somebody listens.
        lacking: somebody listens, but systemd-python is not installed.
        watchdog_seconds: the period within which ``alive`` must be called; None: no watchdog.
    """

    wanted: bool = field(default_factory=lambda: bool(os.environ.get("NOTIFY_SOCKET")))
    watchdog_seconds: float | None = field(default_factory=_watchdog_seconds)
    lacking: bool = False
    _send: Callable[[str], object] | None = None
    _status: str = ""
    _allowed: float | None = None

    def __post_init__(self) -> None:
        if self.wanted:
            self._send = self._send or _sender()
            self.lacking = self._send is None

    def ready(self, status: str) -> None:
        """The program does its work: after the start, and after a reload."""
        self._tell("READY=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        """One line for `systemctl status`."""
        if status != self._status:
            self._status = status
            self._tell(f"STATUS={status}")

    def reloading(self) -> None:
        """The configuration is being read; ``ready`` ends it."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The end begins."""
        self._tell("STOPPING=1", "STATUS=finishing the delivery in hand")

    def alive(self) -> None:
        """Feeds the watchdog."""
        if self.watchdog_seconds is not None:
            self._tell("WATCHDOG=1")

    def allow(self, seconds: float | None = None) -> None:
        """Lets the watchdog wait so long from now on; None: its usual period again."""
        if self.watchdog_seconds is None:
            return
        wanted = seconds or self.watchdog_seconds
        if wanted != (self._allowed or self.watchdog_seconds):
            self._tell(f"WATCHDOG_USEC={round(wanted * 1e6)}", "WATCHDOG=1")
        self._allowed = wanted

    def _tell(self, *lines: str) -> None:
        if self._send is not None:
            self._send("\n".join(lines))
