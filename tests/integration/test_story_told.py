"""The ledger as a person reads it: the story of a delivery, pages of deliveries, and what changes. On both databases."""

import contextlib
import json
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from conftest import Databases, make_settings, serving
from sqlalchemy import create_engine, update
from sqlalchemy.engine import make_url
from support.files import DEMAND, SALES, csv_bytes, drop
from support.process import command, environment, run_cli
from test_loads import SALES_ROWS, deliver

from daemon import hands
from daemon.difference import Difference
from daemon.service import Service
from daemon.store import Store, history
from daemon.store.history import Wanted
from daemon.store.schema import DELIVERIES
from daemon.story.follow import WATCHED, Follower
from daemon.story.listing import _rejects
from daemon.story.tell import tell
from daemon.story.text import story_text

Make = Callable[..., Service]
NAME = "sales_data_20250601.csv"
REJECTS = f"{NAME}.rejects.csv"
BAD = "2025-06-01,A-1,shop,1,1.00,,,,"
GOOD = csv_bytes(SALES, SALES_ROWS)
PARTIAL = csv_bytes(SALES, [*SALES_ROWS, BAD, "2025-06-01,A-1,online,1.5,1.00,,,,"])


def told(service: Make, word: object, **options: Any) -> dict[str, Any]:
    """All of an answer; it can also be shown, and be JSON."""
    made = service()
    found = tell(str(word), made.settings, made.store, made.folders.data_dir, **options)
    json.dumps(found)
    if found["deliveries"] or found["waiting"]:
        assert story_text(found)
    return found


def story(service: Make, word: object) -> dict[str, Any]:
    """The newest delivery that a word stands for."""
    found: dict[str, Any] = told(service, word)["deliveries"][0]
    return found


def commands(found: dict[str, Any]) -> list[str]:
    return [step["command"] for step in found["next"] if step["command"]]


def ids(deliveries: list[dict[str, Any]]) -> list[int]:
    return [each["delivery"] for each in deliveries]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


# ---- one delivery


def test_a_partial_delivery(service: Make) -> None:
    row = deliver(service, NAME, PARTIAL)
    found = story(service, row["id"])
    assert (found["delivery"], found["file"], found["status"]) == (row["id"], NAME, "partial")
    assert (found["feed"], found["slot"], found["delimiter"]) == ("sales", "sales:2025-06-01:", ",")
    assert found["rows"] == {"read": 6, "loaded": 4, "rejected": 2, "duplicate": 0}
    assert [(g["reason"], g["count"], g["open"]) for g in found["rejects"]] == [
        ("bad_enum", 1, 1),
        ("bad_integer", 1, 1),
    ]
    example = found["rejects"][0]["examples"][0]
    assert (example["line"], example["column"], example["value"], example["raw"]) == (
        6,
        "channel",
        "shop",
        BAD,
    )
    assert found["rejects_open"] == 2
    places = found["places"]
    assert places["file_is_there"]
    assert places["rejects_file"] == f"errors/{REJECTS}"
    assert places["rejects_file_is_there"]
    assert commands(found) == [f"mv errors/{REJECTS} live_feeds/"]
    text = story_text(told(service, row["id"]))
    assert "6 rows read: 4 loaded, 2 rejected, 0 duplicate" in text
    assert "line 6, channel 'shop'" in text
    assert f"row: {BAD}" in text


def test_rejects_of_a_reason_are_some_examples(service: Make) -> None:
    rows = [f"2025-06-01,A-{n},online,1,1.00,,,," for n in range(1000)]
    found = story(service, deliver(service, NAME, csv_bytes(SALES, [*rows, *[BAD] * 9]))["id"])
    (group,) = found["rejects"]
    assert (group["count"], len(group["examples"])) == (9, 3)
    assert "… and 6 more" in story_text(told(service, NAME))


