"""The world's faults: full disks, locked databases, read-only folders. No file is blamed, and work resumes by itself."""

import errno
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.postgres import Cluster, NoServerError

from e2e.harness import Place, Process, put, sales, until
from e2e.host import fill, immutable, need_root, tmpfs

A, B, C = (f"sales_data_20250301_{letter}.csv" for letter in "abc")
LARGE_ROWS = 90_000  # 4.6 MB: staged in a file of its own on SQLite


def _nothing_blamed(place: Place) -> None:
    assert list(place.errors.iterdir()) == []
    assert "failed" not in {row["status"] for row in place.ledger()}


@contextmanager
def _small_data_folder(place: Place, size: str) -> Iterator[Path]:
    with tmpfs(place.data, size) as folder:
        place.__post_init__()  # the folders, on the new filesystem
        yield folder
        for process in place.processes:
            if process.alive:
                process.kill()


def _resumes(place: Place, daemon: Process, reason: str | None = None) -> None:
    resumed = daemon.wait_said("intake_resumed", 30)
    assert reason is None or resumed["reason"] == reason


# ---- full disks


def test_drain_on_a_full_data_folder(place: Place) -> None:
    with _small_data_folder(place, "4m"):
        put(place.inbox, A, sales("A", 5, bad=1))
        put(place.inbox, B, b"nothing that a feed knows\n")
        ballast = fill(place.data)
        drain = place.drain(69)
        assert "space" in drain.tail()
        assert place.archived(place.errors) == []
        assert sorted(
            [*place.waiting(), *place.claimed(), *(p.name for p in place.archived(place.processed))]
        ) == [A, B]
        ballast.unlink()
        place.drain(1)
        place.assert_clean()
        assert [row["status"] for row in place.ledger()] == ["partial", "failed"]
        assert place.scalar("SELECT COUNT(*) FROM live_sales_data") == 5
        assert len(list(place.errors.iterdir())) == 3  # rejects, the refused file and why


def test_daemon_on_a_full_data_folder(place: Place) -> None:
    with _small_data_folder(place, "4m"):
        daemon = place.run(retry__attempts="2")
        put(place.inbox, A, sales("A", 5, bad=1))
        place.wait_loaded(A)
        ballast = fill(place.data, leave=8192)
        (place.inbox / B).write_bytes(sales("B", 5, bad=1))
        fill(place.data).rename(place.data / ".ballast-2")
        daemon.wait_said("intake_paused")
        assert place.archived(place.errors) == []
        ballast.unlink(missing_ok=True)
        (place.data / ".ballast-2").unlink()
        _resumes(place, daemon)
        place.wait_loaded(B)
        assert daemon.stop() == 0
        place.assert_clean()
        assert place.scalar("SELECT COUNT(*) FROM live_sales_data") == 10


def test_no_room_for_the_stage_of_a_large_file(place: Place) -> None:
    with _small_data_folder(place, "30m"):
        (place.inbox / A).write_bytes(sales("A", LARGE_ROWS, products=50))
        ballast = fill(place.data, leave=2 << 20)
        daemon = place.run(retry__attempts="1")
        if place.url.startswith("sqlite"):
            paused = daemon.wait_said("intake_paused", 60)
            assert "disk" in paused["error"] or "space" in paused["error"], (
                "the operator must learn what is wrong"
            )
            _nothing_blamed(place)
        ballast.unlink()
        place.wait_loaded(A, seconds=60)
        assert daemon.stop() == 0
        place.assert_clean()
        _nothing_blamed(place)
        assert place.scalar("SELECT COUNT(*) FROM live_sales_data") == LARGE_ROWS


