"""The staged rows of a correction beside the rows that it would replace, compared by the database.

Rows that are equal in every column cancel out, however often they occur. What is left on both sides is grouped by what
tells a row from others: its key where it has one, else the columns of the feed's daily aggregate, with the time. In
a group, as many as both sides have were changed; the rest was added or removed. Nothing but temporary tables is
written, and nothing but a few examples comes to Python.
"""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, CursorResult

from daemon.difference import KINDS, Difference, Example, Kind, Total, money
from daemon.store.schema import MONEY_PLACES, is_of
from daemon.store.staging import Stage, sql_kind
from handlers import columns
from handlers.errors import FileError
from handlers.feed import Additive, Feed, names
from handlers.reasons import FileReason

MOST_COMPARED = (
    5_000_000  # rows, old and new; more are only added up (measured: 2 000 000 take 6 to 12 s on SQLite)
)
EXAMPLES = 5  # of each kind, each of another group
_LONGEST_CELL = 60  # characters of a cell in an example

_LEFT = "difference_left"  # rows that one side has more of than the other, and how many more
_GROUPS = "difference_groups"  # the same by what tells rows from others
_GROUP_COLUMNS = ("came", "gone", "first_came", "last_came", "first_gone", "last_gone")

# of each kind: which groups have some, and the lines of one, old and new
_FOUND: dict[Kind, tuple[str, str, str]] = {
    "added": ("came > gone", "NULL", "last_came"),
    "removed": ("gone > came", "last_gone", "NULL"),
    "changed": ("came > 0 AND gone > 0", "first_gone", "first_came"),
}


def difference(stage: Stage, delivery_id: int) -> Difference:
    """What the staged rows change of a delivery's.

    Args:
        stage: rows that have been read, on a connection to the database that holds the delivery's.
        delivery_id: whose rows would be replaced, those included that stepped back for other deliveries.

    Raises:
        FileError: ``sum_too_large``: the staged rows cannot be added up.
    """
    feed, connection = stage.feed, stage.connection
    if isinstance(feed.daily, Additive) and stage.rows:
        stage.sums()  # SQLite's own sums would overflow, which looks like the database's fault
    old_rows, old_sums = _sums(connection, feed, f"({_rows_of(feed, delivery_id)}) o")
    new_rows, new_sums = _sums(connection, feed, f"{stage.table} s")
    totals = tuple(map(Total, _summable(feed), old_sums, new_sums))
    if old_rows + new_rows > MOST_COMPARED:
        return Difference(delivery_id, old_rows, new_rows, totals=totals)
    _compare(stage, delivery_id)
    came, gone, changed = _run(
        connection,
        "SELECT COALESCE(SUM(came), 0), COALESCE(SUM(gone), 0),"
        f" COALESCE(SUM(CASE WHEN came < gone THEN came ELSE gone END), 0) FROM {_GROUPS}",
    ).one()
    examples = _examples(connection, feed)
    for table in (_LEFT, _GROUPS):
        _run(connection, f"DELETE FROM {table}")
    return Difference(
        delivery_id=delivery_id,
        old_rows=old_rows,
        new_rows=new_rows,
        added=int(came - changed),
        removed=int(gone - changed),
        changed=int(changed),
        same=int(new_rows - came),
        totals=totals,
        examples=examples,
    )


def shrunk(found: Difference) -> FileError:
    """What a correction is held with that would replace many more rows than it has."""
    return FileError(
        FileReason.SHRUNK,
        f"the file has {found.new_rows} valid rows and would replace the {found.old_rows} rows of delivery"
        f" {found.delivery_id}",
        {"difference": found.as_dict()},
    )


