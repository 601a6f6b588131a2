"""Each feature against the slow way, for histories of all kinds, and what must not have an influence.

What is drawn: gaps, products first seen within a window, before it, on as-of, later or never, all zeros, a single day,
several rows a day, locations that fall silent, and rows that must not count.
"""

import math
import random
from dataclasses import fields
from datetime import date, timedelta

import numpy as np
from features_naive import Naive
from features_rows import Level, Product, Sale, Signal, history_of
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.features import CATALOGUE, features_of
from handlers.features.history import Attributes
from handlers.sales import CHANNELS

TOLERANCE = 1e-9


# ---- histories

DENSITIES = st.sampled_from([0.0, 0.02, 0.3, 0.9, 1.0])


@st.composite
def products(draw, as_of: date, name: str) -> Product:
    """A product whose shape is drawn, and whose figures follow from a seed."""
    age = draw(st.one_of(st.none(), st.integers(-2, 30), st.integers(0, 420)), label="age")
    product = Product(name, None if age is None else as_of - timedelta(age))
    rng = random.Random(draw(st.integers(0, 2**32), label="seed"))
    attributes = draw(st.integers(0, 31), label="known attributes")
    for bit, attribute in enumerate(fields(Attributes)):
        if attributes & 1 << bit:
            setattr(product, attribute.name, draw(st.sampled_from([0.0, 0.25, 1.0, 3.7, 19.99])))
    if age is None:
        return product
    known = [as_of - timedelta(n) for n in range(-3, min(age, 200) + 1)]
    known = [day for day in known if day >= product.first_seen]
    most = draw(st.sampled_from([1, 3, 40, 2_000_000]), label="most units")
    density = draw(DENSITIES, label="sales")
    returns = draw(st.booleans(), label="returns")
    channels = draw(st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=4), label="channels")
    for day in known:
        if rng.random() < density:
            for _ in range(rng.choice([1, 1, 2])):
                product.sales.append(sale(rng, day, rng.choice(channels), most, returns=returns))
    density = draw(DENSITIES, label="levels")
    for location in range(draw(st.integers(1, 3), label="locations")):
        falls_silent = rng.choice([-9, -9, 0, 20, 40, 100])
        for day in known:
            if rng.random() < density and (as_of - day).days >= falls_silent:
                close = rng.choice([0, 0, 1, 7, 500, -2])
                product.levels.append(Level(day, location, close, rng.randint(0, 5), rng.randint(0, 9)))
    density = draw(DENSITIES, label="signals")
    product.signals = [signal(rng, day) for day in known if rng.random() < density]
    return product


def sale(rng, day, channel, most, *, returns):
    units = rng.randint(0 if returns else 1, most)
    returned = rng.randint(0, 3) if returns else 0
    revenue = rng.randint(1, 1_000_000) * units - returned * 19_900
    return Sale(day, channel, units, returned, revenue, rng.randint(0, units), rng.randint(1, 9))


def signal(rng, day):
    n = rng.randint(1, 3)
    trends = [rng.randint(-(10**6), 10**6) for _ in range(rng.randint(0, n))]
    moods = [rng.choice([500_000, 333_333]) for _ in range(rng.randint(0, n))]
    return Signal(
        day, n, rng.randint(-n, n),
        len(trends), sum(trends), sum((t * t + 500_000) // 10**6 for t in trends),
        len(moods), sum(moods), sum((m * m + 500_000) // 10**6 for m in moods),
    )  # fmt: skip


@st.composite
def shops(draw) -> tuple[date, list[Product]]:
    as_of = draw(st.dates(date(2019, 12, 20), date(2025, 1, 10)), label="as of")
    count = draw(st.integers(1, 4), label="products")
    return as_of, [draw(products(as_of, f"P{n}")) for n in range(count)]


def assert_same(name, found, expected):
    if isinstance(expected, str) or (expected is None and name == "demand_class"):
        assert found == expected, name
    elif expected is None:
        assert math.isnan(found), f"{name}: {found}, but there is no value"
    else:
        right = math.isclose(found, float(expected), rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        assert right, f"{name}: {found}, not {float(expected)}"


# ---- the tests


@settings(max_examples=100, deadline=None)
@given(shops(), st.integers(0, 3))
def test_each_feature_is_as_the_slow_way_finds_it(shop, fresh_days):
    as_of, found = shop
    columns = features_of(history_of(as_of, found, fresh_days=fresh_days)).columns
    for place, product in enumerate(found):
        expected = Naive(product, as_of, fresh_days).all()
        assert set(expected) == {feature.name for feature in CATALOGUE}
        for name, value in expected.items():
            assert_same(name, columns[name][place], value)


@settings(max_examples=50, deadline=None)
@given(shops(), st.randoms(use_true_random=False))
def test_neither_order_nor_company_matters(shop, rng):
    """The same bits for a product, whatever rows and products come before, after or not at all."""
    as_of, found = shop
    together = features_of(history_of(as_of, found)).columns
    order = list(range(len(found)))
    rng.shuffle(order)
    mixed = features_of(history_of(as_of, [found[n] for n in order], shuffle=rng)).columns
    for place, n in enumerate(order):
        alone = features_of(history_of(as_of, [found[n]])).columns
        for name, values in together.items():
            three = [values[n], mixed[name][place], alone[name][0]]
            if values.dtype == np.object_:
                assert len(set(three)) == 1, name
            else:
                assert len(set(np.array(three, np.float64).view(np.int64))) == 1, (name, three)


@settings(max_examples=25, deadline=None)
@given(shops())
def test_deeper_arrays_change_nothing(shop):
    """What is older than a window, or later than as-of, has no influence."""
    as_of, found = shop
    full = features_of(history_of(as_of, found, deep=200)).columns
    for product in found:
        begin = as_of - timedelta(179)
        product.sales = [s for s in product.sales if begin <= s.day <= as_of]
        product.levels = [x for x in product.levels if as_of - timedelta(116) <= x.day <= as_of]
        product.signals = [s for s in product.signals if as_of - timedelta(27) <= s.day <= as_of]
    less = features_of(history_of(as_of, found)).columns
    for name, values in full.items():
        if name != "days_since_sale":
            np.testing.assert_array_equal(values, less[name], err_msg=name)


def test_a_busy_product_has_each_feature():
    """What is drawn above can be rich enough to test something."""
    rng = random.Random(7)
    as_of = date(2024, 6, 9)
    product = Product("P", as_of - timedelta(100), [], [], [], 2.0, 4.0, 3.0, 1.0, 5.0)
    for n in range(100):
        day = as_of - timedelta(n)
        product.sales.append(sale(rng, day, rng.choice(CHANNELS), 9, returns=True))
        product.levels.append(Level(day, 0, 0 if n % 5 == 1 else 50, 2, 1))
        product.signals.append(signal(rng, day))
    columns = features_of(history_of(as_of, [product])).columns
    for name, expected in Naive(product, as_of, 1).all().items():
        assert expected is not None, name
        assert_same(name, columns[name][0], expected)