def test_full_disk_of_a_sqlite_database(sqlite_place: Place) -> None:
    place = sqlite_place
    with tmpfs(place.folder / "db", "3m") as disk:
        file = place.url.removeprefix("sqlite:///")
        shutil.move(file, disk / "stockgrip.db")
        place.url = f"sqlite:///{disk}/stockgrip.db"
        ballast = fill(disk, leave=300_000)
        put(place.inbox, A, sales("A", 20_000, products=50))
        put(place.inbox, B, sales("B", 5))
        place.drain(69, retry__attempts="2")
        assert sorted([*place.waiting(), *place.claimed()]) == [A, B]
        _nothing_blamed(place)
        daemon = place.start("run", retry__attempts="2")
        assert daemon.wait_said("intake_paused", 30)["reason"] == "database"
        assert place.claimed() == [A]
        ballast.unlink()
        subprocess.run(["mount", "-o", "remount,size=30m", disk], check=True)
        _resumes(place, daemon, "database")
        place.wait_loaded(A, B)
        assert daemon.stop() == 0
        place.assert_clean()
        _nothing_blamed(place)
        assert place.scalar("SELECT COUNT(*) FROM live_sales_data") == 20_005
        assert place.scalar("PRAGMA integrity_check") == "ok"
        place.engine.dispose()


def _fills_up(place: Place, disk: Path) -> None:
    place.drain(0)
    ballast = fill(disk, leave=300_000)
    put(place.inbox, A, sales("A", 20_000, products=50))
    place.drain(69, retry__attempts="2")
    assert [*place.waiting(), *place.claimed()] == [A]
    _nothing_blamed(place)
    daemon = place.start("run", retry__attempts="2")
    assert daemon.wait_said("intake_paused", 30)["reason"] == "database"
    ballast.unlink()
    _resumes(place, daemon, "database")
    place.wait_loaded(A)
    assert daemon.stop() == 0
    place.assert_clean()
    _nothing_blamed(place)
    assert place.scalar("SELECT COUNT(*) FROM live_sales_data") == 20_000


@pytest.mark.postgres
def test_full_disk_of_a_postgresql_server(tmp_path: Path) -> None:
    """A tablespace on a small disk: the server's own would stop it altogether."""
    need_root("a filesystem of its own is mounted")
    try:
        cluster = Cluster.make()
    except NoServerError as error:
        pytest.skip(str(error))
    try:
        with tmpfs(cluster.folder / "small", "20m") as disk:
            (disk / "space").mkdir()
            shutil.chown(disk, "postgres", "postgres")
            shutil.chown(disk / "space", "postgres", "postgres")
            admin = Place(tmp_path, cluster.url("postgres"))
            with admin.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql(f"CREATE TABLESPACE small LOCATION '{disk}/space'")
                connection.exec_driver_sql("CREATE DATABASE tight TABLESPACE small")
            admin.engine.dispose()
            with Place(tmp_path, cluster.url("tight")) as place:
                _fills_up(place, disk)
            cluster.stop()
    finally:
        cluster.remove()


# ---- locks and folders


