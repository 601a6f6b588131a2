"""Faults that last more than a minute: one letter that intake has paused, one that it goes on, however long and often."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from e2e.harness import until
from e2e.host import immutable, tmpfs
from e2e.syscalls import need_strace

from faults.trial import Trial, assert_quiet, meddled, names_of

FIRST, SECOND, THIRD = names_of(3)
LASTS = 75.0  # seconds: a letter goes out after sixty
pytestmark = pytest.mark.faults


@contextmanager
def _locked(trial: Trial) -> Iterator[None]:
    other = sqlite3.connect(trial.place.url.removeprefix("sqlite:///"), isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
    finally:
        other.close()


@contextmanager
def _unwritable(trial: Trial) -> Iterator[None]:
    with immutable(trial.place.work):
        yield


@contextmanager
def _mounted_over(trial: Trial) -> Iterator[None]:
    with tmpfs(trial.place.inbox, "1m"):
        yield


@contextmanager
def _failing(trial: Trial) -> Iterator[None]:
    need_strace()
    with meddled(trial.daemon, "fsync:error=EIO", "fdatasync:error=EIO"):
        yield


@pytest.mark.parametrize("fault", [_locked, _unwritable, _mounted_over, _failing])
def test_somebody_is_told_once(
    sqlite_trial: Trial, fault: Callable[[Trial], AbstractContextManager[None]]
) -> None:
    trial, place = sqlite_trial, sqlite_trial.place
    daemon = trial.run(database__busy_timeout_seconds=1)
    trial.send(FIRST)
    place.wait_loaded(FIRST)
    begun = time.monotonic()
    with fault(trial):
        if fault is not _mounted_over:
            trial.send(SECOND)
        daemon.wait_said("intake_paused", 60)
        until(lambda: time.monotonic() - begun > LASTS, LASTS + 1, every=0.5)
        assert len(trial.box.letters) == 1, daemon.tail()
    trial.over()
    trial.send(THIRD)
    trial.wait_recovered()
    until(lambda: len(trial.box.letters) == 2, 30, "the letter that it is over")
    assert_quiet(daemon, "intake_paused")
    assert_quiet(daemon, "intake_resumed")
    trial.finish(letters=1)
