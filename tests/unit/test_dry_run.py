"""What `stockgrip check` says of a file, beside a database and without one, and that it changes nothing."""

import json
from pathlib import Path

import pytest
from conftest import make_settings
from sqlalchemy import create_engine
from sqlalchemy.exc import DatabaseError
from support.dump import dump
from support.files import DEMAND, INVENTORY, SALES, csv_bytes, drop, tree
from support.loading import RULES, load
from support.process import clean_environment, environment, run_cli

from daemon.dry_run import NOTHING_BESIDE, beside_database, dry_run
from daemon.reading import Rules
from daemon.render import verdict_text
from daemon.store import Store
from daemon.store.looking import looking
from handlers.reasons import FileReason

NAME = "sales_data_20250601.csv"
ROW = "2025-06-01T09:00:00,{},online,{},{},,,,s1".format


def sales(products: str, units: int = 1) -> bytes:
    """A row of ten per product."""
    return csv_bytes(SALES, [ROW(product, units, 10) for product in products])


@pytest.fixture
def judged(tmp_path, database_url):
    """Judges a file beside the database."""
    settings = make_settings(tmp_path / "data", database_url)

    def judge(name: str, content: bytes):
        path = tmp_path / name
        path.write_bytes(content)
        with beside_database(settings) as beside:
            return dry_run(path, Rules.of(settings), 20, beside)

    return judge


# ---- beside a database


def test_the_first_file_of_a_slot_has_no_difference(judged):
    verdict = judged(NAME, sales("AB"))
    assert (verdict.status, verdict.rows, verdict.all_well) == ("success", 2, True)
    assert (verdict.difference, verdict.steps_back, verdict.not_compared) == (None, 0, None)


def test_bytes_that_are_loaded_are_a_duplicate(judged, store):
    outcome = load(store, NAME, sales("AB"))
    verdict = judged("sales_data_20250602.csv", sales("AB"))
    assert (verdict.status, verdict.duplicate_of) == ("duplicate", outcome.delivery_id)
    assert verdict.all_well
    text = verdict_text(verdict, 80)
    assert text.startswith(f"sales_data_20250602.csv: duplicate of delivery {outcome.delivery_id} ({NAME})\n")


def test_a_correction_shows_what_it_changes(judged, store):
    outcome = load(store, NAME, sales("ABC"))
    verdict = judged(NAME, csv_bytes(SALES, [ROW("A", 1, 10), ROW("B", 2, 20), ROW("D", 1200, "0.0001")]))
    assert (verdict.status, verdict.all_well) == ("success", True)
    assert verdict_text(verdict, 80).splitlines() == [
        f"{NAME}: success",
        "  feed sales, slot sales:2025-06-01",
        "  utf-8, delimiter ,",
        "  3 rows to load, 0 rejects",
        f"  corrects delivery {outcome.delivery_id} (3 rows): 1 added, 1 removed, 1 changed, 1 as before",
        "    quantity_sold  3 → 1,203  (+1,200)",
        "    revenue        30.00 → 30.0001  (+0.0001)",
        "    added    line 4: 2025-06-01 09:00:00, D, online, 1200, 0.0001, location s1",
        "    removed  line 4: 2025-06-01 09:00:00, C, online, 1, 10.00, location s1",
        "    changed  line 3: 2025-06-01 09:00:00, B, online, s1: quantity_sold 1 → 2,",
        "      revenue 10.00 → 20.00",
    ]
    assert json.loads(json.dumps(verdict.as_dict()))["difference"]["added"] == 1


def test_a_correction_that_shrinks_its_slot_is_held(judged, store):
    load(store, NAME, sales("ABCD"))
    assert judged(NAME, sales("AX")).status == "success"  # half
    verdict = judged(NAME, sales("A"))
    assert (verdict.status, verdict.reason, verdict.all_well) == ("held", FileReason.SHRUNK, False)
    assert (verdict.difference.removed, verdict.difference.same) == (3, 1)
    text = verdict_text(verdict, 80)
    assert f"{NAME}: held" in text
    assert "0 added, 3 removed, 0 changed, 1 as before" in text


def test_what_an_operator_forces_is_not_held(service, tmp_path, database_url):
    made = service()
    for content in (sales("ABCD"), sales("A")):
        drop(made.folders.inbox, NAME, content)
        made.drain()
    path = made.folders.errors / NAME
    settings = make_settings(tmp_path / "data", database_url)
    with beside_database(settings) as beside:
        assert dry_run(path, Rules.of(settings), 20, beside).status == "held"
        made.store.force(2)
        verdict = dry_run(path, Rules.of(settings), 20, beside)
    assert (verdict.status, verdict.difference.removed) == ("success", 3)


