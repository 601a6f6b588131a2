"""Letters on their way: real mail and web servers on this host, dead ones, slow ones, and processes that die."""

import hashlib
import hmac
import http.server
import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from typing import Any

import pytest
import trustme
from conftest import Databases, make_settings, serving
from structlog.testing import capture_logs
from support.http import free_port
from support.mail import HOST, mail_server, stalling_server
from support.process import command, environment

from daemon.alert_settings import MailSettings
from daemon.alerts.courier import Courier, send_test
from daemon.alerts.pause import PauseWatch
from daemon.doctor.finding import examined
from daemon.doctor.mail import CHECKS
from daemon.doctor.site import Site
from daemon.status import picture
from daemon.store import Store
from daemon.store.alerts import apply
from daemon.store.letters import unsent
from handlers.alerts.rules import Rule, Severity
from handlers.alerts.signals import Signal

PASSWORD = "päss-wörd-7"
DAY = date(2026, 1, 4)


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Office:
    """A courier with a database of its own, and what tells it news."""

    def __init__(self, url: str, folder: Path, mail: dict[str, Any] | None = None, **alerts: Any) -> None:
        sections = {"group_seconds": 0, "mail": mail or {}, **alerts}
        self.settings = make_settings(folder, url, alerts=sections)
        self.clock = Clock()
        self.store = Store.open(url)
        self.courier = Courier(self.settings, lambda: Store.open(url), self.clock, lambda _attempts: 10.0)

    def news(self, number: int = 1, *, firing: bool = True, severity: str = "warning") -> None:
        told = Signal(
            Rule.CONSISTENCY, Severity(severity), f"feed{number}", "", DAY, firing, f"alert {number}"
        )
        self.store.change(lambda c: apply(c, [told], self.clock.now))

    def round(self, later: float = 0) -> None:
        """A round after some time; a channel that failed rests no longer."""
        self.clock.on(later)
        self.courier._rests.clear()
        self.courier.round()

    def waiting(self) -> list[Any]:
        return self.store.ask(unsent)

    def close(self) -> None:
        self.courier._close()
        self.store.close()


Make = Callable[..., Office]


@pytest.fixture
def office(database_url: str, tmp_path: Path) -> Iterator[Make]:
    """Makes offices; without a ``mail`` the port of nobody."""
    made: list[Office] = []

    def make(port: int | None = None, mail: dict[str, Any] | None = None, **alerts: Any) -> Office:
        made.append(
            Office(database_url, tmp_path / "data", to_server(port or free_port(), **(mail or {})), **alerts)
        )
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def here(databases: Databases, tmp_path: Path) -> Iterator[Make]:
    """The same on SQLite alone, for what does not depend on the database."""
    url, made = databases.sqlite(tmp_path), []

    def make(port: int | None = None, mail: dict[str, Any] | None = None, **alerts: Any) -> Office:
        made.append(Office(url, tmp_path / "data", to_server(port or free_port(), **(mail or {})), **alerts))
        return made[-1]

    yield make
    for each in made:
        each.close()


def to_server(port: int, **more: Any) -> dict[str, Any]:
    known = {
        "host": HOST,
        "port": port,
        "security": "none",
        "sender": "s@example.org",
        "to": ("a@example.org",),
    }
    return {**known, "timeout_seconds": 1.0, "deadline_seconds": 2.0, **more}


def said(logs: list[Any], event: str) -> list[Any]:
    return [line for line in logs if line["event"] == event]


# ---- letters


def test_an_alert_is_told_once_and_its_end_answers_it(office: Make) -> None:
    with mail_server() as box, capture_logs() as logs:
        at = office(box.port)
        at.news()
        at.round()
        at.round(5)
        assert box.subjects == ["[warning] feed1 2026-01-04: alert 1"]
        at.news(firing=False)
        at.round(5)
        office(box.port).round()  # another start
        assert box.subjects[1:] == ["[resolved] feed1 2026-01-04: alert 1"]
        assert box.letters[1][0]["In-Reply-To"] == box.ids[0]
    assert [line["event"] for line in logs] == [
        "alert_firing",
        "letter_sent",
        "alert_resolved",
        "letter_sent",
    ]
    assert at.waiting() == []


