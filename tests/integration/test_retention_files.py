"""Old files: compressed so that everybody still finds them, removed when they are very old, whole after a kill."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import zstandard
from support.files import SALES, csv_bytes
from support.site import Site
from test_loads import SALES_ROWS
from test_rebuild import verified

from daemon import backup, hands, packing
from daemon.dry_run import beside_database, dry_run
from daemon.files import sha256_of
from daemon.reading import Rules
from daemon.retention import files as files_module
from daemon.retention import retain
from daemon.store import Store
from daemon.store import retention as store_retention
from daemon.story.tell import look_up, tell

NAME = "sales_data_20250601.csv"
LATER = datetime.now(UTC) + timedelta(days=31)


def retained(site, now=LATER, *, dry=False, **settings):
    wanted = site.service.settings
    wanted = wanted.model_copy(update={"retention": wanted.retention.model_copy(update=settings)})
    return retain(wanted, site.service.store, dry=dry, now=lambda: now)


def there(site):
    """The files in processed/: name, and what was delivered."""
    root = site.service.folders.processed
    return {path.name: packing.delivered_sha256(path) for path in sorted(root.rglob("*")) if path.is_file()}


def test_a_whole_site_is_still_proved(site):
    """Fixes, corrections, duplicates, extensions: compressed, each is replayed from its file."""
    before = site.ledger()
    dry = retained(site, dry=True)
    assert site.ledger() == before
    done = retained(site)
    assert done.files.compressed == dry.files.compressed > 5
    assert done.files.left == []
    plain = [
        row["archive_path"]
        for row in site.ledger()
        if (row["archive_path"] or "").startswith("processed/") and not row["archive_path"].endswith(".zst")
    ]
    assert [path for path in plain if not path.endswith(".gz")] == []
    for row in site.ledger():
        if row["archive_path"] in plain or (row["archive_path"] or "").endswith(".zst"):
            assert (
                packing.delivered_sha256(site.service.folders.data_dir / row["archive_path"]) == row["sha256"]
            )
    found = verified(site)
    assert found.is_equal, found.as_dict()
    again = retained(site)
    assert (again.files.compressed, again.files.left) == (0, [])


def test_what_is_not_done_in_time_is_left_to_the_next_pass(site):
    every = retained(site, dry=True).files.compressed
    settings, store = site.service.settings, site.service.store
    first = retain(settings, store, files_minutes=0, now=lambda: LATER)
    assert (first.files.compressed, first.files.later) == (0, every)
    assert first.as_dict()["files_later"] == every
    again = retain(settings, store, files_minutes=1, now=lambda: LATER)
    assert (again.files.compressed, again.files.later) == (every, 0)


@pytest.fixture
def one(service):
    empty_site = Site(service())
    row = empty_site.deliver(NAME, csv_bytes(SALES, SALES_ROWS))
    (empty_site.service.folders.data_dir / f"{row['archive_path']}.sha256").write_text("a manifest\n")
    return empty_site


def test_readers_find_it(one, tmp_path):
    first = one.ledger()[0]
    mtime = (one.service.folders.data_dir / first["archive_path"]).stat().st_mtime
    retained(one)
    row = one.ledger()[0]
    assert row["archive_path"] == f"{first['archive_path']}.zst"
    folders, store = one.service.folders, one.service.store
    assert (folders.data_dir / row["archive_path"]).stat().st_mtime == mtime
    for word in (
        NAME,
        first["archive_path"],
        row["archive_path"],
        str(folders.data_dir / first["archive_path"]),
    ):
        assert look_up(word, folders, store, folders.data_dir).deliveries == (1,), word
    assert '"file_is_there": true' in json.dumps(tell("1", one.service.settings, store, tmp_path))
    with beside_database(one.service.settings) as beside:  # any zstd program reads it, so ours does as well
        rules = Rules.of(one.service.settings)
        verdict = dry_run(folders.data_dir / row["archive_path"], rules, 0, beside.and_with(1))
    assert (verdict.rows, verdict.difference.added, verdict.difference.removed) == (len(SALES_ROWS), 0, 0)
    again = one.deliver(NAME, csv_bytes(SALES, SALES_ROWS))
    assert (again["status"], again["duplicate_of"]) == ("duplicate", 1)


def test_unloaded_it_is_as_it_was_delivered(one):
    content = csv_bytes(SALES, SALES_ROWS)
    retained(one)
    (gone,) = hands.unload(1, "by mistake", one.service.store, one.service.folders)
    data = one.service.folders.data_dir
    assert gone.path == f"errors/{NAME}"
    assert (data / gone.path).read_bytes() == content
    assert (data / f"{gone.path}.sha256").exists()
    assert there(one) == {}
    row = one.ledger()[0]
    (data / f"{gone.path}.sha256").unlink()
    hands.retry(row, one.service.store, one.service.folders, force=False)
    one.service.drain()
    assert one.ledger()[-1]["status"] == "success"


def test_the_same_name_twice_in_a_month(one):
    retained(one)
    other = csv_bytes(SALES, [*SALES_ROWS, "2025-06-01,Z,pos,1,1,,,,"])
    assert one.deliver(NAME, other)["archive_path"].endswith(f"/{NAME}")
    retained(one)
    assert [Path(row["archive_path"]).name for row in one.ledger()] == [f"{NAME}.zst", f"{NAME}.2.zst"]
    assert verified(one).is_equal
    hands.unload(2, "", one.service.store, one.service.folders)
    assert (one.service.folders.errors / NAME).read_bytes() == other
    assert set(there(one)) == {f"{NAME}.zst", f"{NAME}.sha256"}


class Killed(BaseException):
    """As by SIGKILL: nothing is tidied up after it."""


KILLS = [
    (packing, "rename"),
    (packing, "sync_folder"),
    (store_retention, "refiled"),
    (files_module, "_stamp"),
    (files_module, "sync_folder"),
]


@pytest.mark.parametrize(("module", "step"), KILLS, ids=lambda each: getattr(each, "__name__", each))
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_kill_loses_nothing(one, monkeypatch, module, step, after):
    first, real = one.ledger()[0], getattr(module, step)

    def dies(*args, **kwargs):
        if after:
            real(*args, **kwargs)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(module, step, dies)
        with pytest.raises(Killed):
            retained(one)
    assert verified(one).is_equal
    assert first["sha256"] in there(one).values()
    retained(one)
    assert there(one) == {f"{NAME}.zst": first["sha256"], f"{NAME}.sha256": there(one)[f"{NAME}.sha256"]}
    assert verified(one).is_equal


@pytest.mark.parametrize("step", ["unpack", "sync_folder"])
def test_a_kill_while_it_is_unpacked_loses_nothing(one, monkeypatch, step):
    retained(one)
    real = getattr(packing, step)

    def dies(*args, **kwargs):
        real(*args, **kwargs)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(packing, step, dies)
        with pytest.raises(Killed):
            hands.unload(1, "", one.service.store, one.service.folders)
    hands.finish_unloads(one.service.store, one.service.folders)
    assert (one.service.folders.errors / NAME).read_bytes() == csv_bytes(SALES, SALES_ROWS)
    assert set(there(one)) == set()


def test_taken_out_while_it_is_compressed(one, monkeypatch):
    real = store_retention.refiled

    def late(connection, was, now, sha256):
        return real(connection, f"{was}x", now, sha256)

    with monkeypatch.context() as patched:
        patched.setattr(store_retention, "refiled", late)
        assert retained(one).files.compressed == 0
    assert set(there(one)) == {NAME, f"{NAME}.sha256"}


def test_other_bytes_are_left_alone(one):
    path = one.service.folders.data_dir / one.ledger()[0]["archive_path"]
    path.write_bytes(b"edited")
    done = retained(one, files_days=40)
    assert done.files.left == [one.ledger()[0]["archive_path"]]
    done = retained(one, LATER + timedelta(days=10), files_days=40)
    assert (done.files.removed, path.read_bytes()) == (0, b"edited")


def test_what_cannot_be_compressed_loses_nothing(one, monkeypatch):
    """What was written is read back: a disk that does not keep what it is given is noticed."""
    real = packing.unpacked
    monkeypatch.setattr(packing, "unpacked", lambda path: (chunk[:-1] for chunk in real(path)))
    with pytest.raises(packing.Damaged, match="not what was read"):
        retained(one)
    assert (
        sha256_of(one.service.folders.data_dir / one.ledger()[0]["archive_path"]) == one.ledger()[0]["sha256"]
    )
    assert set(there(one)) == {NAME, f"{NAME}.sha256"}


def test_removed_when_very_old(one):
    retained(one)
    much_later = datetime.now(UTC) + timedelta(days=101)
    assert retained(one, much_later, dry=True, files_days=100).files.removed == 1
    done = retained(one, much_later, files_days=100)
    assert (done.files.removed, done.files.compressed) == (1, 0)
    assert there(one) == {}
    assert retained(one, much_later, files_days=100).files.removed == 0
    found = verified(one)
    assert found.differences == 0
    assert "retention.files_days" in found.not_replayed[0].why
    (gone,) = hands.unload(1, "", one.service.store, one.service.folders)
    assert gone.path is None
    assert one.ledger()[0]["status"] == "unloaded"


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_backup_from_before_knows_it(one):
    """Compressed since, it is no unknown file; what came since comes again as it was delivered."""
    made = backup.make_backup(one.service.settings)
    since = csv_bytes(SALES, ["2025-06-02,A,pos,1,1,,,,"])
    one.deliver("sales_data_20250602.csv", since)
    retained(one)
    shutil.copy(
        one.service.folders.data_dir / one.ledger()[0]["archive_path"],
        one.service.folders.processed / "left.csv.zst",
    )
    one.service.store.close()
    found = backup.restore(one.service.settings, Path(made.file), redeliver=True)
    assert [Path(name).name for name in found.unknown] == ["sales_data_20250602.csv.zst"]
    assert (one.service.folders.inbox / "sales_data_20250602.csv").read_bytes() == since
    store = Store.open(one.service.settings.database_url)
    try:
        assert store.delivery(1)["archive_path"].endswith(".csv")
    finally:
        store.close()
    assert verified(one).is_equal
    retained(one)
    assert one.ledger()[0]["archive_path"].endswith(".csv.zst")


def test_a_sender_s_own_archive_is_none_of_ours(tmp_path):
    path = tmp_path / "x.csv.zst"
    path.write_bytes(zstandard.compress(b"a,b\n"))
    assert packing.packed_sha256(path) is None
    assert packing.delivered_sha256(path) == sha256_of(path)
