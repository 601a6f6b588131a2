"""A real PostgreSQL server of our own, made in a temporary folder.

It does not wait for the disk: what it committed is with the kernel, where no death of a process, its own neither, can
reach it. Only a power failure could, and no test has one.
"""

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from support.http import free_port

INSTALL = "apt-get install --no-install-recommends postgresql"
REQUIRED = os.environ.get("SGTEST_REQUIRE_POSTGRES") == "1"
_ACCOUNT = "postgres"  # the server refuses to run as root


class NoServerError(Exception):
    """There is no PostgreSQL here, and how to get it."""


def find_binaries() -> Path:
    """The folder with initdb and pg_ctl: the newest that Debian's packages installed, else the one on PATH.

    Raises:
        NoServerError: there is none.
    """
    versions = sorted(
        (int(folder.name), folder / "bin")
        for folder in Path("/usr/lib/postgresql").glob("*")
        if folder.name.isdigit() and (folder / "bin" / "initdb").exists()
    )
    if versions:
        return versions[-1][1]
    found = shutil.which("initdb")
    if found is None:
        raise NoServerError(f"no PostgreSQL server is installed; run: {INSTALL}")
    return Path(found).resolve().parent


@dataclass
class Cluster:
    """A server with its data folder; `start` and `stop` may be called again and again.

    Attributes:
        folder: holds the data, the socket and the log.
        port: on 127.0.0.1.
    """

    folder: Path
    binaries: Path
    port: int = field(default_factory=free_port)
    _numbers: itertools.count = field(default_factory=itertools.count)

    @classmethod
    def make(cls) -> "Cluster":
        """Initialises and starts a server; `remove` it at the end.

        Raises:
            NoServerError: there are no binaries, or no account to run them.
        """
        binaries = find_binaries()
        # not below pytest's folder: that is closed to the server's account, and too long for a socket's path
        cluster = cls(Path(tempfile.mkdtemp(prefix="sgtest-pg-")), binaries)
        try:
            if os.geteuid() == 0:
                account = _account()
                os.chown(cluster.folder, account.pw_uid, account.pw_gid)
            cluster._run(
                "initdb", "-D", cluster.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"
            )
            with (cluster.data / "postgresql.conf").open("a") as config:
                config.write(
                    f"port = {cluster.port}\nlisten_addresses = '127.0.0.1'\n"
                    f"unix_socket_directories = '{cluster.folder}'\nshared_buffers = '32MB'\nmax_connections = 50\n"
                    "fsync = off\nfull_page_writes = off\n"
                )
            cluster.start()
        except BaseException:
            shutil.rmtree(cluster.folder, ignore_errors=True)
            raise
        return cluster

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @contextmanager
    def durable(self) -> Iterator[None]:
        """A server that waits for the disk meanwhile, as it does by default, for tests that look at that."""
        self._set("fsync = on", "full_page_writes = on")
        yield
        self._set("fsync = off", "full_page_writes = off")

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        self._run("pg_ctl", "start", "-w", "-t", "60", "-D", self.data, "-l", self.folder / "log")

    def stop(self, mode: str = "fast") -> None:
        """Stops the server: `fast` as an operator would, `immediate` as a crash would."""
        self._run("pg_ctl", "stop", "-w", "-m", mode, "-D", self.data)

    def remove(self) -> None:
        """Stops the server and takes its folder away."""
        try:
            if (self.data / "postmaster.pid").exists():
                self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def create(self, template: str = "template1", prefix: str = "test") -> str:
        """Makes a database, a copy of another that nobody is connected to, and returns its name."""
        name = f"{prefix}_{os.getpid()}_{next(self._numbers)}"
        self._administer(
            # a copy of the files costs the server a third of a copy by its log
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY {}").format(
                sql.Identifier(name), sql.Identifier(template), sql.Identifier("file_copy")
            )
        )
        return name

    def drop(self, name: str) -> None:
        """Drops a database, whoever is connected."""
        self._administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def cut_connections(self, database: str) -> None:
        """Ends every connection to a database, as a restart of the server or of a network device does."""
        self._administer(
            sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}").format(
                sql.Literal(database)
            )
        )

    def _administer(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url("postgres").replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(statement)

    def _set(self, *settings: str) -> None:
        with (self.data / "postgresql.conf").open("a") as config:
            config.write("".join(f"{line}\n" for line in settings))
        self._run("pg_ctl", "reload", "-D", self.data)
        while not set(settings) <= self._settings(*(line.split()[0] for line in settings)):
            pass  # a server reads it when it comes to it

    def _settings(self, *names: str) -> set[str]:
        with psycopg.connect(self.url("postgres").replace("+psycopg", "")) as connection:
            rows = connection.execute(
                "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(names)]
            )
            return {f"{name} = {value}" for name, value in rows}

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = [str(self.binaries / program), *map(str, arguments)]
        if os.geteuid() == 0:
            command = [*_as_account(), *command]
        # a file, not a pipe: the server keeps its descriptors, and a pipe would never end
        with tempfile.TemporaryFile("w+") as said:
            done = subprocess.run(
                command, stdout=said, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd="/", check=False
            )
            said.seek(0)
            if done.returncode != 0:
                log = self.folder / "log"
                more = log.read_text(errors="replace")[-2000:] if log.exists() else ""
                raise RuntimeError(f"{' '.join(command)} failed:\n{said.read()}\n{more}")


def _account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(_ACCOUNT)
    except KeyError:
        raise NoServerError(
            f"PostgreSQL does not run as root and there is no account {_ACCOUNT}; "
            f"run the tests as another user, or: {INSTALL}"
        ) from None


def _as_account() -> list[str]:
    account = _account()
    if shutil.which("setpriv"):
        ids = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        return ["setpriv", *ids, "--"]
    if shutil.which("runuser"):
        return ["runuser", "-u", _ACCOUNT, "--"]
    raise NoServerError("neither setpriv nor runuser is here; run: apt-get install util-linux")
