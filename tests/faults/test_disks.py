"""Disks that fail, fill up or turn read-only while the daemon runs."""

import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest
from e2e.harness import Place, until
from e2e.host import fill, immutable, tmpfs
from e2e.syscalls import need_strace
from support.postgres import Cluster, NoServerError

from faults.trial import Begin, Trial, meddled, names_of

FIRST, SECOND, THIRD = names_of(3)


@pytest.mark.parametrize(
    "calls",
    ["fsync", *(pytest.param(calls, marks=pytest.mark.faults) for calls in ("fdatasync", "fsync,fdatasync"))],
)
def test_sync_fails(trial: Trial, calls: str) -> None:
    """EIO: what was written may be lost, so nothing counts as done."""
    need_strace()
    daemon = trial.run()
    trial.send(FIRST)
    trial.place.wait_loaded(FIRST)
    matters = "fsync" in calls.split(",") or trial.place.url.startswith("sqlite")
    with meddled(daemon, *(f"{call}:error=EIO" for call in calls.split(","))):
        trial.send(SECOND, THIRD)
        if matters:
            paused = daemon.wait_said("intake_paused")
            assert "nput/output" in paused["error"] or "I/O" in paused["error"]
            assert not trial.place.loaded(SECOND)
        else:  # the database is elsewhere, and folders are put on disk by fsync
            trial.place.wait_loaded(SECOND, THIRD)
    trial.over()
    trial.wait_recovered()
    trial.finish()


@pytest.mark.faults
def test_sync_fails_once_in_each_place(sqlite_trial: Trial) -> None:
    """One sync in seven, through every step from the claim to the archive."""
    need_strace()
    daemon = sqlite_trial.run(retry__attempts="5")
    names = names_of(6)
    with meddled(daemon, "fsync:error=EIO:when=3+7"):
        sqlite_trial.send(*names)
        until(lambda: daemon.said("intake_resumed") or daemon.said("step_retried"), 20)
    sqlite_trial.over()
    sqlite_trial.wait_recovered()
    sqlite_trial.finish()


def test_one_disk_for_all_is_full(sqlite_trial: Trial) -> None:
    """As by default: the database lies in the data folder."""
    place = sqlite_trial.place
    with tmpfs(place.data, "12m") as disk:
        place.__post_init__()
        shutil.move(place.url.removeprefix("sqlite:///"), disk / "stockgrip.db")
        place.url = f"sqlite:///{disk}/stockgrip.db"
        daemon = sqlite_trial.run()
        sqlite_trial.send(FIRST)
        place.wait_loaded(FIRST)
        # a sender's file is there; there is room for nothing more
        (place.inbox / SECOND).write_bytes(sqlite_trial.content(SECOND, 20_000))
        ballast = fill(disk)
        assert "space" in (said := daemon.wait_said("intake_paused"))["error"] or "full" in said["error"]
        ballast.unlink()
        sqlite_trial.over()
        sqlite_trial.send(THIRD)
        sqlite_trial.wait_recovered()
        sqlite_trial.finish()
        place.engine.dispose()


@pytest.mark.faults
def test_data_folder_turns_read_only(trial: Trial) -> None:
    """As the kernel does when a disk has errors: a file lies there, and cannot be taken."""
    place = trial.place
    with tmpfs(place.data, "12m") as disk:
        place.__post_init__()
        daemon = trial.run(settle__quiet_seconds=0.5)
        trial.send(FIRST)
        daemon.wait_said("delivery_seen", file=FIRST)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        assert "ead-only" in daemon.wait_said("intake_paused", reason="host")["error"]
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        trial.over()
        trial.wait_recovered()
        trial.finish()


@pytest.mark.faults
@pytest.mark.parametrize("which", ["live_feeds", "processed", "errors", ".work"])
def test_folder_in_which_nothing_can_be_changed(sqlite_trial: Trial, which: str) -> None:
    """`chattr +i`: not even root can rename there."""
    place = sqlite_trial.place
    daemon = sqlite_trial.run(settle__quiet_seconds=0.5)
    sqlite_trial.send(FIRST, SECOND)
    daemon.wait_said("delivery_seen", file=SECOND)
    with immutable(place.data / which):
        if which == "errors":  # good files have nothing to do there
            place.wait_loaded(FIRST, SECOND)
        else:
            daemon.wait_said("intake_paused", reason="host")
    sqlite_trial.over()
    sqlite_trial.wait_recovered()
    sqlite_trial.finish()


@pytest.mark.faults
def test_disk_of_the_database_server_is_full(begin: Begin, tmp_path: Path) -> None:
    """Its log of transactions does not fit: the server stops altogether, and is started again by its operator."""
    try:
        cluster = Cluster.make()
    except NoServerError as error:
        pytest.skip(str(error))
    try:
        cluster.stop()
        with tmpfs(cluster.folder / "wal", "64m") as disk:
            shutil.copytree(cluster.data / "pg_wal", disk / "pg_wal")
            shutil.rmtree(cluster.data / "pg_wal")
            (cluster.data / "pg_wal").symlink_to(disk / "pg_wal")
            subprocess.run(["chown", "-R", "postgres:postgres", disk], check=True)
            cluster.start()
            with Place(tmp_path, cluster.url(cluster.create())) as place:
                trial = begin(place)
                daemon = trial.run()
                trial.send(FIRST)
                place.wait_loaded(FIRST)
                ballast = fill(disk)
                trial.send(SECOND, rows=200_000)
                daemon.wait_said("intake_paused", 60, reason="database")
                place.engine.dispose()
                ballast.unlink()
                with contextlib.suppress(RuntimeError):  # it may have ended by itself, or be about to
                    cluster.stop("immediate")
                cluster.start()
                trial.over()
                trial.wait_recovered()
                trial.finish()
            cluster.stop()
    finally:
        cluster.remove()
