"""What the sample market sells: products, prices, popularity, suppliers and places."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from daemon.sample.seasons import CHANNELS, Floats

Ints = npt.NDArray[np.int64]

LINES_A_DAY = 4.0  # receipt lines a day and product, on average over the catalogue
_ZIPF_EXPONENT = 1.05
_SLOW_SHARE = 0.2  # of all products, none of them among the most popular fifth
_RIVALRY = 0.9  # share of the products that a competitor sells too


@dataclass(frozen=True, slots=True)
class Category:
    """How the products of one category sell."""

    prefix: str
    name: str
    cents: tuple[int, int]  # list price, lowest and highest
    amplitude: float  # of the yearly wave, 0 = none
    peak: int  # day of the year with the highest demand
    heat: float  # change of demand per 10 °C above the yearly mean
    mix: tuple[float, float, float, float]  # share of receipt lines per channel
    cost_percent: int  # of the list price, that the cheapest product of the category costs
    shelf_life_days: int = 0  # 0 = it keeps


_PER = Category("PER", "Personal care", (199, 2499), 0.08, 350, -0.03, (0.27, 0.60, 0.10, 0.03), 42, 730)
_FOO = Category("FOO", "Food", (89, 1299), 0.10, 200, 0.06, (0.15, 0.76, 0.05, 0.04), 55, 30)
_HOM = Category("HOM", "Home", (499, 8999), 0.18, 110, 0.00, (0.34, 0.44, 0.19, 0.03), 45)
_CLO = Category("CLO", "Clothing", (999, 9999), 0.22, 290, -0.10, (0.42, 0.35, 0.21, 0.02), 35)
_ELE = Category("ELE", "Electronics", (1499, 39999), 0.30, 345, 0.00, (0.50, 0.22, 0.26, 0.02), 58)
_TOY = Category("TOY", "Toys", (599, 5999), 0.45, 345, 0.00, (0.42, 0.35, 0.21, 0.02), 48)
_GAR = Category("GAR", "Garden", (299, 14999), 0.60, 150, 0.15, (0.25, 0.55, 0.15, 0.05), 46)

# Product numbers walk through this cycle, so that an id says the same whatever the size of the catalogue.
CYCLE = (_PER, _FOO, _HOM, _FOO, _CLO, _ELE, _FOO, _TOY, _PER, _GAR)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything about products that does not change; arrays are indexed by product, then location or channel."""

    ids: tuple[str, ...]
    categories: tuple[Category, ...]  # of each product
    list_cents: Ints  # (products,)
    cost_cents: Ints  # (products,) what the supplier gets for one unit, always less than the list price
    lines_a_day: Floats  # (products, channels), on an average day
    batch_size: Ints  # (products,) units that one customer takes as one: above 1 for lumpy products
    elasticity: Floats  # (products,) demand ~ price ** -elasticity
    suppliers: tuple[str, ...]  # of each product
    lead_days: Ints  # (products,) from order to receipt, when the supplier is on time
    pack: Ints  # (products,) units of one order to the supplier
    has_competitor: npt.NDArray[np.bool_]  # (products,)
    locations: tuple[str, ...]  # warehouse_a, store_01 …
    routes: Floats  # (locations, channels) share of a channel's lines that each place serves


def make_catalogue(rng: np.random.Generator, products: int, stores: int) -> Catalogue:
    """Draw a catalogue of `products` products sold from one warehouse and `stores` shops."""
    categories = tuple(CYCLE[i % len(CYCLE)] for i in range(products))
    rank = rng.permutation(products) + 1.0
    popularity = rank**-_ZIPF_EXPONENT
    popularity *= LINES_A_DAY * products / popularity.sum()
    # Some products are asked for once in a while only, and then in numbers.
    slow = rng.random(products) < _SLOW_SHARE
    slow &= rank > products * 0.2
    popularity[slow] *= 0.08
    mix = np.array([category.mix for category in categories]) * rng.uniform(
        0.7, 1.3, (products, len(CHANNELS))
    )
    supplier = rng.integers(1, max(2, products // 8) + 1, products)
    lead = 2 + supplier * 7 % 6  # a supplier is as fast for each of its products
    list_cents = _prices(rng, categories)
    # not drawn, so that prices and sales of a seed are what they were before there were costs
    percent = np.array([category.cost_percent + i * 7 % 10 for i, category in enumerate(categories)])
    return Catalogue(
        ids=tuple(f"{category.prefix}-{i:04d}" for i, category in enumerate(categories, 1)),
        categories=categories,
        list_cents=list_cents,
        cost_cents=list_cents * percent // 100,
        lines_a_day=popularity[:, None] * mix / mix.sum(axis=1, keepdims=True),
        batch_size=np.where(slow, rng.integers(2, 6, products), 1),
        elasticity=rng.uniform(2.4, 3.6, products),
        suppliers=tuple(f"SUP{number:03d}" for number in supplier.tolist()),
        lead_days=lead.astype(np.int64),
        pack=rng.choice(np.array([4, 6, 12]), products),
        has_competitor=rng.random(products) < _RIVALRY,
        locations=("warehouse_a", *(f"store_{i:02d}" for i in range(1, stores + 1))),
        routes=_routes(rng, stores),
    )


def _prices(rng: np.random.Generator, categories: tuple[Category, ...]) -> Ints:
    """List prices in cents that end in 9, low ones more frequent than high ones."""
    low = np.array([category.cents[0] for category in categories], dtype=np.float64)
    high = np.array([category.cents[1] for category in categories], dtype=np.float64)
    drawn = low + (high - low) * rng.random(len(categories)) ** 2.5
    return drawn.astype(np.int64) // 10 * 10 + 9


def _routes(rng: np.random.Generator, stores: int) -> Floats:
    """Who serves what: shops all of pos and, by click and collect, a fifth of online; the warehouse the rest."""
    size = rng.uniform(0.6, 1.4, stores)
    size /= size.sum()
    routes = np.zeros((1 + stores, len(CHANNELS)))
    collected = 0.2
    routes[0] = (1 - collected, 0.0, 1.0, 1.0)
    routes[1:, 0] = collected * size
    routes[1:, 1] = size
    return routes
