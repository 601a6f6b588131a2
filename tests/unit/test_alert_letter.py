"""Letters about alerts: what is told when, in which words, and that no name from outside can do harm."""

import re
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from daemon.alert_settings import MailSettings
from daemon.alerts.secret import SecretUnreadable, read_secret
from daemon.alerts.smtp import message_of
from daemon.config import load_settings
from daemon.errors import ConfigError
from handlers.alerts.choice import FLAPS, Choice, Notice, Policy, Told, choose
from handlers.alerts.letter import COLUMNS, SUBJECT, compose
from handlers.alerts.markup import html_of

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
MAIL = MailSettings(host="mail", sender="stockgrip@example.org", to=("a@example.org", "b@example.org"))
NASTY = "sales\r\nBcc: x@evil.example\u202evsc.\x1b[2J<img src=x onerror=alert(1)>\x00&amp;\ud800.csv"


def alert(number: int = 1, rule: str = "completeness", **more: Any) -> dict[str, Any]:
    known = {
        "id": number, "rule": rule, "severity": "critical", "feed": "sales", "scope": "", "summary": f"alert {number}",
        "day": date(2026, 1, 4), "state": "firing", "details": {}, "delivery_id": None, "times": 1,
    }  # fmt: skip
    return known | more


def notice(number: int, about: dict[str, Any], kind: str = "firing", ago: float = 60) -> Notice:
    return Notice(number, kind, NOW - timedelta(seconds=ago), about)  # type: ignore[arg-type]


def chosen(*notices: Notice, **more: Any) -> Choice:
    told, late, silences = (
        more.pop(name, default) for name, default in (("told", {}), ("late", ()), ("silences", ()))
    )
    rules = {"group": timedelta(seconds=30), "digest_before": NOW - timedelta(hours=5), "room": 20} | more
    return choose(notices, told, late, silences, Policy(NOW, **rules))


def letters(choice: Choice) -> list[tuple[str, list[int]]]:
    return [(draft.kind, [each.id for each in draft.notices]) for draft in choice.drafts]


# ---- what is told when


def test_alerts_of_a_feed_and_severity_share_a_letter_that_waits_for_them() -> None:
    warning = {"severity": "warning", "rule": "accuracy"}
    early = [notice(1, alert(1, **warning), ago=40), notice(2, alert(2, **warning), ago=1)]
    others = [notice(3, alert(3, feed="demand", **warning), ago=1), notice(4, alert(4, feed="demand"), ago=6)]
    assert letters(chosen(*early, *others)) == [("alerts", [4]), ("alerts", [1, 2])]
    assert letters(chosen(early[1])) == []
    assert letters(chosen(early[1], at_once=True)) == [("alerts", [2])]


def test_who_never_heard_that_it_began_does_not_hear_that_it_ended() -> None:
    one = alert()
    choice = chosen(notice(1, one), notice(2, one, "resolved"))
    assert (letters(choice), choice.dropped) == ([], (1, 2))
    assert letters(chosen(notice(2, one, "resolved"), told={1: Told("firing", 1, "L")})) == [
        ("resolved", [2])
    ]


def test_what_comes_back_before_its_end_was_told_is_no_news() -> None:
    one, told = alert(), {1: Told("firing", 1, "L", NOW)}
    choice = chosen(notice(5, one, "resolved"), notice(6, one), told=told)
    assert (letters(choice), choice.dropped, choice.told_before) == ([], (5,), {6: "L"})


def test_what_gets_worse_is_told_again() -> None:
    assert letters(chosen(notice(5, alert()), told={1: Told("firing", 1, "L", NOW)})) == [("alerts", [5])]


def test_what_comes_and_goes_is_told_so_often_in_an_hour_and_then_waits() -> None:
    assert letters(chosen(notice(9, alert()), told={1: Told("resolved", FLAPS - 1, "L", NOW)})) == [
        ("alerts", [9])
    ]
    assert chosen(notice(9, alert()), told={1: Told("resolved", FLAPS, "L", NOW)}) == Choice()


def test_a_repeat_waits_for_the_letter_that_it_repeats_and_is_dropped_when_that_was_late() -> None:
    again = notice(7, alert(), "repeat")
    assert chosen(again, told={1: Told("firing", 1, "L")}) == Choice()
    assert chosen(again, told={1: Told("firing", 1, "L", NOW)}).dropped == (7,)
    assert letters(chosen(again, told={1: Told("firing", 1, "L", NOW - timedelta(days=1))})) == [
        ("alerts", [7])
    ]