def test_a_refused_delivery(service: Make) -> None:
    deliver(service, NAME, b"date,product\n1,2\n")
    found = story(service, NAME)
    assert (found["status"], found["reason"]) == ("failed", "missing_column")
    assert found["places"]["reason_file_is_there"]
    assert commands(found) == [f"stockgrip check errors/{NAME}", "stockgrip retry 1"]
    (service().folders.errors / NAME).unlink()
    found = story(service, NAME)
    assert not found["places"]["file_is_there"]
    text = story_text(told(service, NAME))
    assert f"errors/{NAME} (not there any more)" in text
    assert f"{NAME}.reason.txt (left over: " in text
    assert commands(found) == [f"rm errors/{NAME}.reason.txt"]


def test_a_refused_delivery_whose_correction_was_loaded(service: Make) -> None:
    deliver(service, NAME, b"date,product\n1,2\n")
    made = service()
    hands.retry(made.store.delivery(1) or {}, made.store, made.folders, force=False)
    (made.folders.inbox / NAME).unlink()
    assert deliver(service, NAME, GOOD)["id"] == 2
    found = story(service, 1)
    assert ids(found["loaded_later"]) == [2]
    assert commands(found) == ["stockgrip explain 2"]
    assert "Nothing: delivery 2, of the same name, was loaded after it:" in story_text(told(service, 1))
    newest = told(service, NAME)
    assert [(each["delivery"], each["reason"]) for each in newest["older"]] == [(1, "missing_column")]
    assert "failed (missing_column)" in story_text(newest)


def test_a_file_that_was_read_and_refused_has_no_rows_of_its_own(service: Make) -> None:
    rows = [*SALES_ROWS, *[BAD] * 20]
    deliver(service, NAME, csv_bytes(SALES, rows))
    text = story_text(told(service, NAME))
    assert f"{len(rows)} rows read, none loaded" in text
    assert "Rejects: 20" in text
    made = service()
    (line,) = made.store.ask(lambda connection: history.page(connection, Wanted(), 0))
    assert _rejects(line) == "20"


def test_columns_that_nobody_knows_are_told(service: Make) -> None:
    lines = GOOD.decode().splitlines()
    content = "\n".join([f"{lines[0]},promo", *(f"{line},x" for line in lines[1:])]) + "\n"
    row = deliver(service, NAME, content.encode())
    assert row["status"] == "success"
    assert story(service, NAME)["unknown_columns"] == ["promo"]
    assert "columns that the feed does not know, not loaded: promo" in story_text(told(service, NAME))


def test_a_cut_off_file_that_waits_is_not_to_be_loaded(service: Make) -> None:
    made = service()
    made.folders.make()
    for content in (GOOD[:-5], GOOD + b"\0" * 16):
        drop(made.folders.inbox, NAME, content)
        found = told(service, NAME)
        text = story_text(found)
        assert "may have broken off" in text
        assert "Ask the sender to send the file again" in text
        assert f"{made.settings.settle.grace_seconds:g} s" in text
        assert "drain" not in text


def test_rejects_of_a_refused_delivery_are_told_from_the_ledger(service: Make) -> None:
    deliver(service, NAME, csv_bytes(SALES, [*SALES_ROWS, *[BAD] * 200]))
    found = story(service, NAME)
    assert found["reason"] == "too_many_rejects"
    assert [(g["reason"], g["count"]) for g in found["rejects"]] == [("bad_enum", 200)]
    assert [e["line"] for e in found["rejects"][0]["examples"]] == [6, 7, 8]


def test_an_unroutable_delivery(service: Make) -> None:
    deliver(service, "sales 2025.csv", GOOD)
    found = story(service, "sales 2025.csv")
    assert (found["feed"], found["reason"]) == (None, "unroutable")
    assert commands(found) == [
        "mv 'errors/sales 2025.csv' live_feeds/NEW_NAME.csv",
        "rm 'errors/sales 2025.csv.reason.txt'",
    ]


