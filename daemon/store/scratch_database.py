"""A database for a while, on the PostgreSQL server of the site: what is tried in it never touches the site's own."""

import contextlib
import secrets
import time
from collections.abc import Iterator

from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

_PREFIX = "stockgrip_scratch_"
_DEAD = 86_400  # seconds after which what a kill has left is removed
_FORBIDDEN = "42501"


class NoScratchDatabase(Exception):  # noqa: N818  (named by what is so)
    """None can be made; the message says why, and what to do."""


@contextlib.contextmanager
def scratch_database(url: str, *, keep: bool = False) -> Iterator[tuple[str, str]]:
    """Makes an empty database beside another, and drops it at the end.

    Args:
        url: of a PostgreSQL database; its role must be allowed to create databases.
        keep: leave it there.

    Yields:
        Its URL and its name.

    Raises:
        NoScratchDatabase: the server does not answer, or does not let the role make one.
    """
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
        connect_args={"connect_timeout": 10},
    )
    name = f"{_PREFIX}{int(time.time())}_{secrets.token_hex(4)}"
    try:
        with engine.connect() as connection:
            _remove_dead(connection)
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
    except DBAPIError as error:
        raise NoScratchDatabase(_why(error, engine.url.username)) from error
    try:
        yield engine.url.set(database=name).render_as_string(hide_password=False), name
    finally:
        if not keep:
            with engine.connect() as connection:
                _drop(connection, name)
        engine.dispose()


def _remove_dead(connection: Connection) -> None:
    """What a run that was killed has left, a day later."""
    found = connection.exec_driver_sql(
        "SELECT datname FROM pg_database JOIN pg_roles ON pg_roles.oid = datdba"
        " WHERE starts_with(datname, %s) AND rolname = current_user",
        (_PREFIX,),
    )
    for (name,) in found.all():
        made = name.removeprefix(_PREFIX).partition("_")[0]
        if made.isdigit() and int(made) < time.time() - _DEAD:
            with contextlib.suppress(DBAPIError):
                _drop(connection, name)


def _drop(connection: Connection, name: str) -> None:
    connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _why(error: DBAPIError, role: str | None) -> str:
    if getattr(error.orig, "sqlstate", None) == _FORBIDDEN:
        return f"{role or 'the role'} may not create a database (ALTER ROLE … CREATEDB lets it)"
    said = str(error.orig).strip().splitlines()
    return said[0] if said else type(error.orig).__name__
