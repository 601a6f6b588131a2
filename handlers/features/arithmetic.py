"""Sums over windows, and ratios that are NaN where there is nothing to divide by."""

import numpy as np
from numpy.typing import NDArray

from handlers.features.history import Flags, Floats, Ints, last

NOTHING = np.nan


def total(array: Ints, window: int) -> Ints:
    """Sum over the last days; exact; (P,), or (P, C) of an array per channel."""
    return np.asarray(last(array, window).sum(axis=-1, dtype=np.int64))


def ratio(top: NDArray[np.generic], bottom: NDArray[np.generic]) -> Floats:
    """``top / bottom``, NaN where ``bottom`` is 0 or either is NaN."""
    above, below = np.broadcast_arrays(top, bottom)
    out = np.full(above.shape, NOTHING)
    np.divide(above, below, out=out, where=below != 0)
    return out


def given(condition: Flags, values: NDArray[np.generic]) -> Floats:
    """The values where a condition holds, NaN elsewhere."""
    return np.where(condition, values, NOTHING)


def mean_and_variance(values: Ints, counted: Flags) -> tuple[Floats, Floats]:
    """Mean and sample variance (ddof 1) of the counted values of each row.

    In two passes: no digits are lost when the mean is large, and a constant has the variance 0.

    Args:
        values: (P, D).
        counted: (P, D).

    Returns:
        Mean, NaN without values; variance, NaN with fewer than two; (P,).
    """
    count = counted.sum(axis=1)
    mean = ratio((values * counted).sum(axis=1), count)
    off = np.where(counted, values - mean[:, None], 0.0)
    return mean, ratio((off * off).sum(axis=1), np.maximum(count - 1, 0))
