"""Features worked out by hand."""

import math
from dataclasses import replace
from datetime import date, timedelta

import pytest
from features_rows import AS_OF, Level, Product, Sale, Signal, ago, of, sold

from handlers.features import CATALOGUE
from handlers.features.dates import of_day


def test_days_without_sales_count_from_first_seen_on():
    found = of(sold(0, 6, 0, 0))
    assert (found["mean_units_7"], found["mean_units_28"], found["mean_units_90"]) == (1.5, 1.5, 1.5)
    assert found["std_units_28"] == 3.0  # (1.5² · 3 + 4.5²) / 3 = 9
    assert found["cv_28"] == 2.0
    assert found["zero_share"] == 0.75
    assert found["days_since_sale"] == 2


def test_means_fall_while_nothing_sells():
    product = sold(7, *[0] * 6)
    assert of(product)["mean_units_7"] == 1.0
    product.first_seen -= timedelta(30)
    product.sales[0].day -= timedelta(1)
    assert of(product)["mean_units_7"] == 0.0
    assert of(product)["mean_units_28"] == 0.25


def test_slope_and_acceleration_of_a_parabola():
    """u = 3 + 2t + 5t² rises by 2 + 10t; the slope of the line through it is that in the middle."""
    found = of(sold(*(3 + 2 * t + 5 * t * t for t in range(11))))
    assert found["acceleration"] == pytest.approx(10, abs=1e-12)
    assert found["slope"] == pytest.approx(2 + 10 * 5, abs=1e-12)


def test_fewest_days_for_each():
    known = {n: of(sold(*[1] * n)) for n in (1, 2, 3, 4, 7, 8)}
    for name, fewest in (("std_units_28", 2), ("slope", 3), ("acceleration", 4), ("lag_7", 8)):
        found = {n: not math.isnan(features[name]) for n, features in known.items()}
        assert found == {n: n >= fewest for n in known}, name
    assert math.isnan(known[8]["acf7"]), "all days are equal"
    assert known[8]["lag_7"] == 1


def test_a_weekly_rhythm():
    """Four on Sundays, else none: fourteen full weeks, so the windows begin within one."""
    found = of(sold(*[0, 0, 0, 0, 0, 0, 4] * 14))
    assert found["same_dow_mean"] == 4.0
    assert found["dow_factor"] == 7.0
    assert (found["lag_7"], found["lag_28"]) == (4, 4)
    assert found["acf7"] == pytest.approx(1, abs=0.02)
    assert found["momentum"] == 1.0
    assert found["adi"] == 90 / 13
    assert (found["cv2"], found["demand_class"]) == (0.0, "intermittent")


def test_croston_and_tsb():
    found = of(sold(0, 0, 3, 0, 0, 0, 5))
    # sizes 3, then 0.1 · 5 + 0.9 · 3 = 3.2; intervals 3, then 0.1 · 4 + 0.9 · 3 = 3.1
    assert found["croston_sba"] == pytest.approx(0.95 * 3.2 / 3.1, rel=1e-14)
    # shares 0, 0, 0.1, 0.09, 0.081, 0.0729, 0.1 + 0.9 · 0.0729 = 0.16561
    assert found["tsb"] == pytest.approx(0.16561 * 3.2, rel=1e-14)


def test_a_product_that_fades():
    """Croston does not notice that nothing sells any more; TSB does."""
    sells, faded = of(sold(*[2] * 30)), of(sold(*[2] * 30, *[0] * 20))
    assert sells["croston_sba"] == faded["croston_sba"] == pytest.approx(1.9)
    assert sells["tsb"] == 2.0
    assert faded["tsb"] == pytest.approx(2 * 0.9**20, rel=1e-12)


def test_smoothing_begins_with_its_window():
    """A sale 180 days ago is out; the interval to the first sale counts from the window's first day."""
    product = sold(9, *[0] * 178, 4, 4)
    found = of(product)
    assert found["croston_sba"] == pytest.approx(0.95 * 4 / (0.9 * 179 + 0.1), rel=1e-12)


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ([1] * 27, "new"),
        ([1] * 28, "smooth"),
        ([0] * 28, None),
        ([1, *[0] * 27], "intermittent"),
        ([1, 9] * 14, "erratic"),  # (4.07 / 5)² = 0.66
        ([1, 0, 0, 9] * 7, "lumpy"),
        ([1, 1, 1, 0] * 8 + [1] * 1, "intermittent"),  # 33 days, 25 with sales: 1.32 is the higher class
        ([1, 1, 1, 0] * 7 + [1] * 4, "smooth"),  # 32 / 25 = 1.28
    ],
)
def test_demand_classes(units, expected):
    assert of(sold(*units))["demand_class"] == expected