def test_what_lasts_is_told_again_in_the_same_thread(office: Make) -> None:
    with mail_server() as box:
        at = office(box.port)
        at.news()
        at.round()
        at.courier._repeats_at = 0
        at.round(25 * 3600)
        assert box.subjects[1:] == ["[warning, still] feed1 2026-01-04: alert 1"]
        assert box.letters[1][0]["References"] == box.ids[0]


def test_news_waits_for_others_and_what_ends_meanwhile_is_never_told(office: Make) -> None:
    with mail_server() as box:
        at = office(box.port, group_seconds=30)
        at.news(1)
        at.news(2)
        at.round(29)
        assert box.letters == []
        at.news(1, firing=False)
        at.round(2)
        assert box.subjects == ["[warning] feed2 2026-01-04: alert 2"]


def test_the_digest_has_its_time_of_the_day(here: Make) -> None:
    with mail_server() as box:
        at = here(box.port, digest_at="14:00")
        at.news(1, severity="info")
        at.news(2, severity="info")
        at.round(3600)
        assert box.letters == []
        at.round(3600)
        assert box.subjects == ["[digest] 2 alerts for 2026-01-05: feed1, feed2"]


def test_a_flood_ends_in_one_letter(office: Make) -> None:
    with mail_server() as box, capture_logs() as logs:
        at = office(box.port, letters_an_hour=3)
        for number in range(6):
            at.news(number)
        at.round()
        assert [len(box.letters), box.subjects[-1].partition(": ")[2]] == [3, "4 alerts, alert 2 …"]
        at.news(7)
        at.round(60)
        at.round(60)
        assert len(box.letters) == 3
        at.round(3600)
        assert box.subjects[3:] == ["[warning] feed7 2026-01-04: alert 7"]
    assert len(said(logs, "letters_held")) == 1


# ---- servers that fail


def test_a_dead_channel_silences_no_other_and_one_that_is_switched_off_is_forgotten(office: Make) -> None:
    at = office()  # by mail to nobody, and into the log
    with capture_logs() as logs:
        at.news()
        at.round()
        for _ in range(2):
            at.courier._repeats_at = 0
            at.round(25 * 3600)
        assert [line["again"] for line in said(logs, "alert_firing")] == [False, True, True]
        assert [row["channel"] for row in at.waiting()] == ["mail"], "not the repeats of what it owes"
        alerts = at.settings.alerts.model_copy(update={"mail": MailSettings()})
        at.courier.settings = at.settings.model_copy(update={"alerts": alerts})
        unsent = [picture(settings)["unsent"]["letters"] for settings in (at.settings, at.courier.settings)]
        assert unsent == [{"mail": 1}, {}]
        at.courier._repeats_at = 0
        at.round(25 * 3600)
        assert at.waiting() == []
        assert said(logs, "letters_withdrawn")[0]["letters"] == 1
        assert len(said(logs, "alert_firing")) == 4


def test_what_only_a_channel_that_is_switched_off_had_to_tell_is_told_by_another(office: Make) -> None:
    at = office(log=False)
    with capture_logs() as logs:
        at.news()
        at.round()
        for log in (False, True):  # first nobody is told
            alerts = at.settings.alerts.model_copy(update={"mail": MailSettings(), "log": log})
            at.courier.settings = at.settings.model_copy(update={"alerts": alerts})
            at.courier._repeats_at = 0
            at.round(60)
            assert at.waiting() == []
        assert [line["again"] for line in said(logs, "alert_firing")] == [False]


