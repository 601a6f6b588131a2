"""The watcher on the kernel's real events; only its clock is the test's."""

import ctypes
import json
import math
import os
import select
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.harness import until
from e2e.host import immutable

from daemon import filesystems
from daemon.flag import Flag
from daemon.settings import SettleSettings
from daemon.source import Look, stamp
from daemon.watch import Watcher, canary

DELETE_SELF = 0x400


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A folder with a watcher on it, and what the watcher says in the log."""

    def __init__(self, folder: Path, said: Callable[[], list[dict[str, Any]]], **settle: Any) -> None:
        self.folder, self.said, self.clock, self.wake = folder, said, Clock(), Flag()
        self.watcher = Watcher(folder, SettleSettings(**settle), self.wake, self.clock)
        self.watcher.start()

    def hinted(self, name: str, seconds: float = 5.0) -> float:
        """Waits for a hint, and returns how long it took."""
        begun = time.monotonic()
        found: set[str] = set()
        while name not in found:
            assert time.monotonic() - begun < seconds, f"{name} is not hinted, only {found}"
            found |= self.watcher.hints()
            time.sleep(0.0005)
        return time.monotonic() - begun

    def put(self, name: str) -> float:
        """A new file; how long it takes until it is hinted."""
        (self.folder / name).touch()
        return self.hinted(name)

    def hear_canary(self) -> None:
        """A turn that sends it, and one that knows that it was heard."""
        before = len(self.events("canary_seen"))
        assert not self.watcher.tend()
        until(self.watcher._canary._heard.is_set, 5, "the canary's event")
        assert not self.watcher.tend()
        assert len(self.events("canary_seen")) == before + 1

    def deafen(self) -> None:
        """The kernel tells of nothing but the folder's own end from now on."""
        assert self.watcher._events is not None
        change_mask(self.watcher._events._reader._inotify_fd, self.folder)

    def fail_once(self) -> None:
        """Deafens it, and lets the time of a canary go by."""
        self.deafen()
        self.clock.now += 60
        self.watcher.tend()
        self.clock.now += 3
        assert self.watcher.tend(), "the folder must be looked through"

    def events(self, name: str) -> list[dict[str, Any]]:
        """Lines of the log."""
        return [line for line in self.said() if line["event"] == name]