def test_silences_keep_quiet_until_they_end() -> None:
    silence = {
        "rule": None,
        "feed": "sales",
        "scope": None,
        "until": NOW + timedelta(hours=1),
        "ended_at": None,
    }
    assert chosen(notice(1, alert()), silences=[silence]) == Choice()
    assert letters(chosen(notice(1, alert()), silences=[silence | {"until": NOW}])) == [("alerts", [1])]
    assert letters(chosen(notice(1, alert()), silences=[silence | {"feed": "demand"}])) == [("alerts", [1])]


def test_a_late_feed_keeps_its_own_completeness_and_anomalies_quiet() -> None:
    late = [alert(8, "timeliness", severity="warning", day=None)]
    incomplete, odd = notice(1, alert(1)), notice(2, alert(2, "anomaly_score", severity="warning"))
    other = notice(3, alert(3, feed="demand"))
    wrong = notice(4, alert(4, "accuracy"))
    assert letters(chosen(incomplete, odd, other, wrong, late=late)) == [("alerts", [3]), ("alerts", [4])]


def test_info_goes_out_once_a_day_in_one_letter() -> None:
    low = {"severity": "info", "rule": "anomaly_score"}
    old, new = notice(1, alert(1, **low), ago=6 * 3600), notice(2, alert(2, **low), ago=3600)
    other = notice(3, alert(3, feed="demand", **low), ago=7 * 3600)
    assert letters(chosen(old, new, other, at_once=True)) == [("digest", [3, 1])]


def test_the_last_letter_of_an_hour_tells_all_that_is_left() -> None:
    many = [notice(n, alert(n, feed=f"feed{n}", severity="warning")) for n in range(1, 6)]
    worst = notice(6, alert(6, feed="demand"))
    assert letters(chosen(*many, worst, room=3)) == [
        ("alerts", [6]),
        ("alerts", [1]),
        ("summary", [2, 3, 4, 5]),
    ]
    assert letters(chosen(*many, worst, room=1)) == [("summary", [6, 1, 2, 3, 4, 5])]
    assert chosen(*many, room=0).held_back == 5
    assert letters(chosen(*many, room=5))[-1] == ("alerts", [5])


# ---- words


def told(number: int = 1, **more: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "id": number,
        "rule": "refused_file",
        "severity": "warning",
        "feed": "sales",
        "scope": "",
        "times": 1,
        "state": "firing",
        "day": "2026-01-03",
        "key": "k",
        "details": {},
        "resolved_at": None,
        "summary": "sales_data_20260103.csv was refused (too_many_rejects): 120 of 800 rows are bad",
        "first_at": "2026-01-05T09:15:00+01:00",
        "last_at": "2026-01-05T09:15:00+01:00",
    }
    known["delivery"] = {
        "id": 12,
        "file": "sales_data_20260103.csv",
        "status": "failed",
        "arrived": "2026-01-05T09:14:58+01:00",
        "rows": 800,
        "loaded": 0,
        "rejected": 120,
        "duplicate": 0,
        "reason": "too_many_rejects",
        "message": "m",
        "remedy": "Correct the file and drop it again.",
        "place": "/srv/data/errors/sales_data_20260103.csv",
        "rejects_place": None,
    }
    known["rejects"] = [
        {
            "line": n,
            "column": "quantity",
            "value": "1,5",
            "reason": "not_an_integer",
            "message": "must be a whole number",
        }
        for n in (3, 7)
    ]
    return known | more


def facts(*alerts: dict[str, Any], **more: Any) -> dict[str, Any]:
    known = {
        "version": 1,
        "letter": "0123abcd",
        "kind": "alerts",
        "severity": "warning",
        "feed": "sales",
        "created_at": "2026-01-05T09:15:30+01:00",
        "host": "shop",
        "data_dir": "/srv/data",
        "timezone": "Europe/Berlin",
        "replies_to": [],
        "count": len(alerts),
        "alerts": list(alerts),
    }
    return known | more


