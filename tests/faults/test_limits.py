"""A daemon that may open no more files, has no more memory, or gets no more events from the kernel."""

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from e2e.harness import Process, until
from e2e.syscalls import need_strace

from faults.trial import Keeper, Trial, assert_quiet, meddled, names_of

FIRST, SECOND, THIRD = names_of(3)
LARGE = 120_000  # rows: staged in a file of its own on SQLite
_MEMORY = Path("/sys/fs/cgroup/memory")


def _status(daemon: Process, name: str) -> int:
    """Kilobytes, of /proc/PID/status."""
    lines = Path(f"/proc/{daemon.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


@contextmanager
def _limited(daemon: Process, what: int, most: int) -> Iterator[None]:
    before = resource.prlimit(daemon.pid, what)
    resource.prlimit(daemon.pid, what, (most, before[1]))
    try:
        yield
    finally:
        resource.prlimit(daemon.pid, what, before)


# ---- files


def test_no_file_descriptor_is_left(trial: Trial) -> None:
    """What is open stays open, and nothing can be opened any more."""
    daemon = trial.run()
    trial.send(FIRST)
    trial.place.wait_loaded(FIRST)
    used = 1 + max(int(fd) for fd in os.listdir(f"/proc/{daemon.pid}/fd"))
    with _limited(daemon, resource.RLIMIT_NOFILE, used):
        trial.send(SECOND, THIRD)
        daemon.wait_said("intake_paused")
    trial.over()
    trial.wait_recovered()
    assert_quiet(daemon, "intake_paused")
    trial.finish()


# ---- memory


def test_memory_is_refused(trial: Trial) -> None:
    """As a limit of the address space does: an error in the middle of a large file, which is not to blame."""
    daemon = trial.run()
    trial.send(FIRST)
    trial.place.wait_loaded(FIRST)
    with _limited(daemon, resource.RLIMIT_AS, (_status(daemon, "VmSize") + 4_000) * 1024):
        trial.send(SECOND, rows=LARGE)
        paused = daemon.wait_said("intake_paused", 60)
        assert "memory" in paused["error"], paused
    trial.over()
    trial.wait_recovered()
    trial.finish()


@pytest.mark.faults
def test_memory_of_the_unit_is_used_up(trial: Trial) -> None:
    """The kernel kills it (MemoryMax=); it is started again, and what it had in hand is loaded when there is room."""
    group = _MEMORY / f"sgtest-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error.strerror}")
    limit = group / "memory.limit_in_bytes"
    join = ("sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh")

    def start() -> Process:
        return trial.place.start("run", wrap=join)

    try:
        trial.place.run(wrap=join)
        trial.send(FIRST)
        trial.place.wait_loaded(FIRST)
        resident = _status(trial.daemon, "VmRSS")
        trial.send(SECOND, rows=400_000)
        trial.daemon.wait_said("delivery_claimed", file=SECOND)
        with (group / "memory.force_empty").open("w") as empty:
            empty.write("0")
        limit.write_text(str(resident * 1024 + (4 << 20)))
        keeper = Keeper(trial, start)
        keeper.until(lambda: -signal.SIGKILL in keeper.statuses, 60, "killed")
        limit.write_text("-1")
        trial.over()
        keeper.until(lambda: trial.place.loaded(SECOND), 30, "loaded")
        trial.wait_recovered()
        assert [line for process in trial.place.processes for line in process.said("delivery_recovered")]
        trial.finish()
    finally:
        for process in trial.place.processes:
            process.kill()
        until(lambda: not (group / "cgroup.procs").read_text(), 10, "the group is empty")
        group.rmdir()


# ---- events of the kernel


@pytest.mark.faults
@pytest.mark.parametrize(
    ("call", "remedy"),
    [
        ("inotify_add_watch:error=ENOSPC", "max_user_watches"),
        ("?inotify_init,inotify_init1:error=EMFILE", "max_user_instances"),
    ],
)
def test_no_watch_is_left_when_it_is_needed_anew(sqlite_trial: Trial, call: str, remedy: str) -> None:
    """The folder is replaced while others use up what the system grants: it is looked through instead."""
    need_strace()
    place, trial = sqlite_trial.place, sqlite_trial
    daemon = trial.run(settle__scan_seconds=3600)
    with meddled(daemon, call):
        place.inbox.rmdir()
        place.inbox.mkdir(exist_ok=True)
        failed = daemon.wait_said("watcher_failed", reason="start")
        assert remedy in failed["remedy"]
        trial.send(FIRST)
        place.wait_loaded(FIRST, seconds=10)
    assert daemon.said("watcher_polling", reason="unavailable")
    trial.over()
    trial.send(SECOND)
    trial.wait_recovered()
    trial.finish()


@pytest.mark.faults
def test_events_are_used_again_when_the_system_grants_them(sqlite_trial: Trial) -> None:
    """A minute later; nothing depends on it, because the folder is looked through every two seconds."""
    need_strace()
    place, trial = sqlite_trial.place, sqlite_trial
    daemon = trial.run()
    with meddled(daemon, "inotify_add_watch:error=ENOSPC"):
        place.inbox.rmdir()
        daemon.wait_said("watcher_polling")
    trial.over()
    trial.send(FIRST)
    trial.wait_recovered()
    daemon.wait_said("watcher_native", 90)
    trial.send(SECOND)
    place.wait_loaded(SECOND, seconds=5)
    trial.finish()


@pytest.mark.faults
def test_twenty_thousand_files_while_it_stands_still(sqlite_trial: Trial) -> None:
    """More events than the kernel keeps: among uploads that are not complete, each delivery is found, and loaded once."""
    trial, inbox = sqlite_trial, sqlite_trial.place.inbox
    daemon = trial.run(log__level="info")
    daemon.popen.send_signal(signal.SIGSTOP)
    until(lambda: "(stopped)" in Path(f"/proc/{daemon.pid}/status").read_text(), 5)
    for number, name in enumerate(names_of(20_000)):
        if number % 200:
            (inbox / f"{name}.part").touch()
        else:
            trial.send(name, rows=1)
    daemon.popen.send_signal(signal.SIGCONT)
    trial.over()
    daemon.wait_said("watcher_overflowed", 10)
    trial.wait_recovered()
    assert_quiet(daemon, "watcher_overflowed")
    assert daemon.stop() == 0
    for upload in inbox.glob("*.part"):
        upload.unlink()
    trial.assert_unharmed()