def stepping_back(stage: Stage, replaced: int | None) -> int:
    """How many rows of other deliveries have a key that a staged row has: they would step back.

    Args:
        stage: rows that have been read.
        replaced: a delivery whose rows go in any case.
    """
    stage.number_repeats()
    feed = stage.feed
    keys = " AND ".join(f"l.{key} = s.{key}" for key in feed.key)
    others = "" if replaced is None else f" AND NOT ({is_of(replaced, 'l.id')})"
    # CROSS JOIN: SQLite then walks the staged rows and looks each up, whatever it believes of the tables' sizes
    rivals = f"FROM {stage.table} s CROSS JOIN {feed.table} l WHERE {keys}{others}"
    return int(_run(stage.connection, f"SELECT COUNT(*) {rivals}").scalar_one())


# ---- sums


def _summable(feed: Feed) -> tuple[str, ...]:
    """The columns whose sum is exact: whole numbers, and money."""
    return tuple(c.name for c in feed.columns if isinstance(c.kind, columns.Integer) or _is_money(c.kind))


def _is_money(kind: columns.Kind) -> bool:
    return isinstance(kind, columns.Decimal) and kind.places <= MONEY_PLACES


def _sums(connection: Connection, feed: Feed, source: str) -> tuple[int, list[Decimal]]:
    """Rows, and the sum of each column that can be summed: money as integers of its smallest part."""
    scale = 10**MONEY_PLACES
    summable = _summable(feed)
    terms = [
        f"CAST(ROUND({name} * {scale}) AS BIGINT)" if _is_money(feed.column(name).kind) else name
        for name in summable
    ]
    sums = "".join(f", COALESCE(SUM({term}), 0)" for term in terms)
    rows, *found = _run(connection, f"SELECT COUNT(*){sums} FROM {source}").one()
    return int(rows), [
        money(Decimal(int(value)) / scale) if _is_money(feed.column(name).kind) else Decimal(int(value))
        for name, value in zip(summable, found, strict=True)
    ]


# ---- rows


def _rows_of(feed: Feed, delivery_id: int) -> str:
    """SQL: line and columns of all rows of a delivery, whether they count or stepped back."""
    selected = ", ".join(("line", *names(feed.columns)))
    tables = (feed.table, f"{feed.table}_shadowed")
    return " UNION ALL ".join(f"SELECT {selected} FROM {name} WHERE {is_of(delivery_id)}" for name in tables)


def _compare(stage: Stage, delivery_id: int) -> None:
    """Fills the two temporary tables."""
    feed, connection = stage.feed, stage.connection
    kinds = {column.name: sql_kind(column.kind) for column in feed.columns}
    left = {**kinds, "surplus": "BIGINT", "line": "BIGINT"}
    for table, described in ((_LEFT, left), (_GROUPS, dict.fromkeys(_GROUP_COLUMNS, "BIGINT"))):
        _run(connection, stage.manners.temporary(table, described))
        _run(connection, f"DELETE FROM {table}")
    every = ", ".join(kinds)
    both = (
        f"SELECT -1 AS side, line, {every} FROM ({_rows_of(feed, delivery_id)}) o"
        f" UNION ALL SELECT 1, line, {every} FROM {stage.table}"
    )
    # of equal rows the last are taken for those that one side has more of
    _run(
        connection,
        f"INSERT INTO {_LEFT} ({every}, surplus, line)"
        f" SELECT {every}, SUM(side), CASE WHEN SUM(side) > 0 THEN MAX(CASE WHEN side > 0 THEN line END)"
        f" ELSE MAX(CASE WHEN side < 0 THEN line END) END"
        f" FROM ({both}) b GROUP BY {every} HAVING SUM(side) <> 0",
    )
    came, gone = "CASE WHEN surplus > 0 THEN {} END", "CASE WHEN surplus < 0 THEN {} END"
    _run(
        connection,
        f"INSERT INTO {_GROUPS} ({', '.join(_GROUP_COLUMNS)})"
        f" SELECT COALESCE(SUM({came.format('surplus')}), 0), COALESCE(SUM({gone.format('-surplus')}), 0),"
        f" MIN({came.format('line')}), MAX({came.format('line')}),"
        f" MIN({gone.format('line')}), MAX({gone.format('line')})"
        f" FROM {_LEFT} GROUP BY {', '.join(_identity(feed))}",
    )


