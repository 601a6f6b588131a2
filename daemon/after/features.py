"""Features of the products that deliveries touched, and of all others once a new day has come.

The features of a product speak about the data day: the newest day for which any feed brought rows. A delivery of that
day, or a late one, computes the current row of its products anew; once a newer day has come, the row stands still. The
wall clock plays no part.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from itertools import groupby

import numpy as np

from daemon.after import rules, windows
from daemon.settings import FeatureSettings, Settings
from daemon.store import Store, product_days, rule_days
from daemon.store import features as table
from daemon.store.features import Due, Windows
from daemon.store.product_days import EVER, NO_DAY, Transaction
from daemon.timing import timed
from handlers.features import features_of
from handlers.features.build import CARRY_DAYS
from handlers.features.history import SIGNAL_DAYS, STOCK_DAYS, UNITS_DAYS, Days, Flags, Floats, Ints

_MOST_DUE = 3_000  # rows of due_products, a product has one for each feed: some 0.3 s, in which a file may have to wait
_FEW_DUE = 200  # so many take some 30 ms, half of which any step takes
_MOST_DAYS = 60_000  # days of products that are read in one step
_WHOLE_DAYS = UNITS_DAYS + STOCK_DAYS + CARRY_DAYS  # of a product that is read anew
_MOST_MOVED = 2_000  # products whose window is only moved on
_MOST_PRUNED = 10_000  # rows


def advance(
    store: Store, settings: Settings, gives_way: Callable[[], bool] | None = None, *, soon_done: bool = False
) -> bool:
    """Brings some products that deliveries touched up to date, in one transaction; whether there may be more to do.

    Args:
        store: the database.
        settings: of the daemon.
        gives_way: see ``Store.change``.
        soon_done: take few of them.

    Raises:
        GaveWay: ``gives_way`` said so.
    """
    if not store.ask(table.has_due):
        return False
    with timed("features"):
        most = _FEW_DUE if soon_done else _MOST_DUE
        return store.change(lambda connection: _advance(connection, settings.features, most), gives_way)


def move_on(store: Store, settings: Settings, gives_way: Callable[[], bool] | None = None) -> bool:
    """Once a new day has come: moves some other products on to it, in one transaction, then removes what has grown old.

    Returns:
        Whether there may be more to do.

    Raises:
        GaveWay: ``gives_way`` said so.
    """
    options = settings.features

    def is_due(connection: Transaction) -> bool:
        day = table.frontier(connection)
        return day is not None and (
            bool(table.windows_of_other_days(connection, day, 1, 1))
            or table.has_old(connection, table.first_kept(day, options.keep_days))
        )

    if not store.ask(is_due):
        return False
    with timed("new day"):
        return store.change(lambda connection: _move_on(connection, options), gives_way)


def _advance(connection: Transaction, options: FeatureSettings, most: int) -> bool:
    day = table.frontier(connection)
    some = _some(table.due(connection, most), day)
    table.forget(connection, sorted({one.product for one in some if not one.first_seen and one.window}))
    if day is not None:
        products = sorted({one.product for one in some if one.first_seen})
        _bring_up(connection, products, _since(some, products), day, options)
    table.done(connection, some)
    return bool(some)


def _move_on(connection: Transaction, options: FeatureSettings) -> bool:
    day = table.frontier(connection)
    if day is None:
        return False
    if others := table.windows_of_other_days(connection, day, _MOST_MOVED, _MOST_DAYS // _WHOLE_DAYS):
        _bring_up(connection, others, {}, day, options)
        return True
    first = table.first_kept(day, options.keep_days)
    rule_days.prune(connection, first)
    return table.prune(connection, first, _MOST_PRUNED) > 0


def _some(due: Sequence[Due], day: date | None) -> list[Due]:
    """As much of what is due as one step may take."""
    taken: list[Due] = []
    days = 0
    for _, group in groupby(due, key=lambda one: one.product):
        parts = list(group)
        days += _days_to_read(parts, day)
        if taken and days > _MOST_DAYS:
            break
        taken += parts
    return taken


def _days_to_read(parts: Sequence[Due], day: date | None) -> int:
    first = parts[0]
    if first.first_seen is None or day is None:
        return 0
    if first.window is None or first.window > day:
        return min((day - first.first_seen).days + 1, _WHOLE_DAYS)
    reach = sum(min((day - one.since).days + 1, UNITS_DAYS) for one in parts)
    return max(reach, 1) + CARRY_DAYS * any(one.feed == "inventory" for one in parts)


def _since(some: Sequence[Due], products: Sequence[str]) -> dict[str, Days]:
    """The first day on which each product's rows came or went, for each feed; NaT if none did."""
    places = {product: place for place, product in enumerate(products)}
    since: dict[str, Days] = {feed: np.full(len(products), NO_DAY) for feed in windows.FEEDS}
    for one in some:
        if one.first_seen and one.feed in since:
            since[one.feed][places[one.product]] = np.datetime64(one.since, "D")
    return since


