"""A place to work in for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("e2e.hands", "e2e.harness", "e2e.kills", "e2e.mix", "e2e.syscalls")

from e2e.harness import Place  # noqa: E402


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Iterator[Place]:
    """A data folder with a database, on SQLite and on PostgreSQL; its logs are looked through at the end."""
    made = Place(tmp_path, database_url)
    yield made
    made.close()


@pytest.fixture
def sqlite_place(tmp_path: Path, databases) -> Iterator[Place]:
    """The same on SQLite only, for what has nothing to do with the database."""
    made = Place(tmp_path, databases.sqlite(tmp_path))
    yield made
    made.close()
