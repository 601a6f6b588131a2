"""The order in which files arrive makes no difference to the tables. On both databases."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.dump import dump
from support.files import DEMAND, INVENTORY, SALES, SALES_WITH_TRANSACTION, csv_bytes, drop
from support.loading import load, wipe

from daemon.sample import generate

# Distinct slots, and no key of one in another; products and days in common, so that the aggregates meet.
FILES = (
    (
        "sales_data_20250601.csv",
        csv_bytes(SALES, ["2025-06-01,A,pos,1,2.5,,,,s1", "2025-06-01,B,pos,2,5,,P,,s1"]),
    ),
    ("sales_data_20250601_web.csv", csv_bytes(SALES, ["2025-06-01T23:59:59,A,pos,1,0.0001,,,,s1"])),
    (
        "sales_data_20250602.csv",
        csv_bytes(SALES, ["2025-06-02,A,online,3,9,,,,", "2025-06-02,A,shop,3,9,,,,"]),
    ),
    (
        "sales_data_20250602_tx.csv",
        csv_bytes(
            SALES_WITH_TRANSACTION, ["2025-06-02,C,online,1,9,,,,,T1", "2025-06-02,C,online,1,9,,,,,T1"]
        ),
    ),
    ("inventory_data_20250601.csv", csv_bytes(INVENTORY, ["2025-06-01,A,s1,5,,,,", "2025-06-01,A,s2,6,,,,"])),
    ("inventory_data_20250601_pm.csv", csv_bytes(INVENTORY, ["2025-06-01T18:00:00,A,s1,3,1,2,,"])),
    ("demand_data_20250601.csv", csv_bytes(DEMAND, ["2025-06-01,A,high,0.5,10,,,", "2025-05-30,D,low,,,,,"])),
    ("demand_data_20250601_pm.csv", csv_bytes(DEMAND, ["2025-06-01T18:00:00,A,low,-0.25,11,,,1"])),
)


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(order=st.permutations(FILES))
def test_any_order_gives_the_same_tables(store, order):
    found = []
    for files in (FILES, order):
        wipe(store.engine)
        for name, content in files:
            load(store, name, content)
        found.append(dump(store.engine, by_name=True))
    assert found[0] == found[1]


def test_sample_files_forwards_and_backwards(service):
    files = list(generate(3, 8, seed=3))
    found = []
    for order in (files, files[::-1]):
        made = service()
        wipe(made.store.engine)
        for file in order:
            drop(made.folders.inbox, file.name, file.content)
            made.drain()
        found.append(dump(made.store.engine, by_name=True))
    assert found[0] == found[1]
    assert len(found[0]["data_ingestion_log"]) == len(files)
