"""The health endpoint over real HTTP: what it says of a loop, a database and a port; and what it tells Prometheus."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import make_settings
from e2e.harness import until
from pydantic import ValidationError
from sqlalchemy import insert
from support.files import INVENTORY, SALES, csv_bytes
from support.http import Scrape, free_port, get, probe
from test_loads import INVENTORY_ROWS, SALES_ROWS, deliver

from daemon import logs
from daemon.doctor import Site, health, is_well
from daemon.doctor.finding import examined
from daemon.events import Event
from daemon.health import Health, known, server, state
from daemon.health.gauges import GAUGES
from daemon.health.metrics import COUNTERS, Metric
from daemon.health.state import Cause
from daemon.health_settings import HealthSettings
from daemon.render import status_text
from daemon.settings import Settings
from daemon.status import picture
from daemon.store import Store
from daemon.store.derived import LETTERS, NOTICES
from daemon.vitals import Phase, Vitals

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus-alerts.yaml"
DASHBOARD = ROOT / "deploy" / "grafana-dashboard.json"
needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is not installed: apt-get install prometheus"
)
Run = Callable[..., "Running"]


class Running:
    """A health endpoint of its own, and the vital signs that it reads."""

    def __init__(self, settings: Settings) -> None:
        self.vitals = Vitals(ready_at=time.monotonic(), scanned_at=time.monotonic(), phase=Phase.IDLE)
        self.threads_well = True
        self.health = Health(settings, self.vitals, lambda: self.threads_well)
        self.listen = settings.health.listen or ""

    def wait(self, seconds: float = 20.0) -> None:
        """Until it answers."""

        def answers() -> bool:
            with contextlib.suppress(OSError):
                return get(self.listen, "/healthz")[0] > 0
            return False

        until(answers, seconds, f"an answer on {self.listen}")

    def reasons(self, path: str = "/readyz") -> list[str]:
        """Why it is not well; its status fits that."""
        status, content = probe(self.listen, path)
        found = [reason["reason"] for reason in content["reasons"]]
        assert status == (503 if found else 200)
        assert content["ready" if path == "/readyz" else "alive"] is not bool(found)
        return found


@pytest.fixture
def said() -> Iterator[list[tuple[Event, dict[str, Any]]]]:
    """What is emitted."""
    heard: list[tuple[Event, dict[str, Any]]] = []

    def hear(event: Event, fields: Any) -> None:
        heard.append((event, dict(fields)))

    logs.observe(hear)
    yield heard
    logs.unobserve(hear)


@pytest.fixture
def sqlite_url(databases: Any, tmp_path: Path) -> str:
    """For what has nothing to do with the database."""
    return str(databases.sqlite(tmp_path))


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Starts endpoints on a database."""
    with contextlib.ExitStack() as stack:

        def start(database_url: str, *, wait: bool = True, **sections: Any) -> Running:
            (tmp_path / "data").mkdir(exist_ok=True)
            listen = {"listen": f"127.0.0.1:{free_port()}"}
            made = Running(make_settings(tmp_path / "data", database_url, **({"health": listen} | sections)))
            stack.callback(made.health.stop)
            made.health.start()
            if wait:
                made.wait()
            return made

        yield start


# ---- the settings


@pytest.mark.parametrize(
    "listen", ["127.0.0.1:9464", "[::1]:9464", "localhost:9464", "0.0.0.0:80", "shop.example:65535"]
)
def test_an_address_and_a_port(listen: str) -> None:
    assert HealthSettings(listen=listen).listen == listen


@pytest.mark.parametrize(
    "listen", ["9464", ":9464", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "1.2.3:80", "::1:9464", "http://a:1", "a b:1", "[x]:1", ""]
)  # fmt: skip
def test_what_is_none_is_refused(listen: str) -> None:
    with pytest.raises(ValidationError, match="must be an address and a port, such as"):
        HealthSettings(listen=listen)


# ---- life and readiness