def test_prices():
    product = sold(*[1] * 10)
    for sale, price in zip(product.sales, [2, 2, 2, 2, 2, 2, 2, 2, 1, 4], strict=True):
        sale.revenue_e4 = price * 10_000
    product.sales[8] = replace(product.sales[8], units=11, revenue_e4=11 * 10_000, promo_units=10, rows=2)
    product.competitor_price = 5.0
    found = of(product)
    assert found["avg_price"] == (16 + 11 + 4) / 20
    assert found["price_vs_median"] == (31 / 20) / 2
    assert found["promo_share"] == 0.5
    assert found["revenue_per_row"] == 31 / 11
    assert found["competitor_price_index"] == 4 / 5, "the price of the last day with sales"


def test_own_price_without_sales_is_the_selling_price():
    found = of(sold(*[0] * 40, selling_price=3.0, competitor_price=4.0))
    assert found["competitor_price_index"] == 0.75
    assert math.isnan(of(sold(0, selling_price=3.0))["competitor_price_index"])
    assert math.isnan(of(sold(0, selling_price=3.0, competitor_price=0.0))["competitor_price_index"])


def test_returns():
    product = sold(*[0] * 20, 8, 0)
    product.sales.append(Sale(AS_OF, "pos", 0, 2, -40_000, 0, 1))
    found = of(product)
    assert found["return_rate"] == 0.25
    assert found["avg_price"] == (16 - 4) / 8
    assert found["revenue_per_row"] == 6.0
    assert found["days_since_sale"] == 1, "a return is no sale"


def test_channels():
    product = sold(*[0] * 60)
    for days, channel, units in ((0, "pos", 3), (27, "online", 1), (28, "online", 2), (55, "pos", 2)):
        product.sales.append(Sale(ago(days), channel, units, 0, units, 0, 1))
    found = of(product)
    assert [found[f"channel_share_{c}"] for c in ("online", "pos", "marketplace", "wholesale")] == [
        0.25,
        0.75,
        0,
        0,
    ]
    assert found["channel_growth_pos"] == 0.25
    assert found["channel_growth_online"] == -0.25
    assert found["channel_hhi"] == 0.625
    assert found["channel_entropy"] == pytest.approx(math.log(4) - 0.75 * math.log(3), rel=1e-14)


def test_one_channel_has_no_entropy():
    found = of(sold(1))
    assert (found["channel_entropy"], math.copysign(1, found["channel_entropy"])) == (0, 1)
    assert math.isnan(found["channel_growth_pos"])


def test_stock_is_the_latest_of_each_location():
    product = sold(*[1] * 40)
    product.levels = [
        Level(ago(30), 0, 1000, 1, 1),  # silent for too long
        Level(ago(27), 1, 100, 10, 5),
        Level(ago(2), 2, 7, 3, 1),
        Level(ago(1), 2, 6, 2, 0),
    ]
    found = of(product)
    assert (found["on_hand"], found["available"], found["in_transit"]) == (106, 94, 5)
    assert found["reserved_ratio"] == 12 / 106
    assert found["days_of_supply"] == 94
    assert found["days_of_supply_infinite"] == 0
    assert found["sell_through"] == 28 / 134


def test_stock_is_carried_into_a_window():
    product = sold(*[0] * 120)
    product.levels = [Level(ago(100), 0, 5, 0, 0), *(Level(ago(n), 1, 0, 0, 0) for n in (74, 73, 72))]
    found = of(product)
    assert found["stockout_days_90"] == 1, "the last of the three days is one too many after ago(100)"


def test_stock_is_not_carried_over_a_long_silence():
    product = sold(*[0] * 120)
    product.levels = [Level(ago(70), 0, 5, 0, 0), Level(ago(20), 1, 0, 0, 0), Level(ago(10), 0, 5, 0, 0)]
    assert of(product)["stockout_days_90"] == 1


def test_old_stock_is_no_stock():
    product = sold(*[1] * 40)
    product.levels = [Level(ago(2), 0, 7, 3, 1)]
    assert math.isnan(of(product)["on_hand"])
    assert math.isnan(of(product)["days_of_supply_infinite"])
    assert of(product, fresh_days=2)["on_hand"] == 7
    assert of(product)["in_stock_rate_28"] == 1, "how it was does not grow old"


def test_supply_of_what_does_not_sell_lasts_for_ever():
    product = sold(*[0] * 10)
    product.levels = [Level(AS_OF, 0, 7, 0, 0)]
    found = of(product)
    assert math.isnan(found["days_of_supply"])
    assert found["days_of_supply_infinite"] == 1


def test_supply_of_what_was_never_seen_is_not_known():
    found = of(Product("P", None, levels=[Level(AS_OF, 0, 7, 0, 0)]))
    assert found["on_hand"] == 7
    assert math.isnan(found["days_of_supply_infinite"])


def test_stock_outs_are_days_with_a_snapshot():
    product = sold(*[0] * 60)
    product.levels = [Level(ago(n), 0, n % 2, 0, 0) for n in (40, 30, 5, 3, 2, 1)]
    found = of(product)
    assert (found["stockout_days_28"], found["in_stock_rate_28"]) == (1, 0.75)
    assert (found["stockout_days_90"], found["in_stock_rate_90"]) == (3, 0.5)


