"""Old rows of the feeds go; what was made of them stays, and nothing that comes later counts twice."""

import itertools
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from support.dump import dump
from support.files import DEMAND, INVENTORY, PRODUCTS, SALES, SALES_WITH_TRANSACTION, csv_bytes, drop
from support.site import Sites, site_at
from test_rebuild import ON_ONE, no_bar, verified

from daemon import backup
from daemon.dry_run import beside_database, dry_run
from daemon.reading import Rules
from daemon.rebuild.move import move
from daemon.rebuild.text import verification_text
from daemon.retention import retain
from daemon.store import raw_rows, top_products
from daemon.store.derived import DERIVED, REMOVED_DAYS
from daemon.store.retention import newest_day
from daemon.store.store import Store
from daemon.store.unload import CannotUnload
from daemon.story.tell import tell
from daemon.story.text import story_text
from handlers import feed_named

NOW = datetime.now(UTC) + timedelta(days=30)  # what came late is not young any more
DAYS = [date(2025, 5, 1) + timedelta(n) for n in range(6)]
FIRST = DAYS[3]  # the first day that stays


def day_name(feed, day, suffix=""):
    return f"{feed}_data_{day:%Y%m%d}{suffix}.csv"


def sales(day, *, units=1, products="AB", channel="pos"):
    return [f"{day}T09:00:00,{p},{channel},{units},{units}.50,,,,s1" for p in products]


def receipts(day, *, units=1, products="AB"):
    return [f"{day}T10:00:00,{p},pos,{units},2.00,,,,s1,T-{day}-{p}" for p in products]


def stock(day, *, level=5, hour=8, products="AB"):
    return [f"{day}T{hour:02}:00:00,{p},s1,{level},1,2,," for p in products]


def signals(day, *, word="high", products="AB"):
    return [f"{day}T07:00:00,{p},{word},0.5,9.99,,," for p in products]


def fill(site):
    """Six days of every feed: corrections, rows that stepped back, a fix, an extension; some at once."""

    def put(name, header, rows):
        drop(site.service.folders.inbox, name, csv_bytes(header, rows))

    for n, day in enumerate(DAYS):
        bad = [f"{day},C,pos,x,1.00,,,,"] if n in (1, 4) else []
        put(day_name("sales", day), SALES, [*sales(day), *bad])
        put(day_name("sales", day, "_till"), SALES_WITH_TRANSACTION, receipts(day))
        none = [f"{day}T23:30:00,A,s1,x,,,,"] if n == 1 else []
        put(day_name("inventory", day), INVENTORY, [*stock(day), *stock(day, hour=20, level=4), *none])
        put(day_name("demand", day), DEMAND, signals(day))
    put(f"products_{DAYS[0]:%Y%m%d}.csv", PRODUCTS, ["A,a,,1,2,,,,,,,"])
    put("till_log.csv", SALES, sales(DAYS[0], channel="online"))
    site.service.drain()
    for n, day in enumerate(DAYS):
        if n in (2, 5):
            put(day_name("sales", day), SALES, sales(day, units=3))
        if n not in (0, 1, 4):
            continue
        put(day_name("sales", day, "_web"), SALES_WITH_TRANSACTION, receipts(day, units=2, products="BC"))
        put(day_name("inventory", day, "_b"), INVENTORY, stock(day, hour=20, level=3, products="A"))
    put("till_log.csv", SALES, [*sales(DAYS[0], channel="online"), *sales(DAYS[4], channel="online")])
    site.service.drain()
    site.fix(loaded(site, day_name("inventory", DAYS[1])), line_6={"stock_level": "9"})
    site.fix(loaded(site, day_name("sales", DAYS[1])), line_4={"quantity_sold": "7"})


def loaded(site, name):
    """The row of the last delivery of a name."""
    return [row for row in site.ledger() if row["file_name"] == name][-1]


@pytest.fixture(scope="module")
def old_sites(_databases, tmp_path_factory):
    return Sites(_databases, tmp_path_factory.mktemp("old"), fill)


@pytest.fixture
def site(old_sites, databases, database_kind, tmp_path):
    with old_sites.copy(database_kind, tmp_path) as made:
        yield made


def keep_days(site, first=FIRST):
    with site.service.store.engine.connect() as connection:
        return (newest_day(connection) - first).days


