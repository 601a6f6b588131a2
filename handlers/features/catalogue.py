"""The catalogue of features: what there is, in the order of the columns, and the page that describes it.

Each theme declares its features beside the code that computes them.
"""

from itertools import groupby
from types import MappingProxyType
from typing import Final

from handlers.features import channels, dates, intermittency, price_promo, signals, stock, velocity
from handlers.features.feature import Feature, Theme

VERSION: Final = "1"  # raised whenever a value changes for the same history, or a feature comes or goes

CATALOGUE: Final[tuple[Feature, ...]] = (
    *velocity.FEATURES,
    *intermittency.FEATURES,
    *price_promo.FEATURES,
    *channels.FEATURES,
    *stock.FEATURES,
    *signals.FEATURES,
    *dates.FEATURES,
)
FEATURES: Final = MappingProxyType({feature.name: feature for feature in CATALOGUE})

TITLES: Final[dict[Theme, str]] = {
    "velocity": "Demand velocity",
    "intermittency": "Intermittent demand",
    "price": "Price and promotion",
    "channels": "Channels",
    "stock": "Stock",
    "signals": "Market signals",
    "calendar": "Calendar",
}

_INTRODUCTION = """\
# Features

What is computed for each product and day. A feature speaks about its **as-of** day, in the business time zone, and uses
nothing later. This page is made from the catalogue in `handlers/features/`, version {version}, and a test holds both equal.

- **Known days**: a window of W days ends with the as-of day. `N` = min(W, as-of - first seen + 1) days of it are counted. First
  seen is the first day the product was heard of in any feed. A known day without sales counts as zero units.
- `u` are the units sold on a day, returns not taken off. Revenue has returns taken off.
- **No value** is NULL, never 0; the column says when. Where nothing is known of a product, only the calendar and the class
  `new` remain.
- Standard deviations are those of a sample (ddof 1). Days of the week: Monday is 0.
- **Snapshot day**: a day for which a stock level of the product came, from any location. The stock of a day is the sum of
  each location's latest level up to its end; a location that tells nothing for 28 days no longer counts (or for longer, where
  a longer delay is agreed).
- **Fresh**: the product's latest snapshot is no older than the agreed delay of the inventory feed, one day unless told
  otherwise.
- A flag is 1 (true) or 0 (false).
"""


def columns(theme: Theme) -> tuple[str, ...]:
    """The names of a theme's features."""
    return tuple(feature.name for feature in CATALOGUE if feature.theme == theme)


def page() -> str:
    """The text of ``docs/features.md``."""
    parts = [_INTRODUCTION.format(version=VERSION)]
    for theme, features in groupby(CATALOGUE, key=lambda feature: feature.theme):
        lines = [
            f"## {TITLES[theme]}\n",
            "| feature | formula | window, days | unit | type | no value | meaning |",
            "|---|---|---|---|---|---|---|",
        ]
        cited: dict[str, list[str]] = {}
        for feature in features:
            lines.append(_row(feature))
            if feature.source:
                cited.setdefault(feature.source, []).append(f"`{feature.name}`")
        if cited:
            lines.append("\nSources:\n")
            lines += [f"- {', '.join(names)}: {source}" for source, names in cited.items()]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _row(feature: Feature) -> str:
    windows = ", ".join(map(str, feature.windows)) or "-"
    cells = (
        f"`{feature.name}`",
        feature.formula,
        windows,
        feature.unit,
        feature.dtype,
        feature.no_data,
        feature.meaning,
    )
    return "| " + " | ".join(cells) + " |"
