"""Fixtures for tests against real databases: each test gets a fresh, migrated one, on SQLite and on PostgreSQL."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.postgres import REQUIRED, Cluster, NoServerError

from daemon.service import Service
from daemon.settings import Settings
from daemon.store import Store, create_database

BOTH = ("sqlite", pytest.param("postgresql", marks=pytest.mark.postgres))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server for the session (with pytest-xdist: one for each worker)."""
    try:
        cluster = Cluster.make()
    except NoServerError as error:
        if REQUIRED:
            pytest.fail(f"SGTEST_REQUIRE_POSTGRES=1, but {error}")
        pytest.skip(str(error))
    yield cluster
    cluster.remove()


class Databases:
    """Makes migrated databases by copying one, and drops them."""

    def __init__(self, folder: Path, cluster: Callable[[], Cluster]) -> None:
        self._folder = folder
        self._cluster = cluster
        self._templates: dict[str, str] = {}
        self._made: list[str] = []
        self._count = 0

    def sqlite(self, folder: Path) -> str:
        """The URL of a new SQLite file in a folder."""
        template = self._folder / "template.db"
        if not template.exists():
            create_database(f"sqlite:///{template}").dispose()
        self._count += 1
        path = folder / f"stockgrip-{self._count}.db"
        shutil.copyfile(template, path)
        return f"sqlite:///{path}"

    def postgresql(self) -> str:
        """The URL of a new PostgreSQL database."""
        cluster = self._cluster()
        if "postgresql" not in self._templates:
            name = cluster.create(prefix="template")
            create_database(cluster.url(name)).dispose()
            self._templates["postgresql"] = name
        self._made.append(cluster.create(self._templates["postgresql"]))
        return cluster.url(self._made[-1])

    def make(self, kind: str, folder: Path) -> str:
        """The URL of a new database of a kind, `sqlite` or `postgresql`."""
        return self.sqlite(folder) if kind == "sqlite" else self.postgresql()

    def drop(self) -> None:
        """Drops the PostgreSQL databases made so far; SQLite's go with their folders."""
        while self._made:
            self._cluster().drop(self._made.pop())


@pytest.fixture(scope="session")
def _databases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Databases:
    return Databases(tmp_path_factory.mktemp("templates"), lambda: request.getfixturevalue("postgres"))


@pytest.fixture
def databases(_databases: Databases) -> Iterator[Databases]:
    """Makes databases of either kind; dropped at the end of the test."""
    yield _databases
    _databases.drop()


@pytest.fixture(params=BOTH)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Runs the test on SQLite and on PostgreSQL."""
    return str(request.param)


@pytest.fixture
def database_url(database_kind: str, databases: Databases, tmp_path: Path) -> str:
    """A fresh, migrated database."""
    return databases.make(database_kind, tmp_path)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A store on a fresh database."""
    opened = Store.open(database_url)
    yield opened
    opened.close()


def make_settings(data_dir: Path, database_url: str, **changes: Any) -> Settings:
    """Settings that wait for nothing; `changes` are sections or values of the configuration."""
    sections: dict[str, Any] = {
        "data_dir": data_dir,
        "database": {"url": database_url},
        "settle": {"quiet_seconds": 0, "grace_seconds": 0, "ready_on": "close"},
        "retry": {"attempts": 1, "initial_seconds": 0.01, "max_seconds": 0.05},
    }
    for name, value in changes.items():
        if isinstance(value, dict):
            sections[name] = sections.get(name, {}) | value
        else:
            sections[name] = value
    return Settings(**sections)


@pytest.fixture
def service(store: Store, database_url: str, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Makes services on one data folder and database: each call is like another start of the program.

    Keyword arguments are sections of the configuration: `service(retry={"attempts": 3})`.
    """
    with contextlib.ExitStack() as stack:

        def make(**changes: Any) -> Service:
            settings = make_settings(tmp_path / "data", database_url, **changes)
            return stack.enter_context(serving(settings, store))

        yield make


@contextlib.contextmanager
def serving(settings: Settings, store: Store) -> Iterator[Service]:
    """A service with its folders made; closed at the end."""
    made = Service(settings, store)
    try:
        made.folders.make()
        yield made
    finally:
        made.close()
