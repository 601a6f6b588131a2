"""The migrations bring a database to what `schema.py` declares, once, whoever comes first."""

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from support.process import clean_environment, environment, run_cli

from daemon import cli, logs
from daemon.errors import ConfigError
from daemon.store import create_database, open_engine
from daemon.store.derived import DERIVED
from daemon.store.migrate import _SCRIPTS, HEAD, migrate
from daemon.store.schema import METADATA

assert cli  # the package, which hides its module
program = sys.modules["daemon.cli.main"]
SQLITE_SHAPE = (
    # columns; hidden: 2 and 3 are computed ones, of which SQLite's kind does not matter
    (
        'SELECT m.name, x.cid, x.name, x.type, x."notnull", x.dflt_value, x.pk, min(x.hidden, 2), m.sql LIKE'
        " '%AUTOINCREMENT%', m.sql LIKE '%WITHOUT ROWID%' FROM sqlite_master m, pragma_table_xinfo(m.name) x"
        " WHERE m.type = 'table'"
    ),
    "SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'index'",
)
PG_SHAPE = (
    # columns
    (
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated::text,"
        " pg_get_expr(d.adbin, d.adrelid), a.attnum FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0"
    ),
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    (
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace AND contype <> 'n'"
    ),
)


def shape(url: str) -> list[tuple[object, ...]]:
    """Every column, index and constraint of a database, in the database's own words."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            found = connection.execute(SQLITE_SHAPE[0]).fetchall()
            indexes = connection.execute(SQLITE_SHAPE[1]).fetchall()
        # spaces are no difference, and SQLite computes on reading what PostgreSQL has to store
        found += [
            (*row[:2], re.sub(r"\s+|(?<=[(),])|(?=[(),])", " ", row[2] or "").split()) for row in indexes
        ]
    else:
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            found = [row for query in PG_SHAPE for row in connection.execute(query).fetchall()]
    return sorted((row for row in found if "alembic_version" not in repr(row)), key=repr)


@pytest.fixture
def empty_urls(database_kind, request, tmp_path):
    """Two databases without any table."""
    if database_kind == "sqlite":
        yield [f"sqlite:///{tmp_path}/{name}.db" for name in ("one", "two")]
        return
    cluster = request.getfixturevalue("postgres")
    names = [cluster.create(prefix="empty") for _ in range(2)]
    yield [cluster.url(name) for name in names]
    for name in names:
        cluster.drop(name)


def test_a_migrated_database_is_what_the_tables_declare(empty_urls):
    migrated, declared = empty_urls
    create_database(migrated).dispose()
    engine = open_engine(declared)
    METADATA.create_all(engine)
    DERIVED.create_all(engine)
    engine.dispose()
    assert [pair for pair in zip(shape(migrated), shape(declared), strict=True) if pair[0] != pair[1]] == []
    assert len(shape(migrated)) > 20


def test_a_second_migration_does_nothing(empty_urls):
    create_database(empty_urls[0]).dispose()
    before = shape(empty_urls[0])
    engine = create_database(empty_urls[0])
    assert migrate(engine) is False
    engine.dispose()
    assert shape(empty_urls[0]) == before


def test_processes_that_start_together_migrate_once(empty_urls):
    code = "import sys; from daemon.store import create_database; create_database(sys.argv[1]).dispose()"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, empty_urls[0]],
            env=clean_environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    said = [process.communicate(timeout=60)[1] for process in started]
    assert [process.returncode for process in started] == [0] * 3, said
    create_database(empty_urls[1]).dispose()
    assert shape(empty_urls[0]) == shape(empty_urls[1])
    engine = open_engine(empty_urls[0])
    with engine.connect() as connection:
        versions = connection.exec_driver_sql("SELECT version_num FROM alembic_version").fetchall()
    engine.dispose()
    assert [tuple(row) for row in versions] == [(HEAD,)]


def test_a_database_of_a_newer_release_is_left_alone(empty_urls, tmp_path):
    engine = create_database(empty_urls[0])
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    before = shape(empty_urls[0])
    with pytest.raises(ConfigError, match=r"9999.*newer release"):
        migrate(engine)
    engine.dispose()
    assert shape(empty_urls[0]) == before
    done = run_cli("drain", env=environment(tmp_path / "data", empty_urls[0]), cwd=tmp_path)
    assert done.returncode == 78, done.stderr
    assert "newer release" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_known_head_is_the_newest_migration():
    config = Config()
    config.set_main_option("script_location", os.fspath(_SCRIPTS))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


LOOKS = (
    "status",
    "log",
    "explain 1",
    "quality",
    "quality explain accuracy",
    "features A",
    "alerts",
    "alerts show 1",
)


def test_who_only_looks_migrates_nothing_and_who_writes_says_it(empty_urls, tmp_path, monkeypatch, capfd):
    def call(words):
        monkeypatch.setattr(sys, "argv", ["stockgrip", *words.split()])
        status = program._run()
        logs.shutdown()
        shown = capfd.readouterr()
        return status, shown.out + shown.err

    for name, value in clean_environment(STOCKGRIP_DATABASE__URL=empty_urls[0]).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    for words in LOOKS:
        status, said = call(words)
        assert status == (" " in words), said  # 1: nothing is known of it
    assert list(tmp_path.iterdir()) == []
    assert shape(empty_urls[0]) == []

    engine = _of_revision("0002", empty_urls[0])
    before = shape(empty_urls[0])
    for words in (*LOOKS, "alerts silences", "features --export x.csv"):
        status, said = call(words)
        assert (status, "the tables are of revision 0002, this program needs" in said) == (78, True), said
    assert shape(empty_urls[0]) == before
    status, said = call("alerts ack 1")
    assert status == 1
    assert '"event":"database_migrated"' in said.replace(" ", "")
    assert call("alerts")[0] == 0

    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    for words in ("log", "alerts ack 1"):
        status, said = call(words)
        assert (status, "made by a newer release" in said) == (78, True), said


def _of_revision(revision, url):
    engine = open_engine(url)
    config = Config()
    config.set_main_option("script_location", os.fspath(_SCRIPTS))
    config.set_main_option("path_separator", "os")
    with engine.connect().execution_options(begin="IMMEDIATE") as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    return engine


def test_rejects_files_of_the_first_release_can_be_dropped_back(empty_urls):
    engine = _of_revision("0001", empty_urls[0])
    with engine.begin() as connection:
        for name, status, path in (
            ("a.csv", "partial", "'processed/2025/07/a.12.csv'"),
            ("b.csv", "success", "'processed/2025/07/b.csv'"),
            ("c.csv", "partial", "NULL"),
        ):
            connection.exec_driver_sql(
                "INSERT INTO data_ingestion_log (timestamp, file_name, status, claim, archive_path)"
                f" VALUES ('2025-07-01 00:00:00', '{name}', '{status}', '{name}', {path})"
            )
    assert migrate(engine) is True
    with engine.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT file_name, rejects_path FROM data_ingestion_log ORDER BY file_name"
        ).fetchall()
    engine.dispose()
    assert [tuple(row) for row in found] == [
        ("a.csv", "errors/a.12.csv.rejects.csv"),
        ("b.csv", None),
        ("c.csv", None),
    ]
