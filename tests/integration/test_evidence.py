"""Markers and manifests on their way: checked, recorded, filed with their file, and never lost."""

import gzip
import hashlib
import json
import os
from datetime import date, timedelta

import pytest
from sqlalchemy import select
from support.faults import Crash, crash_at, release_locks
from support.files import SALES, csv_bytes, drop, tree

from daemon import claims, companions
from daemon.errors import DatabaseUnavailable
from daemon.store.bands import Bands, usual_rows
from daemon.store.schema import DELIVERIES

NAME = "sales_data_20250601.csv"
GOOD = ["2025-06-01,A,pos,2,2.5,,,,", "2025-06-01,B,pos,3,0.25,,,,"]
CONTENT = csv_bytes(SALES, GOOD)
MARKED = {"feeds": {"sales": {"complete_when": {"all": ["marker"]}}}}


def sha(content):
    return hashlib.sha256(content).hexdigest()


def sum_file(content, name=NAME):
    return f"{sha(content)}  {name}\n".encode()


def figures(**keys):
    return json.dumps(keys).encode()


def ledger(service):
    with service.store.engine.connect() as connection:
        return [
            dict(row) for row in connection.execute(select(DELIVERIES).order_by(DELIVERIES.c.id)).mappings()
        ]


def lying(service, folder):
    """Names of all files below a folder, without what the program wrote."""
    return sorted(
        path.rpartition("/")[2]
        for path in tree(getattr(service.folders, folder))
        if not path.endswith(".reason.txt")
    )


# ---- what becomes of them


def test_a_manifest_that_agrees_is_filed_beside_its_file_and_a_marker_is_removed(service):
    made = service()
    drop(made.folders.inbox, f"{NAME}.sha256", sum_file(CONTENT))
    drop(
        made.folders.inbox,
        f"{NAME}.manifest.json",
        figures(rows=2, size=len(CONTENT), totals={"revenue": "2.75", "quantity_sold": 5}),
    )
    drop(made.folders.inbox, f"{NAME}.done", b"")
    drop(made.folders.inbox, f"{NAME}.ok", b"sent by till 7\n")
    drop(made.folders.inbox, NAME, CONTENT)
    made.drain()
    (row,) = ledger(made)
    assert row["status"] == "success"
    assert row["evidence"] == "lease, marker, manifest"
    assert row["seen_at"] is not None
    assert row["waited"] is None
    beside = [NAME, f"{NAME}.manifest.json", f"{NAME}.ok", f"{NAME}.sha256"]
    assert lying(made, "processed") == beside, "a marker with something in it is kept"
    assert tree(made.folders.inbox) == tree(made.folders.work) == {}
    assert list(made.folders.work.iterdir()) == []


@pytest.mark.parametrize(
    ("ending", "content", "reason", "said"),
    [
        (".sha256", sum_file(b"x"), "manifest_mismatch", [sha(b"x"), sha(CONTENT)]),
        (".manifest.json", figures(size=7), "manifest_mismatch", ["7 bytes", f"has {len(CONTENT)}"]),
        (".manifest.json", figures(rows=3), "manifest_mismatch", ["says 3 rows", "has 2"]),
        (".manifest.json", figures(totals={"revenue": "2.76"}), "manifest_mismatch", ["2.76", "2.75"]),
        (
            ".manifest.json",
            figures(totals={"colour": "1"}),
            "bad_manifest",
            ["colour", "quantity_sold, revenue"],
        ),
        (".manifest.json", figures(row=2), "bad_manifest", ["row", "rows, sha256, size, totals"]),
        (".sha256", b"", "bad_manifest", ["it is empty"]),
    ],
)
def test_a_manifest_that_does_not_agree_refuses_the_file(service, ending, content, reason, said):
    made = service()
    drop(made.folders.inbox, NAME + ending, content)
    drop(made.folders.inbox, NAME, CONTENT)
    made.drain()
    (row,) = ledger(made)
    assert row["status"] == "failed"
    assert row["error_details"]["reason"] == reason
    for part in said:
        assert part in row["error_details"]["message"]
    assert lying(made, "errors") == [NAME, NAME + ending]
    assert (made.folders.errors / f"{NAME}.reason.txt").exists()