def test_one_alert_says_what_where_and_what_to_do() -> None:
    letter = compose(facts(told()))
    assert letter.subject == (
        "[warning] sales 2026-01-03: sales_data_20260103.csv was refused (too_many_rejects): 120 of 800 rows are bad"
    )
    for part in (
        "since     2026-01-05 09:15 (+0100)",
        "rows      800 read, 0 loaded\n",
        "file      /srv/data/errors/sales_data_20260103.csv",
        "  line 3, quantity '1,5': must be a whole number (not_an_integer)",
        "What to do:\n  Correct the file and drop it again.",
        "  stockgrip explain 12\n",
        "  stockgrip alerts ack 1\n",
    ):
        assert part in letter.text
    assert all(len(line) <= COLUMNS for line in letter.text.splitlines())


def test_a_metric_names_the_command_that_explains_it() -> None:
    text = compose(facts(told(rule="missing_file", delivery=None, rejects=[]))).text
    assert "  stockgrip quality explain timeliness --feed sales --day 2026-01-03\n" in text


def test_what_is_over_says_for_how_long() -> None:
    letter = compose(facts(told(state="resolved", resolved_at="2026-01-05T14:15:00+01:00"), kind="resolved"))
    assert letter.subject.startswith("[resolved] sales 2026-01-03: ")
    assert (
        "  lasted    5 hours\n  from      2026-01-05 09:15 (+0100)\n  to        2026-01-05 14:15 (+0100)\n"
        in letter.text
    )
    assert "What to do" not in letter.text


def test_a_group_begins_with_a_table_and_ends_somewhere() -> None:
    letter = compose(facts(*(told(n, summary=f"alert {n}") for n in range(1, 31)), count=80, kind="summary"))
    assert letter.subject == "[warning] sales: 80 alerts, alert 1 …"
    assert "\nwarning  sales 2026-01-03  alert 30\n… and 50 more: stockgrip alerts list\n" in letter.text
    assert len(letter.parts) == 10
    assert letter.text.count("The first rejects:") == 1, "they are of one delivery"
    assert "nowrap" not in html_of(letter), "a long scope must not push the third column out"


def test_what_is_not_in_the_database_is_told_in_words_of_its_own() -> None:
    firing = told(id=0, rule="daemon_failed", feed="", scope="", day=None, delivery=None, rejects=[])
    letter = compose(facts(firing, kind="daemon_failed"))
    assert letter.intro.startswith("It does not start again by itself")
    assert "stockgrip doctor" in letter.text
    failed = told(
        rule="workflow", feed="", scope="", day=None, delivery=None, rejects=[], summary="1 step failed"
    )
    letter = compose(facts(failed, kind="alerts"))
    assert letter.subject.endswith("the site: 1 step failed")
    assert "stockgrip workflow run" in letter.text


@pytest.mark.parametrize(
    "kind", ["alerts", "resolved", "digest", "summary", "test", "intake_paused", "daemon_failed"]
)
def test_no_name_does_harm(kind: str) -> None:
    delivery = dict.fromkeys(("file", "place", "rejects_place", "remedy", "message"), NASTY)
    nasty = told(
        summary=NASTY,
        scope=NASTY,
        feed=NASTY,
        resolved_at="2026-01-05T14:15:00+01:00",
        state="resolved" if kind == "resolved" else "firing",
        delivery=told()["delivery"] | delivery,
        rejects=[{"line": 2, "column": NASTY, "value": NASTY, "reason": NASTY, "message": NASTY}],
    )
    for known in (
        facts(nasty, kind=kind, feed=NASTY, host=NASTY),
        facts(nasty, nasty, kind=kind, data_dir=NASTY),
    ):
        letter = compose(known)
        assert letter.subject.isprintable()
        assert len(letter.subject) <= SUBJECT
        assert all(line.isprintable() for line in letter.text.splitlines())
        assert tags(html_of(letter)) <= {
            *[
                "html",
                "head",
                "meta",
                "title",
                "body",
                "div",
                "p",
                "table",
                "tr",
                "td",
                "h2",
                "ul",
                "li",
                "pre",
            ]
        }
        message = message_from_bytes(message_of(known, MAIL).as_bytes(), policy=policy.default)
        assert message["Bcc"] is None
        assert not message.defects
        assert message["Subject"] == re.sub(r" +", " ", letter.subject)


def tags(html: str) -> set[str]:
    found: set[str] = set()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.add(tag)
            assert {name for name, _ in attrs} <= {"style", "lang", "charset", "name", "content"}

    Reader().feed(html)
    return found