def test_a_dead_server_loses_no_letter(office: Make) -> None:
    port = free_port()
    at = office(port)
    with capture_logs() as logs:
        at.news(1)
        at.news(2)
        for _ in range(4):
            at.round(11)
        assert [row["channel"] for row in at.waiting()] == ["mail", "mail"]
        assert [line["error"] for line in said(logs, "letter_failed")] == [
            f"mail server {HOST}:{port}: Connection refused"
        ]
        assert len(said(logs, "alert_firing")) == 2, "the log has them all the same"
        with mail_server(port) as box:
            at.round(11)
            at.round(11)
            assert sorted(box.subjects) == [f"[warning] feed{n} 2026-01-04: alert {n}" for n in (1, 2)]
    assert len(said(logs, "letters_flowing")) == 1
    assert at.waiting() == []


def test_when_one_letter_gets_through_those_that_wait_long_go_out_too(office: Make) -> None:
    port = free_port()
    at = office(port)
    at.courier.wait = lambda _attempts: 3600.0
    at.news(1)
    at.round()
    with mail_server(port) as box:
        at.round(60)
        assert box.letters == []
        at.news(2)
        at.round(5)
        at.round(5)
        assert [subject.partition(": ")[2] for subject in box.subjects] == ["alert 2", "alert 1"]


@pytest.mark.parametrize(("drip", "why"), [(b"", "does not answer in time"), (b"2", "took too long")])
def test_a_silent_or_dripping_server_is_cut(here: Make, drip: bytes, why: str) -> None:
    with stalling_server(drip) as (port, _), capture_logs() as logs:
        at = here(port, {"timeout_seconds": 0.3, "deadline_seconds": 0.6})
        at.news()
        begun = time.monotonic()
        at.round()
        assert time.monotonic() - begun < 2
        assert [why in line["error"] for line in said(logs, "letter_failed")] == [True]
        assert [row["attempts"] for row in at.waiting()] == [1]


def test_a_silent_server_delays_no_delivery(databases: Databases, tmp_path: Path) -> None:
    url = databases.sqlite(tmp_path)
    with stalling_server() as (port, came):
        mail = to_server(port, timeout_seconds=60, deadline_seconds=60)
        settings = make_settings(tmp_path / "data", url, alerts={"group_seconds": 0, "mail": mail})
        store = Store.open(url)
        with serving(settings, store) as service:
            running = threading.Thread(target=service.run)
            running.start()
            drop(service.folders.inbox, "unknown_20260104.csv")
            assert came.wait(20), "the courier is at the mail server"
            begun = time.monotonic()
            drop(service.folders.inbox, "another_20260104.csv")
            until(lambda: len(store.refused()) == 2)
            assert time.monotonic() - begun < 3
            service.request_stop()
            begun = time.monotonic()
            running.join(20)
            assert not running.is_alive()
            assert time.monotonic() - begun < 10, "and the end is not held up either"
        store.close()


def drop(folder: Path, name: str) -> None:
    (folder / f".{name}").write_text("a,b\n1,2\n")
    (folder / f".{name}").rename(folder / name)