def change_mask(fd: int, folder: Path, mask: int = DELETE_SELF) -> None:
    """Another add of the same folder replaces what is asked for."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.inotify_add_watch(fd, os.fsencode(folder), mask) > 0


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    lines: list[dict[str, Any]] = []

    def keep(event: str, /, **fields: Any) -> None:
        lines.append({"event": str(event), **fields})

    for module in ("canary", "watcher"):
        monkeypatch.setattr(f"daemon.watch.{module}.emit", keep)
    return lambda: lines


@pytest.fixture
def watch(
    tmp_path: Path, said: Callable[[], list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Watched]]:
    """Makes watchers on a folder."""
    monkeypatch.setattr(canary, "_LAST_CHANCE", 0.02)  # seconds that really pass when it is deaf
    folder = tmp_path / "live_feeds"
    folder.mkdir()
    made: list[Watched] = []

    def make(**settle: Any) -> Watched:
        made.append(Watched(folder, said, **settle))
        return made[-1]

    yield make
    ours = [(one.watcher._events, one.watcher._mounts) for one in made]
    threads = threading.active_count() - sum(each is not None for pair in ours for each in pair)
    for one in made:
        one.watcher.stop()
        one.wake.close()
    assert threading.active_count() == threads


# ---- what is hinted


def test_ways_in_which_a_file_comes(watch: Callable[..., Watched], tmp_path: Path) -> None:
    watched = watch()
    folder = watched.folder
    watched.put("created")
    (tmp_path / "aside").touch()
    (tmp_path / "aside").rename(folder / "renamed_in")
    watched.hinted("renamed_in")
    os.link(folder / "created", folder / "linked")
    watched.hinted("linked")
    (folder / "linked").rename(folder / "renamed")
    watched.hinted("renamed")
    with (folder / "created").open("ab") as file:
        file.write(b"more")
    watched.hinted("created")
    os.utime(folder / "created", (0, 0))
    watched.hinted("created")
    (folder / os.fsdecode(b"\xff\n")).touch()
    watched.hinted(os.fsdecode(b"\xff\n"))


def test_a_hint_tells_what_the_file_was_when_it_came(watch: Callable[..., Watched], tmp_path: Path) -> None:
    """Though the loop asks for it later, when the file may be another."""
    watched = watch()
    came = watched.clock.now
    whole = tmp_path / "aside"
    whole.write_bytes(b"whole")
    before = whole.rename(watched.folder / "a").lstat()
    assert watched.wake.wait(5)
    time.sleep(0.1)
    watched.clock.now += 7
    assert watched.watcher.hints() == {"a"}
    assert watched.watcher.looks() == {"a": Look(stamp(before), came)}
    (watched.folder / "a").unlink()
    (watched.folder / "b").touch()
    watched.hinted("b")
    assert watched.watcher.looks().keys() == {"b"}


def test_looking_at_files_and_taking_them_wakes_nobody(watch: Callable[..., Watched], tmp_path: Path) -> None:
    watched = watch()
    watched.put("a")
    watched.put("b")
    time.sleep(0.05)
    watched.watcher.hints()
    watched.wake.clear()
    (watched.folder / "a").read_bytes()
    (watched.folder / "a").rename(tmp_path / "a")
    (watched.folder / "b").unlink()
    os.listdir(watched.folder)
    assert not watched.wake.wait(0.2)
    assert watched.watcher.hints() == set()


def test_a_claim_does_not_hold_up_the_next_file(watch: Callable[..., Watched], tmp_path: Path) -> None:
    """Half a second, if the kernel's renames were paired with one another."""
    watched = watch()
    took = []
    for n in range(10):
        watched.put(f"a{n}")
        (watched.folder / f"a{n}").rename(tmp_path / "claimed")
        took.append(watched.put(f"b{n}"))
    assert sorted(took)[5] < 0.1


# ---- the canary


def test_canary_is_heard_and_leaves_no_trace(watch: Callable[..., Watched]) -> None:
    watched = watch(canary_seconds=10)
    assert watched.watcher.next_turn() == 0
    assert watched.watcher.latency_seconds is None
    watched.hear_canary()
    assert watched.watcher.latency_seconds is not None
    assert os.listdir(watched.folder) == []
    assert watched.watcher.hints() == set()
    assert not watched.wake.is_set(), "it is no work for the loop"
    assert watched.watcher.next_turn() == 10
    watched.clock.now += 9
    watched.watcher.tend()
    assert len(watched.events("canary_seen")) == 1
    watched.clock.now += 1
    watched.hear_canary()


def test_latency_is_measured(watch: Callable[..., Watched]) -> None:
    watched = watch()
    watched.watcher._canary._clock = time.monotonic  # a real one for once
    watched.hear_canary()
    assert 0 < (watched.watcher.latency_seconds or 0) < 1
    assert watched.events("canary_seen")[0]["latency_ms"] == pytest.approx(
        1000 * (watched.watcher.latency_seconds or 0), abs=0.001
    )


def test_no_canary(watch: Callable[..., Watched]) -> None:
    watched = watch(canary_seconds=0)
    assert watched.watcher.next_turn() == math.inf
    watched.deafen()
    watched.clock.now += 10_000
    assert not watched.watcher.tend()
    assert watched.watcher.next_turn() == math.inf


