"""The tables ``product_features`` and ``feature_windows``, and which products are due."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, func, select

from daemon.store import rule_days
from daemon.store.arrivals import fetch
from daemon.store.bulk import manners_of
from daemon.store.product_days import WANTED, days_of
from daemon.store.schema import DELIVERIES
from handlers import HANDLERS
from handlers.features.history import Days, Floats

_CHOSEN = "chosen_due"
_LATEST = 1_000  # deliveries


@dataclass(frozen=True, slots=True)
class Due:
    """What is due of a product after deliveries of one feed.

    Attributes:
        product: its id.
        feed: whose rows came or went.
        since: the first day on which they did.
        first_seen: the first day that is known of the product, now; none: the product is not known at all.
        window: the last day of its window, if there is one.
    """

    product: str
    feed: str
    since: date
    first_seen: date | None
    window: date | None


@dataclass(frozen=True, slots=True)
class Windows:
    """Rows of ``feature_windows``; (P,) each.

    Attributes:
        as_of: the last day of the window; NaT if there is none.
        last_sale: the last day up to ``as_of`` on which the product sold; NaT if it never did.
        competitor_price, price_day: the latest price of a competitor, NaN if there is none, and its day.
        packed: the window itself; no bytes if there is none.
    """

    as_of: Days
    last_sale: Days
    competitor_price: Floats
    price_day: Days
    packed: list[bytes]


def frontier(connection: Connection) -> date | None:
    """The data day: the newest day for which any feed brought rows; none before the first."""
    newest = (f"(SELECT MAX(day) FROM scope_daily WHERE feed = '{feed.name}')" for feed in HANDLERS)
    row = connection.exec_driver_sql(f"SELECT {', '.join(newest)}").one()
    days = [_day(value) for value in row if value is not None]
    return max(days, default=None)


def known_at(connection: Connection) -> datetime:
    """When the newest delivery arrived (UTC): what is computed now knows nothing later.

    Deliveries are numbered as they are loaded; of two the later one may have arrived first, because it is larger.
    """
    last = select(DELIVERIES.c.timestamp).order_by(DELIVERIES.c.id.desc()).limit(_LATEST).subquery()
    newest = select(func.max(last.c.timestamp))
    return connection.execute(newest).scalar() or datetime.fromtimestamp(0, UTC)


def has_due(connection: Connection) -> bool:
    """Whether any product's features do not know all that came."""
    return bool(connection.exec_driver_sql("SELECT EXISTS (SELECT 1 FROM due_products)").scalar())


def due(connection: Connection, most: int) -> list[Due]:
    """What is due first, in the order of products; nobody else takes it before the transaction ends.

    Args:
        connection: of the transaction.
        most: rows.
    """
    rows = fetch(
        connection,
        "SELECT d.product_id, d.feed, d.since, p.first_seen, w.as_of FROM due_products d"
        " LEFT JOIN products p ON p.product_id = d.product_id"
        " LEFT JOIN feature_windows w ON w.product_id = d.product_id"
        f" ORDER BY d.product_id, d.feed LIMIT {most}{_unwaiting(connection)}",
    )
    return [
        Due(product, feed, _day(since), _day_or_none(seen), _day_or_none(window))
        for product, feed, since, seen, window in rows
    ]


def done(connection: Connection, some: Sequence[Due]) -> None:
    """Takes out what was due."""
    manners = manners_of(connection)
    connection.exec_driver_sql(
        manners.temporary(_CHOSEN, {"product_id": "VARCHAR(64)", "feed": "VARCHAR(32)"})
    )
    connection.exec_driver_sql(f"DELETE FROM {_CHOSEN}")
    rows = {"product_id": [one.product for one in some], "feed": [one.feed for one in some]}
    manners.insert(connection, _CHOSEN, pa.table(rows))
    connection.exec_driver_sql(
        f"DELETE FROM due_products WHERE (product_id, feed) IN (SELECT product_id, feed FROM {_CHOSEN})"
    )


def windows_of_other_days(connection: Connection, day: date, most: int, most_later: int) -> list[str]:
    """Products whose window ends on another day than the data day: earlier ones first.

    Args:
        connection: of the transaction.
        day: the data day.
        most: products whose window is only to be moved on.
        most_later: products whose window ends after the data day, which are read anew.
    """
    for condition, count in ((f"as_of < '{day}'", most), (f"as_of > '{day}'", most_later)):
        rows = connection.exec_driver_sql(
            f"SELECT product_id FROM feature_windows WHERE {condition} ORDER BY as_of LIMIT {count}"
        )
        if found := sorted(row[0] for row in rows):
            return found
    return []


def read_windows(connection: Connection, count: int) -> Windows:
    """The windows of the wanted products; (P,)."""
    rows = connection.exec_driver_sql(
        "SELECT w.place, f.as_of, f.last_sale, f.competitor_price, f.price_day, f.packed"
        f" FROM {WANTED} w LEFT JOIN feature_windows f ON f.product_id = w.product_id"
    ).fetchall()
    ordered = sorted(rows, key=lambda row: row[0])
    if len(ordered) != count:
        raise AssertionError(f"{len(ordered)} windows for {count} products")
    _, as_of, last_sale, price, price_day, packed = zip(*ordered, strict=True) if ordered else [()] * 6
    return Windows(
        days_of(as_of),
        days_of(last_sale),
        np.array([np.nan if value is None else value for value in price], np.float64),
        days_of(price_day),
        [bytes(value or b"") for value in packed],
    )