def test_the_message_is_threaded_and_the_same_whenever_it_is_made() -> None:
    known = facts(told(summary="größe · 5 €"), replies_to=["one", "two"])
    raw = message_of(known, MAIL).as_bytes()
    message = message_from_bytes(raw, policy=policy.default)
    assert message["Message-ID"] == "<stockgrip.0123abcd@example.org>"
    assert message["In-Reply-To"] == "<stockgrip.two@example.org>"
    assert message["References"] == "<stockgrip.one@example.org> <stockgrip.two@example.org>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Subject"] == "[warning] sales 2026-01-03: größe · 5 €"
    assert message["Date"] == "Mon, 05 Jan 2026 09:15:30 +0100"
    assert "größe · 5 €" in message.get_body(("plain",)).get_content()
    assert "größe · 5 €" in message.get_body(("html",)).get_content()
    assert raw.isascii()
    again = message_of(known, MAIL)
    assert [again[name] for name in ("Message-ID", "Date", "Subject")] == [
        message[name] for name in ("Message-ID", "Date", "Subject")
    ]


# ---- settings


def refusal(tmp_path: Path, alerts: str) -> str:
    (tmp_path / "config.yaml").write_text(f"alerts: {alerts}\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path / "config.yaml", {})
    return str(caught.value)


TO = "sender: s@example.org, to: [a@example.org]"


@pytest.mark.parametrize(
    ("alerts", "said"),
    [
        (f"{{mail: {{host: smtp.example.org, {TO}, security: none, username: u, password_env: P}}}}", "readably over"),
        ("{mail: {host: smtp.example.org}}", "host is set, so sender and to must be set too"),
        (f"{{mail: {{host: h, {TO}, username: u}}}}", "username and one of password_env, password_file"),
        ("{mail: {password_env: A, password_file: b}}", "take the password from one place: password_env and password_f"),
        ("{mail: {password_env: STOCKGRIP_MAIL}}", "must not begin with STOCKGRIP_"),
        ("{mail: {password_env: 'hunter2!'}}", "must be the name of an environment variable, not the secret itself"),
        ("{mail: {password: 'hunter2!'}}", "unknown key alerts.mail.password; did you mean alerts.mail.password_"),
        ("{mail: {to: ['a@example.org, b@example.org']}}", "must be a plain mail address"),
        ('{mail: {sender: "a@example.org\\nBcc: x@example.org"}}', "must be a plain mail address"),
        ("{webhook: {url: 'http://example.org/hunter2!'}}", "must be https:// unless it is on this host"),
        ("{webhook: {url: 'https://u:hunter2!@example.org/'}}", "must not hold a user or a password"),
        ("{digest_at: 7}", "alerts.digest_at: received 7, must be a valid string"),
        ("{digest_at: '25:00'}", "must be a time of the day such as 07:00"),
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_and_show_no_secret(tmp_path: Path, alerts: str, said: str) -> None:
    message = refusal(tmp_path, alerts)
    assert said in message
    assert "hunter2" not in message


def test_files_are_meant_from_the_configurations_folder_and_an_unquoted_time_is_one(tmp_path: Path) -> None:
    text = f"alerts: {{digest_at: 17:30, mail: {{host: localhost, {TO}, security: none, username: u, password_file: p}}}}\n"
    (tmp_path / "config.yaml").write_text(text)
    alerts = load_settings(tmp_path / "config.yaml", {}).alerts
    assert (alerts.digest_at, alerts.mail.password_file, alerts.channels) == (
        "17:30",
        tmp_path / "p",
        ("log", "mail"),
    )
    url = {"STOCKGRIP_ALERTS__WEBHOOK__URL": "https://example.org/s3cret"}
    assert "s3cret" not in repr(load_settings(tmp_path / "config.yaml", url))


@pytest.mark.parametrize("content", [b"", b"\n", b"\xe9\n", None])
def test_a_secret_that_is_not_there_is_named_by_its_place(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "p").write_bytes(content)
    with pytest.raises(SecretUnreadable, match=str(tmp_path / "p")):
        read_secret(None, tmp_path / "p", None)
    with pytest.raises(SecretUnreadable, match="variable P"):
        read_secret("P", None, None, {"P": (content or b"").decode("utf-8", "surrogateescape")})
    with pytest.raises(SecretUnreadable, match="CREDENTIALS_DIRECTORY is not set"):
        read_secret(None, None, "p", {})