def test_fill_rate():
    """Two a day; on as-of the shelf is empty and one was sold: one is lost of 56."""
    product = sold(*[2] * 27, 1)
    product.levels = [Level(AS_OF, 0, 0, 0, 0)]
    assert of(product)["fill_rate"] == pytest.approx(55 / 56, rel=1e-14)
    product.levels = [Level(ago(1), 0, 9, 0, 0)]
    assert of(product)["fill_rate"] == 1
    product.levels = []
    assert math.isnan(of(product)["fill_rate"])


def test_fill_rate_without_a_day_to_compare_with():
    """Four Sundays known, all of them out of stock."""
    product = sold(*[2] * 28)
    product.levels = [Level(ago(n), 0, 0, 0, 0) for n in (0, 7, 14, 21)]
    assert math.isnan(of(product)["fill_rate"])


def test_turns_and_gmroi():
    product = sold(*[2] * 90, price_e4=50_000, unit_cost=4.0)
    product.levels = [Level(ago(n), 0, 30 if n % 2 else 10, 0, 0) for n in range(90)]
    found = of(product)
    assert found["turns"] == pytest.approx(2 * 365 / 20)
    assert found["gmroi"] == pytest.approx(2 * 365 * (5 - 4) / (20 * 4))
    product.unit_cost = None
    assert math.isnan(of(product)["turns"])
    product.unit_cost = 4.0
    product.levels = [Level(AS_OF, 0, -5, 0, 0)]
    assert math.isnan(of(product)["turns"]), "a negative stock is no stock"


def test_safety_stock_input():
    """Mean 2, variance 4/3."""
    product = sold(1, 3, 1, 3, lead_time_days=9.0, lead_time_std_days=0.5)
    assert of(product)["safety_stock_input"] == pytest.approx(math.sqrt(9 * 4 / 3 + 4 * 0.25), rel=1e-14)
    product.lead_time_std_days = None
    assert math.isnan(of(product)["safety_stock_input"])


def test_signals():
    product = sold(0)
    product.first_seen = ago(30)
    product.signals = [
        Signal(ago(7), 1, -1, 1, -200_000, 40_000, 0, 0, 0),
        Signal(ago(6), 2, 1, 2, 500_000, 170_000, 1, 300_000, 90_000),  # 0.1 and 0.4
    ]
    found = of(product)
    assert (found["trend_mean_7"], found["trend_mean_28"]) == (0.25, 0.1)
    assert found["trend_std_7"] == pytest.approx(math.sqrt(0.045), rel=1e-12)
    assert found["trend_std_28"] == pytest.approx(0.3, rel=1e-12)
    assert found["sentiment_mean_7"] == 0.3
    assert math.isnan(found["sentiment_std_7"])
    assert (found["demand_level_index_7"], found["demand_level_index_28"]) == (0.5, 0.0)


def test_rounded_squares_give_no_negative_variance():
    product = sold(0)
    product.signals = [
        Signal(AS_OF, 2, 0, 2, 800, 0, 0, 0, 0)
    ]  # 0.0004 twice: their squares are rounded to 0
    assert of(product)["trend_std_7"] == 0


@pytest.mark.parametrize(
    ("day", "dow", "week", "quarter", "weekend"),
    [
        (date(2024, 12, 30), 0, 1, 4, False),
        (date(2021, 1, 3), 6, 53, 1, True),
        (date(2024, 2, 29), 3, 9, 1, False),
        (date(2025, 6, 28), 5, 26, 2, True),
    ],
)
def test_calendar(day, dow, week, quarter, weekend):
    found = of_day(day)
    assert (found["dow"], found["week"], found["quarter"], found["is_weekend"]) == (
        dow,
        week,
        quarter,
        weekend,
    )
    assert found["month"] == day.month


def test_the_year_closes():
    first, last = of_day(date(2024, 1, 1)), of_day(date(2024, 12, 31))
    assert (first["year_sin"], first["year_cos"]) == (0, 1)
    assert last["year_sin"] == pytest.approx(-math.sin(math.tau / 366))


def test_a_product_not_seen_yet_has_the_calendar_alone():
    for first_seen in (None, AS_OF + timedelta(1)):
        found = of(Product("P", first_seen))
        assert found.pop("demand_class") == "new"
        there = {name for name, value in found.items() if not math.isnan(value)}
        assert there == {feature.name for feature in CATALOGUE if feature.theme == "calendar"}


def test_large_figures_stay_exact():
    found = of(sold(*[2**31 - 1] * 200, price_e4=10_000))
    assert found["mean_units_90"] == 2**31 - 1
    assert (found["std_units_90"], found["slope"], found["acceleration"]) == (0, 0, 0)
    assert found["avg_price"] == 1
