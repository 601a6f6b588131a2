"""A change that gives way to what is more urgent, and is done again later."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event

from daemon.errors import GaveWay

_STEPS = 20_000  # of SQLite's machine between two questions: about a fifth of a millisecond


@contextmanager
def giving_way(connection: Connection, is_wanted: Callable[[], bool] | None) -> Iterator[None]:
    """Breaks off what is done on a connection: before the next statement, on SQLite also within one.

    Args:
        connection: in a transaction, which is of no use after that and is to be rolled back.
        is_wanted: asked whether to break off; None: never.

    Raises:
        GaveWay: ``is_wanted`` said so.
    """
    if is_wanted is None:
        yield
        return
    gave = False

    def ask() -> bool:
        nonlocal gave
        gave = gave or is_wanted()
        return gave

    def before(*_about_the_statement: object) -> None:
        if ask():
            raise GaveWay

    pooled: Any = connection.connection
    driver = pooled.driver_connection if connection.dialect.name == "sqlite" else None
    event.listen(connection, "before_cursor_execute", before)
    if driver is not None:
        driver.set_progress_handler(ask, _STEPS)
    try:
        yield
    except Exception as error:
        if gave:  # SQLite says that the statement was interrupted
            raise GaveWay from error
        raise
    finally:
        event.remove(connection, "before_cursor_execute", before)
        if driver is not None:
            driver.set_progress_handler(None, 0)
    if gave:
        raise GaveWay