def test_rejects_stand_beside_the_difference(judged, store):
    load(store, NAME, sales("AB"))
    verdict = judged(NAME, csv_bytes(SALES, [ROW("A", 1, 10), ROW("B", "x", 10)]))
    assert (verdict.status, verdict.rows, verdict.rejected, verdict.all_well) == ("partial", 1, 1, False)
    assert (verdict.difference.removed, verdict.difference.same) == (1, 1)
    assert verdict.rejects[0]["line"] == 3


def test_a_refused_file_is_not_compared(judged, store):
    load(store, NAME, sales("AB"))
    verdict = judged(NAME, csv_bytes(SALES, [ROW("A", "x", 10)]))
    assert (verdict.status, verdict.reason) == ("failed", FileReason.NO_VALID_ROWS)
    assert (verdict.difference, verdict.dialect.encoding, verdict.rejected) == (None, "utf-8", 1)


def test_rows_of_other_slots_that_step_back_are_told(judged, store):
    row = "2025-06-01,{},s1,{},,,,".format
    load(store, "inventory_data_20250601_a.csv", csv_bytes(INVENTORY, [row("A", 1), row("B", 1)]))
    load(store, "inventory_data_20250601_b.csv", csv_bytes(INVENTORY, [row("C", 1)]))
    verdict = judged("inventory_data_20250601_b.csv", csv_bytes(INVENTORY, [row("A", 2), row("C", 2)]))
    assert (verdict.steps_back, verdict.difference.changed, verdict.difference.added) == (1, 1, 1)
    assert "  rows of other deliveries with the same keys, which step back: 1" in verdict_text(verdict, 80)


def test_money_that_cannot_be_added_is_refused_with_and_without_a_database(judged, tmp_path):
    content = csv_bytes(SALES, [ROW("A", 1, "99999999999")] * 400)
    path = tmp_path / NAME
    path.write_bytes(content)
    for verdict in (judged(NAME, content), dry_run(path, RULES, 20)):
        assert (verdict.status, verdict.reason) == ("failed", FileReason.SUM_TOO_LARGE)


def test_checking_writes_nothing(judged, store, tmp_path, database_kind):
    load(store, NAME, sales("ABC"))
    load(store, "demand_data_20250601.csv", csv_bytes(DEMAND, ["2025-06-01,A,high,,,,,"]))
    before = dump(store.engine)
    store.close()
    files = tree(tmp_path)
    for name, content in (
        (NAME, sales("ABC")),
        (NAME, sales("ABD", 7)),
        (NAME, sales("A")),
        ("demand_data_20250601_x.csv", csv_bytes(DEMAND, ["2025-06-01,A,low,,,,,"])),
    ):
        assert judged(name, content).not_compared is None
        (tmp_path / name).unlink()
    if database_kind == "sqlite":
        assert tree(tmp_path) == files  # byte for byte, and no log was left beside it
    assert dump(store.engine) == before


def test_a_sqlite_database_that_is_looked_at_cannot_be_written(databases, tmp_path):
    url = databases.sqlite(tmp_path)
    with looking(url) as store, store.engine.connect() as connection:
        connection.exec_driver_sql("CREATE TEMPORARY TABLE mine (a INTEGER)")
        connection.exec_driver_sql("INSERT INTO mine VALUES (1)")
        for statement in (
            "INSERT INTO products VALUES ('A', '2025-01-01')",
            "UPDATE alembic_version SET version_num = '9'",
            "DELETE FROM data_ingestion_log",
            "CREATE TABLE more (a INTEGER)",
            "DROP TABLE products",
        ):
            with pytest.raises(DatabaseError, match="not authorized"):
                connection.exec_driver_sql(statement)


# ---- without one


def not_compared(url: str, tmp_path: Path) -> str:
    """Why a file, which is judged all the same, is not compared."""
    settings = make_settings(tmp_path / "data", url)
    path = tmp_path / NAME
    path.write_bytes(sales("AB"))
    with beside_database(settings) as beside:
        verdict = dry_run(path, Rules.of(settings), 20, beside)
    assert (verdict.status, verdict.rows, verdict.difference, verdict.steps_back) == (
        "success",
        2,
        None,
        None,
    )
    assert verdict.not_compared is not None
    return verdict.not_compared


