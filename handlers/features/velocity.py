"""How fast a product sells, whether it rises or falls, and its weekly rhythm."""

import numpy as np

from handlers.features.arithmetic import given, mean_and_variance, ratio, total
from handlers.features.feature import Feature, over
from handlers.features.history import Floats, History, last

WEEK = 7
SAME_WEEKDAYS = 8  # the last so many
AUTOCORRELATION_DAYS = 90
_FEWEST_FOR_SLOPE = 3
_FEWEST_FOR_CURVE = 4


FEATURES = (
    *over(
        (7, 28, 90),
        Feature(
            name="mean_units",
            theme="velocity",
            formula="Σu / N",
            unit="units/day",
            meaning="how many units sell on a day, days without sales included",
            no_data="no known day; 0 if there are known days and no sales",
        ),
    ),
    *over(
        (28, 90),
        Feature(
            name="std_units",
            theme="velocity",
            formula="sample standard deviation of u over the N days",
            unit="units/day",
            meaning="how much daily sales vary, days without sales included",
            no_data="N < 2",
        ),
    ),
    *over(
        (28, 90),
        Feature(
            name="cv",
            theme="velocity",
            formula="std_units / mean_units",
            unit="-",
            meaning="variation relative to the mean: below 0.5 is steady, above 1 is hard to forecast",
            no_data="N < 2, or no sales",
        ),
    ),
    Feature(
        name="zero_share",
        theme="velocity",
        formula="1 - days with sales / N",
        windows=(28,),
        unit="-",
        meaning="share of days without a sale",
        no_data="no known day",
    ),
    Feature(
        name="days_since_sale",
        theme="velocity",
        formula="as-of - last day with sales, over all of history",
        unit="days",
        meaning="how long nothing has sold; 0 if it sold on the as-of day",
        no_data="it never sold",
        dtype="integer",
    ),
    Feature(
        name="slope",
        theme="velocity",
        formula="least-squares slope of u on the date over the N days",
        windows=(28,),
        unit="units/day²",
        meaning="by how many units daily sales rise (or fall) each day",
        no_data="N < 3",
    ),
    Feature(
        name="acceleration",
        theme="velocity",
        formula="2 · the quadratic coefficient of the least-squares parabola of u on the date over the N days",
        windows=(28,),
        unit="units/day³",
        meaning="by how much that rise itself grows each day",
        no_data="N < 4",
    ),
    Feature(
        name="momentum",
        theme="velocity",
        formula="mean_units_7 / mean_units_28",
        windows=(7, 28),
        unit="ratio",
        meaning="the last week against the last four: above 1 is speeding up",
        no_data="no sales in 28 days",
    ),
    Feature(
        name="same_dow_mean",
        theme="velocity",
        formula="mean of u on the last 8 known days of as-of's weekday, as-of included",
        windows=(56,),
        unit="units",
        meaning="what sells on such a weekday",
        no_data="no known day",
    ),
    Feature(
        name="dow_factor",
        theme="velocity",
        formula="same_dow_mean / mean of u over the N days",
        windows=(56,),
        unit="ratio",
        meaning="this weekday against an average day: above 1 is a strong day",
        no_data="no sales in 56 days",
    ),
    *(
        Feature(
            name=f"lag_{days}",
            theme="velocity",
            formula=f"u on the day {days} days before as-of",
            unit="units",
            meaning=f"what sold {days} days ago",
            no_data="not known then",
            dtype="integer",
        )
        for days in (7, 28)
    ),
    Feature(
        name="acf7",
        theme="velocity",
        formula="Σ(u-ū)(u₋₇-ū)/(N-7) ÷ Σ(u-ū)²/N",
        windows=(90,),
        unit="-",
        meaning="how strongly sales repeat every week; 1 is a perfect weekly rhythm",
        no_data="N < 8, or all days are equal",
        source="autocorrelation at lag 7 with adjusted sums, as `acf(adjusted=True)` of statsmodels",
    ),
)


def mean_units(history: History, window: int) -> Floats:
    """Units a day over the window, days without sales counted as 0; NaN if the product is not known yet."""
    return ratio(total(history.sales.units, window), history.known_days(window))


def std_units(history: History, window: int) -> Floats:
    """Sample standard deviation (ddof 1) of daily units, zeros included; NaN for fewer than two days."""
    return np.sqrt(mean_and_variance(last(history.sales.units, window), history.alive(window))[1])


def variation(history: History, window: int) -> Floats:
    """Standard deviation over mean; NaN without sales."""
    return ratio(std_units(history, window), mean_units(history, window))