def _lock(place: Place) -> sqlite3.Connection:
    other = sqlite3.connect(place.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


def test_locked_sqlite(sqlite_place: Place) -> None:
    """A backup holds the lock: retried, then paused, then loaded."""
    place = sqlite_place
    daemon = place.run(database__busy_timeout_seconds="0.2", retry__attempts="3")
    other = _lock(place)
    put(place.inbox, A, sales("A"))
    daemon.wait_said("step_retried", attempt=2)
    assert daemon.wait_said("intake_paused")["reason"] == "database"
    put(place.inbox, B, sales("B"))
    assert not daemon.said("intake_resumed")
    other.execute("ROLLBACK")
    other.close()
    _resumes(place, daemon, "database")
    place.wait_loaded(A, B)
    assert len(daemon.said("intake_paused")) == 1, "said once, not at each try"
    assert daemon.stop() == 0
    place.assert_clean()
    _nothing_blamed(place)


def test_start_while_sqlite_is_locked(sqlite_place: Place) -> None:
    """What a killed daemon had in hand is taken up, however long the database is locked."""
    place = sqlite_place
    daemon = place.run(database__busy_timeout_seconds="30")
    other = _lock(place)
    put(place.inbox, A, sales("A"))
    daemon.wait_said("delivery_claimed")
    daemon.kill()
    waiting = place.start("run", database__busy_timeout_seconds="0.1", retry__attempts="1")
    waiting.wait_said("intake_paused")
    other.execute("ROLLBACK")
    other.close()
    place.wait_loaded(A)
    assert waiting.stop() == 0
    place.assert_clean()


def test_writer_appears_while_intake_is_paused(sqlite_place: Place) -> None:
    """The file goes back into the inbox, and the daemon goes on."""
    place = sqlite_place
    daemon = place.run(database__busy_timeout_seconds="0.1", retry__attempts="1")
    other = _lock(place)
    kept = place.folder / "kept.csv"
    kept.write_bytes(sales("A", 3))
    os.link(kept, place.inbox / A)
    daemon.wait_said("intake_paused")
    with kept.open("ab") as writer:
        writer.write(sales("A2", 2).partition(b"\n")[2])
        writer.flush()
        other.execute("ROLLBACK")
        other.close()
        until(lambda: place.waiting() == [A] or not daemon.alive, what="the file is back in the inbox")
        assert daemon.alive, daemon.tail()
    place.wait_loaded(A)
    assert daemon.stop() == 0
    assert place.scalar("SELECT COUNT(*) FROM live_sales_data") == 5
    assert daemon.said("intake_resumed"), "paused without an end"


def test_no_way_back_into_the_inbox(sqlite_place: Place) -> None:
    """A writer appears, and another file has the name by now: both are loaded in the end, without a restart."""
    place = sqlite_place
    daemon = place.run(database__busy_timeout_seconds="0.1", retry__attempts="1", settle__scan_seconds="0.5")
    other = _lock(place)
    kept = place.folder / "kept.csv"
    kept.write_bytes(sales("A", 3))
    os.link(kept, place.inbox / A)
    daemon.wait_said("intake_paused")
    with kept.open("ab") as writer:
        put(place.inbox, A, sales("NEW", 4))
        other.execute("ROLLBACK")
        other.close()
        daemon.wait_said("delivery_claimed", file=A)
        until(lambda: place.ledger(A) or not daemon.alive, 10, "the new one is loaded meanwhile")
        writer.write(sales("A2", 1).partition(b"\n")[2])
    until(
        lambda: {row["status"] for row in place.ledger(A)} == {"success"} and len(place.ledger(A)) == 2,
        10,
        lambda: f"both loaded; claimed: {place.claimed()}",
    )
    assert daemon.stop() == 0
    place.assert_clean()


@pytest.mark.parametrize("which", ["processed", "errors", ".work"])
def test_folder_that_nobody_may_write(sqlite_place: Place, which: str) -> None:
    place = sqlite_place
    daemon = place.run(retry__attempts="2")
    with immutable(place.data / which):
        put(place.inbox, A, sales("A", 5, bad=1))
        assert daemon.wait_said("intake_paused")["reason"] == "host"
        _nothing_blamed(place)
    _resumes(place, daemon, "host")
    place.wait_loaded(A)
    assert daemon.stop() == 0
    place.assert_clean()
    assert [row["status"] for row in place.ledger()] == ["partial"]
    assert place.scalar("SELECT COUNT(*) FROM live_sales_data") == 5
    assert [path.name for path in place.errors.iterdir()] == [f"{A}.rejects.csv"]


def test_archive_on_another_filesystem(sqlite_place: Place) -> None:
    """Files are moved by rename: this cannot work, and is said in one sentence before anything is loaded."""
    place = sqlite_place
    with tmpfs(place.processed, "4m"):
        put(place.inbox, A, sales("A"))
        drain = place.drain(69, 78)
        assert "filesystem" in drain.tail() or "processed" in drain.tail()
    place.drain(0)
    place.assert_clean()
    assert place.scalar("SELECT COUNT(*) FROM live_sales_data") == 3


def _swapped(inbox: Path) -> bool:
    try:
        inbox.rmdir()
        inbox.write_text("not a folder")
    except IsADirectoryError:
        return False
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:  # the watcher's canary is in it for a moment
            raise
        return False
    return True


def test_inbox_replaced_by_a_file(sqlite_place: Place) -> None:
    place = sqlite_place
    daemon = place.run(settle__scan_seconds="0.5")
    until(lambda: _swapped(place.inbox), what="a file in the inbox's place: the daemon makes the folder anew")
    daemon.wait_said("inbox_missing")
    daemon.wait_said("intake_paused")
    before = len(daemon.said("inbox_back"))  # it may have made the folder anew while we swapped it
    place.inbox.unlink()
    until(lambda: len(daemon.said("inbox_back")) > before, what="inbox_back")
    put(place.inbox, A, sales("A"))
    place.wait_loaded(A)
    assert daemon.stop() == 0
