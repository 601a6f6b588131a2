"""Trials of the daemon in an unwell world.

The quick ones run with all other tests, on SQLite where they can run on both databases. `make faults` (SGTEST_FAULTS=1) runs
all, which everything else passes by, visibly, and prints a table: how long each recovery took, and how many letters told
of it.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.mail import mail_server

pytest.register_assert_rewrite("e2e.harness", "e2e.syscalls", "faults.trial")

from e2e.harness import Place  # noqa: E402
from e2e.host import need_root  # noqa: E402

from faults.trial import Begin, Trial  # noqa: E402

ALL = os.environ.get("SGTEST_FAULTS") == "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here not in item.path.parents or ALL:
            continue
        if item.get_closest_marker("faults"):
            item.add_marker(pytest.mark.skip(reason="takes long: run `make faults`"))
        elif _database_of(item) == "postgresql":
            item.add_marker(pytest.mark.skip(reason="on SQLite it was tried: run `make faults` for both"))


def _database_of(item: pytest.Item) -> object:
    """Of a test that runs on both databases."""
    return item.callspec.params.get("database_kind") if hasattr(item, "callspec") else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not ALL:
        return
    terminalreporter.section("faults: seconds until all was loaded and followed up, and letters about it")
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            figures = dict(report.user_properties)
            if report.when == "call" and "seconds" in figures:
                test = report.nodeid.rpartition("/")[2].partition("::")[2]
                letters = figures.get("letters", "")
                terminalreporter.write_line(f"{figures['seconds']:>6} s  {letters:>2}  {outcome}  {test}")


@pytest.fixture
def begin(record_property: Callable[[str, object], None]) -> Iterator[Begin]:
    """Makes a trial of a place; with a mail server, and root, which most faults need."""
    need_root("the host is meddled with")
    with mail_server() as box:
        yield lambda place: Trial(place, box, record_property)


@pytest.fixture
def trial(place: Place, begin: Begin) -> Trial:
    """A trial on SQLite and on PostgreSQL."""
    return begin(place)


@pytest.fixture
def sqlite_trial(sqlite_place: Place, begin: Begin) -> Trial:
    """The same on SQLite only, for what has nothing to do with the database."""
    return begin(sqlite_place)


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Iterator[Place]:
    """A data folder with a database; its logs are looked through at the end."""
    with Place(tmp_path, database_url) as made:
        yield made


@pytest.fixture
def sqlite_place(tmp_path: Path, databases) -> Iterator[Place]:
    """The same on SQLite only."""
    with Place(tmp_path, databases.sqlite(tmp_path)) as made:
        yield made


@pytest.fixture
def pg_place(tmp_path: Path, databases) -> Iterator[Place]:
    """The same on PostgreSQL only."""
    with Place(tmp_path, databases.postgresql()) as made:
        yield made


@pytest.fixture
def pg_trial(pg_place: Place, begin: Begin) -> Trial:
    """A trial on PostgreSQL only."""
    return begin(pg_place)