def test_duplicates_know_each_other(service: Make) -> None:
    first = deliver(service, NAME, GOOD)["id"]
    second = deliver(service, "sales_data_20250601_again.csv", GOOD)["id"]
    assert ids(story(service, first)["duplicates"]) == [second]
    found = story(service, second)
    assert ids(found["duplicate_of"]) == [first]
    assert commands(found) == [f"stockgrip explain {first}"]
    assert "the same bytes came again" in story_text(told(service, first))


def test_a_correction_and_what_it_replaced(service: Make) -> None:
    old = deliver(service, NAME, GOOD)["id"]
    new = deliver(service, NAME, csv_bytes(SALES, SALES_ROWS[:3]))["id"]
    both = told(service, NAME)
    assert ids(both["deliveries"]) == [new]
    assert ids(both["older"]) == [old]
    assert ids(told(service, NAME, every=True)["deliveries"]) == [new, old]
    assert ids(story(service, new)["supersedes"]) == [old]
    found = story(service, old)
    assert ids(found["superseded_by"]) == [new]
    assert commands(found) == [f"stockgrip explain {new}"]
    assert f"replaced by delivery {new}" in story_text(told(service, old))


def test_a_held_correction_shows_its_difference(service: Make, store: Any) -> None:
    old = int(str(deliver(service, NAME, GOOD)["id"]))
    row = deliver(service, NAME, csv_bytes(SALES, SALES_ROWS[:1]))
    held = row["id"]
    difference = Difference(old, old_rows=4, new_rows=1, added=0, removed=3, changed=0, same=1).as_dict()
    details = {**dict(row["error_details"]), "difference": difference}  # type: ignore[call-overload]
    with store.engine.begin() as connection:
        connection.execute(update(DELIVERIES).where(DELIVERIES.c.id == held).values(error_details=details))
    found = story(service, held)
    assert found["reason"] == "shrunk"
    assert found["difference"]["delivery"] == old
    assert commands(found) == [f"stockgrip check errors/{NAME}", f"stockgrip retry --force {held}"]
    text = story_text(told(service, held))
    assert f"What it would change of delivery {old}" in text
    assert "0 added, 3 removed, 0 changed, 1 as before" in text


def test_tries_are_a_chain(service: Make) -> None:
    deliver(service, NAME, GOOD)
    shrunk = csv_bytes(SALES, SALES_ROWS[:1])
    tries = [deliver(service, NAME, shrunk)["id"]]
    made = service()
    for force in (False, True):
        row = made.store.delivery(tries[-1])
        hands.retry(row, made.store, made.folders, force=force)
        assert story(service, tries[-1])["places"]["in_inbox"] == f"live_feeds/{NAME}"
        assert str(story(service, tries[-1])["next"][0]["text"]).startswith("Nothing yet")
        service().drain()
        tries.append(made.store.ask(history.last_id))
    found = [story(service, key) for key in tries]
    assert [each["status"] for each in found] == ["failed", "failed", "success"]
    assert [ids(each["retry_of"]) for each in found] == [[], tries[:1], tries[:2]]
    assert [ids(each["retried_by"]) for each in found] == [tries[1:], tries[2:], []]
    assert [each["forced"] is not None for each in found] == [False, True, False]
    assert commands(found[0]) == [f"stockgrip explain {tries[2]}"]


def test_fixes_both_ways(service: Make) -> None:
    first = deliver(service, NAME, PARTIAL)["id"]
    rejects = service().folders.errors / REJECTS
    unchanged = rejects.read_bytes()
    rejects.unlink()
    deliver(service, REJECTS, unchanged)
    assert "its rejects file came back unchanged" in story_text(told(service, first))
    half = rejects.read_text().replace(",shop,", ",online,").encode()
    rejects.unlink()
    fix = deliver(service, REJECTS, half)["id"]
    found = story(service, first)
    found["fixed_by"] = [each for each in found["fixed_by"] if each["status"] != "duplicate"]
    assert [(each["delivery"], each["rejects_fixed"]) for each in found["fixed_by"]] == [(fix, 1)]
    assert found["rejects_open"] == 1
    assert {g["reason"]: g["open"] for g in found["rejects"]} == {"bad_enum": 0, "bad_integer": 1}
    fixed = next(g for g in found["rejects"] if g["reason"] == "bad_enum")
    assert fixed["examples"][0]["fixed_by"] == fix
    assert found["places"]["rejects_file_is_there"], "what is open lies there again"
    assert commands(found) == [f"mv errors/{REJECTS} live_feeds/"]
    assert f"1 rejects fixed by delivery {fix}" in story_text(told(service, first))
    found = story(service, fix)
    assert ids(found["fixes"]) == [first]
    assert found["rejects_fixed_there"] == 1
    assert commands(found) == [f"stockgrip explain {first}"]