def zero_share(history: History, window: int) -> Floats:
    """Share of the known days without a sale."""
    sold = (last(history.sales.units, window) > 0).sum(axis=1)
    known = history.known_days(window)
    return ratio(known - sold, known)


def days_since_sale(history: History) -> Floats:
    """Days from the last sale to as-of, over all of history; 0 on the day itself, NaN if it never sold."""
    passed = (np.datetime64(history.as_of, "D") - history.last_sale.astype("datetime64[D]")).astype(np.int64)
    return given(~np.isnat(history.last_sale), passed)


def _moments(history: History, window: int) -> tuple[Floats, Floats, Floats]:
    """N, and the sums of y·z and y·(z² - mean z²), z being days before as-of, centred.

    Sums are of integers, exact and free of the order of days: z is doubled and the second sum multiplied by 12.
    """
    y = last(history.sales.units, window)
    n = history.known_days(window)
    ages = np.arange(window - 1, -1, -1)
    s0, s1, s2 = y.sum(axis=1), (y * ages).sum(axis=1), (y * ages**2).sum(axis=1)
    first = 2 * s1 - (n - 1) * s0
    second = 3 * (4 * s2 - 4 * (n - 1) * s1 + (n - 1) ** 2 * s0) - (n**2 - 1) * s0
    return n.astype(np.float64), first / 2, second / 12


def slope(history: History, window: int) -> Floats:
    """Least-squares slope of daily units on the date, zeros included; NaN for fewer than three days."""
    n, first, _ = _moments(history, window)
    return given(n >= _FEWEST_FOR_SLOPE, ratio(-12 * first, n * (n**2 - 1)))  # ages fall as dates rise


def acceleration(history: History, window: int) -> Floats:
    """Twice the quadratic coefficient of the least-squares parabola on the date; NaN for fewer than four days.

    That is the second derivative: by how much the slope grows each day.
    """
    n, _, second = _moments(history, window)
    return given(n >= _FEWEST_FOR_CURVE, ratio(2 * 180 * second, n * (n**2 - 1) * (n**2 - 4)))


def momentum(history: History) -> Floats:
    """The last week's mean over the last four weeks'; NaN without sales in four weeks."""
    return ratio(mean_units(history, 7), mean_units(history, 28))


def same_dow_mean(history: History) -> Floats:
    """Mean of the last eight days with as-of's weekday, as-of included; fewer if the product is younger."""
    same = slice(WEEK - 1, None, WEEK)
    window = SAME_WEEKDAYS * WEEK
    sold = last(history.sales.units, window)[:, same].sum(axis=1)
    return ratio(sold, history.alive(window)[:, same].sum(axis=1))


def dow_factor(history: History) -> Floats:
    """The mean of as-of's weekday over the mean of all days of the same eight weeks; NaN without sales."""
    return ratio(same_dow_mean(history), mean_units(history, SAME_WEEKDAYS * WEEK))


def lag(history: History, days: int) -> Floats:
    """Units sold that many days before as-of; NaN if the product was not known then."""
    return given(history.age() >= days, last(history.sales.units, 1, ending=days)[:, 0])


def autocorrelation(history: History, days: int, window: int = AUTOCORRELATION_DAYS) -> Floats:
    """Correlation of daily units with those some days earlier, each sum divided by its number of terms.

    statsmodels calls that ``adjusted=True``: with few days it may leave [-1, 1]. NaN if no pair of days lies
    that far apart, or if all days are equal.
    """
    y, counted = last(history.sales.units, window), history.alive(window)
    n = history.known_days(window)
    off = np.where(counted, y - ratio(y.sum(axis=1), n)[:, None], 0.0)
    covariance = ratio((off[:, days:] * off[:, :-days]).sum(axis=1), np.maximum(n - days, 0))
    return ratio(covariance, ratio((off * off).sum(axis=1), n))


def compute(history: History) -> dict[str, Floats]:
    """The features of this theme, (P,) each."""
    return {
        **{f"mean_units_{window}": mean_units(history, window) for window in (7, 28, 90)},
        **{f"std_units_{window}": std_units(history, window) for window in (28, 90)},
        **{f"cv_{window}": variation(history, window) for window in (28, 90)},
        "zero_share": zero_share(history, 28),
        "days_since_sale": days_since_sale(history),
        "slope": slope(history, 28),
        "acceleration": acceleration(history, 28),
        "momentum": momentum(history),
        "same_dow_mean": same_dow_mean(history),
        "dow_factor": dow_factor(history),
        "lag_7": lag(history, 7),
        "lag_28": lag(history, 28),
        "acf7": autocorrelation(history, 7),
    }
