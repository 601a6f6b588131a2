"""Database: whether it answers, keeps what it promised, and has the tables that this release needs."""

from collections.abc import Iterator
from pathlib import Path

from daemon.doctor.finding import Check, NotLooked, Remark, fail, ok, warn
from daemon.doctor.site import Site
from daemon.doctor.words import quoted, span
from daemon.store.examine import sqlite_file
from daemon.store.facts import Database, SqliteFacts, Unreachable

AREA = "database"
_LEAST_SQLITE, _LEAST_POSTGRESQL, _KEPT_POSTGRESQL = (3, 35), 12, 14
_LONG_UNFILED = 600.0  # seconds
_COPY = "Back up the database first."


def _answers(site: Site) -> Iterator[Remark]:
    found = site.examined
    url = site.settings.safe_database_url
    if isinstance(found, Database):
        yield ok(url)
    elif found.missing:
        yield from _missing(site, found)
    else:
        remedy, command = _reach(site, found.error)
        yield fail(f"{url} does not answer: {found.error}", remedy, command)


def _missing(site: Site, found: Unreachable) -> Iterator[Remark]:
    if any(site.folders.processed.glob("*/*/*")):
        yield fail(
            f"{found.error}, but processed/ holds files that were loaded into one",
            "Look whether database.url names the right file; restore a backup if it was lost. A start makes an"
            " empty one, and then every file that comes again counts as new.",
        )
    else:
        yield warn(f"{found.error} yet", "The first start makes it.", site.command("drain"))


def _reach(site: Site, error: str) -> tuple[str, str]:
    """What to do about a database that does not answer."""
    file = sqlite_file(site.settings.database_url)
    if "driver is not installed" in error:
        return "Install it into the program's virtual environment:", "uv sync --extra postgres"
    if file is None:
        remedy = (
            "Check that the server runs, that host, port, name and password are right, and that pg_hba.conf lets us"
            " in; the service waits for it by itself."
        )
        return remedy, "systemctl status postgresql"
    if "locked" in error:
        return unlock(site, file)
    if "not a database" in error or "malformed" in error:
        return "Stop the daemon and restore a backup; keep the damaged file.", f"ls -l {quoted(file)}*"
    return (
        "Check who may read and write it, and that it is a file:",
        f"ls -ld {quoted(file.parent)} {quoted(file)}*",
    )


def unlock(site: Site, file: Path) -> tuple[str, str]:
    """What to do about a SQLite file that is locked."""
    holders = ", ".join(site.processes.name(pid) for pid in site.processes.holders(file))
    who = f" It is open in {holders}." if holders else ""
    return (
        f"End the program that holds a transaction open; work goes on by itself then.{who}",
        f"fuser -v {quoted(file)}",
    )


def _version(site: Site) -> Iterator[Remark]:
    database = site.database
    text = ".".join(str(n) for n in database.version)
    if isinstance(database.own, SqliteFacts):
        if database.version < _LEAST_SQLITE:
            yield fail(f"SQLite {text}; needed is 3.35 or newer", "Use a Python with a newer SQLite.")
        else:
            yield ok(f"SQLite {text}")
    elif database.version[0] < _LEAST_POSTGRESQL:
        yield fail(f"PostgreSQL {text}; needed is {_LEAST_POSTGRESQL} or newer", "Upgrade the server.")
    elif database.version[0] < _KEPT_POSTGRESQL:
        yield warn(
            f"PostgreSQL {text} works, but gets no corrections any more", "Plan an upgrade of the server."
        )
    else:
        yield ok(f"PostgreSQL {text}")


def _tables(site: Site) -> Iterator[Remark]:
    found, needed = site.database.revision, site.database.needed
    if found == needed:
        yield ok(f"revision {found}")
    elif found is None:
        yield warn(
            "it has no tables yet",
            "The first start makes them. If it should have some, it is another database.",
        )
    elif found > needed:
        yield fail(
            f"revision {found} was made by a newer release; this one knows up to {needed} and does not start",
            "Install the newer release again, or restore a backup from before the upgrade.",
        )
    else:
        yield warn(f"revision {found}; the next start brings it to {needed}", _COPY)


def _unfiled(site: Site) -> Iterator[Remark]:
    ledger = site.database.ledger
    if ledger is None:
        raise NotLooked("there is no ledger yet")
    since = ledger.unfiled_since
    age = site.clock() - since.timestamp() if since else 0.0
    if ledger.unfiled and age > _LONG_UNFILED:
        yield warn(
            f"{ledger.unfiled:,} loaded or refused, their file not moved yet; the oldest for {span(age)}",
            "The daemon does that at its next start, if it may write to processed/ and errors/:",
            "sudo systemctl restart stockgrip",
        )
    else:
        yield ok(f"{ledger.unfiled:,} just now" if ledger.unfiled else "every delivery's file is filed away")


CHECKS = (
    Check(
        AREA,
        "answers",
        "Whether it can be opened (at most 5 s), without making it",
        "Start the server, correct `database.url`, or end the program that holds it locked",
        _answers,
    ),
    Check(
        AREA,
        "version",
        "SQLite 3.35 or newer; PostgreSQL 12 or newer, warns below 14",
        "Upgrade it",
        _version,
    ),
    Check(
        AREA,
        "tables",
        "The revision of its tables against the one this release needs",
        "Older: the next start migrates it, back it up first. Newer: install the newer release",
        _tables,
    ),
    Check(
        AREA,
        "unfiled",
        "Deliveries with an outcome whose file has not been moved for ten minutes",
        "`sudo systemctl restart stockgrip`",
        _unfiled,
    ),
)
