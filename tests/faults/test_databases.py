"""Databases that are locked, restarted or cut off, in the middle of a load."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from e2e.harness import Place, until
from e2e.proxy import Cut, Proxy
from sqlalchemy.engine import make_url
from support.postgres import Cluster, NoServerError

from faults.trial import Begin, Trial, assert_quiet, names_of

FIRST, SECOND, THIRD = names_of(3)
LARGE = 200_000  # rows: about two seconds of work


@contextmanager
def _locked(place: Place) -> Iterator[None]:
    other = sqlite3.connect(place.url.removeprefix("sqlite:///"), isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
    finally:
        other.close()


@pytest.mark.faults
def test_sqlite_is_locked_for_fifteen_seconds(sqlite_trial: Trial) -> None:
    """With the waits of the default configuration: ten seconds in SQLite, then again."""
    daemon = sqlite_trial.run(retry__attempts="5")
    sqlite_trial.send(FIRST)
    place = sqlite_trial.place
    place.wait_loaded(FIRST)
    # else what follows the first file would meet the lock, and not the second one
    until(lambda: place.scalar("SELECT COUNT(*) FROM due_days") == 0, 30, "all has followed")
    with _locked(place):
        sqlite_trial.send(SECOND)
        time.sleep(15)
    sqlite_trial.over()
    sqlite_trial.send(THIRD)
    sqlite_trial.wait_recovered()
    assert_quiet(daemon, "step_retried", 2)
    sqlite_trial.finish()


@pytest.fixture
def own_trial(begin: Begin, tmp_path: Path) -> Iterator[tuple[Trial, Cluster]]:
    """On a server that nobody else uses."""
    try:
        cluster = Cluster.make()
    except NoServerError as error:
        pytest.skip(str(error))
    try:
        with Place(tmp_path, cluster.url(cluster.create())) as place:
            yield begin(place), cluster
    finally:
        cluster.remove()


def _is_loading(place: Place) -> bool:
    """Whether a transaction of the daemon writes just now."""
    name = make_url(place.url).database
    found = place.scalar(
        "SELECT COUNT(*) FROM pg_stat_activity WHERE state IN ('active', 'idle in transaction') AND pid <> pg_backend_pid()"
        f" AND datname = '{name}' AND (query LIKE 'COPY%' OR query LIKE 'INSERT INTO live_%')"
    )
    return bool(found)


@pytest.mark.faults
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_server_is_restarted_in_the_middle_of_a_load(own_trial: tuple[Trial, Cluster], mode: str) -> None:
    trial, cluster = own_trial
    daemon = trial.run()
    trial.send(FIRST)
    trial.place.wait_loaded(FIRST)
    trial.send(SECOND, rows=LARGE)
    until(lambda: _is_loading(trial.place), 30, "it loads", every=0.01)
    trial.place.engine.dispose()
    cluster.stop(mode)
    trial.send(THIRD)
    cluster.start()
    trial.over()
    trial.wait_recovered()
    assert daemon.said("step_retried") or daemon.said("intake_paused")
    trial.finish()


@pytest.mark.faults
def test_connections_are_ended_in_the_middle_of_a_load(pg_trial: Trial, postgres: Cluster) -> None:
    """As a fail-over, an administrator or a network device does."""
    daemon = pg_trial.run()
    pg_trial.send(FIRST, rows=60_000)
    until(lambda: _is_loading(pg_trial.place), 30, "it loads", every=0.005)
    pg_trial.place.engine.dispose()
    postgres.cut_connections(str(make_url(pg_trial.place.url).database))
    pg_trial.over()
    pg_trial.wait_recovered()
    assert daemon.said("step_retried") or daemon.said("intake_paused")
    pg_trial.finish()


@pytest.mark.faults
@pytest.mark.parametrize("cut", ["before", "after"])
def test_answer_to_commit_is_lost(pg_trial: Trial, cut: Cut) -> None:
    """What became of it is read from the ledger, never guessed."""
    with Proxy(pg_trial.place.url, cut, 1) as proxy:
        daemon = pg_trial.run(database__url=proxy.through)
        pg_trial.send(FIRST, SECOND, THIRD)  # together, or the first before the others
        until(lambda: proxy.cuts == 1, 30, "cut")
        pg_trial.over()
        pg_trial.wait_recovered()
        assert daemon.said("step_retried")
        pg_trial.finish()