def _bring_up(
    connection: Transaction,
    products: Sequence[str],
    since: dict[str, Days],
    day: date,
    options: FeatureSettings,
) -> None:
    """Moves the windows of some products to a day, replaces the days since which something is new, and computes.

    Args:
        connection: of the transaction.
        products: P of them.
        since: the first new day of each feed, NaT for none; (P,).
        day: the data day.
        options: of the features.
    """
    if not products:
        return
    count, today = len(products), np.datetime64(day, "D")
    since = {feed: since.get(feed, np.full(count, NO_DAY)) for feed in windows.FEEDS}
    rules.forget(connection, products, _first(since), day)
    _want(connection, products, since, today)
    kept = table.read_windows(connection, count)
    anew = np.isnat(kept.as_of) | (kept.as_of > today)
    if anew.any():
        rule_days.forget_later(connection, product_days.WANTED, day)
        kept = _without(kept, anew)
        since = {feed: np.where(anew, EVER, days) for feed, days in since.items()}
        _want(connection, products, since, today)
    arrays = windows.unpack(kept.packed)
    windows.shift(arrays, np.where(anew, 0, _days_between(kept.as_of, today)))
    _read_new_days(connection, arrays, since, day)

    last_sale = _last_sales(connection, products, arrays["units"], kept, since["sales"], day)
    prices, price_days = _competitor_prices(connection, products, kept, since["demand"], day)
    first_seen = product_days.first_seen(connection, count)
    sold = _first_sold(arrays["units"], today)  # PostgreSQL: a delivery may commit between two questions
    history = windows.history(
        products,
        day,
        arrays,
        first_seen=np.where(sold < first_seen, sold, first_seen),
        last_sale=last_sale,
        attributes=product_days.attributes(connection, products, day, prices),
        fresh_days=options.stock_fresh_days,
    )
    table.write_features(connection, features_of(history).table(), table.known_at(connection))
    rules.note(connection, history, _first(since))
    moved = Windows(np.full(count, today), last_sale, prices, price_days, windows.pack(arrays))
    table.write_windows(connection, products, moved)


def _first(since: dict[str, Days]) -> Days:
    """The first day of any feed; NaT where there is none; (P,)."""
    return np.asarray(np.fmin.reduce(list(since.values())))


def _want(
    connection: Transaction, products: Sequence[str], since: dict[str, Days], today: np.datetime64
) -> None:
    """Asks for no more days than windows have."""
    depths = {"sales": UNITS_DAYS, "inventory": STOCK_DAYS, "demand": SIGNAL_DAYS}
    oldest = {feed: today - (depth - 1) for feed, depth in depths.items()}
    wanted = {feed: np.where(days < oldest[feed], oldest[feed], days) for feed, days in since.items()}
    product_days.want(connection, products, wanted)


def _without(kept: Windows, gone: Flags) -> Windows:
    """The windows, some of them empty."""
    packed = [b"" if empty else window for empty, window in zip(gone.tolist(), kept.packed, strict=True)]
    return replace(
        kept,
        last_sale=np.where(gone, NO_DAY, kept.last_sale),
        competitor_price=np.where(gone, np.nan, kept.competitor_price),
        price_day=np.where(gone, NO_DAY, kept.price_day),
        packed=packed,
    )


def _days_between(earlier: Days, today: np.datetime64) -> Ints:
    return (today - earlier).astype(np.int64)


def _read_new_days(
    connection: Transaction, arrays: windows.Arrays, since: dict[str, Days], day: date
) -> None:
    """Replaces the days since which rows came or went."""
    count, today = len(arrays["units"]), np.datetime64(day, "D")
    if not np.isnat(since["sales"]).all():
        fresh = windows.sales_days(product_days.sales_rows(connection, day), count, day)
        windows.replace_days(arrays, fresh, _new_days(since["sales"], today))
    if not np.isnat(since["inventory"]).all():
        fresh = windows.stock_days(product_days.stock_rows(connection, day), count, day)
        windows.replace_days(arrays, fresh, _new_days(since["inventory"], today))
    if not np.isnat(since["demand"]).all():
        fresh = windows.signal_days(product_days.signal_rows(connection, day), count, day)
        windows.replace_days(arrays, fresh, _new_days(since["demand"], today))


def _new_days(since: Days, today: np.datetime64) -> Ints:
    """How many days up to the data day are new."""
    none = np.isnat(since)
    return np.where(none, windows.NEVER, _days_between(np.where(none, today, since), today) + 1)


def _last_sales(
    connection: Transaction, products: Sequence[str], units: Ints, kept: Windows, since: Days, day: date
) -> Days:
    """The last day each product sold: in its window, or noted before, or found in all of history."""
    within = windows.last_sold(units, day)
    ask = np.flatnonzero(np.isnat(within) & ~np.isnat(since)).tolist()  # what was noted may have gone
    noted = np.where(np.isnat(within), kept.last_sale, within)
    if ask:
        found = product_days.last_sales(
            connection, {place: products[place] for place in ask}, len(products), day
        )
        noted[ask] = found[ask]
    return noted


def _competitor_prices(
    connection: Transaction, products: Sequence[str], kept: Windows, since: Days, day: date
) -> tuple[Floats, Days]:
    """The latest price of a competitor and its day: among the new days, or noted before, or found in all of history."""
    prices, days = kept.competitor_price.copy(), kept.price_day.copy()
    touched = ~np.isnat(since)
    if not touched.any():
        return prices, days
    holds = touched & ~(days >= since)  # what was noted, if anything, is older than what is new
    ask = {place: products[place] for place in np.flatnonzero(touched).tolist()}
    after = {place: since[place].astype(object) for place in np.flatnonzero(holds).tolist()}
    found, found_days = product_days.competitor_prices(connection, ask, after, len(products), day)
    take = touched & (~np.isnan(found) | ~holds)
    return np.where(take, found, prices), np.where(take, found_days, days)


def _first_sold(units: Ints, today: np.datetime64) -> Days:
    """The first day with units in the window; NaT if there is none."""
    sold = units > 0
    age = units.shape[1] - 1 - np.argmax(sold, axis=1)
    return np.where(sold.any(axis=1), today - age, NO_DAY)