def test_what_a_dead_process_left_is_removed_and_nothing_else(
    watch: Callable[..., Watched], tmp_path: Path
) -> None:
    others = {".stockgrip-canary-x.csv", ".hidden.tmp", "sales_data_20250301.csv"}
    for name in (".stockgrip-canary-4711.tmp", *others):
        (tmp_path / "live_feeds" / name).touch()
    watched = watch()
    assert set(os.listdir(watched.folder)) == others


def test_canary_that_cannot_be_written_is_no_failure(watch: Callable[..., Watched]) -> None:
    watched = watch(canary_seconds=10)
    watched.hear_canary()
    with immutable(watched.folder):
        for _ in range(3):
            watched.clock.now += 10
            assert not watched.watcher.tend()
    assert len(watched.events("canary_failed")) == 1
    watched.clock.now += 10
    watched.hear_canary()
    assert watched.events("watcher_failed") == []


# ---- failures


def test_deaf_watcher_is_built_anew(watch: Callable[..., Watched]) -> None:
    watched = watch()
    watched.hear_canary()
    watched.deafen()
    (watched.folder / "missed").touch()
    watched.clock.now += 60
    assert not watched.watcher.tend()
    assert watched.watcher.next_turn() == 3
    watched.clock.now += 2.9
    assert not watched.watcher.tend(), "too early to say"
    watched.clock.now += 0.1
    assert watched.watcher.tend()
    assert watched.events("watcher_failed")[0]["reason"] == "deaf"
    assert watched.events("watcher_rebuilt")[0]["failures"] == 1
    watched.hear_canary()
    watched.put("after")


