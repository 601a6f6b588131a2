"""Bringing a database to the present form, by Alembic."""

import time
from pathlib import Path

from sqlalchemy import Engine, inspect, text
from sqlalchemy.engine import Connection

from daemon.errors import ConfigError
from daemon.events import Event
from daemon.logs import emit

HEAD = "0008"  # the newest migration; known here so that a start need not import Alembic
_SCRIPTS = Path(__file__).parent / "migrations"
_LOCK = 7_140_217_001  # an advisory lock of PostgreSQL, any number that is ours


def migrate(engine: Engine) -> bool:
    """Runs the migrations that are missing, in one transaction; True if there were any.

    Raises:
        ConfigError: the database was made by a newer release.
    """
    with engine.connect() as connection:
        if _version(connection) == HEAD:
            return False
    with engine.connect().execution_options(begin="IMMEDIATE") as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        found = _version(connection)  # another process may have been first
        if found == HEAD:
            return False
        if found is not None and found > HEAD:
            raise _newer(found)
        begun = time.monotonic()
        _upgrade(connection)
    seconds = round(time.monotonic() - begun, 3)
    emit(Event.DATABASE_MIGRATED, from_revision=found, to_revision=HEAD, seconds=seconds)
    return True


def is_present(engine: Engine) -> bool:
    """Whether there are tables; nothing is changed.

    Raises:
        ConfigError: they are not those that this program needs.
    """
    with engine.connect() as connection:
        found = _version(connection)
    if found is None or found == HEAD:
        return found is not None
    if found > HEAD:
        raise _newer(found)
    raise ConfigError(
        f"the tables are of revision {found}, this program needs {HEAD}, and a command that only looks changes nothing: "
        "back the database up, then start the daemon or run `stockgrip drain`"
    )


def _newer(found: str) -> ConfigError:
    return ConfigError(
        f"the database has version {found}, made by a newer release; this one knows up to {HEAD}: "
        "install the newer release again, or restore a backup of the older one"
    )


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415  (0.1 s, needed once in a database's life)
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