def test_a_daemon_that_is_well(run: Run, database_url: str) -> None:
    made = run(database_url)
    assert probe(made.listen, "/healthz") == (200, {"alive": True, "reasons": []})
    status, content = probe(made.listen, "/readyz")
    assert status == 200
    assert (
        content.items()
        >= {"ready": True, "reasons": [], "phase": "idle", "waiting": 0, "delivery": None}.items()
    )
    assert get(made.listen, "/elsewhere")[0] == 404
    assert "/metrics" in get(made.listen, "/")[1]
    openmetrics = get(made.listen, "/metrics", Accept="application/openmetrics-text; version=1.0.0")[1]
    assert openmetrics.endswith("# EOF\n")
    scrape = Scrape(made.listen)
    assert (scrape("healthy"), scrape("ready"), scrape("database_up")) == (1, 1, 1)


def test_the_loop_stands_still(run: Run, sqlite_url: str) -> None:
    made = run(sqlite_url)
    made.vitals.turned_at -= 60
    assert made.reasons("/healthz") == ["loop"]
    assert "has not moved for 60 s" in probe(made.listen, "/healthz")[1]["reasons"][0]["message"]
    assert made.reasons() == ["loop"]
    assert Scrape(made.listen)("healthy") == 0
    for phase in (Phase.DELIVERING, Phase.FOLLOWING, Phase.STARTING):
        made.vitals.phase = phase  # work may take its time
        assert made.reasons("/healthz") == []
    made.vitals.phase, made.vitals.delivery = Phase.PAUSED, "c1"  # tried again, in the middle of a delivery
    assert made.reasons("/healthz") == []
    made.vitals.turned_at -= 4_000
    assert made.reasons("/healthz") == ["loop"]
    made.vitals.turn(Phase.IDLE)
    assert made.reasons("/healthz") == []
    made.threads_well = False
    assert made.reasons("/healthz") == ["thread"]
    assert made.reasons() == ["thread"]


def test_reasons_not_to_be_ready(run: Run, sqlite_url: str) -> None:
    made = run(sqlite_url)
    vitals = made.vitals
    ready_at, vitals.ready_at, vitals.phase = vitals.ready_at, None, Phase.STARTING
    assert made.reasons() == ["starting"]
    assert made.reasons("/healthz") == []
    vitals.ready_at, vitals.phase = ready_at, Phase.STOPPING
    assert made.reasons() == ["stopping"]
    vitals.phase, vitals.paused, vitals.paused_why = Phase.PAUSED, "host", "No space left on device"
    assert made.reasons() == ["paused"]
    assert "No space left" in get(made.listen, "/readyz")[1]
    scrape = Scrape(made.listen)
    assert scrape("paused", reason="host") == 1
    assert scrape("not_ready", reason="paused") == 1
    assert scrape("not_ready", reason="scan") == 0
    vitals.phase, vitals.paused = Phase.IDLE, ""
    vitals.scanned_at = time.monotonic() - 91  # twice 30 s, and 30 s
    assert made.reasons() == ["scan"]
    vitals.phase = Phase.DELIVERING
    assert made.reasons() == []
    vitals.phase = Phase.IDLE
    logs.emit(Event.DELIVERY_DUPLICATE, feed="sales", first_delivery=1, sha256="0")
    assert made.reasons() == [], "it has brought files to their end since"


