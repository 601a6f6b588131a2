"""Demand that comes now and then: how often, how evenly, and what to expect of a day."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handlers.features.arithmetic import given, mean_and_variance, ratio
from handlers.features.feature import Feature
from handlers.features.history import Flags, Floats, History, last

CLASS_DAYS = 90
SMOOTHING_DAYS = 180
ALPHA = 0.1
ADI_CUT = 1.32  # Syntetos, Boylan and Croston 2005; a value on a cut belongs to the higher class
CV2_CUT = 0.49
DEMAND_CLASSES = ("new", "smooth", "erratic", "intermittent", "lumpy")
_NEW_BELOW = 28  # known days


_SYNTETOS = "Syntetos, Boylan and Croston 2005, On the categorization of demand patterns"

FEATURES = (
    Feature(
        name="adi",
        theme="intermittency",
        formula="N / days with sales",
        windows=(CLASS_DAYS,),
        unit="days",
        meaning="average interval between days with sales; 1 sells every day",
        no_data="no sales",
        source=_SYNTETOS,
    ),
    Feature(
        name="cv2",
        theme="intermittency",
        formula="(sample standard deviation / mean of u over the days with sales)²",
        windows=(CLASS_DAYS,),
        unit="-",
        meaning="how uneven the amounts are when it sells",
        no_data="fewer than two days with sales",
        source=_SYNTETOS,
    ),
    Feature(
        name="demand_class",
        theme="intermittency",
        formula=(
            f"adi < {ADI_CUT}: smooth if cv2 < {CV2_CUT}, else erratic; "
            f"adi ≥ {ADI_CUT}: intermittent if cv2 < {CV2_CUT}, else lumpy"
        ),
        windows=(CLASS_DAYS,),
        unit="-",
        meaning="the pattern of demand, for choosing a forecast; one day with sales is intermittent",
        no_data="`new` if N < 28, else none without sales",
        dtype="text",
        source=_SYNTETOS,
    ),
    Feature(
        name="croston_sba",
        theme="intermittency",
        formula=(
            "(1 - alpha/2) · smoothed u of the days with sales / smoothed interval between them, alpha = 0.1; "
            "the first interval counts from the window's first known day"
        ),
        windows=(SMOOTHING_DAYS,),
        unit="units/day",
        meaning="expected daily demand of a product that sells now and then",
        no_data="no sales",
        source="Croston 1972; Syntetos and Boylan 2005, The accuracy of intermittent demand estimates",
    ),
    Feature(
        name="tsb",
        theme="intermittency",
        formula="smoothed u of the days with sales · smoothed share of days with sales, alpha = 0.1 for both",
        windows=(SMOOTHING_DAYS,),
        unit="units/day",
        meaning="the same, but it falls with each day without a sale: shows products that fade out",
        no_data="no sales",
        source="Teunter, Syntetos and Babai 2011, Intermittent demand: linking forecasting to inventory obsolescence",
    ),
)


def adi(history: History, window: int) -> Floats:
    """Average interval between days with sales: known days over days with sales; NaN without sales."""
    return ratio(history.known_days(window), (last(history.sales.units, window) > 0).sum(axis=1))


def cv2(history: History, window: int) -> Floats:
    """Squared coefficient of variation (ddof 1) of the days with sales; NaN for fewer than two of them."""
    units = last(history.sales.units, window)
    mean, variance = mean_and_variance(units, units > 0)
    return ratio(variance, mean**2)


def demand_class(history: History, window: int) -> NDArray[np.object_]:
    """``new`` below 28 known days, then one of four classes; None if no day of the window has a sale.

    A single day with sales has no variation of sizes: it counts as 0, so the product is intermittent.
    """
    interval, sizes = adi(history, window), cv2(history, window)
    seldom, uneven = interval >= ADI_CUT, sizes >= CV2_CUT  # NaN compares as false
    steady = np.where(seldom, "intermittent", "smooth")
    varied = np.where(seldom, "lumpy", "erratic")
    named = np.where(uneven, varied, steady).astype(np.object_)
    named[np.isnan(interval)] = None
    named[history.known_days(window) < _NEW_BELOW] = "new"
    return named


@dataclass(slots=True)
class _Smoothed:
    """Exponential smoothing of P series side by side; the first value of each starts it."""

    level: Floats
    begun: Flags

    def take(self, values: Floats, at: Flags) -> None:
        later = ALPHA * values + (1 - ALPHA) * self.level
        self.level = np.where(at, np.where(self.begun, later, values), self.level)
        self.begun = self.begun | at


def smoothed(history: History, window: int) -> tuple[Floats, Floats]:
    """Croston's method with the correction of Syntetos and Boylan, and the method of Teunter, Syntetos and Babai.

    Both smooth the sizes of days with sales, beginning with the first. Croston divides by the smoothed interval
    between them; the first interval reaches from the window's first known day to the first sale, both counted.
    TSB multiplies by the smoothed share of days with sales, which begins with the first known day and falls on
    each day without one: a product that stops selling fades. Recomputed over the window, so what was loaded in
    which order has no influence.

    Returns:
        Croston SBA and TSB, units a day; NaN if no day of the window has a sale; (P,).
    """
    units = np.ascontiguousarray(last(history.sales.units, window).T, dtype=np.float64)  # (days, P)
    alive = np.ascontiguousarray(history.alive(window).T)
    products = units.shape[1]
    size, interval, chance = (_Smoothed(np.zeros(products), np.zeros(products, np.bool_)) for _ in range(3))
    waited = np.zeros(products)
    for sold, counted in zip(units, alive, strict=True):
        demanded = sold > 0
        waited += counted
        size.take(sold, demanded)
        interval.take(waited, demanded)
        chance.take(demanded.astype(np.float64), counted)
        waited[demanded] = 0
    croston = ratio((1 - ALPHA / 2) * size.level, interval.level)
    return given(size.begun, croston), given(size.begun, chance.level * size.level)


def compute(history: History) -> dict[str, Floats | NDArray[np.object_]]:
    """The features of this theme, (P,) each."""
    croston_sba, tsb = smoothed(history, SMOOTHING_DAYS)
    return {
        "adi": adi(history, CLASS_DAYS),
        "cv2": cv2(history, CLASS_DAYS),
        "demand_class": demand_class(history, CLASS_DAYS),
        "croston_sba": croston_sba,
        "tsb": tsb,
    }
