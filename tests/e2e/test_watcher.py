"""The daemon's watcher when the kernel goes silent, is flooded or has no room, and when the inbox changes place.

The period of the full look is an hour in these tests: what is found is found by the watcher, or by what it does when it
notices that it was deaf.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.harness import Place, Process, put, sales, until
from e2e.host import immutable, need_root, tmpfs

A, B, C = (f"sales_data_20250301_{letter}.csv" for letter in "abc")
SCAN_NEVER = 3600
IDLE_WAKES = 25  # a second, in all threads
SOON = 5.0
_DELETE_SELF = 0x400
_PIDFD_GETFD = 438

_libc = ctypes.CDLL(None, use_errno=True)


def _deafen(daemon: Process, inbox: Path) -> None:
    """Takes hold of the daemon's inotify instance, and has it told of nothing but the folder's own end."""
    fds = Path(f"/proc/{daemon.pid}/fd")
    theirs = [fd.name for fd in fds.iterdir() if os.path.lexists(fd) and "inotify" in str(fd.readlink())]
    assert len(theirs) == 1
    pidfd = os.pidfd_open(daemon.pid)
    ours = _libc.syscall(_PIDFD_GETFD, pidfd, int(theirs[0]), 0)
    os.close(pidfd)
    if ours < 0:
        pytest.skip(f"pidfd_getfd is not allowed here: {os.strerror(ctypes.get_errno())}")
    assert _libc.inotify_add_watch(ours, os.fsencode(inbox), _DELETE_SELF) > 0
    os.close(ours)


def _loaded_soon(place: Place, *names: str) -> None:
    place.wait_loaded(*names, seconds=SOON)


def test_what_it_says_at_the_start(sqlite_place: Place) -> None:
    daemon = sqlite_place.run()
    started = daemon.wait_said("watcher_started")
    assert (started["kind"], started["reason"], started["scan_seconds"]) == ("inotify", "", 30)
    assert daemon.wait_said("canary_seen")["latency_ms"] < 1000
    assert daemon.stop() == 0


def test_canary_leaves_no_trace(sqlite_place: Place) -> None:
    """Twenty a second, in a folder where files come and go; also after a kill at any moment."""
    place = sqlite_place
    (place.inbox / ".stockgrip-canary-4711.tmp").touch()
    daemon = place.run(settle__canary_seconds=0.05, settle__scan_seconds=0.2)
    put(place.inbox, A, sales("A"))
    _loaded_soon(place, A)
    until(lambda: len(daemon.said("canary_seen")) > 10, 10)
    assert not [line for line in daemon.said() if "canary" in str(line.get("file"))]
    daemon.kill()
    again = place.run()
    assert again.stop() == 0
    place.assert_clean()
    assert {row["file_name"] for row in place.ledger()} == {A}


def test_idle_daemon_sleeps(sqlite_place: Place) -> None:
    """Counted in the times it wakes up, with thirty times as many canaries as usual: what that costs is for benchmarks."""
    daemon = sqlite_place.run(settle__canary_seconds=2)
    daemon.wait_said("canary_seen")

    def wakes() -> int:
        texts = [(task / "status").read_text() for task in Path(f"/proc/{daemon.pid}/task").iterdir()]
        return sum(
            int(line.split()[1])
            for text in texts
            for line in text.splitlines()
            if line.startswith("voluntary_ctxt")
        )

    before, begun = wakes(), time.monotonic()
    time.sleep(6)
    assert (wakes() - before) / (time.monotonic() - begun) <= IDLE_WAKES
    assert daemon.stop() == 0


# ---- a watcher that fails


def test_deaf_watcher_is_found_and_built_anew(sqlite_place: Place) -> None:
    place = sqlite_place
    daemon = place.run(settle__scan_seconds=SCAN_NEVER, settle__canary_seconds=1)
    daemon.wait_said("canary_seen")
    _deafen(daemon, place.inbox)
    put(place.inbox, A, sales("A"))
    failed = daemon.wait_said("watcher_failed", 10)
    assert (failed["reason"], failed["failures"]) == ("deaf", 1)
    _loaded_soon(place, A)
    assert daemon.wait_said("watcher_rebuilt")["reason"] == "deaf"
    put(place.inbox, B, sales("B"))
    _loaded_soon(place, B)
    assert daemon.stop() == 0
    place.assert_clean()


@pytest.mark.soak
@pytest.mark.skipif(
    os.environ.get("SGTEST_SOAK") != "1",
    reason="three real waits; with a clock of its own it is in test_watch.py: run `make soak`",
)
def test_three_strikes_lead_to_polling(sqlite_place: Place) -> None:
    place = sqlite_place
    daemon = place.run(settle__scan_seconds=SCAN_NEVER, settle__canary_seconds=0.5, settle__poll_seconds=0.3)
    for strikes in range(1, 4):
        seen = len(daemon.said("canary_seen"))
        until(lambda n=seen: len(daemon.said("canary_seen")) > n, 10, "it hears again")
        _deafen(daemon, place.inbox)
        daemon.wait_said("watcher_failed", 10, failures=strikes)
    polling = daemon.wait_said("watcher_polling")
    assert (polling["reason"], polling["scan_seconds"]) == ("strikes", 0.3)
    assert polling["retry_seconds"] == 60
    put(place.inbox, A, sales("A"))
    _loaded_soon(place, A)
    assert len(daemon.said("watcher_rebuilt")) == 2
    assert daemon.stop() == 0
    place.assert_clean()


@pytest.mark.parametrize(
    ("limit", "remedy"),
    [("max_inotify_instances", "max_user_instances"), ("max_inotify_watches", "max_user_watches")],
)
def test_limit_of_the_system(sqlite_place: Place, limit: str, remedy: str) -> None:
    """In a user namespace of its own, where the limit can be lowered."""
    place = sqlite_place
    alone = ("unshare", "--user", "--map-root-user")
    probe = (
        subprocess.run([*alone, "true"], check=False, capture_output=True)
        if shutil.which("unshare")
        else None
    )
    if probe is None or probe.returncode:
        pytest.skip("user namespaces are not to be had here")
    script = f'echo 0 > /proc/sys/user/{limit} && exec "$@"'
    daemon = place.run(wrap=(*alone, "sh", "-c", script, "sh"), settle__poll_seconds=0.3)
    failed = daemon.wait_said("watcher_failed")
    assert (failed["reason"], remedy in failed["remedy"]) == ("start", True)
    assert daemon.said("watcher_started", kind="polling", reason="unavailable", scan_seconds=0.3)
    put(place.inbox, A, sales("A"))
    _loaded_soon(place, A)
    assert daemon.stop() == 0
    place.assert_clean()


def test_polling_by_configuration(sqlite_place: Place) -> None:
    place = sqlite_place
    daemon = place.run(settle__watch="poll", settle__poll_seconds=0.3, settle__scan_seconds=SCAN_NEVER)
    assert daemon.said("watcher_started", kind="polling", reason="configured")
    put(place.inbox, A, sales("A"))
    _loaded_soon(place, A)
    assert daemon.stop() == 0
    assert daemon.said("canary_seen") == []


def test_more_events_than_the_kernel_keeps(sqlite_place: Place) -> None:
    """The event of the delivery is lost; it is found all the same, and at once."""
    place = sqlite_place
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 200_000:
        pytest.skip(f"fs.inotify.max_queued_events is {limit}: the test would take too long")
    daemon = place.run(settle__scan_seconds=SCAN_NEVER)
    daemon.wait_said("canary_seen")
    daemon.popen.send_signal(signal.SIGSTOP)
    until(lambda: "(stopped)" in Path(f"/proc/{daemon.pid}/status").read_text(), 5)
    noise = [place.inbox / f".noise-{n}" for n in range(2)]
    for n in range(limit + 1000):
        noise[n % 2].touch()
    put(place.inbox, A, sales("A"))
    daemon.popen.send_signal(signal.SIGCONT)
    _loaded_soon(place, A)
    assert len(daemon.said("watcher_overflowed")) == 1
    for file in noise:
        file.unlink()
    assert daemon.stop() == 0
    assert daemon.said("watcher_failed") == []
    place.assert_clean()


def test_inbox_in_which_the_canary_cannot_be_written(sqlite_place: Place) -> None:
    place = sqlite_place
    daemon = place.run(settle__canary_seconds=0.1)
    daemon.wait_said("canary_seen")
    with immutable(place.inbox):
        failed = daemon.wait_said("canary_failed")
        assert "live_feeds" in failed["remedy"]
        time.sleep(0.5)
    seen = len(daemon.said("canary_seen"))
    until(lambda: len(daemon.said("canary_seen")) > seen, 5)
    put(place.inbox, A, sales("A"))
    _loaded_soon(place, A)
    assert len(daemon.said("canary_failed")) == 1
    assert daemon.said("watcher_failed") == []
    assert daemon.stop() == 0


# ---- an inbox that changes place


@pytest.mark.parametrize("again", ["by the daemon", "by a sender"])
def test_deleted_and_made_again(sqlite_place: Place, again: str) -> None:
    place = sqlite_place
    daemon = place.run(settle__scan_seconds=SCAN_NEVER, settle__canary_seconds=0)
    for name in (A, B, C):
        place.inbox.rmdir()
        if again == "by the daemon":
            until(place.inbox.is_dir, SOON, "the daemon makes it again")
        else:
            place.inbox.mkdir(exist_ok=True)
        put(place.inbox, name, sales(name[-5:-4]))
        _loaded_soon(place, name)
    if again == "by the daemon":
        assert len(daemon.said("inbox_missing")) == len(daemon.said("inbox_back")) == 3
    assert daemon.said("watcher_failed") == []
    assert daemon.stop() == 0
    place.assert_clean()


@pytest.mark.parametrize("what", ["the inbox", "the data folder"])
def test_renamed_away(sqlite_place: Place, tmp_path: Path, what: str) -> None:
    place = sqlite_place
    url = place.url.removeprefix("sqlite:///")
    assert not Path(url).is_relative_to(place.data)
    daemon = place.run(settle__scan_seconds=SCAN_NEVER, settle__canary_seconds=0.5)
    moved = place.inbox if what == "the inbox" else place.data
    moved.rename(tmp_path / "elsewhere")
    until(place.inbox.is_dir, SOON, "the daemon makes it again")
    old = tmp_path / "elsewhere" if what == "the inbox" else tmp_path / "elsewhere" / "live_feeds"
    (old / B).write_bytes(sales("B"))
    put(place.inbox, A, sales("A"))
    _loaded_soon(place, A)
    (old / C).write_bytes(sales("C"))
    put(place.inbox, "sales_data_20250301_d.csv", sales("D"))
    _loaded_soon(place, "sales_data_20250301_d.csv")
    assert daemon.stop() == 0
    assert {B, C} <= set(os.listdir(old)), "nobody reads there"
    assert place.scalar("SELECT COUNT(*) FROM live_sales_data") == 6


@contextmanager
def _bound(folder: Path, target: Path) -> Iterator[None]:
    """Another folder of the same disk, mounted on the target: a rename between the two fails all the same."""
    need_root("a folder is mounted")
    folder.mkdir()
    done = subprocess.run(["mount", "--bind", folder, target], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"mount is not allowed here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", target], check=True)


@pytest.mark.parametrize("how", ["another disk", "the same disk"])
def test_mounted_over_and_unmounted(sqlite_place: Place, tmp_path: Path, how: str) -> None:
    """What lies there cannot be taken: nothing is blamed for it, and all goes on once it is unmounted."""
    place = sqlite_place
    daemon = place.run(settle__scan_seconds=SCAN_NEVER, settle__canary_seconds=0)
    mounted = tmpfs(place.inbox, "1m") if how == "another disk" else _bound(tmp_path / "other", place.inbox)
    with mounted:
        (place.inbox / A).write_bytes(sales("A"))
        paused = daemon.wait_said("intake_paused", SOON)
        assert paused["reason"] == "host"
        assert "another filesystem" in paused["error"]
        assert "unmount it" in paused["error"]
        assert daemon.said("watcher_rebuilt", reason="folder_replaced")
        time.sleep(0.5)
        assert place.waiting() == [A], "left alone"
        assert place.ledger() == []
    daemon.wait_said("intake_resumed", SOON)
    put(place.inbox, B, sales("B"))
    _loaded_soon(place, B)
    assert len(daemon.said("intake_paused")) == 1
    assert daemon.stop() == 0
    assert list(place.errors.iterdir()) == []
    place.assert_clean()


def test_mounted_over_by_a_sender_who_already_delivered(sqlite_place: Place, tmp_path: Path) -> None:
    """A file settles below what is mounted later: it is found when that is gone."""
    place = sqlite_place
    daemon = place.run(settle__scan_seconds=SCAN_NEVER, settle__quiet_seconds=2)
    put(place.inbox, A, sales("A"))
    daemon.wait_said("delivery_seen", file=A)
    with tmpfs(place.inbox, "1m"):
        daemon.wait_said("intake_paused", SOON)
    daemon.wait_said("intake_resumed", SOON)
    _loaded_soon(place, A)
    assert daemon.stop() == 0
    place.assert_clean()
