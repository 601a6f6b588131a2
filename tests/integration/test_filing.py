"""Commit first, then move: a death at any step is made good at the next start, and no name clobbers another."""

import shutil

import pytest
import time_machine
from sqlalchemy import select
from support.dump import dump
from support.faults import Crash, crash_at, release_locks
from support.files import SALES, csv_bytes, drop, tree

from daemon.store.schema import DELIVERIES

KINDS = {
    "loaded": ["2025-06-01,A,pos,{n},2.5,,,,"],
    "partial": ["2025-06-01,A,pos,{n},2.5,,,,", "2025-06-01,A,shop,1,2.5,,,,"],
    "refused": ["2025-06-01,A,shop,{n},2.5,,,,"],
}
UNREAL = (".reason.txt", ".rejects.csv", ".db", ".db-wal", ".db-shm")


def files_of(service):
    """The delivered files, wherever they lie."""
    return {
        path: content for path, content in tree(service.folders.data_dir).items() if not path.endswith(UNREAL)
    }


def ledger(service):
    with service.store.engine.connect() as connection:
        return [
            dict(row) for row in connection.execute(select(DELIVERIES).order_by(DELIVERIES.c.id)).mappings()
        ]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_death_at_any_step_is_made_good(service, kind, when):
    met = set()
    for step in range(1, 200):
        made = service()
        content = csv_bytes(SALES, [row.format(n=step) for row in KINDS[kind]])
        drop(made.folders.inbox, f"sales_data_20250601_{step}.csv", content)
        try:
            with crash_at(step, when) as done:
                made.drain()
        except Crash as crash:
            met.add(str(crash))
            release_locks(made.folders.work)
            service().drain()
        where = f"step {step}: {done[-1]} of {done}"
        rows = [row for row in ledger(made) if row["file_name"] == f"sales_data_20250601_{step}.csv"]
        assert [row["status"] for row in rows] == [
            {"loaded": "success", "refused": "failed"}.get(kind, kind)
        ], where
        assert [path for path, found in files_of(made).items() if found == content] == [
            rows[0]["archive_path"]
        ], where
        assert tree(made.folders.work) == {}, where
        assert list(made.folders.inbox.iterdir()) == [], where
        beside = {
            path for path in tree(made.folders.errors) if path.startswith(f"sales_data_20250601_{step}.csv.")
        }
        assert len(beside) == (0 if kind == "loaded" else 1), where
        for empty in made.folders.work.iterdir():  # see test_a_claim_that_was_never_filled_is_tidied_away
            shutil.rmtree(empty)
        if step > len(done):
            break
    assert step == len(done) + 1
    decided = {"refused": ("refuse", "filed"), "loaded": ("commit_together", "filed_all")}
    assert {"os.rename", "os.fsync", "daemon.files._rename"} <= met
    assert {f"daemon.store.store.Store.{name}" for name in decided.get(kind, ("commit", "filed"))} <= met
    found = dump(made.store.engine)
    assert len(found["live_sales_data"]) == (0 if kind == "refused" else step)
    assert len(found["rejected_rows"]) == (step if kind == "partial" else 0)


@pytest.mark.parametrize("name", ["claim-0123456789abcdef", "claim-0123456789abcdef-many"])
def test_a_claim_that_was_never_filled_is_tidied_away(service, name):
    made = service()
    (made.folders.work / name).mkdir()  # its owner died before the next mkdir
    made.drain()
    assert list(made.folders.work.iterdir()) == []


def test_one_name_refused_thrice_is_kept_thrice(service):
    made = service()
    contents = [f"no header {n}\n".encode() for n in range(3)]
    for content in contents:
        drop(made.folders.inbox, "sales_data_20250601.csv", content)
        made.drain()
    paths = [row["archive_path"] for row in ledger(made)]
    assert len(set(paths)) == 3
    found = tree(made.folders.data_dir)
    assert [found[path] for path in paths] == contents
    assert all(f"{path}.reason.txt" in found for path in paths)


def test_one_name_loaded_and_corrected_is_kept_in_every_form(service):
    made = service()
    contents = [
        csv_bytes(SALES, [f"2025-06-01,A,pos,{n},2.5,,,,", "2025-06-01,A,shop,1,1,,,,"]) for n in (1, 2, 3)
    ]
    for content in [*contents, contents[0]]:  # the last is a duplicate
        drop(made.folders.inbox, "sales_data_20250601.csv", content)
        made.drain()
    paths = [row["archive_path"] for row in ledger(made)]
    assert all(path.startswith("processed/") for path in paths)
    found = tree(made.folders.data_dir)
    assert [found[path] for path in paths] == [*contents, contents[0]]
    assert len([path for path in found if path.endswith(".rejects.csv")]) == 3


@pytest.mark.parametrize("taken_by", ["file", "folder", "dangling link"])
def test_what_lies_in_the_way_is_left_alone(service, taken_by):
    made = service()
    place = made.folders.errors / "sales_data_20250601.csv"
    match taken_by:
        case "file":
            place.write_text("of somebody else")
        case "folder":
            place.mkdir()
        case _:
            place.symlink_to("nowhere")
    before = place.lstat()
    drop(made.folders.inbox, place.name, b"no header\n")
    made.drain()
    assert place.lstat() == before
    path = ledger(made)[0]["archive_path"]
    assert path != f"errors/{place.name}"
    assert (made.folders.data_dir / path).read_bytes() == b"no header\n"


def test_rejects_of_a_name_that_comes_again_next_month_are_all_kept(service):
    contents = [
        csv_bytes(SALES, [f"2025-06-01,A,pos,{n},2.5,,,,", f"2025-06-01,A,shop{n},1,1,,,,"]) for n in (1, 2)
    ]
    for month, content in zip((6, 7), contents, strict=True):
        with time_machine.travel(f"2025-{month:02d}-10T12:00:00Z"):
            made = service()
            drop(made.folders.inbox, "sales_data_20250601.csv", content)
            made.drain()
    paths = [row["archive_path"] for row in ledger(made)]
    assert [path.split("/")[:3] for path in paths] == [
        ["processed", "2025", "06"],
        ["processed", "2025", "07"],
    ]
    rejects = [c for path, c in tree(made.folders.errors).items() if path.endswith(".rejects.csv")]
    assert sorted(b"shop1" in content for content in rejects) == [False, True]
    assert len(rejects) == 2


def test_a_rejects_file_never_takes_the_place_of_a_delivered_file(service):
    made = service()
    own = b"date,reason\n"  # a name that no feed owns, and that a partial load's rejects would have
    drop(made.folders.inbox, "sales_data_20250601.csv.rejects.csv", own)
    made.drain()
    content = csv_bytes(SALES, ["2025-06-01,A,pos,1,2.5,,,,", "2025-06-01,A,shop,1,1,,,,"])
    drop(made.folders.inbox, "sales_data_20250601.csv", content)
    made.drain()
    paths = [row["archive_path"] for row in ledger(made)]
    found = tree(made.folders.data_dir)
    assert [found[path] for path in paths] == [own, content]
