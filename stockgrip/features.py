"""The features of a product from Python: the daemon's arithmetic, over windows of any length."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from daemon.settings import Settings
from daemon.store import feature_view
from daemon.store import features as table
from daemon.store.product_days import history_of
from handlers.features import CATALOGUE, History, channels, dates, features_of, price_promo, signals, velocity
from handlers.features.arithmetic import ratio, total
from handlers.features.history import Floats
from handlers.sales import CHANNELS
from stockgrip.pipeline import chosen

_Answer = TypeVar("_Answer")
_MOST_DAYS = 3_660
_FIXED = ("days_since_sale", "momentum", "lag_7", "lag_28", "adi", "cv2", "croston_sba", "tsb")
_SEASONAL = ("same_dow_mean", "dow_factor", "acf7")


class _Session(Protocol):
    """What is needed of a SQLAlchemy session."""

    def connection(self) -> Any: ...

    def in_transaction(self) -> bool: ...

    def rollback(self) -> None: ...


class LiveFeatureEngineer:
    """Computes features of a product as of the newest day with data, from the daily aggregates; it writes nothing.

    Each method returns numbers by name: those of ``docs/features.md``; a name that ends in its window there stands here
    without it, for a window of ``lookback_days``. NaN is no value, never 0; a flag is 1 or 0. ``demand_class``, a word,
    is in the table ``product_features`` only.
    """

    def __init__(
        self, session: _Session, config: Path | str | None = None, settings: Settings | None = None
    ) -> None:
        """Reads the configuration.

        Args:
            session: a SQLAlchemy session (``get_session``) on the daemon's database. A transaction that a call begins
                ends with it.
            config: the configuration file; without it ``config.yaml`` in the current folder, if there is one.
            settings: settings instead of a file.

        Raises:
            ConfigError: the configuration is wrong.
        """
        self._session = session
        self._settings = chosen(config, settings)

    def calculate_demand_velocity_features(
        self, product_id: str, lookback_days: int = 30
    ) -> dict[str, float]:
        """How fast it sells, whether that rises or falls, and how regularly; units and days.

        Raises:
            ValueError: the product is not known, or ``lookback_days`` is not from 1 to 3660.
        """
        return _plain(_velocity(self._history(product_id, lookback_days), lookback_days))

    def calculate_channel_performance_features(
        self, product_id: str, lookback_days: int = 30
    ) -> dict[str, float]:
        """How sales spread over channels and how that moves, and what they bring; shares and money.

        Raises:
            ValueError: as above.
        """
        return _plain(_channels(self._history(product_id, lookback_days), lookback_days))

    def calculate_inventory_health_features(self, product_id: str) -> dict[str, float]:
        """What lies there, how long it lasts, what was missed, and what it earns; windows as in the catalogue.

        Raises:
            ValueError: the product is not known.
        """
        return _plain(_of_theme(self._history(product_id), "stock"))

    def calculate_market_sentiment_features(
        self, product_id: str, lookback_days: int = 30
    ) -> dict[str, float]:
        """What the market says of it, -1 to 1, and its price against the competitor's.

        Raises:
            ValueError: as above.
        """
        return _plain(_market(self._history(product_id, lookback_days), lookback_days))

    def calculate_seasonality_features(self, product_id: str) -> dict[str, float]:
        """The weekly rhythm of its sales, and where in the week and year the day lies.

        Raises:
            ValueError: the product is not known.
        """
        return _plain(_seasonality(self._history(product_id)))

    def create_comprehensive_feature_set(self, product_id: str, lookback_days: int = 30) -> dict[str, float]:
        """All of the above.

        Raises:
            ValueError: as above.
        """
        history = self._history(product_id, lookback_days)
        return _plain(
            {
                **_velocity(history, lookback_days),
                **_channels(history, lookback_days),
                **_of_theme(history, "stock"),
                **_market(history, lookback_days),
                **_seasonality(history),
            }
        )

    def _history(self, product: str, lookback_days: int = 1) -> History:
        if not 1 <= lookback_days <= _MOST_DAYS:
            raise ValueError(f"lookback_days is {lookback_days}; it may be from 1 to {_MOST_DAYS}")
        fresh_days = self._settings.features.stock_fresh_days

        def read(connection: Any) -> History:
            day = table.frontier(connection)
            if day is None or not feature_view.is_known(connection, product):
                near = feature_view.products_like(connection, product, most=3)
                hint = f"such as {', '.join(near)}" if near else "none is: nothing is loaded yet"
                raise ValueError(f"product_id is {product!r}, which is not known; known are {hint}")
            # the growth of a channel's share looks at the window before, too
            return history_of(connection, [product], day, fresh_days, deep=2 * lookback_days)

        return self._ask(read)

    def _ask(self, question: Callable[[Any], _Answer]) -> _Answer:
        """An answer; a transaction that it begins ends with it, so that the next one sees what came since."""
        before = self._session.in_transaction()
        try:
            return question(self._session.connection())
        finally:
            if not before:
                self._session.rollback()


def _velocity(history: History, window: int) -> dict[str, Floats]:
    every = features_of(history).columns
    return {
        "mean_units": velocity.mean_units(history, window),
        "std_units": velocity.std_units(history, window),
        "cv": velocity.variation(history, window),
        "zero_share": velocity.zero_share(history, window),
        "slope": velocity.slope(history, window),
        "acceleration": velocity.acceleration(history, window),
        **{name: np.asarray(every[name], np.float64) for name in _FIXED},
    }


def _channels(history: History, window: int) -> dict[str, Floats]:
    now = channels.shares(history, window)
    growth = now - channels.shares(history, window, ending=window)
    return {
        **{f"channel_share_{name}": now[:, place] for place, name in enumerate(CHANNELS)},
        "channel_hhi": channels.concentration(now),
        "channel_entropy": channels.entropy(now),
        **{f"channel_growth_{name}": growth[:, place] for place, name in enumerate(CHANNELS)},
        "revenue_per_row": price_promo.revenue_per_row(history, window),
        "avg_price": price_promo.avg_price(history, window),
        "price_vs_median": price_promo.price_vs_median(history, window),
        "promo_share": price_promo.promo_share(history, window),
        "return_rate": price_promo.return_rate(history, window),
    }


def _market(history: History, window: int) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    told = history.signals
    for name in ("trend", "sentiment"):
        daily = (getattr(told, f"{name}_{part}") for part in ("sum_e6", "square_e6", "count"))
        sums, squares, count = (total(array, window) for array in daily)
        found[f"{name}_mean"] = signals.mean_of(sums, count)
        found[f"{name}_std"] = signals.deviation_of(sums, squares, count)
    found["demand_level_index"] = ratio(total(told.level_sum, window), total(told.signals, window))
    found["competitor_price_index"] = price_promo.competitor_price_index(history)
    return found


def _seasonality(history: History) -> dict[str, Floats]:
    every = features_of(history).columns
    rhythm = {name: np.asarray(every[name], np.float64) for name in _SEASONAL}
    return {**rhythm, **dates.compute(history)}


def _of_theme(history: History, theme: str) -> dict[str, Floats]:
    every = features_of(history).columns
    return {one.name: np.asarray(every[one.name], np.float64) for one in CATALOGUE if one.theme == theme}


def _plain(features: Mapping[str, Floats]) -> dict[str, float]:
    """The values of the only product."""
    return {name: float(values[0]) for name, values in features.items()}