def retained(site, *, dry=False, first=FIRST, now=NOW):
    wanted = site.service.settings
    some = {
        "data_days": keep_days(site, first),
        "compress_days": None,
        "rejects_days": None,
        "alerts_days": None,
    }
    wanted = wanted.model_copy(update={"retention": wanted.retention.model_copy(update=some)})
    rows = retain(wanted, site.service.store, dry=dry, now=lambda: now).rows
    return {table: count for table, count in rows.items() if count}


def everything(site):
    engine = site.service.store.engine
    tables = dump(engine)
    with engine.connect() as connection:
        for table in DERIVED.sorted_tables:
            rows = [repr(sorted(dict(row).items())) for row in connection.execute(select(table)).mappings()]
            tables[table.name] = sorted(rows)
    return tables


def without_old(tables, first=FIRST):
    """What is to be there afterwards: the same, but for the rows of old days."""
    old = {name: [row for row in tables[name] if row["date"] >= f"{first}"] for name in raw_rows.NAMES}
    return tables | old


def forgotten(tables):
    """Without what says that rows were removed."""
    tables = dict(tables)
    del tables[REMOVED_DAYS.name]
    tables["data_ingestion_log"] = [
        {**row, "error_details": {k: v for k, v in row["error_details"].items() if k != "rows_removed_at"}}
        for row in tables["data_ingestion_log"]
    ]
    return tables


def test_only_rows_of_old_days_go(site):
    before = everything(site)
    would = retained(site, dry=True)
    assert everything(site) == before
    assert retained(site) == would
    after = everything(site)
    assert forgotten(after) == forgotten(without_old(before))
    gone = {name: len(before[name]) - len(after[name]) for name in raw_rows.NAMES}
    assert would == {name: count for name, count in gone.items() if count}
    assert set(would) == set(raw_rows.NAMES) - {"live_demand_signals_shadowed"}
    assert retained(site) == {}
    assert everything(site) == after
    found = verified(site)
    assert found.is_equal, found.as_dict()
    assert found.rows_removed > 10


class Killed(BaseException):
    """As by SIGKILL: nothing is tidied up after it."""


def test_killed_after_any_step_it_goes_on_and_ends_the_same(site, monkeypatch):
    monkeypatch.setattr(raw_rows, "_ROWS", 4)
    before = everything(site)
    change, steps = Store.change, itertools.count()
    for allowed in itertools.count():
        left = iter(range(allowed % 5))

        def dies(self, work, gives_way=None, left=left):
            next(steps)
            if next(left, None) is None:
                raise Killed
            return change(self, work, gives_way)

        with monkeypatch.context() as patched:
            patched.setattr(Store, "change", dies)
            try:
                retained(site)
                break
            except Killed:
                assert figures(everything(site)) == figures(before)
    assert next(steps) > 60
    assert forgotten(everything(site)) == forgotten(without_old(before))


def figures(tables):
    """What no retention may change at any moment."""
    return {name: rows for name, rows in forgotten(tables).items() if name not in raw_rows.NAMES}


DAILY_TABLES = ("sales_daily", "inventory_daily", "demand_daily", "scope_daily", "hour_daily", "products")
KINDS = {"sales": (SALES, sales), "inventory": (INVENTORY, stock), "demand": (DEMAND, signals)}


# ---- what comes afterwards


@pytest.fixture
def kept(site):
    """The site after its rows of the first three days went."""
    retained(site)
    return site


def rows_of(site, table, **wanted):
    return [
        row
        for row in everything(site)[table]
        if all(str(row[name]).startswith(str(value)) for name, value in wanted.items())
    ]


def units(site, day, product="A", channel="pos"):
    found = rows_of(site, "sales_daily", day=day, product_id=product, channel=channel)
    return sum(row["units"] for row in found)


def refusal(row):
    assert row["status"] == "failed", row
    return row["error_details"]["reason"], row["error_details"]["message"]


