"""Clock: the business time zone, and whether the time of day can be believed."""

import ctypes
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from daemon.doctor.finding import Check, NotLooked, Remark, fail, ok, warn
from daemon.doctor.site import Site
from daemon.doctor.words import quoted, span

AREA = "clock"
_TOLERATED = 2.0  # seconds between the filesystem's clock and ours
_STA_UNSYNC = 0x40
_SET = "sudo timedatectl set-ntp true; timedatectl"


def _timezone(site: Site) -> Iterator[Remark]:
    name = site.settings.timezone
    here = datetime.fromtimestamp(site.clock(), ZoneInfo(name))
    if name == "UTC" and "timezone" not in {**site.in_file, **site.in_environment}:
        yield warn(
            "UTC, because nothing else is set: a sale at 23:30 in Berlin or 19:30 in New York counts on another day",
            "Set timezone to that of the business, before the first load; if it is UTC, write that.",
        )
    else:
        yield ok(f"{name}, where it is {here:%Y-%m-%d %H:%M} now ({here:%z})")


def _plausible(site: Site) -> Iterator[Remark]:
    now = datetime.fromtimestamp(site.clock(), UTC)
    made = datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC)
    if now < made - timedelta(days=1):
        yield fail(
            f"it is {now:%Y-%m-%d %H:%M} UTC, and this program was installed on {made:%Y-%m-%d}", _WRONG, _SET
        )
    else:
        yield ok(f"{now:%Y-%m-%d %H:%M} UTC, after this program was installed")


def _ledger(site: Site) -> Iterator[Remark]:
    ledger = site.database.ledger
    if ledger is None or ledger.last is None:
        raise NotLooked("the ledger has no delivery yet")
    now = datetime.fromtimestamp(site.clock(), UTC)
    ahead = (ledger.last - now).total_seconds()
    if ahead > _TOLERATED:
        yield fail(
            f"the last delivery arrived {span(ahead)} in the future ({ledger.last:%Y-%m-%d %H:%M} UTC)",
            _WRONG,
            _SET,
        )
    else:
        yield ok(f"the last delivery arrived {span(-ahead)} ago")


_WRONG = "The clock is wrong, or was. Rows dated more than a day ahead of it are rejected; set it:"


class _Timex(ctypes.Structure):
    """The beginning of ``struct timex``, and room for the rest; see adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 512),
    )


def _synchronised(site: Site) -> Iterator[Remark]:
    timex = _Timex()
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex)) < 0:
        raise NotLooked("the kernel does not tell")
    if not timex.status & _STA_UNSYNC:
        yield ok(f"the kernel's clock is kept to within {timex.maxerror / 1e6:.3f} s")
    elif (site.run / "systemd/timesync/synchronized").exists():
        yield ok("systemd-timesyncd has set the clock")
    else:
        yield warn(
            "nobody keeps the clock (NTP): it drifts by seconds a day",
            "Switch it on; in a container or a virtual machine the host may do it:",
            _SET,
        )


def _filesystem(site: Site) -> Iterator[Remark]:
    ahead = site.tried.ahead_seconds
    if abs(ahead) > _TOLERATED:
        mount = site.mount_of(site.folders.work)
        which = "ahead of" if ahead > 0 else "behind"
        yield warn(
            f"{mount.filesystem.source} stamps files {span(abs(ahead))} {which} our clock",
            "Files are still taken in time (their stamps are never compared with our clock), but times that you"
            " see do not agree: let the server keep its clock by NTP.",
            f"findmnt -T {quoted(site.folders.work)}",
        )
    else:
        yield ok("tried: a new file has the time of our clock")


CHECKS = (
    Check(
        AREA,
        "time zone",
        "The business time zone, and whether somebody chose it",
        "Set `timezone` before the first load; write `UTC` if it is UTC",
        _timezone,
    ),
    Check(
        AREA,
        "time",
        "Whether the clock stands before the installation of this program",
        "Set the clock: `sudo timedatectl set-ntp true`",
        _plausible,
    ),
    Check(
        AREA,
        "last delivery",
        "Whether the clock stands before the last delivery in the ledger",
        "Set the clock",
        _ledger,
    ),
    Check(
        AREA,
        "NTP",
        "Whether the kernel or systemd-timesyncd says that the clock is kept",
        "`sudo timedatectl set-ntp true`, or chrony; of a container: on its host",
        _synchronised,
    ),
    Check(
        AREA,
        "file times",
        "Tried: whether a new file bears our time; a share's server stamps its own",
        "Let the server keep its clock by NTP",
        _filesystem,
    ),
)
