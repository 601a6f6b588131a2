"""Counts that scatter more than chance: how unusual is one, as a standard normal deviate.

The negative binomial here is given by its mean and its dispersion D, the variance per mean: p = 1/D, r = mean/(D - 1). For
D = 1 it is the Poisson distribution. Everything is vectorised; both tails are kept, so that a far value keeps its digits.
"""

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

FARTHEST = 37.0  # standard deviations; the tail beyond has no room in a double
_LEAST_TAIL = 1e-300
_NEARLY_POISSON = 1.0 + 1e-9
_AS_GAMMA = (
    5_000.0  # counts from here on: the gamma distribution of the same three moments (see _gamma_tails)
)
_AS_NORMAL = 1e5  # gamma shapes from here on: Wilson and Hilferty's cube root, off by less than 1e-6
_TINY = 1e-300
_PRECISE = 1e-15
_MOST_STEPS = 20_000
_log_gamma = np.vectorize(math.lgamma, otypes=[np.float64])


def mid_p_z(count: npt.ArrayLike, mean: npt.ArrayLike, dispersion: npt.ArrayLike) -> Floats:
    """How many standard deviations a count is from its mean: z = Φ⁻¹(F(y) - f(y)/2).

    Half of the probability of the count itself goes to either side, so that z is centred for small counts too.

    Args:
        count: whole numbers, 0 or more (sums of money: in the smallest unit).
        mean: expected, 0 or more.
        dispersion: variance per mean, 1 or more.

    Returns:
        z, within ±``FARTHEST``; 0 where nothing was expected and nothing came; NaN where an input is NaN.
    """
    y, mu, spread = (np.array(part, np.float64) for part in np.broadcast_arrays(count, mean, dispersion))
    shape = y.shape
    y, mu, spread = y.ravel(), mu.ravel(), spread.ravel()
    lower, upper = np.full(y.shape, np.nan), np.full(y.shape, np.nan)
    given = np.isfinite(y) & np.isfinite(mu) & np.isfinite(spread)
    none = given & (mu <= 0)
    lower[none], upper[none] = np.where(y[none] > 0, 1.0, 0.5), np.where(y[none] > 0, 0.0, 0.5)
    large = given & ~none & (np.maximum(y, mu) >= _AS_GAMMA)
    poisson = given & ~none & ~large & (spread <= _NEARLY_POISSON)
    counts = given & ~none & ~large & ~poisson
    for where, tails in ((large, _gamma_tails), (poisson, _poisson_tails), (counts, _counts_tails)):
        if where.any():
            lower[where], upper[where] = tails(y[where], mu[where], spread[where])
    z = np.where(lower < upper, -normal_upper_quantile(lower), normal_upper_quantile(upper))
    return np.asarray(z, np.float64).reshape(shape)


def negative_binomial(
    count: npt.ArrayLike, mean: npt.ArrayLike, dispersion: npt.ArrayLike
) -> tuple[Floats, Floats]:
    """P(X ≤ count) and P(X > count), each exact in its own digits.

    Args:
        count: whole numbers, 0 or more.
        mean: more than 0.
        dispersion: variance per mean, more than 1.
    """
    y, mu, spread = (np.array(part, np.float64) for part in np.broadcast_arrays(count, mean, dispersion))
    lower, upper = _incomplete_beta((mu / (spread - 1)).ravel(), (y + 1).ravel(), (1 / spread).ravel())
    return lower.reshape(y.shape), upper.reshape(y.shape)


def poisson(count: npt.ArrayLike, mean: npt.ArrayLike) -> tuple[Floats, Floats]:
    """P(X ≤ count) and P(X > count) of the Poisson distribution with a mean of more than 0."""
    y, mu = (np.array(part, np.float64) for part in np.broadcast_arrays(count, mean))
    below, above = _incomplete_gamma((y + 1).ravel(), mu.ravel())
    return above.reshape(y.shape), below.reshape(y.shape)


def normal_upper_quantile(tail: npt.ArrayLike) -> Floats:
    """The z that a standard normal value exceeds with this probability (Wichura's AS 241, to 1e-15).

    Args:
        tail: 0 to 1; less than 1e-300 counts as that.
    """
    p = np.asarray(tail, np.float64)
    q = 0.5 - p
    central = 0.180625 - q * q
    middle = q * _ratio(_CENTRE, np.maximum(central, 0))
    r = np.sqrt(-np.log(np.clip(np.minimum(p, 1 - p), _LEAST_TAIL, 0.5)))
    outer = np.where(r <= 5, _ratio(_NEAR, r - 1.6), _ratio(_FAR, r - 5))  # noqa: PLR2004
    return np.asarray(np.where(central >= 0, middle, np.copysign(outer, q)), np.float64)


def _counts_tails(y: Floats, mu: Floats, spread: Floats) -> tuple[Floats, Floats]:
    lower, upper = negative_binomial(y, mu, spread)
    r = mu / (spread - 1)
    log_f = _log_gamma(y + r) - _log_gamma(r) - _log_gamma(y + 1) - r * np.log(spread)
    half = 0.5 * np.exp(log_f + y * np.log1p(-1 / spread))
    return np.maximum(lower - half, 0), upper + half