def test_late_sales_are_added(kept):
    """Another file of an old day, twice; what was delivered before is still known by its bytes."""
    day = DAYS[1]
    had = units(kept, day)
    again = kept.deliver(day_name("sales", day, "_till"), csv_bytes(SALES_WITH_TRANSACTION, receipts(day)))
    assert again["status"] == "duplicate"
    late = csv_bytes(SALES, sales(day, units=10))
    row = kept.deliver(day_name("sales", day, "_late"), late)
    assert (row["status"], units(kept, day)) == ("success", had + 10)
    assert kept.deliver(day_name("sales", day, "_other"), late)["status"] == "duplicate"
    kept.unload(row)
    assert units(kept, day) == had
    back = kept.deliver(day_name("sales", day, "_late"), late)
    assert units(kept, day) == had + 10
    # it can be taken out for a week, and then its rows go, too
    assert retained(kept, now=datetime.now(UTC) + timedelta(6)) == {}
    before = everything(kept)
    assert retained(kept) == {"live_sales_data": 2}
    assert figures(everything(kept)) == figures(before)
    with pytest.raises(
        CannotUnload, match=r"rows of delivery \d+ .* were removed on .* \(retention.data_days\)"
    ):
        kept.unload(back)
    assert verified(kept).is_equal


def test_old_transactions_are_held_for_a_person(kept):
    day, name = DAYS[0], day_name("sales", DAYS[0], "_late")
    had = units(kept, day)
    repeated = csv_bytes(SALES_WITH_TRANSACTION, [*receipts(day, products="A"), *receipts(day, products="Z")])
    row = kept.deliver(name, repeated)
    reason, message = refusal(row)
    assert reason == "old_transactions"
    assert f"1 of its 2 rows name a transaction_id, are of {day}" in message
    assert units(kept, day) == had
    with beside_database(kept.service.settings) as beside:
        file = kept.service.folders.data_dir / row["archive_path"]
        verdict = dry_run(file, Rules.of(kept.service.settings), 0, beside)
    assert (verdict.status, verdict.reason) == ("failed", "old_transactions")
    # a product without figures of that day was never counted
    fresh = kept.deliver(
        day_name("sales", day, "_z"), csv_bytes(SALES_WITH_TRANSACTION, receipts(day, products="Z"))
    )
    assert (fresh["status"], units(kept, day, "Z")) == ("success", 1)
    again = kept.force(row)
    assert (again["status"], units(kept, day)) == ("success", had + 1)
    # what a person says of other things, or said before it was taken out, is not said of that
    kept.unload(again)
    held = kept.force(kept.ledger()[-1])
    assert (refusal(held)[0], units(kept, day)) == ("old_transactions", had)
    assert kept.force(held)["status"] == "success"
    assert units(kept, day) == had + 1
    # it was counted before indeed, which the files prove
    found = verified(kept)
    assert {each.table for each in found.examples} >= {"sales_daily"}


@ON_ONE
def test_a_correction_of_a_file_whose_rows_are_gone(kept):
    for feed, header, rows in (
        ("sales", SALES, sales),
        ("inventory", INVENTORY, stock),
        ("demand", DEMAND, signals),
    ):
        before = everything(kept)
        name = day_name(feed, DAYS[0])
        row = kept.deliver(name, csv_bytes(header, rows(DAYS[0], products="AX")))
        reason, message = refusal(row)
        assert reason == "rows_removed"
        assert "would replace delivery" in message
        with beside_database(kept.service.settings) as beside:
            file = kept.service.folders.data_dir / row["archive_path"]
            assert dry_run(file, Rules.of(kept.service.settings), 0, beside).reason == "rows_removed"
        assert figures(everything(kept))["scope_daily"] == figures(before)["scope_daily"]
        # of a day that stays it is a correction as ever
        assert (
            kept.deliver(day_name(feed, DAYS[4]), csv_bytes(header, rows(DAYS[4], products="AX")))["status"]
            == "success"
        )


@ON_ONE
def test_what_cannot_be_taken_out_any_more(kept):
    fixed, fix = loaded(kept, day_name("sales", DAYS[1])), kept.ledger()[-1]
    before = everything(kept)
    for row in (
        fixed,
        fix,
        loaded(kept, day_name("inventory", DAYS[0])),
        loaded(kept, day_name("demand", DAYS[2])),
    ):
        with pytest.raises(CannotUnload, match="what they added cannot be taken off any more"):
            kept.unload(row)
    assert everything(kept) == before
    for day in DAYS[4:5]:
        for name in (
            day_name("sales", day, "_web"),
            day_name("inventory", day, "_b"),
            day_name("demand", day),
        ):
            kept.unload(loaded(kept, name))
    first = kept.deliver(day_name("sales", DAYS[5], "_x"), csv_bytes(SALES, sales(DAYS[0], units=8)))
    second = kept.deliver(day_name("sales", DAYS[5], "_x"), csv_bytes(SALES, sales(DAYS[5], units=9)))
    retained(kept)
    with pytest.raises(CannotUnload, match=rf"{second['id']} has replaced it, and it would count again"):
        kept.unload(second)
    assert first["id"] < second["id"]
    assert verified(kept).is_equal


