"""Demand signals: what the market says about a product at a moment. The latest word wins."""

from handlers.columns import Column, Decimal, LocalTime, Words
from handlers.feed import PRODUCT_ID, Feed, Fold, Snapshot, Totals

_ANY = 40  # decimals: what a program writes for a double; the nearest one is kept
_SIGNAL = Decimal(places=_ANY, low=-1, high=1)
_MILLIONTHS = "CAST(FLOOR(COALESCE({0}, 0) * 1000000 + 0.5) AS BIGINT)"
_SQUARE = "CAST(FLOOR(COALESCE({0} * {0}, 0) * 1000000 + 0.5) AS BIGINT)"

DEMAND = Feed(
    name="demand",
    table="live_demand_signals",
    columns=(
        Column("date", LocalTime(), required=True),
        PRODUCT_ID,
        Column("external_demand", Words(("high", "medium", "low")), required=True),
        Column("market_trend", _SIGNAL),
        Column("competitor_price", Decimal(places=_ANY, low=0, high=99_999_999_999.0)),
        Column("weather_factor", Words(("hot", "cold", "rainy", "normal")), default="normal"),
        Column("event_impact", Words(("promotion", "holiday", "none")), default="none"),
        Column("social_sentiment", _SIGNAL),
    ),
    rules=(),
    key=("product_id", "date"),
    repeats="reject",
    daily=Snapshot(
        "demand_daily",
        keys=("product_id", "day"),
        folds=(
            Fold("signals", "count", "external_demand"),
            Fold("level_sum", "sum", "CASE external_demand WHEN 'high' THEN 1 WHEN 'low' THEN -1 ELSE 0 END"),
            Fold("trend_count", "count", "market_trend"),
            Fold("trend_sum_e6", "sum", _MILLIONTHS.format("market_trend")),
            Fold("trend_square_e6", "sum", _SQUARE.format("market_trend")),
            Fold("sentiment_count", "count", "social_sentiment"),
            Fold("sentiment_sum_e6", "sum", _MILLIONTHS.format("social_sentiment")),
            Fold("sentiment_square_e6", "sum", _SQUARE.format("social_sentiment")),
            Fold("competitor_price", "last", "competitor_price", integer=False),
        ),
        totals=Totals(units="signals"),
    ),
)
