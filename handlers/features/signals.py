"""What the market says about a product."""

import numpy as np

from handlers.features.arithmetic import ratio, total
from handlers.features.feature import Feature, over
from handlers.features.history import Floats, History, Ints

MILLION = 1_000_000


_NAMED = (("trend", "market_trend"), ("sentiment", "social_sentiment"))

FEATURES = (
    *(
        feature
        for name, column in _NAMED
        for statistic in (
            Feature(
                name=f"{name}_mean",
                theme="signals",
                formula=f"mean of {column}",
                unit="-1..1",
                meaning=f"mean {column} of the signals",
                no_data=f"no signal with a {column}",
            ),
            Feature(
                name=f"{name}_std",
                theme="signals",
                formula=f"sample standard deviation of {column}",
                unit="-1..1",
                meaning=f"how much {column} differs between signals",
                no_data=f"fewer than two signals with a {column}",
            ),
        )
        for feature in over((7, 28), statistic)
    ),
    *over(
        (7, 28),
        Feature(
            name="demand_level_index",
            theme="signals",
            formula="mean over the signals of: high 1, medium 0, low -1",
            unit="-1..1",
            meaning="whether the signals speak of high or of low demand",
            no_data="no signal",
        ),
    ),
)


def mean_of(sums: Ints, count: Ints) -> Floats:
    """Mean from a sum in 1/1 000 000; NaN without values; (P,)."""
    return ratio(sums, count * MILLION)


def deviation_of(sums: Ints, squares: Ints, count: Ints) -> Floats:
    """Sample standard deviation (ddof 1) from sums in 1/1 000 000; NaN for fewer than two values; (P,).

    The sums are moved to lie around their whole mean first, in integers: no digits cancel. Each square was
    rounded to 1/1 000 000 when it was summed, so deviations below about 0.001 are noise.
    """
    near = np.rint(mean_of(sums, count) * MILLION, out=np.zeros(len(sums)), where=count > 0).astype(np.int64)
    rest = sums - count * near
    around = squares * MILLION - 2 * near * sums + count * near**2
    spread = around - ratio(rest.astype(np.float64) ** 2, count)
    variance = ratio(np.maximum(spread, 0.0), np.maximum(count - 1, 0))
    return np.sqrt(variance) / MILLION


def compute(history: History) -> dict[str, Floats]:
    """The features of this theme, (P,) each."""
    found: dict[str, Floats] = {}
    signals = history.signals
    for name, _ in _NAMED:
        daily = [getattr(signals, f"{name}_{part}") for part in ("sum_e6", "square_e6", "count")]
        for window in (7, 28):
            sums, squares, count = (total(array, window) for array in daily)
            found[f"{name}_mean_{window}"] = mean_of(sums, count)
            found[f"{name}_std_{window}"] = deviation_of(sums, squares, count)
    for window in (7, 28):
        levels = ratio(total(signals.level_sum, window), total(signals.signals, window))
        found[f"demand_level_index_{window}"] = levels
    return found
