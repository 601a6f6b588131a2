"""What `status` and `check` tell of a site, and an inbox that comes back. On both databases."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.files import INVENTORY, SALES, csv_bytes, drop
from support.process import environment, run_cli
from test_loads import INVENTORY_ROWS, SALES_ROWS, deliver

from daemon import hands
from daemon.dry_run import Beside, CannotCompare, Verdict, beside_database, dry_run
from daemon.reading import Rules
from daemon.render import status_text, verdict_text
from daemon.service import Service
from daemon.status import in_errors, picture

Make = Callable[..., Service]
NAME = "sales_data_20250601.csv"
OTHER = "sales_data_20250601_st07.csv"
GOOD = csv_bytes(SALES, SALES_ROWS)
WINDOWS = GOOD.replace(b"\n", b"\r\n")
BROKEN = b"date,product\n1,2\n"


# ---- status


def sales(service: Make) -> dict[str, Any]:
    """What is told of the feed sales."""
    found = picture(service().settings)
    assert status_text(found)
    return next(dict(feed) for feed in found["feeds"] if feed["feed"] == "sales")


def _without_space(text: str) -> str:
    return "".join(text.split())


def test_what_lies_in_errors_is_counted_until_it_is_gone(service: Make) -> None:
    deliver(service, NAME, BROKEN)
    assert (sales(service)["refused"], sales(service)["in_errors"]) == (1, 1)
    made = service()
    hands.retry(made.store.delivery(1) or {}, made.store, made.folders, force=False)
    deliver(service, NAME, BROKEN)
    assert (sales(service)["refused"], sales(service)["in_errors"]) == (2, 1), "one file, refused twice"
    assert [row["id"] for row in in_errors(made.store, made.folders)] == [2], "the last try is meant"
    (made.folders.errors / NAME).unlink()
    assert (sales(service)["refused"], sales(service)["in_errors"]) == (2, 0)


def test_an_inbox_that_cannot_be_looked_into_hides_nothing_else(service: Make) -> None:
    deliver(service, NAME, GOOD)
    made = service()
    assert picture(made.settings)["inbox_error"] is None
    made.folders.inbox.rmdir()
    found = picture(made.settings)
    assert found["inbox_error"] == "not there"
    assert "live_feeds(notthere)" in _without_space(status_text(found)), "its path may be long, and be broken"
    made.folders.inbox.write_text("no folder")
    found = picture(made.settings)
    assert "(Notadirectory:`stockgripdoctor`tellsmore)" in _without_space(status_text(found))
    assert found["feeds"][0]["rows_today"] == len(SALES_ROWS)


def test_the_exit_status_of_status(service: Make, database_url: str, tmp_path: Path) -> None:
    deliver(service, NAME, GOOD)
    inbox = service().folders.inbox
    inbox.rmdir()
    inbox.write_text("no folder")
    done = run_cli("status", "--json", env=environment(inbox.parent, database_url), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (69, "")
    assert json.loads(done.stdout)["database"]["up"]


# ---- check


def checked(service: Make, path: Path, content: bytes, delivery: int | None = None) -> tuple[Verdict, str]:
    """The verdict, and what is printed of it."""
    path.write_bytes(content)
    settings = service().settings
    with beside_database(settings) as beside:
        chosen = beside if delivery is None else beside.and_with(delivery)
        verdict = dry_run(path, Rules.of(settings), 20, chosen)
    json.dumps(verdict.as_dict())
    return verdict, verdict_text(verdict, 200)


def test_a_duplicate_is_named(service: Make, tmp_path: Path) -> None:
    deliver(service, NAME, GOOD)
    verdict, text = checked(service, tmp_path / OTHER, GOOD)
    assert (verdict.status, verdict.difference) == ("duplicate", None)
    assert text.startswith(f"{OTHER}: duplicate of delivery 1 ({NAME})\n")


def test_compared_with_a_delivery_of_another_slot(service: Make, tmp_path: Path) -> None:
    deliver(service, NAME, GOOD)
    deliver(service, OTHER, WINDOWS)
    verdict, text = checked(service, tmp_path / OTHER, WINDOWS, 1)
    count = len(SALES_ROWS)
    assert f"duplicate of delivery 2 ({OTHER})" in text
    assert f"beside delivery 1 ({count} rows): 0 added, 0 removed, 0 changed, {count} as before" in text
    assert (verdict.status, verdict.beside) == ("duplicate", 1)
    fewer, text = checked(service, tmp_path / OTHER, csv_bytes(SALES, SALES_ROWS[:1]), 1)
    assert (fewer.status, fewer.reason) == ("success", None), "what it is compared with it does not replace"
    assert f"{count - 1} removed" in text


def test_what_cannot_be_compared_with(service: Make, tmp_path: Path) -> None:
    deliver(service, NAME, GOOD)
    deliver(service, OTHER, GOOD)
    inventory = csv_bytes(INVENTORY, INVENTORY_ROWS)
    deliver(service, "inventory_data_20250601.csv", inventory)
    for delivery, why in (
        (2, rf"delivery 2 \({OTHER}\) has no rows to compare with: its status is duplicate"),
        (3, "delivery 3 is of feed inventory, "),
        (9, "there is no delivery 9"),
    ):
        with pytest.raises(CannotCompare, match=why):
            checked(service, tmp_path / NAME, GOOD, delivery)
    with pytest.raises(CannotCompare, match="no database yet"):
        Beside(why_not="there is no database yet").and_with(1)


def test_a_held_correction_says_what_lets_it_in(service: Make, tmp_path: Path) -> None:
    deliver(service, NAME, GOOD)
    verdict, text = checked(service, tmp_path / NAME, csv_bytes(SALES, SALES_ROWS[:1]))
    assert verdict.status == "held"
    assert f"let it in once it is held in errors/: stockgrip retry --force {NAME}" in " ".join(text.split())
    assert "stockgrip check" not in text, "that is what was just done"


def test_unknown_columns_are_told(service: Make, tmp_path: Path) -> None:
    lines = GOOD.decode().splitlines()
    content = "\n".join([f"{lines[0]},promo", *(f"{line},x" for line in lines[1:])]) + "\n"
    _, text = checked(service, tmp_path / NAME, content.encode())
    assert "columns that the feed does not know, not loaded: promo" in text


# ---- the inbox


def test_a_deleted_inbox_comes_back_as_it_was(service: Make, caplog: pytest.LogCaptureFixture) -> None:
    made = service()
    made.folders.make()
    inbox = made.folders.inbox
    inbox.chmod(0o2770)
    made._scan()
    inbox.rmdir()
    made._scan()
    assert inbox.stat().st_mode & 0o7777 == 0o2770
    events = [json.loads(record.message) for record in caplog.records]
    said = [event for event in events if event["event"].startswith("inbox_")]
    assert [event["event"] for event in said] in (["inbox_missing", "inbox_back"], ["inbox_missing"])
    assert said[-1].get("mode", "2770") == "2770"
    drop(inbox, NAME, GOOD)
    made._scan()
    assert list(made.inbox.waiting) == [NAME]
