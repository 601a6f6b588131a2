"""Configuration: settings that are allowed but odd."""

from collections.abc import Iterator
from shutil import disk_usage

from daemon.doctor.finding import Check, Remark, fail, ok, warn
from daemon.doctor.mounts import nearest
from daemon.doctor.site import Site
from daemon.doctor.words import size
from daemon.settings import FeedSettings

AREA = "configuration"


def _feeds(site: Site) -> Iterator[Remark]:
    feeds: dict[str, FeedSettings] = dict(site.settings.feeds)
    off = [name for name, feed in feeds.items() if not feed.patterns]
    if len(off) == len(feeds):
        yield fail(
            "every feed is switched off: each file is refused", "Give feeds.<feed>.patterns a pattern."
        )
    elif off:
        yield warn(
            f"switched off, because patterns is empty: {', '.join(off)}",
            f"If that is not meant, give feeds.{off[0]}.patterns a pattern; its files are refused as unroutable.",
        )
    else:
        yield ok(", ".join(feeds))


def _patterns(site: Site) -> Iterator[Remark]:
    from daemon.doctor.names import owned_twice  # noqa: PLC0415  (stands on inner parts of Python: may break)

    feeds: dict[str, FeedSettings] = dict(site.settings.feeds)
    shared = owned_twice({name: feed.patterns for name, feed in feeds.items()})
    for name, owners in shared.items():
        yield warn(
            f"{name}.csv would belong to {' and '.join(owners)}: such a file is refused",
            f"Narrow the patterns of feeds.{owners[0]} or feeds.{owners[1]}, so that a name has one owner.",
        )
    if not shared:
        yield ok("no sample name has two owners")


def _settle(site: Site) -> Iterator[Remark]:
    settle = site.settings.settle
    odd = False
    if settle.quiet_seconds == 0:
        odd = True
        yield warn(
            "settle.quiet_seconds is 0: a sender's pause between two writes looks like the end of the file",
            "Set it to 2 or more, unless every sender uploads under another name and renames.",
        )
    if settle.quiet_seconds > settle.scan_seconds:
        odd = True
        yield warn(
            f"settle.quiet_seconds ({settle.quiet_seconds:g}) is more than settle.scan_seconds ({settle.scan_seconds:g})",
            "It works, but every file waits longer than a full look takes; a few seconds of quiet usually do.",
        )
    if settle.grace_seconds < settle.quiet_seconds:
        odd = True
        yield warn(
            f"settle.grace_seconds ({settle.grace_seconds:g}) is less than settle.quiet_seconds"
            f" ({settle.quiet_seconds:g}): a file that looks cut off is given no more time than others",
            "Set settle.grace_seconds to several times settle.quiet_seconds.",
        )
    if not odd:
        yield ok(f"quiet for {settle.quiet_seconds:g} s, looked at every {settle.scan_seconds:g} s")


def _corrections(site: Site) -> Iterator[Remark]:
    share = site.settings.limits.min_correction_share
    if share == 0:
        yield warn(
            "limits.min_correction_share is 0: a file that was cut off replaces a whole day",
            "Set it back to 0.5 once the small correction is in.",
        )
    else:
        yield ok(f"one with less than {share:.0%} of the rows that it replaces is held")


def _limits(site: Site) -> Iterator[Remark]:
    largest, free = site.settings.limits.max_file_bytes, disk_usage(nearest(site.settings.data_dir)).free
    if largest > free:
        yield warn(
            f"limits.max_file_bytes ({size(largest)}) is more than is free where files arrive ({size(free)})",
            "Make room, or lower limits.max_file_bytes: one file could fill the disk.",
        )
    else:
        yield ok(f"the largest file allowed ({size(largest)}) has room ({size(free)} free)")


def _log(site: Site) -> Iterator[Remark]:
    level = site.settings.log.level
    if level == "debug":
        yield warn(
            "log.level is debug: the journal grows fast", "Set log.level to info when you have seen enough."
        )
    elif level == "error":
        yield warn(
            "log.level is error: waiting files, rejects and pauses are not said",
            "Set log.level to info or warning.",
        )
    else:
        yield ok(f"level {level}")


CHECKS = (
    Check(
        AREA,
        "feeds",
        "Feeds that are switched off by an empty list of patterns",
        "Give the feed a pattern, if that is not meant",
        _feeds,
    ),
    Check(
        AREA,
        "patterns",
        "Whether two feeds own the same name, tried with names made from the patterns",
        "Narrow one of the patterns",
        _patterns,
    ),
    Check(
        AREA,
        "settle",
        "`settle.quiet_seconds` 0 or above `scan_seconds`, `grace_seconds` below it",
        "Set them so that a pause of a sender is bridged",
        _settle,
    ),
    Check(
        AREA,
        "corrections",
        "`limits.min_correction_share` left at 0",
        "Set it back to 0.5",
        _corrections,
    ),
    Check(
        AREA,
        "largest file",
        "`limits.max_file_bytes` above the free space",
        "Make room, or lower the limit",
        _limits,
    ),
    Check(
        AREA,
        "log level",
        "`log.level` `debug` or `error`",
        "Set it to `info`",
        _log,
    ),
)
