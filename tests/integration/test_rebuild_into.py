"""`rebuild --into`: an exact copy in the other kind of database, whatever was broken off or came meanwhile."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import date

import click
import pytest
from sqlalchemy import delete, func, insert, select, text, update
from support.copies import contents, killed_and_resumed, one_delivery, opened
from support.dump import dump
from support.files import SALES, csv_bytes, drop
from support.loading import wipe
from support.process import command, environment, run_cli
from test_loads import SALES_ROWS

from daemon.cli.main import cli
from daemon.rebuild.move import move, plan
from daemon.rebuild.text import move_text
from daemon.rebuild.verify import verify
from daemon.store import copying
from daemon.store.copying import CannotCopy
from daemon.store.derived import DERIVED
from daemon.store.schema import DELIVERIES, LIVE, METADATA

_C = DELIVERIES.c
_POSTGRES = pytest.mark.postgres
# There and back, and to another of the same kind; from SQLite to SQLite is what `test_the_command` does.
DIRECTIONS = pytest.mark.parametrize(
    ("database_kind", "target"),
    [
        pytest.param("sqlite", "postgresql", marks=_POSTGRES),
        pytest.param("postgresql", "sqlite", marks=_POSTGRES),
        pytest.param("postgresql", "postgresql", marks=_POSTGRES),
    ],
    indirect=True,
)
# From SQLite to both, where what is read has nothing to do with the kind of database.
TARGETS = pytest.mark.parametrize(
    ("database_kind", "target"),
    [("sqlite", "sqlite"), pytest.param("sqlite", "postgresql", marks=_POSTGRES)],
    indirect=True,
)
ON_ONE = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@contextlib.contextmanager
def no_bar(_of):
    yield lambda _done, _total: None


@pytest.fixture(autouse=True)
def _as_wide_as_it_likes(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def target(request, databases, tmp_path) -> str:
    """The URL of an empty database."""
    return databases.make(request.param, tmp_path)


def rows(found):
    return sum(table.copied for table in found.tables)


def next_id(url):
    """The id that the ledger gives next."""
    with opened(url) as engine, engine.connect() as connection:
        given = connection.execute(
            insert(DELIVERIES).values(timestamp=func.now(), file_name="x", status="failed", claim="x" * 16)
            if engine.dialect.name == "postgresql"
            else text(
                "INSERT INTO data_ingestion_log (timestamp, file_name, status, claim)"
                " VALUES ('2025-01-01 00:00:00.000000', 'x', 'failed', 'x')"
            )
        )
        key = given.inserted_primary_key[0] if engine.dialect.name == "postgresql" else given.lastrowid
        connection.rollback()
        return key


@DIRECTIONS
def test_every_table_is_copied_exactly_and_back(site, target):
    before = dump(site.service.store.engine)
    planned = plan(site.service.settings, target)
    assert "Nothing was done" in move_text(planned)
    assert not any(contents(target).values())
    found = move(site.service.settings, target, no_bar)
    assert found.is_exact
    assert contents(target) == before == dump(site.service.store.engine)
    assert [table.rows for table in planned.tables] == [table.copied for table in found.tables]
    assert {table.table for table in found.tables} == {*METADATA.tables, *DERIVED.tables}
    assert "The copy is exact" in move_text(found)
    assert next_id(target) > site.ledger()[-1]["id"]
    # once more: nothing is left to do
    again = move(site.service.settings, target, no_bar)
    assert (again.is_exact, rows(again)) == (True, 0)
    # the copy is a site, from which the first one can be made again
    settings = site.service.settings
    moved = settings.model_copy(update={"database": settings.database.model_copy(update={"url": target})})
    assert verify(moved, None, no_bar).is_equal
    wipe(site.service.store.engine)
    assert move(moved, site.url, no_bar).is_exact
    assert dump(site.service.store.engine) == before


@DIRECTIONS
def test_an_empty_site_is_copied_and_an_id_that_was_given_is_not_given_again(service, target):
    made = service()
    assert move(made.settings, target, no_bar).is_exact
    assert next_id(target) == 1
    drop(made.folders.inbox, "sales_data_20250601.csv", csv_bytes(SALES, SALES_ROWS))
    made.drain()
    engine = made.store.engine
    with engine.begin() as connection:
        sequence = "pg_get_serial_sequence('data_ingestion_log', 'id')"
        connection.execute(
            text(
                "UPDATE sqlite_sequence SET seq = 900"
                if engine.dialect.name == "sqlite"
                else f"SELECT setval({sequence}, 900)"
            )
        )
    move(made.settings, target, no_bar)
    assert next_id(target) == 901


@DIRECTIONS
def test_what_changed_since_is_copied(site, target):
    """Rows that went, came back, moved and stand in each other's way."""
    move(site.service.settings, target, no_bar)
    ids = {row["file_name"]: row for row in site.ledger() if row["status"] in ("success", "partial")}
    site.unload(ids["inventory_data_20250601_b.csv"])
    site.unload(ids["sales_data_20250602.csv"])
    site.unload(ids["sales_data_20250605_b.csv"])
    site.deliver("sales_data_20250601.csv", csv_bytes(SALES, [*SALES_ROWS, *SALES_ROWS, SALES_ROWS[0]]))
    before = dump(site.service.store.engine)
    found = move(site.service.settings, target, no_bar)
    assert found.is_exact
    assert contents(target) == before
    assert 0 < rows(found) < sum(table.rows for table in found.tables)
    # and back: what is newer in the target is taken for use of it
    site.deliver("sales_data_20250630.csv", csv_bytes(SALES, SALES_ROWS))
    assert move(site.service.settings, target, no_bar).is_exact