def test_rejected_rows_count_and_are_added_as_sent(service):
    made = service()
    content = csv_bytes(SALES, [*GOOD, "2025-06-01,C,nowhere,4,1.5,,,,", "2025-06-01,D,pos,five,1,,,,"])
    drop(made.folders.inbox, f"{NAME}.manifest.json", figures(rows=4, totals={"revenue": "5.25"}))
    drop(made.folders.inbox, NAME, content)
    made.drain()
    assert [row["status"] for row in ledger(made)] == ["partial"]
    drop(made.folders.inbox, f"{NAME}.manifest.json", figures(totals={"quantity_sold": 14}))
    drop(made.folders.inbox, NAME, content + b"2025-06-01,E,pos,5,1.0,,,,\n")
    made.drain()
    assert [row["status"] for row in ledger(made)] == ["partial", "partial"]
    drop(made.folders.inbox, f"{NAME}.manifest.json", figures(totals={"quantity_sold": 19}))
    drop(made.folders.inbox, NAME, content + b"2025-06-01,E,pos,5,1.5,,,,\n")
    made.drain()
    message = ledger(made)[2]["error_details"]["message"]
    assert (
        "adds up to 19, in the file it is 14 (1 of its cells is no number (the first on line 5): not added)"
        in message
    )


def test_a_packed_file_has_the_bytes_it_lies_in_and_the_rows_it_unpacks_to(service):
    made, packed = service(), gzip.compress(CONTENT)
    drop(made.folders.inbox, f"{NAME}.gz.sha256", sum_file(packed, f"{NAME}.gz"))
    drop(made.folders.inbox, f"{NAME}.gz.manifest.json", figures(rows=2, size=len(packed)))
    drop(made.folders.inbox, f"{NAME}.gz", packed)
    made.drain()
    assert [row["status"] for row in ledger(made)] == ["success"]


def test_a_duplicate_with_another_manifest_is_refused_too(service):
    made = service()
    drop(made.folders.inbox, NAME, CONTENT)
    made.drain()
    drop(made.folders.inbox, f"{NAME}.sha256", sum_file(b"new"))
    drop(made.folders.inbox, NAME, CONTENT)
    made.drain()
    assert [row["status"] for row in ledger(made)] == ["success", "failed"]


def test_archived_manifests_are_never_written_over(service):
    made = service()
    made.folders.errors.mkdir(parents=True, exist_ok=True)
    (made.folders.errors / f"{NAME}.sha256").write_bytes(b"older")
    drop(made.folders.inbox, f"{NAME}.sha256", b"newer")
    drop(made.folders.inbox, NAME, CONTENT)
    made.drain()
    found = {name: content for name, content in tree(made.folders.errors).items() if "sha256" in name}
    assert found == {f"{NAME}.sha256": b"older", f"{NAME}.2.sha256": b"newer"}


def test_a_refused_file_goes_back_with_its_manifest(service):
    made = service()
    drop(made.folders.inbox, f"{NAME}.sha256", sum_file(b"x"))
    drop(made.folders.inbox, NAME, CONTENT)
    made.drain()
    source, target = made.folders.errors / NAME, made.folders.inbox / NAME
    assert companions.move_along(source, target) == [made.folders.inbox / f"{NAME}.sha256"]
    assert companions.move_along(source, target) == []
    (made.folders.inbox / f"{NAME}.sha256").write_bytes(sum_file(CONTENT))
    source.rename(target)
    made.drain()
    assert [row["status"] for row in ledger(made)] == ["failed", "success"]


# ---- waiting


def test_a_file_without_its_marker_waits_and_drain_does_not(service):
    made = service(**MARKED)
    drop(made.folders.inbox, NAME, CONTENT)
    assert made.drain().deliveries == 0
    assert lying(made, "inbox") == [NAME]
    drop(made.folders.inbox, f"{NAME}.done", b"")
    assert service(**MARKED).drain().loaded == 1
    assert lying(made, "inbox") == []
    assert ledger(made)[0]["evidence"] == "lease, marker"


def test_companions_of_nobody_stay(service):
    made = service()
    drop(made.folders.inbox, f"{NAME}.done", b"")
    drop(made.folders.inbox, "x.csv.sha256", b"")
    assert made.drain().deliveries == 0
    assert lying(made, "inbox") == [f"{NAME}.done", "x.csv.sha256"]


