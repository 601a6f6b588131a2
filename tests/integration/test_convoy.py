"""Small files on their way while the world is unwell: none is lost, none is loaded twice, and the daemon lives."""

import os
import sqlite3
import threading
import time
from typing import Any

import pytest
from sqlalchemy import event
from support.faults import Crash, release_locks
from support.files import csv_bytes, drop
from support.loading import is_whole, wipe

from daemon import outbox, together
from daemon.alerts.pause import PauseWatch
from daemon.errors import TransientError
from daemon.service import Service
from daemon.store import Store

SALES = "date,product_id,channel,quantity_sold,revenue"
ON = {"outbox": {"enabled": True}}
SQLITE = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def short_runs(monkeypatch):
    """Three files a run, so that a few are several."""
    monkeypatch.setattr(together, "MOST_FILES", 3)


def burst(made: Service, many: int) -> list[str]:
    names = [f"sales_data_20250601_s{n:02d}.csv" for n in range(many)]
    for n, name in enumerate(names):
        os.utime(drop(made.folders.inbox, name, csv_bytes(SALES, [f"2025-06-01,P{n},pos,1,2.5"])), (n, n))
    made.inbox.scan()
    return names


def delivered(made: Service) -> list[str]:
    """As the daemon does it."""
    return list(made.carrier.deliver_all(made.inbox.ready(), patient=True, enough=made.stop.is_set))


def test_the_database_goes_away_before_it_is_told_where_files_lie(service, monkeypatch):
    """Intake pauses, as it does wherever else the database goes away."""
    made = service()
    names = burst(made, 7)
    left = [0]
    tell = Store.filed_all

    def goes_away(store, paths):
        if not left[0]:
            left[0] = 8
        tell(store, paths)

    def before(*_about: Any) -> None:
        if left[0] > 1:  # one is left: it does not go away again
            left[0] -= 1
            raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Store, "filed_all", goes_away)
    event.listen(made.store.engine, "before_cursor_execute", before)
    assert sorted(delivered(made)) == names
    event.remove(made.store.engine, "before_cursor_execute", before)
    is_whole(made, names, 1)


@SQLITE
def test_where_no_thread_can_be_started_files_are_written_one_after_the_other(service, monkeypatch):
    made = service()
    names = burst(made, 7)

    def start(_thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert delivered(made) == names
    is_whole(made, names, 1)


@SQLITE
def test_asked_to_stop_while_the_database_is_locked(service, store, monkeypatch):
    """It does not try all files in hand first."""
    made = service()
    monkeypatch.setattr(together, "MOST_FILES", 200)
    names = burst(made, 30)
    store.engine.dispose()
    event.listen(store.engine, "connect", lambda raw, _record: raw.execute("PRAGMA busy_timeout = 200"))
    other = sqlite3.connect(store.engine.url.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(PauseWatch, "begin", lambda *_about: made.request_stop())
    begun = time.monotonic()
    delivered(made)
    seconds = time.monotonic() - begun
    other.close()
    release_locks(made.folders.work)
    made.stop.clear()
    again = service()
    again.drain()
    is_whole(again, names, 1)
    assert seconds < 3


def dies(*_arguments: Any, **_named: Any) -> None:
    raise Crash


def unwell(*_arguments: Any, **_named: Any) -> None:
    raise TransientError("unwell")


def killed_at(made: Service, where: Any, what: str) -> None:
    """Drains until a function is called, and is killed there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, what, dies)
        with pytest.raises(Crash):
            made.drain()
    release_locks(made.folders.work)


def test_what_a_death_left_behind_is_recovered_together(service, monkeypatch):
    made = service()
    names = burst(made, 7)
    killed_at(made, Store, "commit_together")
    monkeypatch.setattr(Store, "commit", dies)  # of one by itself
    again = service()
    again.drain()
    is_whole(again, names, 1)


@pytest.mark.parametrize("step", ["commit", "outcome_of"])
@pytest.mark.parametrize("at", [(Store, "commit_together"), (together, "place")], ids=lambda at: at[1])
def test_what_could_not_be_recovered_is_recovered_later_by_the_same_process(service, at, step):
    made = service()
    names = burst(made, 5)
    killed_at(made, *at)
    with pytest.MonkeyPatch.context() as patch:
        if step == "commit":
            patch.setattr(Store, "commit", unwell)
            patch.setattr(Store, "commit_together", unwell)
            patch.setattr(Store, "filed", unwell)
        else:
            asked, outcome_of = [], Store.outcome_of
            patch.setattr(
                Store,
                "outcome_of",
                lambda *its: asked.append(1) or (unwell() if len(asked) == 2 else outcome_of(*its)),
            )
        with pytest.raises(TransientError):
            service().drain()
    again = service()
    again.drain()
    is_whole(again, names, 1)


@SQLITE
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_death_while_senders_are_told_is_made_good(service, monkeypatch, at):
    """The database knows where the files lie by then."""
    made = service(**ON)
    names = burst(made, 3)
    acknowledge, calls = outbox.acknowledge, []

    def dies(*arguments):
        calls.append(1)
        if len(calls) == at:
            raise Crash
        acknowledge(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(together, "acknowledge", dies)
        with pytest.raises(Crash):
            made.drain()
    release_locks(made.folders.work)
    release_locks(made.folders.data_dir / "outbox")
    again = service(**ON)
    again.drain()
    assert sorted(os.listdir(again.folders.data_dir / "outbox")) == [f"{name}.ack.json" for name in names]


@SQLITE
def test_the_database_is_away_when_the_daemon_begins(service):
    """It waits, as it does later."""
    made = service()
    left = [3]

    def before(*_about: Any) -> None:
        if left[0]:
            left[0] -= 1
            raise sqlite3.OperationalError("disk I/O error")
        if made.vitals.ready_at is not None:
            made.request_stop()

    event.listen(made.store.engine, "before_cursor_execute", before)
    made.run()
    event.remove(made.store.engine, "before_cursor_execute", before)
    assert made.vitals.ready_at is not None


@SQLITE
def test_who_does_not_wait_for_the_end_loses_nothing(service):
    """With two runs in hand, in the middle of which is a file that goes alone."""
    for files in range(9):
        made = service()
        wipe(made.store.engine)
        names = burst(made, 9)
        drop(made.folders.inbox, names[4], csv_bytes(SALES, ['2025-06-01,"P4",pos,1,2.5']))
        made.inbox.scan()
        delivering = made.carrier.deliver_all(made.inbox.ready(), patient=False, enough=lambda: False)
        for _ in range(files):
            next(delivering)
        delivering.close()
        again = service()
        again.drain()
        is_whole(again, names, 1)