@TARGETS
def test_damage_in_the_copy_is_mended(site_to_read, target):
    site = site_to_read
    move(site.service.settings, target, no_bar)
    before = contents(target)
    damaged = 0
    with opened(target) as engine, engine.begin() as connection:
        for table in METADATA.tables.values():
            keys = connection.execute(select(*table.primary_key).limit(2)).all()
            one, other = (
                [c == v for c, v in zip(table.primary_key, key, strict=True)] for key in (keys[0], keys[-1])
            )
            if table is not DELIVERIES and len(keys) > 1:
                damaged += connection.execute(delete(table).where(*one)).rowcount
            name, value = DAMAGE.get(table.name, ("id", 1 << 40))
            damaged += connection.execute(update(table).where(*other).values({name: value})).rowcount
    found = move(site.service.settings, target, no_bar)
    assert found.is_exact
    assert rows(found) == damaged
    assert contents(target) == before


DAMAGE = {
    "data_ingestion_log": ("status", "unheard of"),
    "products": ("product_id", "stray"),
    "sales_daily": ("rows", 99),
    "inventory_daily": ("location", "stray"),
    "demand_daily": ("day", date(2020, 1, 1)),
    "scope_daily": ("units", 99),
    "hour_daily": ("units", 99),
}


@TARGETS
def test_what_comes_meanwhile_is_noticed(site, target):
    @contextlib.contextmanager
    def bar(of):
        if of == "rows to copy":
            site.deliver("sales_data_20250620.csv", csv_bytes(SALES, SALES_ROWS))
        yield lambda _done, _total: None

    found = move(site.service.settings, target, bar)
    assert (found.is_exact, found.changed) == (False, 1)
    assert not any(table.differences for table in found.tables)
    assert "1 delivery was added or changed meanwhile. Stop the daemon" in move_text(found)
    assert move(site.service.settings, target, no_bar).is_exact
    assert contents(target) == dump(site.service.store.engine)


# ---- what is refused


def test_the_same_database_is_refused(service):
    made = service()
    for url in (made.settings.database_url, made.settings.database_url.replace("127.0.0.1", "localhost")):
        for step in (lambda u: move(made.settings, u, no_bar), lambda u: plan(made.settings, u)):
            with pytest.raises(CannotCopy, match="the database that the site has now"):
                step(url)


@TARGETS
def test_another_sites_database_is_refused(site_to_read, target):
    site = site_to_read
    move(site.service.settings, target, no_bar)
    cases: list[tuple[Callable[..., object], str]] = [
        (lambda c: c.execute(update(DELIVERIES).where(_C.id == 3).values(id=4_000)), "does not have"),
        (lambda c: c.execute(update(DELIVERIES).values(forced_at=_C.timestamp)), "it has been in use"),
        (lambda c: c.execute(update(DELIVERIES).values(file_name="other.csv")), "is another site's"),
        (lambda c: c.execute(delete(DELIVERIES)), "no delivery that they belong to"),
    ]
    for change, message in cases:
        with opened(target) as engine, engine.begin() as connection:
            change(connection)
        before = contents(target)
        for step in (
            lambda: move(site.service.settings, target, no_bar),
            lambda: plan(site.service.settings, target),
        ):
            with pytest.raises(CannotCopy, match=message):
                step()
        assert contents(target) == before


