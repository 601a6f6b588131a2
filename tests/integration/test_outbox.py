"""Acknowledgements: what a sender reads of its file, whatever dies, is full or lies in the way."""

import csv
import json
import os
import re
import shutil
import stat
from pathlib import Path

import pytest
import time_machine
from support.faults import Crash, crash_at, release_locks
from support.files import SALES, csv_bytes, drop

from daemon import outbox
from daemon.events import Event
from daemon.outbox_settings import OutboxSettings

NAME = "sales_data_20250601_shop7.csv"
GOOD, BAD = "2025-06-01,A,pos,{n},2.5,,,,", "2025-06-01,B,pos,0,2.5,,,,"
SENDERS = Path(__file__).parents[2] / "docs/senders.md"
SQLITE = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
ON = {"outbox": {"enabled": True}}


@pytest.fixture
def said(monkeypatch):
    """What the outbox logs."""
    events = []
    monkeypatch.setattr(outbox, "emit", lambda event, **fields: events.append((event, fields)))
    return events


def sent(service, *rows, name=NAME):
    """Delivers a file; its service."""
    made = service(**ON)
    drop(made.folders.inbox, name, csv_bytes(SALES, rows))
    made.drain()
    return made


def told(made, name=NAME):
    """The acknowledgement, and the rejected rows (None: there is no such file)."""
    folder = made.folders.data_dir / "outbox"
    nack = folder / f"{name}.nack.csv"
    rejects = list(csv.DictReader(nack.read_text().splitlines())) if nack.exists() else None
    return json.loads((folder / f"{name}.ack.json").read_text()), rejects


def test_each_outcome_is_told(service):
    made = sent(service, GOOD.format(n=1), GOOD.format(n=2))
    ack, rejects = told(made)
    assert (ack["outcome"], ack["delivery"], ack["feed"], rejects) == ("loaded", 1, "sales", None)
    assert ack["rows"] == {"read": 2, "loaded": 2, "rejected": 0, "duplicate": 0}
    assert ack["seen_at"] <= ack["arrived_at"] <= ack["filed_at"]
    row = made.store.delivery(1)
    assert (ack["sha256"], ack["size"]) == (row["sha256"], row["size_bytes"])

    made = sent(service, GOOD.format(n=3), BAD, GOOD.format(n=4))
    ack, rejects = told(made)
    assert (ack["outcome"], ack["delivery"], ack["rejects"]) == ("partial", 2, f"{NAME}.nack.csv")
    assert ack["reasons"] == {rejects[0]["reason"]: 1}
    assert [row["line"] for row in rejects] == ["3"]
    beside = next(made.folders.errors.glob("*.rejects.csv")).read_text()
    assert rejects[0]["column"] == "quantity_sold"
    assert f"3,{rejects[0]['reason']},{rejects[0]['message']}," in beside.replace('"', "")

    made = sent(service, GOOD.format(n=3), BAD, GOOD.format(n=4))  # the same bytes
    ack, rejects = told(made)
    assert (ack["outcome"], ack["duplicate_of"], ack["rows"]["read"]) == ("duplicate", 2, 0)
    assert (ack["first"]["outcome"], ack["first"]["rows"]["loaded"]) == ("partial", 2)
    assert [row["line"] for row in rejects] == ["3"], "what is wrong with these bytes still stands"

    made = sent(service, BAD, BAD)
    ack, rejects = told(made)
    assert (ack["outcome"], ack["reason"]) == ("refused", "no_valid_rows")
    assert ack["rows"] == {"read": 2, "loaded": 0, "rejected": 2, "duplicate": 0}
    assert [row["line"] for row in rejects] == ["2", "3"]

    made = sent(service, GOOD.format(n=3), GOOD.format(n=4), GOOD.format(n=5))
    ack, rejects = told(made)
    assert (ack["outcome"], ack["rejects"], rejects) == ("loaded", None, None), "all is well now"
    folder = made.folders.data_dir / "outbox"
    example = re.search(r"```json\n(\{\n  \"file\".*?)```", SENDERS.read_text("utf-8"), re.DOTALL)
    assert json.loads(example[1]).keys() == ack.keys(), "as docs/senders.md shows it"
    modes = [stat.S_IMODE(os.lstat(path).st_mode) for path in (folder, folder / f"{NAME}.ack.json")]
    assert modes == [0o2750, 0o640]
    assert sorted(os.listdir(folder)) == [f"{NAME}.ack.json"]


