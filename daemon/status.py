"""The picture behind ``stockgrip status``: what the ledger, the inbox and the database say now."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from daemon import claims
from daemon.errors import DatabaseUnavailable
from daemon.files import Folders
from daemon.health.ask import asked
from daemon.health.known import scope_of
from daemon.inbox import Inbox
from daemon.inbox.access import closed, reader_of
from daemon.logs import display_name
from daemon.reading import Rules
from daemon.render import NOT_THERE
from daemon.settings import Settings
from daemon.store import Store
from daemon.store.figures import Figures, figures
from handlers.errors import FileError
from handlers.route import route

NO_FEED = "(no feed)"


def picture(settings: Settings) -> dict[str, Any]:
    """Per feed the last delivery, what waits, what lies refused in ``errors/``, rows of today; the database; the inbox.

    ``refused`` counts every file that was ever refused; ``in_errors`` those that still need a person, None if
    ``errors/`` cannot be looked into. ``inbox_error`` says why nothing is known of the inbox. ``due`` counts products whose
    features and days whose quality are not up to date, ``firing`` the alerts of each severity, ``unsent`` what nobody has been told yet;
    None without a database. ``made`` is false where there is none yet. ``daemon`` is what the daemon says of itself; None
    without ``health.listen``, where it is not asked.
    """
    folders, rules = Folders(settings.data_dir), Rules.of(settings)
    inbox = Inbox(folders.inbox, settings.settle)
    inbox_error = _look(inbox)
    waiting = dict.fromkeys((*rules.feeds, NO_FEED), 0)
    for name in inbox.waiting:
        try:
            waiting[route(name, rules.patterns).feed] += 1
        except FileError:
            waiting[NO_FEED] += 1
    database: dict[str, Any] = {"url": settings.safe_database_url, "up": True, "made": None, "error": None}
    known: dict[str, dict[str, Any]] = {}
    refused: Counter[str] | None = Counter()
    told: Figures | None = None
    try:
        store = Store.look(settings.database_url, busy_timeout_seconds=2)
        database["made"] = store.is_made
        told = store.ask(lambda connection: figures(connection, scope_of(settings)))
        known = {row["feed"] or NO_FEED: row for row in told.feeds}
        refused = _count(store, folders)
        store.close()
    except DatabaseUnavailable as error:
        database |= {"up": False, "error": str(error)}
    empty = {"deliveries": 0, "refused": 0, "rows_today": 0, "last": None}
    feeds = [
        {
            **empty,
            **known.get(name, {}),
            "feed": name,
            "waiting": count,
            "in_errors": None if refused is None else refused[name],
        }
        for name, count in waiting.items()
        if name != NO_FEED or count or name in known
    ]
    return {
        "feeds": feeds,
        "database": database,
        "inbox": str(folders.inbox),
        "inbox_error": inbox_error,
        "waiting": sum(waiting.values()),
        "unfinished": _unfinished(folders),
        "ignored": [display_name(name) for name in inbox.ignored],
        "unreadable": [
            display_name(name)
            for name in closed(folders.inbox, (*inbox.waiting, *inbox.companions), reader_of(folders.work))
        ],
        "due": told and {"products": told.due.products, "days": told.due.days},
        "firing": told and told.firing,
        "unsent": told and {"notices": told.notices, "letters": told.letters},
        "daemon": asked(settings.health.listen),
    }


def in_errors(store: Store, folders: Folders) -> list[Mapping[str, Any]]:
    """The last delivery of each refused file that still lies in ``errors/``, in the order of arrival.

    Raises:
        OSError: ``errors/`` cannot be looked into.
    """
    last = {row["archive_path"]: row for row in store.refused()}  # a name may have been given again
    lying = (row for path, row in last.items() if path and (folders.data_dir / path).is_file())
    return sorted(lying, key=lambda row: int(row["id"]))


def _count(store: Store, folders: Folders) -> Counter[str] | None:
    try:
        return Counter(row["file_type"] or NO_FEED for row in in_errors(store, folders))
    except OSError:
        return None


def _look(inbox: Inbox) -> str | None:
    """Looks into the inbox; why that is not possible."""
    try:
        inbox.scan()
    except FileNotFoundError:
        return NOT_THERE
    except OSError as error:
        return error.strerror or str(error)
    return None


def _unfinished(folders: Folders) -> int:
    try:
        return sum(claims.folders_of_claims(folders.work).values())
    except OSError:
        return 0
