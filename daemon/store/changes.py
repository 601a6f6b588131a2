"""Rows in and out of a feed's tables, and what that does to its daily aggregate and to ``products``.

A ``Changes`` lives within one transaction. It remembers which keys and days were touched and settles the aggregates
once, at the end, so that the work is proportional to the rows that came and went.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlalchemy import Connection, CursorResult

from daemon.store import aggregates, due, totals
from daemon.store.bulk import Manners
from daemon.store.schema import LINE_BITS, is_of
from daemon.store.sealed import Seals
from daemon.store.staging import REJECTS, Stage, sql_kind
from handlers.feed import Additive, Feed, Snapshot, names
from handlers.fixes import FIXED_LINE

_CHUNK = 50_000  # rows read back at a time
_CHOSEN = "id IN (SELECT id FROM chosen)"


@dataclass(slots=True)
class Changes:
    """What a transaction does to the tables of one feed.

    Attributes:
        connection: of the transaction.
        manners: of its database.
        feed: whose tables.
        now: the number of the delivery that comes, if one does.
        set_aside: rows that came and change nothing, for what they belong to is sealed.
    """

    connection: Connection
    manners: Manners
    feed: Feed
    now: int = 2**62
    set_aside: int = 0
    _sums: list[pa.Table] = field(default_factory=list)
    _hours: list[pa.Table] = field(default_factory=list)
    _rows_went: bool = False
    _last_of_day: dict[str, int] = field(default_factory=dict)
    _seals: Seals = field(init=False)

    def __post_init__(self) -> None:
        columns = {key: self._kind(key) for key in self.feed.day_key}
        if isinstance(self.feed.daily, Additive):
            columns |= dict.fromkeys(self.feed.daily.measures, "BIGINT")  # what to add to each key
        self._run(self.manners.temporary(self._touched, columns))
        self._run(f"DELETE FROM {self._touched}")
        identity = {name: self._kind(name) for name in self.feed.key}
        self._run(self.manners.temporary(self._freed, identity))
        self._run(f"DELETE FROM {self._freed}")
        self._seals = Seals.of(self.connection, self.manners, self.feed, self._touched, self.now)

    def load(self, stage: Stage, delivery_id: int, extends: int | None = None) -> int:
        """Stores the staged rows; rows of other deliveries with the same key step back.

        Args:
            stage: the rows.
            delivery_id: whose they are.
            extends: the delivery that brought the beginning of the file: lines of a transaction are numbered on.

        Returns:
            How many of those had the same values, so that the staged ones bring nothing new.
        """
        stage.number_repeats("0" if extends is None else self._after_last_number(extends))
        self._seals.note(f"{stage.table} s")
        same = self._shadow_rivals(stage)
        columns = ", ".join(self._columns)
        self._run(
            f"INSERT INTO {self.feed.table} (id, {columns})"
            f" SELECT {delivery_id << LINE_BITS} + line, {columns} FROM {stage.table}"
        )
        if isinstance(self.feed.daily, Additive):
            if stage.rows:
                self._sums.append(stage.sums())
                self._hours += stage.hours()
        else:
            self._touch(stage.table, "")
            aside = self._seals.rows(is_of(delivery_id, "l.id"))
            if aside is not None and self._choose(aside):
                self.set_aside = self._move(self.feed.table, self._shadow)
        return same

    def rivals(self, rows: pa.RecordBatch | pa.Table, of: pa.Array) -> set[int]:
        """Which groups of rows have a key that a loaded row has.

        Args:
            rows: typed, numbered if the feed numbers repeated keys; shape (n,).
            of: the group of each row, shape (n,).
        """
        first = rows[self.feed.key[0]]
        if first.null_count == len(first):
            return set()
        kinds = {"page": "BIGINT", **{name: self._kind(name) for name in self.feed.key}}
        table = f"keys_{self.feed.name}"
        self._run(self.manners.temporary(table, kinds))
        self._run(f"DELETE FROM {table}")
        keys = pa.table({"page": of, **{name: rows[name] for name in self.feed.key}})
        self.manners.insert(self.connection, table, keys)
        found = self._run(
            f"SELECT DISTINCT s.page FROM {table} s CROSS JOIN {self.feed.table} l WHERE {self._joined('l', 's')}"
        )
        return {int(row[0]) for row in found}

    def add(self, rows: pa.Table, deliveries: NDArray[np.int64]) -> None:
        """Stores rows that have no rivals.

        Args:
            rows: with ``line``, typed, numbered if the feed numbers repeated keys; shape (n,).
            deliveries: whose each is, shape (n,), rising.
        """
        days = pc.utf8_slice_codeunits(rows["date"].combine_chunks(), 0, 10).dictionary_encode()
        last = np.zeros(len(days.dictionary), np.int64)
        last[np.asarray(days.indices)] = deliveries  # of a day that comes again the last one stays
        self._last_of_day = dict(zip(days.dictionary.to_pylist(), last.tolist(), strict=True))
        named = {name: rows[name] for name in self._columns}
        stored = pa.table({"id": pa.array((deliveries << LINE_BITS) + np.asarray(rows["line"])), **named})
        self.manners.insert(self.connection, self.feed.table, stored)
        if isinstance(self.feed.daily, Additive):
            self._sums.append(self.feed.daily.summarise(rows))
            self._hours.append(self.feed.daily.clock(rows))
        else:
            self._touch(
                self.feed.table,
                f"WHERE id BETWEEN {deliveries[0] << LINE_BITS} AND {(deliveries[-1] + 1) << LINE_BITS}",
            )

    def reject(self, delivery_id: int) -> None:
        """Stores the staged rejects."""
        reject = "column_name, value, reason, message, raw"
        self._run(
            f"INSERT INTO rejected_rows (id, {reject})"
            f" SELECT {delivery_id << LINE_BITS} + line, {reject} FROM {REJECTS}"
        )

    def join(self, stage: Stage, delivery_id: int) -> int:
        """Stores staged rows among those of an earlier delivery, each on the line that ``reject_line`` says.

        Returns:
            How many of them another delivery has with the same values.
        """
        stage.number_repeats(self._after_last_number(delivery_id))
        columns = ", ".join(self._columns)
        row_id = f"{delivery_id << LINE_BITS} + {FIXED_LINE}"
        self._run(f"INSERT INTO {self._shadow} (id, {columns}) SELECT {row_id}, {columns} FROM {stage.table}")
        mine = f"s.id IN (SELECT {row_id} FROM {stage.table})"
        same = 0
        if self.feed.repeats == "number":
            rivals = f"FROM {self._shadow} s CROSS JOIN {self.feed.table} l WHERE {self._joined('l', 's')}"
            same = int(self._run(f"SELECT COUNT(*) {rivals} AND {mine} AND {self._equal}").scalar_one())
        self._admit(mine)
        return same

    def supersede(self, delivery_id: int) -> None:
        """Lets a delivery's rows step back; call when the ledger says that it is superseded."""
        mine = is_of(delivery_id)
        self._free(mine)
        self._move(self.feed.table, self._shadow, mine)
        self._revive()

    def reinstate(self, delivery_id: int) -> None:
        """Lets a delivery's rows count again; call when the ledger says that nothing supersedes it any more."""
        self._rows_went = True  # those of others may step back for them
        self._admit(is_of(delivery_id, "s.id"))

    def retract(self, delivery_id: int) -> None:
        """Takes a delivery's rows and rejects out for good; rows that had stepped back for it return."""
        self._retract(is_of(delivery_id))
        self._run(f"DELETE FROM rejected_rows WHERE {is_of(delivery_id)}")

    def retract_fixed(self, delivery_id: int, fix: int) -> None:
        """Takes out the rows of a delivery that ``fix`` brought; call before their rejects are marked open again."""
        fixed = f"SELECT id FROM rejected_rows WHERE {is_of(delivery_id)} AND fixed_by = {fix}"
        self._retract(f"id IN ({fixed})")
        self._run(f"DELETE FROM rejected_rows WHERE {is_of(fix)}")

    def _retract(self, mine: str) -> None:
        self._free(mine)
        for table in (self.feed.table, self._shadow):
            self._run(f"DELETE FROM {table} WHERE {mine}")
        self._revive()

    def _free(self, mine: str) -> None:
        """Notes that rows of the feed's table are about to go, and their keys with them."""
        self._rows_went = True
        self._note(mine, sign=-1)
        keys = ", ".join(self.feed.key)
        self._run(
            f"INSERT INTO {self._freed} ({keys}) SELECT {keys} FROM {self.feed.table}"
            f" WHERE {mine} AND {self.feed.key[0]} IS NOT NULL"
        )

    def settle(self, *deliveries: int) -> None:
        """Brings the aggregate, the totals and ``products`` up to the rows, and marks what is due.

        Args:
            deliveries: what came or went.
        """
        connection, manners, touched = self.connection, self.manners, self._touched
        totals.prepare(connection, manners)
        told: list[date] = []
        match self.feed.daily:
            case Additive() as daily if self._sums:
                sums = daily.merged(self._sums)
                aggregates.add(connection, manners, daily, sums, touched)
                totals.add(connection, manners, self.feed, daily, sums)
                totals.add_hours(connection, manners, self.feed, self._hours)
            case Snapshot() as daily:
                self._seals.leave()
                totals.note(connection, daily, touched, sign=-1)
                aggregates.summarise_again(connection, manners, self.feed, daily, touched)
                totals.note(connection, daily, touched, sign=1)
                if daily.totals.in_transit:
                    told = totals.told_anew(connection, self.feed)
                totals.settle(connection, self.feed)
        if self.feed.daily is not None:  # a catalogue may have products that nobody has seen
            aggregates.note_products(connection, touched, rows_went=self._rows_went)
        due.mark(connection, self.feed, touched, deliveries, self._last_of_day)
        due.mark_after(connection, self.feed, told, max(deliveries))

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
        rivals = f"FROM {stage.table} s CROSS JOIN {self.feed.table} l WHERE {self._joined('l', 's')}"
        if not self._choose(f"SELECT l.id {rivals}"):
            return 0
        same = 0
        if self.feed.repeats == "number":
            same = int(self._run(f"SELECT COUNT(*) {rivals} AND {self._equal}").scalar_one())
        self._step_back()
        return same

    def _step_back(self) -> None:
        """The chosen rows count no more."""
        self._rows_went = True
        self._note(_CHOSEN, sign=-1)
        self._move(self.feed.table, self._shadow)

    def _return(self) -> None:
        """The chosen rows count again."""
        self._move(self._shadow, self.feed.table)
        self._note(_CHOSEN, sign=1)

    def _revive(self) -> None:
        """For each freed key the latest of the rows that had stepped back takes its place again."""
        if not self._run(f"SELECT EXISTS (SELECT 1 FROM {self._shadow})").scalar():
            return
        latest = (
            f"SELECT MAX(s.id) FROM {self._freed} f CROSS JOIN {self._shadow} s"
            f" WHERE {self._joined('s', 'f')} AND {_in_force('s')}"
            f" GROUP BY {', '.join(f's.{key}' for key in self.feed.key)}"
        )
        if self._choose(latest):
            self._return()

    def _admit(self, where: str) -> None:
        """Shadowed rows (s) that count again take their place, unless a later delivery has their key."""
        later = " AND ".join((self._joined("r", "s"), "r.id > s.id"))
        keyless = f"s.{self.feed.key[0]} IS NULL"
        unrivalled = (
            f"NOT EXISTS (SELECT 1 FROM {self.feed.table} r WHERE {later})"
            f" AND NOT EXISTS (SELECT 1 FROM {self._shadow} r WHERE {later} AND {_in_force('r')})"
        )
        self._seals.note(f"{self._shadow} s WHERE {where}")
        self._run(self.manners.temporary("admitted", {"id": "BIGINT"}))
        self._run("DELETE FROM admitted")
        self._run(
            f"INSERT INTO admitted (id) SELECT s.id FROM {self._shadow} s"
            f" WHERE {self._seals.without(where)} AND ({keyless} OR {unrivalled})"
        )
        rivals = (
            f"SELECT l.id FROM admitted a CROSS JOIN {self._shadow} s CROSS JOIN {self.feed.table} l"
            f" WHERE s.id = a.id AND {self._joined('l', 's')}"
        )
        if self._choose(rivals):
            self._step_back()
        if self._choose("SELECT id FROM admitted"):
            self._return()

    def _after_last_number(self, delivery_id: int) -> str:
        """SQL: the highest number that rows with the key of a staged row have in a growing file; none: 0."""
        if self.feed.repeats != "number":
            return "0"
        *shared, number = self.feed.key
        self._run(self.manners.temporary("kin", {"id": "BIGINT"}))
        self._run("DELETE FROM kin")
        self._run(
            f"INSERT INTO kin (id) WITH RECURSIVE earlier (id) AS (SELECT CAST({delivery_id} AS BIGINT) UNION ALL"
            " SELECT d.extends FROM data_ingestion_log d, earlier e WHERE d.id = e.id AND d.extends IS NOT NULL),"
            f" later (id) AS (SELECT CAST({delivery_id} AS BIGINT) UNION ALL"
            " SELECT d.id FROM data_ingestion_log d, later l WHERE d.extends = l.id)"
            " SELECT id FROM earlier UNION SELECT id FROM later"
        )
        key = " AND ".join(f"o.{name} = s.{name}" for name in shared)
        its = f"o.id >> {LINE_BITS} IN (SELECT id FROM kin)"
        highest = (
            f"(SELECT MAX(o.{number}) FROM {table} o WHERE {key} AND {its})"
            for table in (self.feed.table, self._shadow)
        )
        one, other = (f"COALESCE({found}, 0)" for found in highest)
        return f"CASE WHEN {one} > {other} THEN {one} ELSE {other} END"

    def _choose(self, select_ids: str) -> bool:
        """Remembers some rows by id; whether there are any."""
        self._run(self.manners.temporary("chosen", {"id": "BIGINT"}))
        self._run("DELETE FROM chosen")
        return self._run(f"INSERT INTO chosen (id) {select_ids}").rowcount > 0

    def _move(self, source: str, target: str, where: str = _CHOSEN) -> int:
        """Moves rows, the chosen ones if nothing else is said; how many they are."""
        columns = ", ".join(("id", *self._columns))
        self._run(f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {source} WHERE {where}")
        return self._run(f"DELETE FROM {source} WHERE {where}").rowcount

    # ---- what was touched

    def _note(self, where: str, *, sign: int) -> None:
        """Remembers rows that come (+1) into the feed's table or go (-1)."""
        daily = self.feed.daily
        if not isinstance(daily, Additive):
            self._touch(self.feed.table, f"WHERE {where}")
            return
        for rows in self._read(where):
            self._hours.append(_signed(daily.clock(rows), ("units", "rows"), sign))
            for sums in aggregates.summed(daily, rows):
                self._sums.append(_signed(sums, daily.measures, sign))

    def _touch(self, table: str, where: str) -> None:
        own = ", ".join(aggregates.without_day(self.feed.day_key))
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

    # ---- names

    @property
    def _touched(self) -> str:
        return f"touched_{self.feed.name}"

    @property
    def _freed(self) -> str:
        return f"freed_{self.feed.name}"

    @property
    def _shadow(self) -> str:
        return f"{self.feed.table}_shadowed"

    def _joined(self, one: str, other: str) -> str:
        """SQL: two rows have the same key."""
        return " AND ".join(f"{one}.{key} = {other}.{key}" for key in self.feed.key)

    @property
    def _equal(self) -> str:
        """SQL: a live row l and another, s, have the same values."""
        equals = "IS" if self.manners.name == "sqlite" else "IS NOT DISTINCT FROM"
        return " AND ".join(f"l.{c} {equals} s.{c}" for c in names(self.feed.columns))

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


def _signed(sums: pa.Table, measures: Iterable[str], sign: int) -> pa.Table:
    """Sums as they are, or to be taken off."""
    for measure in measures if sign < 0 else ():
        place = sums.schema.get_field_index(measure)
        sums = sums.set_column(place, measure, pc.negate(sums[measure]))
    return sums


def _in_force(row: str) -> str:
    """SQL: nothing supersedes the row's delivery."""
    superseded = f"SELECT 1 FROM data_ingestion_log d WHERE d.id = {row}.id >> {LINE_BITS} AND d.superseded_by IS NOT NULL"
    return f"NOT EXISTS ({superseded})"