@SQLITE
def test_off_by_default(service):
    made = service()
    drop(made.folders.inbox, NAME, csv_bytes(SALES, [GOOD.format(n=1)]))
    made.drain()
    assert not (made.folders.data_dir / "outbox").exists()


@SQLITE
def test_a_death_at_any_step_is_made_good(service):
    """Of a file with rejects; those that were told before are not told otherwise by a recovery."""
    for step in range(1, 200):
        made, name = service(**ON), f"sales_data_20250601_{step}.csv"
        drop(made.folders.inbox, name, csv_bytes(SALES, [GOOD.format(n=step), BAD]))
        try:
            with crash_at(step, "before") as done:
                made.drain()
        except Crash:
            release_locks(made.folders.work)
            release_locks(made.folders.data_dir / "outbox")
            service(**ON).drain()
        ack, rejects = told(made, name)
        assert (ack["outcome"], len(rejects)) == ("partial", 1), f"step {step}: {done[-1]}"
        assert ack["rejects"] == f"{name}.nack.csv"
        left = [path for path in os.listdir(made.folders.data_dir / "outbox") if path.startswith(".")]
        assert left == [], f"step {step}: {done[-1]}"
        for empty in made.folders.work.glob("claim-*"):
            shutil.rmtree(empty)
        if step > len(done):
            break
    assert step == len(done) + 1


@SQLITE
def test_a_failure_never_fails_the_delivery_and_is_made_good(service, said):
    """Something lies where the folder should be: one complaint, no matter how many files; then all are told."""
    made = service(**ON)
    place = made.folders.data_dir / "outbox"
    place.write_text("in the way")
    names = [f"sales_data_20250601_{n}.csv" for n in range(3)]
    for n, name in enumerate(names):
        sent(service, GOOD.format(n=n + 1), name=name)
    assert [event for event, _ in said] == [Event.ACKNOWLEDGEMENT_FAILED]
    assert said[0][1]["kept"] is True
    assert made.store.delivery(3)["status"] == "success"
    assert outbox.due(made.folders) == [1, 2, 3]
    assert list(made.folders.inbox.iterdir()) == []
    settings = made.settings.outbox
    outbox.tend(made.store, made.folders, settings)  # still in the way
    assert outbox.due(made.folders) == [1, 2, 3]
    place.unlink()
    outbox.tend(made.store, made.folders, settings)
    assert said[-1] == (Event.ACKNOWLEDGEMENTS_WRITTEN, {"written": 3})
    assert [told(made, name)[0]["outcome"] for name in names] == ["loaded"] * 3
    assert outbox.due(made.folders) == []


@SQLITE
def test_the_next_delivery_takes_along_what_is_due(service):
    made = service(**ON)
    place = made.folders.data_dir / "outbox"
    place.symlink_to(made.folders.errors)  # not followed
    sent(service, GOOD.format(n=1))
    assert outbox.due(made.folders) == [1]
    place.unlink()
    sent(service, GOOD.format(n=2), name="sales_data_20250601_other.csv")
    assert outbox.due(made.folders) == []
    assert told(made)[0]["outcome"] == "loaded"
    assert list(made.folders.errors.iterdir()) == []


@SQLITE
def test_links_that_a_sender_plants_are_replaced_not_followed(service, tmp_path):
    made = sent(service, GOOD.format(n=1), name="sales_data_20250601_first.csv")
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    victim.chmod(0o600)
    place = made.folders.data_dir / "outbox"
    for name in (f"{NAME}.ack.json", f"{NAME}.nack.csv", ".stockgrip-2.json.tmp", ".stockgrip-2.csv.tmp"):
        (place / name).symlink_to(victim)
    sent(service, GOOD.format(n=2), BAD)
    ack, rejects = told(made)
    assert (ack["outcome"], len(rejects)) == ("partial", 1)
    assert not any(path.is_symlink() for path in place.iterdir())
    assert (victim.read_text(), stat.S_IMODE(victim.stat().st_mode)) == ("untouched", 0o600)