def test_an_unloaded_delivery(service: Make) -> None:
    old = deliver(service, NAME, GOOD)["id"]
    new = deliver(service, NAME, csv_bytes(SALES, SALES_ROWS[:3]))["id"]
    hands.unload(new, "wrong store", service().store, service().folders)
    found = story(service, new)
    assert (found["status"], found["unloaded_why"]) == ("unloaded", "wrong store")
    assert found["places"]["file"] == f"errors/{NAME}"
    assert commands(found) == [f"stockgrip retry {new}"]
    assert 'unloaded ("wrong store"): its rows' in story_text(told(service, new))
    assert story(service, old)["superseded_by"] == []


def test_arrival_and_times(service: Make, store: Any) -> None:
    with time_machine.travel("2025-12-31T23:30:00Z", tick=False):
        key = deliver(service, NAME, GOOD)["id"]
    seen = datetime(2025, 12, 31, 23, 29, 50, tzinfo=UTC)
    changes = {"seen_at": seen, "waited": "no_final_newline, open_for_writing", "evidence": "quiet, lease"}
    with store.engine.begin() as connection:
        connection.execute(update(DELIVERIES).where(DELIVERIES.c.id == key).values(changes))
    found = story(service, key)
    assert found["seen"] == "2025-12-31T23:29:50+00:00"
    assert found["waited"] == ["no_final_newline", "open_for_writing"]
    assert found["evidence"] == ["quiet", "lease"]
    text = story_text({**told(service, key), "timezone": "Europe/Berlin"})
    assert "2025-12-31, UTC (Europe/Berlin in brackets)" in text
    assert "23:29:50 (00:29 +1 day)  seen in live_feeds/" in text
    assert "had to wait: its last line did not end, a process had it open for writing" in text


# ---- what a word stands for


def test_paths_lead_to_their_delivery(service: Make) -> None:
    partial = deliver(service, NAME, PARTIAL)
    refused = deliver(service, "sales_data_20250602.csv", b"nonsense\n")["id"]
    data = service().folders.data_dir
    for word in (
        partial["archive_path"],
        data / str(partial["archive_path"]),
        f"errors/{REJECTS}",
        REJECTS,
        data / "errors" / ".." / "errors" / REJECTS,
    ):
        assert ids(told(service, word)["deliveries"]) == [partial["id"]], word
    for word in ("errors/sales_data_20250602.csv", "errors/sales_data_20250602.csv.reason.txt"):
        assert ids(told(service, word)["deliveries"]) == [refused], word
    # also when the file has been taken away
    (data / "errors/sales_data_20250602.csv.reason.txt").unlink()
    (data / "errors/sales_data_20250602.csv").unlink()
    assert ids(told(service, "errors/sales_data_20250602.csv")["deliveries"]) == [refused]


def test_an_archives_own_name_leads_to_its_delivery(service: Make) -> None:
    deliver(service, NAME, b"nonsense\n")
    second = deliver(service, NAME, b"more nonsense\n")
    name = Path(str(second["archive_path"])).name
    assert name != NAME
    assert ids(told(service, name)["deliveries"]) == [second["id"]]


