"""The release before this one, as it was: its database is brought up to date, and it leaves ours alone."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.harness import Place, put, sales

from daemon.store.migrate import HEAD

pytestmark = pytest.mark.faults
ROOT = Path(__file__).parents[2]
BEFORE = "cf5292c"  # the last commit of the release whose tables are those of revision 0002
FIRST, SECOND = (f"sales_data_2025030{day}.csv" for day in (1, 2))
_TABLES = ("live_sales_data", "rejected_rows", "products", "sales_daily")


@pytest.fixture
def before(tmp_path: Path) -> str:
    """The folder with the code of the release before."""
    folder = tmp_path / "before"
    folder.mkdir()
    packed = subprocess.run(
        ["git", "-C", ROOT, "archive", BEFORE, "daemon", "handlers", "stockgrip"],
        capture_output=True,
        check=False,
    )
    if packed.returncode:
        pytest.skip(f"the history is not here: {packed.stderr.decode().strip()}")
    subprocess.run(["tar", "x", "-C", folder], input=packed.stdout, check=True)
    return str(folder)


@pytest.fixture
def empty_place(tmp_path: Path, database_kind: str, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A place whose database has no tables yet."""
    if database_kind == "sqlite":
        with Place(tmp_path, f"sqlite:///{tmp_path}/stockgrip.db") as place:
            yield place
        return
    cluster = request.getfixturevalue("postgres")
    name = cluster.create(prefix="before")
    with Place(tmp_path, cluster.url(name)) as place:
        yield place
    cluster.drop(name)


def _contents(place: Place) -> dict[str, list[str]]:
    found = {table: sorted(map(repr, place.rows(f"SELECT * FROM {table}"))) for table in _TABLES}
    ledger = "SELECT id, file_name, sha256, status, records_processed, archive_path FROM data_ingestion_log ORDER BY id"
    found["data_ingestion_log"] = [repr(row) for row in place.rows(ledger)]
    place.engine.dispose()
    return found


def test_database_of_the_release_before_is_taken_over(empty_place: Place, before: str) -> None:
    place = empty_place
    put(place.inbox, FIRST, sales("A", 40, bad=2))
    old = place.drain(1, PYTHONPATH=before)
    assert old.result()["partial"] == 1
    assert place.scalar("SELECT version_num FROM alembic_version") == "0002"
    was = _contents(place)

    put(place.inbox, SECOND, sales("B", 30, day="2025-03-02"))
    new = place.drain(0)
    migrated = new.said("database_migrated")
    assert [(line["from_revision"], line["to_revision"]) for line in migrated] == [("0002", HEAD)]
    assert place.loaded(SECOND)
    now = _contents(place)
    for table, rows in was.items():
        kept = [row for row in now[table] if row in rows]
        assert kept == rows, table
    assert place.scalar("SELECT COUNT(*) FROM live_sales_data") == 70
    assert place.scalar("SELECT SUM(rows) FROM scope_daily WHERE scope = ''") == 70
    assert (
        place.scalar("SELECT COUNT(*) FROM due_products")
        == place.scalar("SELECT COUNT(*) FROM due_days")
        == 0
    )
    assert place.scalar("SELECT COUNT(DISTINCT product_id) FROM product_features") == 70

    # back to the release before: it changes nothing, and says why
    after = _contents(place)
    put(place.inbox, "sales_data_20250303.csv", sales("C", 5, day="2025-03-03"))
    refused = place.start("drain", PYTHONPATH=before)
    assert refused.end() == 78, refused.tail()
    assert "made by a newer release" in refused.tail()
    assert _contents(place) == after
    assert place.waiting() == ["sales_data_20250303.csv"]
