"""Looking at features: one product's row, or all of a day's, and how far behind they are."""

from datetime import date, datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, func, select

from daemon.store.derived import FEATURE_WINDOWS, PRODUCT_FEATURES
from daemon.store.features import feature_days, frontier
from daemon.store.schema import PRODUCTS
from handlers.features import CATALOGUE
from handlers.features.compute import ARROW_TYPES

EXPORTED = pa.schema(
    [
        ("as_of", pa.date32()),
        ("product_id", pa.string()),
        ("catalogue_version", pa.string()),
        ("known_at", pa.timestamp("us", "UTC")),
        *((feature.name, ARROW_TYPES[feature.dtype]) for feature in CATALOGUE),
    ]
)


def count_behind(connection: Connection) -> int:
    """How many products' features are not those of the data day with all that is known."""
    day = frontier(connection)
    parts = ["SELECT product_id FROM due_products"]
    if day is not None:
        parts.append(f"SELECT product_id FROM feature_windows WHERE as_of < '{day}' OR as_of > '{day}'")
    return int(connection.exec_driver_sql(f"SELECT COUNT(*) FROM ({' UNION '.join(parts)}) b").scalar_one())


def stored(connection: Connection, product: str, as_of: date) -> dict[str, Any] | None:
    """The row of a product and day."""
    c = PRODUCT_FEATURES.c
    found = select(PRODUCT_FEATURES).where(c.as_of == as_of, c.product_id == product)
    row = connection.execute(found).mappings().one_or_none()
    return None if row is None else dict(row)


def newest(connection: Connection, product: str, known_by: datetime | None = None) -> dict[str, Any] | None:
    """The newest row of a product, or the newest that was known at a moment."""
    for day in feature_days(connection):
        row = stored(connection, product, day)
        if row is not None and (known_by is None or row["known_at"] <= known_by):
            return row
    return None


def is_known(connection: Connection, product: str) -> bool:
    """Whether any feed has told of a product."""
    found = select(PRODUCTS.c.product_id).where(PRODUCTS.c.product_id == product)
    return connection.execute(found).first() is not None


def products_like(connection: Connection, name: str, most: int = 2_000) -> list[str]:
    """Products whose ids begin as a name does, as much of it as any does, in whatever case."""
    column = PRODUCTS.c.product_id
    for length in range(len(name), -1, -1):
        begins = column.istartswith(name[:length], autoescape=True)
        if found := connection.scalars(select(column).where(begins).order_by(column).limit(most)).all():
            return list(found)
    return []


def products_after(connection: Connection, product: str, upto: date, most: int) -> list[str]:
    """The next products in the order of ids, of those that were seen up to a day."""
    c = PRODUCTS.c
    found = select(c.product_id).where(c.product_id > product, c.first_seen <= upto)
    return list(connection.scalars(found.order_by(c.product_id).limit(most)))


def count_seen(connection: Connection, upto: date) -> int:
    """How many products were seen up to a day."""
    found = select(func.count()).select_from(PRODUCTS).where(PRODUCTS.c.first_seen <= upto)
    return connection.execute(found).scalar_one()


def rows_after(connection: Connection, product: str, as_of: date | None, most: int) -> pa.Table:
    """The next rows in the order of product ids: of a day, or each product's newest.

    Args:
        connection: of a transaction.
        product: the last one before them.
        as_of: the day; none for the newest of each.
        most: rows.
    """
    c, w = PRODUCT_FEATURES.c, FEATURE_WINDOWS.c
    found = select(PRODUCT_FEATURES).where(c.product_id > product).order_by(c.product_id).limit(most)
    if as_of is not None:
        found = found.where(c.as_of == as_of)
    else:  # a product's window ends on the day of its newest row
        some = select(w.product_id, w.as_of).where(w.product_id > product).order_by(w.product_id).limit(most)
        window = some.subquery()
        found = select(PRODUCT_FEATURES).join(
            window, (c.as_of == window.c.as_of) & (c.product_id == window.c.product_id)
        )
        found = found.order_by(c.product_id)
    rows = connection.execute(found).all()
    values = zip(*rows, strict=True) if rows else [()] * len(EXPORTED)
    return pa.table(
        [pa.array(column, kind.type) for column, kind in zip(values, EXPORTED, strict=True)], schema=EXPORTED
    )


def exported(features: pa.Table, known: datetime) -> pa.Table:
    """Computed features as a table of the same columns as stored ones."""
    column = pa.array([known] * features.num_rows, EXPORTED.field("known_at").type)
    return features.append_column("known_at", column).select(EXPORTED.names).cast(EXPORTED)