# ---- deaths


def both(folders):
    drop(folders.inbox, f"{NAME}.sha256", sum_file(CONTENT))
    drop(folders.inbox, f"{NAME}.done", b"")
    drop(folders.inbox, NAME, CONTENT)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("agrees", [True, False])
def test_a_death_at_any_step_loses_no_companion(service, when, agrees):
    for step in range(1, 200):
        made = service()
        name = f"sales_data_20250601_{step}.csv"
        content = csv_bytes(SALES, [f"2025-06-01,A,pos,{step},2.5,,,,"])
        manifest = sum_file(content if agrees else b"other", name)
        drop(made.folders.inbox, f"{name}.sha256", manifest)
        drop(made.folders.inbox, f"{name}.done", b"")
        drop(made.folders.inbox, name, content)
        try:
            with crash_at(step, when) as done:
                made.drain()
        except Crash:
            release_locks(made.folders.work)
            service().drain()
        where = f"step {step}: {done[-1]} of {done}"
        rows = [row for row in ledger(made) if row["file_name"] == name]
        assert [row["status"] for row in rows] == ["success" if agrees else "failed"], where
        beside = f"{rows[0]['archive_path']}.sha256"
        assert (made.folders.data_dir / beside).read_bytes() == manifest, where
        assert tree(made.folders.inbox) == tree(made.folders.work) == {}, where
        assert not [path for path in tree(made.folders.data_dir) if path.endswith(".done")], where
        if step > len(done):
            break
    assert step == len(done) + 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_death_while_it_goes_back_loses_no_companion(service, when):
    made = service()
    for step in range(1, 60):
        both(made.folders)
        claim = claims.take(made.folders, NAME)
        assert claim is not None
        assert claims.companions(claim) == [f"{NAME}.done", f"{NAME}.sha256"]
        try:
            with crash_at(step, when) as done:
                assert claims.release(made.folders, claim)
        except Crash:
            release_locks(made.folders.work)
            for orphan in claims.orphans(made.folders):
                if orphan.name:
                    assert claims.companions(orphan) == [f"{NAME}.done", f"{NAME}.sha256"], done
                    claims.release(made.folders, orphan)
                else:
                    claims.drop(orphan)
        assert lying(made, "inbox") == [NAME, f"{NAME}.done", f"{NAME}.sha256"], done
        assert tree(made.folders.work) == {}, done
        if step > len(done):
            break
    assert step == len(done) + 1


def test_what_came_after_a_death_belongs_to_the_next_file(service):
    made = service()
    both(made.folders)
    claim = claims.take(made.folders, NAME)
    for name in (f"{NAME}.done", f"{NAME}.sha256"):  # as if it had died before it took them
        (claim.companions / name).rename(made.folders.inbox / name)
    os.close(claim.lock)
    drop(made.folders.inbox, f"{NAME}.sha256", b"of the next file")
    (orphan,) = claims.orphans(made.folders)
    assert claims.companions(orphan) == [f"{NAME}.done"]
    assert (made.folders.inbox / f"{NAME}.sha256").read_bytes() == b"of the next file"


def test_a_newer_manifest_stays_when_a_file_goes_back(service):
    made = service()
    both(made.folders)
    claim = claims.take(made.folders, NAME)
    drop(made.folders.inbox, f"{NAME}.sha256", b"newer")
    assert claims.release(made.folders, claim)
    assert (made.folders.inbox / f"{NAME}.sha256").read_bytes() == b"newer"
    assert list(made.folders.work.iterdir()) == []


def test_a_file_whose_name_is_taken_keeps_its_companions(service):
    made = service()
    both(made.folders)
    claim = claims.take(made.folders, NAME)
    drop(made.folders.inbox, NAME, b"another")
    assert not claims.release(made.folders, claim)
    assert claims.companions(claim) == [f"{NAME}.done", f"{NAME}.sha256"]
    assert lying(made, "inbox") == [NAME]


def test_a_claim_that_lost_its_file_takes_nothing(service):
    made = service()
    drop(made.folders.inbox, f"{NAME}.done", b"")
    assert claims.take(made.folders, NAME) is None
    assert lying(made, "inbox") == [f"{NAME}.done"]
    assert list(made.folders.work.iterdir()) == []


