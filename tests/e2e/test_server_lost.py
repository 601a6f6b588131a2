"""PostgreSQL goes away: in the middle of a COMMIT, and for a while."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.postgres import Cluster, NoServerError

from e2e.harness import Place, put, sales, until
from e2e.proxy import Cut, Proxy

pytestmark = pytest.mark.postgres
A, B = "sales_data_20250301_a.csv", "sales_data_20250301_b.csv"


@pytest.fixture
def pg_place(tmp_path: Path, databases) -> Iterator[Place]:
    made = Place(tmp_path, databases.postgresql())
    yield made
    made.close()


def _each_row_once(place: Place, *names: str) -> None:
    place.assert_clean()
    assert [(row["file_name"], row["status"]) for row in place.ledger()] == [
        (name, "partial") for name in names
    ]
    assert place.scalar("SELECT COUNT(*) FROM live_sales_data") == 5 * len(names)
    assert place.scalar("SELECT COUNT(DISTINCT product_id) FROM live_sales_data") == 5 * len(names)
    assert place.scalar("SELECT SUM(rows) FROM sales_daily") == 5 * len(names)
    assert place.scalar("SELECT COUNT(*) FROM rejected_rows") == len(names)
    assert place.archived(place.errors) == []
    assert [path.name for path in place.archived(place.processed)] == list(names)


@pytest.mark.parametrize("cut", ["before", "after"])
def test_connection_lost_during_commit(pg_place: Place, cut: Cut) -> None:
    """Twice: in its way, before, the same delivery is hit again; after, it is the next one's."""
    times = 2
    with Proxy(pg_place.url, cut, times) as proxy:
        put(pg_place.inbox, A, sales("A", 5, bad=1))
        put(pg_place.inbox, B, sales("B", 5, bad=1))
        drain = pg_place.start("drain", "--json", database__url=proxy.through)
        assert drain.end() == 1, drain.tail()
    assert proxy.cuts == times
    _each_row_once(pg_place, A, B)
    assert len(drain.said("step_retried")) == proxy.cuts
    # what became of a delivery is said, also when its COMMIT had to be looked up
    assert [line["file"] for line in drain.said("delivery_partial")] == [A, B]
    assert drain.result()["partial"] == 2


def test_commit_that_never_gets_through(pg_place: Place) -> None:
    """`drain` gives up and puts the file back; `run` pauses, and goes on as soon as it can."""
    put(pg_place.inbox, A, sales("A", 5, bad=1))
    with Proxy(pg_place.url, "before", 10**6) as proxy:
        drain = pg_place.drain(69, database__url=proxy.through, retry__attempts="3")
        assert proxy.cuts == 3
        # whether it is committed cannot be known here: it stays claimed, or goes back
        assert [*pg_place.waiting(), *pg_place.claimed()] == [A]
        assert pg_place.ledger() == []
        assert "Nothing was lost" in drain.tail()
        daemon = pg_place.start("run", database__url=proxy.through, retry__attempts="2")
        paused = daemon.wait_said("intake_paused")
        assert paused["reason"] == "database"
        assert pg_place.archived(pg_place.errors) == []
        proxy.times = 0
        daemon.wait_said("intake_resumed", 30)
        pg_place.wait_loaded(A)
        assert daemon.stop() == 0
    _each_row_once(pg_place, A)


@pytest.fixture
def own_server() -> Iterator[Cluster]:
    """A server that nobody else uses."""
    try:
        cluster = Cluster.make()
    except NoServerError as error:
        pytest.skip(str(error))
    yield cluster
    cluster.remove()


@pytest.fixture
def own_place(own_server: Cluster, tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, own_server.url(own_server.create()))
    yield made
    made.close()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_server_stopped_and_started(own_server: Cluster, own_place: Place, mode: str) -> None:
    """Intake pauses, files stay, and it goes on by itself."""
    daemon = own_place.run(retry__attempts="2")
    put(own_place.inbox, A, sales("A", 5, bad=1))
    own_place.wait_loaded(A)
    own_server.stop(mode)
    put(own_place.inbox, B, sales("B", 5, bad=1))
    assert daemon.wait_said("intake_paused")["reason"] == "database"
    assert own_place.archived(own_place.errors) == []
    own_server.start()
    daemon.wait_said("intake_resumed", 30, reason="database")
    own_place.wait_loaded(B)
    assert daemon.stop() == 0
    _each_row_once(own_place, A, B)


def test_asked_to_stop_while_paused(own_server: Cluster, own_place: Place) -> None:
    """It ends at once; what it had in hand is taken up at the next start."""
    daemon = own_place.run(retry__attempts="1", retry__max_seconds="60", retry__initial_seconds="30")
    own_server.stop()
    put(own_place.inbox, A, sales("A", 5, bad=1))
    daemon.wait_said("intake_paused")
    assert daemon.stop(5) == 0
    assert own_place.drain(69).popen.returncode == 69
    own_server.start()
    until(lambda: own_place.drain().popen.returncode == 1)
    _each_row_once(own_place, A)