def test_a_slip_of_the_pen(service: Make) -> None:
    deliver(service, NAME, GOOD)
    assert told(service, "sales_data_20250610.csv")["nearest"] == [NAME]
    assert told(service, "sales_data_20250610.csv")["deliveries"] == []
    assert told(service, "invoice.pdf")["nearest"] == []
    assert told(service, "77")["nearest"] == ["1"]
    assert told(service, "9" * 30)["deliveries"] == []


def test_odd_words(service: Make) -> None:
    deliver(service, NAME, GOOD)
    for word in ("", ".", "..", "/", "//", "live_feeds/", "\udcff\x1b[31m.csv", "a\nb", "x" * 5000, "%", "_"):
        assert told(service, word)["deliveries"] == [], word


def test_names_that_are_shown_escaped(service: Make) -> None:
    name = "sales_\u202e\x1b[31m.csv"
    made = service()
    drop(made.folders.inbox, name, GOOD)
    assert told(service, name)["waiting"]["file"] == "sales_\\u202e\\x1b[31m.csv"
    made.drain()
    for word in (name, "sales_\\u202e\\x1b[31m.csv"):
        text = story_text(told(service, word))
        assert "\\u202e" in text
        assert "\u202e" not in text


# ---- waiting


def test_a_waiting_file(service: Make) -> None:
    old = deliver(service, NAME, GOOD)["id"]
    inbox = service().folders.inbox
    drop(inbox, NAME, PARTIAL[:-1])
    found = told(service, NAME)
    assert ids(found["deliveries"]) == [old], "the earlier one is told, too"
    waiting = found["waiting"]
    assert (waiting["feed"], waiting["slot"], waiting["would_supersede"]) == (
        "sales",
        "sales:2025-06-01:",
        old,
    )
    assert waiting["why"] == ["no_final_newline"]
    with (inbox / NAME).open("ab") as file:
        file.write(b"\n")
        file.flush()
        assert told(service, f"live_feeds/{NAME}")["waiting"]["why"] == ["open_for_writing"]
    assert told(service, NAME)["waiting"]["why"] == []
    drop(inbox, NAME, GOOD)
    assert told(service, NAME)["waiting"]["same_bytes_as"] == old


def test_what_waits_for_good_reasons(service: Make) -> None:
    inbox = service().folders.inbox
    inbox.mkdir(exist_ok=True)
    (inbox / "sales_data_20250601.csv.part").write_bytes(b"x")
    (inbox / "folder.csv").mkdir()
    (inbox / "x.csv.done").touch()
    assert told(service, "sales_data_20250601.csv.part")["waiting"]["why"] == ["temporary_name"]
    assert told(service, "folder.csv")["waiting"]["why"] == ["no_regular_file"]
    assert told(service, "x.csv.done")["waiting"]["companion_of"] == "x.csv"


def test_a_waiting_rejects_file(service: Make) -> None:
    first = deliver(service, NAME, PARTIAL)["id"]
    folders = service().folders
    shutil.move(folders.errors / REJECTS, folders.inbox / REJECTS)
    assert told(service, REJECTS)["waiting"]["fixes"] == first
    assert str(story(service, first)["next"][0]["text"]).startswith(
        "Nothing yet: its rejects file lies in live_feeds/"
    )


def test_a_claimed_file_is_seen_in_work(service: Make) -> None:
    deliver(service, NAME, b"nonsense\n")
    room = service().folders.work / "claim-00" / "file"
    room.mkdir(parents=True)
    (room / NAME).write_bytes(b"more nonsense\n")
    found = story(service, NAME)
    assert found["places"]["in_work"] == f".work/claim-00/file/{NAME}"


# ---- many deliveries


