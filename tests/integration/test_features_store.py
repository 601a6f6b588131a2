"""Features in the database: whatever came, went and was computed in between, they are what the tables say now."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from support.files import DEMAND, INVENTORY, PRODUCTS, SALES, csv_bytes
from support.loading import ARRIVED, load, wipe

from daemon.after import features, windows
from daemon.outcomes import Loaded
from daemon.settings import Settings
from daemon.store import feature_view
from daemon.store import features as table
from daemon.store.derived import DERIVED, FEATURE_WINDOWS, PRODUCT_FEATURES
from daemon.store.product_days import history_of
from handlers.features import CATALOGUE, features_of

LAST = date(2025, 6, 30)
SETTINGS = Settings()
HEADERS = {"sales": SALES, "inventory": INVENTORY, "demand": DEMAND, "products": PRODUCTS}
PROPERTY = settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# Days at the edges of the windows, and where a snapshot ends to count.
days = st.sampled_from([0, 0, 1, 2, 7, 26, 27, 28, 29, 60, 90, 117, 179, 180, 300])
products = st.sampled_from("ABC")
ROWS = {
    "sales": st.builds(
        "{0},{1},{2},{3},{4},,{5},,{6}".format,
        *(st.just("{day}"), products, st.sampled_from(["online", "pos"]), st.integers(1, 40_000)),
        *(st.sampled_from(["0.0001", "2.50"]), st.sampled_from(["", "P"]), st.sampled_from(["", "s1"])),
    ),
    "inventory": st.builds(
        "{0},{1},{2},{3},0,1,,".format,
        *(st.just("{day}"), products, st.sampled_from(["s1", "s2", "s3"]), st.integers(0, 9)),
    ),
    "demand": st.builds(
        "{0},{1},{2},0.5,{3},,,".format,
        *(st.just("{day}"), products, st.sampled_from(["high", "low"]), st.sampled_from(["", "1", "7"])),
    ),
}


@st.composite
def files(draw):
    """A file of a feed: its rows are of its day and of one that is some days earlier."""
    feed = draw(st.sampled_from(sorted(ROWS)))
    day = LAST - timedelta(draw(days))
    rows = draw(st.lists(ROWS[feed], min_size=1, max_size=4))
    earlier = day - timedelta(draw(st.sampled_from([0, 1, 30])))
    return feed, day, tuple(row.format(day=draw(st.sampled_from([day, earlier]))) for row in rows)


def empty(store):
    """Empties the tables of rows, and those of what follows from them."""
    wipe(store.engine)
    with store.engine.begin() as connection:
        for one in reversed(DERIVED.sorted_tables):
            connection.execute(one.delete())


def bring(store, file, suffix):
    feed, day, rows = file
    name = f"{feed}_data_{day:%Y%m%d}_{suffix}.csv"
    if feed == "products":
        name = f"products_{day:%Y%m%d}.csv"
    content = csv_bytes(f"{HEADERS[feed]},number", [f"{row},{suffix}" for row in rows])
    outcome = load(store, name, content)
    assert isinstance(outcome, Loaded)
    return outcome.delivery_id


def at_its_own_minute(file, minute):
    """Of rows with one key the later delivery counts: here no two files have any in common."""
    feed, day, rows = file
    return feed, day, tuple(row.replace(",", f"T00:{minute:02}:00,", 1) for row in rows)


def advance(store, options=SETTINGS):
    while features.advance(store, options) or features.move_on(store, options):
        pass


def rows_at(store, day):
    """The features of a day, without what says how they came about."""
    c = PRODUCT_FEATURES.c
    with store.engine.connect() as connection:
        found = connection.execute(select(PRODUCT_FEATURES).where(c.as_of == day).order_by(c.product_id))
        return [{k: v for k, v in row.items() if k != "known_at"} for row in found.mappings()]


def days_of(store):
    return store.ask(table.feature_days)


def must_be_what_the_tables_say(store):
    """Windows and current features are those that all of the rows give."""
    with store.engine.connect() as connection:
        day = table.frontier(connection)
        known = connection.scalars(text("SELECT product_id FROM products ORDER BY product_id")).all()
        kept = connection.execute(select(FEATURE_WINDOWS).order_by(FEATURE_WINDOWS.c.product_id)).all()
        assert [row.product_id for row in kept] == known
        assert not table.has_due(connection)
        if day is None:
            assert table.feature_days(connection) == []
            return
        assert table.windows_of_other_days(connection, day, 1, 1) == []
        expected = history_of(connection, known, day)
    arrays = windows.unpack([row.packed for row in kept])
    for part in (expected.sales, expected.signals):
        for name in part.__dataclass_fields__:
            np.testing.assert_array_equal(arrays[name], getattr(part, name), name)
    for name in ("close", "reserved", "in_transit", "known"):
        np.testing.assert_array_equal(arrays[name][:, :90], getattr(expected.stock, name), name)
    assert max(days_of(store), default=day) == day
    found = features_of(expected).table().to_pylist()
    assert rows_at(store, day) == found


actions = st.lists(
    st.one_of(
        st.tuples(st.just("load"), files()),
        st.tuples(st.just("load"), files()),
        st.tuples(st.just("unload"), st.integers(0, 9)),
        st.tuples(st.just("advance"), st.just(None)),
    ),
    min_size=2,
    max_size=9,
)


@PROPERTY
@given(history=actions)
def test_they_are_what_the_tables_say_whatever_happened_before(store, history):
    empty(store)
    loaded = []
    for number, (action, what) in enumerate(history):
        if action == "load":
            loaded.append(bring(store, what, number))
        elif action == "unload" and loaded:
            store.unload(loaded.pop(what % len(loaded)), "")
        elif action == "advance":
            features.advance(store, SETTINGS)
    advance(store)
    must_be_what_the_tables_say(store)


@settings(PROPERTY, max_examples=4)
@given(some=st.lists(files(), min_size=2, max_size=4), gone=files(), data=st.data())
def test_any_order_and_an_unload_give_what_the_files_alone_give(store, some, gone, data):
    empty(store)
    named = [(number, at_its_own_minute(file, number)) for number, file in enumerate(some)]
    gone = at_its_own_minute(gone, 59)
    for number, file in named:
        bring(store, file, number)
    advance(store)
    day = store.ask(table.frontier)
    plain = rows_at(store, day)
    empty(store)
    taken_out = None
    for number, file in data.draw(st.permutations([*named, (99, gone)])):
        delivery = bring(store, file, number)
        taken_out = delivery if number == 99 else taken_out
        if data.draw(st.booleans()):
            advance(store)
    store.unload(taken_out, "")
    advance(store)
    assert store.ask(table.frontier) == day
    assert rows_at(store, day) == plain


def sale(day, *units, product="A"):
    return ("sales", day, tuple(f"{day},{product},pos,{n},2.5,,,," for n in units))


def value(store, name, day, product="A"):
    row = store.ask(lambda connection: feature_view.stored(connection, product, day))
    return None if row is None else row[name]


def test_a_row_stands_still_once_a_newer_day_has_come(store):
    first, third = date(2025, 6, 1), date(2025, 6, 3)
    bring(store, sale(first, 4), "a")
    advance(store)
    assert value(store, "mean_units_7", first) == 4
    assert value(store, "known_at", first) == ARRIVED
    bring(store, sale(first, 2), "b")
    advance(store)
    assert value(store, "mean_units_7", first) == 6
    bring(store, sale(third, 6, product="B"), "c")
    advance(store)
    assert value(store, "mean_units_7", third) == 2  # it did not sell: the day moved it on
    assert value(store, "days_since_sale", third) == 2
    bring(store, sale(first, 3), "late")
    advance(store)
    assert value(store, "mean_units_7", first) == 6
    assert value(store, "mean_units_7", third) == 3
    assert days_of(store) == [third, first]  # none for the day between
    must_be_what_the_tables_say(store)


def test_when_the_data_day_goes_back_later_rows_go(store):
    first, third = date(2025, 6, 1), date(2025, 6, 3)
    bring(store, sale(first, 4), "a")
    bring(store, sale(first, 1, product="B"), "b")
    advance(store)
    later = bring(store, sale(third, 6, product="C"), "c")
    advance(store)
    bring(store, sale(first, 1), "late")
    store.unload(later, "")
    advance(store)
    assert days_of(store) == [first]
    assert [row["product_id"] for row in rows_at(store, first)] == ["A", "B"]
    assert value(store, "mean_units_7", first) == 5
    must_be_what_the_tables_say(store)


def test_a_product_that_is_gone_leaves_nothing(store):
    first, second = date(2025, 6, 1), date(2025, 6, 2)
    wrong = bring(store, sale(first, 4, product="TYPO"), "a")
    bring(store, sale(first, 4), "b")
    advance(store)
    bring(store, sale(second, 4), "c")
    advance(store)
    assert value(store, "lag_7", first, "TYPO") is None
    assert value(store, "mean_units_7", first, "TYPO") == 4
    store.unload(wrong, "")
    advance(store)
    assert value(store, "mean_units_7", first, "TYPO") is None
    assert {row["product_id"] for day in (first, second) for row in rows_at(store, day)} == {"A"}
    must_be_what_the_tables_say(store)


def test_old_rows_are_removed(store):
    options = Settings(features={"keep_days": 5})
    day = date(2025, 6, 1)
    for number, later in enumerate([0, 1, 5, 6]):
        bring(store, sale(day + timedelta(later), 1), number)
        advance(store, options)
    assert days_of(store) == [day + timedelta(n) for n in (6, 5, 1)]


@pytest.mark.parametrize(("ago", "counts"), [(27, 8), (28, 3)])
def test_a_location_counts_for_four_weeks(store, ago, counts):
    early = LAST - timedelta(ago)
    bring(store, ("inventory", early, (f"{early},A,s1,5,0,0,,",)), "a")
    advance(store)
    bring(store, sale(LAST, 1, product="B"), "b")
    advance(store)
    must_be_what_the_tables_say(store)  # moved on, nothing read
    bring(store, ("inventory", LAST, (f"{LAST},A,s2,3,0,0,,",)), "c")
    advance(store)
    assert value(store, "on_hand", LAST) == counts
    must_be_what_the_tables_say(store)


def test_a_price_that_is_taken_out_gives_way_to_the_one_before(store):
    before = LAST - timedelta(200)
    bring(store, sale(LAST, 1), "a")
    bring(store, ("demand", before, (f"{before},A,high,,10,,,",)), "b")
    advance(store)
    assert value(store, "competitor_price_index", LAST) == 0.25
    latest = bring(store, ("demand", LAST, (f"{LAST},A,high,,5,,,",)), "c")
    advance(store)
    assert value(store, "competitor_price_index", LAST) == 0.5
    bring(store, ("demand", LAST, (f"{LAST}T12:00:00,B,high,,1,,,", f"{LAST}T12:00:00,A,low,,,,,")), "d")
    advance(store)
    assert value(store, "competitor_price_index", LAST) == 0.5
    store.unload(latest, "")
    advance(store)
    assert value(store, "competitor_price_index", LAST) == 0.25


def test_the_catalogue_of_products_is_used_as_of_the_data_day(store):
    day = date(2025, 6, 1)
    bring(store, sale(day, 4), "a")
    bring(store, ("inventory", day, (f"{day},A,s1,73,0,0,,",)), "b")
    header = PRODUCTS.split(",")
    for on, cost in ((day, 2), (day + timedelta(2), 3)):
        cells = {"product_id": "A", "unit_cost": cost}
        bring(store, ("products", on, (",".join(str(cells.get(name, "")) for name in header),)), f"x{cost}")
    advance(store)
    assert value(store, "turns", day) == pytest.approx(4 * 365 / 73)
    assert value(store, "gmroi", day) == pytest.approx((2.5 - 8) * 365 / 146)
    bring(store, sale(day + timedelta(2), 1, product="B"), "c")
    advance(store)
    assert value(store, "gmroi", day + timedelta(2)) == pytest.approx((2.5 - 12) * 365 / 3 / (3 * 73))


def test_a_catalogue_of_products_that_nobody_has_seen_leaves_nothing_due(store):
    bring(store, ("products", LAST, ("A" + "," * PRODUCTS.count(","),)), "x")
    advance(store)
    assert store.ask(feature_view.count_behind) == 0
    assert days_of(store) == []
    bring(store, sale(LAST, 4, product="B"), "a")
    advance(store)
    assert [row["product_id"] for row in rows_at(store, LAST)] == ["B"]


class CrashError(Exception):
    pass


def test_a_step_that_does_not_end_leaves_everything_due(store):
    bring(store, sale(LAST, 4), "a")

    def crash(connection):
        assert features._advance(connection, SETTINGS.features, features._MOST_DUE)
        raise CrashError

    with pytest.raises(CrashError):
        store.change(crash)
    assert store.ask(feature_view.count_behind) == 1
    assert days_of(store) == []
    advance(store)
    assert store.ask(feature_view.count_behind) == 0
    assert value(store, "mean_units_7", LAST) == 4


def test_a_large_catalogue_is_done_in_steps(store, monkeypatch):
    monkeypatch.setattr(features, "_MOST_DAYS", 700)
    monkeypatch.setattr(features, "_MOST_MOVED", 2)
    for product in "ABCDE":
        for back in (400, 1):
            bring(store, sale(LAST - timedelta(back), 1, product=product), f"{product}{back}")
    steps = 0
    while features.advance(store, SETTINGS):
        steps += 1
    assert steps == 3  # two whole products at a time
    newest = bring(store, sale(LAST, 1), "z")
    advance(store)
    must_be_what_the_tables_say(store)
    store.unload(newest, "")
    advance(store)
    must_be_what_the_tables_say(store)


def test_a_step_does_not_wait_for_a_delivery_and_forgets_nothing_of_it(store, database_kind):
    if database_kind == "sqlite":
        pytest.skip("only one connection can write")
    bring(store, sale(LAST, 4), "a")
    bring(store, sale(LAST, 1, product="B"), "b")
    with store.engine.begin() as delivery:
        delivery.execute(text("UPDATE due_products SET since = since WHERE product_id = 'A'"))
        advance(store)
        assert value(store, "mean_units_7", LAST, "B") == 1
        assert value(store, "mean_units_7", LAST, "A") is None
    advance(store)
    assert value(store, "mean_units_7", LAST, "A") == 4
    must_be_what_the_tables_say(store)


def test_the_columns_are_those_of_the_catalogue():
    assert [c.name for c in PRODUCT_FEATURES.columns][4:] == [feature.name for feature in CATALOGUE]