def _key(feed: Feed) -> tuple[str, ...]:
    """The columns of the key that stand in the file: without the number of a repeat."""
    return feed.key[:-1] if feed.repeats == "number" else feed.key


def _alike(feed: Feed) -> tuple[str, ...]:
    """The columns by which rows without a key are recognised."""
    return tuple("date" if name == "day" else name for name in feed.day_key)


def _identity(feed: Feed) -> list[str]:
    """SQL: what tells a row from others."""
    key = _key(feed)
    if feed.column(key[0]).required:
        return list(key)
    return [
        *key,
        *(f"CASE WHEN {key[0]} IS NULL THEN {name} END" for name in _alike(feed) if name not in key),
    ]


# ---- examples


def _examples(connection: Connection, feed: Feed) -> tuple[Example, ...]:
    chosen: list[tuple[Kind, int | None, int | None]] = []
    for kind in KINDS:
        which, old, new = _FOUND[kind]
        order = old if kind == "removed" else new
        found = _run(
            connection,
            f"SELECT {old}, {new} FROM {_GROUPS} WHERE {which} ORDER BY {order} LIMIT {EXAMPLES}",
        )
        chosen += [(kind, row[0], row[1]) for row in found]
    old_rows = _cells(connection, feed, "surplus < 0", [old for _, old, _ in chosen])
    new_rows = _cells(connection, feed, "surplus > 0", [new for _, _, new in chosen])
    return tuple(
        _example(feed, kind, old, new, old_rows.get(old, {}), new_rows.get(new, {}))
        for kind, old, new in chosen
    )


def _cells(
    connection: Connection, feed: Feed, side: str, lines: list[int | None]
) -> dict[int | None, dict[str, Any]]:
    """Values by column of some of the rows that are left, by their lines."""
    wanted = ", ".join(str(line) for line in lines if line is not None)
    if not wanted:
        return {}
    selected = ", ".join(
        f"CAST({c.name} AS TEXT)" if isinstance(c.kind, columns.LocalTime) else c.name for c in feed.columns
    )
    found = _run(connection, f"SELECT line, {selected} FROM {_LEFT} WHERE {side} AND line IN ({wanted})")
    return {row[0]: dict(zip(names(feed.columns), row[1:], strict=True)) for row in found}


def _example(
    feed: Feed,
    kind: Kind,
    old_line: int | None,
    new_line: int | None,
    old: dict[str, Any],
    new: dict[str, Any],
) -> Example:
    if kind == "changed":
        by = _key(feed) if new[_key(feed)[0]] is not None else _alike(feed)
        differing = [c for c in feed.columns if old[c.name] != new[c.name]]
        changed = {c.name: (_text(c, old[c.name]), _text(c, new[c.name])) for c in differing}
        return Example(kind, old_line, new_line, _said(feed, new, by), changed=changed)
    row = new or old
    telling = [name for name in feed.optional if row[name] != feed.column(name).default]
    return Example(kind, old_line, new_line, _said(feed, row, feed.required), _said(feed, row, telling))


def _said(feed: Feed, row: dict[str, Any], wanted: Collection[str]) -> dict[str, str]:
    """The cells of some columns that are not empty, in the order of the feed."""
    cells = {c.name: _text(c, row[c.name]) for c in feed.columns if c.name in wanted}
    return {name: text for name, text in cells.items() if text is not None}


def _text(column: columns.Column, value: Any) -> str | None:
    """A cell as it might stand in a file; None if it is empty."""
    if value is None:
        return None
    match column.kind:
        case columns.Decimal() if _is_money(column.kind):
            return f"{money(Decimal(repr(value))):f}"
        case columns.LocalTime():
            return datetime.fromisoformat(value).isoformat(" ").removesuffix(" 00:00:00")
        case _:
            text = str(value)
            return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"


def _run(connection: Connection, sql: str) -> CursorResult[*tuple[Any, ...]]:
    return connection.exec_driver_sql(sql)
