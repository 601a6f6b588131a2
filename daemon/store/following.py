"""What follows from the deliveries, from outside: what is still due, what fires, and whether a step goes well."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection, func, select

from daemon.store.bulk import manners_of
from daemon.store.derived import ALERTS, DUE_DAYS
from daemon.store.engine import IMMEDIATE, open_engine, translated
from daemon.store.facts import Backlog
from daemon.store.feature_view import count_behind
from daemon.store.schema import DELIVERIES
from daemon.store.store import Store

_Answer = TypeVar("_Answer")


def backlog(connection: Connection) -> Backlog:
    """What is due."""
    days, oldest = connection.execute(
        select(func.count(), func.min(DUE_DAYS.c.delivery_id)).select_from(DUE_DAYS)
    ).one()
    arrived = select(DELIVERIES.c.timestamp).where(DELIVERIES.c.id == oldest)
    return Backlog(count_behind(connection), days, connection.execute(arrived).scalar() if days else None)


def firing(connection: Connection) -> dict[str, int]:
    """How many alerts fire, by their severity; only what there is."""
    is_firing = ALERTS.c.state == "firing"
    counted = select(ALERTS.c.severity, func.count()).where(is_firing).group_by(ALERTS.c.severity)
    return {row[0]: row[1] for row in connection.execute(counted)}


class Rehearsal(Store):
    """A store in which nothing that is done stays: each change is undone at its end."""

    def change(
        self,
        work: Callable[[Connection], _Answer],
        gives_way: Callable[[], bool] | None = None,  # noqa: ARG002  (it keeps nobody waiting for long)
    ) -> _Answer:
        """See ``Store``."""
        with translated(), self.engine.connect() as connection:
            connection.execution_options(**IMMEDIATE)
            with connection.begin() as transaction:
                manners_of(connection).take_turns(connection)
                try:
                    return work(connection)
                finally:
                    transaction.rollback()


@contextmanager
def rehearsal(url: str, patience_seconds: float) -> Iterator[Store]:
    """A database, up to date, in which steps can be tried.

    Args:
        url: as in the settings.
        patience_seconds: how long to wait for a lock.
    """
    engine = open_engine(url, busy_timeout_seconds=patience_seconds)
    try:
        yield Rehearsal(engine)
    finally:
        engine.dispose()
