"""The sample market: one day after the other, demand meets stock. Pure: no clock, no disk.

Vectorised by day; nothing but the state of yesterday is kept, so that memory does not grow with the number of days.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from daemon.sample.catalogue import Catalogue, Ints, make_catalogue
from daemon.sample.seasons import (
    CHANNELS,
    MARKETPLACE,
    POS,
    WHOLESALE,
    Floats,
    Weather,
    calendar_factors,
    hour_shares,
    is_black_friday_week,
    is_closed,
    is_event,
    season_name,
    wave,
)
from daemon.sample.stockroom import Stockroom

Bools = npt.NDArray[np.bool_]

SEGMENTS = ("premium", "regular", "budget", "")  # no loyalty card, no segment: the loader's default applies
FULFILMENTS = ("warehouse", "store_pickup", "dropship")
LEVELS = ("low", "medium", "high")
EVENTS = ("none", "promotion", "holiday")
_WAREHOUSE, _STORE_PICKUP, _DROPSHIP = range(len(FULFILMENTS))

WARM_UP_DAYS = 28  # unpublished, so that orders are under way and promotions run on the first day
_MEAN_QUANTITY = np.array([1.35, 1.6, 1.25, 2.0])  # of a receipt line, in units (wholesale: in packs)
_PRICE_PERCENT: Ints = np.array([100, 100, 104, 72])  # of the list price, per channel
_BASKETS_PER_LINE = 0.45
_SEGMENT_SHARES = np.array(  # cumulative, per channel
    [[0.30, 0.80, 1.0, 1.0], [0.15, 0.55, 0.80, 1.0], [0.10, 0.65, 1.0, 1.0], [0.25, 0.95, 1.0, 1.0]]
)
_DISCOUNTS: Ints = np.array([10, 15, 20, 25, 30])  # percent
_WITH_CODE = 0.92  # of the customers of a promoted product redeem its code
_DROPSHIP_SHARE = 0.3
_LEVEL_BOUNDS = np.array([0.85, 1.3])  # of demand relative to the usual one: low, medium, high
_HANGOVER_DAYS = 5  # after a promotion, while customers still have what they bought


@dataclass(frozen=True, slots=True)
class SalesLines:
    """Receipt lines of one day in order of time; every array has one entry per line."""

    second: Ints  # of the day
    product: Ints
    location: Ints
    channel: Ints
    quantity: Ints
    revenue_e4: Ints  # money in 1/10 000
    segment: Ints
    promoted: Bools  # sold with the promotion code of the product
    fulfilment: Ints


@dataclass(frozen=True, slots=True)
class Signals:
    """Demand signals of one day, one entry per product."""

    level: Ints
    trend_percent: Ints  # market trend in 1/100, -100..100
    competitor_cents: Ints  # 0 = no competitor sells it
    weather: str
    event: Ints
    sentiment_percent: Ints


@dataclass(frozen=True, slots=True)
class MarketDay:
    """What happened on one day: sales, then stock at its end, and what was known about demand."""

    day: date
    catalogue: Catalogue
    promotion_codes: tuple[str, ...]  # of each product, empty = no promotion
    sales: SalesLines
    stock: Ints  # (products, locations), like the next three
    reserved: Ints
    in_transit: Ints
    last_reorder: Ints  # proleptic ordinal of a day, 0 = never
    signals: Signals


def simulate(
    days: int, products: int, seed: int | tuple[int, ...], last_day: date, stores: int
) -> Iterator[MarketDay]:
    """Yield the `days` days that end with `last_day`, the oldest first."""
    market = _Market(np.random.Generator(np.random.PCG64(seed)), products, stores)
    first = last_day - timedelta(days=days - 1)
    for offset in range(-WARM_UP_DAYS, days):
        today = market.step(first + timedelta(days=offset))
        if offset >= 0:
            yield today


class _Promotions:
    """Which product is promoted, for how long and at which discount; arrays are indexed by product."""

    def __init__(self, rng: np.random.Generator, products: int) -> None:
        self._rng = rng
        self._left: Ints = np.full(products, -_HANGOVER_DAYS)  # days left; 0 and below: days since the end
        self._discount: Ints = np.zeros(products, dtype=np.int64)
        self.codes: list[str] = [""] * products

    def advance(self, day: date) -> None:
        """End what is over and start what begins: weekly campaigns on Mondays, a big one on Black Friday."""
        count = len(self.codes)
        self._left -= 1
        black_friday = is_black_friday_week(day) and not is_black_friday_week(day - timedelta(days=1))
        if black_friday or day.weekday() == 0:
            chance, length = (0.35, 4) if black_friday else (0.10, 7)
            starts = (self._rng.random(count) < chance) & (self._left <= -_HANGOVER_DAYS)
            weeks = 1 if black_friday else self._rng.integers(1, 3, count)
            drawn = 30 if black_friday else _DISCOUNTS[self._rng.integers(0, len(_DISCOUNTS), count)]
            self._left = np.where(starts, length * weeks, self._left)
            self._discount = np.where(starts, drawn, self._discount)
            name = "BLACKFRIDAY" if black_friday else season_name(day)
            for product in np.nonzero(starts)[0].tolist():
                self.codes[product] = f"{name}{self._discount[product]}"
        for product in np.nonzero(self._left == 0)[0].tolist():
            self.codes[product] = ""

    @property
    def running(self) -> Bools:
        return self._left > 0

    @property
    def discount(self) -> Ints:
        """Percent off the price of each product, 0 without a promotion."""
        return np.where(self.running, self._discount, 0)

    def lift(self, elasticity: Floats) -> Floats:
        """Demand relative to the usual price; a little below 1 in the days after a promotion."""
        hangover = (self._left <= 0) & (self._left > -_HANGOVER_DAYS)
        lifted: Floats = (1.0 - self.discount / 100.0) ** -elasticity
        return np.where(hangover, 0.85, lifted)


class _Market:
    """State of the market between two days."""

    def __init__(self, rng: np.random.Generator, products: int, stores: int) -> None:
        self._rng = rng
        self._catalogue = make_catalogue(rng, products, stores)
        # (products, channels): units of one receipt line on average
        self._units = _MEAN_QUANTITY[None, :] * self._catalogue.batch_size[:, None]
        self._units[:, WHOLESALE] = _MEAN_QUANTITY[WHOLESALE] * self._catalogue.pack
        self._stockroom = Stockroom(
            rng, self._catalogue, self._place(self._catalogue.lines_a_day * self._units)
        )
        self._weather = Weather(rng)
        self._promotions = _Promotions(rng, products)
        self._trend = 0.15 * rng.standard_normal(products)
        self._rival = 0.08 * rng.standard_normal(products)  # log of competitor price / own list price
        self._sentiment = 0.2 * rng.standard_normal(products)

    def step(self, day: date) -> MarketDay:
        """Live through `day`."""
        weather, temperature = self._weather.advance(day)
        self._promotions.advance(day)
        self._drift()
        mean_lines = self._mean_lines(day, weather, temperature)
        room = self._stockroom
        room.receive(day)
        lines = self._place_lines(mean_lines, is_closed(day))
        sales = self._sell(lines)
        room.issue(self._sum(sales))
        expected = self._place(mean_lines * self._units)
        waiting = self._catalogue.routes * 0.5
        waiting[:, POS] = 0.0
        room.close(day, expected, np.einsum("pc,lc->pl", mean_lines * self._units, waiting))
        signals = self._signals(day, weather, mean_lines)
        return MarketDay(
            day=day,
            catalogue=self._catalogue,
            promotion_codes=tuple(self._promotions.codes),
            sales=sales,
            stock=room.stock.copy(),
            reserved=room.reserved.copy(),
            in_transit=room.in_transit.copy(),
            last_reorder=room.last_reorder.copy(),
            signals=signals,
        )

    def _place(self, per_channel: Floats) -> Floats:
        """Spread (products, channels) over the locations that serve the channels: (products, locations)."""
        placed: Floats = np.einsum("pc,lc->pl", per_channel, self._catalogue.routes)
        return placed

    def _drift(self) -> None:
        """Let tastes, competitors and opinions wander; each pulls back to its middle."""
        count = len(self._catalogue.ids)
        shocks = self._rng.standard_normal((3, count))
        self._trend = 0.985 * self._trend + 0.028 * shocks[0]
        self._rival = np.clip(0.97 * self._rival + 0.02 * shocks[1], -0.3, 0.3)
        # Customers who find the shelf empty say so.
        empty = (self._stockroom.stock == 0).mean(axis=1)
        self._sentiment = 0.88 * self._sentiment + 0.2 * self._trend - 0.12 * empty + 0.09 * shocks[2]

    def _mean_lines(self, day: date, weather: str, temperature: float) -> Floats:
        """Expected receipt lines, shape (products, channels)."""
        catalogue = self._catalogue
        of_product = np.array(
            [
                (1 + category.amplitude * wave(day, category.peak))
                * (1 + category.heat * (temperature - 11.0) / 10)
                for category in catalogue.categories
            ]
        )
        of_product = np.maximum(of_product, 0.05) * np.exp(self._trend + 0.6 * self._rival)
        mean: Floats = catalogue.lines_a_day * of_product[:, None] * calendar_factors(day)[None, :]
        mean[:, :WHOLESALE] *= self._promotions.lift(catalogue.elasticity)[:, None]
        if weather == "rainy":
            mean *= np.array([1.06, 0.90, 1.06, 1.0])
        return mean

    def _place_lines(self, mean_lines: Floats, closed: bool) -> Ints:
        """Draw the receipt lines customers ask for: flat index of (product, location, channel), one per line."""
        mean = mean_lines[:, None, :] * self._catalogue.routes[None, :, :]
        if closed:
            mean[:, 1:, :] = 0.0
        # One good or bad day of a product is one for all its channels.
        mean *= np.exp(0.2 * self._rng.standard_normal((len(mean), 1, 1)))
        counts = self._rng.poisson(mean).ravel()
        return np.repeat(np.arange(counts.size), counts)

    def _sell(self, cells: Ints) -> SalesLines:
        """Serve `cells` in order of time from what is on the shelf; the rest is lost."""
        rng, catalogue = self._rng, self._catalogue
        places = len(catalogue.locations)
        channel = cells % len(CHANNELS)
        location = cells // len(CHANNELS) % places
        product = cells // (len(CHANNELS) * places)
        wholesale = channel == WHOLESALE
        batch = np.where(wholesale, catalogue.pack[product], catalogue.batch_size[product])
        wanted = rng.geometric(1.0 / _MEAN_QUANTITY[channel]) * batch
        second, segment, dropship = self._baskets(location * len(CHANNELS) + channel)
        quantity = self._serve(product * places + location, second, wanted)
        promoted = self._promotions.running[product] & ~wholesale & (rng.random(cells.size) < _WITH_CODE)
        off = np.where(promoted, self._promotions.discount[product], 0)
        # Shops charge whole cents; wholesale prices have four decimals.
        percent = _PRICE_PERCENT[channel]
        cents = np.maximum((catalogue.list_cents[product] * percent * (100 - off) + 5000) // 10_000, 1)
        unit_e4 = np.where(wholesale, catalogue.list_cents[product] * percent, cents * 100)
        fulfilment = np.where(location > 0, _STORE_PICKUP, _WAREHOUSE)
        # A dropshipped parcel leaves the supplier's consignment stock in the warehouse: it counts there.
        fulfilment[dropship & (channel == MARKETPLACE)] = _DROPSHIP
        sold = np.nonzero(quantity)[0]
        order = sold[np.lexsort((product[sold], channel[sold], location[sold], second[sold]))]
        return SalesLines(
            second=second[order],
            product=product[order],
            location=location[order],
            channel=channel[order],
            quantity=quantity[order],
            revenue_e4=(quantity * unit_e4)[order],
            segment=segment[order],
            promoted=promoted[order],
            fulfilment=fulfilment[order],
        )

    def _baskets(self, pool: Ints) -> tuple[Ints, Ints, Bools]:
        """Put lines of one place and channel (`pool`) into common baskets: second of the day, segment, dropship."""
        rng = self._rng
        lines = np.bincount(pool)
        baskets = np.ceil(lines * _BASKETS_PER_LINE).astype(np.int64)
        start = np.cumsum(baskets) - baskets
        of_line = start[pool] + (rng.random(pool.size) * baskets[pool]).astype(np.int64)
        channel = np.repeat(np.arange(baskets.size), baskets) % len(CHANNELS)
        hour = (rng.random(channel.size)[:, None] >= hour_shares()[channel]).sum(axis=1)
        second = hour * 3600 + rng.integers(0, 3600, channel.size)
        segment = (rng.random(channel.size)[:, None] >= _SEGMENT_SHARES[channel]).sum(axis=1)
        dropship = rng.random(channel.size) < _DROPSHIP_SHARE
        return second[of_line], segment[of_line], dropship[of_line]

    def _serve(self, shelf: Ints, second: Ints, wanted: Ints) -> Ints:
        """Units each line gets: first come, first served from the stock of its shelf (product and location)."""
        order = np.lexsort((second, shelf))
        before = np.cumsum(wanted[order]) - wanted[order]
        first = np.searchsorted(shelf[order], shelf[order])  # first line of the same shelf
        left = self._stockroom.stock.ravel()[shelf[order]] - (before - before[first])
        served = np.empty_like(wanted)
        served[order] = np.clip(left, 0, wanted[order])
        return served

    def _sum(self, sales: SalesLines) -> Ints:
        """Units sold, shape (products, locations)."""
        sold = np.zeros_like(self._stockroom.stock)
        np.add.at(sold, (sales.product, sales.location), sales.quantity)
        return sold

    def _signals(self, day: date, weather: str, mean_lines: Floats) -> Signals:
        """What an observer of the market would report, with an observer's errors."""
        catalogue, count = self._catalogue, len(self._catalogue.ids)
        noise = self._rng.standard_normal((3, count))
        usual = (catalogue.lines_a_day * calendar_factors(day)[None, :]).sum(axis=1)
        index = mean_lines.sum(axis=1) / usual * np.exp(0.1 * noise[0])
        level = np.searchsorted(_LEVEL_BOUNDS, index).astype(np.int64)
        rival = np.rint(catalogue.list_cents * np.exp(self._rival)).astype(np.int64)
        event = np.full(count, EVENTS.index("holiday") if is_event(day) else 0)
        event[self._promotions.running] = EVENTS.index("promotion")
        return Signals(
            level=level,
            trend_percent=_percent(2.2 * self._trend + 0.05 * noise[1]),
            competitor_cents=np.where(catalogue.has_competitor, rival, 0),
            weather=weather,
            event=event,
            sentiment_percent=_percent(self._sentiment + 0.05 * noise[2]),
        )


def _percent(values: Floats) -> Ints:
    """Values of -1..1 in whole hundredths, cut off at the ends."""
    return np.rint(np.clip(values, -1.0, 1.0) * 100).astype(np.int64)