def test_a_claim_is_not_dropped_with_companions_in_it(service):
    made = service()
    both(made.folders)
    claim = claims.take(made.folders, NAME)
    assert claim is not None
    claim.path.unlink()
    claims.drop(claim)
    assert claims.companions(claim) == [f"{NAME}.done", f"{NAME}.sha256"]


def test_names_of_any_bytes_are_noted(service):
    made, name = service(), os.fsdecode(b"sales \xff\n x.csv")
    drop(made.folders.inbox, f"{name}.done", b"")
    drop(made.folders.inbox, name, CONTENT)
    claim = claims.take(made.folders, name)
    assert claim is not None
    assert claims.companions(claim) == [f"{name}.done"]
    (claim.companions / f"{name}.done").rename(made.folders.inbox / f"{name}.done")
    os.close(claim.lock)
    (orphan,) = claims.orphans(made.folders)
    assert claims.companions(orphan) == [f"{name}.done"]


# ---- the band


def load(made, name, rows):
    drop(
        made.folders.inbox,
        name,
        csv_bytes(SALES, [f"2025-01-01,{name},pos,{n + 1},1,,,," for n in range(rows)]),
    )
    made.drain()


def test_the_band_is_learned_per_feed_source_and_weekday(service):
    made = service()
    sundays = ["20250601", "20250608", "20250615", "20250622", "20250629"]
    load(made, "sales_data_20250601_a.csv", 3)  # superseded below
    for n, day in enumerate(sundays):
        load(made, f"sales_data_{day}_a.csv", 10 + n)
        load(made, f"sales_data_{day}.csv", 100)
    load(made, "sales_data_20250602_a.csv", 77)
    load(made, "sales_data_20250629_a.csv", 20)
    bands = Bands(made.store)
    found = bands.of("sales:2025-07-06:a")
    assert found is not None
    assert (found.least, found.most) == (5, 40)
    assert bands.of("sales:2025-06-09:a") is None, "one Monday is too few"
    assert bands.of("inventory:2025-07-06:a") is None
    assert bands.of("sales:2026-07-05:a") == found, "remembered for the weekday"


def test_only_the_last_eight_count(service):
    made = service()
    for week in range(10):
        load(made, f"sales_data_{date(2025, 1, 1) + timedelta(weeks=week):%Y%m%d}.csv", 10 + week)
    with made.store.engine.connect() as connection:
        assert usual_rows(connection, "sales", date(2025, 3, 12), "") == [19, 18, 17, 16, 15, 14, 13, 12]


class _Away:
    """A store whose database does not answer."""

    def __init__(self, store):
        self.store, self.asked, self.up = store, 0, False

    def ask(self, question):
        self.asked += 1
        if not self.up:
            raise DatabaseUnavailable
        return self.store.ask(question)


def test_a_database_that_is_away_means_no_band_and_is_not_asked_all_the_time(service):
    made = service()
    for day in ("20250601", "20250608", "20250615", "20250622"):
        load(made, f"sales_data_{day}.csv", 10)
    away, now = _Away(made.store), [0.0]
    bands = Bands(away, clock=lambda: now[0])
    assert bands.of("sales:2025-06-29:") is bands.of("sales:2025-07-06:") is None
    assert away.asked == 1
    away.up, now[0] = True, 61.0
    assert bands.of("sales:2025-06-29:") is not None
    now[0] += 3599
    assert bands.of("sales:2025-06-29:") is not None
    assert away.asked == 2
    now[0] += 2
    assert bands.of("sales:2025-06-29:") is not None
    assert away.asked == 3


def test_a_short_file_is_taken_later_and_the_ledger_says_why(service):
    made = service()
    for day in ("20250601", "20250608", "20250615", "20250622"):
        load(made, f"sales_data_{day}.csv", 10)
    patient = service(settle={"grace_seconds": 0.2})
    load(patient, "sales_data_20250629.csv", 2)
    load(patient, "sales_data_20250706.csv", 5)
    assert [row["waited"] for row in ledger(made)][-2:] == ["fewer_rows_than_usual", None]
    assert {row["status"] for row in ledger(made)} == {"success"}
