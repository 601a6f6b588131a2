"""The features of one product at one day, the slow and obvious way: from rows, in fractions.

Written from the definitions, not from the code.
"""

import math
import statistics
from collections import defaultdict
from datetime import date, timedelta
from fractions import Fraction

from features_rows import Product

from handlers.sales import CHANNELS


def sd(values):
    """Exact up to the root."""
    if len(values) < 2:
        return None
    mean = Fraction(sum(values), len(values))
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


def divided(top, bottom):
    return None if top is None or bottom is None or bottom == 0 else top / bottom


def least_squares(ys, degree):
    """Coefficients of the polynomial on 0, 1, 2, …, lowest first: the normal equations, in fractions."""
    size = degree + 1
    rows = [
        [Fraction(sum(x ** (i + j) for x in range(len(ys)))) for j in range(size)]
        + [Fraction(sum(y * x**i for x, y in enumerate(ys)))]
        for i in range(size)
    ]
    for i in range(size):
        pivot = next(k for k in range(i, size) if rows[k][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [cell / rows[i][i] for cell in rows[i]]
        for k in range(size):
            if k != i:
                rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i], strict=True)]
    return [row[-1] for row in rows]


def ses(values):
    """Simple exponential smoothing with 0.1, begun with the first value: the level after the last."""
    level = values[0]
    for value in values[1:]:
        level = 0.1 * value + 0.9 * level
    return level


