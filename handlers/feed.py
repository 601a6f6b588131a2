"""What a feed declares: its columns, its rules, its key and its daily aggregate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import pyarrow as pa

from handlers.columns import Column, OfFile, Text
from handlers.reasons import RowReason

Rows: TypeAlias = pa.RecordBatch | pa.Table

PRODUCT_ID = Column("product_id", Text(longest=64), required=True)


def is_many(rows: Rows) -> bool:
    """Whether rows are so many that it pays to share them among threads, which takes a millisecond to begin with."""
    return bool(rows.num_rows > 50_000)  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition between columns of one row.

    Attributes:
        reason: the code of a row that breaks it.
        column: the column the reject names.
        broken: rows (typed columns) to a boolean array, true where the rule is broken; null counts as kept.
        message: what is wrong, in words.
    """

    reason: RowReason
    column: str
    broken: Callable[[Rows], pa.Array]
    message: str


@dataclass(frozen=True, slots=True)
class Additive:
    """A daily aggregate whose measures are sums of integers, so that taking rows out leaves nothing behind.

    Attributes:
        table: its table.
        keys: the columns of its key: ``product_id``, ``day``, and others: a product's last days are one range.
        measures: its integer columns; ``rows`` counts the rows behind them.
        summarise: typed rows of any number of days to one row per key.
        clock: typed rows to ``day``, ``hour`` (0 to 23), ``units`` and ``rows``: one row per hour.
        totals: what is added up per day, for the chain, each place and channel.
    """

    table: str
    keys: tuple[str, ...]
    measures: tuple[str, ...]
    summarise: Callable[[Rows], pa.Table]
    clock: Callable[[Rows], pa.Table]
    totals: "Totals"

    def merged(self, parts: Sequence[pa.Table]) -> pa.Table:
        """Several summaries as one, with one row per key."""
        together = pa.concat_tables(parts)
        grouped = together.group_by(list(self.keys), use_threads=is_many(together))
        sums = grouped.aggregate([(name, "sum") for name in self.measures])
        return sums.rename_columns([*self.keys, *self.measures])


@dataclass(frozen=True, slots=True)
class Totals:
    """What is added up per day over all products of a feed.

    Attributes:
        by: columns of the aggregate's key that places and channels are known by; sums are kept for none of them (the
            chain), each of them, and all together.
        units: the aggregate's column that is summed as units.
        value_e4: the one that is summed as money, if there is one.
        rows: the one that counts rows; none: the aggregate's own rows are counted.
        in_transit: the one that is summed in the place of money: units that are on their way.
        is_level: units are what there is at the end of a day, not what happened on it.
    """

    by: tuple[str, ...] = ()
    units: str = "units"
    value_e4: str | None = None
    rows: str | None = None
    in_transit: str | None = None
    is_level: bool = False


@dataclass(frozen=True, slots=True)
class Fold:
    """A measure of a snapshot aggregate.

    Attributes:
        name: its column.
        how: ``last`` by time, ``min`` or ``sum`` over the rows of a day, or ``count`` of the rows with a value.
        of: a column of the feed, or an SQL expression over its columns that both databases read alike.
    """

    name: str
    how: Literal["last", "min", "sum", "count"]
    of: str
    integer: bool = True


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A daily aggregate that is made anew from the rows of a key and day whenever one of them changes."""

    table: str
    keys: tuple[str, ...]
    folds: tuple[Fold, ...]
    totals: Totals


@dataclass(frozen=True, slots=True)
class Feed:
    """A kind of file.

    Attributes:
        name: ``sales``, ``inventory``, …; also its name in the config.
        table: where its rows go.
        columns: in the order of the table.
        rules: conditions between columns.
        key: the columns that identify a row, or none; the latest delivery of a key wins.
        repeats: ``reject`` an earlier row of a file whose key comes again, or ``number`` such rows (the n-th line
            of a product in a transaction) in the last column of the key.
        daily: its aggregate, if it has one: what happens to a product on a day.
    """

    name: str
    table: str
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]
    key: tuple[str, ...]
    repeats: Literal["reject", "number"]
    daily: Additive | Snapshot | None

    @property
    def required(self) -> tuple[str, ...]:
        """The names a header must have."""
        return tuple(column.name for column in self.columns if column.required)

    @property
    def optional(self) -> tuple[str, ...]:
        """The names a header may have."""
        return tuple(column.name for column in self.columns if not column.required)

    @property
    def day_key(self) -> tuple[str, ...]:
        """What a change is noted by: the key of the aggregate; without one, product and day."""
        return ("product_id", "day") if self.daily is None else self.daily.keys

    @property
    def dated_by_name(self) -> bool:
        """Whether the same bytes say something else under the name of another day."""
        return any(column.default is OfFile.DAY for column in self.columns)

    def column(self, name: str) -> Column:
        """The column called ``name``."""
        return next(column for column in self.columns if column.name == name)


def names(columns: Sequence[Column]) -> tuple[str, ...]:
    """The names of columns."""
    return tuple(column.name for column in columns)