def be_busy(service: Make) -> Make:
    """Six deliveries, a day apart: 1 loaded, 2 of another feed, 3 partial, 4 refused, 5 a duplicate, 6 corrects 1."""
    day = datetime(2025, 6, 1, 12, tzinfo=UTC)
    for number, (name, content) in enumerate(
        [
            (NAME, GOOD),
            ("demand_data_20250601.csv", csv_bytes(DEMAND, ["2025-06-01,A-1,low,1,,,,"])),
            ("sales_data_20250602.csv", PARTIAL),
            ("100%_Sales.csv", b"nonsense\n"),
            ("sales_data_20250603.csv", GOOD),
            (NAME, csv_bytes(SALES, SALES_ROWS[:3])),
        ]
    ):
        with time_machine.travel(day + timedelta(days=number), tick=False):
            deliver(service, name, content)
    return service


@pytest.fixture
def busy(service: Make) -> Make:
    """A site with these deliveries."""
    return be_busy(service)


@pytest.fixture(scope="module")
def _busy_stores(
    _databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Store]]:
    made: dict[str, Store] = {}
    with contextlib.ExitStack() as stack:

        def of_kind(kind: str) -> Store:
            if kind not in made:
                folder = tmp_path_factory.mktemp(kind)
                url = _databases.make(kind, folder)
                _databases.keep(url)
                store = made[kind] = stack.enter_context(contextlib.closing(Store.open(url)))
                settings = make_settings(folder / "data", url)
                be_busy(lambda: stack.enter_context(serving(settings, store)))
            return made[kind]

        yield of_kind


@pytest.fixture
def busy_store(_busy_stores: Callable[[str], Store], database_kind: str) -> Store:
    """The store of such a site, the same for all tests that only read it."""
    return _busy_stores(database_kind)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"feed": "sales"}, [1, 3, 5, 6]),
        ({"feed": "none"}, [4]),
        ({"status": "partial"}, [3]),
        ({"status": "unloaded"}, []),
        ({"since": datetime(2025, 6, 3, 12, tzinfo=UTC)}, [3, 4, 5, 6]),
        ({"until": datetime(2025, 6, 3, 12, tzinfo=UTC)}, [1, 2]),
        ({"name": "sales_data_*"}, [1, 3, 5, 6]),
        ({"name": "*_2025060[12].csv"}, [1, 2, 3, 6]),
        ({"name": "100%_*"}, [4]),
        ({"name": "100%_sales*"}, []),
        ({"name": "sales_data_2025060?.csv", "status": "success"}, [1, 6]),
    ],
)
def test_pages(busy_store: Store, wanted: dict[str, Any], expected: list[int]) -> None:
    store = busy_store
    rows = store.ask(lambda connection: history.page(connection, Wanted(**wanted), 0))
    assert [row["id"] for row in rows] == expected
    last = store.ask(lambda connection: history.page(connection, Wanted(**wanted), 2))
    assert [row["id"] for row in last] == expected[-2:]


def test_a_page_has_every_column_and_what_was_replaced(busy_store: Store) -> None:
    rows = busy_store.ask(lambda connection: history.page(connection, Wanted(), 0))
    assert all(row.keys() == {*DELIVERIES.columns.keys(), "supersedes"} for row in rows)
    assert [row["supersedes"] for row in rows] == [[], [], [], [], [], [1]]


def test_following(service: Make) -> None:
    first = deliver(service, NAME, PARTIAL)["id"]
    made = service()
    rows = made.store.ask(lambda connection: history.page(connection, Wanted(), 0))
    follower = Follower(made.store, Wanted(), rows, rows[-1]["id"])
    assert follower.news() == []
    second = deliver(service, "sales_data_20250602.csv", csv_bytes(SALES, SALES_ROWS[:2]))["id"]
    assert [row["id"] for row in follower.news()] == [second]
    assert follower.news() == []
    rejects = made.folders.errors / REJECTS
    half = rejects.read_text().replace(",shop,", ",online,").encode()
    rejects.unlink()
    fix = deliver(service, REJECTS, half)["id"]
    assert [(row["id"], row["records_failed"]) for row in follower.news()] == [(first, 1), (fix, 1)]
    hands.unload(second, "", made.store, made.folders)
    assert [(row["id"], row["status"]) for row in follower.news()] == [(second, "unloaded")]
    assert follower.news() == []