def test_little_room(run: Run, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run(sqlite_url)
    scrape = Scrape(made.listen)
    assert (
        0 < (scrape("disk_free_bytes", folder="data") or 0) < (scrape("disk_size_bytes", folder="data") or 0)
    )
    monkeypatch.setattr(state, "LEAST_BYTES", 1 << 60)
    assert set(made.reasons()) == {"disk"}
    assert "MiB are free for the data folder" in get(made.listen, "/readyz")[1]


def test_tables_of_another_release(
    run: Run, database_url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "FRESH_SECONDS", 0.1)
    made = run(database_url)
    assert made.reasons() == []
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    until(lambda: made.reasons() == ["tables"], 10, "it is noticed")
    assert "version 0001, this release works with" in get(made.listen, "/readyz")[1]
    with store.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE alembic_version")
    until(lambda: "version None" in get(made.listen, "/readyz")[1], 10, "it is noticed")


def test_a_database_that_hangs_holds_up_nobody(run: Run, databases: Any) -> None:
    """A server that takes a connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        made = run(f"postgresql+psycopg://u@127.0.0.1:{port}/none")
        for _ in range(2):  # the first asks, the second finds that it is being asked
            begun = time.monotonic()
            assert made.reasons() == ["database"]
            assert time.monotonic() - begun < 5
        assert made.reasons("/healthz") == [], "it is no reason to start the daemon anew"
        scrape = Scrape(made.listen)
        assert scrape("database_up") == 0
        assert scrape("due_features") is None, "what is not known is not 0"
        assert scrape("waiting_files") == 0
        begun = time.monotonic()
        made.health.stop()
        assert time.monotonic() - begun < 3


def test_a_database_that_is_not_there_is_not_made(run: Run, tmp_path: Path) -> None:
    made = run(f"sqlite:///{tmp_path}/none.db")
    assert made.reasons() == ["database"]
    assert not (tmp_path / "none.db").exists()


# ---- the port


def test_a_port_that_is_taken(
    run: Run, sqlite_url: str, said: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "RETRY", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        made = run(sqlite_url, wait=False, health={"listen": listen})
        until(lambda: any(event is Event.HEALTH_UNAVAILABLE for event, _ in said), 20, "said")
        time.sleep(0.5)
    made.wait()
    told = [fields for event, fields in said if event is Event.HEALTH_UNAVAILABLE]
    assert [(fields["listen"], fields["error"]) for fields in told] == [(listen, "Address already in use")], (
        "said once"
    )
    assert Scrape(listen)("log_events_total", event="health_unavailable", level="warning") == 1


def test_a_reload_moves_it_and_keeps_what_was_counted(run: Run, sqlite_url: str) -> None:
    made = run(sqlite_url)
    logs.emit(Event.DELIVERY_DUPLICATE, feed="sales", first_delivery=1, sha256="0")
    assert Scrape(made.listen)("deliveries_total", feed="sales", outcome="duplicate") == 1
    before, made.listen = made.listen, f"127.0.0.1:{free_port()}"
    made.health.reload(made.health.settings.model_copy(update={"health": HealthSettings(listen=made.listen)}))
    made.wait()
    logs.emit(Event.DELIVERY_DUPLICATE, feed="sales", first_delivery=1, sha256="0")
    assert Scrape(made.listen)("deliveries_total", feed="sales", outcome="duplicate") == 2
    with pytest.raises(OSError, match="refused"):
        get(before, "/healthz")
    made.health.reload(made.health.settings.model_copy(update={"health": HealthSettings()}))
    with pytest.raises(OSError, match="refused"):
        get(made.listen, "/healthz")


def test_what_strangers_do(run: Run, sqlite_url: str, said: list[Any]) -> None:
    """Nonsense is no line in the log, and connections that are left open do not pile up."""
    made = run(sqlite_url)
    host, port = made.listen.split(":")
    with contextlib.ExitStack() as stack:
        left = [stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(80)]
        left[0].sendall(b"\x16\x03\x01nonsense\r\n\r\n")
        assert left[0].recv(100).startswith(b"HTTP/1.1 400")

        def is_cut() -> bool:
            left[1].settimeout(0.05)
            try:
                return left[1].recv(1) == b""
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        until(is_cut, 10, "they are cut")
        assert made.reasons("/healthz") == []
    assert [event for event, _ in said if event.level != "debug"] in ([], [Event.HEALTH_LISTENING])


# ---- the numbers


def test_what_was_loaded_is_counted(run: Run, service: Any, database_url: str) -> None:
    made = run(database_url)
    bad = [*SALES_ROWS, "2025-06-01T10:00:00,P1,online,0,1.00,x"]
    partial = deliver(service, "sales_data_20250601.csv", csv_bytes(SALES, bad))
    deliver(service, "inventory_data_20250601.csv", csv_bytes(INVENTORY, INVENTORY_ROWS))
    deliver(service, "sales_data_20250602.csv", b"date,product\n1,2\n")
    deliver(service, "sales_data_20250601.csv", csv_bytes(SALES, bad))
    deliver(service, "export.csv", b"a\n1\n")
    scrape = Scrape(made.listen)
    deliveries = {
        (dict(labels)["feed"], dict(labels)["outcome"]): value
        for (name, labels), value in scrape.samples.items()
        if name == "stockgrip_deliveries_total" and value
    }
    assert deliveries == {
        ("sales", "partial"): 1,
        ("inventory", "loaded"): 1,
        ("sales", "refused"): 1,
        ("sales", "duplicate"): 1,
        ("none", "refused"): 1,
    }
    assert scrape("rows_total", feed="sales") == len(SALES_ROWS)
    assert scrape("rows_total", feed="inventory") == len(INVENTORY_ROWS)
    (reason,) = partial["error_details"]["reasons"]
    assert scrape("rejects_total", feed="sales", reason=reason) == 1
    assert scrape("refusals_total", feed="sales", reason="missing_column") == 1
    assert scrape("refusals_total", feed="none", reason="unroutable") == 1
    assert scrape("log_events_total", event="delivery_refused", level="error") == 2
    for step, times in {"read": 2, "commit": 2, "file": 5}.items():
        assert scrape("step_seconds_count", step=step) == times
        assert 0 < (scrape("step_seconds_sum", step=step) or 0) < 60
    assert (scrape("step_seconds_count", step="quality") or 0) >= 1
    # the same numbers as status
    told = picture(made.health.settings)
    by_feed = {feed["feed"]: feed for feed in told["feeds"]}
    assert scrape("rows_today", feed="sales") == by_feed["sales"]["rows_today"] == len(SALES_ROWS)
    assert abs((scrape("last_delivery_timestamp_seconds", feed="sales") or 0) - time.time()) < 120
    assert (
        (scrape("due_features"), scrape("due_quality"))
        == (told["due"]["products"], told["due"]["days"])
        == (0, 0)
    )
    for severity in ("critical", "warning", "info"):
        assert scrape("alerts_firing", severity=severity) == told["firing"].get(severity, 0)
    assert scrape("notices_waiting") == told["unsent"]["notices"]
    assert told["daemon"]["ready"] is True
    assert told["daemon"]["phase"] == "idle"


def test_letters_that_wait(run: Run, database_url: str, store: Store) -> None:
    mail = {"host": "localhost", "security": "none", "sender": "a@b.example", "to": ["c@d.example"]}
    made = run(database_url, alerts={"mail": mail})
    at = datetime.now(UTC) - timedelta(hours=2)
    letter = {"channel": "mail", "created_at": at, "attempts": 3, "facts": {}}
    with store.engine.begin() as connection:
        connection.execute(
            insert(LETTERS), [{"id": "a", **letter, "sent_at": None}, {"id": "b", **letter, "sent_at": at}]
        )
        connection.execute(insert(LETTERS), {"id": "a", **letter, "channel": "webhook"})  # which is off
        connection.execute(insert(NOTICES), {"alert_id": 1, "kind": "firing", "created_at": at})
    scrape = Scrape(made.listen)
    assert (scrape("letters_waiting", channel="mail"), scrape("letters_waiting", channel="log")) == (1, 0)
    assert 7_100 < (scrape("oldest_letter_seconds") or 0) < 7_300
    assert scrape("notices_waiting") == 1
    told = picture(made.health.settings)
    assert told["unsent"] == {"notices": 1, "letters": {"mail": 1}}
    text = " ".join(status_text(told).split())
    assert "unsent 1 letter by mail; 1 piece of news waits for the next letter or the daily digest" in text
    assert "daemon ready (idle)" in text
    told["daemon"] |= {"ready": False, "reasons": [{"reason": "paused", "message": "intake is paused"}]}
    assert "daemon    not ready: intake is paused" in status_text(told)


def test_the_doctor_asks(run: Run, sqlite_url: str, tmp_path: Path) -> None:
    made = run(sqlite_url)

    def findings(listen: str, *only: str) -> dict[str, tuple[str, str]]:
        variables = {"STOCKGRIP_DATA_DIR": str(tmp_path / "data"), "STOCKGRIP_DATABASE__URL": sqlite_url}
        site = Site(None, variables | ({"STOCKGRIP_HEALTH__LISTEN": listen} if listen else {}))
        checks = [check for check in health.CHECKS if not only or check.name in only]
        found = [finding for check in checks for finding in examined(check, site)]
        assert is_well(found) == all(finding.state != "fail" for finding in found)
        return {finding.name: (finding.state, finding.said) for finding in found}

    assert {state for state, _ in findings(made.listen).values()} == {"ok"}
    made.vitals.phase, made.vitals.paused, made.vitals.paused_why = Phase.PAUSED, "host", "no room"
    assert findings(made.listen)["readiness"][0] == "warn"
    assert "no room" in findings(made.listen)["readiness"][1]
    free = findings(f"127.0.0.1:{free_port()}")
    assert free["endpoint"][0] == "ok"
    assert "is free for the daemon" in free["endpoint"][1]
    assert free["readiness"][0] == "skip"
    assert findings("192.0.2.1:9464", "reach")["reach"][0] == "warn"
    assert {state for state, _ in findings("").values()} == {"skip"}
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.listen()
        taken = findings(f"127.0.0.1:{other.getsockname()[1]}")
        assert taken["endpoint"][0] == "fail"


# ---- what is shipped


def test_each_metric_is_documented_and_scraped(run: Run, service: Any, database_url: str) -> None:
    made = run(database_url)
    deliver(service, "sales_data_20250601.csv", csv_bytes(SALES, SALES_ROWS))
    made.vitals.scan_seconds, made.vitals.canary_seconds = 0.1, 0.01
    scrape = Scrape(made.listen)
    declared: tuple[Metric, ...] = (*COUNTERS, *GAUGES)
    for metric in declared:
        suffixes = ("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",)
        for suffix in suffixes:
            assert f"{metric.name}{suffix}" in scrape.names
        labels = next(dict(found) for name, found in scrape.samples if name.startswith(metric.name))
        assert labels.keys() - {"le"} == set(metric.labels), metric.name
    ours = {name for name in scrape.names if name.startswith("stockgrip_")}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in ours} == {
        metric.name for metric in declared
    }
    assert len(scrape.text) < 60_000
    page = (ROOT / "docs" / "health.md").read_text("utf-8")
    rows = [
        f"| `{m.name}` | {m.kind} | {', '.join(f'`{label}`' for label in m.labels)} | {m.meaning} |"
        for m in declared
    ]
    rows += [f"| `{cause}` | {cause.meaning} |" for cause in Cause]
    found = [line for line in page.splitlines() if line.startswith("| `") and not line.startswith("| `/")]
    assert sorted(found) == sorted(rows), "docs/health.md should have:\n" + "\n".join(rows)
    for query in [*queries(), *expressions()]:
        used = set(re.findall(r"\b(?:stockgrip|process)_\w+", query))
        assert used <= scrape.names, f"{query}: no metric {used - scrape.names}"
        assert used or query == 'up{job="stockgrip"} == 0'
    if shutil.which("promtool"):
        promtool("check", "metrics", given=scrape.text)


def queries() -> list[str]:
    """Those of the dashboard."""
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def expressions() -> list[str]:
    """Those of the alerts."""
    import yaml  # noqa: PLC0415

    (group,) = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return [rule["expr"] for rule in group["rules"]]


def promtool(*arguments: str, given: str | None = None) -> str:
    done = subprocess.run(
        ["promtool", *arguments], input=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_dashboard_is_whole() -> None:
    board = json.loads(DASHBOARD.read_text("utf-8"))
    assert {"title", "uid", "schemaVersion", "panels", "templating", "time"} <= board.keys()
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, f"{panel['title']} lies on another"
        assert at["x"] + at["w"] <= 24
        taken |= cells
        assert panel["type"] == "row" or panel["targets"], panel["title"]
    variables = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text("utf-8")))
    assert used - {"__rate_interval"} == variables


@needs_promtool
def test_promtool_understands_each_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"q{n}", "expr": query.replace("$__rate_interval", "5m").replace("$instance", ".*")}
        for n, query in enumerate(queries())
    ]
    path = tmp_path / "queries.json"  # JSON is YAML
    path.write_text(json.dumps({"groups": [{"name": "q", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(path))


@needs_promtool
def test_the_alerts_fire_when_they_should(tmp_path: Path) -> None:
    promtool("check", "rules", str(RULES))
    cases = (ROOT / "tests" / "integration" / "prometheus_alerts.test.yaml").read_text("utf-8")
    path = tmp_path / "cases.yaml"
    path.write_text(cases.replace("[RULES]", json.dumps([str(RULES)])))
    promtool("test", "rules", str(path))
    for name in re.findall(r"- alert: (\w+)", RULES.read_text("utf-8")):
        assert name in cases, f"{name} has no test"
