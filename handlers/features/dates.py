"""What day as-of is: the same for all products."""

import math
from datetime import date

import numpy as np

from handlers.features.feature import DType, Feature
from handlers.features.history import Floats, History

_SATURDAY = 5


def _declared(name: str, formula: str, meaning: str, dtype: DType = "float") -> Feature:
    return Feature(
        name=name,
        theme="calendar",
        formula=formula,
        unit="-",
        meaning=meaning,
        no_data="always known",
        dtype=dtype,
    )


FEATURES = (
    _declared("dow", "weekday, Monday 0 to Sunday 6", "day of the week", "integer"),
    _declared("week", "week of ISO 8601, 1 to 53", "week of the year", "integer"),
    _declared("month", "1 to 12", "month", "integer"),
    _declared("quarter", "1 to 4", "quarter of the calendar year", "integer"),
    _declared("is_weekend", "Saturday or Sunday", "weekend", "flag"),
    _declared("week_sin", "sin(2π · dow / 7)", "place in the week, so that Sunday is next to Monday"),
    _declared("week_cos", "cos(2π · dow / 7)", "place in the week, the other coordinate"),
    _declared(
        "year_sin",
        "sin(2π · (day of the year - 1) / days of the year)",
        "place in the year, the end next to the start",
    ),
    _declared(
        "year_cos",
        "cos(2π · (day of the year - 1) / days of the year)",
        "place in the year, the other coordinate",
    ),
)


def of_day(day: date) -> dict[str, float]:
    """The features of one day: Monday is 0; weeks are those of ISO 8601."""
    dow = day.weekday()
    in_week = 2 * math.pi * dow / 7
    new_year = date(day.year, 1, 1)
    days = (date(day.year, 12, 31) - new_year).days + 1
    in_year = 2 * math.pi * (day - new_year).days / days
    return {
        "dow": dow,
        "week": day.isocalendar().week,
        "month": day.month,
        "quarter": (day.month + 2) // 3,
        "is_weekend": dow >= _SATURDAY,
        "week_sin": math.sin(in_week),
        "week_cos": math.cos(in_week),
        "year_sin": math.sin(in_year),
        "year_cos": math.cos(in_year),
    }


def compute(history: History) -> dict[str, Floats]:
    """The features of this theme, (P,) each."""
    count = len(history.products)
    return {name: np.full(count, float(value)) for name, value in of_day(history.as_of).items()}
