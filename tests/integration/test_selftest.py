"""The check of the installed program: it passes, leaves nothing behind, and finds a program that is broken."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from conftest import Databases
from support.files import tree

from daemon.selftest import PARTS, selftest
from daemon.selftest.checks import Checks
from daemon.selftest.run import Report
from daemon.selftest.scratch import database
from daemon.selftest.text import report_text
from daemon.settings import DatabaseSettings, Settings
from daemon.store.scratch_database import scratch_database
from daemon.store.staging import Stage
from handlers.features import velocity
from stockgrip import LiveDataTester


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a site that has its folders, and no database yet."""
    (tmp_path / "data" / ".work").mkdir(parents=True)
    return Settings(data_dir=tmp_path / "data", timezone="America/New_York")


def test_it_passes_and_leaves_nothing(settings: Settings) -> None:
    found = LiveDataTester(settings).run_comprehensive_test()
    failed = [check for part in found["parts"] for check in part["checks"] if not check["ok"]]
    assert not failed
    assert [part["name"] for part in found["parts"]] == list(PARTS)
    assert found["status"] == "pass"
    assert found["checked"] > 200
    json.dumps(found)
    assert tree(settings.data_dir) == {}
    assert list((settings.data_dir / ".work").iterdir()) == []


def asked(url: str, sql: str) -> list[Any]:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        found = connection.execute(sql.encode())
        return [row[0] for row in found.fetchall()] if found.description else []


@pytest.mark.postgres
def test_a_database_for_a_while(databases: Databases) -> None:
    url, all_of_them = databases.postgresql(), "SELECT datname FROM pg_database"
    dead = f"stockgrip_scratch_{int(time.time()) - 100_000}_ab"
    asked(url, f"CREATE DATABASE {dead}")
    there = set(asked(url, all_of_them))
    with scratch_database(url) as (own, name):
        assert set(asked(url, all_of_them)) == there - {dead} | {name}
        assert asked(own, "SELECT current_database()") == [name]
    assert set(asked(url, all_of_them)) == there - {dead}


@pytest.mark.postgres
def test_without_the_right_to_make_one_sqlite_is_tried_and_it_is_said(
    settings: Settings, databases: Databases, tmp_path: Path
) -> None:
    url = databases.postgresql()
    asked(url, "CREATE ROLE modest LOGIN")
    try:
        modest = settings.model_copy(
            update={"database": DatabaseSettings(url=url.replace("postgres@", "modest@"))}
        )
        with database(modest, tmp_path, keep=False) as (own, remark):
            assert own == f"sqlite:///{tmp_path}/scratch.db"
            assert (
                "SQLite was tried, not the configured PostgreSQL: modest may not create a database" in remark
            )
    finally:
        asked(url, "DROP ROLE modest")
    assert remark in " ".join(report_text(Report((), 0.0, None, "sqlite", remark)).split())


def test_a_program_that_loses_a_row_or_miscounts_fails_and_says_where(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    append: Callable[[Stage, pa.RecordBatch], None] = Stage.append

    def careless(stage: Stage, batch: pa.RecordBatch) -> None:
        few = max(0, batch.num_rows - 1) if "revenue" in batch.schema.names else batch.num_rows
        append(stage, batch.slice(0, few))

    monkeypatch.setattr(Stage, "append", careless)
    mean = velocity.mean_units
    monkeypatch.setattr(velocity, "mean_units", lambda history, window: mean(history, window) * 1.001)
    shown: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        shown.append((done, total))

    report = selftest(settings, ("csv_ingestion", "feature_engineering"), keep=True, progress=progress)
    assert not report.passed
    lost, wrong = report.parts
    names = {check.name: check for check in lost.checks if not check.ok}
    rows = names["rows of sales"]
    assert int(rows.expected.split()[0]) > int(rows.found.split()[0])
    assert rows.hint.split()[1] == "missing,"
    assert "rows of inventory" not in names
    assert any(check.name.startswith("mean_units_7 of ") for check in wrong.checks if not check.ok)
    assert not any(check.name.startswith("on_hand of") for check in wrong.checks if not check.ok)
    text = report_text(report)
    assert "csv ingestion           FAIL" in text
    assert f"    expected {rows.expected}\n    found    {rows.found}\n    {rows.hint[:40]}" in text
    assert "must not be trusted" in text
    assert report.kept is not None
    assert (report.kept / "scratch.db").exists()
    assert report.kept.parent == settings.data_dir / ".work"
    assert shown == sorted(shown)


def test_a_part_that_breaks_is_a_failed_check(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_trial: Any, _checks: Checks) -> None:
        raise RuntimeError("no such table: anything")

    monkeypatch.setattr("daemon.selftest.run.PARTS", {"csv_ingestion": broken})
    found = LiveDataTester(settings).test_csv_ingestion()
    assert found["status"] == "fail"
    assert found["failed"] == ["the part itself"]
    assert found["checks"][0]["found"] == "RuntimeError: no such table: anything"
