"""Where a product is sold: shares of the channels, how concentrated they are, and how they move."""

import numpy as np

from handlers.features.arithmetic import given, ratio
from handlers.features.feature import Feature, each
from handlers.features.history import Floats, History, last
from handlers.sales import CHANNELS

FEATURES = (
    *each(
        CHANNELS,
        Feature(
            name="channel_share",
            theme="channels",
            formula="Σu of the channel / Σu",
            windows=(28,),
            unit="-",
            meaning="share of units sold in channel {}",
            no_data="no sales",
        ),
    ),
    Feature(
        name="channel_hhi",
        theme="channels",
        formula="Σ channel_share²",
        windows=(28,),
        unit="-",
        meaning="concentration: 1 if one channel sells all, 0.25 if all four sell the same",
        no_data="no sales",
        source="Herfindahl-Hirschman index",
    ),
    Feature(
        name="channel_entropy",
        theme="channels",
        formula="-Σ channel_share · ln channel_share",
        windows=(28,),
        unit="nat",
        meaning="spread: 0 if one channel sells all, 1.386 if all four sell the same",
        no_data="no sales",
        source="Shannon entropy, natural logarithm",
    ),
    *each(
        CHANNELS,
        Feature(
            name="channel_growth",
            theme="channels",
            formula="channel_share now - channel_share of the 28 days before",
            windows=(28, 56),
            unit="-",
            meaning="by how much the share of channel {} grew; 0.1 is ten points",
            no_data="no sales in either window",
        ),
    ),
)


def shares(history: History, window: int, ending: int = 0) -> Floats:
    """Units of each channel over units of all; NaN without units.

    Args:
        history: of P products.
        window: days.
        ending: how many days before as-of the window ends.

    Returns:
        (P, channels).
    """
    sold = last(history.sales.channel_units, window, ending=ending).sum(axis=-1)
    return ratio(sold, sold.sum(axis=1, keepdims=True))


def concentration(shares_: Floats) -> Floats:
    """Herfindahl-Hirschman index: the sum of the squared shares; 1 if all is sold in one channel; (P,)."""
    return np.asarray((shares_ * shares_).sum(axis=1))


def entropy(shares_: Floats) -> Floats:
    """Shannon entropy of the shares, natural logarithm; a channel without units adds 0; (P,)."""
    logarithms = np.log(np.where(shares_ > 0, shares_, 1.0))
    # + 0.0: a single channel gives 0, not -0
    return given(~np.isnan(shares_[:, 0]), -(np.nan_to_num(shares_) * logarithms).sum(axis=1) + 0.0)


def compute(history: History) -> dict[str, Floats]:
    """The features of this theme, (P,) each."""
    now, before = shares(history, 28), shares(history, 28, ending=28)
    growth = now - before
    return {
        **{f"channel_share_{name}": now[:, n] for n, name in enumerate(CHANNELS)},
        "channel_hhi": concentration(now),
        "channel_entropy": entropy(now),
        **{f"channel_growth_{name}": growth[:, n] for n, name in enumerate(CHANNELS)},
    }
