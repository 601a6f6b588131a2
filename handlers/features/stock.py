"""What lies where, for how long it lasts, what was missed, and what the money in it earns."""

import numpy as np

from handlers.features.arithmetic import NOTHING, given, ratio, total
from handlers.features.feature import Feature, over
from handlers.features.history import Flags, Floats, History, last
from handlers.features.velocity import SAME_WEEKDAYS, WEEK, mean_units, std_units
from handlers.sales import MONEY_SCALE

YEAR = 365


FEATURES = (
    Feature(
        name="on_hand",
        theme="stock",
        formula="Σ over locations of the latest stock level",
        unit="units",
        meaning="what lies in all locations",
        no_data="not fresh",
        dtype="integer",
    ),
    Feature(
        name="available",
        theme="stock",
        formula="on_hand - Σ reserved",
        unit="units",
        meaning="what can still be sold",
        no_data="not fresh",
        dtype="integer",
    ),
    Feature(
        name="reserved_ratio",
        theme="stock",
        formula="Σ reserved / on_hand",
        unit="-",
        meaning="share of the stock that is promised",
        no_data="not fresh, or no stock",
    ),
    Feature(
        name="in_transit",
        theme="stock",
        formula="Σ over locations of the latest in-transit stock",
        unit="units",
        meaning="what is on its way",
        no_data="not fresh",
        dtype="integer",
    ),
    Feature(
        name="days_of_supply",
        theme="stock",
        formula="available / mean_units_28",
        windows=(28,),
        unit="days",
        meaning="how long it lasts at the pace of the last four weeks",
        no_data="not fresh, or no sales in 28 days",
    ),
    Feature(
        name="days_of_supply_infinite",
        theme="stock",
        formula="mean_units_28 = 0",
        windows=(28,),
        unit="-",
        meaning="nothing sells: what is available lasts for ever",
        no_data="not fresh, or no known day",
        dtype="flag",
    ),
    *over(
        (28, 90),
        Feature(
            name="stockout_days",
            theme="stock",
            formula="snapshot days with a stock of 0 or less at their end",
            unit="days",
            meaning="how often it was out of stock in all locations",
            no_data="no snapshot day",
            dtype="integer",
        ),
    ),
    *over(
        (28, 90),
        Feature(
            name="in_stock_rate",
            theme="stock",
            formula="1 - stockout_days / snapshot days",
            unit="-",
            meaning="share of days that ended with stock",
            no_data="no snapshot day",
        ),
    ),
    Feature(
        name="turns",
        theme="stock",
        formula="unit_cost · Σ(u - returned) · 365 / N ÷ (unit_cost · mean stock of the snapshot days)",
        windows=(90,),
        unit="1/year",
        meaning="how often a year the stock is sold",
        no_data="no unit_cost, no snapshot day, or no stock",
    ),
    Feature(
        name="gmroi",
        theme="stock",
        formula=(
            "(Σ revenue - unit_cost · Σ(u - returned)) · 365 / N "
            "÷ (unit_cost · mean stock of the snapshot days)"
        ),
        windows=(90,),
        unit="1/year",
        meaning="gross margin a year for each unit of money in stock",
        no_data="no unit_cost, no snapshot day, or no stock",
    ),
    Feature(
        name="sell_through",
        theme="stock",
        formula="Σu / (Σu + on_hand)",
        windows=(28,),
        unit="-",
        meaning="share of what was there that has been sold",
        no_data="not fresh, or neither sales nor stock",
    ),
    Feature(
        name="fill_rate",
        theme="stock",
        formula=(
            "1 - lost / (Σu + lost); lost = Σ over stock-out days of max(0, m - u), m the mean u of the same weekday "
            "over the known days of 56 that are no stock-out days"
        ),
        windows=(28, 56),
        unit="-",
        meaning="share of the demand that could be served",
        no_data="no snapshot day, no demand, or out of stock on a weekday for 8 weeks",
    ),
    Feature(
        name="safety_stock_input",
        theme="stock",
        formula="√(L · std_units_28² + mean_units_28² · s_L²), L and s_L the lead time and its standard deviation",
        windows=(28,),
        unit="units",
        meaning="spread of the demand during a lead time: times a service factor it is the safety stock",
        no_data="no lead_time_days or lead_time_std_days, or N < 2",
        source="standard deviation of a sum of independent daily demands over a random lead time",
    ),
)


def _snapshot_days(history: History, window: int) -> Flags:
    """Days of the window with a snapshot; (P, window)."""
    return last(history.stock.known, window)


def _any_snapshot(history: History, window: int) -> Flags:
    """Whose window has a snapshot; (P,)."""
    return np.asarray(_snapshot_days(history, window).any(axis=1))


def _fresh(history: History) -> Flags:
    """Whose latest snapshot is not too old; (P,)."""
    return _any_snapshot(history, history.stock.fresh_days + 1)


def stockouts(history: History, window: int) -> Flags:
    """Days with a snapshot, and nothing in any location at their end; (P, window)."""
    return _snapshot_days(history, window) & (last(history.stock.close, window) <= 0)


