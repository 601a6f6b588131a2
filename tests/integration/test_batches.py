"""Claims that share a folder: each goes its own way, and what a death leaves is recovered one by one."""

import os

import pytest
from sqlalchemy import select
from support.faults import Crash, release_locks
from support.files import csv_bytes, drop

from daemon import claims, together
from daemon.claims import Batch
from daemon.errors import TransientError
from daemon.files import Folders
from daemon.store import Store
from daemon.store.schema import DELIVERIES

SALES = "date,product_id,channel,quantity_sold,revenue"
NAMES = [f"sales_data_20250601_s{n}.csv" for n in range(4)]


@pytest.fixture
def folders(tmp_path):
    made = Folders(tmp_path)
    made.make()
    for at, name in enumerate(NAMES):
        os.utime(drop(made.inbox, name, name.encode()), (at, at))
    return made


def taken(folders, names=NAMES):
    batch = Batch(folders)
    found = [claims.take(folders, name, batch=batch) for name in names]
    batch.leave()
    claims.sync_all(folders, filter(None, found))
    return found


def test_a_batch_has_one_folder_that_goes_with_the_last_of_its_claims(folders):
    found = taken(folders)
    assert len(os.listdir(folders.work)) == 1
    assert len({claim.id for claim in found}) == len(NAMES)
    assert [claim.path.read_bytes() for claim in found] == [name.encode() for name in NAMES]
    assert [claims.id_at(str(claim.path.relative_to(folders.data_dir))) for claim in found] == [
        claim.id for claim in found
    ]
    assert list(claims.folders_of_claims(folders.work).values()) == [len(NAMES)]
    assert claims.release(folders, found[0])
    for claim in found[1:]:
        assert len(os.listdir(folders.work)) == 1
        claim.path.unlink()
        claims.drop(claim)
    assert os.listdir(folders.work) == []
    assert os.listdir(folders.inbox) == NAMES[:1]


def test_a_file_that_is_gone_is_not_claimed_and_a_batch_without_claims_leaves_no_folder(folders):
    assert taken(folders, ["sales_data_20250602.csv"]) == [None]
    Batch(folders).leave()
    assert os.listdir(folders.work) == []


def test_a_file_with_companions_has_a_folder_of_its_own(folders):
    drop(folders.inbox, f"{NAMES[1]}.done", b"")
    one, other, *_rest = taken(folders)
    assert one.batch is not None
    assert other.batch is None
    assert claims.companions(other) == [f"{NAMES[1]}.done"]
    assert claims.companions(one) == []


def test_nobody_recovers_what_is_held(folders):
    first, *rest = taken(folders)
    for claim in rest:
        claims.drop(claim)
    assert list(claims.orphans(folders)) == []
    claims.abandon(first)
    assert [claim.id for claim in claims.orphans(folders)] == [
        first.id,
        *(claim.id for claim in rest),  # their files are there, for nothing was done with them
    ]


def test_what_is_left_is_recovered_in_the_order_of_arrival(folders):
    found = taken(folders, [NAMES[2], NAMES[0], NAMES[3]])
    for claim in found:
        claims.abandon(claim)
    orphans = []
    for claim in claims.orphans(folders):
        orphans.append((claim.id, claim.name))
        assert claims.release(folders, claim)
    assert sorted(orphans) == sorted((claim.id, claim.name) for claim in found)
    assert sorted(os.listdir(folders.inbox)) == NAMES
    assert os.listdir(folders.work) == []


def test_a_name_that_was_sent_again_keeps_its_claim(folders):
    first, second = taken(folders, NAMES[:2])
    drop(folders.inbox, NAMES[0], b"another")
    assert not claims.release(folders, first)
    assert claims.release(folders, second)
    (orphan,) = claims.orphans(folders)
    assert (orphan.id, orphan.path.read_bytes()) == (first.id, NAMES[0].encode())


@pytest.mark.parametrize("when", ["before", "after"])
def test_files_in_the_archive_of_which_the_database_was_not_told_are_told_of(service, when):
    """The folder is empty then: whose it was is in the ledger."""
    made = service()
    for n, name in enumerate(NAMES):
        drop(made.folders.inbox, name, csv_bytes(SALES, [f"2025-06-01,P{n},pos,1,2.5"]))
    tell = Store.filed_all

    def dies(store, paths):
        if when == "after":
            tell(store, paths)
        raise Crash

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "filed_all", dies)
        with pytest.raises(Crash):
            made.drain()
    release_locks(made.folders.work)
    assert [len(os.listdir(claim / "file")) for claim in made.folders.work.iterdir()] == [0]
    service().drain()
    with made.store.engine.connect() as connection:
        paths = (
            connection.execute(select(DELIVERIES.c.archive_path).order_by(DELIVERIES.c.id)).scalars().all()
        )
    assert len(paths) == len(NAMES)
    assert all((made.folders.data_dir / path).is_file() for path in paths)
    assert os.listdir(made.folders.work) == []


def test_what_is_claimed_goes_back_when_the_world_does_not_get_well(service, monkeypatch):
    """While some are written, the next are claimed already."""
    monkeypatch.setattr(together, "MOST_FILES", 2)
    made = service(retry={"attempts": 1})
    for n, name in enumerate(NAMES):
        drop(made.folders.inbox, name, csv_bytes(SALES, [f"2025-06-01,P{n},pos,1,2.5"]))
    read = together.read_together
    calls = []

    def failing(some, rules):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return read(some, rules)

    monkeypatch.setattr(together, "read_together", failing)
    with pytest.raises(TransientError, match="No space"):
        made.drain()
    assert sorted(os.listdir(made.folders.inbox)) == NAMES[2:]
    monkeypatch.undo()
    service().drain()
    with made.store.engine.connect() as connection:
        rows = connection.execute(select(DELIVERIES.c.file_name, DELIVERIES.c.status)).all()
    assert sorted(tuple(row) for row in rows) == [(name, "success") for name in NAMES]
    assert os.listdir(made.folders.work) == []
