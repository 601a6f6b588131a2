"""The sample files, good and broken, through both databases: the same rows, rejects and aggregates, and the right ones."""

import re
from datetime import timedelta

import pytest
from conftest import make_settings, serving
from support.dump import dump, in_order
from support.files import tree
from support.oracle import LIVE, Oracle, aggregates

from daemon.sample import DEFAULT_LAST_DAY, generate, generate_corrupt, write_samples
from daemon.store import Store

DAYS, PRODUCTS, SEED = 4, 12, 7
pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def drained(_databases, tmp_path_factory):
    """All samples, loaded into SQLite and into PostgreSQL: (service, dump) of each."""
    found = {}
    for kind in ("sqlite", "postgresql"):
        folder = tmp_path_factory.mktemp(kind)
        url = _databases.make(kind, folder)
        store = Store.open(url)
        with serving(make_settings(folder / "data", url), store) as service:
            write_samples(service.folders.inbox, days=DAYS, products=PRODUCTS, seed=SEED, corrupt=True)
            service.drain()
        found[kind] = (service, dump(store.engine, by_name=True))
        store.close()
    yield found
    _databases.drop()


def good_and_corrupt():
    """The files that `write_samples` wrote."""
    last = DEFAULT_LAST_DAY - timedelta(days=DAYS + 91)
    return list(generate(DAYS, PRODUCTS, SEED)), list(generate_corrupt(SEED, last))


def test_both_databases_say_the_same_in_every_table(drained):
    ours, theirs = (_without_moments(drained[kind][1]) for kind in ("sqlite", "postgresql"))
    assert ours.keys() == theirs.keys()
    for table in ours:
        assert ours[table] == theirs[table], table


def _without_moments(tables):
    """The tables without the moment of arrival, which some messages name."""
    rejects = [
        row | {"message": re.sub(r"2\d{3}-.*, a day", "…, a day", row["message"])}
        for row in tables["rejected_rows"]
    ]
    return {**tables, "rejected_rows": in_order(rejects)}


def test_each_file_has_the_verdict_it_was_made_for(drained):
    _, tables = drained["sqlite"]
    by_name = {row["file_name"]: row for row in tables["data_ingestion_log"]}
    rejects = tables["rejected_rows"]
    good, corrupt = good_and_corrupt()
    assert len(by_name) == len(good) + len(corrupt) == len(tables["data_ingestion_log"])
    for file in (*good, *corrupt):
        row = by_name[file.name]
        assert row["status"] == file.status, (file.kind, row)
        if file.status == "failed":
            assert row["error_details"]["reason"] in file.reasons, (file.kind, row)
            assert row["records_successful"] == 0
            continue
        mine = [r for r in rejects if r["delivery"].startswith(f"{file.name} ")]
        assert sorted(r["line"] for r in mine) == list(file.reject_lines), file.kind
        assert sorted({r["reason"] for r in mine}) == sorted(file.reasons), file.kind
        assert row["records_processed"] == file.rows, file.kind
        assert row["records_failed"] == len(mine), file.kind


def test_the_ledgers_figures_add_up_with_the_tables(drained):
    for _, tables in drained.values():
        for row in tables["data_ingestion_log"]:
            parts = [row[f"records_{part}"] for part in ("successful", "failed", "duplicate")]
            assert row["records_processed"] == sum(parts)
            label = f"{row['file_name']} {row['sha256'][:12]}"
            live = sum(r["delivery"] == label for table in LIVE.values() for r in tables[table])
            shadowed = sum(r["delivery"] == label for t in LIVE.values() for r in tables[f"{t}_shadowed"])
            assert live + shadowed == row["records_successful"] + row["records_duplicate"], row["file_name"]


def test_rows_of_the_good_files_are_those_of_a_plain_reader(drained):
    good, corrupt = good_and_corrupt()
    plain = [
        f
        for f in corrupt
        if f.kind in ("crlf", "no_final_newline", "extra_column", "reordered_columns", "identical_sales")
    ]
    expected = Oracle()
    for file in (*good, *plain):
        expected.load(file.name, file.content)
    wanted = expected.tables()
    names = {f.name for f in (*good, *plain)}
    for _, tables in drained.values():
        for table in LIVE.values():
            ours = [row for row in tables[table] if row["delivery"].split(" ")[0] in names]
            assert ours == wanted[table]


def test_aggregates_are_those_of_the_rows(drained):
    for _, tables in drained.values():
        for name, rows in aggregates(tables).items():
            assert tables[name] == rows, name
    assert (
        min(len(tables[name]) for name in ("sales_daily", "inventory_daily", "demand_daily", "products")) > 0
    )


def test_every_file_is_filed_once_under_a_name_of_its_own(drained):
    good, corrupt = good_and_corrupt()
    contents = sorted(file.content for file in (*good, *corrupt))
    for service, _ in drained.values():
        files = tree(service.folders.data_dir)
        filed = {
            p: c
            for p, c in files.items()
            if not p.endswith((".reason.txt", ".rejects.csv", ".db", "-wal", "-shm"))
        }
        assert sorted(filed.values()) == contents
        refused = {path for path in filed if path.startswith("errors/")}
        assert len(refused) == sum(file.status == "failed" for file in corrupt)
        for path in refused:
            assert f"{path}.reason.txt" in files
        assert sum(path.endswith(".rejects.csv") for path in files) == sum(
            f.status == "partial" for f in corrupt
        )
