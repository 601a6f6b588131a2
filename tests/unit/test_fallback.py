"""Estimates for missing days: their arithmetic, and what the tables of a real database make of it."""

import random
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session
from support.dump import dump
from support.files import INVENTORY, SALES, csv_bytes, drop

from daemon.quality_settings import QualitySettings
from daemon.service import Service
from daemon.store import create_database, get_session
from handlers import fallback
from handlers.fallback import Level
from stockgrip import Estimate, FallbackDataHandler, Settings
from stockgrip.fallback import Basis

DOCS = Path(__file__).parents[2] / "docs"
DAY = timedelta(days=1)
MONDAY = date(2026, 3, 2)


def test_order_statistics_hold_what_they_say() -> None:
    assert fallback.between(range(9)) == (0, 8, 0.8)
    assert fallback.between(range(19)) == (1, 17, 0.8)
    chance = random.Random(1)
    hits = 0
    for _ in range(4_000):
        *values, new = (chance.lognormvariate(0, 2) for _ in range(20))
        low, high, _ = fallback.between(values)
        hits += low <= new <= high
    assert hits / 4_000 == pytest.approx(0.8, abs=0.02)


def test_sales_are_the_median_of_the_nearest_same_weekdays_on_both_sides() -> None:
    sold = {MONDAY + n * DAY: 100 * (n % 7 == 0) + n // 7 for n in range(40 * 7)}
    found = fallback.sales(sold, MONDAY + 20 * 7 * DAY)
    assert found is not None
    assert (found.method, found.observations, found.nominal) == ("same_weekday", 19, 0.8)
    assert all(day.weekday() == 0 and day != MONDAY + 20 * 7 * DAY for day in found.days)
    assert (found.value, found.low, found.high) == (119, 111, 128)  # weeks 10 to 29 without the 20th


def test_few_days_widen_the_interval_and_too_few_have_none() -> None:
    weekly = {MONDAY + 7 * n * DAY: 10 for n in range(4)}
    few = fallback.sales(weekly, MONDAY + 28 * DAY)
    assert few is not None
    assert (few.method, few.value, few.mean, few.nominal) == ("same_weekday_few", 10, 10, 0.8)
    assert few.low < 6  # wider than the 6 to 14 of a Poisson distribution
    assert few.high > 14
    daily = {MONDAY + n * DAY: n for n in range(4)}
    any_day = fallback.sales(daily, MONDAY + 5 * DAY)
    assert any_day is not None
    assert (any_day.method, any_day.value) == ("any_weekday", 1.5)
    del daily[MONDAY]
    assert fallback.sales(daily, MONDAY + 5 * DAY) is None
    assert fallback.sales(weekly, MONDAY + 400 * DAY) is None


@pytest.mark.parametrize("units", [0, 3, 20_000])
def test_few_counts_of_any_size(units: int) -> None:
    found = fallback.sales({MONDAY + 7 * n * DAY: units for n in range(5)}, MONDAY + 35 * DAY)
    assert found is not None
    assert 0 <= found.low <= units <= found.high <= 2 * units + 1


def levels(days: int, start: int = 500, sold: int = 5) -> list[Level]:
    return [Level(MONDAY + n * DAY, "store", start - sold * n, 0) for n in range(days)]


def test_a_level_is_rolled_forward_by_sales_and_by_what_should_have_come() -> None:
    sold = {MONDAY + n * DAY: 5 for n in range(20)}
    found = fallback.inventory(levels(15), sold, MONDAY + 17 * DAY)
    assert found is not None
    assert (found.method, found.value, found.low, found.high) == ("roll_forward", 415, 415, 415)
    coming = [Level(MONDAY, "store", 10, 30, MONDAY + DAY), Level(MONDAY, "depot", 1, 7, MONDAY + 9 * DAY)]
    found = fallback.inventory(coming, sold, MONDAY + 2 * DAY)
    assert found is not None
    assert (found.method, found.nominal) == ("roll_forward_bounds", None)
    assert (found.value, found.low, found.high) == (31, 1, 38)
    assert fallback.inventory(coming, sold, MONDAY) is None
    assert fallback.inventory(coming, sold, MONDAY + 29 * DAY) is None


def test_a_level_whose_sales_are_missing_too_has_a_wider_interval() -> None:
    chance = random.Random(2)
    sold = {MONDAY + n * DAY: chance.randrange(12) for n in range(90)}
    stock, known = 2_000, []
    for day, units in sold.items():
        stock -= units
        known.append(Level(day, "store", stock, 0))
    last = MONDAY + 60 * DAY
    exact = fallback.inventory(known, sold, last)
    told = {day: units for day, units in sold.items() if day != last}
    guessed = fallback.inventory(known, told, last)
    assert exact is not None
    assert guessed is not None
    assert exact.low == exact.high == known[60].stock
    assert guessed.low <= known[60].stock <= guessed.high
    assert 6 <= guessed.high - guessed.low <= 12
    hidden = [level for level in known if level.day != last]
    assert fallback.inventory(hidden, told, last) == guessed  # the day itself is not looked at


# ---- on a database


SHOP = [  # twelve weeks of one product: 10 a day and 30 on Saturdays, every day counted, nothing of 2026-05-02
    (day, 30 if day.weekday() == 5 else 10)
    for day in (MONDAY + n * DAY for n in range(84))
    if day != date(2026, 5, 2)
]


@pytest.fixture
def session(service: Callable[..., Service], database_url: str) -> Iterator[Session]:
    made = service(quality={"enabled": False})
    sold = [f"{day},A,pos,{units},{units}.00,,,,shop" for day, units in SHOP]
    sold += [f"2026-05-{day},B,pos,7,7.00,,,,shop" for day in (17, 18, 20, 21)]
    stock, counted = 5_000, []
    for day, units in SHOP:
        stock -= units
        counted.append(f"{day}T20:00:00,A,shop,{stock},0,0,,")
    drop(made.folders.inbox, "sales_data_20260524_history.csv", csv_bytes(SALES, sold))
    drop(made.folders.inbox, "inventory_data_20260524_history.csv", csv_bytes(INVENTORY, counted))
    made.drain()
    engine = create_database(database_url)
    with get_session(engine) as opened:
        yield opened
    engine.dispose()


def test_estimates_from_the_tables_and_none_of_them_is_written(session: Session) -> None:
    engine = session.get_bind()
    assert isinstance(engine, Engine)
    before = dump(engine)
    handler = FallbackDataHandler(session, Settings())
    sold = handler.estimate_missing_sales("A", "2026-05-02")
    assert sold["is_estimate"] is True
    assert (sold["estimate"], sold["interval"], sold["recorded"], sold["reason"]) == (
        30,
        (30, 30),
        None,
        None,
    )
    assert sold["basis"] is not None
    assert sold["basis"]["days"][0] == date(2026, 3, 7)
    assert (sold["basis"]["method"], sold["basis"]["observations"]) == ("same_weekday", 11)
    assert handler.estimate_missing_sales("A", date(2026, 5, 3))["recorded"] == 10
    stock = handler.estimate_missing_inventory("A", date(2026, 5, 2))
    assert (stock["recorded"], stock["nominal"]) == (None, 0.8)
    assert (
        stock["estimate"] == 5_000 - 30 * 8 - 10 * 53 - 30
    )  # Saturdays before, other days, and the missing one
    no_basis_is_said_and_no_number_is_made_up(session)
    assert stock["basis"] is not None
    assert stock["basis"]["correction"] == 0
    young = handler.estimate_missing_sales("B", "2026-05-22")["basis"]
    assert young is not None
    assert (young["method"], young["observations"]) == (
        "any_weekday",
        7,
    )  # since it is known: the 17th to the 24th
    assert not session.in_transaction()
    assert dump(engine) == before


def no_basis_is_said_and_no_number_is_made_up(session: Session) -> None:
    closed = Settings(quality=QualitySettings(closed_days=(date(2026, 5, 2),)))
    handler = FallbackDataHandler(session, closed)
    for found, why in (
        (handler.estimate_missing_sales("A", "2026-05-02"), "closed day"),
        (handler.estimate_missing_sales("A", "2026-02-28"), "no feed knew"),
        (handler.estimate_missing_sales("A", "2027-05-01"), "too few days"),
        (handler.estimate_missing_inventory("A", "2026-03-01"), "no stock level"),
    ):
        assert found["is_estimate"] is True
        assert found["estimate"] is found["interval"] is found["basis"] is None
        assert why in str(found["reason"])
    with pytest.raises(ValueError, match="such as A"):
        handler.estimate_missing_sales("C", "2026-05-02")
    with pytest.raises(ValueError, match="2 May"):
        handler.estimate_missing_inventory("A", "2 May")


@pytest.mark.parametrize("result", [Estimate, Basis], ids=lambda each: each.__name__)
def test_the_page_of_the_api_lists_each_key(result: type) -> None:
    text = (DOCS / "api.md").read_text("utf-8").split(f"#### {result.__name__}\n", 1)[1]
    rows = [line for line in text.split("\n#", 1)[0].splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == list(result.__annotations__)
