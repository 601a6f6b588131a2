"""The figures that ``stockgrip status`` and the health endpoint tell of a database."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, text

from daemon.errors import DatabaseUnavailable
from daemon.store import following, ledger
from daemon.store.derived import LETTERS, NOTICES
from daemon.store.engine import translated
from daemon.store.facts import Backlog
from daemon.store.looking import engine_to_look, version_of
from daemon.store.migrate import HEAD


class OtherRelease(DatabaseUnavailable):
    """The tables are not those that this release works with."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What of a database is told.

    Attributes:
        since: from when on rows are counted as those of today.
        judged: whether the quality of days is judged at all; if not, no day is due.
        channels: by which letters go out; those of others are withdrawn.
    """

    since: datetime
    judged: bool
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """What a database says, read in one transaction.

    Attributes:
        feeds: rows of ``Store.by_feed``.
        due: what of features and quality is not done yet.
        firing: alerts that fire, by their severity; only what there is.
        notices: news of alerts that no letter tells yet.
        letters: that are not sent yet, by their channel; only what there is.
        oldest_letter: since when the oldest of those letters waits, UTC.
    """

    feeds: list[dict[str, Any]]
    due: Backlog
    firing: dict[str, int]
    notices: int
    letters: dict[str, int]
    oldest_letter: datetime | None


def figures(connection: Connection, scope: Scope, *, counted: bool = True) -> Figures:
    """Reads them.

    Args:
        connection: of a reading transaction.
        scope: what is told.
        counted: see ``ledger.by_feed``.
    """
    due = following.backlog(connection)
    notices = select(func.count()).select_from(NOTICES).where(NOTICES.c.letter_id.is_(None))
    unsent = (
        select(LETTERS.c.channel, func.count(), func.min(LETTERS.c.created_at))
        .where(LETTERS.c.sent_at.is_(None), LETTERS.c.channel.in_(scope.channels))
        .group_by(LETTERS.c.channel)
    )
    letters = connection.execute(unsent).all()
    return Figures(
        feeds=ledger.by_feed(connection, scope.since, counted=counted),
        due=due if scope.judged else replace(due, days=0, days_since=None),
        firing=following.firing(connection),
        notices=connection.execute(notices).scalar_one(),
        letters={row[0]: row[1] for row in letters},
        oldest_letter=min((row[2] for row in letters), default=None),
    )


def glance(url: str, scope: Scope, seconds: float) -> Figures:
    """The figures of a database, over a connection of its own that neither makes nor changes anything.

    Args:
        url: as in the settings.
        scope: what is told.
        seconds: how long the database may take over one answer.

    Raises:
        DatabaseUnavailable: it does not answer, or is not there.
        OtherRelease: its tables lack migrations, or were made by a newer release.
    """
    engine = engine_to_look(url, seconds)
    try:
        with translated(), engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SET LOCAL statement_timeout = {int(seconds * 1000)}"))
            found = version_of(connection)
            if found != HEAD:
                raise OtherRelease(f"its tables have version {found}, this release works with {HEAD}")
            return figures(connection, scope, counted=False)
    finally:
        engine.dispose()
