"""Consistency rules over the last days of many products."""

from datetime import date, timedelta

import numpy as np
import pytest
from features_rows import Level, Product, Sale, history_of

from handlers.quality.consistency import Rule
from handlers.quality.product_days import DAYS, has, verdicts

TODAY = date(2026, 3, 31)


def day(back: int) -> date:
    return TODAY - timedelta(days=back)


def sale(back: int, units: int = 10, price: float = 2.0) -> Sale:
    return Sale(day(back), "pos", units, 0, round(units * price * 10_000), 0, 1)


def level(back: int, close: int, reserved: int = 0, in_transit: int = 0) -> Level:
    return Level(day(back), 0, close, reserved, in_transit)


def found(product: Product, rule: Rule, days: int = DAYS) -> tuple[list[int], list[int]]:
    """How many days ago the rule could be judged, and was broken."""
    seen = verdicts(history_of(TODAY, [product]), days)
    return tuple(
        [days - 1 - int(at) for at in np.flatnonzero(has(bits, rule)[0])]
        for bits in (seen.evaluated, seen.violating)
    )  # type: ignore[return-value]


def test_prices_in_cents_are_found_on_their_day():
    sales = [sale(back) for back in range(1, 20)] + [sale(0, price=200.0)]
    evaluated, broken = found(Product("A", day(100), sales), Rule.UNIT_PRICE)
    assert broken == [0]
    assert evaluated == list(range(15, -1, -1))  # four earlier prices are needed


def test_stock_is_held_against_the_day_before():
    levels = [level(5, 10, in_transit=30), level(4, 20), level(3, 60), level(1, 0), level(0, 0)]
    product = Product("A", day(100), [sale(4, 5), sale(0, 3)], levels)
    assert found(product, Rule.STOCK_BALANCE) == ([4, 3, 0], [3, 0])
    assert found(product, Rule.SOLD_AT_ZERO) == ([4, 0], [0])
    assert found(product, Rule.RESERVED) == ([5, 4, 3, 1, 0], [])


def test_what_is_on_its_way_is_told_by_any_product():
    slow = Product("A", day(100), [], [level(n, 9) for n in range(2, 40)] + [level(1, 10), level(0, 25)])
    other = Product("B", day(100), [], [level(20, 9, in_transit=4)])
    seen = verdicts(history_of(TODAY, [slow, other]), DAYS)
    assert has(seen.violating, Rule.STOCK_BALANCE)[0].tolist() == [False] * (DAYS - 2) + [True, True]
    assert has(seen.evaluated, Rule.STOCK_BALANCE)[0].tolist() == [False] * (DAYS - 20) + [True] * 20
    assert not has(verdicts(history_of(TODAY, [slow]), DAYS).evaluated, Rule.STOCK_BALANCE).any()


def test_the_competitors_price_is_held_against_today_only():
    product = Product("A", day(100), [sale(1), sale(0)], competitor_price=0.5)
    assert found(product, Rule.COMPETITOR_PRICE) == ([0], [0])


def test_fewer_days_give_the_same_verdicts():
    sales = [sale(back, price=2.0 if back % 5 else 500.0) for back in range(40)]
    history = history_of(TODAY, [Product("A", day(100), sales)])
    whole = verdicts(history, DAYS)
    for days in (1, 7, DAYS):
        part = verdicts(history, days)
        assert (part.evaluated == whole.evaluated[:, -days:]).all()
        assert (part.violating == whole.violating[:, -days:]).all()
    with pytest.raises(ValueError, match="0 days cannot be judged"):
        verdicts(history, 0)
