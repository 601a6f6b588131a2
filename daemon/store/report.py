"""What the report of a day reads: its files, its rejects, its stock, and the last weeks of some series. Nothing is written.

Each is one statement for all files, products or series; lists come with how many there are and no more than are shown.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import CTE, ColumnElement, Connection, Select, and_, case, func, select, union_all

from daemon.store.derived import PRODUCT_FEATURES
from daemon.store.ledger import LOADED
from daemon.store.schema import DELIVERIES, LINE_BITS, LIVE, REJECTS, TOTALS
from handlers import HANDLERS

_C, _R, _F, _T = DELIVERIES.c, REJECTS.c, PRODUCT_FEATURES.c, TOTALS.c
_SLACK = 1_000  # deliveries: of two the later one may have arrived first, because it is larger
_BAD = ("failed", "partial", "duplicate", "unloaded")  # in the order in which they are shown
_STOCK = (
    "product_id",
    "on_hand",
    "available",
    "in_transit",
    "mean_units_28",
    "days_of_supply",
    "stockout_days_28",
)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Some:
    """The first of a list.

    Attributes:
        count: how many there are.
        rows: the first of them.
    """

    count: int
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Span:
    """When files came: from a moment on, up to another, aware; ``first`` is the id of a delivery before all of them."""

    since: datetime
    until: datetime
    first: int


def span(connection: Connection, since: datetime, until: datetime) -> Span:
    """A span of time in the ledger, which has no index on time: but ids ascend with it."""
    # two questions: SQLite answers both in one by reading the whole index
    low, high = (connection.execute(select(end(_C.id))).scalar() for end in (func.min, func.max))
    if low is None or high is None:
        return Span(since, until, 0)
    while low < high:
        middle = (low + high) // 2
        at = connection.execute(
            select(_C.timestamp).where(_C.id >= middle).order_by(_C.id).limit(1)
        ).scalar_one()
        low, high = (middle + 1, high) if at < since else (low, middle)
    return Span(since, until, low - _SLACK)


# ---- files


def totals(connection: Connection, day: date, when: Span) -> list[Row]:
    """Files and rows of a day by feed and status: ``feed``, ``status``, ``files``, ``read``, ``loaded``, ``rejected``, ``duplicate``."""
    c = _of_day(day, when).c
    query = select(
        c.file_type.label("feed"),
        c.status,
        func.count().label("files"),
        *(
            func.sum(c[f"records_{column}"]).label(name)
            for column, name in (
                ("processed", "read"),
                ("successful", "loaded"),
                ("failed", "rejected"),
                ("duplicate", "duplicate"),
            )
        ),
    ).group_by(c.file_type, c.status)
    return [{**row, **_numbers(row)} for row in connection.execute(query).mappings()]


def files(connection: Connection, day: date, when: Span, most: int) -> Some:
    """The files that speak for a day, and those without a day that came in a span of time; what is wrong first."""
    return _listed(connection, _of_day(day, when), most)


def others(connection: Connection, day: date, when: Span, most: int) -> Some:
    """The files of other days that came in a span of time; what is wrong first, then the newest."""
    return _listed(connection, _besides(day, when).cte("others"), most, newest_first=True)


def refused(connection: Connection, day: date, when: Span, most: int) -> Some:
    """The refused files of a day, or without one, or of other days but come in a span of time: those not mended first."""
    bad = _C.status == "failed"
    return _listed(
        connection, union_all(*_parts(day, when, bad), _besides(day, when).where(bad)).cte("refused"), most
    )


def _of_day(day: date, when: Span) -> CTE:
    return union_all(*_parts(day, when)).cte("of_day")


def _parts(day: date, when: Span, *only: ColumnElement[bool]) -> list[Select[Any]]:
    """Those with a slot of the day, feed by feed, and those without one."""
    found = []
    for feed in HANDLERS:
        # the range is for the index; how colons sort is the database's affair, so each row is looked at
        low, high = f"{feed.name}:{day}", f"{feed.name}:{day + timedelta(1)}"
        near = (_C.slot >= low, _C.slot < high, _begins(_prefix(feed.name, day)))
        found.append(select(DELIVERIES).where(*near, *only))
    return [*found, select(DELIVERIES).where(_C.slot.is_(None), *_came(when), *only)]


def _besides(day: date, when: Span) -> Select[Any]:
    of_day = [_begins(_prefix(feed.name, day)) for feed in HANDLERS]
    return select(DELIVERIES).where(_C.slot.is_not(None), *_came(when), *(~each for each in of_day))


def _came(when: Span) -> tuple[ColumnElement[bool], ...]:
    return (_C.id >= when.first, _C.timestamp >= when.since, _C.timestamp < when.until)


def _prefix(feed: str, day: date) -> str:
    return f"{feed}:{day}:"


def _begins(prefix: str) -> ColumnElement[bool]:
    return func.substr(_C.slot, 1, len(prefix)) == prefix


def _listed(connection: Connection, its: CTE, most: int, *, newest_first: bool = False) -> Some:
    """The first of some deliveries, with ``mended``: a refused one after which another filled its slot, or brought its bytes."""
    c, later = its.c, DELIVERIES.alias("later")
    same = (later.c.slot == c.slot) | (later.c.sha256 == c.sha256)
    mended = (
        select(later.c.id)
        .where(later.c.id > c.id, later.c.status.in_(LOADED), same, c.status == "failed")
        .exists()
    )
    rank = case({status: n for n, status in enumerate(_BAD)}, value=c.status, else_=len(_BAD))
    open_ = func.sum(case((mended, 0), else_=1)).over().label("open")
    query = select(its, mended.label("mended"), open_, func.count().over().label("of"))
    order = (c.id.desc(),) if newest_first else (c.file_type, c.file_name, c.id)
    return _some(connection, query.order_by(mended, rank, *order).limit(most))


def _some(connection: Connection, query: Select[Any]) -> Some:
    """The rows of a query that has their number as ``of``."""
    rows = [dict(row) for row in connection.execute(query).mappings()]
    return Some(int(rows[0]["of"]) if rows else 0, rows)


# ---- rejected rows


@dataclass(frozen=True, slots=True)
class Rejected:
    """Open rejects of one delivery and reason."""

    delivery: int
    feed: str
    slot: str | None
    reason: str
    rows: int
    first: int


def rejects(connection: Connection, day: date, when: Span) -> list[Rejected]:
    """What was rejected of the files of a day that were loaded, and is not fixed; by file and reason."""
    its = union_all(
        *_parts(day, when, _C.status == "partial", _C.records_failed > 0, _C.superseded_by.is_(None))
    ).cte("partly")
    low = its.c.id * (1 << LINE_BITS)
    mine = and_(_R.id >= low, _R.id < low + (1 << LINE_BITS), _R.fixed_by.is_(None))
    query = (
        select(its.c.id, its.c.file_type, its.c.slot, _R.reason, func.count().label("rows"), func.min(_R.id))
        .select_from(its.join(REJECTS, mine))
        .group_by(its.c.id, its.c.file_type, its.c.slot, _R.reason)
        .order_by(its.c.id, _R.reason)
    )
    return [Rejected(*row) for row in connection.execute(query)]


def examples(connection: Connection, ids: Collection[int]) -> dict[int, Row]:
    """Some rejected rows, by their ids."""
    wanted = (_R.id, _R.line, _R.column_name, _R.value, _R.message, _C.file_name)
    query = select(*wanted).join(DELIVERIES, _C.id == _R.delivery_id).where(_R.id.in_(sorted(ids)))
    return {row["id"]: dict(row) for row in connection.execute(query).mappings()}


# ---- stock


@dataclass(frozen=True, slots=True)
class Stock:
    """What the features of a day say of stock.

    Attributes:
        products: with features of that day.
        out: without any stock; those that sell most first, and ``sold``: how many of them sold in the last four weeks.
        sold: see there.
        low: whose stock lasts shorter than it takes to get more; those that lack most units first.
    """

    products: int
    out: Some
    sold: int
    low: Some


def stock(connection: Connection, day: date, days: float, most: int) -> Stock:
    """Products without stock, and with little.

    Args:
        connection: to the database.
        day: of the features.
        days: how long a stock must last where the catalogue has no lead time.
        most: so many of each.
    """
    catalogue, newer = LIVE["products"], LIVE["products"].alias("newer")
    known = (newer.c.product_id == _F.product_id, newer.c.date < datetime.combine(day + timedelta(1), time()))
    newest = select(newer.c.id).where(*known).order_by(newer.c.date.desc()).limit(1).scalar_subquery()
    limit = func.coalesce(catalogue.c.lead_time_days, days)
    pace = func.coalesce(_F.mean_units_28, 0.0)
    query = (
        select(
            *(_F[name] for name in _STOCK),
            catalogue.c.name,
            catalogue.c.lead_time_days,
            limit.label("must_last"),
            func.count().over().label("of"),
            func.sum(case((pace > 0, 1), else_=0)).over().label("sold"),
        )
        .select_from(PRODUCT_FEATURES.outerjoin(catalogue, catalogue.c.id == newest))
        .where(_F.as_of == day)
        .limit(most)
    )
    out = _some(connection, query.where(_F.on_hand == 0).order_by(pace.desc(), _F.product_id))
    lasts = (_F.on_hand > 0, _F.days_of_supply_infinite.is_not(True), _F.days_of_supply < limit)
    short = pace * (limit - _F.days_of_supply)
    low = _some(connection, query.where(*lasts).order_by(short.desc(), _F.product_id))
    products = connection.execute(
        select(func.count()).select_from(PRODUCT_FEATURES).where(_F.as_of == day)
    ).scalar_one()
    return Stock(products, out, int(out.rows[0]["sold"]) if out.rows else 0, low)


# ---- series


def daily(
    connection: Connection, feed: str, scopes: Collection[str], since: date, until: date
) -> list[tuple[str, date, int, int, int]]:
    """Scope, day, units, rows and money (1/10 000) of some series, both days included."""
    query = select(_T.scope, _T.day, _T.units, _T.rows, _T.value_e4).where(
        _T.feed == feed, _T.scope.in_(sorted(scopes)), _T.day >= since, _T.day <= until
    )
    return [(scope, day, *map(int, figures)) for scope, day, *figures in connection.execute(query)]


def _numbers(row: Any) -> dict[str, int]:
    """Sums are decimals on PostgreSQL."""
    return {name: int(row[name]) for name in ("files", "read", "loaded", "rejected", "duplicate")}
