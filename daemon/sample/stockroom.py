"""Stock of every product at every location: receipts, issues and (s, S) reorders.

The books balance to the unit: stock of a day's end = stock of the evening before - sales + receipts, and what is
received was in transit the evening before.
"""

from datetime import date

import numpy as np

from daemon.sample.catalogue import Catalogue, Ints
from daemon.sample.seasons import Floats

_HORIZON = 32  # days an order can be under way at most
_COVER_DAYS = 9.0  # an order fills up to this many days above the reorder point
_SAFETY = 1.1  # standard deviations of demand over the lead time kept as safety stock
_MEMORY = 0.06  # weight of the newest day in the buyer's forecast
_LATE = np.array([0.80, 0.92, 0.97, 1.0])  # cumulative: on time, and so many days late:
_LATE_DAYS: Ints = np.array([0, 1, 3, 8])
_SHARES = np.diff(_LATE, prepend=0.0)
MEAN_LATE_DAYS = float(_SHARES @ _LATE_DAYS)
STD_LATE_DAYS = float(np.sqrt(_SHARES @ (_LATE_DAYS - MEAN_LATE_DAYS) ** 2))


class Stockroom:
    """State of all stock. Arrays have the shape (products, locations), units throughout."""

    def __init__(self, rng: np.random.Generator, catalogue: Catalogue, units_a_day: Floats) -> None:
        """Start with stock between reorder point and order-up-to level for a demand of `units_a_day`."""
        self._rng = rng
        self._lead = np.repeat(catalogue.lead_days[:, None], units_a_day.shape[1], axis=1)
        # The warehouse orders whole packs of the supplier, a shop takes a quarter of one.
        self._pack = np.repeat(catalogue.pack[:, None], units_a_day.shape[1], axis=1)
        self._pack[:, 1:] = np.maximum(self._pack[:, 1:] // 4, 1)
        self._forecast = units_a_day.copy()
        self._pipeline = np.zeros((_HORIZON, *units_a_day.shape), dtype=np.int64)
        low, high = self._levels()
        self.stock: Ints = low + (rng.random(low.shape) * (high - low + 1)).astype(np.int64)
        self.in_transit: Ints = np.zeros_like(self.stock)
        self.reserved: Ints = np.zeros_like(self.stock)
        self.last_reorder: Ints = np.zeros_like(self.stock)  # proleptic ordinal of the day, 0 = never

    def receive(self, day: date) -> None:
        """Book what arrives in the morning of `day`."""
        slot = self._pipeline[day.toordinal() % _HORIZON]
        self.stock += slot
        self.in_transit -= slot
        slot[:] = 0

    def issue(self, sold: Ints) -> None:
        """Book the sales of a day, at most the stock there is."""
        assert (sold <= self.stock).all(), (
            "sold more than there was: quantities must be cut to the stock first"
        )
        self.stock -= sold

    def close(self, day: date, expected: Floats, to_collect: Floats) -> None:
        """End `day`: learn from its `expected` demand, reorder, reserve what customers wait for (means, units)."""
        self._forecast += _MEMORY * (expected - self._forecast)
        low, high = self._levels()
        position = self.stock + self.in_transit
        packs = -((position - high) // self._pack)  # rounded up
        order = np.where(position <= low, packs * self._pack, 0)
        late = _LATE_DAYS[np.searchsorted(_LATE, self._rng.random(order.shape), side="right")]
        due = (day.toordinal() + self._lead + late) % _HORIZON
        product, location = np.nonzero(order)
        self._pipeline[due[product, location], product, location] += order[product, location]
        self.in_transit += order
        self.last_reorder[order > 0] = day.toordinal()
        self.reserved = np.minimum(self.stock, self._rng.poisson(to_collect))

    def _levels(self) -> tuple[Ints, Ints]:
        """Reorder point s and order-up-to level S."""
        over_lead = self._forecast * (self._lead + 1.0)
        low = np.ceil(over_lead + _SAFETY * np.sqrt(2.0 * over_lead)).astype(np.int64)
        return low, low + np.maximum(np.ceil(self._forecast * _COVER_DAYS).astype(np.int64), 1)
