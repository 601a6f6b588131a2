"""`rebuild --verify`: a replay finds the same tables, and names what is not the same. On both databases."""

import contextlib
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import select, update
from support.dump import dump
from support.files import SALES, csv_bytes, tree
from support.site import APPENDS
from test_loads import SALES_ROWS

from daemon.rebuild.text import verification_text
from daemon.rebuild.verify import verify
from daemon.store.schema import METADATA

# what has nothing to do with the kind of database
ON_ONE = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def _as_wide_as_it_likes(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)


@contextlib.contextmanager
def no_bar(_of):
    yield lambda _done, _total: None


def verified(site, scratch=None, **changes):
    settings = site.service.settings
    return verify(settings.model_copy(update=changes), scratch, no_bar)


def test_a_replay_finds_the_same_tables(site_to_read, tmp_path):
    site = site_to_read
    before = dump(site.service.store.engine), tree(site.service.folders.data_dir / "processed")
    found = verified(site)
    assert found.examples == []
    assert found.is_equal
    loaded = [row for row in site.ledger() if row["status"] in ("success", "partial")]
    assert found.replayed == len(loaded)
    assert {each.table for each in found.tables} == set(METADATA.tables)
    assert all(each.rows for each in found.tables)  # the site has something of everything
    assert "is what their files make of it" in verification_text(found)
    assert (dump(site.service.store.engine), tree(site.service.folders.data_dir / "processed")) == before
    assert list(site.service.folders.work.iterdir()) == []
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert verified(site, elsewhere).is_equal
    assert list(elsewhere.iterdir()) == []


def test_an_empty_site_is_proved(service):
    made = service()
    found = verify(made.settings, None, no_bar)
    assert found.is_equal
    assert found.replayed == 0


def changed(value):
    """Another value of the same kind."""
    match value:
        case None:
            return 7
        case str():
            return f"{value}x"
        case datetime():
            return value + timedelta(seconds=1)
        case date():
            return value + timedelta(days=1)
        case _:
            return value + 1


TAMPERED = {
    "live_sales_data": "revenue",
    "live_sales_data_shadowed": "location",
    "live_inventory_updates": "last_reorder_date",
    "live_inventory_updates_shadowed": "reserved_stock",
    "live_demand_signals": "market_trend",
    "live_demand_signals_shadowed": "weather_factor",
    "live_products": "lead_time_std_days",
    "live_products_shadowed": "unit_cost",
    "sales_daily": "revenue_e4",
    "inventory_daily": "close",
    "demand_daily": "trend_sum_e6",
    "scope_daily": "value_e4",
    "hour_daily": "units",
    "products": "first_seen",
    "rejected_rows": "message",
    "data_ingestion_log": "records_successful",
}


def tamper(engine, name, column):
    """Changes one value; what it was, and its row."""
    table = METADATA.tables[name]
    with engine.begin() as connection:
        row = (
            connection.execute(select(table).where(table.c[column].is_not(None)).order_by(*table.primary_key))
            .mappings()
            .first()
        )
        key = [column == row[column.name] for column in table.primary_key]
        connection.execute(update(table).where(*key).values({column: changed(row[column])}))
        return dict(row)


def test_every_table_can_be_tampered_with():
    assert TAMPERED.keys() == METADATA.tables.keys()


