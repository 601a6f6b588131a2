"""When people buy: weekdays, hours, holidays and weather of the sample market. Pure tables and functions."""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from math import cos, pi

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CHANNELS = ("online", "pos", "marketplace", "wholesale")
ONLINE, POS, MARKETPLACE, WHOLESALE = range(len(CHANNELS))

# One row per channel, Monday to Sunday. Shops live from Friday and Saturday, wholesalers from working days.
WEEKDAYS: Floats = np.array(
    [
        [1.08, 0.97, 0.94, 0.95, 0.92, 0.98, 1.16],
        [0.82, 0.80, 0.87, 0.98, 1.25, 1.62, 0.66],
        [1.02, 0.98, 0.96, 0.96, 0.95, 1.04, 1.09],
        [1.55, 1.45, 1.40, 1.35, 1.25, 0.00, 0.00],
    ]
)

# Weight of each hour of the day, per channel (shops open 08 to 21, trade counters 07 to 16).
_HOURS = {
    ONLINE: (2, 1, 1, 1, 1, 2, 3, 5, 7, 8, 9, 9, 10, 9, 8, 8, 8, 9, 11, 13, 15, 14, 9, 5),
    POS: (0, 0, 0, 0, 0, 0, 0, 0, 4, 6, 8, 10, 12, 10, 8, 9, 12, 15, 14, 9, 5, 0, 0, 0),
    MARKETPLACE: (3, 2, 1, 1, 1, 2, 3, 5, 7, 8, 8, 8, 9, 9, 8, 8, 8, 9, 10, 12, 13, 12, 9, 6),
    WHOLESALE: (0, 0, 0, 0, 0, 0, 0, 8, 14, 16, 14, 12, 6, 10, 9, 6, 3, 0, 0, 0, 0, 0, 0, 0),
}

_DAYS_A_YEAR = 365.25
_FRIDAY = 4
_DECEMBER, _NOVEMBER = 12, 11
_CHRISTMAS_EVE = 24
_FIRST_GIFT_SALE = 18  # from here to Christmas Eve the calendar itself is an event


@cache
def hour_shares() -> Floats:
    """Cumulative share of baskets until the end of each hour, shape (channels, 24)."""
    weights = np.array([_HOURS[channel] for channel in range(len(CHANNELS))], dtype=np.float64)
    total: Floats = np.cumsum(weights, axis=1)
    return total / total[:, -1:]


def wave(day: date, peak: int) -> float:
    """Yearly cosine in -1..1 with its top on day `peak` of the year."""
    return cos(2 * pi * (day.timetuple().tm_yday - peak) / _DAYS_A_YEAR)


@cache
def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (the algorithm of Meeus, Jones and Butcher)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    ell = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * ell) // 451
    month, day = divmod(h + ell - 7 * m + 114, 31)
    return date(year, month, day + 1)


def is_closed(day: date) -> bool:
    """Whether the shops are closed: New Year, Good Friday, Easter, 1 May, Whit Monday, Christmas."""
    if (day.month, day.day) in {(1, 1), (5, 1), (12, 25), (12, 26)}:
        return True
    return (day - easter(day.year)).days in {-2, 0, 1, 50}


def is_black_friday_week(day: date) -> bool:
    """Whether `day` lies in the four days from the Friday after the fourth Thursday of November."""
    friday = day - timedelta(days=(day.weekday() - _FRIDAY) % 7)
    first, last = 23, 29
    return friday.month == _NOVEMBER and first <= friday.day <= last and (day - friday).days in range(4)


def is_event(day: date) -> bool:
    """Whether the calendar moves demand on `day`: what the demand feed calls a holiday."""
    gifts = day.month == _DECEMBER and _FIRST_GIFT_SALE <= day.day <= _CHRISTMAS_EVE
    return is_closed(day) or is_closed(day + timedelta(days=1)) or gifts or is_black_friday_week(day)


def calendar_factors(day: date) -> Floats:
    """Demand relative to an ordinary day of the year, per channel: weekday, holidays and the weeks before them."""
    factors = WEEKDAYS[:, day.weekday()].copy()
    if is_closed(day):
        factors[ONLINE] *= 1.2
        factors[[POS, WHOLESALE]] = 0.0
        return factors
    if is_closed(day + timedelta(days=1)):
        factors[POS] *= 1.35
    if is_black_friday_week(day):
        factors *= np.array([1.9, 1.4, 1.8, 1.0])
    if day.month == _DECEMBER and day.day <= _CHRISTMAS_EVE:
        factors *= 1 + np.array([0.6, 0.7, 0.6, 0.1]) * day.day / _CHRISTMAS_EVE
    return factors


def season_name(day: date) -> str:
    """Season of a promotion code: WINTER, SPRING, SUMMER or AUTUMN."""
    return ("WINTER", "SPRING", "SUMMER", "AUTUMN")[day.month % 12 // 3]


@dataclass(slots=True)
class Weather:
    """Weather of the one region the market lies in: yesterday's lives on in today's."""

    rng: np.random.Generator
    anomaly: float = 0.0  # °C above what is usual on the day
    wetness: float = 0.0

    def advance(self, day: date) -> tuple[str, float]:
        """Move on to `day`; return the word of the demand feed and the temperature in °C."""
        cold, hot, wet = 4.0, 24.0, 1.2
        heat, rain = self.rng.standard_normal(2)
        self.anomaly = 0.75 * self.anomaly + 2.2 * float(heat)
        self.wetness = 0.5 * self.wetness + float(rain)
        temperature = 11.0 + 10.0 * wave(day, 200) + self.anomaly
        if self.wetness > wet:
            return "rainy", temperature
        if temperature > hot:
            return "hot", temperature
        return ("cold" if temperature < cold else "normal"), temperature
