"""Totals per day: of the chain, each place and channel, and of each hour. Kept up by what comes and goes, like the aggregates."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import TypeAlias

import pyarrow as pa
from sqlalchemy import Connection, text

from daemon.store.aggregates import without_day
from daemon.store.bulk import Manners
from handlers.feed import Additive, Feed, Snapshot, Totals, is_many

_PARTS = "total_parts"
_CLOCK = "clock_parts"
_MEASURES = ("units", "value_e4", "rows")
_Key: TypeAlias = tuple[str, str]  # day, scope
_ESCAPES = (("%", "%25"), ("|", "%7C"))  # in values, so that | only stands between two of them


def prepare(connection: Connection, manners: Manners) -> None:
    """Makes room for the parts of a transaction's totals."""
    kinds = {"scope": "TEXT", "day": "DATE", **dict.fromkeys(_MEASURES, "BIGINT")}
    connection.exec_driver_sql(manners.temporary(_PARTS, kinds))
    connection.exec_driver_sql(f"DELETE FROM {_PARTS}")


def scope_of(by: Sequence[tuple[str, str]]) -> str:
    """The name of a series: ``location:447|channel:pos``; of the chain as a whole it is empty.

    Args:
        by: column and value of each place or channel it is one of.
    """
    return "|".join(f"{name}:{_escaped(value)}" for name, value in by)


def parts_of(scope: str) -> dict[str, str]:
    """Column and value of each place or channel that a series is of, by the name that ``scope_of`` gave it."""
    parts = (part.partition(":") for part in scope.split("|") if part)
    return {name: _unescaped(value) for name, _, value in parts}


def _escaped(value: str) -> str:
    for character, escape in _ESCAPES:
        value = value.replace(character, escape)
    return value


def _unescaped(value: str) -> str:
    for character, escape in reversed(_ESCAPES):
        value = value.replace(escape, character)
    return value


def _escaped_sql(column: str) -> str:
    for character, escape in _ESCAPES:
        column = f"REPLACE({column}, '{character}', '{escape}')"
    return column


def add(connection: Connection, manners: Manners, feed: Feed, daily: Additive, sums: pa.Table) -> None:
    """Adds what an additive aggregate was given, some of it negative.

    Args:
        connection: of the transaction.
        manners: of its database.
        feed: whose totals.
        daily: its aggregate.
        sums: of shape (keys, columns of the aggregate).
    """
    totals = daily.totals
    columns = (totals.units, totals.value_e4 or totals.units, totals.rows or totals.units)
    keys = ["day", *totals.by]
    small = sums.group_by(keys, use_threads=is_many(sums)).aggregate(
        [(name, "sum") for name in dict.fromkeys(columns)]
    )
    figures: list[Counter[_Key]] = [Counter(), Counter(), Counter()]
    cells = (small[key].to_pylist() for key in keys)
    values = (small[f"{name}_sum"].to_pylist() for name in columns)
    for (day, *of), *row in zip(zip(*cells, strict=True), *values, strict=True):
        for scope in _scopes(totals, of):
            for figure, value in zip(figures, row, strict=True):
                figure[day, scope] += value
    units, money, rows = figures
    parts = pa.table(
        {
            "scope": pa.array([scope for _, scope in rows], pa.string()),
            "day": pa.array([day for day, _ in rows], pa.string()),
            "units": pa.array([units[key] for key in rows], pa.int64()),
            "value_e4": pa.array([money[key] if totals.value_e4 else 0 for key in rows], pa.int64()),
            "rows": pa.array(rows.values(), pa.int64()),
        }
    )
    manners.insert(connection, _PARTS, parts)
    settle(connection, feed)