def levels(history: History) -> dict[str, Floats]:
    """Stock at as-of: each location's latest snapshot, summed; NaN if the product's latest is too old."""
    fresh, stock = _fresh(history), history.stock
    on_hand, reserved = stock.close[:, -1], stock.reserved[:, -1]
    return {
        "on_hand": given(fresh, on_hand),
        "available": given(fresh, on_hand - reserved),
        "reserved_ratio": given(fresh, ratio(reserved, np.maximum(on_hand, 0))),
        "in_transit": given(fresh, stock.in_transit[:, -1]),
    }


def supply(history: History, available: Floats) -> dict[str, Floats]:
    """Days that what is available lasts at the mean of four weeks; if nothing sells, NaN and a flag."""
    mean = mean_units(history, 28)
    told = ~np.isnan(available) & ~np.isnan(mean)
    return {
        "days_of_supply": ratio(available, mean),
        "days_of_supply_infinite": given(told, mean == 0),
    }


def stockout_days(history: History, window: int) -> Floats:
    """Days that ended with no stock in any location, of the days with a snapshot; NaN without snapshots."""
    return given(_any_snapshot(history, window), stockouts(history, window).sum(axis=1))


def in_stock_rate(history: History, window: int) -> Floats:
    """Share of the days with a snapshot that ended with stock; NaN without snapshots."""
    known = _snapshot_days(history, window)
    return ratio((known & ~stockouts(history, window)).sum(axis=1), known.sum(axis=1))


def _money_in_stock(history: History, window: int) -> Floats:
    """Mean stock of the days with a snapshot at unit cost; NaN without either or without stock; (P,)."""
    known = _snapshot_days(history, window)
    mean = ratio((last(history.stock.close, window) * known).sum(axis=1), known.sum(axis=1))
    cost = mean * history.attributes.unit_cost
    return np.where(cost > 0, cost, NOTHING)


def _cost_of_goods(history: History, window: int) -> Floats:
    """Units sold less units returned, at unit cost; returned goods are in stock again."""
    sales = history.sales
    return (total(sales.units, window) - total(sales.returned, window)) * history.attributes.unit_cost


def turns(history: History, window: int) -> Floats:
    """Cost of goods sold in a year of such days over the mean stock at cost."""
    yearly = ratio(_cost_of_goods(history, window) * YEAR, history.known_days(window))
    return ratio(yearly, _money_in_stock(history, window))


def gmroi(history: History, window: int) -> Floats:
    """Margin (revenue less cost of goods) in a year of such days over the mean stock at cost."""
    margin = total(history.sales.revenue_e4, window) / MONEY_SCALE - _cost_of_goods(history, window)
    return ratio(ratio(margin * YEAR, history.known_days(window)), _money_in_stock(history, window))


def sell_through(history: History, on_hand: Floats, window: int) -> Floats:
    """Units sold over units sold and still there; NaN without fresh stock, or if both are 0."""
    sold = total(history.sales.units, window)
    return ratio(sold, sold + on_hand)


def fill_rate(history: History, window: int) -> Floats:
    """Units sold over units that would have been sold with stock.

    On a stock-out day the mean of its weekday was asked for, taken over the last eight weeks' days that are no
    known stock-outs; what it lacks of that is lost, never less than 0. NaN without snapshots in the window, if
    nothing was asked for, or if a weekday was out of stock in all eight weeks: then nobody knows.

    Args:
        history: of P products.
        window: days, a multiple of 7 of at most 56.
    """
    weeks, long = window // WEEK, SAME_WEEKDAYS * WEEK
    by_weekday = (len(history.products), SAME_WEEKDAYS, WEEK)
    units = last(history.sales.units, long)
    out = stockouts(history, long)
    usual_days = (history.alive(long) & ~out).reshape(by_weekday)
    asked = ratio((units.reshape(by_weekday) * usual_days).sum(axis=1), usual_days.sum(axis=1))  # (P, 7)
    sold_then = units.reshape(by_weekday)[:, -weeks:]
    missed = out.reshape(by_weekday)[:, -weeks:]
    lost = np.where(missed, np.maximum(asked[:, None, :] - sold_then, 0.0), 0.0).sum(axis=(1, 2))
    sold = total(history.sales.units, window)
    return given(_any_snapshot(history, window), ratio(sold, sold + lost))


def safety_stock_input(history: History, window: int) -> Floats:
    """Standard deviation of the demand during the lead time; NaN unless both figures of the lead time are known."""
    mean, deviation = mean_units(history, window), std_units(history, window)
    lead, spread = history.attributes.lead_time_days, history.attributes.lead_time_std_days
    return np.sqrt(lead * deviation**2 + mean**2 * spread**2)


def compute(history: History) -> dict[str, Floats]:
    """The features of this theme, (P,) each."""
    now = levels(history)
    return {
        **now,
        **supply(history, now["available"]),
        **{f"stockout_days_{window}": stockout_days(history, window) for window in (28, 90)},
        **{f"in_stock_rate_{window}": in_stock_rate(history, window) for window in (28, 90)},
        "turns": turns(history, 90),
        "gmroi": gmroi(history, 90),
        "sell_through": sell_through(history, now["on_hand"], 28),
        "fill_rate": fill_rate(history, 28),
        "safety_stock_input": safety_stock_input(history, 28),
    }