@SQLITE
def test_what_a_sender_writes_there_itself_does_no_harm(service):
    made = service(**ON)
    made.drain()
    place = made.folders.data_dir / "outbox"
    place.mkdir()
    os.mkfifo(place / f"{NAME}.ack.json")
    forged = "sales_data_20250601_forged.csv"
    (place / f"{forged}.ack.json").write_text('{"delivery": "x", "arrived_at": 3}' + "[" * 5000)
    sent(service, GOOD.format(n=1))
    sent(service, GOOD.format(n=2), name=forged)
    blocked = "sales_data_20250601_blocked.csv"
    (place / f"{blocked}.ack.json").mkdir()
    sent(service, GOOD.format(n=3), name=blocked)
    assert outbox.due(made.folders) == [3]
    sent(service, GOOD.format(n=4), name="sales_data_20250601_next.csv")
    assert [told(made, name)[0]["outcome"] for name in (NAME, forged)] == ["loaded"] * 2
    (place / f"{blocked}.ack.json").rmdir()
    outbox.tend(made.store, made.folders, made.settings.outbox)
    assert told(made, blocked)[0]["outcome"] == "loaded"


@SQLITE
def test_an_earlier_delivery_never_overwrites_what_is_said_of_a_later_one(service):
    made = sent(service, GOOD.format(n=1))
    sent(service, GOOD.format(n=2))
    for delivery in (1, 2):
        outbox.acknowledge(delivery, made.store, made.folders, made.settings.outbox)
        assert told(made)[0]["delivery"] == 2


@SQLITE
def test_a_new_database_begins_at_one_again(service):
    """What an earlier database numbered higher does not stand in the way for ever."""
    made = service(**ON)
    place = made.folders.data_dir / "outbox"
    place.mkdir()
    old = {"delivery": 900, "arrived_at": "2020-01-01T00:00:00.000+00:00"}
    (place / f"{NAME}.ack.json").write_text(json.dumps(old))
    sent(service, GOOD.format(n=1))
    assert told(made)[0]["delivery"] == 1


@SQLITE
def test_words_of_a_defect_are_not_for_others(service):
    made = sent(service, GOOD.format(n=1))
    details = {"reason": "internal_error", "message": "OSError: postgresql://u:secret@db"}
    row = {**made.store.delivery(1), "status": "failed", "error_details": details}
    said = outbox.acknowledgement(row)
    assert (said["outcome"], said["reason"]) == ("refused", "internal_error")
    assert "secret" not in json.dumps(said)


@SQLITE
def test_old_ones_are_removed_and_nothing_else(service):
    with time_machine.travel("2025-06-10T12:00:00Z", tick=True):
        made = sent(service, GOOD.format(n=1), BAD)
        place = made.folders.data_dir / "outbox"
    for path in [*place.iterdir(), made.folders.work / "acks-tidied"]:
        os.utime(path, (1_749_556_800, 1_749_556_800))  # that day; the disk has a clock of its own
    keep = {"of-another.txt": place / "of-another.txt", "notes.ack.json": place / "notes.ack.json"}
    keep["of-another.txt"].write_text("not ours")
    os.utime(keep["of-another.txt"], (0, 0))
    keep["notes.ack.json"].mkdir()
    (place / ".stockgrip-9.json.tmp").write_text("a process died here")
    os.utime(place / ".stockgrip-9.json.tmp", (0, 0))
    settings = OutboxSettings(enabled=True, days=7)
    with time_machine.travel("2025-06-17T11:00:00Z"):
        outbox.tend(made.store, made.folders, settings)
        assert {f"{NAME}.ack.json", f"{NAME}.nack.csv", *keep} == set(os.listdir(place))
    os.utime(made.folders.work / "acks-tidied", (1_749_556_800, 1_749_556_800))
    with time_machine.travel("2025-06-17T13:00:00Z"):
        outbox.tend(made.store, made.folders, settings)
    assert set(os.listdir(place)) == set(keep)


@SQLITE
def test_names_that_are_hardly_names(service):
    """What is odd in them is shown, and their acknowledgement has a name that every system can have."""
    made = service(**ON)
    odd = os.fsdecode(b"odd\n\xff\x1b[31m" + b"n" * 200 + b".csv")
    (made.folders.inbox / odd).write_bytes(b"x\n")
    made.drain()
    (path,) = (made.folders.data_dir / "outbox").iterdir()
    assert path.name.isprintable()
    assert len(os.fsencode(path.name)) < 255
    assert json.loads(path.read_text())["reason"] == "unroutable"