@pytest.mark.postgres
@ON_ONE  # PostgreSQL has no such rows
def test_a_row_that_the_target_does_not_take_is_said(site, databases):
    url = databases.postgresql()
    live = LIVE["sales"]
    with site.service.store.engine.begin() as connection:
        connection.execute(update(live).values(channel="x" * 100))
    with pytest.raises(CannotCopy, match="does not take a row: value too long"):
        move(site.service.settings, url, no_bar)


@TARGETS
def test_two_that_copy_at_once(site_to_read, target, monkeypatch):
    site = site_to_read
    put_in = copying._put_in

    def twice(*arguments):
        put_in(*arguments)
        put_in(*arguments)

    monkeypatch.setattr(copying, "_put_in", twice)
    with pytest.raises(CannotCopy, match="somebody else writes"):
        move(site.service.settings, target, no_bar)
    monkeypatch.undo()
    assert move(site.service.settings, target, no_bar).is_exact


# ---- as a command


@pytest.mark.parametrize(
    ("database_kind", "target"),
    [pytest.param("sqlite", "postgresql", marks=_POSTGRES)],  # every direction: tests/soak
    indirect=True,
)
def test_a_kill_in_the_middle_and_on_it_goes(service, target, tmp_path):
    made = service()
    one_delivery(made, sales=60_000, rejects=100)
    killed_and_resumed(made, target, tmp_path, LIVE["sales"])


@ON_ONE  # what it does is the same on both; see above
def test_the_command(site_to_read, tmp_path):
    site = site_to_read
    env = environment(site.service.folders.data_dir, site.url)
    new = f"sqlite:///{tmp_path}/new/moved.db"

    def run(*arguments):
        return run_cli("rebuild", *arguments, env=env, cwd=tmp_path)

    assert run("--verify").returncode in (0, 1)  # without the site's patterns some are refused
    planned = run("--into", "sqlite:///new/moved.db", "--dry-run")
    assert (planned.returncode, planned.stderr) == (0, "")
    assert not (tmp_path / "new").exists()
    done = run("--into", "sqlite:///new/moved.db")
    assert (done.returncode, done.stderr) == (0, "")
    assert "The copy is exact" in done.stdout
    assert new in done.stdout
    assert contents(new) == dump(site.service.store.engine)
    for arguments, status, message in (
        (("--into", "mysql://somebody:secret@there/x"), 2, "mysql://"),
        (("--into", site.url), 1, "the site has now"),
        (("--into", "postgresql://u:secret@127.0.0.1:1/x"), 69, "does not answer"),
    ):
        failed = run(*arguments)
        assert failed.returncode == status, failed.stderr
        assert message in failed.stderr
        assert "secret" not in failed.stderr + failed.stdout
        assert "Traceback" not in failed.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say --verify, or --into URL"),
        (["--verify", "--into", "sqlite:///new.db"], "say --verify, or --into URL"),
        (["--verify", "--dry-run"], "--dry-run goes with --into"),
        (["--into", "sqlite:///new.db", "--scratch", "."], "--scratch goes with --verify"),
    ],
)
def test_options_that_do_not_go_together(arguments, message):
    with pytest.raises(click.UsageError, match=message):
        cli.main(["rebuild", *arguments], standalone_mode=False)


@pytest.mark.parametrize(
    ("database_kind", "number"),
    [("sqlite", signal.SIGTERM), pytest.param("postgresql", signal.SIGINT, marks=_POSTGRES)],
    indirect=["database_kind"],
)
def test_a_signal_leaves_nothing_behind(site_to_read, tmp_path, number):
    site = site_to_read
    env = environment(site.service.folders.data_dir, site.url)
    work = site.service.folders.work
    process = subprocess.Popen(
        command("rebuild", "--verify"), env=env, cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not list(work.iterdir()) and process.poll() is None and time.monotonic() < deadline:
        pass
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.strip()) == (128 + number, "")
    assert list(work.iterdir()) == []
