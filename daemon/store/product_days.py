"""What the daily aggregates say of some products: rows for ``handlers.features``, read for all of them at once.

The products of a question are put into the temporary table ``wanted_products``, each with its place in the answer and
with the first day of each feed that is asked for. Nothing else of the history is read.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import Connection

from daemon.store.attributes import attributes_of
from daemon.store.bulk import manners_of
from handlers.features import Attributes, History, SalesRows, SignalRows, StockRows, build
from handlers.features.build import (
    CARRY_DAYS,
    SALES_ROWS_DAYS,
    SIGNAL_ROWS_DAYS,
    codes,
    positions,
    stock_rows_days,
)
from handlers.features.history import Days, Floats
from handlers.sales import CHANNELS

Transaction: TypeAlias = Connection  # for those outside of the store
WANTED = "wanted_products"
_ASKED = "asked_products"
_CHUNK = 10_000  # rows read at a time
_SALES = ("units", "returned", "revenue_e4", "promo_units", "rows")
_STOCK = ("close", "reserved", "in_transit")
_SIGNALS = (
    *("signals", "level_sum", "trend_count", "trend_sum_e6", "trend_square_e6"),
    *("sentiment_count", "sentiment_sum_e6", "sentiment_square_e6"),
)
_FROM = {"sales": "sales_from", "inventory": "stock_from", "demand": "signals_from"}
EVER = np.datetime64("0001-01-01", "D")
NO_DAY = np.datetime64("NaT", "D")


def want(connection: Connection, products: Sequence[str], since: Mapping[str, Days]) -> None:
    """Says which products are asked for.

    Args:
        connection: of the transaction.
        products: P of them.
        since: for each feed the first day to read of each product, NaT for nothing; (P,). Of snapshots, the last one
            before that day of each location is read too, if it still counts on it.
    """
    days = {_FROM[feed]: first for feed, first in since.items()}
    days["carried_from"] = days["stock_from"] - (CARRY_DAYS - 1)
    kinds = {"place": "BIGINT", "product_id": "VARCHAR(64)", **dict.fromkeys(days, "DATE")}
    rows = {
        "place": pa.array(range(len(products)), pa.int64()),
        "product_id": pa.array(products, pa.string()),
        **{name: _texts(first) for name, first in days.items()},
    }
    _fill(connection, WANTED, kinds, pa.table(rows))


def sales_rows(connection: Connection, as_of: date) -> SalesRows:
    """Sales of the wanted products up to a day."""
    columns = ("day", "channel", *_SALES)
    return SalesRows(**_read(connection, _up_to(connection, "sales", "sales_daily", columns, as_of), columns))


def stock_rows(connection: Connection, as_of: date) -> StockRows:
    """Snapshots of the wanted products up to a day, and the last one before of each location that is still carried."""
    columns = ("day", "location", *_STOCK)
    since = _up_to(connection, "inventory", "inventory_daily", columns, as_of)
    earlier = _of_wanted(connection, "inventory_daily", "d.day >= w.carried_from AND d.day < w.stock_from")
    values = ", ".join(f"d.{column}" for column in columns)
    before = (
        f"SELECT w.place, {values} FROM (SELECT w.place, w.product_id, d.location, MAX(d.day) AS day"
        f" FROM {earlier} GROUP BY w.place, w.product_id, d.location) w CROSS JOIN inventory_daily d"
        " WHERE d.product_id = w.product_id AND d.day = w.day AND d.location = w.location"
    )
    return StockRows(**_read(connection, f"{since} UNION ALL {before}", columns))


def signal_rows(connection: Connection, as_of: date) -> SignalRows:
    """Demand signals of the wanted products up to a day."""
    columns = ("day", *_SIGNALS)
    return SignalRows(
        **_read(connection, _up_to(connection, "demand", "demand_daily", columns, as_of), columns)
    )


def first_seen(connection: Connection, count: int) -> Days:
    """The first day of each wanted product, NaT if it is gone; (P,)."""
    rows = connection.exec_driver_sql(
        f"SELECT w.place, p.first_seen FROM {WANTED} w CROSS JOIN products p WHERE p.product_id = w.product_id"
    ).fetchall()
    return _placed(rows, count, NO_DAY)


def last_sales(connection: Connection, products: Mapping[int, str], count: int, as_of: date) -> Days:
    """The last day up to ``as_of`` on which some products sold, in all of history; NaT for others; (P,).

    Args:
        connection: of the transaction.
        products: place and id of those that are asked for.
        count: P.
        as_of: the day.
    """
    _ask(connection, products, {})
    newest = _newest("sales_daily", "day", f"d.units > 0 AND d.day <= '{as_of}'")
    rows = connection.exec_driver_sql(f"SELECT a.place, {newest} FROM {_ASKED} a").fetchall()
    return _placed(rows, count, NO_DAY)


def competitor_prices(
    connection: Connection, products: Mapping[int, str], after: Mapping[int, date], count: int, as_of: date
) -> tuple[Floats, Days]:
    """The latest price of a competitor up to ``as_of`` and its day; NaN and NaT where none is found; (P,).

    Args:
        connection: of the transaction.
        products: place and id of those that are asked for.
        after: the first day to look at of some of them.
        count: P.
        as_of: the day.
    """
    _ask(connection, products, after)
    given = f"d.competitor_price IS NOT NULL AND d.day >= a.since AND d.day <= '{as_of}'"
    price, day = (_newest("demand_daily", column, given) for column in ("competitor_price", "day"))
    rows = connection.exec_driver_sql(f"SELECT a.place, {price}, {day} FROM {_ASKED} a").fetchall()
    prices = np.full(count, np.nan)
    for place, found, _ in rows:
        if found is not None:
            prices[place] = found
    return prices, _placed([(place, found) for place, _, found in rows], count, NO_DAY)


def competitor_prices_since(
    connection: Connection, products: Mapping[int, str], since: Mapping[int, date], as_of: date, days: int
) -> dict[int, Floats]:
    """The latest price of a competitor on each of the last days up to ``as_of``, NaN where none is known; (days,) each.

    Args:
        connection: of the transaction.
        products: place and id of those that are asked for.
        since: the first of these days to look at, for each place; what is said of days before it means nothing.
        as_of: the last day.
        days: how many.
    """
    _ask(connection, products, since)
    its = "d.product_id = a.product_id AND d.competitor_price IS NOT NULL"
    earlier = _newest(
        "demand_daily", "competitor_price", "d.competitor_price IS NOT NULL AND d.day < a.since"
    )
    first = np.datetime64(as_of, "D") - (days - 1)
    found = {
        place: np.full(days, np.nan if price is None else price)
        for place, price in connection.exec_driver_sql(f"SELECT a.place, {earlier} FROM {_ASKED} a")
    }
    rows = connection.exec_driver_sql(
        f"SELECT a.place, d.day, d.competitor_price FROM {_ASKED} a CROSS JOIN demand_daily d"
        f" WHERE {its} AND d.day >= a.since AND d.day <= '{as_of}' ORDER BY a.place, d.day"
    ).fetchall()
    for (place, _, price), day in zip(rows, days_of([row[1] for row in rows]), strict=True):
        found[place][max(int((day - first).astype(np.int64)), 0) :] = price
    return found


def transit_told(connection: Connection, as_of: date, days: int, window: int) -> NDArray[np.bool_]:
    """On which of the last days up to ``as_of`` anything was in transit within ``window`` days before; (days,)."""
    oldest = as_of - timedelta(days=days + window)
    rows = connection.exec_driver_sql(
        "SELECT day FROM scope_daily WHERE feed = 'inventory' AND scope = '' AND value_e4 > 0"
        f" AND day >= '{oldest}' AND day < '{as_of}'"
    )
    filled = {row[0] if isinstance(row[0], date) else date.fromisoformat(row[0]) for row in rows}
    last = [as_of - timedelta(days=back) for back in range(days - 1, -1, -1)]
    return np.array([any(day - timedelta(days=n + 1) in filled for n in range(window + 1)) for day in last])


def attributes(
    connection: Connection, products: Sequence[str], as_of: date, competitor_price: Floats
) -> Attributes:
    """What the catalogue says of the wanted products as of a day."""
    found = attributes_of(connection, WANTED, as_of)
    places = positions(found["product_id"].combine_chunks(), products)

    def column(name: str) -> Floats:
        values = np.full(len(products), np.nan)
        values[places] = found[name].cast(pa.float64()).to_numpy()
        return values

    return Attributes(
        unit_cost=column("unit_cost"),
        selling_price=column("selling_price"),
        lead_time_days=column("lead_time_days"),
        lead_time_std_days=column("lead_time_std_days"),
        competitor_price=competitor_price,
    )


def history_of(
    connection: Connection, products: Sequence[str], as_of: date, fresh_days: int = 1, deep: int = 0
) -> History:
    """What the daily aggregates say of some products up to a day, with what is known now.

    Args:
        connection: of a transaction.
        products: their ids, P of them, each once; one that is not known has a history without anything.
        as_of: the day.
        fresh_days: how old the latest snapshot may be.
        deep: the longest window that is asked for besides those of the catalogue, in days.
    """
    count, day = len(products), np.datetime64(as_of, "D")
    depths = {
        "sales": max(SALES_ROWS_DAYS, deep),
        "inventory": stock_rows_days(fresh_days, deep),
        "demand": max(SIGNAL_ROWS_DAYS, deep),
    }
    want(connection, products, {feed: np.full(count, day - (n - 1)) for feed, n in depths.items()})
    everyone = dict(enumerate(products))
    prices, _ = competitor_prices(connection, everyone, {}, count, as_of)
    return build(
        products,
        as_of,
        first_seen=first_seen(connection, count),
        last_sale=last_sales(connection, everyone, count, as_of),
        sales=sales_rows(connection, as_of),
        stock=stock_rows(connection, as_of),
        signals=signal_rows(connection, as_of),
        attributes=attributes(connection, products, as_of, prices),
        fresh_days=fresh_days,
        deep=deep,
    )


def days_of(values: Sequence[Any]) -> Days:
    """Days as a database gives them, text or dates, some of them None."""
    encoded = pa.array(values).dictionary_encode()
    if not len(encoded.dictionary):
        return np.full(len(values), NO_DAY)
    days: Days = np.array([*encoded.dictionary.to_pylist(), None], "datetime64[D]")
    return np.asarray(days[np.asarray(encoded.indices.fill_null(len(days) - 1))])


def _texts(days: Days) -> pa.Array:
    """Days as a database takes them from a file; NaT as null."""
    return pa.array([None if day is None else str(day) for day in days.astype(object)], pa.string())


def _fill(connection: Connection, table: str, kinds: dict[str, str], rows: pa.Table) -> None:
    manners = manners_of(connection)
    connection.exec_driver_sql(manners.temporary(table, kinds))
    connection.exec_driver_sql(f"DELETE FROM {table}")
    manners.insert(connection, table, rows)


def _ask(connection: Connection, products: Mapping[int, str], after: Mapping[int, date]) -> None:
    rows = {
        "place": pa.array(products.keys(), pa.int64()),
        "product_id": pa.array(products.values(), pa.string()),
        "since": pa.array([str(after.get(place, EVER)) for place in products], pa.string()),
    }
    kinds = {"place": "BIGINT", "product_id": "VARCHAR(64)", "since": "DATE"}
    _fill(connection, _ASKED, kinds, pa.table(rows))


def _newest(table: str, column: str, where: str) -> str:
    """SQL: a column of an asked product's newest row with a property; the key is walked backwards to it."""
    return (
        f"(SELECT d.{column} FROM {table} d WHERE d.product_id = a.product_id AND {where}"
        " ORDER BY d.day DESC LIMIT 1)"
    )


