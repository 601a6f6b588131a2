"""Copies of a whole database, made while it is in use, and what is in them.

SQLite's online backup copies from one read transaction, which in WAL mode keeps no writer out; PostgreSQL's pg_dump reads
a snapshot that our own transaction exports. Either way the rows are counted in the very moment that the copy shows.
"""

import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, create_engine, inspect, make_url, text

from daemon.errors import DatabaseUnavailable, TransientError
from daemon.store.engine import translated
from daemon.store.looking import version_of
from daemon.store.migrate import HEAD

Progress = Callable[[int, int], None]
_PAGES = 2_000  # of SQLite, copied at a time: 8 MB
_LOCK_SECONDS = 5


class CannotBackUp(TransientError):  # noqa: N818  (named by what is so)
    """A tool is missing, a copy is broken, or there is nothing to copy."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a copy holds.

    Attributes:
        revision: of its tables.
        rows: by table.
    """

    revision: str
    rows: dict[str, int]


def is_sqlite(url: str) -> bool:
    """Whether a URL is of a SQLite file."""
    return make_url(url).get_backend_name() == "sqlite"


def sqlite_path(url: str) -> Path:
    """The file of a SQLite URL."""
    return Path(make_url(url).database or "")


def ending(url: str) -> str:
    """What the name of a copy ends with."""
    return ".db" if is_sqlite(url) else ".dump"


def size_of(url: str) -> int:
    """Bytes of the database; 0 if that is not known."""
    if not is_sqlite(url):
        with _postgresql(url) as connection:
            return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
    path = sqlite_path(url)
    return sum(file.stat().st_size for file in (path, path.with_name(f"{path.name}-wal")) if file.is_file())


def copy_to(url: str, target: Path, progress: Progress) -> Contents:
    """Copies a database into a new file, and reads the copy back.

    Args:
        url: of the database.
        target: a file that is not there yet.
        progress: called with how much is copied and how much there is.

    Raises:
        CannotBackUp: there is no database, pg_dump is missing or fails, or the copy is not what was copied.
        DatabaseUnavailable: the database does not answer.
    """
    with translated():
        found = (
            _copy_sqlite(sqlite_path(url), target, progress)
            if is_sqlite(url)
            else _dump_postgresql(url, target, progress)
        )
    if contents_of(target) != found:
        raise CannotBackUp(f"{target} does not hold what the database holds: the disk may be failing")
    return found


def contents_of(copy: Path) -> Contents:
    """Reads a copy from its beginning to its end.

    Raises:
        CannotBackUp: it is broken, or no copy of ours.
    """
    if copy.suffix == ".dump":
        return _contents_of_dump(copy)
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{quote(str(copy))}?mode=ro&immutable=1", uri=True)
        ) as c:
            said = [row[0] for row in c.execute("PRAGMA integrity_check")]
            if said != ["ok"]:
                raise CannotBackUp(f"{copy} is broken: {said[0]}")
            return _contents_of_sqlite(c)
    except sqlite3.DatabaseError as error:
        raise CannotBackUp(f"{copy} is no database of this program: {error}") from error


def put_back(url: str, copy: Path) -> None:
    """Makes the database what a copy holds; it is as it was if that fails. Nobody may use it meanwhile.

    Raises:
        CannotBackUp: the copy is of the other kind of database, a tool is missing or fails, or the database is in use.
    """
    if copy.suffix != ending(url):
        kinds = {".db": "SQLite", ".dump": "PostgreSQL"}
        raise CannotBackUp(
            f"{copy.name} is of {kinds.get(copy.suffix, 'no known kind')}, the configured database is of"
            f" {kinds[ending(url)]}: `stockgrip rebuild --into URL` moves from one to the other"
        )
    if not is_sqlite(url):
        _restore_postgresql(url, copy)
        return
    path = sqlite_path(url)
    new = path.with_name(f"{path.name}.restored")
    shutil.copyfile(copy, new)
    with new.open("rb+") as file:
        os.fsync(file.fileno())
    for leftover in ("-wal", "-shm"):
        path.with_name(path.name + leftover).unlink(missing_ok=True)
    new.replace(path)


def must_be_known(revision: str) -> None:
    """Refuses the tables of a newer release.

    Raises:
        CannotBackUp: they are.
    """
    if revision > HEAD:
        raise CannotBackUp(
            f"the copy has tables of version {revision}, a newer release made it; this one knows up to {HEAD}"
        )


# ---- SQLite


def _copy_sqlite(path: Path, target: Path, progress: Progress) -> Contents:
    if not path.is_file():
        raise CannotBackUp(f"there is no database yet: {path}")
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as source:
            source.execute("BEGIN")
            found = _contents_of_sqlite(
                source
            )  # the first read: from here on the transaction sees this moment
            with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as copy:
                source.backup(
                    copy, pages=_PAGES, progress=lambda _status, left, all_: progress(all_ - left, all_)
                )
                copy.execute("PRAGMA journal_mode=DELETE")  # one file, with nothing beside it
    except sqlite3.Error as error:
        raise DatabaseUnavailable(f"the copy could not be made: {error}") from error
    return found


