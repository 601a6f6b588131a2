"""Database: whether features, quality and alerts keep up with what was delivered."""

from collections.abc import Iterator
from datetime import datetime

from daemon.doctor.finding import Check, NotLooked, Remark, fail, ok, warn
from daemon.doctor.site import Site
from daemon.doctor.words import span
from daemon.errors import TransientError
from daemon.store.facts import SqliteFacts

AREA = "database"
_LONG_DUE = 600.0  # seconds: a daemon with files waiting works on those first
_PATIENCE = 1.0  # seconds


def _due(site: Site) -> Iterator[Remark]:
    due = site.database.backlog
    if due is None:
        raise NotLooked("its tables are not those that this release needs, or may not be read")
    days = due.days if site.settings.quality.enabled else 0
    if not (due.products or days):
        yield ok("features and quality are those of all that was delivered")
        return
    said = f"due are the features of {due.products:,} products and the quality of {days:,} days"
    age = _age(site, due.days_since if days else None)
    if age < _LONG_DUE:
        yield ok(f"{said}, just now")
        return
    said += f", the first for {span(age)}" if days else f"; the last delivery came {span(age)} ago"
    if why := _why(site):
        yield fail(f"{said}: {why}", "It is tried again each minute; the log tells more:", _LOG)
    elif site.daemon is None:
        yield warn(said, "No daemon is seen; it would do that, and so does:", site.command("drain"))
    else:
        yield warn(said, "The daemon does that when no file waits. Whether it fails:", _LOG)


_LOG = "journalctl -u stockgrip --since -1h | grep after_step_failed"


def _age(site: Site, days_since: datetime | None) -> float:
    """Seconds since the first day became due; of products nothing tells it, but it was hardly after the last delivery."""
    ledger = site.database.ledger
    since = days_since or (ledger and ledger.last)
    return max(site.clock() - since.timestamp(), 0.0) if since else 0.0


def _why(site: Site) -> str:
    """Why a step fails, tried and undone; "" if none does, or if it cannot be tried now."""
    own = site.database.own
    if isinstance(own, SqliteFacts) and (own.journal_mode != "wal" or own.locked or not own.writable):
        return ""
    from daemon.after import features, quality  # noqa: PLC0415  (slow, and nearly never needed)
    from daemon.store.following import rehearsal  # noqa: PLC0415

    with rehearsal(site.settings.database_url, _PATIENCE) as store:
        for step in (features.advance, quality.judge):
            try:
                step(store, site.settings)
            except TransientError:
                return ""
            except Exception as error:  # noqa: BLE001  (whatever it is, it is what is looked for)
                return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"[:300]
    return ""


CHECKS = (
    Check(
        AREA,
        "following",
        "Features and quality that have been due for ten minutes; if so, tried and undone, whether a step fails",
        "`stockgrip drain` if no daemon runs; else look for `after_step_failed` in the log",
        _due,
    ),
)