def _placed(rows: Sequence[Any], count: int, nothing: np.datetime64) -> Days:
    """Days at the places they belong to."""
    days = np.full(count, nothing)
    if rows:
        places, values = zip(*rows, strict=True)
        days[np.array(places)] = days_of(values)
    return days


def _up_to(connection: Connection, feed: str, table: str, columns: tuple[str, ...], as_of: date) -> str:
    """SQL: the wanted products' rows of the wanted days."""
    rows = _of_wanted(connection, table, f"d.day >= w.{_FROM[feed]} AND d.day <= '{as_of}'")
    return f"SELECT w.place, {', '.join(f'd.{column}' for column in columns)} FROM {rows}"


def _of_wanted(connection: Connection, table: str, where: str) -> str:
    """SQL: the wanted products (w) with the rows (d) of each."""
    its = f"d.product_id = w.product_id AND {where}"
    if connection.dialect.name == "sqlite":  # CROSS JOIN: walks the wanted products, looks each up
        return f"{WANTED} w CROSS JOIN {table} d WHERE {its}"
    # OFFSET 0 keeps the planner, which knows nothing of the temporary table, from reading all of the history
    return f"{WANTED} w CROSS JOIN LATERAL (SELECT * FROM {table} d WHERE {its} OFFSET 0) d WHERE true"


def _read(connection: Connection, sql: str, columns: tuple[str, ...]) -> dict[str, Any]:
    """Rows as arrays: ``product``, which is the place of a row's product, and the named columns."""
    named = ("product", *columns)
    cursor: Any = connection.connection.cursor()  # half the time of SQLAlchemy's rows
    cursor.execute(sql)
    parts = [[_column(name, ()) for name in named]]
    while rows := cursor.fetchmany(_CHUNK):
        parts.append(
            [_column(name, values) for name, values in zip(named, zip(*rows, strict=True), strict=True)]
        )
    cursor.close()
    found = {
        name: pa.concat_arrays(pieces) if name == "location" else np.concatenate(pieces)
        for name, *pieces in zip(named, *parts, strict=True)
    }
    if "location" in found:
        found["location"] = codes(found["location"])
    return found


def _column(name: str, values: Sequence[Any]) -> Any:
    """One column of the rows; locations are numbered when all of them are there."""
    match name:
        case "day":
            return days_of(values)
        case "channel":
            return positions(pa.array(values, pa.string()), CHANNELS)
        case "location":
            return pa.array(values, pa.string())
        case _:
            return np.array(values, np.int64)
