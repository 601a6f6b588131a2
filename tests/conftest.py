"""Fixtures for tests against real databases: each test gets a fresh, migrated one, on SQLite and on PostgreSQL."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.util import LRUCache
from support.postgres import REQUIRED, Cluster, NoServerError

from daemon.service import Service
from daemon.settings import Settings
from daemon.store import Store, create_database

if TYPE_CHECKING:
    from support.site import Site, Sites

BOTH = ("sqlite", pytest.param("postgresql", marks=pytest.mark.postgres))


class _Compiled(LRUCache[Any, Any]):
    """Compiled statements by kind of database, where SQLAlchemy keeps them by engine.

    Each test opens engines of its own; compiling the same statements again for each took a quarter of the tests' time.
    """

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get((key[0].name, *key[1:]), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__((key[0].name, *key[1:]), value)


_COMPILED = _Compiled(5000)


@event.listens_for(Engine, "engine_connect")
def _share_what_is_compiled(connection: Connection) -> None:
    connection.engine._compiled_cache = _COMPILED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make faults` (SGTEST_FAULTS=1) runs what is marked so; everything else passes it by, visibly."""
    if os.environ.get("SGTEST_FAULTS") == "1":
        return
    for item in items:
        if item.get_closest_marker("faults"):
            item.add_marker(pytest.mark.skip(reason="takes long: run `make faults`"))


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

    def sqlite(self, folder: Path, of: str | None = None) -> str:
        """The URL of a new SQLite file in a folder."""
        template = make_url(of).database if of else self._folder / "template.db"
        if not Path(template).exists():
            create_database(f"sqlite:///{template}").dispose()
        self._count += 1
        path = folder / f"stockgrip-{self._count}.db"
        shutil.copyfile(template, path)
        return f"sqlite:///{path}"

    def postgresql(self, of: str | None = None) -> str:
        """The URL of a new PostgreSQL database."""
        cluster = self._cluster()
        if "postgresql" not in self._templates:
            name = cluster.create(prefix="template")
            create_database(cluster.url(name)).dispose()
            self._templates["postgresql"] = name
        template = make_url(of).database if of else self._templates["postgresql"]
        self._made.append(cluster.create(template))
        return cluster.url(self._made[-1])

    def make(self, kind: str, folder: Path, of: str | None = None) -> str:
        """The URL of a new database of a kind, `sqlite` or `postgresql`.

        Args:
            kind: which.
            folder: where a SQLite file lies.
            of: it is a copy of this one, to which nobody is connected; else it is migrated and empty.
        """
        return self.sqlite(folder, of) if kind == "sqlite" else self.postgresql(of)

    def keep(self, url: str) -> None:
        """Lets a database be there until the session ends."""
        name = make_url(url).database
        if name in self._made:
            self._made.remove(name)

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


@pytest.fixture(scope="session")
def sites(_databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> "Sites":
    """Copies of a site on which everything has happened."""
    from support.site import Sites  # noqa: PLC0415  (it needs what is in this file)

    return Sites(_databases, tmp_path_factory.mktemp("sites"))


@pytest.fixture
def site(sites: "Sites", databases: Databases, database_kind: str, tmp_path: Path) -> "Iterator[Site]":
    """A copy of that site for this test."""
    with sites.copy(database_kind, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def _sites_to_read(
    sites: "Sites", tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[Callable[[str], Site]]":
    made: dict[str, Site] = {}
    with contextlib.ExitStack() as stack:

        def of_kind(kind: str) -> "Site":
            if kind not in made:
                made[kind] = stack.enter_context(sites.to_read(kind, tmp_path_factory.mktemp(kind)))
            return made[kind]

        yield of_kind


@pytest.fixture
def site_to_read(_sites_to_read: "Callable[[str], Site]", database_kind: str) -> "Site":
    """A copy of that site for all tests of a module that change nothing; in the end that is looked at."""
    return _sites_to_read(database_kind)


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