def test_no_database_is_made(tmp_path):
    assert "no database yet" in not_compared(f"sqlite:///{tmp_path}/folder/x.db", tmp_path)
    assert not (tmp_path / "folder").exists()


def test_an_empty_database_is_not_migrated(tmp_path):
    (tmp_path / "x.db").touch()
    assert "no database yet" in not_compared(f"sqlite:///{tmp_path}/x.db", tmp_path)
    assert (tmp_path / "x.db").stat().st_size == 0


def test_what_is_no_database_is_not_compared_with(tmp_path):
    (tmp_path / "x.db").write_bytes(b"no database at all" * 1000)
    assert "not a database" in not_compared(f"sqlite:///{tmp_path}/x.db", tmp_path)


def test_a_server_that_is_not_there_is_not_waited_for(tmp_path):
    why = not_compared("postgresql+psycopg://ann:secret@127.0.0.1:1/nothing", tmp_path)
    assert "does not answer" in why
    assert "secret" not in why


@pytest.mark.parametrize(("version", "told"), [("0001", "next run or drain"), ("9999", "newer release")])
def test_a_database_of_another_release_is_left_alone(database_url, store, tmp_path, version, told):
    with store.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{version}'")
    why = not_compared(database_url, tmp_path)
    assert version in why
    assert told in why
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == version


def test_a_user_without_rights_is_told_so(databases, tmp_path):
    url = databases.postgresql()
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.exec_driver_sql("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        connection.exec_driver_sql("DROP ROLE IF EXISTS looker")
        connection.exec_driver_sql("CREATE ROLE looker LOGIN")
        connection.exec_driver_sql("GRANT USAGE ON SCHEMA public TO looker")
    try:
        mine = str(engine.url.set(username="looker"))
        assert "permission denied" in not_compared(mine, tmp_path)
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP OWNED BY looker")
            connection.exec_driver_sql("DROP ROLE looker")
        engine.dispose()


def test_a_database_that_goes_away_leaves_the_judgement(databases, tmp_path):
    url = databases.sqlite(tmp_path)
    settings = make_settings(tmp_path / "data", url)
    path = tmp_path / NAME
    path.write_bytes(csv_bytes(SALES, [ROW("A", 1, 10), ROW("B", "x", 10)]))
    with beside_database(settings) as beside:
        Path(url.removeprefix("sqlite:///")).rename(tmp_path / "away.db")
        verdict = dry_run(path, Rules.of(settings), 20, beside)
    assert (verdict.status, verdict.rows, len(verdict.rejects)) == ("partial", 1, 1)
    assert "does not answer" in verdict.not_compared


def test_alone_there_is_nothing_to_explain(tmp_path):
    path = tmp_path / NAME
    path.write_bytes(sales("AB"))
    verdict = dry_run(path, RULES, 20, NOTHING_BESIDE)
    assert (verdict.status, verdict.not_compared) == ("success", None)


# ---- the command


def test_the_command_says_all_of_it(tmp_path, databases):
    url = databases.sqlite(tmp_path)
    store = Store.open(url)
    load(store, NAME, sales("ABCD"))
    store.close()
    (tmp_path / NAME).write_bytes(sales("ABCE"))
    env = environment(tmp_path / "data", url, COLUMNS="80")
    done = run_cli("check", NAME, env=env, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 added, 1 removed, 0 changed, 3 as before" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    (found,) = json.loads(run_cli("check", "--json", NAME, env=env, cwd=tmp_path).stdout)
    assert found["difference"]["totals"]["revenue"] == {"old": "40.00", "new": "40.00", "delta": "0.00"}
    (tmp_path / NAME).write_bytes(sales("A"))
    assert run_cli("check", NAME, env=env, cwd=tmp_path).returncode == 1
    (tmp_path / NAME).write_bytes(sales("ABCD"))
    assert run_cli("check", NAME, env=env, cwd=tmp_path).returncode == 0


def test_the_command_needs_no_database(tmp_path):
    for name in (NAME, "sales_data_20250602.csv"):
        (tmp_path / name).write_bytes(sales("AB"))
    done = run_cli("check", NAME, "sales_data_20250602.csv", env=clean_environment(), cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.count("Not compared with the database: there is no database yet") == 1
    assert {path.name for path in tmp_path.iterdir()} == {NAME, "sales_data_20250602.csv"}