class Naive:
    """One product at one day."""

    def __init__(self, product: Product, as_of: date, fresh_days: int) -> None:
        self.product, self.as_of, self.fresh_days = product, as_of, fresh_days
        self.sales = [sale for sale in product.sales if sale.day <= as_of]
        self.units = defaultdict(int)
        for sale in self.sales:
            self.units[sale.day] += sale.units

    def days(self, window):
        """The known days of a window, in order."""
        first = self.product.first_seen
        every = [self.as_of - timedelta(n) for n in reversed(range(window))]
        return [day for day in every if first is not None and day >= first]

    def series(self, window):
        return [self.units[day] for day in self.days(window)]

    def mean(self, window):
        return divided(Fraction(sum(self.series(window))), len(self.series(window)))

    def sum(self, name, window, channel=None, ending=0):
        end = self.as_of - timedelta(ending)
        begin = end - timedelta(window - 1)
        return sum(
            getattr(sale, name)
            for sale in self.sales
            if begin <= sale.day <= end and channel in (None, sale.channel)
        )

    # velocity

    def velocity(self):
        found = {f"mean_units_{window}": self.mean(window) for window in (7, 28, 90)}
        for window in (28, 90):
            found[f"std_units_{window}"] = sd(self.series(window))
            found[f"cv_{window}"] = divided(sd(self.series(window)), self.mean(window))
        ys = self.series(28)
        found["zero_share"] = divided(sum(y == 0 for y in ys), len(ys))
        sold = [sale.day for sale in self.sales if sale.units]
        found["days_since_sale"] = (self.as_of - max(sold)).days if sold else None
        found["slope"] = least_squares(ys, 1)[1] if len(ys) >= 3 else None
        found["acceleration"] = 2 * least_squares(ys, 2)[2] if len(ys) >= 4 else None
        found["momentum"] = divided(self.mean(7), self.mean(28))
        same = [self.units[day] for day in self.days(56) if day.weekday() == self.as_of.weekday()]
        found["same_dow_mean"] = divided(sum(same), len(same))
        found["dow_factor"] = divided(divided(Fraction(sum(same)), len(same)), self.mean(56))
        for days in (7, 28):
            then = self.as_of - timedelta(days)
            first = self.product.first_seen
            found[f"lag_{days}"] = self.units[then] if first is not None and then >= first else None
        found["acf7"] = self.acf(7)
        return found

    def acf(self, k):
        ys = self.series(90)
        if len(ys) <= k:
            return None
        mean = Fraction(sum(ys), len(ys))
        pairs = [(ys[t] - mean) * (ys[t + k] - mean) for t in range(len(ys) - k)]
        return divided(sum(pairs) / len(pairs), sum((y - mean) ** 2 for y in ys) / len(ys))

    # intermittency

    def intermittency(self):
        ys = self.series(90)
        sizes = [y for y in ys if y]
        adi = divided(Fraction(len(ys)), len(sizes))
        cv2 = sum((y - Fraction(sum(sizes), len(sizes))) ** 2 for y in sizes) if len(sizes) > 1 else None
        if cv2 is not None:
            cv2 = cv2 / (len(sizes) - 1) / Fraction(sum(sizes), len(sizes)) ** 2
        if len(ys) < 28:
            name = "new"
        elif adi is None:
            name = None
        elif adi < Fraction("1.32"):
            name = "erratic" if (cv2 or 0) >= Fraction("0.49") else "smooth"
        else:
            name = "lumpy" if (cv2 or 0) >= Fraction("0.49") else "intermittent"
        long = self.series(180)
        croston = tsb = None
        if any(long):
            places = [n for n, y in enumerate(long) if y]
            intervals = [b - a for a, b in zip([-1, *places], places, strict=False)]
            croston = 0.95 * ses([float(long[n]) for n in places]) / ses([float(n) for n in intervals])
            tsb = ses([float(y > 0) for y in long]) * ses([float(long[n]) for n in places])
        return {"adi": adi, "cv2": cv2, "demand_class": name, "croston_sba": croston, "tsb": tsb}

    # price

    def price(self):
        revenue, units = Fraction(self.sum("revenue_e4", 28), 10_000), self.sum("units", 28)
        average = divided(revenue, units)
        daily = [price for n in range(28) if (price := self.price_of(self.as_of - timedelta(n))) is not None]
        own = next(
            (p for n in range(90) if (p := self.price_of(self.as_of - timedelta(n))) is not None),
            self.product.selling_price,
        )
        return {
            "avg_price": average,
            "price_vs_median": divided(average, statistics.median(daily) if daily else None),
            "promo_share": divided(self.sum("promo_units", 28), units),
            "return_rate": divided(self.sum("returned", 28), units),
            "revenue_per_row": divided(revenue, self.sum("rows", 28)),
            "competitor_price_index": divided(own, self.product.competitor_price),
        }

    def price_of(self, day):
        today = [sale for sale in self.sales if sale.day == day]
        return divided(Fraction(sum(s.revenue_e4 for s in today), 10_000), sum(s.units for s in today))

    # channels

    def channels(self):
        def share(channel, ending=0):
            units = self.sum("units", 28, channel, ending)
            return divided(Fraction(units), self.sum("units", 28, None, ending))

        shares = [share(channel) for channel in CHANNELS]
        found = {f"channel_share_{channel}": share(channel) for channel in CHANNELS}
        known = None not in shares
        found["channel_hhi"] = sum(p**2 for p in shares) if known else None
        found["channel_entropy"] = -sum(p * math.log(p) for p in shares if p) if known else None
        for channel in CHANNELS:
            now, before = share(channel), share(channel, 28)
            found[f"channel_growth_{channel}"] = None if now is None or before is None else now - before
        return found

    # stock

    def stock_at(self, day, name):
        """Each location's latest level of the last 28 days, summed."""
        latest = {}
        for level in sorted(self.product.levels, key=lambda level: level.day):
            if timedelta(0) <= day - level.day < timedelta(28):
                latest[level.location] = getattr(level, name)
        return sum(latest.values())

    def snapshot_days(self, window):
        every = {self.as_of - timedelta(n) for n in range(window)}
        return sorted({level.day for level in self.product.levels} & every)

    def stock(self):
        fresh = bool(self.snapshot_days(self.fresh_days + 1))
        on_hand, reserved, in_transit = (
            self.stock_at(self.as_of, name) if fresh else None for name in ("close", "reserved", "in_transit")
        )
        available = on_hand - reserved if fresh else None
        found = {
            "on_hand": on_hand,
            "available": available,
            "in_transit": in_transit,
            "reserved_ratio": divided(reserved, on_hand) if fresh and on_hand > 0 else None,
            "days_of_supply": divided(available, self.mean(28)),
            "days_of_supply_infinite": self.mean(28) == 0 if fresh and self.mean(28) is not None else None,
        }
        for window in (28, 90):
            days = self.snapshot_days(window)
            empty = [day for day in days if self.stock_at(day, "close") <= 0]
            found[f"stockout_days_{window}"] = len(empty) if days else None
            found[f"in_stock_rate_{window}"] = divided(len(days) - len(empty), len(days))
        sold = self.sum("units", 28)
        found["sell_through"] = divided(sold, sold + on_hand) if fresh else None
        found |= self.earnings()
        found["fill_rate"] = self.fill_rate()
        lead, spread = self.product.lead_time_days, self.product.lead_time_std_days
        deviation = sd(self.series(28))
        if None in (lead, spread, deviation):
            found["safety_stock_input"] = None
        else:
            found["safety_stock_input"] = math.sqrt(
                lead * deviation**2 + float(self.mean(28)) ** 2 * spread**2
            )
        return found

    def earnings(self):
        days, n, cost = self.snapshot_days(90), len(self.days(90)), self.product.unit_cost
        if not days or not n or cost is None:
            return {"turns": None, "gmroi": None}
        in_stock = sum(self.stock_at(day, "close") for day in days) / len(days) * cost
        goods = (self.sum("units", 90) - self.sum("returned", 90)) * cost
        margin = self.sum("revenue_e4", 90) / 10_000 - goods
        if in_stock <= 0:
            return {"turns": None, "gmroi": None}
        return {"turns": goods * 365 / n / in_stock, "gmroi": margin * 365 / n / in_stock}

    def fill_rate(self):
        if not self.snapshot_days(28):
            return None
        out = {day for day in self.snapshot_days(56) if self.stock_at(day, "close") <= 0}
        lost = Fraction(0)
        for day in sorted(out & set(self.snapshot_days(28))):
            usual = [
                self.units[other]
                for other in self.days(56)
                if other.weekday() == day.weekday() and other not in out
            ]
            if not usual:
                return None
            lost += max(Fraction(0), Fraction(sum(usual), len(usual)) - self.units[day])
        sold = self.sum("units", 28)
        share = divided(lost, sold + lost)
        return None if share is None else 1 - share

    # signals and calendar

    def signals(self):
        found = {}
        for window in (7, 28):
            begin = self.as_of - timedelta(window - 1)
            rows = [s for s in self.product.signals if begin <= s.day <= self.as_of]
            for name in ("trend", "sentiment"):
                n = sum(getattr(s, f"{name}_count") for s in rows)
                total = Fraction(sum(getattr(s, f"{name}_sum_e6") for s in rows), 10**6)
                squares = Fraction(sum(getattr(s, f"{name}_square_e6") for s in rows), 10**6)
                found[f"{name}_mean_{window}"] = divided(total, n)
                deviation = None
                if n >= 2:
                    deviation = math.sqrt(max(Fraction(0), (squares - total**2 / n) / (n - 1)))
                found[f"{name}_std_{window}"] = deviation
            found[f"demand_level_index_{window}"] = divided(
                sum(s.level_sum for s in rows), sum(s.signals for s in rows)
            )
        return found

    def calendar(self):
        day = self.as_of
        ahead = (day - date(day.year, 1, 1)).days / (date(day.year + 1, 1, 1) - date(day.year, 1, 1)).days
        return {
            "dow": int(day.strftime("%u")) - 1,
            "week": int(day.strftime("%V")),
            "month": day.month,
            "quarter": math.ceil(day.month / 3),
            "is_weekend": day.strftime("%a") in ("Sat", "Sun"),
            "week_sin": math.sin(math.tau * day.weekday() / 7),
            "week_cos": math.cos(math.tau * day.weekday() / 7),
            "year_sin": math.sin(math.tau * ahead),
            "year_cos": math.cos(math.tau * ahead),
        }

    def all(self):
        return {
            **self.velocity(),
            **self.intermittency(),
            **self.price(),
            **self.channels(),
            **self.stock(),
            **self.signals(),
            **self.calendar(),
        }