def until(well: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not well():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_recipient_that_is_not_known_keeps_the_letter_from_nobody(here: Make) -> None:
    with mail_server() as box, capture_logs() as logs:
        at = here(box.port, mail={"to": ("a@example.org", "gone@example.org", "busy@example.org")})
        box.codes = {"gone@example.org": "550 no such user", "busy@example.org": "451 later"}
        at.news()
        at.round()
        at.round(5)
        box.codes.pop("busy@example.org")
        at.round(6)
        at.round(60)
        assert [to for _, to in box.letters] == [["a@example.org"], ["busy@example.org"]]
        assert len(set(box.ids)) == 1
    refused = said(logs, "recipient_refused")
    assert [(line["recipient"], line["error"]) for line in refused] == [
        ("gone@example.org", "550 no such user")
    ]
    assert at.waiting() == []


def test_a_letter_that_the_server_does_not_want_is_kept(here: Make) -> None:
    with mail_server() as box, capture_logs() as logs:
        at = here(box.port)
        box.answer = "554 too much mail\x1b[2J"
        at.news()
        at.round()
        assert [line["error"] for line in said(logs, "letter_failed")] == [
            f"mail server {HOST}:{box.port}: 554 too much mail\\x1b[2J"
        ]
        box.answer = "250 taken"
        at.round(11)
        assert at.waiting() == []


def test_a_letter_that_waits_for_a_week_is_said_to(here: Make) -> None:
    at = here()
    at.news()
    with capture_logs() as logs:
        at.round()
        at.round(8 * 86_400)
        at.round(3600)
    assert [line["waited_days"] for line in said(logs, "letter_delayed")] == [8]
    assert len(at.waiting()) == 1


# ---- TLS and passwords


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


def context(authority: trustme.CA, name: str = HOST, **more: Any) -> SSLContext:
    made = SSLContext(PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, **more).configure_cert(made)
    return made


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("SGTEST_MAIL", PASSWORD)
    return {
        "username": "user",
        "password_env": "SGTEST_MAIL",
        "security": "starttls",
        "timeout_seconds": 5,
        "deadline_seconds": 5,
    }


@pytest.mark.parametrize("secret", [PASSWORD, "plain"])
def test_starttls_and_a_password(
    here: Make,
    authority: trustme.CA,
    ca_file: Path,
    login: dict[str, Any],
    secret: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SGTEST_MAIL", secret)
    with mail_server(password=secret, tls_context=context(authority)) as box:
        at = here(box.port, mail={**login, "ca_file": ca_file})
        at.news()
        at.round()
        assert len(box.letters) == 1


@pytest.mark.parametrize("source", ["file", "credential"])
def test_tls_from_the_first_byte_and_a_password_from_a_file(
    here: Make, authority: trustme.CA, ca_file: Path, login: dict[str, Any], source: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "mail").write_text(f"{PASSWORD}\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    place = {"password_file": tmp_path / "mail"} if source == "file" else {"password_credential": "mail"}
    with mail_server(ssl_context=context(authority)) as box:
        more = {**login, "ca_file": ca_file, "password_env": None, "username": None, "security": "tls"}
        at = here(box.port, mail=more)
        at.news()
        at.round()
        assert len(box.letters) == 1
    with mail_server(password=PASSWORD, tls_context=context(authority)) as box:
        at = here(box.port, mail={**login, "ca_file": ca_file, "password_env": None, **place})
        at.news(2)
        at.round()
        assert len(box.letters) == 1


def expired() -> dict[str, Any]:
    return {
        "not_after": datetime.now(UTC) - timedelta(days=1),
        "not_before": datetime.now(UTC) - timedelta(days=9),
    }


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        ("password", "refuses the user name or the password (535)"),
        ("no starttls", "offers no STARTTLS"),
        ("unknown", "its certificate is not trusted: unable to get local issuer certificate"),
        ("expired", "its certificate is not trusted: certificate has expired"),
        ("name", "its certificate is not trusted: "),
        ("no variable", "environment variable SGTEST_MAIL: is not set or empty"),
        ("plain port", "TLS failed"),
    ],
)
def test_what_is_wrong_with_tls_or_the_password_is_said_and_the_letter_kept(
    here: Make, authority: trustme.CA, ca_file: Path, login: dict[str, Any], trouble: str, why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    kind = {"expired": expired(), "name": {"name": "other.example.org"}}.get(trouble, {})
    options: dict[str, Any] = {"password": "another" if trouble == "password" else PASSWORD}
    options["tls_context"] = context(authority, **kind)
    if trouble in ("no starttls", "plain port"):
        options = {}
    if trouble == "no variable":
        monkeypatch.delenv("SGTEST_MAIL")
    security = "tls" if trouble == "plain port" else "starttls"
    trusted = trustme.CA().cert_pem if trouble == "unknown" else authority.cert_pem
    trusted.write_to_path(ca_file)
    with mail_server(**options) as box, capture_logs() as logs:
        at = here(box.port, mail={**login, "ca_file": ca_file, "security": security})
        at.news()
        at.round()
        assert box.letters == []
        assert [why in line["error"] for line in said(logs, "letter_failed")] == [True], logs
        assert len(at.waiting()) == 1
        assert not any(secret in str(logs) + repr(at.settings) for secret in (PASSWORD, "another"))


def test_the_doctor_tries_the_server_and_looks_at_the_secret(
    authority: trustme.CA, ca_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("plain\n")
    (tmp_path / "secret").chmod(0o644)
    config = tmp_path / "config.yaml"

    def look(port: int, **more: Any) -> list[tuple[str, str, str]]:
        known = {**to_server(port, timeout_seconds=5, deadline_seconds=5), "to": ["a@example.org"]}
        mail = {**known, "security": "starttls", "ca_file": str(ca_file), **more}
        config.write_text(json.dumps({"alerts": {"mail": mail}}))
        site = Site(config, {}, deep=True)
        return [(f.name, f.state, f.said) for check in CHECKS for f in examined(check, site)]

    with mail_server(password="plain", tls_context=context(authority)) as box:
        found = look(box.port, username="user", password_file="secret")
        assert found[1] == ("secrets", "fail", f"mail: everybody may read {tmp_path}/secret")
        assert found[2][1:] == ("ok", f"tried: {HOST}:{box.port} answers with STARTTLS, and lets user in")
        (tmp_path / "secret").write_text("wrong\n")
        (tmp_path / "secret").chmod(0o600)
        found = look(box.port, username="user", password_file="secret")
        assert [state for _, state, _ in found] == ["ok", "ok", "fail"]
        assert "refuses the user name or the password (535)" in found[2][2]
        assert "wrong" not in str(found)
        assert box.letters == []
    assert look(free_port(), username="user", password_credential="mail")[1][1] == "warn"
    assert look(free_port(), host=None, to=[])[0][1] == "warn"


# ---- processes


def test_a_process_that_dies_before_it_notes_what_it_sent_sends_the_same_again(
    office: Make, tmp_path: Path
) -> None:
    with mail_server() as box:
        at = office(box.port)
        at.news()
        more = {
            f"STOCKGRIP_ALERTS__MAIL__{name.upper()}": json.dumps(value) if name == "to" else str(value)
            for name, value in to_server(box.port, timeout_seconds=10, deadline_seconds=10).items()
        }
        env = environment(tmp_path / "data", at.settings.database_url, **more)
        started = subprocess.Popen(
            command("drain"), env=env, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        box.taken = lambda: os.kill(started.pid, signal.SIGKILL)
        assert started.wait(30) == -signal.SIGKILL
        box.taken = lambda: None
        assert len(box.letters) == 1
        at.clock.now = datetime.now(UTC)
        at.round()
        assert len(box.letters) == 1, "it may still be sending"
        at.round(3600)
        at.round(3600)
        assert len(box.letters) == 2
        assert len(set(box.ids)) == 1


def test_of_two_processes_one_sends_a_letter(office: Make) -> None:
    with mail_server() as box:
        two = [
            office(box.port, log=False, mail={"timeout_seconds": 5, "deadline_seconds": 5}) for _ in range(2)
        ]
        for number in range(8):
            two[0].news(number)
        together = threading.Barrier(2)

        def work(at: Office) -> None:
            together.wait()
            at.round()

        threads = [threading.Thread(target=work, args=(each,)) for each in two]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        two[0].round(5)
        assert len(box.ids) == len(set(box.ids)) == 8
        assert two[0].waiting() == []


def test_a_database_that_does_not_take_the_note_makes_no_second_letter(here: Make) -> None:
    with mail_server() as box:
        at = here(box.port, log=False)
        at.news()
        path = at.settings.database_url.removeprefix("sqlite:///")
        at.courier._store = Store.open(at.settings.database_url, busy_timeout_seconds=0)
        with sqlite3.connect(path, isolation_level=None, check_same_thread=False) as other:
            box.taken = lambda: other.execute("BEGIN IMMEDIATE")
            at.round()
            assert len(at.waiting()) == 1
            at.round(3600)
            assert len(box.letters) == 1, "the lease is over, but this process knows"
            other.execute("ROLLBACK")
        other.close()
        at.round()
        assert at.waiting() == []
        assert len(box.letters) == 1


# ---- the other channels


class Hook(http.server.BaseHTTPRequestHandler):
    """Notes what is posted."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((dict(self.headers), body, self.path))  # type: ignore[attr-defined]
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Location", "http://other.example.org/")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Says nothing."""


@contextmanager
def hook(status: int = 204) -> Iterator[Any]:
    with http.server.ThreadingHTTPServer((HOST, 0), Hook) as server:
        server.posts, server.status = [], status  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_a_webhook_gets_signed_json(here: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGTEST_HOOK", PASSWORD)
    with hook() as server, mail_server() as box:
        address = f"http://{HOST}:{server.server_port}/services/s3cret?x=ü"
        at = here(box.port, webhook={"url": address, "secret_env": "SGTEST_HOOK"})
        at.news()
        at.round()
        at.round(60)
        ((headers, body, path),) = server.posts
        assert path == "/services/s3cret?x=%C3%BC"
        told = json.loads(body)
        assert (told["version"], told["kind"], told["alerts"][0]["summary"]) == (1, "alerts", "alert 1")
        assert told["subject"] == box.subjects[0]
        assert headers["Idempotency-Key"] == told["letter"]
        signed = headers["X-Stockgrip-Timestamp"].encode() + b"." + body
        expected = hmac.new(PASSWORD.encode(), signed, hashlib.sha256).hexdigest()
        assert headers["X-Stockgrip-Signature"] == f"sha256={expected}"


@pytest.mark.parametrize(
    ("status", "why"), [(500, "it answers 500"), (302, "a redirect, which is not followed")]
)
def test_a_webhook_that_does_not_take_it_is_tried_again(here: Make, status: int, why: str) -> None:
    with hook(status) as server, mail_server() as box, capture_logs() as logs:
        at = here(box.port, webhook={"url": f"http://{HOST}:{server.server_port}/s3cret"})
        at.news()
        at.round()
        assert [why in line["error"] for line in said(logs, "letter_failed")] == [True]
        assert "s3cret" not in str(logs) + repr(at.settings)
        assert len(box.letters) == 1, "mail does not wait for it"
        server.status = 200
        at.round(11)
        assert len({headers["Idempotency-Key"] for headers, _, _ in server.posts}) == 1
        assert at.waiting() == []


def test_each_channel_can_be_tried(here: Make) -> None:
    port = free_port()
    with mail_server() as box:
        well = here(box.port, webhook={"url": f"http://{HOST}:{port}/"})
        found = send_test(well.settings)
        assert [(channel, taken) for channel, taken, _ in found] == [
            ("log", True),
            ("webhook", False),
            ("mail", True),
        ]
        assert found[1][2] == f"webhook at {HOST}: Connection refused"
        assert box.subjects == ["[test] alerts of Stock GRIP Live come by this way"]


def test_a_pause_of_intake_is_told_from_memory(here: Make) -> None:
    with mail_server() as box:
        watch = PauseWatch(here(box.port).settings, patience=0)
        watch.begin("database", "it does not answer")
        watch.tend()
        watch.tend()
        watch.end()
        watch.tend()
        assert box.subjects == [
            "[critical] stockgrip: intake has paused (database): it does not answer",
            "[resolved] stockgrip: intake has paused (database): it does not answer",
        ]
        assert box.letters[1][0]["In-Reply-To"] == box.ids[0]