@ON_ONE
def test_rejects_of_a_file_whose_rows_are_gone(site):
    name = day_name("sales", DAYS[0], "_bad")
    first = site.deliver(name, csv_bytes(SALES, [*sales(DAYS[0]), f"{DAYS[0]},C,pos,x,1.00,,,,"]))
    retained(site)
    before = everything(site)["sales_daily"]
    reason, message = refusal(site.fix(first, line_4={"quantity_sold": "7"}))
    assert reason == "stale_rejects"
    assert "drop the corrected rows as a file of their own" in message
    assert everything(site)["sales_daily"] == before


@ON_ONE
def test_a_file_that_goes_on_growing(kept):
    """What it begins with is known by its bytes, whether the rows of that are there or not."""
    old = [*sales(DAYS[0], channel="online"), *sales(DAYS[4], channel="online")]
    retained(kept, first=DAYS[5])
    had = units(kept, DAYS[4], channel="online")
    row = kept.deliver("till_log.csv", csv_bytes(SALES, [*old, *sales(DAYS[5], channel="online", units=4)]))
    assert (row["status"], row["extends"] is not None) == ("success", True)
    assert (units(kept, DAYS[4], channel="online"), units(kept, DAYS[5], channel="online")) == (had, 4)
    assert verified(kept).is_equal


def test_late_snapshots_are_put_in_where_there_is_nothing(kept):
    def levels():
        return {row["product_id"]: row for row in rows_of(kept, "inventory_daily", day=DAYS[1])}

    def late(products, *, level=77, suffix="_late"):
        rows = stock(DAYS[1], level=level, hour=23, products=products)
        row = kept.deliver(day_name("inventory", DAYS[1], suffix), csv_bytes(INVENTORY, rows))
        assert row["status"] == "success"
        return row

    before = levels()
    first = late("AZ")
    assert first["error_details"]["rows_set_aside"] == 1
    assert "1 of them came too late" in told(kept, first)
    known = levels()
    assert known.pop("Z")["close"] == 77
    assert known == before
    # while its rows are there it can be corrected, and taken out
    correction = late("BZ", level=78)
    assert levels().pop("Z")["close"] == 78
    kept.unload(correction)
    known = levels()
    assert known["Z"]["close"] == 77
    all_of_it = everything(kept)
    assert retained(kept) == {"live_inventory_updates": 1, "live_inventory_updates_shadowed": 1}
    assert figures(everything(kept)) == figures(all_of_it)
    late("YZ", level=79, suffix="_third")
    assert levels().pop("Y")["close"] == 79
    assert {name: row for name, row in levels().items() if name != "Y"} == known
    assert verified(kept).is_equal


def rows_of_before(tables, table, day):
    return [row for row in tables[table] if row["day"] == f"{day}"]


# ---- beside everything else


def test_a_file_comes_for_a_day_that_is_just_going(site, monkeypatch):
    """The day waits for the next pass, for that file has made its figures anew from all rows."""
    change, came = Store.change, {}
    wrong = signals(DAYS[4], word="x", products="A")
    first = site.deliver(
        day_name("demand", DAYS[4], "_x"), csv_bytes(DEMAND, [*wrong, *signals(DAYS[4], products="Y")])
    )

    begun = everything(site)

    def just_before(self, work, gives_way=None):
        day = getattr(work, "keywords", {}).get("day")
        if getattr(work, "func", None) is raw_rows.decide and day.feed.name not in came:
            header, rows = KINDS[day.feed.name]
            content = csv_bytes(header, rows(day.day, products="AZ"))
            came[day.feed.name] = (
                site.fix(first, line_2={"date": f"{day.day}", "external_demand": "low"})
                if day.feed.name == "demand"
                else site.deliver(day_name(day.feed.name, day.day, "_now"), content)
            )
        return change(self, work, gives_way)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "change", just_before)
        retained(site)
    assert [row["status"] for row in came.values()] == ["success"] * 3
    before = everything(site)
    assert {row["date"][:10] for row in before["live_sales_data"]} == {f"{d}" for d in (DAYS[0], *DAYS[3:])}
    for row in came.values():
        site.unload(row)
    after = everything(site)
    assert {name: after[name] for name in DAILY_TABLES} == {name: begun[name] for name in DAILY_TABLES}
    retained(site)
    assert min(row["date"] for row in everything(site)["live_sales_data"]) >= f"{FIRST}"


