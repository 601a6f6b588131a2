"""Alerts in both databases: begun, told and ended once, whoever finds them, however often and whenever it starts anew."""

import csv
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from secrets import token_hex
from typing import Any

import pytest
from sqlalchemy import event, insert, select, update
from support.files import SALES, csv_bytes, drop
from support.process import clean_environment, environment

from daemon import hands, logs
from daemon.alerts.listing import alerts_text
from daemon.service import Service
from daemon.store import Store, alerts_view
from daemon.store.alerts import apply, due_repeats
from daemon.store.derived import ALERTS, LETTERS, NOTICES
from handlers.alerts.rules import Rule, Severity
from handlers.alerts.signals import Signal, signal_of
from handlers.quality.completeness import completeness, configured

program = import_module("daemon.cli.main")  # daemon.cli.main is a function, too
DAY = date(2025, 6, 3)
NOW = datetime(2025, 6, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
GOOD = [f"2025-06-01T09:0{n}:00,A-{n},online,{n + 1},{n}.99,premium,SUMMER,,store_01" for n in range(6)]
BAD = "2025-06-01,A-1,shop,1,1.00,,,,"


def signal(scope: str = "", *, firing: bool = True, **of: Any) -> Signal:
    said = {"severity": Severity.WARNING, "summary": "wrong" if firing else "well", "details": {"value": 0.8}}
    return Signal(Rule.CONSISTENCY, feed="sales", scope=scope, day=DAY, firing=firing, **(said | of))


def give(store: Store, *signals: Signal, at: datetime = NOW) -> None:
    store.change(lambda connection: apply(connection, signals, at))


def rows(store: Store) -> list[dict[str, Any]]:
    return store.ask(lambda c: [dict(r) for r in c.execute(select(ALERTS).order_by(ALERTS.c.id)).mappings()])


def notices(store: Store) -> list[tuple[int, str]]:
    query = select(NOTICES.c.alert_id, NOTICES.c.kind).order_by(NOTICES.c.id)
    return store.ask(lambda c: [(r.alert_id, r.kind) for r in c.execute(query)])


def tell(store: Store, at: datetime = NOW, *, sent: bool = True) -> None:
    """Writes every notice that waits into a letter, as the courier does."""

    def letter(connection: Any) -> None:
        name = token_hex(16)
        waiting = NOTICES.c.letter_id.is_(None)
        about = list(connection.execute(select(NOTICES.c.alert_id).where(waiting)).scalars())
        connection.execute(
            insert(LETTERS).values(
                id=name, channel="mail", created_at=at, facts={}, attempts=1, sent_at=at if sent else None
            )
        )
        connection.execute(update(NOTICES).where(waiting).values(letter_id=name))
        connection.execute(update(ALERTS).where(ALERTS.c.id.in_(about)).values(notified_at=at))

    store.change(letter)


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """What is sent to the database meanwhile."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(store.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(store.engine, "before_cursor_execute", note)


def test_what_is_found_again_is_one_alert_and_one_notice(store: Store, database_url: str) -> None:
    give(store, signal())
    give(store, signal(), at=NOW + HOUR)
    again = Store.open(database_url)
    with statements(again) as seen:
        give(again, signal(), at=NOW + 2 * HOUR)
    again.close()
    assert not [s for s in seen if s.startswith(("INSERT", "UPDATE", "DELETE"))]
    [row] = rows(store)
    assert (row["dedup_key"], row["state"], row["times"]) == ("consistency|sales||2025-06-03", "firing", 1)
    assert (row["first_at"], row["last_at"]) == (NOW, NOW)
    assert notices(store) == [(1, "firing")]


def test_other_figures_are_kept_and_not_told(store: Store) -> None:
    give(store, signal(delivery_id=3))
    give(store, signal(summary="worse", details={"value": 0.7}, delivery_id=3), at=NOW + HOUR)
    give(store, signal(summary="worse", details={"value": 0.7}, delivery_id=4), at=NOW + 2 * HOUR)
    [row] = rows(store)
    assert (row["summary"], row["details"], row["delivery_id"]) == ("worse", {"value": 0.7}, 4)
    assert (row["first_at"], row["last_at"], row["times"]) == (NOW, NOW + 2 * HOUR, 2)
    assert notices(store) == [(1, "firing")]


def test_an_alert_that_was_told_is_told_to_be_over_and_told_anew_when_it_fires_again(store: Store) -> None:
    give(store, signal())
    tell(store)
    store.change(lambda c: alerts_view.acknowledge(c, [1], "mine", NOW))
    give(store, signal(firing=False), at=NOW + HOUR)
    give(store, signal(firing=False), at=NOW + 2 * HOUR)
    [row] = rows(store)
    assert (row["state"], row["summary"], row["resolved_at"]) == ("resolved", "well", NOW + HOUR)
    assert notices(store) == [(1, "firing"), (1, "resolved")]
    give(store, signal(), at=NOW + 3 * HOUR)
    [row] = rows(store)
    assert (row["state"], row["times"], row["first_at"]) == ("firing", 2, NOW + 3 * HOUR)
    assert row["acked_at"] is row["ack_note"] is row["resolved_at"] is row["notified_at"] is None
    assert notices(store) == [(1, "firing"), (1, "resolved"), (1, "firing")]
    tell(store)
    give(store, signal(firing=False), at=NOW + 4 * HOUR)
    give(store, signal(), at=NOW + 5 * HOUR)
    give(store, signal(firing=False), at=NOW + 6 * HOUR)  # of this time nobody heard
    assert [kind for _, kind in notices(store)][3:] == ["resolved"]


def test_an_alert_that_nobody_heard_of_ends_quietly(store: Store) -> None:
    give(store, signal(), signal("rule:reserved"))
    give(store, signal(firing=False), signal("other", firing=False), at=NOW + HOUR)
    assert [row["state"] for row in rows(store)] == ["resolved", "firing"]
    assert notices(store) == [(2, "firing")]
    give(store, signal(), at=NOW + 2 * HOUR)  # and of an earlier time it was not told either
    give(store, signal(firing=False), at=NOW + 3 * HOUR)
    assert notices(store) == [(2, "firing")]


def test_a_letter_under_way_counts_as_told(store: Store) -> None:
    give(store, signal())
    tell(store, sent=False)
    give(store, signal(firing=False), at=NOW + HOUR)
    assert notices(store) == [(1, "firing"), (1, "resolved")]


def test_a_judgement_as_of_an_earlier_moment_changes_no_order(store: Store) -> None:
    give(store, signal())
    tell(store)
    give(store, signal(firing=False), at=NOW - HOUR)
    assert rows(store)[0]["resolved_at"] == NOW
    tell(store)
    give(store, signal(), at=NOW - 2 * HOUR)
    give(store, signal(firing=False), at=NOW - HOUR)
    assert notices(store) == [(1, "firing"), (1, "resolved")]


def test_a_severity_that_rises_is_told_and_one_that_sinks_is_not(store: Store) -> None:
    for n, severity in enumerate((Severity.INFO, Severity.WARNING, Severity.INFO, Severity.WARNING)):
        give(store, signal(severity=severity, details={"n": n}), at=NOW + n * HOUR)
        tell(store, at=NOW + n * HOUR)
        if n == 0:
            store.change(lambda c: alerts_view.acknowledge(c, [1], "a trifle", NOW))
    [row] = rows(store)
    assert (row["severity"], row["acked_at"]) == ("warning", None)
    assert notices(store) == [(1, "firing"), (1, "firing")]


def test_completeness_ends_a_little_above_where_it_began(store: Store) -> None:
    keys = [f"location:{n}" for n in range(100)]
    states = []
    for share in (96, 91, 89, 92, 85, 93, 91, 89):
        found = signal_of(completeness(DAY, keys[:share], configured(keys)), "sales", 1)
        give(store, *([found] if found else []))
        states.append(rows(store)[0]["state"] if rows(store) else None)
    assert states == [None, None, "firing", "firing", "firing", "resolved", "resolved", "firing"]


def test_repeats_after_a_day_until_somebody_acknowledges(store: Store) -> None:
    day = timedelta(hours=24)
    give(store, signal(), signal("acked"), signal("digest", severity=Severity.INFO), signal("over"))
    repeat: Callable[[datetime], int] = lambda now: store.change(lambda c: due_repeats(c, now, day))  # noqa: E731
    assert repeat(NOW + 2 * day) == 0, "nobody was told the first time yet"
    tell(store, NOW)
    store.change(lambda c: alerts_view.acknowledge(c, [2], "", NOW))
    give(store, signal("over", firing=False))
    tell(store, NOW)
    assert repeat(NOW + day - HOUR) == 0
    assert repeat(NOW + day) == 1
    assert notices(store)[-1] == (1, "repeat")
    assert repeat(NOW + 3 * day) == 0, "the last one waits for its letter"
    tell(store, NOW + 3 * day)
    assert repeat(NOW + 3 * day) == 0
    assert repeat(NOW + 4 * day) == 1
    give(store, signal(firing=False), at=NOW + 4 * day)
    assert notices(store)[-2:] == [(1, "repeat"), (1, "resolved")], "what was not told is not told any more"


def test_a_burst_takes_few_statements(store: Store) -> None:
    burst = [signal(f"location:{n}", delivery_id=n) for n in range(500)]
    with statements(store) as seen:
        give(store, *burst)
    assert len(rows(store)) == len(notices(store)) == 500
    assert len(seen) <= 8, seen
    with statements(store) as seen:
        give(store, *(signal(f"location:{n}", details={"n": n}) for n in range(500)))
    assert len(seen) <= 6, seen
    tell(store)
    with statements(store) as seen:
        give(store, *(signal(f"location:{n}", firing=False) for n in range(500)), at=NOW + HOUR)
    assert len(seen) <= 8, seen
    assert len(notices(store)) == 1000
    with statements(store) as seen:
        give(store, *(signal(f"location:{n}", firing=False) for n in range(500)))
    assert len([s for s in seen if "alerts" in s]) == 1, "all is well: one look"


def test_details_that_json_lacks_are_kept_as_well_as_may_be(store: Store) -> None:
    odd = signal(details={"z": float("nan"), "most": float("inf"), "day": DAY, "keys": ("a", "\x00\udc80")})
    give(store, odd)
    give(store, odd, at=NOW + HOUR)
    [row] = rows(store)
    assert row["details"] == {"z": None, "most": None, "day": "2025-06-03", "keys": ["a", "\x00\udc80"]}
    assert row["last_at"] == NOW


def test_what_is_rolled_back_was_never_found(store: Store) -> None:
    class PullPlugError(Exception):
        pass

    def work(connection: Any) -> None:
        apply(connection, [signal()], NOW)
        raise PullPlugError

    with pytest.raises(PullPlugError):
        store.change(work)
    assert rows(store) == []
    assert notices(store) == []


APPLY = """
import sys
from datetime import UTC, datetime
from daemon.store import Store
from daemon.store.alerts import apply
from handlers.alerts.rules import Rule, Severity
from handlers.alerts.signals import Signal
store = Store.open(sys.argv[1])
found = [Signal(Rule.CONSISTENCY, Severity.WARNING, "sales", f"location:{n}", None, True, "wrong") for n in range(40)]
print("ready", flush=True)
sys.stdin.readline()
for turn in range(10):
    with store._writing() as connection:  # as a delivery does: no turns are taken before
        apply(connection, found if int(sys.argv[2]) else found[::-1], datetime.now(UTC))
"""


def test_processes_that_find_the_same_at_once_tell_it_once(store: Store, database_url: str) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", APPLY, database_url, str(n % 2)],
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(3)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    said = [process.communicate("\n", timeout=60) for process in started]
    assert [process.returncode for process in started] == [0] * 3, said
    assert len(rows(store)) == len(notices(store)) == 40
    assert {row["times"] for row in rows(store)} == {1}


def test_who_comes_second_waits_and_writes_nothing(store: Store) -> None:
    with ThreadPoolExecutor(1) as pool:
        with store._writing() as connection:
            apply(connection, [signal(), signal("b")], NOW)
            other = pool.submit(give_as_a_delivery, store, signal("b"), signal())
            if connection.dialect.name == "postgresql":
                waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
                deadline = time.monotonic() + 30
                while not store.ask(lambda c: c.exec_driver_sql(waiting).scalar()):
                    assert time.monotonic() < deadline
        other.result(30)
    assert len(rows(store)) == len(notices(store)) == 2


def give_as_a_delivery(store: Store, *signals: Signal) -> None:
    """Without taking turns first."""
    with store._writing() as connection:
        apply(connection, signals, NOW)


# ---- through deliveries


def deliver(service: Callable[..., Service], name: str, content: bytes) -> Service:
    made = service()
    drop(made.folders.inbox, name, content)
    made.drain()
    return made


def refusals(store: Store) -> list[tuple[str, str]]:
    return [(row["scope"], row["state"]) for row in rows(store) if row["rule"] == Rule.REFUSED_FILE.value]


def test_a_refused_file_fires_until_it_comes_corrected(service, store) -> None:
    name = "sales_data_20250601.csv"
    deliver(service, name, b"nothing\n")
    deliver(service, name, csv_bytes(SALES, [BAD] * 3))
    [row] = [row for row in rows(store) if row["rule"] == "refused_file"]
    assert (row["feed"], row["scope"], row["day"]) == ("sales", "", date(2025, 6, 1))
    assert (row["times"], row["delivery_id"], row["severity"]) == (2, 2, "warning")
    assert row["summary"].startswith(f"{name} was refused (no_valid_rows): all 3 rows were rejected")
    assert row["details"]["remedy"]
    tell(store)
    deliver(service, name, csv_bytes(SALES, GOOD))
    [row] = [row for row in rows(store) if row["rule"] == "refused_file"]
    assert (row["state"], row["summary"], row["details"]["resolved_by"]) == (
        "resolved",
        f"{name} was loaded",
        3,
    )
    assert (row["id"], "resolved") in notices(store)
    deliver(service, name, csv_bytes(SALES, GOOD))  # a duplicate
    assert len(refusals(store)) == 1


def test_misnamed_bytes_and_unknown_names_are_made_good(service, store) -> None:
    content = csv_bytes(SALES, GOOD)
    deliver(service, "export (1).csv", content)
    deliver(service, "till.csv", b"x")
    assert refusals(store) == [("file:export (1).csv", "firing"), ("file:till.csv", "firing")]
    deliver(service, "sales_data_20250601.csv", content)
    assert refusals(store) == [("file:export (1).csv", "resolved"), ("file:till.csv", "firing")]
    tills = {"sales": {"patterns": ["till", r"sales_data_(?P<date>\d{8})"]}}
    deliver(lambda: service(feeds=tills), "till.csv", csv_bytes(SALES, GOOD[:2]))
    assert refusals(store)[1] == ("file:till.csv", "resolved")


def test_a_held_correction_ends_when_it_is_forced(service, store) -> None:
    name = "sales_data_20250601.csv"
    deliver(service, name, csv_bytes(SALES, GOOD))
    assert refusals(store) == []
    made = deliver(service, name, csv_bytes(SALES, GOOD[:1]))
    assert refusals(store) == [("", "firing")]
    assert "is held (shrunk)" in rows(store)[-1]["summary"]
    hands.retry(store.delivery(2), store, made.folders, force=True)
    made.drain()
    assert refusals(store) == [("", "resolved")]


def test_a_refused_fix_is_no_matter_of_the_day_and_a_good_one_ends_it(service, store) -> None:
    made = deliver(service, "sales_data_20250601.csv", csv_bytes(SALES, [*GOOD, BAD]))
    rejects = made.folders.errors / "sales_data_20250601.csv.rejects.csv"
    first = list(csv.DictReader(io.StringIO(rejects.read_text())))
    rejects.unlink()

    deliver(service, rejects.name, b"nothing\n")
    assert refusals(store) == [(f"file:{rejects.name}", "firing")]
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, first[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerow(first[0] | {"channel": "pos"})
    deliver(service, rejects.name, out.getvalue().encode())
    assert refusals(store) == [(f"file:{rejects.name}", "resolved")]


def of_delivery(delivery_id: int, *, firing: bool = True) -> Signal:
    scope = f"delivery:{delivery_id}"
    return Signal(Rule.ACCURACY, Severity.WARNING, "sales", scope, DAY, firing, "x", {}, delivery_id)


def accuracies(store: Store) -> dict[str, str]:
    return {row["scope"]: row["state"] for row in rows(store) if row["rule"] == Rule.ACCURACY.value}


def test_the_accuracy_of_what_is_gone_or_replaced_is_no_matter(service, store) -> None:
    one, two = "sales_data_20250601.csv", "sales_data_20250602.csv"
    deliver(service, one, csv_bytes(SALES, GOOD))
    made = deliver(service, two, csv_bytes(SALES, GOOD[:4]))
    give(store, of_delivery(1), of_delivery(2), of_delivery(99))
    tell(store)
    deliver(service, one, csv_bytes(SALES, GOOD[:5]))
    assert accuracies(store) == {"delivery:1": "resolved", "delivery:2": "firing", "delivery:99": "firing"}
    hands.unload(2, "by mistake", store, made.folders)
    assert accuracies(store) == {"delivery:1": "resolved", "delivery:2": "resolved", "delivery:99": "firing"}
    assert [kind for _, kind in notices(store)].count("resolved") == 2


def test_a_file_with_odd_characters_is_refused_on_both_databases(service, store) -> None:
    header = SALES.replace("channel", "cha\x00nel\udc80").encode("utf-8", "surrogatepass")
    made = deliver(service, "sales_data_20250601.csv", header + b"\n1,2\n")
    assert refusals(store) == [("", "firing")]
    assert list(made.folders.work.iterdir()) == []
    assert "\0" not in rows(store)[0]["summary"]


# ---- the operator


def test_the_list_shows_first_what_matters_and_what_became_of_it(store) -> None:
    give(store, signal("info", severity=Severity.INFO), signal("told"), signal("over"))
    tell(store)
    give(store, signal("over", firing=False))
    give(store, signal("new", severity=Severity.CRITICAL), signal("mine"), at=NOW + HOUR)
    store.change(lambda c: alerts_view.acknowledge(c, [5], "mine", NOW))
    quiet = {"rule": None, "feed": None, "scope": "told"}
    store.change(lambda c: alerts_view.silence(c, quiet, NOW + HOUR, "a trial", NOW))
    wanted = alerts_view.Wanted(every=True)
    listed = store.ask(lambda c: alerts_view.alerts(c, wanted, NOW))
    assert [(row["scope"], row["telling"], row["silenced_by"]) for row in listed] == [
        ("new", "waiting", None),
        ("told", "told", 1),
        ("info", "told", None),
        ("mine", "waiting", None),
        ("over", "waiting", None),
    ]
    assert store.ask(lambda c: alerts_view.alerts(c, wanted, NOW + HOUR))[1]["silenced_by"] is None
    assert store.ask(lambda c: alerts_view.alerts(c, alerts_view.Wanted(feed=""), NOW)) == []
    assert len(store.ask(lambda c: alerts_view.alerts(c, alerts_view.Wanted(), NOW))) == 4


def test_what_a_late_feed_keeps_quiet_names_its_alert(store) -> None:
    of = {"severity": Severity.CRITICAL, "summary": "wrong", "details": {}}
    late, part = (
        Signal(Rule.MISSING_FILE, feed="sales", scope=scope, day=DAY, firing=True, **of)
        for scope in ("", "a")
    )
    gaps = Signal(Rule.COMPLETENESS, feed="sales", scope="", day=DAY, firing=True, **of)
    give(store, late, part, gaps, signal("other"))

    def listed() -> list[tuple[Any, str]]:
        found = store.ask(lambda c: alerts_view.alerts(c, alerts_view.Wanted(), NOW))
        texts = (alerts_text([row], "UTC").split("\n")[-1].split(", ")[-1] for row in found)
        return sorted((row["id"], row["kept_quiet_by"], text) for row, text in zip(found, texts, strict=True))

    waits = "waits to be told"
    assert listed() == [(1, None, waits), (2, None, waits), (3, 1, "kept quiet by alert 1"), (4, None, waits)]
    give(store, replace(late, firing=False))
    assert listed()[1:] == [(3, None, waits), (4, None, waits)], "the source that is late is not the feed"


def test_silences_end_by_themselves_or_by_hand(store) -> None:
    of = {"rule": "accuracy", "feed": None, "scope": None}
    row = store.change(lambda c: alerts_view.silence(c, of, NOW + HOUR, "known", NOW))
    assert [each["id"] for each in store.ask(lambda c: alerts_view.silences(c, NOW))] == [row["id"]]
    assert store.ask(lambda c: alerts_view.silences(c, NOW + HOUR)) == []
    assert store.change(lambda c: alerts_view.end_silence(c, 9, NOW))[0] is None
    assert store.change(lambda c: alerts_view.end_silence(c, 1, NOW))[0]
    done, why = store.change(lambda c: alerts_view.end_silence(c, 1, NOW))
    assert done is None
    assert "is over since 2025-06-04 12:00" in why
    assert store.ask(lambda c: alerts_view.silences(c, NOW)) == []
    assert len(store.ask(lambda c: alerts_view.silences(c, NOW, every=True))) == 1


def test_the_command(store, database_url, tmp_path, monkeypatch, capsys) -> None:
    give(store, signal("location:4", details={"violating_keys": ["A", "B"]}), signal(firing=False))

    for name, value in environment(tmp_path / "data", database_url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> "subprocess.CompletedProcess[str]":
        monkeypatch.setattr(sys, "argv", ["stockgrip", "alerts", *words])
        status = program._run()
        logs.shutdown()
        shown = capsys.readouterr()
        return subprocess.CompletedProcess(words, status, shown.out, shown.err)

    assert "1  warning   consistency  sales  location:4  2025-06-03" in call().stdout
    assert "violating_keys: A, B" in call("show", "1").stdout
    [listed] = json.loads(call("list", "--json").stdout)
    assert (listed["telling"], listed["first_at"]) == ("waiting", NOW.isoformat())
    done = call("ack", "1", "7", "--note", "asked the sender")
    assert done.returncode == 1
    assert "there is no alert 7; the last one is 1" in done.stdout
    assert "asked the sender" in " ".join(call().stdout.split())
    for words, says in (
        (("silence", "--rule", "consistancy", "--for", "1h", "--why", "x"), "did you mean consistency?"),
        (("silence", "--feed", "slaes", "--for", "1h", "--why", "x"), "did you mean sales?"),
        (("silence", "--for", "1h", "--why", "x"), "say what is to be quiet"),
        (("silence", "--rule", "any", "--why", "x"), "say how long"),
        (("silence", "--rule", "any", "--for", "1h"), "say --why"),
        (("silence", "--rule", "any", "--until", "2001-01-01", "--why", "x"), "is not in the future"),
        (("silence", "--rule", "any", "--for", "soon", "--why", "x"), "write --for as"),
        (("silence", "--rule", "any", "--for", "999999w", "--why", "x"), "write --for as"),
        (("silence", "--rule", "any", "--for", "1h", "--why", "\udcff"), "not written in UTF-8"),
        (("silence", "--end", str(2**63)), "is no number that is ever given"),
        (("ack", "99999999999999999999999"), "is no number that is ever given"),
        (("show", "99999999999999999999999"), "is no number that is ever given"),
    ):
        done = call(*words)
        assert (done.returncode, says in done.stderr) == (2, True), done.stderr
    done = call(
        "silence", "--rule", "consistency", "--scope", "location:4", "--for", "4h", "--why", "stocktaking"
    )
    assert "silence 1: rule consistency, scope location:4, until" in done.stdout
    assert "(1 that fires now)" in done.stdout
    assert "silenced by 1" in call().stdout
    assert "stocktaking" in call("silences").stdout
    assert call("silence", "--end", "1").returncode == 0
    assert call("silence", "--end", "1").returncode == 1
