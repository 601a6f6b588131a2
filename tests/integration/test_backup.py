"""Backups: made in use, read back, rotated; and the way back, with all that came since."""

import json
import subprocess
import threading
from pathlib import Path

import pytest
from alembic import command as alembic
from alembic.config import Config
from conftest import make_settings, serving
from support.dump import dump
from support.files import SALES, csv_bytes, drop
from support.process import command

import daemon.store
from daemon import backup
from daemon.backup import CannotBackUp
from daemon.errors import ConfigError
from daemon.files import Folders
from daemon.presence import alone, present
from daemon.store import Store
from daemon.store.engine import open_engine
from daemon.store.looking import engine_to_look, version_of


def deliver(settings, *names, rows=3):
    store = Store.open(settings.database_url)
    with serving(settings, store) as made:
        for name in names:
            rows_of = [f"2025-03-01,{name},pos,{n},2.5,,,," for n in range(1, rows + 1)]
            drop(made.folders.inbox, f"sales_data_20250301_{name}.csv", csv_bytes(SALES, rows_of))
            made.drain()
        made.drain()
    found = dump(store.engine, by_name=True)
    store.close()
    return found


@pytest.fixture
def settings(database_url, tmp_path):
    return make_settings(tmp_path / "data", database_url)


def test_there_and_back_with_what_came_since(settings):
    deliver(settings, "a", "b")
    made = backup.make_backup(settings)
    assert made.rows["live_sales_data"] == 6
    assert json.loads(Path(f"{made.file}.json").read_text())["sha256"] == made.sha256
    everything = deliver(settings, "c", "d")
    inbox = settings.data_dir / "live_feeds"
    drop(inbox, "sales_data_20250301_e.csv", b"no,header\n1,2\n")
    everything = deliver(settings)  # and one that is refused
    first = backup.restore(settings, Path(made.file))
    assert sorted(Path(name).name for name in first.unknown) == [
        f"sales_data_20250301_{n}.csv" for n in "cde"
    ]
    assert first.delivered_again == ()
    done = backup.restore(settings, Path(made.file), redeliver=True)
    assert sorted(done.delivered_again) == [f"sales_data_20250301_{n}.csv" for n in "cde"]
    assert not list(inbox.glob("*_a*"))
    assert deliver(settings) == everything
    assert backup.restore(settings, Path(made.file)).before is not None


def test_numbered_files_come_back_under_the_name_that_they_came_with(settings):
    deliver(settings, "a")
    made = backup.make_backup(settings)
    deliver(settings, "a", rows=4)  # a correction: it is filed under another name
    done = backup.restore(settings, Path(made.file), redeliver=True)
    assert done.unknown != done.delivered_again
    assert done.delivered_again == ("sales_data_20250301_a.csv",)


def test_it_refuses_to_restore_while_somebody_works(settings):
    deliver(settings, "a")
    made = backup.make_backup(settings)
    with present(Folders(settings.data_dir)), pytest.raises(ConfigError, match="stop it first"):
        backup.restore(settings, Path(made.file))
    with alone(Folders(settings.data_dir)):
        pass


@pytest.mark.parametrize("harm", ["cut", "bit", "note"])
def test_a_broken_backup_is_refused_and_changes_nothing(settings, harm):
    before = deliver(settings, "a", rows=3000)
    made = backup.make_backup(settings)
    path = Path(made.file)
    content = bytearray(path.read_bytes())
    if harm == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif harm == "bit":
        content[len(content) // 2] ^= 0x40
        path.write_bytes(content)
    else:
        note = Path(f"{path}.json")
        note.write_text(note.read_text().replace('"live_sales_data": 3000', '"live_sales_data": 3001'))
    with pytest.raises(CannotBackUp):
        backup.restore(settings, path)
    assert deliver(settings) == before


def test_the_newest_stay(database_url, tmp_path):
    settings = make_settings(
        tmp_path / "data", database_url, backup={"keep": 2, "folder": tmp_path / "copies"}
    )
    deliver(settings, "a")
    made = [backup.make_backup(settings) for _ in range(4)]
    assert [each.file for each in backup.backups(settings)] == [each.file for each in reversed(made[2:])]
    assert len(list((tmp_path / "copies").iterdir())) == 4


def test_while_files_are_loaded(settings):
    """What the copy holds is one moment of the ledger: each delivery with all of its rows, or without any."""
    deliver(settings, "0", rows=2000)
    stop = threading.Event()

    def work():
        number = 0
        while not stop.is_set():
            number += 1
            deliver(settings, f"n{number}", rows=500)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        made = [backup.make_backup(settings) for _ in range(3)]
    finally:
        stop.set()
        worker.join()
    for each in made:
        assert each.rows["live_sales_data"] == 2000 + 500 * (each.rows["data_ingestion_log"] - 1)


def test_no_database_and_no_room(tmp_path, monkeypatch):
    settings = make_settings(tmp_path / "data", f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(CannotBackUp, match="no database yet"):
        backup.make_backup(settings)
    deliver(settings, "a")
    monkeypatch.setattr(backup, "size_of", lambda _url: 1 << 60)
    with pytest.raises(CannotBackUp, match="bytes free"):
        backup.make_backup(settings)
    assert list((tmp_path / "data" / "backups").iterdir()) == []


def test_another_kind_of_database(tmp_path):
    settings = make_settings(tmp_path / "data", f"sqlite:///{tmp_path}/one.db")
    (tmp_path / "x.dump").write_bytes(b"PGDMP")
    with pytest.raises(CannotBackUp, match="rebuild --into"):
        backup.restore(settings, tmp_path / "x.dump")


def test_before_a_migration(tmp_path):
    """A database of an earlier release is copied as that left it, then migrated."""
    settings = make_settings(tmp_path / "data", f"sqlite:///{tmp_path}/one.db")
    engine = open_engine(settings.database_url)
    with engine.connect().execution_options(begin="IMMEDIATE") as connection, connection.begin():
        config = Config()
        config.set_main_option("script_location", str(Path(daemon.store.__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        alembic.upgrade(config, "0002")
    engine.dispose()
    backup.before_migration(settings)
    (made,) = backup.backups(settings)
    assert made.revision == "0002"
    engine = engine_to_look(settings.database_url, 1)
    with engine.connect() as connection:
        assert version_of(connection) == "0002"
    deliver(settings, "a")
    backup.before_migration(settings)
    assert len(backup.backups(settings)) == 1


def test_the_commands(settings, tmp_path):
    deliver(settings, "a")
    environment = {
        "PATH": "/usr/bin:/bin",
        "STOCKGRIP_DATA_DIR": str(settings.data_dir),
        "STOCKGRIP_DATABASE__URL": settings.database_url,
    }

    def call(*arguments):
        return subprocess.run(
            command(*arguments), env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    done = call("backup", "--json")
    assert done.returncode == 0, done.stderr
    file = json.loads(done.stdout)["file"]
    assert file in call("backup", "--list").stdout
    deliver(settings, "b")
    done = call("restore", file, "--yes", "--redeliver")
    assert done.returncode == 0, done.stderr
    assert "1 files that came after it are in live_feeds/ again" in done.stdout
    assert call("restore", "nothing.db").returncode == 1
