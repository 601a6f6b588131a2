"""Rows in and out of a feed's tables, and what that does to its daily aggregate and to ``products``.

A ``Changes`` lives within one transaction. It remembers which keys and days were touched and settles the aggregates
once, at the end, so that the work is proportional to the rows that came and went.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, CursorResult

from daemon.store.bulk import Manners
from daemon.store.schema import DAILY, LINE_BITS
from daemon.store.staging import REJECTS, Stage, sql_kind
from handlers.feed import Additive, Feed, Fold, Snapshot, names

_CHUNK = 50_000  # rows read back at a time
_CHOSEN = "id IN (SELECT id FROM chosen)"


@dataclass(slots=True)
class Changes:
    """What a transaction does to the tables of one feed."""

    connection: Connection
    manners: Manners
    feed: Feed
    _sums: list[pa.Table] = field(default_factory=list)
    _rows_went: bool = False

    def __post_init__(self) -> None:
        columns = {key: self._kind(key) for key in self.feed.daily.keys}
        if isinstance(self.feed.daily, Additive):
            columns |= dict.fromkeys(self.feed.daily.measures, "BIGINT")  # what to add to each key
        self._run(self.manners.temporary(self._touched, columns))
        self._run(f"DELETE FROM {self._touched}")
        identity = {name: self._kind(name) for name in self.feed.key}
        self._run(self.manners.temporary(self._freed, identity))
        self._run(f"DELETE FROM {self._freed}")

    def load(self, stage: Stage, delivery_id: int) -> int:
        """Stores the staged rows; rows of other deliveries with the same key step back.

        Returns:
            How many of those had the same values, so that the staged ones bring nothing new.
        """
        stage.number_repeats()
        same = self._shadow_rivals(stage)
        columns = ", ".join(self._columns)
        self._run(
            f"INSERT INTO {self.feed.table} (id, {columns})"
            f" SELECT {delivery_id << LINE_BITS} + line, {columns} FROM {stage.table}"
        )
        if isinstance(self.feed.daily, Additive):
            self._sums.append(stage.sums())
        else:
            self._touch(stage.table, "")
        reject = "column_name, value, reason, message, raw"
        self._run(
            f"INSERT INTO rejected_rows (id, {reject})"
            f" SELECT {delivery_id << LINE_BITS} + line, {reject} FROM {REJECTS}"
        )
        return same

    def retract(self, delivery_id: int) -> None:
        """Takes a delivery's rows and rejects out again; rows that had stepped back for it return."""
        self._rows_went = True
        first = delivery_id << LINE_BITS
        mine = f"id BETWEEN {first} AND {first + 2**LINE_BITS - 1}"
        self._note(mine, sign=-1)
        keys = ", ".join(self.feed.key)
        self._run(
            f"INSERT INTO {self._freed} ({keys}) SELECT {keys} FROM {self.feed.table}"
            f" WHERE {mine} AND {self.feed.key[0]} IS NOT NULL"
        )
        for table in (self.feed.table, self._shadow, "rejected_rows"):
            self._run(f"DELETE FROM {table} WHERE {mine}")
        self._revive()

    def settle(self) -> None:
        """Brings the aggregate and ``products`` up to the rows."""
        match self.feed.daily:
            case Additive() as daily:
                self._add(daily)
            case Snapshot() as daily:
                self._summarise_again(daily)
        self._run(
            f"INSERT INTO products (product_id, first_seen) SELECT product_id, MIN(day) FROM {self._touched}"
            " GROUP BY product_id ON CONFLICT (product_id) DO UPDATE SET first_seen = excluded.first_seen"
            " WHERE excluded.first_seen < products.first_seen"
        )
        if self._rows_went:
            self._correct_products()

    # ---- keys

    def _shadow_rivals(self, stage: Stage) -> int:
        first = self.feed.key[0]
        if (
            not self.feed.column(first).required
            and not self._run(
                f"SELECT EXISTS (SELECT 1 FROM {stage.table} WHERE {first} IS NOT NULL)"
            ).scalar()
        ):
            return 0
        join = " AND ".join(f"l.{key} = s.{key}" for key in self.feed.key)
        rivals = f"FROM {stage.table} s CROSS JOIN {self.feed.table} l WHERE {join}"
        if not self._choose(f"SELECT l.id {rivals}"):
            return 0
        self._rows_went = True
        same = 0
        if self.feed.repeats == "number":
            equals = "IS" if self.manners.name == "sqlite" else "IS NOT DISTINCT FROM"
            equal = " AND ".join(f"l.{c} {equals} s.{c}" for c in names(self.feed.columns))
            same = int(self._run(f"SELECT COUNT(*) {rivals} AND {equal}").scalar_one())
        self._note(_CHOSEN, sign=-1)
        self._move(self.feed.table, self._shadow)
        return same

    def _revive(self) -> None:
        """For each freed key the latest of the rows that had stepped back takes its place again."""
        if not self._run(f"SELECT EXISTS (SELECT 1 FROM {self._shadow})").scalar():
            return
        join = " AND ".join(f"s.{key} = f.{key}" for key in self.feed.key)
        latest = (
            f"SELECT MAX(s.id) FROM {self._freed} f CROSS JOIN {self._shadow} s WHERE {join}"
            f" GROUP BY {', '.join(f's.{key}' for key in self.feed.key)}"
        )
        if self._choose(latest):
            self._move(self._shadow, self.feed.table)
            self._note(_CHOSEN, sign=1)

    def _choose(self, select_ids: str) -> bool:
        """Remembers some rows by id; whether there are any."""
        self._run(self.manners.temporary("chosen", {"id": "BIGINT"}))
        self._run("DELETE FROM chosen")
        return self._run(f"INSERT INTO chosen (id) {select_ids}").rowcount > 0

    def _move(self, source: str, target: str) -> None:
        """Moves the chosen rows."""
        columns = ", ".join(("id", *self._columns))
        self._run(f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {source} WHERE {_CHOSEN}")
        self._run(f"DELETE FROM {source} WHERE {_CHOSEN}")

    # ---- what was touched

    def _note(self, where: str, *, sign: int) -> None:
        """Remembers rows that come (+1) into the feed's table or go (-1)."""
        if isinstance(self.feed.daily, Snapshot):
            self._touch(self.feed.table, f"WHERE {where}")
            return
        for rows in self._read(where):
            sums = self.feed.daily.summarise(rows)
            for measure in self.feed.daily.measures if sign < 0 else ():
                place = sums.schema.get_field_index(measure)
                sums = sums.set_column(place, measure, pc.negate(sums[measure]))
            self._sums.append(sums)

    def _touch(self, table: str, where: str) -> None:
        own = ", ".join(_without_day(self.feed.daily.keys))
        self._run(
            f"INSERT INTO {self._touched} ({own}, day)"
            f" SELECT DISTINCT {own}, {self.manners.day('date')} FROM {table} {where}"
        )

    def _read(self, where: str) -> Iterator[pa.Table]:
        """Rows of the feed's table as the feed's own functions take them."""
        columns = self.feed.columns
        casts = {"TIMESTAMP": "TEXT"}
        selected = ", ".join(
            f"CAST({c.name} AS {casts.get(sql_kind(c.kind), sql_kind(c.kind))})" for c in columns
        )
        result = self._run(f"SELECT {selected} FROM {self.feed.table} WHERE {where}")
        while rows := result.fetchmany(_CHUNK):
            yield pa.table(
                {
                    column.name: pa.array(values, column.kind.arrow_type)
                    for column, values in zip(columns, zip(*rows, strict=True), strict=True)
                }
            )

    # ---- aggregates

    def _add(self, daily: Additive) -> None:
        if not self._sums:
            return
        sums = daily.merged(self._sums)
        self.manners.insert(self.connection, self._touched, sums)
        columns = ", ".join((*daily.keys, *daily.measures))
        updates = ", ".join(f"{m} = {daily.table}.{m} + excluded.{m}" for m in daily.measures)
        self._run(
            f"INSERT INTO {daily.table} ({columns}) SELECT {columns} FROM {self._touched} WHERE true"
            f" ON CONFLICT ({', '.join(daily.keys)}) DO UPDATE SET {updates}"
        )
        if pc.min(sums["rows"]).as_py() < 1:  # a sum that takes rows out may leave none
            keys = ", ".join(daily.keys)
            self._run(
                f"DELETE FROM {daily.table} WHERE rows = 0 AND ({keys}) IN (SELECT {keys} FROM {self._touched})"
            )

    def _summarise_again(self, daily: Snapshot) -> None:
        keys = _without_day(daily.keys)
        own = ", ".join(keys)
        touched = f"(SELECT DISTINCT {own}, day FROM {self._touched})"
        self._run(f"DELETE FROM {daily.table} WHERE ({own}, day) IN (SELECT {own}, day FROM {self._touched})")
        join = " AND ".join(f"l.{key} = t.{key}" for key in keys)
        window = f"{', '.join(f'l.{key}' for key in keys)}, t.day"
        lasts = {fold.of for fold in daily.folds if fold.how == "last"}
        ranks = "".join(
            f", ROW_NUMBER() OVER (PARTITION BY {window}, l.{of} IS NULL ORDER BY l.date DESC) AS {of}_rank"
            for of in sorted(lasts)
        )
        # CROSS JOIN: SQLite then walks the touched keys and looks each up, whatever it believes of the tables' sizes
        rows = (
            f"SELECT t.day AS day, l.*{ranks} FROM {touched} t CROSS JOIN {self.feed.table} l"
            f" WHERE {join} AND l.date >= t.day AND l.date < {self.manners.day_after('t.day')}"
        )
        measures = ", ".join(_fold(fold) for fold in daily.folds)
        columns = ", ".join((*keys, "day", *(fold.name for fold in daily.folds)))
        self._run(
            f"INSERT INTO {daily.table} ({columns}) SELECT {own}, day, {measures} FROM ({rows}) ranked"
            f" GROUP BY {own}, day"
        )

    def _correct_products(self) -> None:
        """After rows went: the first day a product is still seen on, or no product."""
        days = " UNION ALL ".join(
            f"SELECT MIN(day) AS day FROM {table.name} WHERE product_id = products.product_id"
            for table in DAILY.values()
        )
        touched = f"product_id IN (SELECT product_id FROM {self._touched})"
        seen = f"(SELECT MIN(day) FROM ({days}) seen)"
        self._run(f"DELETE FROM products WHERE {touched} AND {seen} IS NULL")
        self._run(f"UPDATE products SET first_seen = {seen} WHERE {touched}")

    # ---- names

    @property
    def _touched(self) -> str:
        return f"touched_{self.feed.daily.table}"

    @property
    def _freed(self) -> str:
        return f"freed_{self.feed.name}"

    @property
    def _shadow(self) -> str:
        return f"{self.feed.table}_shadowed"

    @property
    def _columns(self) -> tuple[str, ...]:
        number = (self.feed.key[-1],) if self.feed.repeats == "number" else ()
        return (*names(self.feed.columns), *number)

    def _kind(self, name: str) -> str:
        if name == "day":
            return "DATE"
        if name not in names(self.feed.columns):
            return "BIGINT"
        return sql_kind(self.feed.column(name).kind)

    def _run(self, sql: str) -> CursorResult[*tuple[Any, ...]]:
        return self.connection.exec_driver_sql(sql)


def _without_day(keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(key for key in keys if key != "day")


def _fold(fold: Fold) -> str:
    match fold.how:
        case "last":
            return f"MAX(CASE WHEN {fold.of}_rank = 1 THEN {fold.of} END)"
        case "min":
            return f"MIN({fold.of})"
        case "sum":
            return f"COALESCE(SUM({fold.of}), 0)"
        case "count":
            return f"COUNT({fold.of})"