def test_following_what_is_wanted_only(busy: Make) -> None:
    store = busy().store
    follower = Follower(store, Wanted(feed="demand"), [], 6)
    deliver(busy, "sales_data_20250609.csv", csv_bytes(SALES, SALES_ROWS[:2]))
    assert follower.news() == []
    key = deliver(busy, "demand_data_20250609.csv", csv_bytes(DEMAND, ["2025-06-09,A-1,low,1,,,,"]))["id"]
    assert [row["id"] for row in follower.news()] == [key]


def test_following_a_long_history(service: Make, store: Any) -> None:
    """What is older than the watched ones is noticed when it is replaced; and a flood between two looks is not cut."""
    first = int(str(deliver(service, NAME, GOOD)["id"]))

    def history_of(count: int) -> None:
        last = store.ask(history.last_id)
        with store.engine.begin() as connection:
            connection.execute(
                DELIVERIES.insert(),
                [
                    {
                        "timestamp": datetime.now(UTC),
                        "file_name": "x.csv",
                        "status": "failed",
                        "claim": f"c{last + number}",
                        "archive_path": "errors/x.csv",
                    }
                    for number in range(count)
                ],
            )

    history_of(WATCHED + 10)
    follower = Follower(store, Wanted(), [], store.ask(history.last_id))
    assert follower.news() == []
    new = deliver(service, NAME, csv_bytes(SALES, SALES_ROWS[:3]))["id"]
    assert [row["id"] for row in follower.news()] == [first, new]
    history_of(2 * WATCHED + 10)
    rows = follower.news()
    assert len(rows) == 2 * WATCHED + 10
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)


def test_reading_waits_for_no_writer(tmp_path: Path) -> None:
    env = environment(
        tmp_path / "data", f"sqlite:///{tmp_path}/site.db", STOCKGRIP_DATABASE__BUSY_TIMEOUT_SECONDS="0"
    )
    drop(tmp_path / "data" / "live_feeds", NAME, PARTIAL)
    assert run_cli("drain", env=env, cwd=tmp_path).returncode == 1
    with contextlib.closing(sqlite3.connect(tmp_path / "site.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE data_ingestion_log SET attempts = 9")
        for use in (("log",), ("explain", NAME), ("status",)):
            done = run_cli(*use, env=env, cwd=tmp_path)
            assert (done.returncode, done.stderr) == (0, "")
            assert NAME in done.stdout


@pytest.mark.postgres
def test_following_outlives_the_database(databases: Any, tmp_path: Path) -> None:
    """It says once that the database is away, and goes on when it is back."""
    url = databases.postgresql()
    name = make_url(url).database
    there = make_url(url).set(drivername="postgresql+psycopg", database="postgres")
    server = create_engine(there, isolation_level="AUTOCOMMIT")
    env = environment(tmp_path / "data", url)
    with (
        server.connect() as admin,
        subprocess.Popen(
            command("log", "--follow", "--json"),
            env=env,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        drop(tmp_path / "data" / "live_feeds", NAME, GOOD)
        assert run_cli("drain", env=env, cwd=tmp_path).returncode == 0
        assert json.loads(process.stdout.readline())["id"] == 1
        admin.exec_driver_sql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        admin.exec_driver_sql(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        assert process.stderr.readline().startswith("stockgrip: the database does not answer: ")
        time.sleep(2.2)  # it looks twice more, and is quiet about it
        admin.exec_driver_sql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        drop(tmp_path / "data" / "live_feeds", "sales_data_20250602.csv", PARTIAL)
        assert run_cli("drain", env=env, cwd=tmp_path).returncode == 1
        ids = (json.loads(line)["id"] for line in process.stdout)
        assert (
            next(found for found in ids if found != 1) == 2
        )  # the first may have been seen before it was filed
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=30)
        assert (process.returncode, *rest) == (0, "", "")
    server.dispose()
