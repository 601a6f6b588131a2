"""Times as operators write them, tables that fit, and what a story says is to be done next."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from daemon import terminal
from daemon.files import Folders
from daemon.store.history import STATUSES, Wanted
from daemon.story.listing import Listing, note
from daemon.story.moments import FORMS, NotAMoment, moment
from daemon.story.next_steps import next_steps
from handlers.reasons import FileReason

NOW = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


# ---- times


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-23", "2026-11-22T23:00"),
        ("2026-07-01", "2026-06-30T22:00"),
        ("2026-11-23T10:00", "2026-11-23T09:00"),
        ("2026-11-23 10:00:30", "2026-11-23T09:00:30"),
        ("2026-11-23T10:00Z", "2026-11-23T10:00"),
        ("2026-11-23T10:00+05:30", "2026-11-23T04:30"),
        ("15m", "2026-11-23T23:15"),
        ("2h", "2026-11-23T21:30"),
        ("3d", "2026-11-20T23:30"),
        ("today", "2026-11-23T23:00"),  # in Berlin it is the 24th already
        (" Yesterday ", "2026-11-22T23:00"),
    ],
)
def test_moments(text: str, utc: str) -> None:
    assert moment(text, BERLIN, NOW) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "gestern", "2026-13-01", "2026-11-23T25:00", "2026", "10:00", "-2h", "999999w", "2h30m", "٣d"],
)
def test_what_is_no_moment_names_the_forms(text: str) -> None:
    with pytest.raises(NotAMoment, match="is no time") as caught:
        moment(text, BERLIN, NOW)
    assert FORMS in str(caught.value)


# ---- names by glob


@given(st.text("aB_%!*?[]", max_size=6), st.text("aB_%!", max_size=4))
@example("*_b[ab].csv", "x_ba.csv")
def test_sql_looks_for_all_that_the_glob_finds(glob: str, name: str) -> None:
    """The pattern of LIKE lets through each name that the glob takes; SQLite itself is asked."""
    import sqlite3  # noqa: PLC0415

    from daemon.store.history import _like  # noqa: PLC0415

    if Wanted(name=glob).takes({"file_name": name}):
        with sqlite3.connect(":memory:") as connection:
            found = connection.execute("SELECT ? LIKE ? ESCAPE '!'", (name, _like(glob))).fetchone()
        connection.close()
        assert found == (1,)


# ---- what fits


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Mn", "Me"]), max_size=60),
    st.integers(1, 40),
)
def test_a_cropped_text_fits_and_keeps_both_ends(text: str, room: int) -> None:
    text = terminal.printable(text)
    found = terminal.cropped(text, room)
    assert cell_len(found) <= room
    if cell_len(text) <= room:
        assert found == text
    elif text.isascii() and room >= 5 and not text[:2].isspace():
        assert found[0] == text[0]
        assert found[-1] == text[-1]


def test_of_a_cropped_name_the_date_stays() -> None:
    assert terminal.cropped("sales_data_20250630.csv", 19) == "sales_…20250630.csv"


@given(st.text("ab 語é/_-", max_size=300), st.integers(24, 90))
def test_wrapped_lines_fit(text: str, columns: int) -> None:
    lines = terminal.wrapped(text, columns, "  05:51:46  ")
    assert all(cell_len(line) <= columns for line in lines)
    shown = "".join("".join(line) for line in lines).replace(" ", "")
    assert shown == "05:51:46" + text.replace(" ", "")


def test_a_pipe_is_as_wide_as_it_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert terminal.width() == terminal.UNLIMITED
    assert terminal.wrapped("word " * 100, terminal.width()) == ["word " * 100]
    monkeypatch.setenv("COLUMNS", "70")
    assert terminal.width() == 70


def row(number: int, **changes: object) -> dict[str, object]:
    """A row of the ledger, as ``history.page`` gives it."""
    return {
        "id": number,
        "timestamp": datetime(2026, 11, 23, 23, 30, tzinfo=UTC),
        "file_name": f"sales_data_20261123_a_store_with_a_long_name_{number}.csv",
        "file_type": "sales",
        "status": "success",
        "records_successful": 1_234_567,
        "records_failed": 12,
        "processing_time_seconds": 12.345,
        "error_details": {},
        "fixes": None,
        "duplicate_of": None,
        "extends": None,
        "retry_of": None,
        "forced_at": None,
        "superseded_by": None,
        "supersedes": [],
    } | changes


@pytest.mark.parametrize("columns", [20, 40, 60, 64, 80, 100, 120, 200])
@pytest.mark.parametrize("steady", [False, True])
def test_a_listing_fits_and_never_crops_an_id(
    columns: int, steady: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = [
        row(7),
        row(123_456, status="duplicate", duplicate_of=7, file_name="語" * 90),
        row(
            1_234_567,
            status="failed",
            error_details={"reason": "too_many_rejects"},
            file_name="a\x1b[31m\u202e.csv",
        ),
        row(1_234_568, supersedes=[7], superseded_by=1_234_569),
    ]
    listing = Listing.of(rows, BERLIN, steady=steady)
    text = "\n".join([listing.head(), *map(listing.line, rows)])
    import click  # noqa: PLC0415

    plain = click.unstyle(text)
    assert all(cell_len(line) <= columns for line in plain.splitlines()), plain
    for each in rows:
        assert str(each["id"]) in plain
    assert "2026-11-24 00:30" in plain or columns < 40
    assert "\x1b[31m" not in text.replace(click.style("", fg="red", reset=False), "") or "\\x1b[31m" in plain
    assert "\u202e" not in plain


def test_a_listing_in_a_pipe_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    rows = [row(1, superseded_by=2), row(2, supersedes=[1], file_name="x" * 250)]
    listing = Listing.of(rows, BERLIN)
    lines = [listing.line(each) for each in rows]
    assert "x" * 250 in lines[1]
    assert lines[0].endswith("superseded by 2")
    assert lines[1].endswith("corrects 1")


def test_notes() -> None:
    assert note(row(1)) == ""
    assert (
        note(row(1, status="failed", error_details={"reason": "shrunk"}, forced_at=NOW)) == "shrunk, forced"
    )
    assert note(row(9, fixes=3)) == "fixes 3"
    assert note(row(9, fixes=3, status="duplicate", duplicate_of=3)) == "rejects of 3, unchanged"
    assert note(row(9, error_details={"unknown_columns": ["promo"]})) == "unknown column promo"
    assert note(row(9, error_details={"unknown_columns": ["a", "b"]})) == "2 unknown columns"
    assert note(row(9, retry_of=3, supersedes=[1, 2])) == "corrects 1, corrects 2, retry of 3"


# ---- what to do next


def story(**changes: object) -> dict[str, object]:
    """The facts that decide what is to be done; a file that was refused and lies in errors/."""
    places = {
        "file": "errors/a b.csv",
        "file_is_there": True,
        "in_inbox": None,
        "in_work": None,
        "rejects_file": "errors/a b.csv.rejects.csv",
        "rejects_file_is_there": True,
        "rejects_file_in_inbox": False,
        "reason_file": "errors/a b.csv.reason.txt",
        "reason_file_is_there": True,
    }
    facts = {
        "delivery": 57,
        "file": "a b.csv",
        "status": "failed",
        "reason": "missing_column",
        "remedy": "Correct the header.",
        "superseded_by": [],
        "duplicate_of": [],
        "fixes": [],
        "retried_by": [],
        "loaded_later": [],
        "forced": None,
        "rejects": [],
        "rejects_open": 0,
    }
    more = changes.pop("places", {})
    assert isinstance(more, dict)
    return facts | changes | {"places": places | more}


def steps(**changes: object) -> list[dict[str, str | None]]:
    """What is to be done, from /srv with its data in /srv/data."""
    return next_steps(story(**changes), Folders(Path("/srv/data")), Path("/srv"))


def commands(**changes: object) -> list[str]:
    return [found for each in steps(**changes) if (found := each["command"])]


def test_commands_can_be_pasted() -> None:
    assert commands() == [
        "stockgrip check 'data/errors/a b.csv'",
        "stockgrip retry 57",
    ]
    elsewhere = next_steps(story(reason="unroutable"), Folders(Path("/srv/data")), Path("/root"))
    assert elsewhere[0]["command"] == "mv '/srv/data/errors/a b.csv' /srv/data/live_feeds/NEW_NAME.csv"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"reason": "shrunk"}, ["stockgrip check 'data/errors/a b.csv'", "stockgrip retry --force 57"]),
        (
            {"reason": "unroutable"},
            [
                "mv 'data/errors/a b.csv' data/live_feeds/NEW_NAME.csv",
                "rm 'data/errors/a b.csv.reason.txt'",
            ],
        ),
        ({"places": {"file_is_there": False}}, ["rm 'data/errors/a b.csv.reason.txt'"]),
        (
            {
                "places": {"file_is_there": False, "reason_file_is_there": False},
                "loaded_later": [{"delivery": 60, "file": "a b.csv"}],
            },
            ["stockgrip explain 60"],
        ),
        ({"reason": "encoding"}, ["stockgrip retry 57"]),
        ({"reason": "empty"}, []),
        ({"status": "unloaded"}, ["stockgrip retry 57"]),
        (
            {"status": "partial", "rejects_open": 2, "rejects": [{"reason": "bad_date", "open": 2}]},
            ["mv 'data/errors/a b.csv.rejects.csv' data/live_feeds/"],
        ),
        ({"status": "duplicate", "duplicate_of": [{"delivery": 3}]}, ["stockgrip explain 3"]),
        ({"superseded_by": [{"delivery": 60}]}, ["stockgrip explain 60"]),
        ({"retried_by": [{"delivery": 60, "status": "success"}]}, ["stockgrip explain 60"]),
    ],
)
def test_the_exact_command(changes: dict[str, object], expected: list[str]) -> None:
    assert commands(**changes) == expected


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"status": "success"}, "Nothing: it is loaded."),
        (
            {"places": {"in_inbox": "live_feeds/a b.csv"}},
            "Nothing yet: a file of this name lies in live_feeds/",
        ),
        (
            {"places": {"in_work": ".work/claim-1/file/a b.csv"}},
            "Nothing yet: a file of this name is being worked on",
        ),
        ({"places": {"file_is_there": False}}, "errors/a b.csv is not there any more"),
        (
            {"places": {"file_is_there": False}, "loaded_later": [{"delivery": 60, "file": "a b.csv"}]},
            "Nothing: delivery 60, of the same name, was loaded after it:",
        ),
        (
            {"places": {"file_is_there": False}, "loaded_later": [{"delivery": 60, "file": "b.csv"}]},
            "Nothing: delivery 60, of the same slot, was loaded after it:",
        ),
        (
            {"status": "partial", "rejects_open": 1, "places": {"rejects_file_is_there": False}},
            "Its rejects file errors/a b.csv.rejects.csv is not there any more",
        ),
        (
            {"status": "partial", "rejects_open": 1, "rejects": [{"reason": "duplicate_key", "open": 1}]},
            "Nothing, if the later rows",
        ),
    ],
)
def test_what_is_said_first(changes: dict[str, object], says: str) -> None:
    assert str(steps(**changes)[0]["text"]).startswith(says)


@pytest.mark.parametrize("reason", FileReason)
@pytest.mark.parametrize("status", STATUSES)
def test_there_is_always_something_to_say(reason: FileReason, status: str) -> None:
    found = steps(status=status, reason=reason.value, remedy=reason.remedy)
    assert found
    for each in found:
        assert each["text"]
        assert str(each["text"]).endswith((":", ".")), each
        assert str(each["text"]).endswith(":") == (each["command"] is not None), each
