"""The picture behind ``stockgrip status``: what the ledger, the inbox and the database say now."""

from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from daemon.errors import DatabaseUnavailable
from daemon.files import Folders
from daemon.inbox import Inbox
from daemon.logs import display_name
from daemon.reading import Rules
from daemon.settings import Settings
from daemon.store import Store
from handlers.errors import FileError
from handlers.route import route

NO_FEED = "(no feed)"


def picture(settings: Settings) -> dict[str, Any]:
    """Per feed the last delivery, what waits, what was refused and the rows of today; the database; the inbox."""
    folders, rules = Folders(settings.data_dir), Rules.of(settings)
    inbox = Inbox(folders.inbox, settings.settle)
    if folders.inbox.is_dir():
        inbox.scan()
    waiting = dict.fromkeys((*rules.feeds, NO_FEED), 0)
    for name in inbox.waiting:
        try:
            waiting[route(name, rules.patterns).feed] += 1
        except FileError:
            waiting[NO_FEED] += 1
    database: dict[str, Any] = {"url": settings.safe_database_url, "up": True, "error": None}
    known: dict[str, dict[str, Any]] = {}
    try:
        store = Store.open(settings.database_url, busy_timeout_seconds=2)
        today = datetime.combine(
            datetime.now(ZoneInfo(settings.timezone)), time(), ZoneInfo(settings.timezone)
        )
        known = {row["feed"] or NO_FEED: row for row in store.by_feed(today)}
        store.close()
    except DatabaseUnavailable as error:
        database |= {"up": False, "error": str(error)}
    empty = {"deliveries": 0, "refused": 0, "rows_today": 0, "last": None}
    feeds = [
        {**empty, **known.get(name, {}), "feed": name, "waiting": count}
        for name, count in waiting.items()
        if name != NO_FEED or count or name in known
    ]
    unfinished = len(list(folders.work.glob("claim-*"))) if folders.work.is_dir() else 0
    return {
        "feeds": feeds,
        "database": database,
        "inbox": str(folders.inbox),
        "waiting": sum(waiting.values()),
        "unfinished": unfinished,
        "ignored": [display_name(name) for name in inbox.ignored],
    }