def _poisson_tails(y: Floats, mu: Floats, _spread: Floats) -> tuple[Floats, Floats]:
    lower, upper = poisson(y, mu)
    half = 0.5 * np.exp(y * np.log(mu) - mu - _log_gamma(y + 1))
    return np.maximum(lower - half, 0), upper + half


def _gamma_tails(y: Floats, mu: Floats, spread: Floats) -> tuple[Floats, Floats]:
    """A gamma distribution with the mean, the variance and the skewness of the count; it begins a little below 0."""
    scale = spread - 0.5
    begin = -mu / (2 * scale)
    return _incomplete_gamma(mu * spread / (scale * scale), (y - begin) / scale)


def _incomplete_beta(a: Floats, b: Floats, x: Floats) -> tuple[Floats, Floats]:
    """I_x(a, b) and 1 - I_x(a, b); the smaller of the two by its continued fraction."""
    swap = x > (a + 1) / (a + b + 2)
    p, q, t = np.where(swap, b, a), np.where(swap, a, b), np.where(swap, 1 - x, x)
    log_front = p * np.log(t) + q * np.log1p(-t) + _log_gamma(p + q) - _log_gamma(p) - _log_gamma(q)
    small = np.clip(np.exp(log_front) * _beta_fraction(p, q, t) / p, 0, 1)
    return np.where(swap, 1 - small, small), np.where(swap, small, 1 - small)


def _beta_fraction(p: Floats, q: Floats, t: Floats) -> Floats:
    """Lentz's continued fraction of the incomplete beta function; takes about √max(p, q) steps."""
    found = np.empty_like(t)
    at: npt.NDArray[np.int64] = np.arange(len(t))  # those that are not exact yet
    c, d = np.ones_like(t), 1 / _nonzero(1 - (p + q) * t / (p + 1))
    fraction = d.copy()
    for m in range(1, _MOST_STEPS):
        for step in (
            m * (q - m) * t / ((p + 2 * m - 1) * (p + 2 * m)),
            -(p + m) * (p + q + m) * t / ((p + 2 * m) * (p + 2 * m + 1)),
        ):
            d = 1 / _nonzero(1 + step * d)
            c = _nonzero(1 + step / c)
            change = d * c
            fraction = fraction * change
        going = np.abs(change - 1) > _PRECISE
        if m % 8 == 0 or not going.any():
            found[at] = fraction
            if not going.any():
                break
            at = at[going]
            p, q, t, c, d, fraction = (part[going] for part in (p, q, t, c, d, fraction))
    return found


def _incomplete_gamma(s: Floats, x: Floats) -> tuple[Floats, Floats]:
    """P(s, x) and Q(s, x) = 1 - P(s, x); the smaller of the two by its series or fraction."""
    with np.errstate(divide="ignore"):
        log_front = s * np.log(x) - x - _log_gamma(s)
    lower, upper = np.empty_like(s), np.empty_like(s)
    normal = s >= _AS_NORMAL
    series = ~normal & (x < s + 1)
    rest = ~normal & ~series
    if normal.any():
        size = s[normal]
        deviate = 3 * np.sqrt(size) * (np.cbrt(x[normal] / size) - 1 + 1 / (9 * size))
        lower[normal] = 0.5 * _complementary_error(-deviate / math.sqrt(2))
        upper[normal] = 0.5 * _complementary_error(deviate / math.sqrt(2))
    if series.any():
        below = _gamma_series(s[series], x[series], log_front[series])
        lower[series], upper[series] = below, 1 - below
    if rest.any():
        above = _gamma_fraction(s[rest], x[rest], log_front[rest])
        lower[rest], upper[rest] = 1 - above, above
    return lower, upper


_complementary_error = np.vectorize(math.erfc, otypes=[np.float64])


def _gamma_series(s: Floats, x: Floats, log_front: Floats) -> Floats:
    term = 1 / s
    total = term.copy()
    for n in range(1, _MOST_STEPS):
        term = term * x / (s + n)
        total = total + term
        if np.all(term <= total * _PRECISE):
            break
    return np.clip(total * np.exp(log_front), 0, 1)


def _gamma_fraction(s: Floats, x: Floats, log_front: Floats) -> Floats:
    b = x + 1 - s
    c = np.full_like(x, 1 / _TINY)
    d = 1 / _nonzero(b)
    fraction = d.copy()
    for n in range(1, _MOST_STEPS):
        step = -n * (n - s)
        b = b + 2
        d = 1 / _nonzero(step * d + b)
        c = _nonzero(b + step / c)
        fraction = fraction * d * c
        if np.all(np.abs(d * c - 1) < _PRECISE * 4):
            break
    return np.clip(fraction * np.exp(log_front), 0, 1)


def _nonzero(values: Floats) -> Floats:
    return np.where(np.abs(values) < _TINY, _TINY, values)


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Floats) -> Floats:
    above, below = coefficients
    return np.asarray(np.polyval(above, x) / np.polyval(below, x), np.float64)


# Wichura (1988), Algorithm AS 241, PPND16; highest power first
_CENTRE = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
     1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
     5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0),
)  # fmt: skip
_NEAR = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
     3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
     6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0),
)  # fmt: skip
_FAR = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
     2.96560571828504891230e-1, 1.78482653991729133580e0, 5.46378491116411436990e0, 6.65790464350110377720e0),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
     1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0),
)  # fmt: skip