def test_event_that_comes_late_is_no_deafness(
    watch: Callable[..., Watched], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole process was stopped for a while: the clock went on, and the event waits to be read."""
    watched = watch()
    monkeypatch.setattr(canary, "_LAST_CHANCE", 10)
    events, sent = watched.watcher._events, watched.watcher._canary
    assert events is not None
    (tmp_path / "aside").touch()
    events._lock.acquire()
    try:
        (tmp_path / "aside").rename(watched.folder / "first")  # one event
        until(
            lambda: not select.select([events._reader._inotify_fd], [], [], 0)[0],
            5,
            "the thread waits for the lock",
        )
        assert sent.turn()
        watched.clock.now += 100
    finally:
        threading.Timer(0.3, events._lock.release).start()
    assert sent.turn()
    assert len(watched.events("canary_seen")) == 1


def test_three_strikes_and_back(watch: Callable[..., Watched]) -> None:
    watched = watch(poll_seconds=7, scan_seconds=33)
    assert watched.watcher.scan_seconds == 33
    for _ in range(2):
        watched.fail_once()
        assert watched.watcher.kind == "inotify"
    watched.fail_once()
    assert (watched.watcher.kind, watched.watcher.reason) == ("polling", "strikes")
    assert (watched.watcher.scan_seconds, watched.watcher.latency_seconds) == (7, None)
    assert watched.events("watcher_polling")[-1]["retry_seconds"] == 60
    assert len(watched.events("watcher_failed")) == 3
    assert len(watched.events("watcher_rebuilt")) == 2
    assert watched.watcher.hints() == set()

    for wait in (60, 120, 240):  # on probation: one failure is enough, and the next wait is longer
        watched.clock.now += wait - 1
        assert watched.watcher.next_turn() == 1
        assert not watched.watcher.tend()
        watched.clock.now += 1
        assert watched.watcher.tend(), "what came while nobody listened"
        assert watched.watcher.kind == "inotify"
        watched.put(f"heard-{wait}")
        watched.hear_canary()
        watched.fail_once()
        assert watched.events("watcher_polling")[-1]["retry_seconds"] == 2 * wait
    assert len(watched.events("watcher_native")) == 3

    watched.clock.now += 480
    assert watched.watcher.tend()
    watched.clock.now += 601  # it did well: all is forgiven
    for _ in range(2):
        watched.fail_once()
        assert watched.watcher.kind == "inotify"
    watched.fail_once()
    assert watched.events("watcher_polling")[-1]["retry_seconds"] == 60


def test_wait_for_events_has_a_limit(watch: Callable[..., Watched]) -> None:
    watched = watch()
    for _ in range(3):
        watched.fail_once()
    for _ in range(10):
        watched.clock.now += watched.watcher.next_turn()
        assert watched.watcher.tend()
        watched.fail_once()
    assert watched.watcher.next_turn() == 3600


def test_failures_that_are_far_apart_are_no_strikes(watch: Callable[..., Watched]) -> None:
    watched = watch()
    for _ in range(6):
        watched.fail_once()
        watched.clock.now += 300
    assert watched.watcher.kind == "inotify"
    watched.put("a")


def test_thread_that_dies(watch: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    watched = watch()
    events = watched.watcher._events
    assert events is not None
    reading = events._reader._inotify_fd
    inotify, folder = os.dup(reading), os.open(watched.folder, os.O_RDONLY)
    os.dup2(folder, reading)  # a folder cannot be read
    (watched.folder / "missed").touch()
    assert watched.wake.wait(5), "the loop is woken"
    until(lambda: not events.is_alive(), 5, "the end of the thread")
    assert watched.watcher.tend()
    assert [line["reason"] for line in watched.events("watcher_failed")] == ["died"]
    os.close(inotify)
    os.close(folder)
    watched.put("after")


# ---- the folder itself


@pytest.mark.parametrize("how", ["removed", "renamed", "there_and_back"])
def test_another_folder(watch: Callable[..., Watched], tmp_path: Path, how: str) -> None:
    watched = watch()
    watched.watcher.tend()
    if how == "removed":
        watched.folder.rmdir()  # on ext4 the next one gets the same inode number
    else:
        watched.folder.rename(tmp_path / "elsewhere")
    if how == "there_and_back":
        (tmp_path / "elsewhere").rename(watched.folder)
    else:
        watched.folder.mkdir()
    assert watched.wake.wait(5), "the loop is woken"
    until(watched.watcher.tend, 5, "the folder must be looked through")
    assert [line["reason"] for line in watched.events("watcher_rebuilt")] == ["folder_replaced"]
    assert watched.events("watcher_failed") == []
    watched.put("in_the_new_one")
    if how == "renamed":
        (tmp_path / "elsewhere" / "in_the_old_one").touch()
        watched.put("later")
        assert "in_the_old_one" not in watched.watcher.hints()


def test_missing_folder(watch: Callable[..., Watched]) -> None:
    watched = watch()
    watched.folder.rmdir()
    assert watched.watcher.tend()
    assert watched.watcher.tend(), "again and again, until it is there"
    assert 0 < watched.watcher.next_turn() < 1
    watched.folder.mkdir()
    assert watched.watcher.tend()
    watched.put("a")
    assert len(watched.events("watcher_rebuilt")) == 1


def test_folder_that_is_not_there_at_the_start(watch: Callable[..., Watched], tmp_path: Path) -> None:
    (tmp_path / "live_feeds").rmdir()
    watched = watch()
    assert watched.watcher.tend()
    watched.folder.mkdir()
    assert watched.watcher.tend()
    assert watched.watcher.kind == "inotify"
    watched.put("a")


def test_overflow(watch: Callable[..., Watched]) -> None:
    watched = watch(canary_seconds=0)
    events = watched.watcher._events
    assert events is not None
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 200_000:
        pytest.skip(f"fs.inotify.max_queued_events is {limit}: the test would take too long")
    with events._lock:  # the thread stands still: nobody takes the events
        for n in range(limit + 4096):
            (
                watched.folder / f"{n % 2}"
            ).touch()  # in turns: the kernel joins equal events that follow each other
    until(watched.watcher.tend, 10, "the folder must be looked through")
    assert len(watched.events("watcher_overflowed")) == 1
    watched.watcher.hints()
    watched.put("after")
    assert not watched.watcher.tend()


# ---- filesystems and limits


def test_poll_by_configuration(watch: Callable[..., Watched]) -> None:
    watched = watch(watch="poll", poll_seconds=5)
    assert watched.events("watcher_started") == [
        {
            "event": "watcher_started",
            "kind": "polling",
            "reason": "configured",
            "filesystem": watched.watcher.filesystem,
            "scan_seconds": 5,
        }
    ]
    assert watched.watcher.next_turn() == math.inf
    watched.clock.now += 10_000
    assert not watched.watcher.tend()
    assert os.listdir(watched.folder) == []
    watched.folder.rmdir()
    watched.folder.mkdir()
    watched.watcher.tend()
    assert len(watched.said()) == 1


@pytest.mark.parametrize(
    ("setting", "kind"), [("auto", "polling"), ("inotify", "inotify"), ("poll", "polling")]
)
def test_filesystem_without_events(
    watch: Callable[..., Watched], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, kind: str
) -> None:
    """The one of the test stands for a share: its type is put on the list."""
    here = filesystems.filesystem_of(tmp_path).type
    monkeypatch.setattr(filesystems, "_SILENT", frozenset({here}))
    watched = watch(watch=setting)
    started = watched.events("watcher_started")[0]
    assert (started["kind"], started["filesystem"]) == (kind, here)
    if setting != "auto":
        return
    assert started["reason"] == "filesystem"
    # unmounted, and another is there instead
    monkeypatch.setattr(filesystems, "_SILENT", frozenset({"nfs"}))
    watched.folder.rename(tmp_path / "elsewhere")
    watched.folder.mkdir()
    assert watched.watcher.tend()
    assert len(watched.events("watcher_native")) == 1
    watched.put("a")
    # and back
    monkeypatch.setattr(filesystems, "_SILENT", frozenset({here}))
    watched.folder.rename(tmp_path / "elsewhere too")
    watched.folder.mkdir()
    assert watched.watcher.tend()
    assert watched.events("watcher_polling")[0]["reason"] == "filesystem"
    assert watched.events("watcher_polling")[0]["retry_seconds"] is None


LIMITED = textwrap.dedent("""
    import json, sys
    from pathlib import Path
    from daemon.flag import Flag
    from daemon.logs import configure
    from daemon.settings import SettleSettings
    from daemon.watch import Watcher, canary

    folder, limit, now = Path(sys.argv[1]), Path("/proc/sys/user") / sys.argv[2], [0.0]
    before = limit.read_text()
    limit.write_text("0")
    wake = Flag()
    watcher = Watcher(folder, SettleSettings(), wake, lambda: now[0])
    watcher.start()
    found = [[watcher.kind, watcher.reason, watcher.next_turn()]]
    now[0] += 60
    found.append([watcher.tend(), watcher.kind, watcher.next_turn()])
    limit.write_text(before)
    now[0] += 120
    found.append([watcher.tend(), watcher.kind])
    (folder / "a").touch()
    while not wake.wait(10): pass
    found.append(sorted(watcher.hints()))
    watcher.stop()
    import os, threading
    found.append([threading.active_count(), sum(os.readlink(f"/proc/self/fd/{fd}") == "anon_inode:inotify"
        for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}"))])
    print(json.dumps(found))
""")


@pytest.mark.parametrize("limit", ["max_inotify_instances", "max_inotify_watches"])
def test_limits_of_the_system(tmp_path: Path, limit: str) -> None:
    """In a user namespace of its own, where they can be lowered: polled at once, and tried again."""
    alone = ["unshare", "--user", "--map-root-user"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*alone, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("user namespaces are not to be had here")
    done = subprocess.run(
        [*alone, sys.executable, "-c", LIMITED, tmp_path, limit],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        ["polling", "unavailable", 60.0],
        [False, "polling", 120.0],
        [True, "inotify"],
        ["a"],
        [1, 0],
    ]
