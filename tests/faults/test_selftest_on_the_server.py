"""The check of the installed program, on the PostgreSQL server of the site."""

from pathlib import Path

import pytest
from conftest import Databases

from daemon.selftest import selftest
from daemon.settings import DatabaseSettings, Settings
from daemon.store import Store


@pytest.mark.postgres
@pytest.mark.faults
def test_it_passes_and_touches_nothing_of_the_site(tmp_path: Path, databases: Databases) -> None:
    url = databases.postgresql()
    (tmp_path / "data" / ".work").mkdir(parents=True)
    settings = Settings(
        data_dir=tmp_path / "data", timezone="America/New_York", database=DatabaseSettings(url=url)
    )
    report = selftest(settings)
    assert [check for part in report.parts for check in part.checks if not check.ok] == []
    assert (report.database, report.remark) == ("postgresql", "")
    store = Store.open(url)
    assert (
        store.ask(
            lambda connection: connection.exec_driver_sql("SELECT COUNT(*) FROM data_ingestion_log").scalar()
        )
        == 0
    )
    store.close()