def test_files_are_loaded_meanwhile(site, monkeypatch):
    monkeypatch.setattr(raw_rows, "_ROWS", 2)
    days = DAYS[:4]
    names = [day_name("sales", day, "_busy") for day in days]
    had = {day: units(site, day) for day in days}

    def deliver():
        for day, name in zip(days, names, strict=True):
            drop(site.service.folders.inbox, name, csv_bytes(SALES, sales(day, units=10)))
            site.service.drain()

    thread = threading.Thread(target=deliver)
    thread.start()
    while thread.is_alive():
        retained(site)
        thread.join(0.1)
    assert [row["status"] for row in site.ledger() if row["file_name"] in names] == ["success"] * 4
    assert {day: units(site, day) for day in days} == {day: count + 10 for day, count in had.items()}
    retained(site)
    assert min(row["date"] for row in everything(site)["live_sales_data"]) >= f"{FIRST}"
    assert verified(site).is_equal


def test_copies_and_backups_of_what_is_left(old_sites, databases, database_kind, tmp_path):
    with old_sites.copy(database_kind, tmp_path) as kept:
        retained(kept)
        settings, had = kept.service.settings, units(kept, DAYS[0])
        target = databases.make({"sqlite": "postgresql", "postgresql": "sqlite"}[database_kind], tmp_path)
        assert move(settings, target, no_bar).is_exact
        made = backup.make_backup(settings)
        kept.deliver(day_name("sales", DAYS[0], "_late"), csv_bytes(SALES, sales(DAYS[0], units=10)))
    assert len(backup.restore(settings, Path(made.file), redeliver=True).delivered_again) == 1
    with site_at(settings.data_dir, settings.database_url) as again:
        again.service.drain()
        assert units(again, DAYS[0]) == had + 10


def test_files_that_are_gone_as_well_prove_nothing(kept):
    """Neither file nor rows: the figures of such days are left out, and it is said."""
    for name in (
        day_name("sales", DAYS[0], "_till"),
        day_name("sales", DAYS[1]),
        day_name("inventory", DAYS[2]),
    ):
        (kept.service.folders.data_dir / loaded(kept, name)["archive_path"]).unlink()
    found = verified(kept)
    assert (found.differences, found.lost, found.is_equal) == (0, 3, False), found.as_dict()
    said = " ".join(verification_text(found).split())
    assert "nothing proves the figures of days whose rows were removed" in said
    assert all("its rows were removed on" in remark.why for remark in found.not_replayed)


def test_the_products_behind_a_day_are_known_without_its_rows(site):
    def named(feed, day):
        its = [row["id"] for row in site.ledger() if f"{day:%Y%m%d}" in row["file_name"]]
        with site.service.store.engine.connect() as connection:
            return top_products.most_rows(connection, feed_named(feed), its, [day], {}, 3)

    asked = [(feed, day) for feed in KINDS for day in (DAYS[1], DAYS[4])]
    before = [named(*each) for each in asked]
    assert before[0] == ["A", "B", "C"]
    retained(site)
    assert [named(*each) for each in asked] == before


@ON_ONE
def test_a_delivery_tells_that_its_rows_are_gone(kept):
    for name, gone in ((day_name("sales", DAYS[0]), True), (day_name("sales", DAYS[3]), False)):
        said = "its rows of old days were removed (retention.data_days)"
        assert (said in told(kept, loaded(kept, name))) is gone


def told(site, row):
    """What `stockgrip explain` says."""
    settings = site.service.settings
    return story_text(tell(str(row["id"]), settings, site.service.store, settings.data_dir))