def test_one_tampered_value_in_each_table_is_named(site):
    engine = site.service.store.engine
    files = {row["id"]: row["file_name"] for row in site.ledger()}
    rows = {name: tamper(engine, name, column) for name, column in TAMPERED.items()}
    found = verified(site)
    assert not found.is_equal
    assert {each.table: each.differences for each in found.tables} == dict.fromkeys(TAMPERED, 1)
    assert {each.table: each.column for each in found.examples} == TAMPERED
    for each in found.examples:
        row = rows[each.table]
        if "delivery_id" in row:
            assert (each.delivery, each.line) == (row["delivery_id"], row["line"])
            assert each.file == files[each.delivery]
        elif each.table == "data_ingestion_log":
            assert (each.delivery, each.file) == (row["id"], row["file_name"])
        else:
            named = [name for name in ("product_id", "scope", "hour") if name in row]
            assert named
            assert all(each.key[name] == row[name] for name in named)
            assert each.behind
        was = row[each.column]
        if not isinstance(was, date):
            assert each.replay == (was if isinstance(was, str) else pytest.approx(float(was)))
            assert each.database != each.replay
    text = verification_text(found)
    for name, column in TAMPERED.items():
        line = next(line for line in text.splitlines() if line.startswith(f"  {name}, "))
        assert f", {column}: " in line
        assert "deliver" in line
    assert "explain ID" in text


def test_rows_that_are_too_many_or_too_few_are_named(site):
    live = METADATA.tables["live_sales_data"]
    with site.service.store.engine.begin() as connection:
        row = connection.execute(select(live).order_by(live.c.id)).mappings().first()
        extra = {k: v for k, v in row.items() if k not in ("delivery_id", "line")} | {"id": row["id"] + 100}
        connection.execute(live.insert().values(extra))
        connection.execute(live.delete().where(live.c.id == row["id"]))
    first, second = verified(site).examples
    assert (first.delivery, first.line, first.column, first.database) == (1, row["line"], None, None)
    assert first.replay["product_id"] == row["product_id"]
    assert (second.line, second.replay) == (row["line"] + 100, None)


@ON_ONE
def test_only_the_first_differences_are_kept(site):
    live = METADATA.tables["live_sales_data"]
    with site.service.store.engine.begin() as connection:
        count = connection.execute(update(live).values(channel="pos", fulfillment_method="x")).rowcount
    found = verified(site)
    assert found.differences > count > len(found.examples) == 20
    assert "the first 20 of" in verification_text(found)


# ---- files that are not there as they were


def all_files(site):
    return [row for row in site.ledger() if row["status"] in ("success", "partial")]


@pytest.mark.parametrize("first", [0, 1])
def test_files_that_are_gone_are_named_and_the_rest_is_still_compared(site, first):
    """Every other file: the first, third…, or the second, fourth… (each alone: tests/soak)."""
    gone = all_files(site)[first::2]
    for row in gone:
        (site.service.folders.data_dir / row["archive_path"]).unlink()
    found = verified(site)
    assert [(remark.delivery, remark.file, remark.why) for remark in found.not_replayed] == [
        (row["id"], row["file_name"], f"{row['archive_path']} is missing") for row in gone
    ]
    assert found.replayed == len(all_files(site)) - len(gone)
    assert found.examples == []
    assert not found.is_equal


@ON_ONE
def test_all_files_are_gone(site):
    for row in all_files(site):
        (site.service.folders.data_dir / row["archive_path"]).unlink()
    found = verified(site)
    assert (found.replayed, len(found.not_replayed)) == (0, len(all_files(site)))
    assert found.examples == []
    text = verification_text(found)
    assert "their rows prove nothing" in text
    assert f"… and {len(found.not_replayed) - 20} more" in text
    # what is made of rows can still be proved
    tamper(site.service.store.engine, "sales_daily", "units")
    (difference,) = verified(site).examples
    assert (difference.table, difference.column) == ("sales_daily", "units")


@ON_ONE
def test_changed_and_odd_files_are_named(site):
    folder = site.service.folders.data_dir
    rows = all_files(site)
    edited, linked, closed = (folder / row["archive_path"] for row in rows[:3])
    edited.write_bytes(edited.read_bytes().replace(b"A-1", b"A-2"))
    linked.rename(linked.with_suffix(".kept"))
    linked.symlink_to(linked.with_suffix(".kept"))
    closed.unlink()
    closed.mkdir()
    found = verified(site)
    whys = [remark.why for remark in found.not_replayed]
    assert "has other bytes than it had" in whys[0]
    assert "cannot be read" in whys[1]
    assert "cannot be read" in whys[2]
    assert found.examples == []


