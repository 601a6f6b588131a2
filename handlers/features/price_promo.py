"""What a unit brings, how much of it is sold on promotion, and how much comes back."""

import numpy as np

from handlers.features.arithmetic import ratio, total
from handlers.features.feature import Feature
from handlers.features.history import Floats, History, last
from handlers.sales import MONEY_SCALE

OWN_PRICE_DAYS = 90  # as far back as revenue is read


FEATURES = (
    Feature(
        name="avg_price",
        theme="price",
        formula="Σ revenue / Σu",
        windows=(28,),
        unit="money",
        meaning="what a unit brings",
        no_data="no sales",
    ),
    Feature(
        name="price_vs_median",
        theme="price",
        formula="avg_price / median over the days with sales of revenue / u",
        windows=(28,),
        unit="ratio",
        meaning="average price against the usual day's: below 1 means that large amounts went cheaply",
        no_data="no sales, or a median of 0",
    ),
    Feature(
        name="promo_share",
        theme="price",
        formula="Σ units with a promotion code / Σu",
        windows=(28,),
        unit="-",
        meaning="share of units sold on promotion",
        no_data="no sales",
    ),
    Feature(
        name="return_rate",
        theme="price",
        formula="Σ units returned / Σu",
        windows=(28,),
        unit="-",
        meaning="units that came back for each unit sold; above 1 if older sales come back",
        no_data="no sales",
    ),
    Feature(
        name="revenue_per_row",
        theme="price",
        formula="Σ revenue / rows",
        windows=(28,),
        unit="money",
        meaning="what one line of a sales file brings; lines of returns count too",
        no_data="no rows",
    ),
    Feature(
        name="competitor_price_index",
        theme="price",
        formula=(
            f"own price / competitor's latest price; own price is revenue / u of the last day with sales "
            f"within {OWN_PRICE_DAYS} days, else the product's selling_price"
        ),
        windows=(OWN_PRICE_DAYS,),
        unit="ratio",
        meaning="below 1 is cheaper than the competitor",
        no_data="either price is unknown, or the competitor's is 0",
    ),
)


def avg_price(history: History, window: int) -> Floats:
    """Revenue over units sold; NaN without units.

    Revenue has returns taken off and units sold have not: where returns are accepted, this is what a unit that
    was sold brought in the end.
    """
    money = total(history.sales.revenue_e4, window) / MONEY_SCALE
    return ratio(money, total(history.sales.units, window))


def _daily_prices(history: History, window: int) -> Floats:
    """Revenue over units of each day, NaN on days without units; (P, window)."""
    money = last(history.sales.revenue_e4, window) / MONEY_SCALE
    return ratio(money, last(history.sales.units, window))


def _median(values: Floats) -> Floats:
    """The median of each row, NaNs left out; NaN if nothing is left; (P,)."""
    ordered = np.sort(values, axis=1)  # NaNs come last
    count = (~np.isnan(values)).sum(axis=1)
    row = np.arange(len(values))
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[1] - 1)
    return np.asarray((ordered[row, low] + ordered[row, high]) / 2)


def price_vs_median(history: History, window: int) -> Floats:
    """Average price over the median of the daily prices of the same days; NaN without units or at a median of 0."""
    return ratio(avg_price(history, window), _median(_daily_prices(history, window)))


def latest_price(history: History) -> Floats:
    """What a unit brought on the last day with sales within 90 days, else the product's selling price."""
    prices = _daily_prices(history, OWN_PRICE_DAYS)
    priced = ~np.isnan(prices)
    place = prices.shape[1] - 1 - np.argmax(priced[:, ::-1], axis=1)
    latest = prices[np.arange(len(prices)), place]
    return np.where(priced.any(axis=1), latest, history.attributes.selling_price)


def competitor_price_index(history: History) -> Floats:
    """Own latest price over the competitor's latest; NaN without either."""
    return ratio(latest_price(history), history.attributes.competitor_price)


def promo_share(history: History, window: int) -> Floats:
    """Of the units sold, those with a promotion code; NaN without units."""
    return ratio(total(history.sales.promo_units, window), total(history.sales.units, window))


def return_rate(history: History, window: int) -> Floats:
    """Units returned over units sold in the same days (of sales before them, too); NaN without units sold."""
    return ratio(total(history.sales.returned, window), total(history.sales.units, window))


def revenue_per_row(history: History, window: int) -> Floats:
    """Revenue over rows; NaN without rows."""
    money = total(history.sales.revenue_e4, window) / MONEY_SCALE
    return ratio(money, total(history.sales.rows, window))


def compute(history: History) -> dict[str, Floats]:
    """The features of this theme, (P,) each."""
    return {
        "avg_price": avg_price(history, 28),
        "price_vs_median": price_vs_median(history, 28),
        "promo_share": promo_share(history, 28),
        "return_rate": return_rate(history, 28),
        "revenue_per_row": revenue_per_row(history, 28),
        "competitor_price_index": competitor_price_index(history),
    }