def write_windows(connection: Connection, products: Sequence[str], windows: Windows) -> None:
    """Writes windows in place of those there are."""
    rows = zip(
        products,
        _texts(windows.as_of),
        _texts(windows.last_sale),
        [None if np.isnan(price) else float(price) for price in windows.competitor_price],
        _texts(windows.price_day),
        windows.packed,
        strict=True,
    )
    columns = ("as_of", "last_sale", "competitor_price", "price_day", "packed")
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    updates = ", ".join(f"{column} = excluded.{column}" for column in columns)
    connection.exec_driver_sql(
        f"INSERT INTO feature_windows (product_id, {', '.join(columns)}) VALUES ({', '.join([mark] * 6)})"
        f" ON CONFLICT (product_id) DO UPDATE SET {updates}",
        list(rows),
    )


def write_features(connection: Connection, features: pa.Table, known: datetime) -> None:
    """Writes the rows of the wanted products at a day in place of those there are, and forgets later days' rows.

    Args:
        connection: of the transaction.
        features: of ``Features.table()``, all of one day.
        known: when the newest delivery that they know arrived.
    """
    if not features.num_rows:
        return
    day = features["as_of"][0].as_py()
    # no row is later than its product's window; there are later ones where the data day went back
    for when in (f"as_of = '{day}'", f"as_of > '{day}'"):
        connection.exec_driver_sql(
            f"DELETE FROM product_features WHERE {when} AND product_id IN (SELECT product_id FROM {WANTED})"
        )
    text = known.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    count = features.num_rows
    place = features.schema.get_field_index("as_of")
    rows = features.set_column(place, "as_of", pa.array([str(day)] * count, pa.string()))
    manners_of(connection).insert(
        connection, "product_features", rows.append_column("known_at", pa.array([text] * count, pa.string()))
    )


def forget(connection: Connection, products: Sequence[str]) -> None:
    """Removes windows and features of products that are not known any more."""
    if not products:
        return
    manners = manners_of(connection)
    connection.exec_driver_sql(
        manners.temporary(_CHOSEN, {"product_id": "VARCHAR(64)", "feed": "VARCHAR(32)"})
    )
    connection.exec_driver_sql(f"DELETE FROM {_CHOSEN}")
    manners.insert(connection, _CHOSEN, pa.table({"product_id": pa.array(products, pa.string())}))
    gone = f"product_id IN (SELECT product_id FROM {_CHOSEN})"
    connection.exec_driver_sql(f"DELETE FROM feature_windows WHERE {gone}")
    rule_days.forget(connection, _CHOSEN)
    for day in feature_days(connection):  # the day comes first in the key
        connection.exec_driver_sql(f"DELETE FROM product_features WHERE as_of = '{day}' AND {gone}")


def feature_days(connection: Connection) -> list[date]:
    """The days for which there are features, the newest first; each is one step along the key."""
    days: list[date] = []
    later = ""
    while True:
        found = connection.exec_driver_sql(f"SELECT MAX(as_of) FROM product_features{later}").scalar()
        if found is None:
            return days
        days.append(_day(found))
        later = f" WHERE as_of < '{days[-1]}'"


def prune(connection: Connection, before: date, most: int) -> int:
    """Removes features of the oldest day before a given one; how many.

    Args:
        connection: of the transaction.
        before: the first day that is kept.
        most: rows.
    """
    oldest = connection.exec_driver_sql("SELECT MIN(as_of) FROM product_features").scalar()
    if oldest is None or _day(oldest) >= before:
        return 0
    some = f"SELECT product_id FROM product_features WHERE as_of = '{_day(oldest)}' LIMIT {most}"
    return connection.exec_driver_sql(
        f"DELETE FROM product_features WHERE as_of = '{_day(oldest)}' AND product_id IN ({some})"
    ).rowcount


def has_old(connection: Connection, before: date) -> bool:
    """Whether there are features of days before a given one."""
    oldest = connection.exec_driver_sql("SELECT MIN(as_of) FROM product_features").scalar()
    return oldest is not None and _day(oldest) < before


def first_kept(day: date, keep_days: int) -> date:
    """The first day whose features are kept."""
    return day - timedelta(keep_days)


def _unwaiting(connection: Connection) -> str:
    """SQL: rows that a delivery writes just now are left for later, so that neither waits for the other."""
    return "" if connection.dialect.name == "sqlite" else " FOR UPDATE OF d SKIP LOCKED"


def _day(value: Any) -> date:
    return value if isinstance(value, date) else _read(value)


@lru_cache(maxsize=1_000)
def _read(text: str) -> date:
    """A day as SQLite gives it; thousands of rows have the same few."""
    return date.fromisoformat(text)


def _day_or_none(value: Any) -> date | None:
    return None if value is None else _day(value)


def _texts(days: Days) -> list[str | None]:
    return [None if day is None else day.isoformat() for day in days.astype(object)]