def _contents_of_sqlite(connection: sqlite3.Connection) -> Contents:
    tables = [
        row[0]
        for row in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        )
    ]
    if "alembic_version" not in tables:
        raise CannotBackUp("there are no tables of this program in it")
    revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    rows = {table: connection.execute(f'SELECT COUNT(*) FROM "{table}"').fetchone()[0] for table in tables}
    return Contents(revision, rows)


# ---- PostgreSQL


@contextlib.contextmanager
def _postgresql(url: str) -> Iterator[Connection]:
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        isolation_level="REPEATABLE READ",
        connect_args={"connect_timeout": 10},
    )
    try:
        with translated(), engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _dump_postgresql(url: str, target: Path, progress: Progress) -> Contents:
    with _postgresql(url) as connection:
        revision = version_of(connection)
        if revision is None:
            raise CannotBackUp("there are no tables of this program in the database yet")
        tables = sorted(inspect(connection).get_table_names())
        snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
        rows = {
            table: connection.execute(text(f'SELECT COUNT(*) FROM "{table}"')).scalar_one()
            for table in tables
        }
        progress(0, 1)
        _tool("pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--file={target}", url=url)
        progress(1, 1)
    return Contents(revision, rows)


def _contents_of_dump(copy: Path) -> Contents:
    """Has pg_restore write the dump out as SQL, and counts the lines of each COPY."""
    rows: dict[str, int] = {}
    table, revision = None, ""
    with subprocess.Popen(
        [_path_of("pg_restore"), "--file=-", str(copy)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if table is None:
                begun = re.match(rb'COPY (?:\w+\.)?"?(\w+)"? .*FROM stdin;$', line.rstrip())
                table = begun[1].decode() if begun else None
                if table:
                    rows[table] = 0
            elif line == b"\\.\n":
                table = None
            else:
                rows[table] += 1
                revision = line.decode().strip() if table == "alembic_version" else revision
        said = process.stderr.read().decode(errors="replace").strip()
    if process.returncode or not revision:
        raise CannotBackUp(f"{copy} is no dump of this program's tables: {said or 'they are not in it'}")
    return Contents(revision, dict(sorted(rows.items())))


def _restore_postgresql(url: str, copy: Path) -> None:
    """One transaction: the tables that are there go, those of the copy come."""
    with _postgresql(url) as connection:
        there = sorted(inspect(connection).get_table_names())
    named = ", ".join(f'"{name}"' for name in there)
    drop = f"DROP TABLE IF EXISTS {named} CASCADE;\n" if there else ""
    begin = f"SET lock_timeout = '{_LOCK_SECONDS}s';\n{drop}"
    psql = [_path_of("psql"), "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
    with (
        subprocess.Popen(
            [_path_of("pg_restore"), "--no-owner", "--no-privileges", "--file=-", str(copy)],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        ) as source,
        subprocess.Popen(
            [*psql, f"--dbname={_without_password(url)}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=_environment(url),
        ) as target,
    ):
        assert source.stdout is not None
        assert target.stdin is not None
        assert target.stderr is not None
        with contextlib.suppress(BrokenPipeError):
            target.stdin.write(begin.encode())
            shutil.copyfileobj(source.stdout, target.stdin)
        complete = source.wait() == 0
        if not complete:
            target.kill()  # before the end of its input: nothing is committed
        with contextlib.suppress(BrokenPipeError):
            target.stdin.close()
        said = target.stderr.read().decode(errors="replace").strip()
    if target.returncode:
        hint = ": somebody uses the database, stop the daemon first" if "lock timeout" in said else ""
        raise CannotBackUp(f"nothing was changed, psql says: {said[:500]}{hint}")


def _tool(name: str, *arguments: str, url: str) -> None:
    done = subprocess.run(
        [_path_of(name), *arguments, f"--dbname={_without_password(url)}"],
        env=_environment(url),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CannotBackUp(f"{name} failed: {done.stderr.strip()[:500]}")


def _path_of(name: str) -> str:
    found = shutil.which(name) or max(
        (str(path) for path in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), default=None
    )
    if found is None:
        raise CannotBackUp(f"{name} is not installed; it is in Debian's package postgresql-client")
    return found


def _plain(url: str) -> URL:
    return make_url(url).set(drivername="postgresql")


def _without_password(url: str) -> str:
    return _plain(url)._replace(password=None).render_as_string(hide_password=False)


def _environment(url: str) -> dict[str, str]:
    password = _plain(url).password
    return {**os.environ, **({"PGPASSWORD": str(password)} if password else {})}