def note(connection: Connection, daily: Snapshot, touched: str, *, sign: int) -> None:
    """Notes the rows of a snapshot aggregate that are about to go (-1), or that came in their place (+1)."""
    totals = daily.totals
    own = ", ".join((*without_day(daily.keys), "day"))
    value, rows = (
        totals.value_e4 or totals.in_transit or "0",
        f"SUM({totals.rows})" if totals.rows else "COUNT(*)",
    )
    for columns in _choices(totals):
        scope = " || '|' || ".join(f"'{name}:' || {_escaped_sql(name)}" for name in columns) or "''"
        insert = (
            f"INSERT INTO {_PARTS} (scope, day, units, value_e4, rows)"
            f" SELECT {scope}, day, {sign} * SUM({totals.units}), {sign} * SUM({value}), {sign} * {rows}"
            f" FROM {daily.table} WHERE ({own}) IN (SELECT {own} FROM {touched})"
            f" GROUP BY {', '.join(('day', *columns))}"
        )
        connection.execute(text(insert))  # as text: a driver would take its % for a parameter


def told_anew(connection: Connection, feed: Feed) -> list[date]:
    """Days on which something is in transit, by the noted parts, and nothing was before; or the other way round."""
    rows = connection.exec_driver_sql(
        f"SELECT p.day FROM (SELECT day, SUM(value_e4) AS came FROM {_PARTS} WHERE scope = '' GROUP BY day) p"
        f" LEFT JOIN scope_daily o ON o.feed = '{feed.name}' AND o.day = p.day AND o.scope = ''"
        " WHERE (COALESCE(o.value_e4, 0) > 0) <> (COALESCE(o.value_e4, 0) + p.came > 0)"
    )
    return [row[0] if isinstance(row[0], date) else date.fromisoformat(row[0]) for row in rows]


def settle(connection: Connection, feed: Feed) -> None:
    """Adds the noted parts to ``scope_daily``."""
    updates = ", ".join(f"{name} = scope_daily.{name} + excluded.{name}" for name in _MEASURES)
    sums = ", ".join(f"SUM({name})" for name in _MEASURES)
    connection.exec_driver_sql(
        f"INSERT INTO scope_daily (feed, day, scope, {', '.join(_MEASURES)})"
        f" SELECT '{feed.name}', day, scope, {sums} FROM {_PARTS} WHERE true GROUP BY day, scope"
        f" ON CONFLICT (feed, day, scope) DO UPDATE SET {updates}"
    )
    connection.exec_driver_sql(
        f"DELETE FROM scope_daily WHERE feed = '{feed.name}' AND rows = 0"
        f" AND (day, scope) IN (SELECT day, scope FROM {_PARTS})"
    )


def add_hours(connection: Connection, manners: Manners, feed: Feed, parts: Iterable[pa.Table]) -> None:
    """Adds rows of ``Additive.clock``, some of them negative, to ``hour_daily``."""
    some = list(parts)
    if not some:
        return
    connection.exec_driver_sql(
        manners.temporary(_CLOCK, {"day": "DATE", **dict.fromkeys(("hour", "units", "rows"), "BIGINT")})
    )
    connection.exec_driver_sql(f"DELETE FROM {_CLOCK}")
    manners.insert(connection, _CLOCK, pa.concat_tables(some))
    connection.exec_driver_sql(
        f"INSERT INTO hour_daily (feed, day, hour, units, rows) SELECT '{feed.name}', day, hour, SUM(units), SUM(rows)"
        f" FROM {_CLOCK} WHERE true GROUP BY day, hour ON CONFLICT (feed, day, hour) DO UPDATE SET"
        " units = hour_daily.units + excluded.units, rows = hour_daily.rows + excluded.rows"
    )
    connection.exec_driver_sql(
        f"DELETE FROM hour_daily WHERE feed = '{feed.name}' AND rows = 0"
        f" AND (day, hour) IN (SELECT day, hour FROM {_CLOCK})"
    )


def _choices(totals: Totals) -> Iterator[tuple[str, ...]]:
    """Which columns a series is known by: none, each, all."""
    yield ()
    yield from ((name,) for name in totals.by)
    if len(totals.by) > 1:
        yield totals.by


def _scopes(totals: Totals, of: Sequence[str]) -> Iterator[str]:
    """The series a key belongs to; one without a place belongs to none of a place."""
    value = dict(zip(totals.by, of, strict=True))
    for columns in _choices(totals):
        if all(value[name] for name in columns):
            yield scope_of([(name, value[name]) for name in columns])
