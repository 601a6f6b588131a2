"""The health endpoint of a real daemon: values against what was loaded, a database that goes and comes, a port that is taken."""

import contextlib
import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.http import Scrape, free_port, get, probe
from support.postgres import Cluster, NoServerError
from support.process import run_cli

from e2e.harness import Place, put, sales, until

A, B, C = (f"sales_data_2025030{day}.csv" for day in (1, 2, 3))


def reasons(listen: str) -> set[str]:
    """Why the daemon is not ready; "silent" if it does not answer."""
    try:
        status, content = probe(listen, "/readyz")
    except OSError:
        return {"silent"}
    found = {reason["reason"] for reason in content["reasons"]}
    assert status == (503 if found else 200)
    return found


def test_what_was_loaded(sqlite_place: Place) -> None:
    place = sqlite_place
    listen = f"127.0.0.1:{free_port()}"
    settings = {
        "health__listen": listen,
        "settle__canary_seconds": "1",
        "feeds__demand__complete_when": '{"all": ["marker"]}',
    }
    daemon = place.run(**settings)
    until(lambda: reasons(listen) == set(), 20, "it is ready")
    put(place.inbox, A, sales("A", 5))
    put(place.inbox, B, sales("B", 7, bad=2))
    put(place.inbox, C, b"date\n2025-03-03\n")
    place.wait_loaded(A, B)
    until(lambda: [row["status"] for row in place.ledger(C)] == ["failed"], 20, "refused")
    until(lambda: Scrape(listen)("step_seconds_count", step="file") == 3, 20, "filed")
    scrape = Scrape(listen)
    counted = place.rows(
        "SELECT status, COUNT(*), SUM(records_successful) FROM data_ingestion_log GROUP BY status"
    )
    assert sorted(tuple(map(str, row)) for row in counted) == [
        ("failed", "1", "0"),
        ("partial", "1", "7"),
        ("success", "1", "5"),
    ]
    for outcome in ("loaded", "partial", "refused"):
        assert scrape("deliveries_total", feed="sales", outcome=outcome) == 1
    assert scrape("rows_total", feed="sales") == place.scalar("SELECT COUNT(*) FROM live_sales_data") == 12
    (reason,) = {row[0] for row in place.rows("SELECT reason FROM rejected_rows")}
    assert scrape("rejects_total", feed="sales", reason=reason) == 2
    assert scrape("refusals_total", feed="sales", reason="missing_column") == 1
    assert (scrape("waiting_files"), scrape("oldest_waiting_seconds")) == (0, 0)
    put(place.inbox, "demand_data_20250301.csv", b"date\n")  # only its sender can bring the marker
    until(lambda: Scrape(listen)("waiting_files") == 1, 20, "what waits for its sender waits")
    until(lambda: (Scrape(listen)("oldest_waiting_seconds") or 0) > 0, 20, "and it is told for how long")
    until(lambda: (Scrape(listen)("canary_seconds") or 0) > 0, 20, "a canary is heard")
    assert 0 < (Scrape(listen)("scan_seconds") or 0) < 30
    # the commands ask it, too
    env = place.environment(**settings)
    told = json.loads(run_cli("status", "--json", env=env, cwd=place.folder).stdout)
    assert told["daemon"]["ready"] is True
    assert {feed["feed"]: feed["rows_today"] for feed in told["feeds"]}["sales"] == 12
    doctor = json.loads(run_cli("doctor", "--json", env=env, cwd=place.folder).stdout)
    states = {f["name"]: f["state"] for f in doctor["findings"] if f["area"] == "health"}
    assert states == {"reach": "ok", "endpoint": "ok", "readiness": "ok"}
    # it answers to its end, and the port is free then
    daemon.popen.send_signal(signal.SIGTERM)
    assert daemon.end(20) == 0
    assert reasons(listen) == {"silent"}
    assert len(daemon.said("health_listening")) == 1


def test_a_port_that_is_taken_stops_nobody(sqlite_place: Place) -> None:
    place = sqlite_place
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        daemon = place.run(health__listen=listen)
        assert daemon.wait_said("health_unavailable", listen=listen)["error"] == "Address already in use"
        put(place.inbox, A, sales("A"))
        place.wait_loaded(A)
    until(lambda: reasons(listen) == set(), 20, "it answers as soon as the port is free")
    assert Scrape(listen)("deliveries_total", feed="sales", outcome="loaded") == 1, "counted meanwhile, too"
    assert daemon.stop() == 0


def test_a_reload_switches_it_on_and_off(sqlite_place: Place) -> None:
    place = sqlite_place
    listen = f"127.0.0.1:{free_port()}"
    path = place.folder / "config.yaml"
    path.write_text("")
    daemon = place.start("--config", str(path), "run")
    daemon.wait_said("daemon_ready", 30)
    path.write_text(f"health: {{listen: '{listen}'}}")
    daemon.popen.send_signal(signal.SIGHUP)
    until(lambda: reasons(listen) == set(), 20, "it answers")
    path.write_text("health: {listen: 127.0.0.1}")
    daemon.popen.send_signal(signal.SIGHUP)
    assert "must be an address and a port" in daemon.wait_said("reload_refused")["error"]
    assert reasons(listen) == set()
    path.write_text("")
    daemon.popen.send_signal(signal.SIGHUP)
    until(lambda: reasons(listen) == {"silent"}, 20, "it is off")
    assert daemon.stop() == 0


@pytest.fixture
def server() -> Iterator[Cluster]:
    """A PostgreSQL of its own."""
    try:
        cluster = Cluster.make()
    except NoServerError as error:
        pytest.skip(str(error))
    yield cluster
    with contextlib.suppress(OSError):
        cluster.remove()


@pytest.mark.postgres
def test_the_database_goes_and_comes(server: Cluster, tmp_path: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    with Place(tmp_path, server.url(server.create())) as place:
        daemon = place.run(health__listen=listen, retry__attempts="2")
        until(lambda: reasons(listen) == set(), 20, "it is ready")
        server.stop("immediate")
        until(lambda: reasons(listen) == {"database"}, 20, "it is noticed before a file comes")
        put(place.inbox, A, sales("A", 5))
        until(lambda: reasons(listen) == {"database", "paused"}, 20, "intake pauses")
        begun = time.monotonic()
        scrape = Scrape(listen)
        assert time.monotonic() - begun < 5
        assert (scrape("database_up"), scrape("paused", reason="database"), scrape("ready")) == (0, 1, 0)
        assert get(listen, "/healthz")[0] == 200, (
            "a database that is away is no reason to start the daemon anew"
        )
        server.start()
        place.wait_loaded(A)
        until(lambda: reasons(listen) == set(), 20, "it is well again")
        scrape = Scrape(listen)
        assert (scrape("database_up"), scrape("paused", reason="database")) == (1, 0)
        assert scrape("rows_total", feed="sales") == 5
        assert daemon.stop() == 0