@ON_ONE
def test_a_file_that_was_moved_since_is_found(site):
    row = all_files(site)[0]
    site.service.store.filed(row["id"], "processed/elsewhere.csv")
    folder = site.service.folders.data_dir
    (folder / row["archive_path"]).rename(folder / "processed/elsewhere.csv")
    assert verified(site).is_equal


# ---- settings that are not what they were


@ON_ONE
def test_a_pattern_that_is_gone_shows(site_to_read):
    site = site_to_read
    feeds = type(site.service.settings.feeds).model_validate({"demand": {"patterns": ["nothing"]}, **APPENDS})
    found = verified(site, feeds=feeds)
    assert {remark.why.partition(":")[0] for remark in found.otherwise} == {"the replay refuses it"}
    assert len(found.otherwise) == 2
    assert not found.is_equal
    text = verification_text(found)
    assert "Would not be loaded today" in text
    assert "settings" in text


@ON_ONE
def test_a_limit_that_is_lower_now_does_not_matter(site_to_read):
    site = site_to_read
    limits = site.service.settings.limits.model_copy(update={"max_rejects": 0, "max_reject_share": 0.0})
    assert verified(site, limits=limits).is_equal


# ---- what was taken out leaves traces that a replay cannot know


def test_counts_of_rows_that_were_known_when_they_came(site):
    header = f"{SALES},transaction_id"
    row = "2025-06-09,A,pos,1,1.00,,,,,T9"
    first = site.deliver("sales_data_20250609_a.csv", csv_bytes(header, [row]))
    second = site.deliver(
        "sales_data_20250609_b.csv", csv_bytes(header, [row, "2025-06-09,B,pos,1,1.00,,,,,T9"])
    )
    assert (second["records_successful"], second["records_duplicate"]) == (1, 1)
    site.unload(first)
    assert verified(site).is_equal
    tamper(site.service.store.engine, "data_ingestion_log", "records_successful")
    assert not verified(site).is_equal


@ON_ONE  # the test before asks both for what was unloaded
def test_fixes_that_were_taken_out_and_sent_again(site):
    bad = ["2025-06-01,A-1,shop,1,1.00,,,,", "2025-06-01,A-1,online,1.5,1.00,,,,"]
    first = site.deliver("sales_data_20250610.csv", csv_bytes(SALES, [*SALES_ROWS, *bad]))
    one = site.fix(first, line_6={"channel": "pos"})
    other = site.fix(first, line_7={"quantity_sold": "2"})
    site.unload(other)
    assert verified(site).is_equal
    site.unload(one)
    assert verified(site).is_equal
    count = verified(site).replayed
    site.fix(first, line_7={"quantity_sold": "3"})
    found = verified(site)
    assert (found.is_equal, found.replayed) == (True, count + 1)


# ---- while others work


def test_what_arrives_meanwhile_is_not_looked_at(site):
    def bar(_of):
        @contextlib.contextmanager
        def opened():
            come = iter([lambda: site.deliver("sales_data_20250620.csv", csv_bytes(SALES, SALES_ROWS))])

            def advance(_done, _total):
                next(come, lambda: None)()

            yield advance

        return opened()

    count = len(site.ledger())
    found = verify(site.service.settings, None, bar)
    assert len(site.ledger()) == count + 2
    assert found.is_equal
    assert verified(site).replayed == found.replayed + 1


@ON_ONE
def test_nothing_is_left_behind_when_it_is_broken_off(site_to_read):
    site = site_to_read

    @contextlib.contextmanager
    def bar(_of):
        def advance(done, _total):
            assert list(site.service.folders.work.iterdir()) != []
            if done == 3:
                raise KeyboardInterrupt

        yield advance

    with pytest.raises(KeyboardInterrupt):
        verify(site.service.settings, None, bar)
    assert list(site.service.folders.work.iterdir()) == []
